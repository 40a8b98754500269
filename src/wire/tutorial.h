/* The tutorial's protocols: `upper` (§7, 8, 12), `sized` (§9) and `headed` (§11).
 *
 * Owns:    a reply decoder owns the header it is collecting.
 * Threads: one owner; no lock.
 * Blocks:  never; no system call in this layer.
 * Limits:  TUTORIAL_SIZE_MAX bytes of output for both when writing; when reading, headed takes what
 *          its JSON says, to 2^53-1, after a header of 64 KiB at most. */
#ifndef WIRE_TUTORIAL_H
#define WIRE_TUTORIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define TUTORIAL_SIZE_MAX INT32_MAX /* §9: struct.pack('i') */

enum { TUTORIAL_MD5_BYTES = 33 };

enum tutorial_reply { TUTORIAL_SIZED, TUTORIAL_HEADED };

/* What Python's bytes.upper() does: ASCII letters, all other bytes unchanged. */
void tutorial_upper(uint8_t *data, size_t size);

/* True where a shell line holds what only an HTTP request has, wherever it was cut: a web page can
 * make a browser post a command to loopback. That is a method at its beginning, or "HTTP/1." and a
 * digit at the end of a line with a carriage return, or of all that has come, or a line "Host:". */
bool tutorial_looks_like_http(const uint8_t *data, size_t size);

/* Adds the header of a reply of `size` bytes. `md5` in hex, for headed. AFAR_ELIMIT: `size` exceeds
 * TUTORIAL_SIZE_MAX, or the buffer is full. AFAR_ENOMEM. */
enum afar_status tutorial_put_header(struct buffer *out, enum tutorial_reply kind, uint64_t size,
                                     const char *md5, struct afar_error *err);

/* Reads a reply, however it is cut. */
struct tutorial_decoder {
    enum tutorial_reply kind;
    struct buffer header; /* what has come of the length and the header */
    bool have_header;
    uint64_t total;
    uint64_t taken;
    char md5[TUTORIAL_MD5_BYTES]; /* headed: as said by the server, which may be anything; "" if
                                     none */
};

void tutorial_decoder_init(struct tutorial_decoder *decoder, enum tutorial_reply kind);
void tutorial_decoder_close(struct tutorial_decoder *decoder);

/* Takes bytes. *used of them were taken; of those, the last *body_size starting at *body (inside
 * `data`; NULL where there are none) are output. Never takes bytes of the next reply.
 * AFAR_OK: the reply is complete. AFAR_EAGAIN: there is more to come. AFAR_EPEER: not such a reply.
 */
enum afar_status tutorial_decoder_take(struct tutorial_decoder *decoder, const uint8_t *data,
                                       size_t size, size_t *used, const uint8_t **body,
                                       size_t *body_size, struct afar_error *err);

#endif
