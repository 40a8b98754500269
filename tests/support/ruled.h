/* A real afard with rules, on a Unix socket, and clients that ask it to run something.
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

/* Makes the file, without a server. */
void ruled_make_file(struct ruled *ruled, const char *rules);

/* Makes the file and starts a server with it. `rules` is the whole configuration but its listener.
 */
void ruled_open(struct ruled *ruled, const char *rules, const char *log_level);

/* Other rules, for a HUP. */
void ruled_write(const struct ruled *ruled, const char *rules);

/* The server must have ended well, and left nothing. */
void ruled_close(struct ruled *ruled);

/* `afar run -n OPTIONS URL -- WORDS`, both lists ended by NULL (`options` may be NULL). Its exit
 * status. */
int ruled_run(const struct ruled *ruled, struct program *program, const char *const *options,
              const char *const *words);

/* The same; its status must be this one, and what it prints have `output` in it: on standard error
 * with status 125 and 126, else on standard output. */
void ruled_expect(const struct ruled *ruled, const char *const *options, const char *const *words,
                  int status, const char *output);

#endif
