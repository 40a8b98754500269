/* The functions of OpenSSL's libcrypto that digest.c calls.
 *
 * libcrypto.c has them from the library that the program is linked with. A program that hardly ever
 * needs a digest is linked with ../child/libcrypto.c in its place, which loads the library together
 * with the first one: to load it takes longer than all else that such a program does at its start.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  while the library is loaded, at most once.
 * Limits:  none. */
#ifndef BASE_LIBCRYPTO_H
#define BASE_LIBCRYPTO_H

#include <stddef.h>

#include <openssl/evp.h>

#include "base/error.h"

/* As in EVP_DigestInit(3), under the same names. */
struct libcrypto {
    const EVP_MD *(*get_digestbyname)(const char *name);
    EVP_MD_CTX *(*ctx_new)(void);
    void (*ctx_free)(EVP_MD_CTX *context);
    int (*ctx_copy)(EVP_MD_CTX *out, const EVP_MD_CTX *in);
    int (*init)(EVP_MD_CTX *context, const EVP_MD *algorithm, ENGINE *engine);
    int (*update)(EVP_MD_CTX *context, const void *data, size_t size);
    int (*finish)(EVP_MD_CTX *context, unsigned char *hash, unsigned *size);
};

/* *library lives as long as the process. AFAR_ESYSTEM: it cannot be loaded. */
enum afar_status libcrypto_get(const struct libcrypto **library, struct afar_error *err);

#endif
