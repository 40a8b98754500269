#include "base/utf8.h"

#include <string.h>

/* RFC 3629 §4: the second byte's range depends on the first. */
size_t utf8_sequence(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t first = data[0];
    if (first < 0x80)
        return 1;

    size_t length = 0;
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        if (first == 0xE0)
            low = 0xA0; /* below: overlong */
        else if (first == 0xED)
            high = 0x9F; /* surrogates */
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        if (first == 0xF0)
            low = 0x90;
        else if (first == 0xF4)
            high = 0x8F; /* above U+10FFFF */
    }
    if (length == 0 || size < length)
        return 0;
    if (data[1] < low || data[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((data[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

bool utf8_control(const uint8_t *data, size_t length)
{
    if (length == 1)
        return data[0] < 0x20 || data[0] == 0x7F;
    return length == 2 && data[0] == 0xC2 && data[1] <= 0x9F;
}

bool utf8_plain(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);
    while (left > 0) {
        const size_t length = utf8_sequence(at, left);
        if (length == 0 || utf8_control(at, length))
            return false;
        at += length;
        left -= length;
    }
    return true;
}

bool utf8_valid(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t at = 0;
    while (at < size) {
        size_t length = utf8_sequence(bytes + at, size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

void utf8_copy(char *out, size_t size, const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t left = strlen(text);
    size_t used = 0;
    while (left > 0) {
        size_t taken = utf8_sequence(bytes, left);
        size_t length = taken;
        const void *piece = bytes;
        if (taken == 0 || utf8_control(bytes, taken)) {
            taken = taken == 0 ? 1 : taken;
            piece = "?";
            length = 1;
        }
        if (length >= size - used)
            break;
        memcpy(out + used, piece, length);
        used += length;
        bytes += taken;
        left -= taken;
    }
    out[used] = '\0';
}
