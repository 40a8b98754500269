#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/socket.h"

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static void test_tcp_options(void **state)
{
    (void)state;
    static const sa_family_t families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        int fd = socket(families[i], SOCK_STREAM, 0);
        assert_true(fd >= 0);
        socket_set_tcp_options(fd, families[i]);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
        (void)close(fd);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    socket_set_tcp_options(fd, AF_UNIX);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    (void)close(fd);
}

static void test_connections_that_have_gone(void **state)
{
    (void)state;
    static const int gone[] = {ECONNRESET,   EPIPE,     ENOTCONN,     ESHUTDOWN,
                               ECONNREFUSED, ETIMEDOUT, ECONNABORTED, EHOSTUNREACH,
                               ENETUNREACH,  EHOSTDOWN, ENETDOWN,     ENETRESET};
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        struct afar_error err;
        assert_int_equal(socket_fail(&err, gone[i]), AFAR_ECLOSED);
        assert_int_equal(err.code, AFAR_ECLOSED);
        assert_int_equal(err.sys_errno, gone[i]);
        assert_int_equal(socket_fail(NULL, gone[i]), AFAR_ECLOSED);
    }
    struct afar_error err;
    assert_int_equal(socket_fail(&err, ECONNRESET), AFAR_ECLOSED);
    assert_string_equal(err.message, "the peer has reset the connection");
    assert_int_equal(socket_fail_end(&err), AFAR_ECLOSED);
    assert_string_equal(err.message, "the peer has closed the connection");
    assert_int_equal(err.sys_errno, 0);
}

static void test_other_failures(void **state)
{
    (void)state;
    struct afar_error err;
    assert_int_equal(socket_fail(&err, EBADF), AFAR_ESYSTEM);
    assert_string_equal(err.message, "the connection failed: Bad file descriptor");
    assert_int_equal(err.sys_errno, EBADF);
    assert_int_equal(socket_fail(&err, ENOMEM), AFAR_ENOMEM);
}

/* A connection to the listener, as accepted there; and both ends closed by the caller. */
static int accepted(struct listener *listener, int *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(listener_endpoint(listener)->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct pollfd waiting = {.fd = listener_fd(listener), .events = POLLIN};
    char peer[ADDRESS_TEXT_BYTES];
    int fd = -1;
    *client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(*client >= 0);
    assert_int_equal(connect(*client, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(poll(&waiting, 1, 10000), 1);
    assert_int_equal(listener_accept(listener, &fd, peer, NULL, NULL), AFAR_OK);
    return fd;
}

/* Connections inherit what their listener has. */
static void test_patience_of_a_listener(void **state)
{
    (void)state;
    struct endpoint endpoint;
    struct listener *listener = NULL;
    int client = -1;
    assert_int_equal(endpoint_parse(&endpoint, "tcp://127.0.0.1:0", NULL), AFAR_OK);
    assert_int_equal(listener_open(&listener, &endpoint, 8, NULL), AFAR_OK);
    listener_set_patience(listener, 7001, 1234); /* whole seconds, not fewer */
    int fd = accepted(listener, &client);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 8);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 2);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    (void)close(fd);
    (void)close(client);
    listener_set_patience(listener, 0, 0); /* never asked, the system's own patience */
    fd = accepted(listener, &client);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    (void)close(fd);
    (void)close(client);
    listener_free(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_options),
        cmocka_unit_test(test_connections_that_have_gone),
        cmocka_unit_test(test_other_failures),
        cmocka_unit_test(test_patience_of_a_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
