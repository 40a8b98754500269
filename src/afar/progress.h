/* A progress line on a terminal, for `afar cp`.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  as long as standard error does.
 * Limits:  5 updates a second, cut to the terminal's width. */
#ifndef AFAR_PROGRESS_H
#define AFAR_PROGRESS_H

#include "copy/copy.h"

enum { PROGRESS_SAMPLES = 25 }; /* the rate is the mean of 5 s */

struct progress {
    bool on;
    bool shown;
    int64_t began_ms;
    int64_t next_ms;
    uint64_t bytes[PROGRESS_SAMPLES];
    int64_t at_ms[PROGRESS_SAMPLES];
    unsigned samples;
};

/* On only if standard error is a terminal and not `quiet`. */
void progress_open(struct progress *progress, bool quiet);

/* Milliseconds until the next update is due; -1: it is off. */
int progress_timeout_ms(const struct progress *progress);
void progress_show(struct progress *progress, const struct copy *copy);

/* Erases the line. Call before writing anything else to standard error. */
void progress_erase(struct progress *progress);

/* "access.log  43%  1.2 GiB  310 MiB/s  0:12 left", at most `width` columns. */
void progress_format(const struct copy *copy, uint64_t rate, char *text, size_t size,
                     unsigned width);

#endif
