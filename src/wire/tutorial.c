#include "wire/tutorial.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"
#include "wire/frame.h"
#include "wire/json_check.h"
#include "wire/json_field.h"

void tutorial_upper(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] >= 'a' && data[i] <= 'z')
            data[i] = (uint8_t)(data[i] - 'a' + 'A');
    }
}

/* True if `data` begins with `text`, ignoring case. */
static bool begins(const uint8_t *data, size_t size, const char *text)
{
    size_t length = strlen(text);
    return size >= length && strncasecmp((const char *)data, text, length) == 0;
}

/* True if `data` begins with "HTTP/1.x" at the end of a request line. */
static bool ends_request_line(const uint8_t *data, size_t size)
{
    static const char version[] = "HTTP/1.";
    size_t length = sizeof version - 1;
    return begins(data, size, version) && size > length && data[length] >= '0' &&
           data[length] <= '9' && (size == length + 1 || data[length + 1] == '\r');
}

bool tutorial_looks_like_http(const uint8_t *data, size_t size)
{
    const char *stray = frame_stray_protocol(data, size);
    if (stray != NULL && stray[0] == 'H')
        return true;
    for (size_t i = 0; i < size; i++) {
        if (ends_request_line(data + i, size - i) || begins(data + i, size - i, "\r\nHost:"))
            return true;
    }
    return false;
}

enum afar_status tutorial_put_header(struct buffer *out, enum tutorial_reply kind, uint64_t size,
                                     const char *md5, struct afar_error *err)
{
    if (size > TUTORIAL_SIZE_MAX)
        return afar_fail(err, AFAR_ELIMIT, "%llu bytes of output, this protocol can carry %ld",
                         (unsigned long long)size, (long)TUTORIAL_SIZE_MAX);
    uint8_t frame[FRAME_PREFIX_BYTES + 128];
    if (kind == TUTORIAL_SIZED) {
        frame_put_prefix(frame, (size_t)size);
        return buffer_append(out, frame, FRAME_PREFIX_BYTES, err);
    }
    /* The fields of §11, in its order. */
    int length = snprintf((char *)frame + FRAME_PREFIX_BYTES, sizeof frame - FRAME_PREFIX_BYTES,
                          "{\"filename\": \"a.txt\", \"total_size\": %llu, \"md5\": \"%.32s\"}",
                          (unsigned long long)size, md5);
    frame_put_prefix(frame, (size_t)length);
    return buffer_append(out, frame, FRAME_PREFIX_BYTES + (size_t)length, err);
}

void tutorial_decoder_init(struct tutorial_decoder *decoder, enum tutorial_reply kind)
{
    *decoder = (struct tutorial_decoder){.kind = kind};
    buffer_init(&decoder->header, FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES);
}

void tutorial_decoder_close(struct tutorial_decoder *decoder)
{
    buffer_close(&decoder->header);
}

/* The tutorial reads the length with struct.unpack('i'): signed, and little-endian on its
 * machine. */
static enum afar_status get_length(const uint8_t *data, uint64_t *length, struct afar_error *err)
{
    uint32_t value = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
                     (uint32_t)data[3] << 24;
    if (value > TUTORIAL_SIZE_MAX)
        return afar_fail(err, AFAR_EPEER, "the server announces a negative size (%ld)",
                         (long)(int32_t)value);
    *length = value;
    return AFAR_OK;
}

static enum afar_status read_json(struct tutorial_decoder *decoder, const uint8_t *text,
                                  size_t size, struct afar_error *err)
{
    cJSON *object = NULL;
    enum afar_status status = json_parse_object(&object, text, size, err);
    if (status != AFAR_OK)
        return status;
    status = json_get_integer(object, "total_size", true, &decoder->total, err);
    const cJSON *md5 = cJSON_GetObjectItemCaseSensitive(object, "md5");
    /* Any text is accepted: the tutorial's own server sends 'xxxxxx'. */
    if (status == AFAR_OK && cJSON_IsString(md5))
        utf8_copy(decoder->md5, sizeof decoder->md5, md5->valuestring);
    cJSON_Delete(object);
    return status;
}

/* How many bytes of length and header are needed to get further. */
static enum afar_status header_target(const struct tutorial_decoder *decoder, size_t *target,
                                      struct afar_error *err)
{
    *target = FRAME_PREFIX_BYTES;
    if (decoder->kind == TUTORIAL_SIZED || buffer_size(&decoder->header) < FRAME_PREFIX_BYTES)
        return AFAR_OK;
    uint64_t length = 0;
    enum afar_status status = get_length(buffer_head(&decoder->header), &length, err);
    if (status != AFAR_OK)
        return status;
    if (length < FRAME_HEADER_MIN_BYTES || length > FRAME_HEADER_MAX_BYTES) {
        /* Only `headed` can detect this: §9 has no limit, so there the start of a TLS record is a
         * valid size, such as 66,326. The length is only the first four bytes of "HTTP/". */
        const uint8_t *start = buffer_head(&decoder->header);
        const char *stray = frame_stray_protocol(start, FRAME_PREFIX_BYTES);
        if (memcmp(start, "HTTP", FRAME_PREFIX_BYTES) == 0)
            stray = "HTTP";
        if (stray != NULL)
            return afar_fail(err, AFAR_EPEER, "the server speaks %s, not the tutorial's protocol",
                             stray);
        return afar_fail(err, AFAR_EPEER, "the reply's header has %llu bytes, %d to %d are allowed",
                         (unsigned long long)length, FRAME_HEADER_MIN_BYTES,
                         FRAME_HEADER_MAX_BYTES);
    }
    *target += (size_t)length;
    return AFAR_OK;
}

static enum afar_status take_header(struct tutorial_decoder *decoder, const uint8_t *data,
                                    size_t size, size_t *used, struct afar_error *err)
{
    *used = 0;
    for (;;) {
        size_t target = 0;
        enum afar_status status = header_target(decoder, &target, err);
        if (status != AFAR_OK)
            return status;
        size_t have = buffer_size(&decoder->header);
        if (have == target)
            break;
        size_t piece = target - have < size - *used ? target - have : size - *used;
        if (piece == 0)
            return AFAR_EAGAIN;
        status = buffer_append(&decoder->header, data + *used, piece, err);
        if (status != AFAR_OK)
            return status;
        *used += piece;
    }
    const uint8_t *header = buffer_head(&decoder->header);
    enum afar_status status =
        decoder->kind == TUTORIAL_SIZED
            ? get_length(header, &decoder->total, err)
            : read_json(decoder, header + FRAME_PREFIX_BYTES,
                        buffer_size(&decoder->header) - FRAME_PREFIX_BYTES, err);
    if (status == AFAR_OK) {
        decoder->have_header = true;
        buffer_clear(&decoder->header);
    }
    return status;
}

enum afar_status tutorial_decoder_take(struct tutorial_decoder *decoder, const uint8_t *data,
                                       size_t size, size_t *used, const uint8_t **body,
                                       size_t *body_size, struct afar_error *err)
{
    *used = 0;
    *body = NULL;
    *body_size = 0;
    if (!decoder->have_header) {
        enum afar_status status = take_header(decoder, data, size, used, err);
        if (status != AFAR_OK)
            return status;
    }
    uint64_t left = decoder->total - decoder->taken;
    size_t there = size - *used;
    *body_size = left < there ? (size_t)left : there;
    if (*body_size > 0)
        *body = data + *used;
    *used += *body_size;
    decoder->taken += *body_size;
    return decoder->taken == decoder->total ? AFAR_OK : AFAR_EAGAIN;
}
