#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/alloc_fault.h"
#include "support/tls_pair.h"

static struct test_certs certs;
static struct tls_context *server_context;

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    server_context = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_free(server_context);
    test_certs_remove(&certs);
    return 0;
}

static struct tls_context *new_client_context(void)
{
    return tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
}

static void shake_hands(struct tls_pair *pair)
{
    tls_pair_handshake(pair);
    if (pair->client_status != AFAR_OK)
        fail_msg("client: %s", pair->client_err.message);
    if (pair->server_status != AFAR_OK)
        fail_msg("server: %s", pair->server_err.message);
}

/* ---- Over memory ----------------------------------------------------------------------------- */

static void test_works_through_buffers_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 5, 17, 200, 4096, 65536};
    struct tls_context *client = new_client_context();

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct tls_pair pair;
        tls_pair_open(&pair, client, server_context, "localhost", TLS_ALPN_AFAR, TLS_ALPN_AFAR,
                      sizes[i]);
        assert_int_equal(transport_fd(pair.client), -1);
        shake_hands(&pair);
        assert_int_equal(transport_handshake(pair.client, NULL), AFAR_OK); /* again and again */
        assert_string_equal(transport_alpn(pair.client), "afar/1");
        assert_string_equal(transport_alpn(pair.server), "afar/1");
        tls_pair_exchange(pair.client, pair.server, 1);
        tls_pair_exchange(pair.server, pair.client, 1);
        tls_pair_exchange(pair.client, pair.server, 50000);
        tls_pair_exchange(pair.server, pair.client, 50000);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
}

/* What a wait is for: the client has said hello and waits for an answer; a full buffer is waited
 * for by POLLOUT, although it was a handshake that wanted to read. */
static void test_events_name_what_is_waited_for(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    assert_int_equal(transport_handshake(pair.client, NULL), AFAR_EAGAIN);
    assert_int_equal(transport_recv_events(pair.client), POLLIN);
    assert_int_equal(transport_send_events(pair.client), POLLIN);
    shake_hands(&pair);
    assert_int_equal(transport_recv_events(pair.client), POLLIN);
    assert_int_equal(transport_send_events(pair.client), POLLOUT);
    tls_pair_close(&pair);

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 20);
    assert_int_equal(transport_handshake(pair.client, NULL), AFAR_EAGAIN);
    assert_int_equal(transport_recv_events(pair.client), POLLOUT);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_peers_are_known_by_their_certificates(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct identity identity;
    struct tls_pair pair;
    int64_t now = (int64_t)time(NULL);

    tls_pair_open(&pair, client, server_context, "127.0.0.1", NULL, NULL, 4096);
    transport_identity(pair.server, &identity);
    assert_int_equal(identity.kind, IDENTITY_ANONYMOUS); /* nobody, before the handshake */
    assert_string_equal(transport_alpn(pair.server), "");
    assert_false(transport_resumed(pair.server));
    shake_hands(&pair);
    transport_identity(pair.server, &identity);
    assert_int_equal(identity.kind, IDENTITY_CERTIFICATE);
    assert_string_equal(identity.name, "cn:tester");
    assert_in_range(identity.expires_at, now + 86400, now + 2 * 86400 + 60); /* the leaf's */
    transport_identity(pair.client, &identity);
    assert_int_equal(identity.kind, IDENTITY_CERTIFICATE);
    assert_string_equal(identity.name, "dns:localhost");
    assert_true(identity.expires_at > now + 3000L * 86400);
    assert_string_equal(transport_alpn(pair.client), "");
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_server_names(void **state)
{
    (void)state;
    static const char *const good[] = {"localhost", "LOCALHOST", "localhost.",
                                       "127.0.0.1", "::1",       "::1%lo"};
    static const char *const none[] = {"", ".", ".localhost", "%lo"};
    struct tls_context *client = new_client_context();

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct tls_pair pair;
        tls_pair_open(&pair, client, server_context, good[i], NULL, NULL, 4096);
        shake_hands(&pair);
        tls_pair_close(&pair);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct transport *transport = NULL;
        struct afar_error err;
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(transport_tls_over(&transport, client, -1, bio, bio, none[i], NULL, &err),
                         AFAR_EINVAL);
        assert_null(transport);
    }
    tls_context_free(client);
}

static void test_chains_may_have_an_intermediate(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER_CHAIN, TEST_CA);
    struct tls_pair pair;

    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);

    /* Only the intermediate is trusted: what it has issued is good, what its own CA has is not. */
    client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_INTERMEDIATE);
    server = tls_pair_server_context(&certs, TEST_SERVER_CHAIN, TEST_CA);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_close(&pair);
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_tls12_where_asked_for(void **state)
{
    (void)state;
    struct tls_server_options options = {.cert_file = certs.cert[TEST_SERVER],
                                         .key_file = certs.key[TEST_SERVER],
                                         .client_ca_file = certs.cert[TEST_CA],
                                         .allow_tls12 = true};
    struct tls_context *client = new_client_context();
    struct tls_context *server = NULL;
    struct tls_pair pair;

    assert_int_equal(tls_context_server_new(&server, &options, NULL), AFAR_OK);
    assert_int_equal(SSL_CTX_set_min_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    for (int i = 0; i < 2; i++) {
        struct identity identity;
        tls_pair_open(&pair, client, server, "localhost", TLS_ALPN_AFAR, TLS_ALPN_AFAR, 200);
        shake_hands(&pair);
        assert_int_equal(transport_resumed(pair.server), i > 0);
        transport_identity(pair.server, &identity);
        assert_string_equal(identity.name, "cn:tester");
        assert_true(identity.expires_at > (int64_t)time(NULL));
        tls_pair_exchange(pair.client, pair.server, 40000);
        tls_pair_exchange(pair.server, pair.client, 40000);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
    tls_context_free(server);
}

static void test_pending_bytes_are_told(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    char data[1000];
    size_t count = 0;

    memset(data, 'x', sizeof data);
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    assert_false(transport_pending(pair.server));
    assert_int_equal(transport_send(pair.client, data, sizeof data, &count, NULL), AFAR_OK);
    assert_int_equal(count, sizeof data);
    assert_int_equal(transport_recv(pair.server, data, 10, &count, NULL), AFAR_OK);
    assert_int_equal(count, 10);
    assert_true(transport_pending(pair.server));
    assert_int_equal(transport_recv(pair.server, data, sizeof data, &count, NULL), AFAR_OK);
    assert_int_equal(count, 990);
    assert_false(transport_pending(pair.server));
    assert_int_equal(transport_recv(pair.server, data, sizeof data, &count, NULL), AFAR_EAGAIN);
    assert_int_equal(count, 0);
    assert_int_equal(transport_recv_events(pair.server), POLLIN);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_goodbye_leaves_the_other_direction_open(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char byte = 0;
    size_t count = 0;

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 1); /* with the ticket */
    transport_shutdown(pair.client);
    assert_int_equal(transport_recv(pair.server, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_string_equal(err.message, "the peer has closed the connection");
    assert_int_equal(transport_recv(pair.server, &byte, 1, &count, &err), AFAR_ECLOSED);
    tls_pair_exchange(pair.server, pair.client, 1000);
    assert_int_equal(transport_send(pair.client, "x", 1, &count, &err), AFAR_ECLOSED);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_a_cut_is_a_disconnect(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char byte = 0;
    size_t count = 0;

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 10);
    tls_pair_cut(pair.server);
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_string_equal(err.message, "the peer has closed the connection");
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_ECLOSED);
    transport_shutdown(pair.client);
    tls_pair_close(&pair);

    /* Before anything was heard, the reason may be in the server's log. */
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_cut(pair.server);
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_ECLOSED);
    tls_pair_assert_line(&err, "right after the TLS handshake");
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* Every place in the handshake at which the peer can vanish. */
static void test_a_peer_that_vanishes_in_mid_handshake(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    bool finished = false;
    int rounds = 0;

    for (int steps = 0; !finished && steps < 1000; steps++, rounds++) {
        struct tls_pair pair;
        tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 64);
        for (int i = 0; i < steps; i++) {
            char byte = 0;
            size_t count = 0;
            pair.client_status = transport_handshake(pair.client, &pair.client_err);
            pair.server_status = transport_handshake(pair.server, &pair.server_err);
            if (pair.client_status == AFAR_OK) /* take the ticket, or the server is never done */
                (void)transport_recv(pair.client, &byte, 1, &count, NULL);
        }
        finished = pair.client_status == AFAR_OK && pair.server_status == AFAR_OK;
        if (!finished) {
            tls_pair_cut(pair.client);
            for (int i = 0; i < 100 && pair.server_status == AFAR_EAGAIN; i++)
                pair.server_status = transport_handshake(pair.server, &pair.server_err);
            if (pair.server_status == AFAR_ECLOSED)
                tls_pair_assert_line(&pair.server_err, "the client closed the connection during");
            else /* it can still be busy sending into a full buffer that nobody reads */
                assert_true(pair.server_status == AFAR_EAGAIN || pair.server_status == AFAR_OK);
        }
        tls_pair_close(&pair);
    }
    assert_true(finished);
    assert_true(rounds > 10);
    tls_context_free(client);
}

/* A send that did not fit is repeated with the same bytes, from wherever they are then. */
static void test_a_repeated_send_may_move(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char here[500];
    char there[600];
    char received[600];
    size_t count = 0;
    size_t got = 0;

    for (size_t i = 0; i < sizeof here; i++)
        here[i] = (char)i;
    memset(there, '!', sizeof there);
    memcpy(there, here, sizeof here);

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 100);
    shake_hands(&pair);
    assert_int_equal(transport_send(pair.client, here, sizeof here, &count, &err), AFAR_EAGAIN);
    assert_int_equal(count, 0);
    assert_int_equal(transport_send_events(pair.client), POLLOUT);
    memset(here, 0, sizeof here);
    for (int i = 0; i < 100 && got < sizeof here; i++) {
        size_t part = 0;
        if (count == 0)
            (void)transport_send(pair.client, there, sizeof there, &count, &err);
        (void)transport_recv(pair.server, received + got, sizeof received - got, &part, &err);
        got += part;
    }
    assert_int_equal(count, 500); /* what had been encrypted, not the 100 that were added */
    assert_int_equal(got, 500);
    assert_memory_equal(received, there, 500);

    /* With fewer bytes, it is our mistake. */
    assert_int_equal(transport_send(pair.client, there, sizeof there, &count, &err), AFAR_EAGAIN);
    assert_int_equal(transport_send(pair.client, there, 10, &count, &err), AFAR_EBUG);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_garbage_after_the_handshake(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char byte = 0;
    size_t count = 0;

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    BIO *bio = SSL_get_wbio(((struct transport_tls *)(void *)pair.client)->ssl);
    assert_int_equal(BIO_write(bio,
                               "\x17\x03\x03\x00\x20"
                               "0123456789abcdef0123456789abcdef",
                               37),
                     37);
    assert_int_equal(transport_recv(pair.server, &byte, 1, &count, &err), AFAR_EPEER);
    tls_pair_assert_line(&err, "the client broke the TLS protocol (");
    assert_int_equal(transport_recv(pair.server, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_int_equal(transport_send(pair.server, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_EPEER);
    tls_pair_assert_line(&err, "bad record mac");
    transport_shutdown(pair.server); /* must not touch OpenSSL any more */
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_misuse(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct transport *transport = NULL;
    struct tls_pair pair;
    char byte = 0;
    size_t count = 0;

    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(transport_tls_over(&transport, client, -1, bio, bio, NULL, NULL, NULL),
                     AFAR_EBUG);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(
        transport_tls_over(&transport, server_context, -1, bio, bio, "localhost", NULL, NULL),
        AFAR_EBUG);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(transport_tls_over(&transport, client, -1, bio, bio, "localhost", "", NULL),
                     AFAR_EBUG);
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    assert_int_equal(transport_recv(pair.client, &byte, 0, &count, NULL), AFAR_EBUG);
    assert_int_equal(transport_send(pair.client, &byte, 0, &count, NULL), AFAR_EBUG);
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* All records that are there come by one call, and what ended them with the last. */
static void test_fill_takes_records_together(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char data[1000];
    size_t count = 0;
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 100000);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 1); /* and the ticket */
    assert_int_equal(transport_fill(pair.client, data, sizeof data, &count, &err), AFAR_EAGAIN);
    assert_int_equal(count, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(transport_send(pair.server, "record", 6, &count, &err), AFAR_OK);
    transport_shutdown(pair.server);
    assert_int_equal(transport_fill(pair.client, data, 9, &count, &err), AFAR_OK);
    assert_int_equal(count, 9);
    assert_int_equal(transport_fill(pair.client, data + 9, sizeof data - 9, &count, &err),
                     AFAR_ECLOSED);
    assert_int_equal(count, 9);
    assert_memory_equal(data, "recordrecordrecord", 18);
    assert_int_equal(transport_fill(pair.client, data, sizeof data, &count, &err), AFAR_ECLOSED);
    assert_int_equal(count, 0);
    tls_pair_close(&pair);
    tls_context_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works_through_buffers_of_any_size),
        cmocka_unit_test(test_events_name_what_is_waited_for),
        cmocka_unit_test(test_peers_are_known_by_their_certificates),
        cmocka_unit_test(test_server_names),
        cmocka_unit_test(test_chains_may_have_an_intermediate),
        cmocka_unit_test(test_tls12_where_asked_for),
        cmocka_unit_test(test_pending_bytes_are_told),
        cmocka_unit_test(test_goodbye_leaves_the_other_direction_open),
        cmocka_unit_test(test_a_cut_is_a_disconnect),
        cmocka_unit_test(test_a_peer_that_vanishes_in_mid_handshake),
        cmocka_unit_test(test_a_repeated_send_may_move),
        cmocka_unit_test(test_garbage_after_the_handshake),
        cmocka_unit_test(test_fill_takes_records_together),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
