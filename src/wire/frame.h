/* Frames of the native protocol: a 4-byte little-endian length, a JSON header of that length, then
 * as many payload bytes as the header's "size" says (PROTOCOL.md; the tutorial's §11 framing).
 *
 * Owns:    a decoder owns the message whose payload it waits for.
 * Threads: one owner; no lock.
 * Blocks:  never; no system call in this layer.
 * Limits:  the constants below. */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wire/message.h"

enum {
    FRAME_PREFIX_BYTES = 4,
    FRAME_HEADER_MIN_BYTES = 2,     /* {} */
    FRAME_HEADER_MAX_BYTES = 65536, /* also rejects a stray HTTP request or TLS hello immediately */
    FRAME_PAYLOAD_MAX_BYTES = 1 << 20
};

struct decoder {
    size_t header_max_bytes;
    size_t payload_max_bytes;
    bool payload_over; /* after AFAR_ELIMIT: the payload was too large, not the header */
    /* The message whose header has been read and whose payload has not arrived yet; NULL: none. A
     * pointer, because a message is large and every idle connection holds a decoder. */
    struct message *waiting;
    size_t header_bytes; /* size of the prefix and header of `waiting` */
    /* See decoder_ask; NULL: every payload is wanted. */
    bool (*wants)(void *user, const struct message *message);
    void *user;
    size_t unwanted; /* bytes of an unwanted payload that have not arrived yet */
};

void decoder_init(struct decoder *decoder);

/* Lowers both limits below those of the protocol. Neither may be raised above them. */
void decoder_limit(struct decoder *decoder, size_t header_max_bytes, size_t payload_max_bytes);
void decoder_close(struct decoder *decoder);

/* Sets a function that says whether a payload is wanted that has not arrived completely. An
 * unwanted payload takes no memory: decoder_next returns its message immediately, with *payload
 * NULL although message->size is not 0, and the caller removes the payload's bytes with
 * decoder_skip as they arrive. */
void decoder_ask(struct decoder *decoder, bool (*wants)(void *user, const struct message *message),
                 void *user);

/* Returns how many of the next `size` bytes belong to an unwanted payload. The caller must consume
 * them before it calls decoder_next again. */
size_t decoder_skip(struct decoder *decoder, size_t size);

/* Reads one frame from the start of `data`.
 *
 * AFAR_OK: the caller owns *message (message_close); *payload points to its message->size bytes
 * inside `data` (NULL: unwanted, see decoder_ask); the caller consumes *used bytes. If the type is
 * MESSAGE_BAD the framing was sound but the content is not acceptable: answer with message->problem
 * and go on. AFAR_EAGAIN: the frame is incomplete; *used bytes are needed to get further. Call
 * again with the same start and more bytes. AFAR_EPEER: the framing cannot be trusted any more;
 * answer and close. AFAR_ELIMIT: the frame is larger than decoder_limit allows; answer and close.
 * AFAR_ENOMEM. */
enum afar_status decoder_next(struct decoder *decoder, const uint8_t *data, size_t size,
                              struct message *message, const uint8_t **payload, size_t *used,
                              struct afar_error *err);

/* Writes the length prefix. */
void frame_put_prefix(uint8_t prefix[FRAME_PREFIX_BYTES], size_t header_bytes);

/* Returns "TLS" or "HTTP" if `data` begins like a message of that protocol, otherwise NULL. For
 * error messages that say what went wrong, and because a web page can make a browser send a POST to
 * loopback. 8 bytes are enough to tell every HTTP method from a command; fewer may not be. */
const char *frame_stray_protocol(const uint8_t *data, size_t size);

#endif
