/* What goes wrong in a handshake apart from certificates: versions, ciphers, peers that do not
 * speak TLS. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <openssl/err.h>

#include "tls/error.h"
#include "support/tls_pair.h"

static struct test_certs certs;

static int set_up(void **state)
{
    (void)state;
    return test_certs_make(&certs) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    test_certs_remove(&certs);
    return 0;
}

static void test_version_mismatch(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    assert_int_equal(SSL_CTX_set_min_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_assert_line(&pair.client_err, "the server accepts no TLS version that we speak");
    assert_int_equal(pair.server_status, AFAR_ETRUST);
    tls_pair_assert_line(&pair.server_err,
                         "the client speaks no TLS version that we accept (TLS 1.3)");
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_no_cipher_in_common(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    assert_int_equal(SSL_CTX_set_ciphersuites(client->ssl_ctx, "TLS_AES_128_GCM_SHA256"), 1);
    assert_int_equal(SSL_CTX_set_ciphersuites(server->ssl_ctx, "TLS_AES_256_GCM_SHA384"), 1);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_assert_line(&pair.client_err, "no cipher or key type in common");
    assert_int_equal(pair.server_status, AFAR_ETRUST);
    tls_pair_assert_line(&pair.server_err, "no cipher or key type in common");
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

/* TLS 1.2 has no alert for a missing certificate of its own. */
static void test_tls12_without_certificate(void **state)
{
    (void)state;
    struct tls_server_options options = {.cert_file = certs.cert[TEST_SERVER],
                                         .key_file = certs.key[TEST_SERVER],
                                         .client_ca_file = certs.cert[TEST_CA],
                                         .allow_tls12 = true};
    struct tls_context *client = tls_pair_client_context(&certs, TLS_PAIR_NONE, TEST_CA);
    struct tls_context *server = NULL;
    struct tls_pair pair;

    assert_int_equal(tls_context_server_new(&server, &options, NULL), AFAR_OK);
    assert_int_equal(SSL_CTX_set_min_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_assert_line(&pair.client_err, "(use --cert and --key)");
    assert_int_equal(pair.server_status, AFAR_ETRUST);
    tls_pair_assert_line(&pair.server_err, "the client has shown no certificate");
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

/* ---- Peers that do not speak TLS ------------------------------------------------------------- */

struct stranger {
    const char *sends;
    size_t size;
    enum afar_status client_status; /* where a server answers our client so */
    const char *client_says;
    enum afar_status server_status; /* where a client greets our server so */
    const char *server_says;
};

static const struct stranger strangers[] = {
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, AFAR_EPEER, "the server does not speak TLS",
     AFAR_EPEER, "the client does not speak TLS: it sent an HTTP request"},
    {"HTTP/1.1 400 Bad Request\r\n\r\n", 28, AFAR_EPEER,
     "the server does not speak TLS: it sent an HTTP reply; is the port right?", AFAR_EPEER,
     "the client does not speak TLS: it sent an HTTP request"},
    {"\x40\x00\x00\x00{\"type\":\"exec\"", 19, AFAR_EPEER,
     "the server does not speak TLS; for plain TCP use tcp://", AFAR_EPEER,
     "the client does not speak TLS: it sent plain Afar frames; it must use tls://"},
    {"ls -l", 5, AFAR_EPEER, "the server does not speak TLS; for plain TCP use tcp://", AFAR_EPEER,
     "the client does not speak TLS; it must use tls://"},
    {"x", 1, AFAR_EPEER, "the server does not speak TLS; for plain TCP use tcp://", AFAR_EPEER,
     "the client does not speak TLS; it must use tls://"},
    {"\x16\x09", 2, AFAR_EPEER, "does not speak TLS", AFAR_EPEER, "does not speak TLS"},
    {"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11, AFAR_EPEER, "does not speak TLS",
     AFAR_EPEER, "does not speak TLS"},
    {"", 0, AFAR_ECLOSED,
     "the server closed the connection during the TLS handshake; if it does not speak TLS, use "
     "tcp://",
     AFAR_ECLOSED, "the client closed the connection during the TLS handshake"},
    {"\x16\x03\x01\x00", 4, AFAR_ECLOSED, "the server closed the connection during", AFAR_ECLOSED,
     "the client closed the connection during the TLS handshake"},
    {"\x16\x03\x01\x00\x04????", 9, AFAR_EPEER, "the server broke the TLS protocol (", AFAR_EPEER,
     "the client broke the TLS protocol ("},
};

/* One end of a pair of BIOs is ours; the other belongs to somebody who does not know TLS. */
static enum afar_status meet(struct tls_context *context, const char *server_name,
                             const struct stranger *stranger, struct afar_error *err, char *answer,
                             size_t answer_size)
{
    struct transport *transport = NULL;
    BIO *ours = NULL;
    BIO *theirs = NULL;
    enum afar_status status = AFAR_EAGAIN;

    assert_int_equal(BIO_new_bio_pair(&ours, 4096, &theirs, 4096), 1);
    assert_int_equal(
        transport_tls_over(&transport, context, -1, ours, ours, server_name, NULL, err), AFAR_OK);
    assert_int_equal(transport_handshake(transport, err), AFAR_EAGAIN);
    if (stranger->size > 0)
        assert_int_equal(BIO_write(theirs, stranger->sends, (int)stranger->size), stranger->size);
    (void)BIO_shutdown_wr(theirs);
    for (int i = 0; i < 10 && status == AFAR_EAGAIN; i++)
        status = transport_handshake(transport, err);
    int got = BIO_read(theirs, answer, (int)answer_size - 1);
    answer[got > 0 ? got : 0] = '\0';
    transport_free(transport);
    BIO_free(theirs);
    return status;
}

static void test_plaintext(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct afar_error err;
    char answer[4096];

    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        const struct stranger *stranger = &strangers[i];
        print_message("  %.5s\n", stranger->sends);
        assert_int_equal(meet(client, "localhost", stranger, &err, answer, sizeof answer),
                         stranger->client_status);
        tls_pair_assert_line(&err, stranger->client_says);
        assert_int_equal(meet(server, NULL, stranger, &err, answer, sizeof answer),
                         stranger->server_status);
        tls_pair_assert_line(&err, stranger->server_says);
        if (strstr(stranger->server_says, "HTTP request") != NULL)
            assert_non_null(strstr(answer, "HTTP/1.0 400"));
        else if (strstr(stranger->server_says, "does not speak TLS") != NULL)
            assert_memory_equal(answer, "\x15\x03\x03\x00\x02\x02", 6); /* a fatal alert */
    }
    tls_context_free(client);
    tls_context_free(server);
}

/* Nothing is waited for once the first byte has shown what it is. */
static void test_plaintext_is_seen_at_its_first_byte(void **state)
{
    (void)state;
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct transport *transport = NULL;
    struct afar_error err;
    BIO *ours = NULL;
    BIO *theirs = NULL;

    assert_int_equal(BIO_new_bio_pair(&ours, 512, &theirs, 512), 1);
    assert_int_equal(transport_tls_over(&transport, server, -1, ours, ours, NULL, NULL, &err),
                     AFAR_OK);
    assert_int_equal(transport_handshake(transport, &err), AFAR_EAGAIN);
    assert_int_equal(BIO_write(theirs, "h", 1), 1);
    assert_int_equal(transport_handshake(transport, &err), AFAR_EPEER);
    tls_pair_assert_line(&err, "the client does not speak TLS");
    transport_free(transport);
    BIO_free(theirs);
    tls_context_free(server);
}

static void test_local_failures(void **state)
{
    (void)state;
    struct afar_error err;
    ERR_clear_error();
    assert_int_equal(tls_fail_local(&err, "SSL_new"), AFAR_ENOMEM);
    ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
    assert_int_equal(tls_fail_local(&err, "SSL_new"), AFAR_ENOMEM);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_VALUE);
    assert_int_equal(tls_fail_local(&err, "SSL_new"), AFAR_EBUG);
    tls_pair_assert_line(&err, "SSL_new failed: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_mismatch),
        cmocka_unit_test(test_no_cipher_in_common),
        cmocka_unit_test(test_tls12_without_certificate),
        cmocka_unit_test(test_plaintext),
        cmocka_unit_test(test_plaintext_is_seen_at_its_first_byte),
        cmocka_unit_test(test_local_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
