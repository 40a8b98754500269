/* Hashes, by OpenSSL, and random bytes, from the kernel.
 *
 * Owns:    a struct digest owns its OpenSSL context.
 * Threads: one owner each; random_hex from any thread.
 * Blocks:  never, except random_hex early in the boot of the machine (getrandom(2)), and the first
 *          digest where libcrypto is loaded with it.
 * Limits:  none. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    DIGEST_HEX_BYTES = 65, /* SHA-256 or MD5 in hex, and a NUL */
    DIGEST_MAX_BYTES = 64  /* size of the longest hash, SHA-512 */
};

struct digest;

/* Makes OpenSSL ready: reads its files and, where libcrypto is loaded later, loads it. Call it
 * before a change of the root directory, whose files of that name must not be trusted. If it fails,
 * so does digest_new. */
void digest_prepare(void);

/* Creates a digest; free it with digest_free. `algorithm`: "sha256", "sha512", or "md5" (for the
 * tutorial's §11 header; no security depends on it). AFAR_EINVAL: OpenSSL does not offer it (MD5 in
 * FIPS mode). AFAR_ESYSTEM: libcrypto cannot be loaded. AFAR_ENOMEM. */
enum afar_status digest_new(struct digest **digest, const char *algorithm, struct afar_error *err);
void digest_free(struct digest *digest);

enum afar_status digest_update(struct digest *digest, const void *data, size_t size,
                               struct afar_error *err);

/* Writes the hash in lower-case hex and starts a new one. AFAR_ESYSTEM: OpenSSL failed, or the hash
 * is longer than SHA-256. */
enum afar_status digest_finish(struct digest *digest, char hex[DIGEST_HEX_BYTES],
                               struct afar_error *err);

/* The same for any algorithm: writes *size bytes. AFAR_ESYSTEM. */
enum afar_status digest_finish_bytes(struct digest *digest, uint8_t hash[DIGEST_MAX_BYTES],
                                     size_t *size, struct afar_error *err);

/* Writes the hash of the data so far; more data may follow. AFAR_ENOMEM. */
enum afar_status digest_peek_bytes(const struct digest *digest, uint8_t hash[DIGEST_MAX_BYTES],
                                   size_t *size, struct afar_error *err);

/* Writes `bytes` (1 to 32) random bytes as hex and a NUL: 2 * bytes + 1 characters. AFAR_ESYSTEM:
 * getrandom(2) failed. AFAR_EBUG: more than 32. */
enum afar_status random_hex(char *hex, size_t bytes, struct afar_error *err);

#endif
