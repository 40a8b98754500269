/* Base64 (RFC 4648 §4, with padding), by OpenSSL.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  BASE64_MAX_BYTES at a time. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

enum { BASE64_MAX_BYTES = 1 << 28 };

/* The number of characters that encode `size` bytes, without the NUL. */
size_t base64_length(size_t size);

/* Writes base64_length(size) characters and a NUL. `size` is at most BASE64_MAX_BYTES. */
void base64_encode(char *out, const void *data, size_t size);

#endif
