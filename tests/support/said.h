/* What a call writes to standard error.
 *
 *     said_begin(&said);
 *     … the call …
 *     assert_non_null(strstr(said_end(&said), "…"));
 *
 * Owns:    a temporary file between the two.
 * Threads: one: descriptor 2 is the process's.
 * Blocks:  never.
 * Limits:  SAID_BYTES are kept. */
#ifndef SUPPORT_SAID_H
#define SUPPORT_SAID_H

enum { SAID_BYTES = 8192 };

struct said {
    int file;
    int stderr_fd;
    char text[SAID_BYTES];
};

void said_begin(struct said *said);

/* NUL-terminated; valid as long as `said` is. */
const char *said_end(struct said *said);

#endif
