// wrap: send
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "support/tls_pair.h"

static struct test_certs certs;
static struct tls_context *server_context;
static struct tls_context *client;
static int sends;
static size_t most_bytes; /* that a socket takes; 0: no bound */

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    sends++;
    return __real_send(fd, data, most_bytes != 0 && size > most_bytes ? most_bytes : size, flags);
}

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    server_context = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_free(server_context);
    tls_context_free(client);
    test_certs_remove(&certs);
    return 0;
}

/* Shakes hands until the client is done. Returns how often it has sent. */
static int open_pair(struct tls_pair *pair)
{
    int client_sends = 0;
    tls_pair_open_sockets(pair, client, server_context);
    transport_tls_await_request(pair->client);
    for (int i = 0; i < 1000 && pair->client_status == AFAR_EAGAIN; i++) {
        sends = 0;
        pair->client_status = transport_handshake(pair->client, &pair->client_err);
        client_sends += sends;
        if (pair->client_status == AFAR_OK)
            return client_sends;
        pair->server_status = transport_handshake(pair->server, &pair->server_err);
    }
    fail_msg("client: %s", pair->client_err.message);
    return 0;
}

/* What ends the handshake and the request are one segment, in a full handshake and a resumed one. */
static void test_the_last_flight_awaits_the_request(void **state)
{
    (void)state;
    struct tls_pair pair;

    for (int resumed = 0; resumed <= 1; resumed++) {
        assert_int_equal(open_pair(&pair), 1); /* the hello */
        assert_int_equal(transport_handshake(pair.server, NULL), AFAR_EAGAIN);
        sends = 0;
        size_t sent = 0;
        assert_int_equal(transport_send(pair.client, "request", 7, &sent, NULL), AFAR_OK);
        assert_int_equal(sent, 7);
        assert_int_equal(sends, 1);
        assert_int_equal(transport_recv_events(pair.client), POLLIN);
        char got[7] = "";
        assert_int_equal(transport_handshake(pair.server, NULL), AFAR_OK);
        assert_int_equal(transport_recv(pair.server, got, sizeof got, &sent, NULL), AFAR_OK);
        assert_memory_equal(got, "request", 7);
        assert_int_equal(transport_resumed(pair.client), resumed == 1);
        tls_pair_exchange(pair.server, pair.client, 10);
        transport_shutdown(pair.client);
        tls_pair_close(&pair);
    }
}

/* Who has nothing to send after all, and polls, is woken up; a receive sends it. With a socket that
 * takes three bytes at a time, too. */
static void test_the_last_flight_leaves_before_a_receive(void **state)
{
    (void)state;
    for (size_t most = 0; most <= 3; most += 3) {
        struct tls_pair pair;
        char byte = 0;
        size_t count = 0;
        most_bytes = most;
        (void)open_pair(&pair);
        assert_int_equal(transport_recv_events(pair.client), POLLIN | POLLOUT);
        assert_int_equal(transport_recv(pair.client, &byte, 1, &count, NULL), AFAR_EAGAIN);
        assert_int_equal(transport_recv_events(pair.client), POLLIN);
        assert_int_equal(transport_handshake(pair.server, NULL), AFAR_OK);
        tls_pair_exchange(pair.client, pair.server, 40000);
        tls_pair_exchange(pair.server, pair.client, 10);
        most_bytes = 0;
        tls_pair_close(&pair);
    }
}

/* More than there is room for goes in order; a peer that has gone is found out. */
static void test_the_last_flight_and_much_more(void **state)
{
    (void)state;
    struct tls_pair pair;
    size_t count = 0;
    char byte = 0;

    (void)open_pair(&pair);
    tls_pair_exchange(pair.client, pair.server, 300000);
    tls_pair_close(&pair);

    (void)open_pair(&pair);
    tls_pair_cut(pair.server);
    transport_free(pair.server);
    pair.server = NULL;
    enum afar_status status = AFAR_EAGAIN;
    for (int i = 0; i < 100 && (status == AFAR_EAGAIN || status == AFAR_OK); i++)
        status = transport_recv(pair.client, &byte, 1, &count, NULL);
    assert_int_equal(status, AFAR_ECLOSED);
    assert_int_not_equal(transport_send(pair.client, "request", 7, &count, NULL), AFAR_OK);
    tls_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_flight_awaits_the_request),
        cmocka_unit_test(test_the_last_flight_leaves_before_a_receive),
        cmocka_unit_test(test_the_last_flight_and_much_more),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
