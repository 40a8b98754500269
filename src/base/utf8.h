/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length in bytes (1 to 4) of the valid sequence at the start of `data`; 0 if there is none. */
size_t utf8_sequence(const uint8_t *data, size_t size);

/* True if the valid sequence of `length` bytes is a control character: C0, DEL, or C1 (U+0080 …
 * U+009F), which some terminals obey, too. */
bool utf8_control(const uint8_t *data, size_t length);

bool utf8_valid(const void *data, size_t size);

/* True if the text is valid UTF-8 without control characters. */
bool utf8_plain(const char *text);

/* Copies `text` as valid UTF-8 without control characters: each of these, and each invalid byte,
 * becomes '?'. Cut between two characters if necessary. `out` has `size` bytes (at least 1) and
 * always gets a NUL. */
void utf8_copy(char *out, size_t size, const char *text);

#endif
