/* A person at a terminal of 24 x 80: bash with job control, which runs afar. And a server for them, of
 * which others ask for terminals too that have none themselves.
 *
 *     person_sit_down(&person, url) ─ person_start(&person, "run -t $url -- …") ─
 *     person_expect_status(&person, 0) ─ person_stand_up(&person)
 *
 * Owns:    as support/terminal.h, which is what they type at.
 * Threads: one.
 * Blocks:  until the deadline at most (support/program.h).
 * Limits:  those of support/terminal.h. */
#ifndef SUPPORT_PERSON_H
#define SUPPORT_PERSON_H

#include "support/afard.h"
#include "support/terminal.h"

/* A server whose commands end with their connection: over tcp (its url[0]) and tls (url[1]). */
void person_serve(struct afard *server);

/* `afar run -t URL -- sh -c LINE` with pipes, which must end with this status. */
void person_run(const char *url, const char *line, const void *input, size_t input_size, int status,
                struct program *program);

/* The same, whose output must be this one. */
void person_expect_output(const char *url, const char *line, const char *input, int status,
                          const char *output);

/* For a shell: something to wait for, as "ready" and a newline, and then for long. */
#define PERSON_READY_THEN_SLEEP "sh -c 'echo rea\"\"dy; sleep 1000'"

/* In bash $afar is the program, $url the URL, and $A the terminal's mode of now; its prompt is
 * "@@ ". */
void person_sit_down(struct terminal *person, const char *url);

/* `line` is a command of afar; its status is shown after it. */
void person_start(struct terminal *person, const char *line);
void person_expect_status(struct terminal *person, int status);

/* The terminal's mode is as it was. */
void person_expect_in_order(struct terminal *person);

/* The same, and bash ends. */
void person_stand_up(struct terminal *person);

/* The program that bash has in the foreground, where it has no other. */
pid_t person_child(const struct terminal *person);

/* Waits until the foreground of the terminal that this process has, whichever that is, is led by a
 * program of that name. */
void person_expect_foreground(pid_t process, const char *name);

#endif
