/* Certificates that test_certs.h has not: with any names, dates, keys and issuers.
 *
 *     struct issued ca, leaf;
 *     issue(&ca, &(struct issue){.common_names = {"CA"}, .is_ca = true});
 *     issue(&leaf, &(struct issue){.issuer = &ca, .common_names = {"a", "b"}});
 *     issue_write(&leaf, NULL, "leaf.pem", "leaf-key.pem");
 *     issued_close(&leaf), issued_close(&ca);
 *
 * Owns:    an issued owns its certificate and key.
 * Threads: one.
 * Blocks:  as long as a key takes.
 * Limits:  none. The test fails where something cannot be made. */
#ifndef SUPPORT_ISSUE_H
#define SUPPORT_ISSUE_H

#include <stdbool.h>

#include <openssl/x509v3.h>

struct issued {
    X509 *certificate;
    EVP_PKEY *key;
};

struct issue {
    const struct issued *issuer; /* NULL: itself */
    const char *common_names[4]; /* up to the first NULL */
    GENERAL_NAMES *names;        /* NULL: none */
    bool is_ca;                  /* else for clients, or: */
    bool is_server;
    long begins_s;        /* valid from then, from now; 0: since a minute ago */
    long valid_s;         /* until then, from now; 0: a day */
    unsigned rsa_bits;    /* 0: a curve: */
    const char *curve;    /* NULL: P-256 */
    size_t comment_bytes; /* that it is longer by */
};

void issue(struct issued *made, const struct issue *order);
void issued_close(struct issued *issued);

/* Adds a name of a type (GEN_URI, GEN_DNS, GEN_EMAIL) with exactly these bytes, a NUL too. *names
 * is made where it is NULL; the caller's (GENERAL_NAMES_free). */
void issue_add_name(GENERAL_NAMES **names, int type, const char *bytes, size_t size);

/* `also`: an intermediate that follows in the file, or NULL. `key_path` may be NULL. */
void issue_write(const struct issued *issued, const struct issued *also, const char *cert_path,
                 const char *key_path);

/* A list of the issuer's in which this certificate stands; NULL: an empty one. It is added to the
 * file, and ends in a day; the second: in `ends_s`. */
void issue_write_list(const struct issued *issuer, const struct issued *revoked, const char *path);
void issue_write_list_until(const struct issued *issuer, const struct issued *revoked, long ends_s,
                            const char *path);

#endif
