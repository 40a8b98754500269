/* The tutorial's protocols: `upper` (§7, 8, 12), `sized` (§9) and `headed` (§11).
 *
 * Owns:    a reply decoder owns the header that it is collecting.
 * Threads: one owner; no lock.
 * Blocks:  never; no system call in this layer.
 * Limits:  writing: TUTORIAL_SIZE_MAX bytes of output. Reading: `headed` accepts the size in its
 *          JSON, up to 2^53-1, after a header of at most 64 KiB. */
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

/* True if a shell line contains what only an HTTP request has, even if it was cut: a web page can
 * make a browser send a command to loopback. That is a method at its beginning, or "HTTP/1." and a
 * digit before a carriage return or the end of the data, or a line that starts with "Host:". */
bool tutorial_looks_like_http(const uint8_t *data, size_t size);

/* Appends the header of a reply of `size` bytes. `md5` (hex) is used for `headed` only.
 * AFAR_ELIMIT: `size` exceeds TUTORIAL_SIZE_MAX, or the buffer is full. AFAR_ENOMEM. */
enum afar_status tutorial_put_header(struct buffer *out, enum tutorial_reply kind, uint64_t size,
                                     const char *md5, struct afar_error *err);

/* Reads a reply from pieces of any size. */
struct tutorial_decoder {
    enum tutorial_reply kind;
    struct buffer header; /* the part of length and header received so far */
    bool have_header;
    uint64_t total;
    uint64_t taken;
    char md5[TUTORIAL_MD5_BYTES]; /* headed: any text that the server sent, cut; "": none */
};

void tutorial_decoder_init(struct tutorial_decoder *decoder, enum tutorial_reply kind);
void tutorial_decoder_close(struct tutorial_decoder *decoder);

/* Consumes *used of the `size` bytes. Of these, the last *body_size, which start at *body inside
 * `data` (NULL if 0), are output. Never consumes bytes of the next reply. AFAR_OK: the reply is
 * complete. AFAR_EAGAIN: more is to come. AFAR_EPEER: the bytes are not such a reply.
 * AFAR_ENOMEM. */
enum afar_status tutorial_decoder_take(struct tutorial_decoder *decoder, const uint8_t *data,
                                       size_t size, size_t *used, const uint8_t **body,
                                       size_t *body_size, struct afar_error *err);

#endif
