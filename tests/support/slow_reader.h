/* Callbacks for a command: store what comes, and take as much or as little at a time as the test
 * wants.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  never.
 * Limits:  SLOW_READER_BYTES of each. */
#ifndef SUPPORT_SLOW_READER_H
#define SUPPORT_SLOW_READER_H

#include <stddef.h>

#include <afar/afar.h>

enum { SLOW_READER_BYTES = 8192 };

struct slow_reader {
    size_t limit[2];                 /* most that a call takes, of stdout and stderr */
    size_t bytes[2];                 /* taken */
    char text[2][SLOW_READER_BYTES]; /* the first of these bytes, NUL-terminated */
    size_t calls;
    size_t started;
    char job[64];
    char frames[SLOW_READER_BYTES]; /* the lines of on_frame, each with a newline */
};

/* Callbacks that take everything. `with_frames`: with on_frame. */
struct afar_callbacks slow_reader_callbacks(struct slow_reader *reader, int with_frames);

#endif
