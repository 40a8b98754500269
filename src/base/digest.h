/* Hashes and random bytes, both OpenSSL's.
 *
 * Owns:    a struct digest owns its OpenSSL context.
 * Threads: one owner each; random_hex from any thread.
 * Blocks:  never (OpenSSL's generator is seeded by getrandom(2)).
 * Limits:  none. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    DIGEST_HEX_BYTES = 65, /* SHA-256 or MD5 in hex, and a NUL */
    DIGEST_MAX_BYTES = 64  /* the longest, SHA-512 */
};

struct digest;

/* `algorithm`: "sha256", "sha512", or "md5" (the tutorial's §11 header; no security rests on it).
 * AFAR_EINVAL: OpenSSL does not offer it (MD5 under FIPS). AFAR_ENOMEM. */
enum afar_status digest_new(struct digest **digest, const char *algorithm, struct afar_error *err);
void digest_free(struct digest *digest);

enum afar_status digest_update(struct digest *digest, const void *data, size_t size,
                               struct afar_error *err);

/* Writes the hash in lower-case hex and starts over. */
enum afar_status digest_finish(struct digest *digest, char hex[DIGEST_HEX_BYTES],
                               struct afar_error *err);

/* The same for any algorithm, as *size bytes. */
enum afar_status digest_finish_bytes(struct digest *digest, uint8_t hash[DIGEST_MAX_BYTES],
                                     size_t *size, struct afar_error *err);

/* The hash of what has come so far, which may go on. */
enum afar_status digest_peek_bytes(const struct digest *digest, uint8_t hash[DIGEST_MAX_BYTES],
                                   size_t *size, struct afar_error *err);

/* Writes `bytes` (1 to 32) random bytes as hex and a NUL: 2 * bytes + 1 characters. */
enum afar_status random_hex(char *hex, size_t bytes, struct afar_error *err);

#endif
