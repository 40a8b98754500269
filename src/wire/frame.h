/* Frames of the native protocol: a 4-byte little-endian length, a JSON header of that length, then
 * as many payload bytes as the header's "size" says (PROTOCOL.md; the tutorial's §11 framing).
 *
 * Owns:    a decoder owns the message whose payload it still waits for.
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
    FRAME_HEADER_MAX_BYTES = 65536, /* also rejects a stray HTTP request or TLS hello at once */
    FRAME_PAYLOAD_MAX_BYTES = 1 << 20
};

struct decoder {
    size_t header_max_bytes;
    size_t payload_max_bytes;
    bool payload_over; /* after AFAR_ELIMIT: it was the payload, not the header */
    /* Its header has been read, its payload has not come yet; NULL: none is waiting. By pointer: a
     * message is large, and an idle connection holds a decoder. */
    struct message *waiting;
    size_t header_bytes; /* prefix and header of that message */
    /* decoder_ask; NULL: every payload is wanted. */
    bool (*wants)(void *user, const struct message *message);
    void *user;
    size_t unwanted; /* bytes of an unwanted payload that are still to come */
};

void decoder_init(struct decoder *decoder);

/* Accepts less than the protocol allows, in both sizes at most that. */
void decoder_limit(struct decoder *decoder, size_t header_max_bytes, size_t payload_max_bytes);
void decoder_close(struct decoder *decoder);

/* From now on asks whether a payload that has not come as a whole is wanted. One that is not needs
 * no memory: its message is given out at once, without it (*payload is NULL although its size is
 * not 0), and what comes of it is to be taken off by decoder_skip. */
void decoder_ask(struct decoder *decoder, bool (*wants)(void *user, const struct message *message),
                 void *user);

/* How many of the next `size` bytes belong to an unwanted payload: these are to be consumed before
 * decoder_next is called again. */
size_t decoder_skip(struct decoder *decoder, size_t size);

/* Looks for one frame at the start of `data`.
 * AFAR_OK: *message is the caller's (message_close), *payload points to its message->size bytes
 * inside `data`, and *used bytes are to be consumed. A message of type MESSAGE_BAD had sound
 * framing but unacceptable content: answer its `problem` and go on. AFAR_EAGAIN: the frame is not
 * complete; *used is how many bytes it takes to get further. Call again with the same start and
 * more bytes. AFAR_EPEER: the framing cannot be trusted any more; answer and close. AFAR_ELIMIT:
 * larger than decoder_limit allows; likewise. AFAR_ENOMEM. */
enum afar_status decoder_next(struct decoder *decoder, const uint8_t *data, size_t size,
                              struct message *message, const uint8_t **payload, size_t *used,
                              struct afar_error *err);

/* Writes the length prefix. */
void frame_put_prefix(uint8_t prefix[FRAME_PREFIX_BYTES], size_t header_bytes);

/* "TLS" or "HTTP" where `data` is how a message of that protocol begins, NULL otherwise: for an
 * error that says what went wrong, and because a web page can make a browser post to loopback. 8
 * bytes tell every HTTP method from a command; fewer may not. */
const char *frame_stray_protocol(const uint8_t *data, size_t size);

#endif
