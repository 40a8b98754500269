/* A program that has told OpenSSL to do less: what still works, and that it is less. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/digest.h"
#include "tls/error.h"
#include "support/tls_pair.h"

static struct test_certs certs;

static int set_up(void **state)
{
    (void)state;
    tls_program_begin();
    return test_certs_make(&certs) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    test_certs_remove(&certs);
    return 0;
}

/* First of all, before anything asks for a text. */
static void test_nothing_is_there_that_nobody_needs(void **state)
{
    (void)state;
    assert_null(EVP_get_cipherbyname("AES-256-CBC"));
    assert_null(EVP_get_digestbyname("BLAKE2b512"));
    assert_null(ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_NO_SHARED_CIPHER)));
}

static void test_reasons_come_when_asked_for(void **state)
{
    (void)state;
    assert_string_equal(tls_reason(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_NO_SHARED_CIPHER)),
                        "no shared cipher");
    assert_string_equal(tls_reason(ERR_PACK(ERR_LIB_X509, 0, X509_R_KEY_VALUES_MISMATCH)),
                        "key values mismatch");
    assert_string_equal(tls_reason(ERR_PACK(ERR_LIB_USER, 0, 99)), "no reason given");
}

static void test_our_digests(void **state)
{
    (void)state;
    static const char *const names[] = {"md5", "sha256"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct digest *digest = NULL;
        assert_int_equal(digest_new(&digest, names[i], NULL), AFAR_OK);
        digest_free(digest);
    }
}

/* Whatever a CA may have signed with. */
static void test_signatures(void **state)
{
    (void)state;
    static const char *const names[] = {"SHA1",   "SHA224",   "SHA256",   "SHA384",
                                        "SHA512", "SHA3-256", "SHA3-384", "SHA3-512"};
    EVP_PKEY *key = EVP_RSA_gen(2048);
    assert_non_null(key);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        EVP_MD *digest = EVP_MD_fetch(NULL, names[i], NULL);
        X509 *certificate = X509_new();
        assert_non_null(digest);
        assert_non_null(certificate);
        assert_int_equal(X509_set_pubkey(certificate, key), 1);
        assert_true(X509_sign(certificate, key, digest) > 0);
        assert_int_equal(X509_verify(certificate, key), 1);
        X509_free(certificate);
        EVP_MD_free(digest);
    }
    EVP_PKEY_free(key);
}

static void test_handshake(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER_CHAIN, TEST_CA);
    struct tls_pair pair;
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_OK);
    assert_int_equal(pair.server_status, AFAR_OK);
    tls_pair_exchange(pair.client, pair.server, 100000);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

/* In the old format, whose cipher is known by name only. (Written by hand: that needs it, too.) */
static void test_encrypted_key(void **state)
{
    (void)state;
    static const char text[] = "-----BEGIN EC PRIVATE KEY-----\n"
                               "Proc-Type: 4,ENCRYPTED\n"
                               "DEK-Info: AES-256-CBC,0123456789ABCDEF0123456789ABCDEF\n\n"
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
                               "-----END EC PRIVATE KEY-----\n";
    const char *path = certs.key[TEST_CLIENT_EXPIRED];
    struct afar_error err;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    FILE *file = fopen(path, "w");
    assert_non_null(ctx);
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(tls_load_identity(ctx, certs.cert[TEST_CLIENT_EXPIRED], path, &err),
                     AFAR_EINVAL);
    tls_pair_assert_line(&err, "is encrypted; a key without a passphrase is needed");
    SSL_CTX_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_there_that_nobody_needs),
        cmocka_unit_test(test_reasons_come_when_asked_for),
        cmocka_unit_test(test_our_digests),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_encrypted_key),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
