// wrap: time
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/tls_pair.h"

static struct test_certs certs;
static struct tls_context *server;
static time_t skew_s; /* added to the clock that our own code sees */

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
    time_t now = __real_time(NULL) + skew_s;
    if (out != NULL)
        *out = now;
    return now;
}

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

/* As another process would make it. */
static struct tls_context *new_client(void)
{
    return tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
}

static bool connect_once(struct tls_context *client, struct identity *who)
{
    struct tls_pair pair;
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(&pair);
    if (pair.client_status != AFAR_OK || pair.server_status != AFAR_OK)
        fail_msg("%s / %s", pair.client_err.message, pair.server_err.message);
    tls_pair_exchange(pair.server, pair.client, 10);
    bool resumed = transport_resumed(pair.client);
    transport_identity(pair.client, who);
    tls_pair_close(&pair);
    return resumed;
}

/* What the first connection of a client leaves. */
static void make_session(uint8_t **data, size_t *size, struct identity *who)
{
    struct afar_error err;
    struct tls_context *client = new_client();
    assert_false(connect_once(client, who));
    assert_int_equal(tls_context_export(client, "localhost", data, size, &err), AFAR_OK);
    assert_non_null(*data);
    tls_context_free(client);
}

static void test_another_process_resumes(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    struct identity first;
    struct identity later;
    struct afar_error err;
    make_session(&data, &size, &first);
    for (int i = 0; i < 3; i++) { /* each hands on what it was given last */
        struct tls_context *client = new_client();
        assert_int_equal(tls_context_import(client, "localhost", data, size, &err), AFAR_OK);
        free(data);
        assert_true(connect_once(client, &later));
        assert_string_equal(later.name, first.name);
        assert_int_equal(later.expires_at, first.expires_at);
        assert_int_equal(tls_context_export(client, "localhost", &data, &size, &err), AFAR_OK);
        assert_non_null(data);
        tls_context_free(client);
    }
    free(data);
}

/* Decoding it would cost what resuming saves; and it is no secret that anybody would miss. */
static void test_the_certificate_stays_behind(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    struct identity who;
    static const char issuer[] = "Afar test CA";
    make_session(&data, &size, &who);
    assert_null(memmem(data, size, issuer, sizeof issuer - 1));
    free(data);
}

static void test_nothing_to_export(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    struct afar_error err;
    struct tls_context *client = new_client();
    assert_int_equal(tls_context_export(client, "localhost", &data, &size, &err), AFAR_OK);
    assert_null(data);
    tls_context_free(client);
}

static void test_expired_is_not_offered(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    struct identity who;
    struct afar_error err;
    make_session(&data, &size, &who);
    struct tls_context *client = new_client();
    skew_s = (time_t)(who.expires_at - __real_time(NULL)) + 1;
    assert_int_equal(tls_context_import(client, "localhost", data, size, &err), AFAR_EPEER);
    skew_s = 0;
    assert_false(connect_once(client, &who));
    tls_context_free(client);
    free(data);
}

/* Cut anywhere, and each byte another: refused, or a session that the server does not know. */
static void test_damaged(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    struct identity who;
    struct afar_error err;
    make_session(&data, &size, &who);
    struct tls_context *client = new_client();
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, data, cut);
        assert_int_equal(tls_context_import(client, "localhost", copy, cut, &err), AFAR_EPEER);
        free(copy);
    }
    for (size_t at = 0; at < size; at++) {
        data[at] ^= 0xff;
        (void)tls_context_import(client, "localhost", data, size, &err);
        data[at] ^= 0xff;
    }
    tls_context_free(client);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_process_resumes),
        cmocka_unit_test(test_the_certificate_stays_behind),
        cmocka_unit_test(test_nothing_to_export),
        cmocka_unit_test(test_expired_is_not_offered),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
