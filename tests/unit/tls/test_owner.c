/* Who is one client and who is another: by the chain and the names, in each way that a client may
 * come. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/pem.h>

#include "support/tls_pair.h"

static struct test_certs certs;

static int make_certs(void **state)
{
    (void)state;
    return test_certs_make(&certs) ? 0 : -1;
}

static int remove_certs(void **state)
{
    (void)state;
    test_certs_remove(&certs);
    return 0;
}

/* A server that trusts this CA and, with `pin`, this key; TLS 1.2 too where `old`. */
static struct tls_context *serve(enum test_cert ca, const char *pin, bool old)
{
    struct tls_context *context = NULL;
    struct afar_error err;
    char *pins[] = {(char *)(uintptr_t)pin};
    const struct tls_server_options options = {.cert_file = certs.cert[TEST_SERVER],
                                               .key_file = certs.key[TEST_SERVER],
                                               .client_ca_file = certs.cert[ca],
                                               .allow_tls12 = old,
                                               .pins = pins,
                                               .pin_count = pin != NULL ? 1 : 0};
    if (tls_context_server_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

struct visit {
    char owner[IDENTITY_OWNER_BYTES];
    char name[IDENTITY_NAME_BYTES];
    bool resumed;
};

/* Where `judge` is given, the server looks at its client again by that. */
static struct visit visit(struct tls_context *client, struct tls_context *server,
                          struct tls_context *judge, bool old)
{
    struct tls_pair pair;
    struct identity identity;
    struct visit result;
    struct afar_error err;
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    if (old) {
        SSL *ssl = ((struct transport_tls *)(void *)pair.client)->ssl;
        assert_int_equal(SSL_set_min_proto_version(ssl, TLS1_2_VERSION), 1);
        assert_int_equal(SSL_set_max_proto_version(ssl, TLS1_2_VERSION), 1);
    }
    tls_pair_handshake(&pair);
    if (pair.client_status != AFAR_OK || pair.server_status != AFAR_OK)
        fail_msg("%s / %s", pair.client_err.message, pair.server_err.message);
    tls_pair_exchange(pair.server, pair.client, 10);
    tls_pair_exchange(pair.client, pair.server, 10);
    result.resumed = transport_resumed(pair.server);
    if (judge != NULL && transport_judge(pair.server, judge, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    transport_identity(pair.server, &identity);
    (void)snprintf(result.owner, sizeof result.owner, "%s", identity.owner);
    (void)snprintf(result.name, sizeof result.name, "%s", identity.name);
    tls_pair_close(&pair);
    return result;
}

/* The owner of a client's first visit. */
static struct visit owner_of(enum test_cert cert, enum test_cert ca)
{
    struct tls_context *client = tls_pair_client_context(&certs, (int)cert, TEST_CA);
    struct tls_context *server = serve(ca, NULL, false);
    struct visit result = visit(client, server, NULL, false);
    tls_context_free(client);
    tls_context_free(server);
    return result;
}

static void a_renewed_certificate(void **state)
{
    (void)state;
    struct visit first = owner_of(TEST_CLIENT_URI, TEST_CA);
    struct visit renewed = owner_of(TEST_CLIENT_RENEWED, TEST_CA);
    assert_memory_equal(first.owner, "sha256:", 7);
    assert_int_equal(strlen(first.owner), 7 + 64);
    assert_string_equal(renewed.owner, first.owner);
}

static void others(void **state)
{
    (void)state;
    struct visit first = owner_of(TEST_CLIENT_URI, TEST_CA);
    struct visit twin = owner_of(TEST_CLIENT_TWIN, TEST_CA);
    assert_string_equal(twin.name, first.name); /* which is why a name is not enough */
    assert_string_not_equal(twin.owner, first.owner);
    static const enum test_cert certs_of_others[] = {TEST_CLIENT, TEST_CLIENT_DNS,
                                                     TEST_CLIENT_EMAIL, TEST_CLIENT_NASTY};
    char owners[4][IDENTITY_OWNER_BYTES];
    for (size_t i = 0; i < 4; i++) {
        struct visit other = owner_of(certs_of_others[i], TEST_CA);
        (void)snprintf(owners[i], sizeof owners[i], "%s", other.owner);
        for (size_t before = 0; before < i; before++)
            assert_string_not_equal(owners[i], owners[before]);
    }
    /* The same name, by another CA. */
    struct visit mine = owner_of(TEST_CLIENT, TEST_CA);
    struct visit other = owner_of(TEST_CLIENT_OTHER_CA, TEST_OTHER_CA);
    assert_string_equal(other.name, mine.name);
    assert_string_not_equal(other.owner, mine.owner);
}

static void those_without_a_name(void **state)
{
    (void)state;
    struct visit nameless = owner_of(TEST_CLIENT_NAMELESS, TEST_CA);
    assert_memory_equal(nameless.owner, "pin:sha256:", 11);
    assert_string_equal(nameless.owner, nameless.name);
}

static void who_comes_back(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        struct tls_context *client = tls_pair_client_context(&certs, (int)TEST_CLIENT_URI, TEST_CA);
        struct tls_context *server = serve(TEST_CA, NULL, true);
        struct visit first = visit(client, server, NULL, old == 1);
        assert_false(first.resumed);
        /* (The ticket that TLS 1.2 gives to who comes back is of no use.) */
        for (int i = 0; i < (old == 1 ? 1 : 3); i++) {
            struct visit again = visit(client, server, NULL, old == 1);
            assert_true(again.resumed);
            assert_string_equal(again.owner, first.owner);
        }
        tls_context_free(client);
        tls_context_free(server);
    }
}

/* A reload may take the CA away, or bring it: who is let in for its key is its key's. */
static void by_another_configuration(void **state)
{
    (void)state;
    struct visit vouched = owner_of(TEST_CLIENT, TEST_CA);
    struct tls_context *client = tls_pair_client_context(&certs, (int)TEST_CLIENT, TEST_CA);
    struct tls_context *server = serve(TEST_CA, NULL, false);
    char pin[TLS_PIN_BYTES] = "";
    FILE *file = fopen(certs.cert[TEST_CLIENT], "re");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    assert_true(tls_pin(certificate, pin));
    X509_free(certificate);
    struct tls_context *by_pin = serve(TEST_OTHER_CA, pin, false);
    struct visit judged = visit(client, server, by_pin, false);
    assert_memory_equal(judged.owner, "pin:sha256:", 11);
    assert_string_equal(judged.owner + 11, pin);
    assert_string_equal(judged.name, "cn:tester"); /* as it has come */
    struct visit pinned = visit(client, by_pin, NULL, false);
    assert_string_equal(pinned.owner, judged.owner);
    struct visit back = visit(client, by_pin, server, false);
    assert_true(back.resumed);
    assert_string_equal(back.owner, vouched.owner);
    tls_context_free(client);
    tls_context_free(server);
    tls_context_free(by_pin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewed_certificate),    cmocka_unit_test(others),
        cmocka_unit_test(those_without_a_name),     cmocka_unit_test(who_comes_back),
        cmocka_unit_test(by_another_configuration),
    };
    return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
