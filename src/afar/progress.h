/* One line on a terminal that says how far a copy is.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  as long as standard error does.
 * Limits:  5 a second, cut to the terminal's width. */
#ifndef AFAR_PROGRESS_H
#define AFAR_PROGRESS_H

#include "copy/copy.h"

enum { PROGRESS_SAMPLES = 25 }; /* the mean of 5 s */

struct progress {
    bool on;
    bool shown;
    int64_t began_ms;
    int64_t next_ms;
    uint64_t bytes[PROGRESS_SAMPLES];
    int64_t at_ms[PROGRESS_SAMPLES];
    unsigned samples;
};

/* Only where standard error is a terminal, unless `quiet`. */
void progress_open(struct progress *progress, bool quiet);

/* How long to wait at most before the next line; -1: there is none. */
int progress_timeout_ms(const struct progress *progress);
void progress_show(struct progress *progress, const struct copy *copy);

/* Before anything else is written there. */
void progress_erase(struct progress *progress);

/* "access.log  43%  1.2 GiB  310 MiB/s  0:12 left", at most `width` columns. */
void progress_format(const struct copy *copy, uint64_t rate, char *text, size_t size,
                     unsigned width);

#endif
