/* A bounded byte queue: bytes are added at the tail and taken from the head.
 *
 * Owns:    its memory, which it frees whenever it becomes empty, so that an idle connection holds
 *          none; but see buffer_pace.
 * Threads: one owner; no lock.
 * Blocks:  never.
 * Limits:  limit_bytes, set by buffer_init; exceeding it is AFAR_ELIMIT. The memory behind it is at
 *          most twice that (or 512 bytes). */
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
    size_t pace_bytes; /* how much to ask for in one receive: buffer_pace */
    bool kept;         /* the memory stays allocated when the buffer becomes empty */
};

void buffer_init(struct buffer *buffer, size_t limit_bytes);
void buffer_close(struct buffer *buffer);

size_t buffer_size(const struct buffer *buffer);

/* The first waiting byte; NULL if the buffer has no memory. Borrowed until the next call that is
 * not const. */
const uint8_t *buffer_head(const struct buffer *buffer);

/* Removes `size` bytes (at most buffer_size) from the head. */
void buffer_consume(struct buffer *buffer, size_t size);

/* Makes room for `size` more bytes. *room points to it (NULL if `size` is 0), borrowed until
 * buffer_commit, which says how many of them were written. AFAR_ELIMIT: the buffer would hold more
 * than limit_bytes. AFAR_ENOMEM. */
enum afar_status buffer_reserve(struct buffer *buffer, size_t size, uint8_t **room,
                                struct afar_error *err);
void buffer_commit(struct buffer *buffer, size_t size);

/* Adds a copy of the data. AFAR_ELIMIT, AFAR_ENOMEM: nothing was added. */
enum afar_status buffer_append(struct buffer *buffer, const void *data, size_t size,
                               struct afar_error *err);

/* Removes the last `size` bytes (at most buffer_size) from the tail. */
void buffer_take_back(struct buffer *buffer, size_t size);

/* Drops all bytes and frees the memory. */
void buffer_clear(struct buffer *buffer);

/* Adapts pace_bytes after a receive of `asked` bytes has returned `got`: doubles it if all came,
 * halves it if few came, between the two limits below; the lower one is the initial value. Does
 * nothing if `asked` is not pace_bytes, because then the room was too small to tell. While much
 * arrives, the memory stays even if the buffer is empty: allocating it again for each piece would
 * cost more than the piece. */
enum { BUFFER_PACE_MIN_BYTES = 65536, BUFFER_PACE_MAX_BYTES = 262144 };
void buffer_pace(struct buffer *buffer, size_t asked, size_t got);

/* The stream has ended: resets pace_bytes, and keeps no memory while empty. */
void buffer_rest(struct buffer *buffer);

#endif
