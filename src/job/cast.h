/* A terminal's output as lines of asciinema's format, version 2: a header, then events. What the
 * user types is never recorded.
 *
 * Owns:    plain values; a zeroed struct cast is the initial state.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  the buffer's. */
#ifndef JOB_CAST_H
#define JOB_CAST_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* The audit log has all of the command; the recording should have room for the output. */
enum { CAST_COMMAND_BYTES = 1024 };

struct cast_header {
    uint16_t rows; /* if rows or cols is 0: 24 x 80 */
    uint16_t cols;
    int64_t time_s; /* start of the recording */
    const char *term;
    const char
        *command; /* words as for a shell; only CAST_COMMAND_BYTES are written. NULL: unknown;
                          * so are shell, identity and the following */
    const char *shell;
    const char *job;
    const char *identity;
    const char *address;
    const char *rule;
    const char *user;
};

struct cast {
    uint8_t held[4]; /* an incomplete UTF-8 sequence; its remaining bytes are still to come */
    size_t held_size;
};

/* Appends the header line. AFAR_ENOMEM, AFAR_ELIMIT: `out` may hold a part of the line. The
 * functions below report the same errors in the same way. */
enum afar_status cast_put_header(struct buffer *out, const struct cast_header *header,
                                 struct afar_error *err);

/* Appends an event with the bytes that the program has written, `us` after the start. An incomplete
 * UTF-8 sequence at the end is held until the next call; an invalid byte becomes U+FFFD. */
enum afar_status cast_put_output(struct cast *cast, struct buffer *out, int64_t us,
                                 const void *data, size_t size);

/* How many of these bytes cast_put_output can append in `room` bytes for certain: all, or up to the
 * end of a UTF-8 sequence. */
size_t cast_fit(const void *data, size_t size, uint64_t room);

/* Appends an event with code 'r' (a new size, "80x24") or 'm' (a mark). Bytes that were held are
 * written before it. */
enum afar_status cast_put_event(struct cast *cast, struct buffer *out, int64_t us, char code,
                                const char *text);

#endif
