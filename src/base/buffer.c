#include "base/buffer.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST_BYTES = 512 };

void buffer_init(struct buffer *buffer, size_t limit_bytes)
{
    *buffer = (struct buffer){.limit_bytes = limit_bytes, .pace_bytes = BUFFER_PACE_MIN_BYTES};
}

void buffer_close(struct buffer *buffer)
{
    buffer_clear(buffer);
}

void buffer_clear(struct buffer *buffer)
{
    free(buffer->data);
    buffer->data = NULL;
    buffer->start = buffer->end = buffer->capacity = 0;
}

size_t buffer_size(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

const uint8_t *buffer_head(const struct buffer *buffer)
{
    /* An empty buffer has no memory, and NULL + 0 is undefined in C11. */
    return buffer->data == NULL ? NULL : buffer->data + buffer->start;
}

/* The buffer has become empty. */
static void emptied(struct buffer *buffer)
{
    buffer->start = buffer->end = 0;
    if (!buffer->kept)
        buffer_clear(buffer);
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    assert(size <= buffer_size(buffer));
    buffer->start += size;
    if (buffer->start == buffer->end)
        emptied(buffer);
}

void buffer_take_back(struct buffer *buffer, size_t size)
{
    assert(size <= buffer_size(buffer));
    buffer->end -= size;
    if (buffer->start == buffer->end)
        emptied(buffer);
}

static void keep(struct buffer *buffer, bool kept)
{
    buffer->kept = kept;
    if (buffer->start == buffer->end)
        emptied(buffer);
}

void buffer_pace(struct buffer *buffer, size_t asked, size_t got)
{
    const bool little = got < BUFFER_PACE_MIN_BYTES / 2;
    if (asked != buffer->pace_bytes)
        return;
    if (got >= asked && asked < BUFFER_PACE_MAX_BYTES)
        buffer->pace_bytes *= 2;
    else if (little && asked > BUFFER_PACE_MIN_BYTES)
        buffer->pace_bytes /= 2;
    keep(buffer, buffer->pace_bytes > BUFFER_PACE_MIN_BYTES && !little);
}

void buffer_rest(struct buffer *buffer)
{
    buffer->pace_bytes = BUFFER_PACE_MIN_BYTES;
    keep(buffer, false);
}

/* Doubles the block at least once, until it holds `needed` bytes (which must be within the limit),
 * but not beyond twice the limit. False: out of memory. */
static bool grow(struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < SMALLEST_BYTES ? SMALLEST_BYTES : buffer->capacity * 2;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    if (capacity / 2 > buffer->limit_bytes)
        capacity = buffer->limit_bytes * 2;
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

enum afar_status buffer_reserve(struct buffer *buffer, size_t size, uint8_t **room,
                                struct afar_error *err)
{
    size_t used = buffer_size(buffer);
    if (size > buffer->limit_bytes || used > buffer->limit_bytes - size)
        return afar_fail(err, AFAR_ELIMIT, "more than %zu bytes waiting", buffer->limit_bytes);

    *room = NULL;
    if (size == 0)
        return AFAR_OK; /* data may be NULL, and NULL + 0 is undefined in C11 */

    if (buffer->data == NULL || buffer->capacity - buffer->end < size) {
        /* If more bytes wait than have been taken, moving them for every few bytes would take
         * quadratic time: a larger block makes moves rare. Twice the limit is always enough. */
        bool crowded = buffer->start < used && buffer->capacity / 2 < buffer->limit_bytes;
        bool larger = buffer->data == NULL || buffer->capacity < used + size || crowded;
        if (larger && !grow(buffer, used + size))
            return afar_fail(err, AFAR_ENOMEM, "out of memory for a buffer of %zu bytes",
                             used + size);
        if (buffer->start > 0) {
            memmove(buffer->data, buffer->data + buffer->start, used);
            buffer->start = 0;
            buffer->end = used;
        }
    }
    *room = buffer->data + buffer->end;
    return AFAR_OK;
}

void buffer_commit(struct buffer *buffer, size_t size)
{
    assert(size <= buffer->capacity - buffer->end);
    buffer->end += size;
    if (buffer->start == buffer->end)
        emptied(buffer);
}

enum afar_status buffer_append(struct buffer *buffer, const void *data, size_t size,
                               struct afar_error *err)
{
    if (size == 0)
        return AFAR_OK;
    uint8_t *room = NULL;
    enum afar_status status = buffer_reserve(buffer, size, &room, err);
    if (status != AFAR_OK || room == NULL)
        return status;
    memcpy(room, data, size);
    buffer_commit(buffer, size);
    return AFAR_OK;
}
