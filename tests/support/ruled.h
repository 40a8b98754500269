/* A real afard with rules, on a Unix socket, and clients that ask it to run commands.
 *
 * Owns:    the server and the file with its rules, until ruled_close.
 * Threads: one.
 * Blocks:  as support/program.h.
 * Limits:  PROGRAM_ARGS_MAX words. */
#ifndef SUPPORT_RULED_H
#define SUPPORT_RULED_H

#include "support/afard.h"
#include "support/program.h"

#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

struct ruled {
    struct afard afard;
    char file[64];
};

/* Makes the file without starting a server. */
void ruled_make_file(struct ruled *ruled, const char *rules);

/* Makes the file and starts a server with it. `rules`: the whole configuration except the
 * listener. */
void ruled_open(struct ruled *ruled, const char *rules, const char *log_level);

/* Replaces the rules; they take effect at a HUP. */
void ruled_write(const struct ruled *ruled, const char *rules);

/* Ends the server: it must end with status 0 and leave nothing behind. */
void ruled_close(struct ruled *ruled);

/* Runs `afar run -n OPTIONS URL -- WORDS`; both lists are NULL-terminated (`options` may be NULL).
 * Returns the exit status. */
int ruled_run(const struct ruled *ruled, struct program *program, const char *const *options,
              const char *const *words);

/* The same; the status must be `status`, and the output must contain `output`: standard error with
 * status 125 and 126, else standard output. */
void ruled_expect(const struct ruled *ruled, const char *const *options, const char *const *words,
                  int status, const char *output);

#endif
