#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

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

struct alert {
    int number;
    enum afar_status status;
    const char *client_says; /* our client, of an alert of the server's */
    const char *server_says;
};

static const struct alert alerts[] = {
    {SSL_AD_CERTIFICATE_UNKNOWN, AFAR_ETRUST,
     "the server refused our certificate: the server's log says why",
     "the client refused our certificate: it does not say why; it may know us by another key"},
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
    {SSL_AD_INTERNAL_ERROR, AFAR_EPEER,
     "the server failed, or has no room for another connection; try again later",
     "the client gave up: something failed on its side, such as a file that it cannot use"},
    {SSL_AD_DECRYPT_ERROR, AFAR_ETRUST,
     "the server refused our certificate: a signature is wrong; it may trust another CA of the "
     "same "
     "name ('CN=Afar test CA')",
     "the client refused our certificate: a signature is wrong"},
    {SSL_AD_CERTIFICATE_REQUIRED, AFAR_ETRUST,
     "takes no signature that the key of ours (EC prime256v1) can make",
     "the server requires a client certificate"},
    {SSL_AD_RECORD_OVERFLOW, AFAR_EPEER, "record overflow", "record overflow"},
};

static void test_alerts(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300);
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++) {
        struct afar_error err;
        assert_int_equal(
            tls_fail_alert((struct transport_tls *)(void *)pair.client, alerts[i].number, &err),
            alerts[i].status);
        tls_pair_assert_line(&err, alerts[i].client_says);
        assert_int_equal(
            tls_fail_alert((struct transport_tls *)(void *)pair.server, alerts[i].number, &err),
            alerts[i].status);
        tls_pair_assert_line(&err, alerts[i].server_says);
    }
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alerts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
