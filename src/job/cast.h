/* What was shown on a terminal, as lines of asciinema's format, version 2: a header and events. What
 * is typed is never among them.
 *
 * Owns:    plain values; zero is the beginning.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  the buffer's. */
#ifndef JOB_CAST_H
#define JOB_CAST_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct cast_header {
    uint16_t rows; /* 0, or cols 0: 24 x 80 */
    uint16_t cols;
    int64_t time_s; /* when it begins */
    const char *term;
    const char *shell; /* NULL: not known, as the next ones */
    const char *job;
    const char *identity;
    const char *address;
    const char *rule;
    const char *user;
};

struct cast {
    uint8_t held[4]; /* the beginning of a character, whose end is still to come */
    size_t held_size;
};

/* AFAR_ENOMEM, AFAR_ELIMIT: something of it is missing. Likewise the others. */
enum afar_status cast_put_header(struct buffer *out, const struct cast_header *header,
                                 struct afar_error *err);

/* An event with what the program has written, so long after the beginning. A character that is cut
 * waits for its end; a byte that is no UTF-8 is U+FFFD. */
enum afar_status cast_put_output(struct cast *cast, struct buffer *out, int64_t us,
                                 const void *data, size_t size);

/* Another: code 'r' (a size, "80x24") or 'm' (a mark). What was held comes before it. */
enum afar_status cast_put_event(struct cast *cast, struct buffer *out, int64_t us, char code,
                                const char *text);

#endif
