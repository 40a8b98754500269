/* Writes output with a time before each line: `afar logs --timestamps`.
 *
 *     2026-11-27T09:33:01.123456Z the line
 *
 * A line that came in several frames gets the time of its first byte.
 *
 * Owns:    nothing outside itself.
 * Threads: one.
 * Blocks:  as output_write does.
 * Limits:  STAMP_BYTES at a time. A zeroed struct is at the beginning of a line. */
#ifndef AFAR_STAMP_H
#define AFAR_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "afar/output.h"

enum { STAMP_BYTES = 16384, STAMP_TIME_BYTES = 32 };

struct stamp {
    uint64_t time_us; /* of the next output; 0: not known, its lines begin with "-" */
    bool inside;      /* in the middle of a line */
    size_t start;     /* what is still to be written … */
    size_t end;
    size_t covers; /* … for this many bytes of output */
    char bytes[STAMP_BYTES];
};

/* Sets when the following output was written, in microseconds after 1970. */
void stamp_time(struct stamp *stamp, uint64_t time_us);

/* Writes `size` bytes of output. Returns how many were written; fewer: call it again with the rest,
 * unchanged, when `output` can be written. */
size_t stamp_write(struct stamp *stamp, struct output *output, const void *data, size_t size);

#endif
