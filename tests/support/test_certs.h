/* Temporary certificates for tests: a CA, good certificates, and one for each way of being wrong.
 * Made in this process by OpenSSL, ECDSA P-256, in a folder under /tmp.
 *
 *     struct test_certs certs;
 *     assert_true(test_certs_make(&certs));
 *     … certs.cert[TEST_SERVER], certs.key[TEST_SERVER], certs.cert[TEST_CA] …
 *     test_certs_remove(&certs);
 *
 * Owns:    the folder and its files, until test_certs_remove.
 * Threads: one owner.
 * Blocks:  for the few milliseconds that the keys take.
 * Limits:  none. */
#ifndef SUPPORT_TEST_CERTS_H
#define SUPPORT_TEST_CERTS_H

#include <stdbool.h>

enum test_cert {
    TEST_CA,                 /* "CN=Afar test CA"; issuer of all the following unless stated */
    TEST_OTHER_CA,           /* "CN=Other test CA" */
    TEST_INTERMEDIATE,       /* a CA issued by TEST_CA */
    TEST_SERVER,             /* localhost, 127.0.0.1, ::1; serverAuth */
    TEST_SERVER_CHAIN,       /* the same, issued by TEST_INTERMEDIATE, which is in the file, too */
    TEST_SERVER_OTHER_CA,    /* the same, issued by TEST_OTHER_CA */
    TEST_SERVER_SELF_SIGNED, /* the same, self-signed */
    TEST_SERVER_EXPIRED,     /* since an hour ago */
    TEST_SERVER_FUTURE,      /* valid from tomorrow */
    TEST_SERVER_WRONG_NAME,  /* other.example, 192.0.2.1 */
    TEST_SERVER_NO_NAME,     /* no subject alternative name; CN=localhost */
    TEST_SERVER_AS_CLIENT,   /* the server's names, but clientAuth only */
    TEST_CLIENT,             /* CN=tester; clientAuth; valid for two days (the CA: ten years) */
    TEST_CLIENT_OTHER_CA,    /* issued by TEST_OTHER_CA */
    TEST_CLIENT_SELF_SIGNED, /* self-signed */
    TEST_CLIENT_EXPIRED,
    TEST_CLIENT_FUTURE,
    TEST_CLIENT_AS_SERVER, /* serverAuth only */
    TEST_CLIENT_URI,       /* URI spiffe://afar/build, DNS build.example, email, CN */
    TEST_CLIENT_DNS,       /* email tester@example.org, DNS build.example, CN */
    TEST_CLIENT_EMAIL,     /* email tester@example.org, CN */
    TEST_CLIENT_NASTY,     /* CN with a newline: must not be printed as it is */
    TEST_CLIENT_RENEWED,   /* the names of TEST_CLIENT_URI in another order, another key */
    TEST_CLIENT_TWIN,      /* the first name of TEST_CLIENT_URI, another CN */
    TEST_CLIENT_NAMELESS,  /* neither CN nor alternative names */
    TEST_CERTS
};

enum { TEST_CERT_PATH_BYTES = 96 };

struct test_certs {
    char folder[48];
    char cert[TEST_CERTS][TEST_CERT_PATH_BYTES]; /* PEM */
    char key[TEST_CERTS][TEST_CERT_PATH_BYTES];  /* PEM, mode 0600 */
};

/* False if something fails; prints a line on stderr. */
bool test_certs_make(struct test_certs *certs);
void test_certs_remove(struct test_certs *certs);

#endif
