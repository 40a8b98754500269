/* Text of others' for a terminal or a line of JSON: what a terminal could obey, or what makes text
 * look other than it is, is spelled out.
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
    ESCAPE_TERMINAL, /* \u001b, \n, \t; a byte that is not UTF-8 as \xff */
    ESCAPE_STRING,   /* within a JSON string: also \" and \\; such a byte as \ufffd */
    ESCAPE_JSON      /* text that is valid JSON: what stands in its strings */
};

enum { ESCAPE_BYTES = 8 };

/* The first character of `size` (at least 1) bytes: what to show for it goes to `out`; returns the
 * length of that. *taken: so many bytes it was. */
size_t escape_one(const uint8_t *data, size_t size, enum escape how, char out[ESCAPE_BYTES],
                  size_t *taken);

/* The whole of `text`, cut to fit between two characters; `out` (of `size` bytes, at least 1) ends
 * in a NUL. */
void escape_text(char *out, size_t size, const char *text, enum escape how);

#endif
