#include "wire/frame.h"

#include <stdlib.h>
#include <string.h>

void decoder_init(struct decoder *decoder)
{
    decoder->waiting = NULL;
    decoder->header_bytes = 0;
    decoder->payload_over = false;
    decoder->header_max_bytes = FRAME_HEADER_MAX_BYTES;
    decoder->payload_max_bytes = FRAME_PAYLOAD_MAX_BYTES;
    decoder->wants = NULL;
    decoder->user = NULL;
    decoder->unwanted = 0;
}

void decoder_ask(struct decoder *decoder, bool (*wants)(void *user, const struct message *message),
                 void *user)
{
    decoder->wants = wants;
    decoder->user = user;
}

size_t decoder_skip(struct decoder *decoder, size_t size)
{
    size_t skipped = size < decoder->unwanted ? size : decoder->unwanted;
    decoder->unwanted -= skipped;
    return skipped;
}

void decoder_limit(struct decoder *decoder, size_t header_max_bytes, size_t payload_max_bytes)
{
    decoder->header_max_bytes = header_max_bytes;
    decoder->payload_max_bytes = payload_max_bytes;
}

void decoder_close(struct decoder *decoder)
{
    if (decoder->waiting != NULL)
        message_close(decoder->waiting);
    free(decoder->waiting);
    decoder->waiting = NULL;
}

void frame_put_prefix(uint8_t prefix[FRAME_PREFIX_BYTES], size_t header_bytes)
{
    prefix[0] = (uint8_t)(header_bytes & 0xFF);
    prefix[1] = (uint8_t)(header_bytes >> 8 & 0xFF);
    prefix[2] = (uint8_t)(header_bytes >> 16 & 0xFF);
    prefix[3] = (uint8_t)(header_bytes >> 24 & 0xFF);
}

static uint32_t get_prefix(const uint8_t *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
           (uint32_t)data[3] << 24;
}

static enum afar_status bad_length(const uint8_t *data, size_t size, struct afar_error *err)
{
    const char *stray = frame_stray_protocol(data, size);
    if (stray != NULL)
        return afar_fail(err, AFAR_EPEER, "the peer speaks %s, not Afar's protocol", stray);
    return afar_fail(err, AFAR_EPEER, "frame header of %lu bytes, %d to %d are allowed",
                     (unsigned long)get_prefix(data), FRAME_HEADER_MIN_BYTES,
                     FRAME_HEADER_MAX_BYTES);
}

static enum afar_status take_header(struct decoder *decoder, const uint8_t *data, size_t size,
                                    struct message *message, size_t *used, struct afar_error *err)
{
    *used = FRAME_PREFIX_BYTES;
    if (size < FRAME_PREFIX_BYTES)
        return AFAR_EAGAIN;
    uint32_t header_bytes = get_prefix(data);
    if (header_bytes < FRAME_HEADER_MIN_BYTES || header_bytes > FRAME_HEADER_MAX_BYTES)
        return bad_length(data, size, err);
    if (header_bytes > decoder->header_max_bytes)
        return afar_fail(err, AFAR_ELIMIT, "a frame header of %lu bytes, %zu are allowed here",
                         (unsigned long)header_bytes, decoder->header_max_bytes);

    *used = FRAME_PREFIX_BYTES + (size_t)header_bytes;
    if (size < *used)
        return AFAR_EAGAIN;
    enum afar_status status = message_decode(message, data + FRAME_PREFIX_BYTES, header_bytes, err);
    if (status != AFAR_OK)
        return status;
    if (message->size > decoder->payload_max_bytes) {
        size_t payload = message->size;
        message_close(message);
        decoder->payload_over = true;
        return afar_fail(err, AFAR_ELIMIT, "a payload of %zu bytes, %zu are allowed here", payload,
                         decoder->payload_max_bytes);
    }
    decoder->header_bytes = *used;
    return AFAR_OK;
}

/* Keeps the message until its payload has arrived. Takes ownership, also on failure. */
static enum afar_status keep(struct decoder *decoder, struct message *message,
                             struct afar_error *err)
{
    decoder->waiting = malloc(sizeof *decoder->waiting);
    if (decoder->waiting == NULL) {
        message_close(message);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a message");
    }
    *decoder->waiting = *message;
    return AFAR_EAGAIN;
}

enum afar_status decoder_next(struct decoder *decoder, const uint8_t *data, size_t size,
                              struct message *message, const uint8_t **payload, size_t *used,
                              struct afar_error *err)
{
    if (decoder->waiting != NULL) {
        *used = decoder->header_bytes + decoder->waiting->size;
        if (size < *used)
            return AFAR_EAGAIN;
        *message = *decoder->waiting;
        free(decoder->waiting);
        decoder->waiting = NULL;
    } else {
        enum afar_status status = take_header(decoder, data, size, message, used, err);
        if (status != AFAR_OK)
            return status;
        *used = decoder->header_bytes + message->size;
        if (size < *used && decoder->wants != NULL && !decoder->wants(decoder->user, message)) {
            decoder->unwanted = *used - size;
            *used = size;
            *payload = NULL;
            return AFAR_OK;
        }
        if (size < *used)
            return keep(decoder, message, err);
    }
    *payload = data + decoder->header_bytes;
    return AFAR_OK;
}

const char *frame_stray_protocol(const uint8_t *data, size_t size)
{
    /* RFC 8446 §5.1: handshake (22) or alert (21), then the record version 3.x. */
    if (size >= 3 && (data[0] == 0x16 || data[0] == 0x15) && data[1] == 0x03 && data[2] <= 4)
        return "TLS";

    /* RFC 9110 §9.3, RFC 5789, and HTTP/2's preface. The space matters: GETTY is not a request. */
    static const char *const methods[] = {"GET ",     "HEAD ",    "POST ",  "PUT ",   "DELETE ",
                                          "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ", "PRI "};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        size_t length = strlen(methods[i]);
        if (size >= length && memcmp(data, methods[i], length) == 0)
            return "HTTP";
    }
    /* The response of an HTTP server. */
    if (size >= 5 && memcmp(data, "HTTP/", 5) == 0)
        return "HTTP";
    return NULL;
}
