#include "wire/put.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"
#include "wire/frame.h"
#include "wire/json_field.h"

enum afar_status put_frame(struct buffer *out, const char *header, size_t header_bytes,
                           const void *payload, size_t size, struct afar_error *err)
{
    if (header_bytes > FRAME_HEADER_MAX_BYTES)
        return afar_fail(err, AFAR_ELIMIT, "a frame header of %zu bytes, %d at most are allowed",
                         header_bytes, FRAME_HEADER_MAX_BYTES);
    if (size > FRAME_PAYLOAD_MAX_BYTES)
        return afar_fail(err, AFAR_ELIMIT, "a payload of %zu bytes, %d at most are allowed", size,
                         FRAME_PAYLOAD_MAX_BYTES);
    uint8_t *room = NULL;
    enum afar_status status =
        buffer_reserve(out, FRAME_PREFIX_BYTES + header_bytes + size, &room, err);
    if (status != AFAR_OK)
        return status;
    frame_put_prefix(room, header_bytes);
    memcpy(room + FRAME_PREFIX_BYTES, header, header_bytes);
    if (size > 0)
        memcpy(room + FRAME_PREFIX_BYTES + header_bytes, payload, size);
    buffer_commit(out, FRAME_PREFIX_BYTES + header_bytes + size);
    return AFAR_OK;
}

enum afar_status put_plain(struct buffer *out, const void *payload, size_t size,
                           struct afar_error *err, const char *format, ...)
{
    char header[PUT_PLAIN_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(header, sizeof header, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof header)
        return afar_fail(err, AFAR_EBUG, "a plain header of %d bytes", length);
    return put_frame(out, header, (size_t)length, payload, size, err);
}

enum afar_status put_out_of_memory(struct afar_error *err)
{
    return afar_fail(err, AFAR_ENOMEM, "out of memory for a frame");
}

/* cJSON copies any byte, but the peer would close the connection because of it. */
enum afar_status put_not_utf8(struct afar_error *err)
{
    return afar_fail(err, AFAR_EINVAL, "a name in the request is not UTF-8");
}

enum afar_status put_object(struct buffer *out, struct cJSON *object, bool ok, const void *payload,
                            size_t size, struct afar_error *err)
{
    char *header = ok ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    if (header == NULL)
        return put_out_of_memory(err);
    enum afar_status status = utf8_valid(header, strlen(header))
                                  ? put_frame(out, header, strlen(header), payload, size, err)
                                  : put_not_utf8(err);
    cJSON_free(header);
    return status;
}

struct cJSON *put_new_object(const char *type, bool has_id, uint64_t id)
{
    cJSON *object = cJSON_CreateObject();
    if (object == NULL || cJSON_AddStringToObject(object, "type", type) == NULL ||
        (has_id && !json_add_integer(object, "id", id))) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}
