/* Every way in which TLS can fail between two peers, and the one line that each side says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "net/tls_error.h"
#include "support/test_certs.h"
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

static struct tls_context *server_context(enum test_cert cert, enum test_cert client_ca)
{
    struct tls_server_options options = {.cert_file = certs.cert[cert],
                                         .key_file = certs.key[cert],
                                         .client_ca_file = certs.cert[client_ca]};
    struct tls_context *context = NULL;
    struct afar_error err;
    if (tls_context_server_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

static struct tls_context *client_context(int cert, enum test_cert ca)
{
    struct tls_client_options options = {.ca_file = certs.cert[ca]};
    struct tls_context *context = NULL;
    struct afar_error err;
    if (cert >= 0) {
        options.cert_file = certs.cert[cert];
        options.key_file = certs.key[cert];
    }
    if (tls_context_client_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

/* No line of ours may show what only OpenSSL's authors understand, or be more than one line. */
static void assert_line(const struct afar_error *err, const char *expected)
{
    if (strstr(err->message, expected) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", expected, err->message);
    assert_null(strstr(err->message, "error:"));
    assert_null(strstr(err->message, "SSL routines"));
    assert_null(strchr(err->message, '\n'));
    assert_int_equal(ERR_peek_error(), 0);
}

enum { NONE = -1 };

struct quarrel {
    const char *what;
    int client;        /* certificate, or NONE */
    enum test_cert ca; /* that the client trusts */
    enum test_cert server;
    enum test_cert client_ca; /* that the server trusts */
    const char *name;         /* that the client expects */
    enum afar_status client_status;
    const char *client_says;
    enum afar_status server_status;
    const char *server_says;
};

static const struct quarrel quarrels[] = {
    {"unknown CA of the server", TEST_CLIENT, TEST_CA, TEST_SERVER_OTHER_CA, TEST_CA, "localhost",
     AFAR_ETRUST,
     "the server's certificate (CN=afard) was issued by a CA that we do not trust (CN=Other test "
     "CA); --ca names the CA to trust",
     AFAR_ETRUST,
     "the client refused our certificate: unknown CA; ours was issued by 'CN=Other "
     "test CA'"},
    {"self-signed server", TEST_CLIENT, TEST_CA, TEST_SERVER_SELF_SIGNED, TEST_CA, "localhost",
     AFAR_ETRUST, "the server's certificate (CN=afard) is self-signed, and we do not trust it",
     AFAR_ETRUST, "the client refused our certificate: unknown CA"},
    {"expired server", TEST_CLIENT, TEST_CA, TEST_SERVER_EXPIRED, TEST_CA, "localhost", AFAR_ETRUST,
     "the server's certificate (CN=afard) expired on 20", AFAR_ETRUST,
     "the client refused our certificate: it expired on 20"},
    {"server not yet valid", TEST_CLIENT, TEST_CA, TEST_SERVER_FUTURE, TEST_CA, "localhost",
     AFAR_ETRUST, "the server's certificate (CN=afard) is not valid before 20", AFAR_ETRUST,
     "the client refused our certificate: it is not valid before 20"},
    {"wrong name", TEST_CLIENT, TEST_CA, TEST_SERVER_WRONG_NAME, TEST_CA, "localhost", AFAR_ETRUST,
     "the server's certificate is not for 'localhost'; it is for other.example, 192.0.2.1",
     AFAR_ETRUST,
     "the client refused our certificate: it is not for 'localhost' but for other.example, "
     "192.0.2.1"},
    {"wrong address", TEST_CLIENT, TEST_CA, TEST_SERVER_WRONG_NAME, TEST_CA, "127.0.0.1",
     AFAR_ETRUST,
     "the server's certificate is not for '127.0.0.1'; it is for other.example, 192.0.2.1",
     AFAR_ETRUST,
     "the client refused our certificate: the address that it connects to may not be in it; it is "
     "for other.example, 192.0.2.1"},
    {"wrong IPv6 address", TEST_CLIENT, TEST_CA, TEST_SERVER, TEST_CA, "::2", AFAR_ETRUST,
     "the server's certificate is not for '::2'; it is for localhost, 127.0.0.1, ::1", AFAR_ETRUST,
     "the address that it connects to may not be in it"},
    {"a common name is no name", TEST_CLIENT, TEST_CA, TEST_SERVER_NO_NAME, TEST_CA, "localhost",
     AFAR_ETRUST,
     "the server's certificate is not for 'localhost'; it is for no host name or address at all",
     AFAR_ETRUST, "the client refused our certificate"},
    {"server with a client's certificate", TEST_CLIENT, TEST_CA, TEST_SERVER_AS_CLIENT, TEST_CA,
     "localhost", AFAR_ETRUST,
     "the server's certificate (CN=afard) is not made for this use: it lacks the extended key "
     "usage serverAuth",
     AFAR_ETRUST,
     "the client refused our certificate: it is not made for this use (extended key usage "
     "serverAuth)"},
    {"unknown CA of the client", TEST_CLIENT_OTHER_CA, TEST_CA, TEST_SERVER, TEST_CA, "localhost",
     AFAR_ETRUST,
     "the server refused our certificate: unknown CA; ours was issued by 'CN=Other "
     "test CA'",
     AFAR_ETRUST,
     "the client's certificate (CN=tester) was issued by a CA that we do not trust (CN=Other test "
     "CA)"},
    {"self-signed client", TEST_CLIENT_SELF_SIGNED, TEST_CA, TEST_SERVER, TEST_CA, "localhost",
     AFAR_ETRUST, "the server refused our certificate: unknown CA", AFAR_ETRUST,
     "the client's certificate (CN=tester) is self-signed, and we do not trust it"},
    {"expired client", TEST_CLIENT_EXPIRED, TEST_CA, TEST_SERVER, TEST_CA, "localhost", AFAR_ETRUST,
     "the server refused our certificate: it expired on 20", AFAR_ETRUST,
     "the client's certificate (CN=tester) expired on 20"},
    {"client not yet valid", TEST_CLIENT_FUTURE, TEST_CA, TEST_SERVER, TEST_CA, "localhost",
     AFAR_ETRUST, "the server refused our certificate: it is not valid before 20", AFAR_ETRUST,
     "the client's certificate (CN=tester) is not valid before 20"},
    {"client with a server's certificate", TEST_CLIENT_AS_SERVER, TEST_CA, TEST_SERVER, TEST_CA,
     "localhost", AFAR_ETRUST,
     "the server refused our certificate: it is not made for this use (extended key usage "
     "clientAuth)",
     AFAR_ETRUST,
     "the client's certificate (CN=tester) is not made for this use: it lacks the extended key "
     "usage clientAuth"},
    {"no client certificate", NONE, TEST_CA, TEST_SERVER, TEST_CA, "localhost", AFAR_ETRUST,
     "the server requires a client certificate (use --cert and --key)", AFAR_ETRUST,
     "the client has shown no certificate"},
};

static void run_quarrel(const struct quarrel *quarrel)
{
    struct tls_context *client = client_context(quarrel->client, quarrel->ca);
    struct tls_context *server = server_context(quarrel->server, quarrel->client_ca);
    struct tls_pair pair;

    print_message("  %s\n", quarrel->what);
    tls_pair_open(&pair, client, server, quarrel->name, TLS_ALPN_AFAR, TLS_ALPN_AFAR, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, quarrel->client_status);
    assert_line(&pair.client_err, quarrel->client_says);
    assert_int_equal(pair.server_status, quarrel->server_status);
    assert_line(&pair.server_err, quarrel->server_says);

    /* Whoever has failed stays so, and is anonymous. */
    struct identity identity;
    transport_identity(pair.server, &identity);
    assert_int_equal(identity.kind, IDENTITY_ANONYMOUS);
    assert_int_equal(transport_handshake(pair.server, &pair.server_err), AFAR_ECLOSED);
    transport_shutdown(pair.client);
    transport_shutdown(pair.server);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_certificates_that_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof quarrels / sizeof quarrels[0]; i++)
        run_quarrel(&quarrels[i]);
}

/* The date itself, as a person needs it. */
static void test_expiry_is_told_to_the_second(void **state)
{
    (void)state;
    struct tls_context *client = client_context(TEST_CLIENT, TEST_CA);
    struct tls_context *server = server_context(TEST_SERVER_EXPIRED, TEST_CA);
    struct transport_tls probe = {.ssl = SSL_new(server->ssl_ctx)};
    struct tls_pair pair;
    char when[40];

    tls_time_text(X509_get0_notAfter(SSL_get_certificate(probe.ssl)), when, sizeof when);
    assert_int_equal(strlen(when), strlen("2026-11-23 05:12:01 UTC"));
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    tls_pair_handshake(&pair);
    assert_line(&pair.client_err, when);
    assert_line(&pair.server_err, when);
    tls_pair_close(&pair);
    SSL_free(probe.ssl);
    tls_context_free(client);
    tls_context_free(server);
}

/* ---- Protocols and versions ---- */

struct protocols {
    const char *client_alpn;
    const char *server_alpn;
    const char *client_says;
    const char *server_says;
};

static const struct protocols protocols[] = {
    {"other/1", TLS_ALPN_AFAR,
     "the server does not speak the protocol 'other/1' on this port; is the port right?",
     "the client asks for the protocol 'other/1', this listener speaks 'afar/1'"},
    {NULL, TLS_ALPN_AFAR, "the server speaks another protocol on this port",
     "the client asks for no protocol (ALPN), this listener speaks 'afar/1'"},
    {TLS_ALPN_AFAR, NULL, "the server does not speak the protocol 'afar/1' on this port",
     "the client asks for the protocol 'afar/1', this listener speaks another"},
};

static void test_alpn_mismatch(void **state)
{
    (void)state;
    struct tls_context *client = client_context(TEST_CLIENT, TEST_CA);
    struct tls_context *server = server_context(TEST_SERVER, TEST_CA);

    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        struct tls_pair pair;
        tls_pair_open(&pair, client, server, "localhost", protocols[i].client_alpn,
                      protocols[i].server_alpn, 300);
        tls_pair_handshake(&pair);
        assert_int_equal(pair.client_status, AFAR_ETRUST);
        assert_line(&pair.client_err, protocols[i].client_says);
        assert_int_equal(pair.server_status, AFAR_ETRUST);
        assert_line(&pair.server_err, protocols[i].server_says);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
    tls_context_free(server);
}

/* A server that knows nothing of ALPN agrees on nothing; the client notices by itself. */
static void test_server_without_alpn(void **state)
{
    (void)state;
    struct tls_context *client = client_context(TEST_CLIENT, TEST_CA);
    struct tls_context *server = server_context(TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    SSL_CTX_set_alpn_select_cb(server->ssl_ctx, NULL, NULL);
    tls_pair_open(&pair, client, server, "localhost", TLS_ALPN_AFAR, NULL, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    assert_line(&pair.client_err, "the server did not agree on the protocol 'afar/1'");
    tls_pair_close(&pair);

    /* Nor does a client that offers something else to a listener without a protocol mind. */
    tls_context_free(server);
    server = server_context(TEST_SERVER, TEST_CA);
    tls_pair_open(&pair, client, server, "localhost", "other/1", NULL, 8192);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.server_status, AFAR_OK);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_version_mismatch(void **state)
{
    (void)state;
    struct tls_context *client = client_context(TEST_CLIENT, TEST_CA);
    struct tls_context *server = server_context(TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    assert_int_equal(SSL_CTX_set_min_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    assert_line(&pair.client_err, "the server accepts no TLS version that we speak");
    assert_int_equal(pair.server_status, AFAR_ETRUST);
    assert_line(&pair.server_err, "the client speaks no TLS version that we accept (TLS 1.3)");
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_no_cipher_in_common(void **state)
{
    (void)state;
    struct tls_context *client = client_context(TEST_CLIENT, TEST_CA);
    struct tls_context *server = server_context(TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    assert_int_equal(SSL_CTX_set_ciphersuites(client->ssl_ctx, "TLS_AES_128_GCM_SHA256"), 1);
    assert_int_equal(SSL_CTX_set_ciphersuites(server->ssl_ctx, "TLS_AES_256_GCM_SHA384"), 1);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    assert_line(&pair.client_err, "no cipher or key type in common");
    assert_int_equal(pair.server_status, AFAR_ETRUST);
    assert_line(&pair.server_err, "no cipher or key type in common");
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
    struct tls_context *client = client_context(NONE, TEST_CA);
    struct tls_context *server = NULL;
    struct tls_pair pair;

    assert_int_equal(tls_context_server_new(&server, &options, NULL), AFAR_OK);
    assert_int_equal(SSL_CTX_set_min_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    assert_line(&pair.client_err, "(use --cert and --key)");
    assert_int_equal(pair.server_status, AFAR_ETRUST);
    assert_line(&pair.server_err, "the client has shown no certificate");
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

/* ---- Peers that do not speak TLS ---- */

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
    struct tls_context *client = client_context(TEST_CLIENT, TEST_CA);
    struct tls_context *server = server_context(TEST_SERVER, TEST_CA);
    struct afar_error err;
    char answer[4096];

    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        const struct stranger *stranger = &strangers[i];
        print_message("  %.5s\n", stranger->sends);
        assert_int_equal(meet(client, "localhost", stranger, &err, answer, sizeof answer),
                         stranger->client_status);
        assert_line(&err, stranger->client_says);
        assert_int_equal(meet(server, NULL, stranger, &err, answer, sizeof answer),
                         stranger->server_status);
        assert_line(&err, stranger->server_says);
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
    struct tls_context *server = server_context(TEST_SERVER, TEST_CA);
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
    assert_line(&err, "the client does not speak TLS");
    transport_free(transport);
    BIO_free(theirs);
    tls_context_free(server);
}

/* ---- Alerts, one by one ---- */

struct alert {
    int number;
    enum afar_status status;
    const char *client_says; /* our client, of an alert of the server's */
    const char *server_says;
};

static const struct alert alerts[] = {
    {SSL_AD_CERTIFICATE_UNKNOWN, AFAR_ETRUST,
     "the server refused our certificate: the server's log says why",
     "the client refused our certificate: the address that it connects to"},
    {SSL_AD_CERTIFICATE_REVOKED, AFAR_ETRUST,
     "the server refused our certificate: it has been revoked",
     "the client refused our certificate: it has been revoked"},
    {SSL_AD_CERTIFICATE_EXPIRED, AFAR_ETRUST, "do the clocks agree?", "do the clocks agree?"},
    {SSL_AD_UNRECOGNIZED_NAME, AFAR_ETRUST, "the server does not go by the name 'localhost'",
     "does not go by the name"},
    {SSL_AD_ACCESS_DENIED, AFAR_ETRUST, "the server denies us access",
     "the client denies us access"},
    {SSL_AD_INSUFFICIENT_SECURITY, AFAR_ETRUST, "no cipher or key type in common",
     "no cipher or key type in common"},
    {SSL_AD_INTERNAL_ERROR, AFAR_EPEER, "the server ended TLS with the alert \"internal error\"",
     "the client ended TLS with the alert \"internal error\""},
    {SSL_AD_DECRYPT_ERROR, AFAR_EPEER, "decrypt error", "decrypt error"},
};

static void test_alerts(void **state)
{
    (void)state;
    struct tls_context *client = client_context(TEST_CLIENT, TEST_CA);
    struct tls_context *server = server_context(TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++) {
        struct afar_error err;
        assert_int_equal(
            tls_fail_alert((struct transport_tls *)(void *)pair.client, alerts[i].number, &err),
            alerts[i].status);
        assert_line(&err, alerts[i].client_says);
        assert_int_equal(
            tls_fail_alert((struct transport_tls *)(void *)pair.server, alerts[i].number, &err),
            alerts[i].status);
        assert_line(&err, alerts[i].server_says);
    }
    tls_pair_close(&pair);
    tls_context_free(client);
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
    assert_line(&err, "SSL_new failed: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_that_are_refused),
        cmocka_unit_test(test_expiry_is_told_to_the_second),
        cmocka_unit_test(test_alpn_mismatch),
        cmocka_unit_test(test_server_without_alpn),
        cmocka_unit_test(test_version_mismatch),
        cmocka_unit_test(test_no_cipher_in_common),
        cmocka_unit_test(test_tls12_without_certificate),
        cmocka_unit_test(test_plaintext),
        cmocka_unit_test(test_plaintext_is_seen_at_its_first_byte),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_local_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
