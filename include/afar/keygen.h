/* Keys: a private key and a certificate that its owner signs, and the pin by which the other side
 * knows it. No CA is needed: `client = pin:sha256:…` in afard.conf lets such a client in, and `pin`
 * of struct afar_credentials knows such a server.
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
    const char *name; /* whose certificate it is (CN): UTF-8, 1 to AFAR_NAME_MAX_BYTES bytes */
    /* For a server: the names and addresses by which clients reach it. NULL-terminated; NULL: none.
     */
    const char *const *hosts;
    unsigned days; /* how long the certificate is valid, from 1 to AFAR_KEY_DAYS_MAX */
};
#define AFAR_KEYGEN_OPTIONS_INIT(...) AFAR_INIT(afar_keygen_options, __VA_ARGS__)

struct afar_identity {
    AFAR_SIZED(afar_identity);
    char *cert_pem;
    char *key_pem; /* not encrypted: for a file that only its owner may read */
    char pin[AFAR_PIN_BYTES];
};
#define AFAR_IDENTITY_INIT(...) AFAR_INIT(afar_identity, __VA_ARGS__)

/* Makes a key (ECDSA, P-256) and a certificate for both clients and servers. AFAR_EINVAL: a name, a
 * host or the days. AFAR_ENOMEM. AFAR_EBUG: OpenSSL has no such key, or no randomness. */
AFAR_API enum afar_status afar_keygen(struct afar_identity *identity,
                                      const struct afar_keygen_options *options,
                                      struct afar_error *err);
AFAR_API void afar_identity_close(struct afar_identity *identity);

/* The pin of the first certificate in a PEM file. AFAR_EINVAL: it cannot be read, or there is none.
 * AFAR_ENOMEM. */
AFAR_API enum afar_status afar_pin(const char *cert_file, char pin[AFAR_PIN_BYTES],
                                   struct afar_error *err);

#ifdef __cplusplus
}
#endif

#endif
