/* A server, and a folder in which a test runs shell lines that copy to and from the server.
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

/* `args`: further options of the server; NULL: none. copying_close: the server must have released
 * its descriptors, and end with status 0. */
void copying_open(struct copying *copying, const char *const *args);
void copying_close(struct copying *copying);

/* Runs a line with sh -c in the folder. $A is the program afar, $U the server's URL, $D the folder.
 * Returns the exit status; the output is in copying->program. */
int copying_run(struct copying *copying, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Runs a line: its exit status must be `status`, and its standard error must contain `said` (NULL:
 * any). */
void copying_expect(struct copying *copying, int status, const char *said, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Starts a line without waiting for its end; it is copying->program. */
void copying_start(struct copying *copying, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
