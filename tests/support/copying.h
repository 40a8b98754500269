/* A server, and a folder in which a test copies to and from it by shell lines.
 *
 * Owns:    both (copying_close).
 * Threads: one.
 * Blocks:  as support/program.h.
 * Limits:  lines of COPYING_LINE_BYTES. */
#ifndef SUPPORT_COPYING_H
#define SUPPORT_COPYING_H

#include "support/afard.h"

enum { COPYING_LINE_BYTES = 4096 };

struct copying {
    struct afard afard;
    char folder[64];
    struct program program; /* the last one */
    bool ran;
};

/* `args`: the server's besides its listener; NULL: none. */
void copying_open(struct copying *copying, const char *const *args);
void copying_close(struct copying *copying);

/* Runs a line by sh -c in the folder; $U is the server's URL, $D the folder, and `cp` of it
 * `$A cp`. Returns its exit status; what it said is in copying->program. */
int copying_run(struct copying *copying, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The status must be this one, and its standard error have `said` in it (NULL: anything). */
void copying_expect(struct copying *copying, int status, const char *said, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same, without waiting for the end: copying->program runs. */
void copying_start(struct copying *copying, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
