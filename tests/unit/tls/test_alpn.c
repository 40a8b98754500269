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
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);

    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        struct tls_pair pair;
        tls_pair_open(&pair, client, server, "localhost", protocols[i].client_alpn,
                      protocols[i].server_alpn, 300);
        tls_pair_handshake(&pair);
        assert_int_equal(pair.client_status, AFAR_ETRUST);
        tls_pair_assert_line(&pair.client_err, protocols[i].client_says);
        assert_int_equal(pair.server_status, AFAR_ETRUST);
        tls_pair_assert_line(&pair.server_err, protocols[i].server_says);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
    tls_context_free(server);
}

/* A server that knows nothing of ALPN agrees on nothing; the client notices by itself. */
static void test_server_without_alpn(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    SSL_CTX_set_alpn_select_cb(server->ssl_ctx, NULL, NULL);
    tls_pair_open(&pair, client, server, "localhost", TLS_ALPN_AFAR, NULL, 300);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_assert_line(&pair.client_err, "the server did not agree on the protocol 'afar/1'");
    tls_pair_close(&pair);

    /* Nor does a client that offers something else to a listener without a protocol mind. */
    tls_context_free(server);
    server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    tls_pair_open(&pair, client, server, "localhost", "other/1", NULL, 8192);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.server_status, AFAR_OK);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alpn_mismatch),
        cmocka_unit_test(test_server_without_alpn),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
