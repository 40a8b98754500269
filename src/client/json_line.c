#include "client/json_line.h"

#include <stdbool.h>
#include <string.h>

#include "base/base64.h"
#include "base/utf8.h"

/* Length of what JSON allows in place of the byte in a string, at most 6. */
static size_t escape(uint8_t byte, char out[7])
{
    static const char hex[] = "0123456789abcdef";
    const char *shorthand = "\"\"\\\\\nn\rr\tt"; /* pairs: the byte, and what follows a backslash */
    for (const char *at = shorthand; *at != '\0'; at += 2) {
        if (byte == (uint8_t)at[0]) {
            out[0] = '\\';
            out[1] = at[1];
            return 2;
        }
    }
    if (byte >= 0x20 && byte != 0x7F) {
        out[0] = (char)byte;
        return 1;
    }
    memcpy(out, "\\u00", 4);
    out[4] = hex[byte >> 4];
    out[5] = hex[byte & 15];
    return 6;
}

static enum afar_status append_escaped(struct buffer *line, const uint8_t *data, size_t size,
                                       struct afar_error *err)
{
    char out[7];
    size_t total = 0;
    for (size_t i = 0; i < size; i++)
        total += escape(data[i], out);

    uint8_t *room = NULL;
    enum afar_status status = buffer_reserve(line, total, &room, err);
    if (status != AFAR_OK)
        return status;
    for (size_t i = 0; i < size; i++) {
        size_t length = escape(data[i], out);
        memcpy(room, out, length);
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

/* A line break can stand in the header only between its tokens, where a space means the same. */
static enum afar_status append_header(struct buffer *line, const uint8_t *header, size_t size,
                                      struct afar_error *err)
{
    uint8_t *room = NULL;
    enum afar_status status = buffer_reserve(line, size, &room, err);
    if (status != AFAR_OK)
        return status;
    for (size_t i = 0; i < size; i++)
        room[i] = is_space(header[i]) ? ' ' : header[i];
    buffer_commit(line, size);
    return AFAR_OK;
}

static enum afar_status append_payload(struct buffer *line, const uint8_t *payload, size_t size,
                                       struct afar_error *err)
{
    bool text = utf8_valid(payload, size);
    const char *key = text ? ",\"data\":\"" : ",\"data_base64\":\"";
    enum afar_status status = buffer_append(line, key, strlen(key), err);
    if (status == AFAR_OK)
        status = text ? append_escaped(line, payload, size, err)
                      : append_base64(line, payload, size, err);
    if (status == AFAR_OK)
        status = buffer_append(line, "\"", 1, err);
    return status;
}

enum afar_status json_line_render(struct buffer *line, const uint8_t *header, size_t header_size,
                                  const uint8_t *payload, size_t size, struct afar_error *err)
{
    /* To before the closing brace, which ends the header but for white space. */
    while (header_size > 0 && header[header_size - 1] != '}')
        header_size--;
    if (header_size > 0)
        header_size--;
    while (header_size > 0 && is_space(header[header_size - 1]))
        header_size--;

    buffer_clear(line);
    enum afar_status status = append_header(line, header, header_size, err);
    if (status == AFAR_OK && size > 0)
        status = append_payload(line, payload, size, err);
    if (status == AFAR_OK)
        status = buffer_append(line, "}", sizeof "}", err);
    return status;
}
