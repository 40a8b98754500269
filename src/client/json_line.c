#include "client/json_line.h"

#include <stdbool.h>
#include <string.h>

#include "base/base64.h"
#include "base/escape.h"
#include "base/utf8.h"

static enum afar_status append_escaped(struct buffer *line, const uint8_t *data, size_t size,
                                       enum escape how, struct afar_error *err)
{
    char piece[ESCAPE_BYTES];
    size_t taken = 0;
    size_t total = 0;
    for (size_t at = 0; at < size; at += taken)
        total += escape_one(data + at, size - at, how, piece, &taken);

    uint8_t *room = NULL;
    enum afar_status status = buffer_reserve(line, total, &room, err);
    if (status != AFAR_OK)
        return status;
    for (size_t at = 0; at < size; at += taken) {
        size_t length = escape_one(data + at, size - at, how, piece, &taken);
        memcpy(room, piece, length);
        room += length;
    }
    buffer_commit(line, total);
    return AFAR_OK;
}

static enum afar_status append_base64(struct buffer *line, const uint8_t *data, size_t size,
                                      struct afar_error *err)
{
    uint8_t *room = NULL;
    size_t length = base64_length(size);
    enum afar_status status = buffer_reserve(line, length + 1, &room, err);
    if (status != AFAR_OK)
        return status;
    base64_encode((char *)room, data, size);
    buffer_commit(line, length);
    return AFAR_OK;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static enum afar_status append_payload(struct buffer *line, const uint8_t *payload, size_t size,
                                       struct afar_error *err)
{
    bool text = utf8_valid(payload, size);
    const char *key = text ? ",\"data\":\"" : ",\"data_base64\":\"";
    enum afar_status status = buffer_append(line, key, strlen(key), err);
    if (status == AFAR_OK)
        status = text ? append_escaped(line, payload, size, ESCAPE_STRING, err)
                      : append_base64(line, payload, size, err);
    if (status == AFAR_OK)
        status = buffer_append(line, "\"", 1, err);
    return status;
}

enum afar_status json_line_render(struct buffer *line, const uint8_t *header, size_t header_size,
                                  const uint8_t *payload, size_t size, struct afar_error *err)
{
    /* Cut the closing brace; only white space can follow it. */
    while (header_size > 0 && header[header_size - 1] != '}')
        header_size--;
    if (header_size > 0)
        header_size--;
    while (header_size > 0 && is_space(header[header_size - 1]))
        header_size--;

    buffer_clear(line);
    enum afar_status status = append_escaped(line, header, header_size, ESCAPE_JSON, err);
    if (status == AFAR_OK && size > 0)
        status = append_payload(line, payload, size, err);
    if (status == AFAR_OK)
        status = buffer_append(line, "}", sizeof "}", err);
    return status;
}
