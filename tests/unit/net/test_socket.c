#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_options),
        cmocka_unit_test(test_connections_that_have_gone),
        cmocka_unit_test(test_other_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
