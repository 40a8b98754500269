#include "base/digest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/libcrypto.h"

struct digest {
    const struct libcrypto *library;
    EVP_MD_CTX *context;
    const EVP_MD *algorithm;
};

static void to_hex(const unsigned char *bytes, size_t size, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * size] = '\0';
}

enum afar_status digest_new(struct digest **digest, const char *algorithm, struct afar_error *err)
{
    const struct libcrypto *library = NULL;
    *digest = NULL;
    enum afar_status status = libcrypto_get(&library, err);
    if (status != AFAR_OK)
        return status;
    struct digest *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a digest");
    made->library = library;
    made->algorithm = library->get_digestbyname(algorithm);
    made->context = library->ctx_new();
    if (made->context == NULL) {
        digest_free(made);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a digest");
    }
    if (made->algorithm == NULL || library->init(made->context, made->algorithm, NULL) != 1) {
        digest_free(made);
        return afar_fail(err, AFAR_EINVAL, "OpenSSL does not offer the digest %s", algorithm);
    }
    *digest = made;
    return AFAR_OK;
}

void digest_prepare(void)
{
    struct digest *first = NULL;
    (void)digest_new(&first, "sha256", NULL);
    digest_free(first);
}

void digest_free(struct digest *digest)
{
    if (digest == NULL)
        return;
    digest->library->ctx_free(digest->context);
    free(digest);
}

enum afar_status digest_update(struct digest *digest, const void *data, size_t size,
                               struct afar_error *err)
{
    if (digest->library->update(digest->context, data, size) != 1)
        return afar_fail(err, AFAR_ESYSTEM, "OpenSSL could not hash %zu bytes", size);
    return AFAR_OK;
}

enum afar_status digest_finish_bytes(struct digest *digest, uint8_t hash[DIGEST_MAX_BYTES],
                                     size_t *size, struct afar_error *err)
{
    _Static_assert(DIGEST_MAX_BYTES == EVP_MAX_MD_SIZE, "OpenSSL's longest hash");
    unsigned made = 0;
    if (digest->library->finish(digest->context, hash, &made) != 1 ||
        digest->library->init(digest->context, digest->algorithm, NULL) != 1)
        return afar_fail(err, AFAR_ESYSTEM, "OpenSSL could not finish a digest");
    *size = made;
    return AFAR_OK;
}

enum afar_status digest_peek_bytes(const struct digest *digest, uint8_t hash[DIGEST_MAX_BYTES],
                                   size_t *size, struct afar_error *err)
{
    unsigned made = 0;
    const struct libcrypto *library = digest->library;
    EVP_MD_CTX *copy = library->ctx_new();
    bool ok = copy != NULL && library->ctx_copy(copy, digest->context) == 1 &&
              library->finish(copy, hash, &made) == 1;
    library->ctx_free(copy);
    if (!ok)
        return afar_fail(err, AFAR_ENOMEM, "OpenSSL could not copy a digest");
    *size = made;
    return AFAR_OK;
}

enum afar_status digest_finish(struct digest *digest, char hex[DIGEST_HEX_BYTES],
                               struct afar_error *err)
{
    uint8_t hash[DIGEST_MAX_BYTES];
    size_t size = 0;
    enum afar_status status = digest_finish_bytes(digest, hash, &size, err);
    if (status == AFAR_OK && 2 * size >= DIGEST_HEX_BYTES)
        status = afar_fail(err, AFAR_ESYSTEM, "a hash of %zu bytes in hex", size);
    if (status == AFAR_OK)
        to_hex(hash, size, hex);
    return status;
}

enum afar_status random_hex(char *hex, size_t bytes, struct afar_error *err)
{
    unsigned char raw[32];
    if (bytes > sizeof raw)
        return afar_fail(err, AFAR_EBUG, "%zu random bytes asked for, %zu at most", bytes,
                         sizeof raw);
    /* Not from OpenSSL, whose generator costs 3 million instructions at its first use. */
    ssize_t got = getrandom(raw, bytes, 0);
    if (got < 0 || (size_t)got != bytes)
        return afar_fail_errno(err, got < 0 ? errno : EIO, "cannot get random bytes");
    to_hex(raw, bytes, hex);
    return AFAR_OK;
}
