/* Keys: a private key, a self-signed certificate, and the pin by which the other side recognizes
 * it. No CA is needed: `client = pin:sha256:…` in afard.conf admits such a client, and `pin` of
 * struct afar_credentials accepts such a server.
 *
 * Owns:    an identity owns its text (afar_identity_close, which wipes the key).
 * Threads: any.
 * Blocks:  afar_pin, as long as reading a file does.
 * Limits:  see struct afar_keygen_options. */
#ifndef AFAR_KEYGEN_H
#define AFAR_KEYGEN_H

#include <afar/afar.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AFAR_PIN_BYTES = 65,      /* 64 lower-case hex digits and a NUL */
    AFAR_NAME_MAX_BYTES = 64, /* RFC 5280, ub-common-name */
    AFAR_KEY_DAYS_MAX = 36500
};

struct afar_keygen_options {
    AFAR_SIZED(afar_keygen_options);
    const char *name; /* common name (CN) of the certificate: UTF-8, 1 to AFAR_NAME_MAX_BYTES
                         bytes */
    /* For a server: the names and addresses under which clients reach it. NULL-terminated; NULL:
     * none. */
    const char *const *hosts;
    unsigned days; /* how long the certificate is valid: 1 to AFAR_KEY_DAYS_MAX */
};
#define AFAR_KEYGEN_OPTIONS_INIT(...) AFAR_INIT(afar_keygen_options, __VA_ARGS__)

struct afar_identity {
    AFAR_SIZED(afar_identity);
    char *cert_pem;
    char *key_pem; /* not encrypted: store it in a file that only its owner can read */
    char pin[AFAR_PIN_BYTES];
};
#define AFAR_IDENTITY_INIT(...) AFAR_INIT(afar_identity, __VA_ARGS__)

/* Makes a key (ECDSA, P-256) and a certificate for clients and servers; free them with
 * afar_identity_close. AFAR_EINVAL: the name, a host or the days are invalid. AFAR_ENOMEM.
 * AFAR_EBUG: OpenSSL does not support the key, or has no randomness. */
AFAR_API enum afar_status afar_keygen(struct afar_identity *identity,
                                      const struct afar_keygen_options *options,
                                      struct afar_error *err);
AFAR_API void afar_identity_close(struct afar_identity *identity);

/* Writes the pin of the first certificate in a PEM file. AFAR_EINVAL: the file cannot be read, or
 * has no certificate. AFAR_ENOMEM. */
AFAR_API enum afar_status afar_pin(const char *cert_file, char pin[AFAR_PIN_BYTES],
                                   struct afar_error *err);

#ifdef __cplusplus
}
#endif

#endif
