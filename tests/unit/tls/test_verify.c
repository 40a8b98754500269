/* Certificates that are refused: the one line that each side says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

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

struct quarrel {
    const char *what;
    int client;        /* certificate, or TLS_PAIR_NONE */
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
     "the client refused our certificate: it, or its CA, is not made for this use (extended key "
     "usage "
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
     "the server refused our certificate: it, or its CA, is not made for this use (extended key "
     "usage "
     "clientAuth)",
     AFAR_ETRUST,
     "the client's certificate (CN=tester) is not made for this use: it lacks the extended key "
     "usage clientAuth"},
    {"no client certificate", TLS_PAIR_NONE, TEST_CA, TEST_SERVER, TEST_CA, "localhost",
     AFAR_ETRUST, "the server requires a client certificate (use --cert and --key)", AFAR_ETRUST,
     "the client has shown no certificate"},
};

static void run_quarrel(const struct quarrel *quarrel)
{
    struct tls_context *client = tls_pair_client_context(&certs, quarrel->client, quarrel->ca);
    struct tls_context *server =
        tls_pair_server_context(&certs, quarrel->server, quarrel->client_ca);
    struct tls_pair pair;

    print_message("  %s\n", quarrel->what);
    tls_pair_open(&pair, client, server, quarrel->name, TLS_ALPN_AFAR, TLS_ALPN_AFAR, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, quarrel->client_status);
    tls_pair_assert_line(&pair.client_err, quarrel->client_says);
    assert_int_equal(pair.server_status, quarrel->server_status);
    tls_pair_assert_line(&pair.server_err, quarrel->server_says);

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
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER_EXPIRED, TEST_CA);
    struct transport_tls probe = {.ssl = SSL_new(server->ssl_ctx)};
    struct tls_pair pair;
    char when[40];

    tls_time_text(X509_get0_notAfter(SSL_get_certificate(probe.ssl)), when, sizeof when);
    assert_int_equal(strlen(when), strlen("2026-11-23 05:12:01 UTC"));
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    tls_pair_handshake(&pair);
    tls_pair_assert_line(&pair.client_err, when);
    tls_pair_assert_line(&pair.server_err, when);
    tls_pair_close(&pair);
    SSL_free(probe.ssl);
    tls_context_free(client);
    tls_context_free(server);
}

/* The rarer reasons, given to the callback as OpenSSL would. */
static void test_other_reasons(void **state)
{
    (void)state;
    static const struct {
        int error;
        int depth;
        const char *says;
    } reasons[] = {
        {X509_V_ERR_CERT_SIGNATURE_FAILURE, 0,
         "the server's certificate (CN=afard) was not signed by the CA that we trust; another CA "
         "of the same name?"},
        {X509_V_ERR_CERT_HAS_EXPIRED, 1,
         "the server's certificate: its CA (CN=afard) expired on 20"},
        {X509_V_ERR_INVALID_PURPOSE, 1, "it lacks the right to issue certificates (CA:TRUE)"},
        {X509_V_ERR_CERT_REVOKED, 0, "has been revoked"},
        {X509_V_ERR_CERT_UNTRUSTED, 0, "was issued by a CA that we do not trust (CN=Afar test CA)"},
    };
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    X509 *certificate = SSL_CTX_get0_certificate(server->ssl_ctx);
    SSL_verify_cb note = SSL_CTX_get_verify_callback(client->ssl_ctx);
    struct tls_pair pair;

    for (size_t i = 0; i < 2 * sizeof reasons / sizeof reasons[0]; i++) {
        struct afar_error err;
        tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
        struct transport_tls *transport = (struct transport_tls *)(void *)pair.client;
        X509_STORE_CTX *store = X509_STORE_CTX_new();
        assert_int_equal(X509_STORE_CTX_init(store, NULL, certificate, NULL), 1);
        assert_int_equal(
            X509_STORE_CTX_set_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx(), transport->ssl),
            1);
        assert_int_equal(note(1, store), 1);
        assert_string_equal(transport->note, "");
        X509_STORE_CTX_set_error(store, reasons[i / 2].error);
        X509_STORE_CTX_set_error_depth(store, reasons[i / 2].depth);
        if (i % 2 == 0 || reasons[i / 2].depth > 0) /* or it is not about one of the chain */
            X509_STORE_CTX_set_current_cert(store, certificate);
        assert_int_equal(note(0, store), 0);
        (void)afar_fail(&err, AFAR_ETRUST, "%s", transport->note);
        tls_pair_assert_line(&err, reasons[i / 2].says);
        X509_STORE_CTX_free(store);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
    tls_context_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_that_are_refused),
        cmocka_unit_test(test_expiry_is_told_to_the_second),
        cmocka_unit_test(test_other_reasons),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
