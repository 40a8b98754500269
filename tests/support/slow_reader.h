/* Callbacks for a command: keep what comes, and take as much or little at a time as the test wants.
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
    size_t limit[2];                 /* a call takes at most this of stdout, stderr */
    size_t bytes[2];                 /* taken */
    char text[2][SLOW_READER_BYTES]; /* … of which so many are kept, with a NUL */
    size_t calls;
    size_t started;
    char job[64];
    char frames[SLOW_READER_BYTES]; /* on_frame's lines, each with a newline */
};

/* Takes everything. `with_frames`: with on_frame too. */
struct afar_callbacks slow_reader_callbacks(struct slow_reader *reader, int with_frames);

#endif
