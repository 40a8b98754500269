/* Certificates that test_certs.h does not have: with any names, dates, keys and issuers.
 *
 *     struct custom_cert ca, leaf;
 *     struct custom_cert_order order = {.common_names = {"CA"}, .is_ca = true};
 *     custom_cert_make(&ca, &order);
 *     order = (struct custom_cert_order){.issuer = &ca, .common_names = {"a", "b"}};
 *     custom_cert_make(&leaf, &order);
 *     custom_cert_write(&leaf, NULL, "leaf.pem", "leaf-key.pem");
 *     custom_cert_close(&leaf), custom_cert_close(&ca);
 *
 * Owns:    a custom_cert owns its certificate and key.
 * Threads: one.
 * Blocks:  while a key is generated.
 * Limits:  none. The test fails if something cannot be made. */
#ifndef SUPPORT_CUSTOM_CERT_H
#define SUPPORT_CUSTOM_CERT_H

#include <stdbool.h>

#include <openssl/x509v3.h>

struct custom_cert {
    X509 *certificate;
    EVP_PKEY *key;
};

struct custom_cert_order {
    const struct custom_cert *issuer; /* NULL: self-signed */
    const char *common_names[4];      /* up to the first NULL */
    GENERAL_NAMES *names;             /* NULL: none */
    bool is_ca;                       /* false: for clients, or for servers: */
    bool is_server;
    long begins_s;        /* start of validity, from now; 0: a minute ago */
    long valid_s;         /* end of validity, from now; 0: in a day */
    unsigned rsa_bits;    /* 0: an elliptic curve key */
    const char *curve;    /* its curve; NULL: P-256 */
    size_t comment_bytes; /* makes the certificate larger */
    bool strange;         /* with a critical extension that nobody knows */
};

void custom_cert_make(struct custom_cert *made, const struct custom_cert_order *order);
void custom_cert_close(struct custom_cert *issued);

/* Adds a name of a type (GEN_URI, GEN_DNS, GEN_EMAIL) with exactly these bytes, which may include
 * NUL. Makes *names if it is NULL; the caller frees it (GENERAL_NAMES_free). */
void custom_cert_add_name(GENERAL_NAMES **names, int type, const char *bytes, size_t size);

/* `also`: an intermediate certificate that is appended, or NULL. `key_path` may be NULL. */
void custom_cert_write(const struct custom_cert *issued, const struct custom_cert *also,
                       const char *cert_path, const char *key_path);

/* Appends to the file a revocation list of the issuer that contains `revoked`; NULL: an empty list.
 * It expires in a day; with custom_cert_write_list_until in `ends_s`. */
void custom_cert_write_list(const struct custom_cert *issuer, const struct custom_cert *revoked,
                            const char *path);
void custom_cert_write_list_until(const struct custom_cert *issuer,
                                  const struct custom_cert *revoked, long ends_s, const char *path);

#endif
