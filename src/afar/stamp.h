/* Output with, before each line, when it was written: `afar logs --timestamps`.
 *
 *     2026-11-27T09:33:01.123456Z the line
 *
 * A line that came in several frames has the time of its first byte.
 *
 * Owns nothing outside itself; one thread; blocks as output_write does.
 * Limits:  STAMP_BYTES at a time. A zeroed one is at the beginning of a line. */
#ifndef AFAR_STAMP_H
#define AFAR_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "afar/output.h"

enum { STAMP_BYTES = 16384, STAMP_TIME_BYTES = 32 };

struct stamp {
    uint64_t time_us; /* of what comes; 0: not known, and its lines begin with "-" */
    bool inside;      /* a line */
    size_t start;     /* what is left to be written … */
    size_t end;
    size_t covers; /* … for so many bytes of output */
    char bytes[STAMP_BYTES];
};

/* What comes from now on was written then, by the wall clock. */
void stamp_time(struct stamp *stamp, uint64_t time_us);

/* Writes `size` bytes of output. Returns how many of them are written; the rest, unchanged, is to be
 * given again where that can be written. */
size_t stamp_write(struct stamp *stamp, struct output *output, const void *data, size_t size);

#endif
