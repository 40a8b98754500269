/* A bounded byte queue: bytes are added at the tail and taken from the head.
 *
 * Owns:    its memory, which it lets go of whenever it becomes empty, so that an idle connection
 *          holds none; but see buffer_pace.
 * Threads: one owner; no lock.
 * Blocks:  never.
 * Limits:  limit_bytes, fixed at buffer_init; going over it is AFAR_ELIMIT. The memory behind it is
 *          at most twice that (or 512 bytes). */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct buffer {
    uint8_t *data;
    size_t start; /* first byte that has not been taken */
    size_t end;   /* one past the last byte added */
    size_t capacity;
    size_t limit_bytes;
    size_t pace_bytes; /* how much to receive into it at once: buffer_pace */
    bool kept;         /* its memory stays when it becomes empty */
};

void buffer_init(struct buffer *buffer, size_t limit_bytes);
void buffer_close(struct buffer *buffer);

size_t buffer_size(const struct buffer *buffer);

/* Start of the waiting bytes; borrowed until the next call that is not const. */
const uint8_t *buffer_head(const struct buffer *buffer);

/* Takes `size` bytes (at most buffer_size) from the head. */
void buffer_consume(struct buffer *buffer, size_t size);

/* Makes room for `size` more bytes. *room points to it (NULL for a `size` of 0), borrowed;
 * buffer_commit says how many of them were written. AFAR_ELIMIT: it would hold more than
 * limit_bytes. AFAR_ENOMEM. */
enum afar_status buffer_reserve(struct buffer *buffer, size_t size, uint8_t **room,
                                struct afar_error *err);
void buffer_commit(struct buffer *buffer, size_t size);

/* reserve, copy, commit. */
enum afar_status buffer_append(struct buffer *buffer, const void *data, size_t size,
                               struct afar_error *err);

/* The last `size` bytes (at most buffer_size) were not added. */
void buffer_take_back(struct buffer *buffer, size_t size);

/* Forgets everything and lets go of the memory. */
void buffer_clear(struct buffer *buffer);

/* Sets pace_bytes after `got` of `asked` bytes have come: twice as much where that was all, half as
 * much where it was little, from the least (also in the beginning) to the most; where less than
 * pace_bytes was asked for, for want of room, there is nothing to learn. While much comes its
 * memory stays also when it is empty: taking it anew for each piece would cost more than the piece.
 */
enum { BUFFER_PACE_MIN_BYTES = 65536, BUFFER_PACE_MAX_BYTES = 262144 };
void buffer_pace(struct buffer *buffer, size_t asked, size_t got);

/* The stream has ended: the least again, and no memory is kept. */
void buffer_rest(struct buffer *buffer);

#endif
