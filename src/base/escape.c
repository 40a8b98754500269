#include "base/escape.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* The code point of a sequence of up to three bytes: callers test only for code points below
 * U+FFFF. */
static unsigned code_point(const uint8_t *data, size_t length)
{
    if (length == 2)
        return (data[0] & 0x1FU) << 6 | (data[1] & 0x3FU);
    if (length == 3)
        return (data[0] & 0x0FU) << 12 | (data[1] & 0x3FU) << 6 | (data[2] & 0x3FU);
    return data[0];
}

/* Unicode's direction marks, embeddings, overrides and isolates (UAX #9), and the two line
 * separators that are not control characters. */
static bool is_direction(unsigned point)
{
    return point == 0x061C || point == 0x200E || point == 0x200F ||
           (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}

/* The letter of JSON's short escape for the byte; 0 if it has none. */
static char letter_of(uint8_t byte, enum escape how)
{
    static const char pairs[] = "\nn\rr\tt";
    if (how == ESCAPE_STRING && (byte == '"' || byte == '\\'))
        return (char)byte;
    for (const char *at = pairs; *at != '\0'; at += 2) {
        if (byte == (uint8_t)at[0])
            return at[1];
    }
    return '\0';
}

static size_t copy(char out[ESCAPE_BYTES], const void *data, size_t length)
{
    memcpy(out, data, length);
    return length;
}

size_t escape_one(const uint8_t *data, size_t size, enum escape how, char out[ESCAPE_BYTES],
                  size_t *taken)
{
    *taken = 1;
    if (data[0] >= ' ' && data[0] < 0x7F && data[0] != '"' && data[0] != '\\')
        return copy(out, data, 1);
    size_t length = utf8_sequence(data, size);
    if (length == 0)
        return how == ESCAPE_TERMINAL ? (size_t)snprintf(out, ESCAPE_BYTES, "\\x%02x", data[0])
                                      : copy(out, "\\ufffd", 6);
    *taken = length;
    unsigned point = code_point(data, length);
    /* White space between the tokens of JSON: a space means the same. */
    if (how == ESCAPE_JSON && length == 1 && letter_of(data[0], how) != '\0')
        return copy(out, " ", 1);
    if (length == 1 && letter_of(data[0], how) != '\0') {
        out[0] = '\\';
        out[1] = letter_of(data[0], how);
        return 2;
    }
    if (utf8_control(data, length) || (length < 4 && is_direction(point)))
        return (size_t)snprintf(out, ESCAPE_BYTES, "\\u%04x", point & 0xFFFF);
    return copy(out, data, length);
}

void escape_text(char *out, size_t size, const char *text, enum escape how)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);
    size_t used = 0;
    while (left > 0) {
        char piece[ESCAPE_BYTES];
        size_t taken = 0;
        size_t length = escape_one(at, left, how, piece, &taken);
        if (length >= size - used)
            break;
        memcpy(out + used, piece, length);
        used += length;
        at += taken;
        left -= taken;
    }
    out[used] = '\0';
}
