#include "base/escape.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static unsigned code_point(const uint8_t *data, size_t length)
{
    unsigned point = length == 1   ? data[0]
                     : length == 2 ? data[0] & 0x1FU
                     : length == 3 ? data[0] & 0x0FU
                                   : data[0] & 0x07U;
    for (size_t i = 1; i < length; i++)
        point = point << 6 | (data[i] & 0x3FU);
    return point;
}

/* Characters that cannot be seen, or that change how others are shown, and are not control
 * characters: two names that differ only in them look the same. Among them are the direction marks
 * of UAX #9, the two separators of lines, joiners, fillers, and tags. (Variation selectors are not
 * among them: emoji have them, and a terminal shows what they select.) */
static bool is_invisible(unsigned point)
{
    static const struct {
        unsigned first;
        unsigned last;
    } ranges[] = {
        {0x00AD, 0x00AD}, {0x034F, 0x034F},   {0x061C, 0x061C},   {0x115F, 0x1160},
        {0x17B4, 0x17B5}, {0x180E, 0x180E},   {0x200B, 0x200F},   {0x2028, 0x202E},
        {0x2060, 0x206F}, {0x3164, 0x3164},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},
        {0xFFF9, 0xFFFB}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (point >= ranges[i].first && point <= ranges[i].last)
            return true;
    }
    return false;
}

/* JSON has only escapes of 16 bits: a pair of surrogates stands for a higher code point. */
static size_t put_point(char out[ESCAPE_BYTES], unsigned point, enum escape how)
{
    if (point <= 0xFFFF)
        return (size_t)snprintf(out, ESCAPE_BYTES, "\\u%04x", point & 0xFFFF);
    if (how == ESCAPE_TERMINAL)
        return (size_t)snprintf(out, ESCAPE_BYTES, "\\U%08x", point);
    return (size_t)snprintf(out, ESCAPE_BYTES, "\\u%04x\\u%04x",
                            0xD800 + ((point - 0x10000) >> 10 & 0x3FF),
                            0xDC00 + ((point - 0x10000) & 0x3FF));
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
    if (utf8_control(data, length) || is_invisible(point))
        return put_point(out, point, how);
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
