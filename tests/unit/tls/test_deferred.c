#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/tls_pair.h"

static struct test_certs certs;
static struct tls_context *server;

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_free(server);
    test_certs_remove(&certs);
    return 0;
}

static struct tls_context *new_client(const char *ca, const char *cert, const char *key)
{
    struct tls_context *client = NULL;
    struct afar_error err;
    const struct tls_client_options options = {
        .ca_file = ca, .cert_file = cert, .key_file = key, .defer = true};
    assert_int_equal(tls_context_client_new(&client, &options, &err), AFAR_OK);
    return client;
}

static struct tls_context *good_client(void)
{
    return new_client(certs.cert[TEST_CA], certs.cert[TEST_CLIENT], certs.key[TEST_CLIENT]);
}

static void shake(struct tls_pair *pair, struct tls_context *client)
{
    tls_pair_open(pair, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(pair);
}

static void test_in_time(void **state)
{
    (void)state;
    struct tls_pair pair;
    struct tls_context *client = good_client();
    for (int i = 0; i < 3; i++) { /* the later ones resume, and need nothing */
        shake(&pair, client);
        assert_int_equal(pair.client_status, AFAR_OK);
        assert_int_equal(pair.server_status, AFAR_OK);
        tls_pair_exchange(pair.server, pair.client, 10);
        assert_int_equal(transport_resumed(pair.client), i > 0);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
}

/* A session of another process: no file is looked at, not even for being there. */
static void test_resuming_needs_none(void **state)
{
    (void)state;
    struct tls_pair pair;
    struct afar_error err;
    uint8_t *data = NULL;
    size_t size = 0;
    struct tls_context *client = good_client();
    shake(&pair, client);
    tls_pair_exchange(pair.server, pair.client, 10);
    tls_pair_close(&pair);
    assert_int_equal(tls_context_export(client, "localhost", &data, &size, &err), AFAR_OK);
    tls_context_free(client);

    client = new_client("/nonexistent/ca", "/nonexistent/cert", "/nonexistent/key");
    assert_int_equal(tls_context_import(client, "localhost", data, size, &err), AFAR_OK);
    shake(&pair, client);
    assert_int_equal(pair.client_status, AFAR_OK);
    assert_true(transport_resumed(pair.client));
    tls_pair_close(&pair);
    tls_context_free(client);

    /* But where the server does not take it, they are. */
    struct tls_context *old = server;
    server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    client = good_client();
    assert_int_equal(tls_context_import(client, "localhost", data, size, &err), AFAR_OK);
    shake(&pair, client);
    assert_int_equal(pair.client_status, AFAR_OK);
    assert_false(transport_resumed(pair.client));
    tls_pair_close(&pair);
    tls_context_free(client);
    client = new_client("/nonexistent/ca", "/nonexistent/cert", "/nonexistent/key");
    assert_int_equal(tls_context_import(client, "localhost", data, size, &err), AFAR_OK);
    shake(&pair, client);
    assert_int_equal(pair.client_status, AFAR_EINVAL);
    tls_pair_assert_line(&pair.client_err, "/nonexistent/c");
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
    server = old;
    free(data);
}

/* Each connection hears of it, not only the one that has looked. */
static void refused(struct tls_context *client, const char *expected)
{
    struct tls_pair pair;
    for (int i = 0; i < 2; i++) {
        shake(&pair, client);
        assert_int_equal(pair.client_status, AFAR_EINVAL);
        tls_pair_assert_line(&pair.client_err, expected);
        /* The server is not told that it is its own certificate's fault. */
        assert_int_not_equal(pair.server_status, AFAR_ETRUST);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
}

static void test_what_is_wrong_with_them(void **state)
{
    (void)state;
    const char *ca = certs.cert[TEST_CA];
    const char *cert = certs.cert[TEST_CLIENT];
    const char *key = certs.key[TEST_CLIENT];
    refused(new_client("/nonexistent/ca", cert, key), "cannot read the CA file '/nonexistent/ca'");
    refused(new_client(key, cert, key), "contains no PEM certificate");
    refused(new_client(ca, "/nonexistent/cert", key),
            "cannot read the certificate file '/nonexistent/cert'");
    refused(new_client(ca, cert, "/nonexistent/key"),
            "cannot read the key file '/nonexistent/key'");
    refused(new_client(ca, cert, certs.key[TEST_SERVER]), "does not belong to the certificate");
}

/* Also where they are asked for first while its certificate is looked at. */
static void test_the_server_is_not_blamed(void **state)
{
    (void)state;
    struct tls_pair pair;
    struct tls_context *client =
        new_client("/nonexistent/ca", certs.cert[TEST_CLIENT], certs.key[TEST_CLIENT]);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 300000);
    ((struct transport_tls *)(void *)pair.client)->offers = true; /* as if it would resume */
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_EINVAL);
    assert_int_equal(pair.server_status, AFAR_EPEER);
    tls_pair_assert_line(&pair.server_err,
                         "the client gave up: something failed on its side, such as a file that it "
                         "cannot use; its own message says what");
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_a_server_of_another_ca(void **state)
{
    (void)state;
    struct tls_pair pair;
    struct tls_context *client =
        new_client(certs.cert[TEST_OTHER_CA], certs.cert[TEST_CLIENT], certs.key[TEST_CLIENT]);
    shake(&pair, client);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_assert_line(&pair.client_err, "was issued by a CA that we do not trust");
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_without_a_certificate(void **state)
{
    (void)state;
    struct tls_pair pair;
    struct tls_context *client = new_client(certs.cert[TEST_CA], NULL, NULL);
    shake(&pair, client);
    assert_int_equal(pair.server_status, AFAR_ETRUST);
    tls_pair_close(&pair);
    tls_context_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_time),
        cmocka_unit_test(test_resuming_needs_none),
        cmocka_unit_test(test_what_is_wrong_with_them),
        cmocka_unit_test(test_the_server_is_not_blamed),
        cmocka_unit_test(test_a_server_of_another_ca),
        cmocka_unit_test(test_without_a_certificate),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
