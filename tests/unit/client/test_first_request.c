// wrap: send
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <afar/afar.h>

#include "support/tls_pair.h"

enum { PATIENCE_MS = 20000 };

static struct test_certs certs;
static struct tls_context *server_context;
static _Thread_local int sends;

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    sends++;
    return __real_send(fd, data, size, flags);
}

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

struct server {
    int fd;
    enum afar_status status;
    char first[4096]; /* of what the client has said */
    size_t received;
};

/* Shakes hands and receives once. */
static void *serve(void *argument)
{
    struct server *server = argument;
    struct transport *transport = NULL;
    server->status =
        transport_tls_server_new(&transport, server_context, server->fd, TLS_ALPN_AFAR, NULL);
    while (transport != NULL) {
        server->status =
            transport_recv(transport, server->first, sizeof server->first, &server->received, NULL);
        struct pollfd waiting = {.fd = server->fd, .events = transport_recv_events(transport)};
        if (server->status != AFAR_EAGAIN || poll(&waiting, 1, PATIENCE_MS) <= 0)
            break;
    }
    transport_free(transport);
    return NULL;
}

/* How often the client has sent: until it is connected, and until it has made its request. */
static void count(bool request_follows, int *connecting, int *requesting)
{
    int ends[2];
    pthread_t thread;
    struct afar_client *client = NULL;
    struct afar_context *context = NULL;
    struct afar_error err = {0};
    struct afar_credentials credentials = AFAR_CREDENTIALS_INIT();
    const struct afar_command command = AFAR_COMMAND_INIT(.shell = "true");

    credentials.ca_file = certs.cert[TEST_CA];
    credentials.cert_file = certs.cert[TEST_CLIENT];
    credentials.key_file = certs.key[TEST_CLIENT];
    assert_int_equal(afar_context_new(&context, &credentials, &err), AFAR_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct server server = {.fd = ends[1]};
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
    const struct afar_route route = AFAR_ROUTE_INIT(.timeout_ms = PATIENCE_MS, .stream = ends[0],
                                                    .request_follows = request_follows);
    sends = 0;
    enum afar_status status = afar_connect_by(&client, context, "tls://localhost:1", &route, &err);
    if (status != AFAR_OK)
        fail_msg("%s", err.message);
    *connecting = sends;
    sends = 0;
    assert_int_equal(afar_start(client, &command, NULL, &err), AFAR_OK);
    *requesting = sends;
    (void)pthread_join(thread, NULL);
    assert_int_equal(server.status, AFAR_OK);
    assert_true(server.received > 0);
    afar_close(client);
    afar_context_free(context);
}

static void test_the_request_leaves_with_the_handshake(void **state)
{
    (void)state;
    int connecting = 0;
    int requesting = 0;
    count(true, &connecting, &requesting);
    assert_int_equal(connecting, 1);
    assert_int_equal(requesting, 1);
}

/* As who connects early wants it. */
static void test_otherwise_the_handshake_is_whole(void **state)
{
    (void)state;
    int connecting = 0;
    int requesting = 0;
    count(false, &connecting, &requesting);
    assert_int_equal(connecting, 2);
    assert_int_equal(requesting, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_request_leaves_with_the_handshake),
        cmocka_unit_test(test_otherwise_the_handshake_is_whole),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
