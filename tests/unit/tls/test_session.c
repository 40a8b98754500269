// wrap: time strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "support/skewed_time.h"
#include "support/tls_pair.h"

static struct test_certs certs;

/* Added to the clock that our own code sees; OpenSSL's stays right. */
static bool no_memory;

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return no_memory ? NULL : __real_strdup(text);
}

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

static int reset_clock(void **state)
{
    (void)state;
    skew_s = 0;
    no_memory = false;
    return 0;
}

/* Connects, exchanges a few bytes, and says whether the session was resumed, which both sides must
 * see alike. `goodbye`: with close_notify. */
static bool connect_once(struct tls_context *client, struct tls_context *server, const char *name,
                         bool goodbye, struct identity *identity)
{
    struct tls_pair pair;

    tls_pair_open(&pair, client, server, name, NULL, NULL, 4096);
    tls_pair_handshake(&pair);
    if (pair.client_status != AFAR_OK || pair.server_status != AFAR_OK)
        fail_msg("%s / %s", pair.client_err.message, pair.server_err.message);
    tls_pair_exchange(pair.server, pair.client, 10);
    bool resumed = transport_resumed(pair.client);
    assert_int_equal(transport_resumed(pair.server), resumed);
    if (identity != NULL)
        transport_identity(pair.server, identity);
    if (goodbye) {
        transport_shutdown(pair.client);
        transport_shutdown(pair.server);
    }
    tls_pair_close(&pair);
    return resumed;
}

static void test_every_later_connection_resumes(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct identity first;
    struct identity later;

    assert_false(connect_once(client, server, "localhost", true, &first));
    for (int i = 0; i < 4; i++) {
        assert_true(connect_once(client, server, "localhost", i % 2 == 0, &later));
        assert_int_equal(later.kind, IDENTITY_CERTIFICATE);
        assert_string_equal(later.name, first.name);
        assert_int_equal(later.expires_at, first.expires_at);
    }
    tls_context_free(client);
    tls_context_free(server);
}

static void test_a_ticket_is_offered_once(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair first;
    struct tls_pair second;

    assert_false(connect_once(client, server, "localhost", true, NULL));
    tls_pair_open(&first, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_open(&second, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(&first);
    tls_pair_handshake(&second);
    assert_true(transport_resumed(first.client));
    assert_int_equal(second.client_status, AFAR_OK);
    assert_false(transport_resumed(second.client));
    tls_pair_close(&first);
    tls_pair_close(&second);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_sessions_belong_to_a_name(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);

    assert_false(connect_once(client, server, "localhost", true, NULL));
    assert_false(connect_once(client, server, "127.0.0.1", true, NULL));
    assert_true(connect_once(client, server, "localhost", true, NULL));
    assert_true(connect_once(client, server, "127.0.0.1", true, NULL));
    tls_context_free(client);
    tls_context_free(server);
}

/* As after a restart or a reload: the new context has new ticket keys. */
static void test_another_server_context_shakes_hands_in_full(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);

    assert_false(connect_once(client, server, "localhost", true, NULL));
    tls_context_free(server);
    server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    assert_false(connect_once(client, server, "localhost", true, NULL));
    assert_true(connect_once(client, server, "localhost", true, NULL));
    tls_context_free(client);
    tls_context_free(server);
}

/* However often it was renewed meanwhile: on the server, and, where that goes on giving sessions,
 * on the client. */
static void test_a_session_ends_an_hour_after_the_handshake(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    assert_false(connect_once(client, server, "localhost", true, NULL));
    for (skew_s = 600; skew_s < TLS_SESSION_LIFE_S - 60; skew_s += 600)
        assert_true(connect_once(client, server, "localhost", true, NULL));
    skew_s = TLS_SESSION_LIFE_S - 60;
    assert_true(connect_once(client, server, "localhost", true, NULL));
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    skew_s = TLS_SESSION_LIFE_S; /* so that it is the server that refuses */
    tls_pair_handshake(&pair);
    assert_false(transport_resumed(pair.server));
    tls_pair_exchange(pair.server, pair.client, 10);
    tls_pair_close(&pair);

    assert_true(connect_once(client, server, "localhost", true, NULL));
    skew_s += TLS_SESSION_LIFE_S; /* and the client */
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    assert_false(((struct transport_tls *)(void *)pair.client)->offers);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

/* Then it is older than it seems, and nobody knows by how much. */
static void test_a_clock_that_was_set_back(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);

    assert_false(connect_once(client, server, "localhost", true, NULL));
    skew_s = -600;
    assert_false(connect_once(client, server, "localhost", true, NULL));
    assert_true(connect_once(client, server, "localhost", true, NULL));
    tls_context_free(client);
    tls_context_free(server);
}

/* The other way round: after eleven years nothing of the server's is good any more. */
static void test_client_does_not_offer_the_session_of_an_expired_server(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    assert_false(connect_once(client, server, "localhost", true, NULL));
    skew_s = 4000L * 86400;
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    skew_s = 0; /* so that it is not the server that refuses */
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_OK);
    assert_false(transport_resumed(pair.client));
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

/* Remembering is bounded: the oldest server is forgotten. */
static void test_the_oldest_session_makes_room(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    char name[32];

    assert_false(connect_once(client, server, "localhost", true, NULL));
    assert_false(connect_once(client, server, "127.0.0.1", true, NULL));
    for (int i = 0; i < TLS_SESSIONS_MAX - 1; i++) { /* scopes make many names of one address */
        (void)snprintf(name, sizeof name, "::1%%%d", i);
        assert_false(connect_once(client, server, name, true, NULL));
    }
    assert_int_equal(client->saved_count, TLS_SESSIONS_MAX);
    assert_true(connect_once(client, server, "127.0.0.1", true, NULL));
    assert_false(connect_once(client, server, "localhost", true, NULL));
    assert_int_equal(client->saved_count, TLS_SESSIONS_MAX);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_no_memory_means_no_session_and_nothing_else(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    no_memory = true;
    tls_pair_handshake(&pair);
    tls_pair_exchange(pair.server, pair.client, 10);
    no_memory = false;
    tls_pair_close(&pair);
    assert_int_equal(client->saved_count, 0);
    assert_false(connect_once(client, server, "localhost", true, NULL));
    tls_context_free(client);
    tls_context_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_later_connection_resumes, reset_clock),
        cmocka_unit_test_setup(test_a_ticket_is_offered_once, reset_clock),
        cmocka_unit_test_setup(test_sessions_belong_to_a_name, reset_clock),
        cmocka_unit_test_setup(test_another_server_context_shakes_hands_in_full, reset_clock),
        cmocka_unit_test_setup(test_a_session_ends_an_hour_after_the_handshake, reset_clock),
        cmocka_unit_test_setup(test_a_clock_that_was_set_back, reset_clock),
        cmocka_unit_test_setup(test_client_does_not_offer_the_session_of_an_expired_server,
                               reset_clock),
        cmocka_unit_test_setup(test_the_oldest_session_makes_room, reset_clock),
        cmocka_unit_test_setup(test_no_memory_means_no_session_and_nothing_else, reset_clock),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
