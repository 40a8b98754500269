/* New keys with certificates that they sign themselves. What afar/keygen.h offers is this.
 *
 * Owns:    an identity owns its text.
 * Threads: any.
 * Blocks:  tls_file_pin, as long as reading a file does.
 * Limits:  TLS_KEY_DAYS_MAX, TLS_COMMON_NAME_MAX_BYTES. */
#ifndef TLS_KEYGEN_H
#define TLS_KEYGEN_H

#include "tls/tls.h"

enum {
    TLS_KEY_DAYS_MAX = 36500,      /* RFC 5280 has years to 9999; this is 100 */
    TLS_COMMON_NAME_MAX_BYTES = 64 /* RFC 5280, ub-common-name */
};

struct tls_keygen_options {
    const char *name;         /* the subject's CN */
    const char *const *hosts; /* DNS names and addresses; NULL-terminated; NULL: none */
    unsigned days;
};

struct tls_identity {
    char *cert_pem;
    char *key_pem;
    char pin[TLS_PIN_BYTES];
};

/* AFAR_EINVAL: a name, a host or the days. AFAR_ENOMEM, AFAR_EBUG. Closed already where it fails.
 */
enum afar_status tls_keygen(struct tls_identity *identity, const struct tls_keygen_options *options,
                            struct afar_error *err);

/* Wipes the key. */
void tls_identity_close(struct tls_identity *identity);

/* The pin of a PEM file's first certificate. AFAR_EINVAL names the file. AFAR_ENOMEM. */
enum afar_status tls_file_pin(const char *cert_file, char pin[TLS_PIN_BYTES],
                              struct afar_error *err);

#endif
