/* A person at a terminal of 24 x 80: bash with job control, which runs afar. Also a server, and
 * functions that request a terminal without having one.
 *
 *     person_sit_down(&person, url) ─ person_start(&person, "run -t $url -- …") ─
 *     person_expect_status(&person, 0) ─ person_stand_up(&person)
 *
 * Owns:    as support/terminal.h: the terminal.
 * Threads: one.
 * Blocks:  at most until the deadline (support/program.h).
 * Limits:  those of support/terminal.h. */
#ifndef SUPPORT_PERSON_H
#define SUPPORT_PERSON_H

#include "support/afard.h"
#include "support/terminal.h"

/* A server whose commands end with their connection, with tcp (url[0]) and tls (url[1]). */
void person_serve(struct afard *server);

/* Runs `afar run -t URL -- sh -c LINE` on pipes; it must end with this status. */
void person_run(const char *url, const char *line, const void *input, size_t input_size, int status,
                struct program *program);

/* The same; the output must be exactly this. */
void person_expect_output(const char *url, const char *line, const char *input, int status,
                          const char *output);

/* A shell line that prints "ready" and then sleeps for long. */
#define PERSON_READY_THEN_SLEEP "sh -c 'echo rea\"\"dy; sleep 1000'"

/* Starts bash. In it $afar is the program, $url the URL, and $A the terminal's current mode; the
 * prompt is "@@ ". */
void person_sit_down(struct terminal *person, const char *url);

/* Runs afar with the arguments in `line`; prints its status afterwards. */
void person_start(struct terminal *person, const char *line);
void person_expect_status(struct terminal *person, int status);

/* Expects that the terminal's mode is as it was. */
void person_expect_in_order(struct terminal *person);

/* The same; then ends bash. */
void person_stand_up(struct terminal *person);

/* The first child of bash: the program in the foreground, if there are no others. */
pid_t person_child(const struct terminal *person);

/* Waits until the foreground group of this process's terminal is led by a program of that name. */
void person_expect_foreground(pid_t process, const char *name);

#endif
