/* Makes text from others safe for a terminal or a line of JSON: escapes the characters that could
 * control a terminal, cannot be seen, or make text look different from what it is.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  ESCAPE_BYTES for one character. */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stddef.h>
#include <stdint.h>

enum escape {
    ESCAPE_TERMINAL, /* as \u001b, \n, \t, \U000e0001; bytes that are not UTF-8 as \xff */
    ESCAPE_STRING,   /* for use in a JSON string: also \" and \\; bytes that are not UTF-8 as
                        \ufffd */
    ESCAPE_JSON      /* for text that is valid JSON: escapes only inside its strings */
};

enum { ESCAPE_BYTES = 16 };

/* Escapes the first character of `size` (at least 1) bytes: writes it to `out` and returns the
 * length written. *taken: the length of the character in `data`. */
size_t escape_one(const uint8_t *data, size_t size, enum escape how, char out[ESCAPE_BYTES],
                  size_t *taken);

/* Escapes the whole `text`, cut between two characters if necessary. `out` has `size` bytes (at
 * least 1) and always gets a NUL. */
void escape_text(char *out, size_t size, const char *text, enum escape how);

#endif
