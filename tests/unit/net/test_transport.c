// wrap: poll
/* sendall and recvall, over a transport whose every answer is written down beforehand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/transport_ops.h"

/* ---- A scripted transport -------------------------------------------------------------------- */

/* Each character answers one call: a digit moves that many bytes, '-' would block, 'x' is the end.
 * After the script everything would block. */
struct scripted {
    struct transport base;
    const char *script;
    char moved[64]; /* what was sent, or what is given to receivers */
    size_t at;
    bool *freed;
};

static enum afar_status play(struct scripted *scripted, size_t size, size_t *count,
                             struct afar_error *err)
{
    char answer = *scripted->script == '\0' ? '-' : *scripted->script++;
    if (answer == '-')
        return afar_fail(err, AFAR_EAGAIN, "later");
    if (answer == 'x')
        return afar_fail(err, AFAR_ECLOSED, "gone");
    size_t most = (size_t)(answer - '0');
    *count = size < most ? size : most;
    return AFAR_OK;
}

static enum afar_status scripted_recv(struct transport *base, void *data, size_t size,
                                      size_t *received, struct afar_error *err)
{
    struct scripted *scripted = (struct scripted *)(void *)base;
    enum afar_status status = play(scripted, size, received, err);
    memcpy(data, scripted->moved + scripted->at, *received);
    scripted->at += *received;
    return status;
}

static enum afar_status scripted_send(struct transport *base, const void *data, size_t size,
                                      size_t *sent, struct afar_error *err)
{
    struct scripted *scripted = (struct scripted *)(void *)base;
    enum afar_status status = play(scripted, size, sent, err);
    memcpy(scripted->moved + scripted->at, data, *sent);
    scripted->at += *sent;
    return status;
}

static void scripted_free(struct transport *base)
{
    struct scripted *scripted = (struct scripted *)(void *)base;
    *scripted->freed = true;
    free(scripted);
}

static const struct transport_ops scripted_ops = {
    .recv = scripted_recv,
    .send = scripted_send,
    .free = scripted_free,
};

static bool freed;

static struct scripted *scripted_new(const char *script, int fd)
{
    struct scripted *scripted = calloc(1, sizeof *scripted);
    assert_non_null(scripted);
    scripted->base.ops = &scripted_ops;
    scripted->base.fd = fd;
    scripted->base.recv_events = POLLIN | POLLOUT; /* told apart from a guess of the caller's */
    scripted->base.send_events = POLLIN;
    scripted->script = script;
    scripted->freed = &freed;
    freed = false;
    return scripted;
}

/* ---- poll(2), watched ------------------------------------------------------------------------ */

static int polls;
static short polled_events;
static int poll_errno; /* each call fails so while poll_faults > 0 */
static int poll_faults;

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    polls++;
    polled_events = fds[0].events;
    if (poll_faults > 0) {
        poll_faults--;
        errno = poll_errno;
        return -1;
    }
    return __real_poll(fds, count, timeout_ms);
}

static int reset(void **state)
{
    (void)state;
    polls = poll_faults = poll_errno = 0;
    polled_events = 0;
    return 0;
}

/* A descriptor that is always ready to be written and has a byte to read. */
static int ready_fd(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(write(fds[1], "r", 1), 1);
    (void)close(fds[1]);
    return fds[0];
}

static int64_t soon(void)
{
    return clock_deadline_ms(10000);
}

static void test_sendall_moves_everything(void **state)
{
    (void)state;
    struct scripted *scripted = scripted_new("1-2--39", ready_fd());
    struct afar_error err;

    assert_int_equal(transport_sendall(&scripted->base, "hello world", 11, soon(), &err), AFAR_OK);
    assert_int_equal(scripted->at, 11);
    assert_memory_equal(scripted->moved, "hello world", 11);
    assert_int_equal(polls, 3);
    assert_int_equal(polled_events, POLLIN); /* what the transport said, not what seems natural */
    assert_int_equal(transport_sendall(&scripted->base, "", 0, soon(), &err), AFAR_OK);
    transport_free(&scripted->base);
}

static void test_recvall_moves_everything(void **state)
{
    (void)state;
    struct scripted *scripted = scripted_new("1-2--39", ready_fd());
    struct afar_error err;
    char data[12] = "";

    memcpy(scripted->moved, "hello world", 11);
    assert_int_equal(transport_recvall(&scripted->base, data, 11, soon(), &err), AFAR_OK);
    assert_string_equal(data, "hello world");
    assert_int_equal(polls, 3);
    assert_int_equal(polled_events, POLLIN | POLLOUT);
    assert_int_equal(transport_recvall(&scripted->base, data, 0, soon(), &err), AFAR_OK);
    transport_free(&scripted->base);
}

static void test_errors_come_through(void **state)
{
    (void)state;
    struct scripted *scripted = scripted_new("2x2x", -1);
    struct afar_error err;
    char data[12];

    assert_int_equal(transport_sendall(&scripted->base, "hello", 5, soon(), &err), AFAR_ECLOSED);
    assert_string_equal(err.message, "gone");
    assert_int_equal(transport_recvall(&scripted->base, data, 5, soon(), &err), AFAR_ECLOSED);
    transport_free(&scripted->base);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct scripted *scripted = scripted_new("2", -1);
    struct afar_error err;
    char data[12];
    int64_t past_ms = clock_now_ms() - 1;

    /* In memory there is nothing to wait for: it tries until the deadline. */
    assert_int_equal(transport_sendall(&scripted->base, "hello", 5, clock_deadline_ms(5), &err),
                     AFAR_ETIMEDOUT);
    assert_int_equal(scripted->at, 2);
    assert_int_equal(polls, 0);
    assert_int_equal(transport_recvall(&scripted->base, data, 5, past_ms, &err), AFAR_ETIMEDOUT);
    /* What is there is taken even then. */
    scripted->script = "5";
    scripted->at = 0;
    assert_int_equal(transport_recvall(&scripted->base, data, 5, past_ms, &err), AFAR_OK);
    transport_free(&scripted->base);

    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    scripted = scripted_new("", fds[0]);
    scripted->base.recv_events = POLLIN;
    assert_int_equal(transport_recvall(&scripted->base, data, 5, clock_deadline_ms(5), &err),
                     AFAR_ETIMEDOUT);
    assert_true(polls >= 1);
    transport_free(&scripted->base);
    (void)close(fds[1]);
}

static void test_interrupted_and_failing_waits(void **state)
{
    (void)state;
    struct scripted *scripted = scripted_new("-----5", ready_fd());
    struct afar_error err;

    poll_errno = EINTR;
    poll_faults = 3;
    assert_int_equal(transport_sendall(&scripted->base, "hello", 5, soon(), &err), AFAR_OK);
    poll_errno = ENOMEM;
    poll_faults = 1;
    assert_int_equal(transport_sendall(&scripted->base, "hello", 5, soon(), &err), AFAR_ENOMEM);
    poll_errno = EINVAL;
    poll_faults = 1;
    assert_int_equal(transport_sendall(&scripted->base, "hello", 5, soon(), &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EINVAL);
    transport_free(&scripted->base);
}

static void test_free_closes_the_descriptor(void **state)
{
    (void)state;
    int fd = ready_fd();
    struct scripted *scripted = scripted_new("", fd);
    assert_int_equal(transport_fd(&scripted->base), fd);
    transport_free(&scripted->base);
    assert_true(freed);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    transport_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sendall_moves_everything, reset),
        cmocka_unit_test_setup(test_recvall_moves_everything, reset),
        cmocka_unit_test_setup(test_errors_come_through, reset),
        cmocka_unit_test_setup(test_deadlines, reset),
        cmocka_unit_test_setup(test_interrupted_and_failing_waits, reset),
        cmocka_unit_test_setup(test_free_closes_the_descriptor, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
