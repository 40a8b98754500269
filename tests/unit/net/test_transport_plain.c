// wrap: recv send calloc malloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/transport.h"
#include "support/alloc_fault.h"

static int recv_errno; /* the next call fails so; 0: it does not */
static int send_errno;
static int send_flags; /* of the last call */

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    if (recv_errno != 0) {
        errno = recv_errno;
        recv_errno = 0;
        return -1;
    }
    return __real_recv(fd, data, size, flags);
}

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    send_flags = flags;
    if (send_errno != 0) {
        errno = send_errno;
        send_errno = 0;
        return -1;
    }
    return __real_send(fd, data, size, flags);
}

struct ends {
    struct transport *transport;
    int peer_fd;
};

static struct ends open_ends(void)
{
    struct ends ends = {0};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(transport_plain_new(&ends.transport, fds[0], NULL), AFAR_OK);
    assert_int_equal(transport_fd(ends.transport), fds[0]);
    ends.peer_fd = fds[1];
    return ends;
}

static void close_ends(struct ends *ends)
{
    transport_free(ends->transport);
    if (ends->peer_fd >= 0)
        (void)close(ends->peer_fd);
}

static void test_plain_has_nothing_to_shake(void **state)
{
    (void)state;
    struct ends ends = open_ends();
    assert_int_equal(transport_handshake(ends.transport, NULL), AFAR_OK);
    assert_int_equal(transport_handshake(ends.transport, NULL), AFAR_OK);
    assert_int_equal(transport_recv_events(ends.transport), POLLIN);
    assert_int_equal(transport_send_events(ends.transport), POLLOUT);
    assert_false(transport_pending(ends.transport));
    assert_false(transport_resumed(ends.transport));
    assert_string_equal(transport_alpn(ends.transport), "");
    close_ends(&ends);
}

static void test_sends_and_receives(void **state)
{
    (void)state;
    struct ends ends = open_ends();
    struct afar_error err;
    char data[16] = "";
    size_t count = 9;

    assert_int_equal(transport_recv(ends.transport, data, sizeof data, &count, &err), AFAR_EAGAIN);
    assert_int_equal(count, 0);
    assert_int_equal(transport_send(ends.transport, "hello", 5, &count, &err), AFAR_OK);
    assert_int_equal(count, 5);
    assert_int_equal(send_flags & MSG_NOSIGNAL, MSG_NOSIGNAL);
    assert_int_equal(read(ends.peer_fd, data, sizeof data), 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(write(ends.peer_fd, "ab", 2), 2);
    assert_int_equal(transport_recv(ends.transport, data, 1, &count, &err), AFAR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(transport_recv(ends.transport, data, 5, &count, &err), AFAR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(data[0], 'b');
    assert_int_equal(transport_recv(ends.transport, data, 0, &count, &err), AFAR_EBUG);
    assert_int_equal(transport_send(ends.transport, data, 0, &count, &err), AFAR_EBUG);
    close_ends(&ends);
}

static void test_interrupted_calls_are_repeated(void **state)
{
    (void)state;
    struct ends ends = open_ends();
    char byte = 0;
    size_t count = 0;

    send_errno = EINTR;
    assert_int_equal(transport_send(ends.transport, "x", 1, &count, NULL), AFAR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(write(ends.peer_fd, "y", 1), 1);
    recv_errno = EINTR;
    assert_int_equal(transport_recv(ends.transport, &byte, 1, &count, NULL), AFAR_OK);
    assert_int_equal(byte, 'y');
    close_ends(&ends);
}

static void test_a_full_socket(void **state)
{
    (void)state;
    static char block[100000];
    struct ends ends = open_ends();
    struct afar_error err;
    enum afar_status status = AFAR_OK;
    size_t count = 0;

    for (int i = 0; i < 1000 && status == AFAR_OK; i++)
        status = transport_send(ends.transport, block, sizeof block, &count, &err);
    assert_int_equal(status, AFAR_EAGAIN);
    assert_int_equal(count, 0);
    close_ends(&ends);
}

static void test_peers_that_go(void **state)
{
    (void)state;
    struct ends ends = open_ends();
    struct afar_error err;
    char data[16];
    size_t count = 0;

    assert_int_equal(write(ends.peer_fd, "bye", 3), 3);
    (void)close(ends.peer_fd);
    ends.peer_fd = -1;
    assert_int_equal(transport_send(ends.transport, "x", 1, &count, &err), AFAR_ECLOSED);
    assert_int_equal(err.sys_errno, EPIPE);
    assert_string_equal(err.message, "the peer has closed the connection");
    assert_int_equal(transport_recv(ends.transport, data, sizeof data, &count, &err), AFAR_OK);
    assert_int_equal(count, 3); /* what it said before is not lost */
    assert_int_equal(transport_recv(ends.transport, data, sizeof data, &count, &err), AFAR_ECLOSED);
    assert_int_equal(err.sys_errno, 0);
    close_ends(&ends);
}

static void test_errors(void **state)
{
    (void)state;
    struct ends ends = open_ends();
    struct afar_error err;
    char byte = 0;
    size_t count = 9;

    recv_errno = ECONNRESET;
    assert_int_equal(transport_recv(ends.transport, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_string_equal(err.message, "the peer has reset the connection");
    assert_int_equal(count, 0);
    recv_errno = ETIMEDOUT;
    assert_int_equal(transport_recv(ends.transport, &byte, 1, &count, &err), AFAR_ECLOSED);
    recv_errno = EIO;
    assert_int_equal(transport_recv(ends.transport, &byte, 1, &count, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EIO);
    send_errno = ECONNRESET;
    assert_int_equal(transport_send(ends.transport, &byte, 1, &count, &err), AFAR_ECLOSED);
    send_errno = ENOBUFS;
    assert_int_equal(transport_send(ends.transport, &byte, 1, &count, &err), AFAR_ESYSTEM);
    send_errno = ENOMEM;
    assert_int_equal(transport_send(ends.transport, &byte, 1, &count, &err), AFAR_ENOMEM);
    close_ends(&ends);
}

static void test_shutdown_ends_one_direction(void **state)
{
    (void)state;
    struct ends ends = open_ends();
    char byte = 0;
    size_t count = 0;

    transport_shutdown(ends.transport);
    assert_int_equal(read(ends.peer_fd, &byte, 1), 0);
    assert_int_equal(write(ends.peer_fd, "z", 1), 1);
    assert_int_equal(transport_recv(ends.transport, &byte, 1, &count, NULL), AFAR_OK);
    close_ends(&ends);
}

static void test_identities(void **state)
{
    (void)state;
    struct ends ends = open_ends();
    struct transport *inet = NULL;
    struct identity identity;
    char expected[64];

    transport_identity(ends.transport, &identity);
    assert_int_equal(identity.kind, IDENTITY_UNIX);
    (void)snprintf(expected, sizeof expected, "uid:%u gid:%u", (unsigned)getuid(),
                   (unsigned)getgid());
    assert_string_equal(identity.name, expected);
    assert_int_equal(identity.expires_at, 0);
    (void)snprintf(expected, sizeof expected, "uid=%u", (unsigned)getuid());
    assert_string_equal(identity.owner, expected); /* another group makes nobody else of him */
    close_ends(&ends);

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(transport_plain_new(&inet, fd, NULL), AFAR_OK);
    transport_identity(inet, &identity);
    assert_int_equal(identity.kind, IDENTITY_ANONYMOUS);
    assert_string_equal(identity.name, "anonymous");
    assert_string_equal(identity.owner, "anonymous");
    transport_free(inet);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct transport *transport = NULL;
    struct afar_error err;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    alloc_fault_arm(1);
    assert_int_equal(transport_plain_new(&transport, fds[0], &err), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    assert_null(transport);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1); /* it was moved, and so is closed */
    (void)close(fds[1]);
    transport_free(NULL);
}

/* What is still unread when a socket is closed makes it answer with a reset. */
static void test_discards_what_still_comes(void **state)
{
    (void)state;
    struct ends ends = open_ends();
    char scratch[4];
    transport_shutdown(ends.transport);
    assert_int_equal(transport_discard(ends.transport, scratch, sizeof scratch), AFAR_EAGAIN);
    assert_int_equal(transport_recv_events(ends.transport), POLLIN);
    assert_int_equal(write(ends.peer_fd, "abcdef", 6), 6);
    assert_int_equal(transport_discard(ends.transport, scratch, sizeof scratch), AFAR_OK);
    assert_int_equal(transport_discard(ends.transport, scratch, sizeof scratch), AFAR_OK);
    recv_errno = EINTR;
    assert_int_equal(transport_discard(ends.transport, scratch, sizeof scratch), AFAR_EAGAIN);
    recv_errno = ECONNRESET;
    assert_int_equal(transport_discard(ends.transport, scratch, sizeof scratch), AFAR_ECLOSED);
    (void)close(ends.peer_fd);
    ends.peer_fd = -1;
    assert_int_equal(transport_discard(ends.transport, scratch, sizeof scratch), AFAR_ECLOSED);
    close_ends(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_has_nothing_to_shake),
        cmocka_unit_test(test_sends_and_receives),
        cmocka_unit_test(test_interrupted_calls_are_repeated),
        cmocka_unit_test(test_a_full_socket),
        cmocka_unit_test(test_peers_that_go),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_shutdown_ends_one_direction),
        cmocka_unit_test(test_discards_what_still_comes),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
