/* One forwarded connection, in a process of its own as in the server, and what its two sides can do
 * to it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "forward/forward.h"

enum { REST_MS = 500, REST_CPU_MS = 100 };

enum { PATIENCE_MS = 20000, FLOOD_BYTES = 3000000, PIECE_BYTES = 65536 };

/* The target is a socket of ours: `target` once it has been accepted. */
struct line {
    int listener;
    int target;
    int in;   /* to its standard input */
    int out;  /* of its standard output */
    int tell; /* of its standard error */
    pid_t pid;
};

static int listen_at(int family, char text[FORWARD_TEXT_BYTES])
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = family == AF_INET6 ? (void *)&in6 : (void *)&in;
    socklen_t size = family == AF_INET6 ? sizeof in6 : sizeof in;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (bind(fd, address, size) != 0 || listen(fd, 8) != 0) {
        (void)close(fd);
        return -1;
    }
    assert_int_equal(getsockname(fd, address, &size), 0);
    (void)snprintf(text, FORWARD_TEXT_BYTES, family == AF_INET6 ? "[::1]:%u" : "127.0.0.1:%u",
                   ntohs(family == AF_INET6 ? in6.sin6_port : in.sin_port));
    return fd;
}

static void start(struct line *line, const char *target)
{
    int in[2];
    int out[2];
    int tell[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    line->pid = fork();
    assert_true(line->pid >= 0);
    if (line->pid == 0) {
        (void)close(in[1]);
        (void)close(out[0]);
        (void)close(tell[0]);
        _exit(forward_serve(target, in[0], out[1], tell[1]));
    }
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(tell[1]);
    line->in = in[1];
    line->out = out[0];
    line->tell = tell[0];
}

static void wait_readable(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, PATIENCE_MS), 1);
}

static void open_line(struct line *line, int family)
{
    char text[FORWARD_TEXT_BYTES];
    line->listener = listen_at(family, text);
    if (line->listener < 0)
        skip();
    start(line, text);
    wait_readable(line->listener);
    line->target = accept4(line->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(line->target >= 0);
}

static void give(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(int fd, const char *text)
{
    char data[256];
    size_t used = 0;
    while (used < strlen(text)) {
        wait_readable(fd);
        ssize_t got = read(fd, data + used, strlen(text) - used);
        assert_true(got > 0);
        used += (size_t)got;
    }
    assert_memory_equal(data, text, used);
}

static void expect_end(int fd)
{
    char byte;
    wait_readable(fd);
    assert_int_equal(read(fd, &byte, 1), 0);
}

static int end_of(struct line *line, char *told, size_t size)
{
    int status = 0;
    size_t used = 0;
    for (;;) {
        wait_readable(line->tell);
        ssize_t got = read(line->tell, told + used, size - 1 - used);
        assert_true(got >= 0);
        if (got == 0)
            break;
        used += (size_t)got;
    }
    told[used] = '\0';
    assert_int_equal(waitpid(line->pid, &status, 0), line->pid);
    assert_true(WIFEXITED(status));
    if (line->in >= 0)
        (void)close(line->in);
    (void)close(line->out);
    (void)close(line->tell);
    return WEXITSTATUS(status);
}

static void close_target(struct line *line)
{
    (void)close(line->target);
    (void)close(line->listener);
}

static void test_both_ways(void **state)
{
    static const int families[] = {AF_INET, AF_INET6};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct line line;
        char told[1024];
        open_line(&line, families[i]);
        give(line.in, "up");
        expect(line.target, "up");
        give(line.target, "down");
        expect(line.out, "down");
        /* Half closed, first by the client: the other way goes on. */
        (void)close(line.in);
        line.in = -1;
        expect_end(line.target);
        give(line.target, "more");
        expect(line.out, "more");
        (void)shutdown(line.target, SHUT_WR);
        expect_end(line.out);
        assert_int_equal(end_of(&line, told, sizeof told), FORWARD_ENDED);
        assert_memory_equal(told, FORWARD_CONNECTED, strlen(FORWARD_CONNECTED));
        assert_non_null(strstr(told, "\n" FORWARD_EOF "8\n"));
        close_target(&line);
    }
}

static void test_half_closed_by_the_target(void **state)
{
    struct line line;
    char told[1024];
    (void)state;
    open_line(&line, AF_INET);
    give(line.target, "bye");
    (void)shutdown(line.target, SHUT_WR);
    expect(line.out, "bye");
    expect_end(line.out);
    give(line.in, "still here");
    expect(line.target, "still here");
    (void)close(line.in);
    line.in = -1;
    expect_end(line.target);
    assert_int_equal(end_of(&line, told, sizeof told), FORWARD_ENDED);
    close_target(&line);
}

static void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static void reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
}

static void test_reset(void **state)
{
    struct line line;
    char told[1024];
    (void)state;
    open_line(&line, AF_INET);
    give(line.target, "a");
    expect(line.out, "a");
    reset(line.target);
    close_target(&line);
    assert_int_equal(end_of(&line, told, sizeof told), FORWARD_BROKEN);
    assert_non_null(strstr(told, "the connection was lost: Connection reset by peer\n"));
    assert_null(strstr(told, FORWARD_EOF));
}

static int64_t cpu_ms(pid_t pid)
{
    clockid_t clock = 0;
    struct timespec used = {0};
    assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &used), 0);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* It needs hardly any processor time: it waits for something. */
static void expect_process_rests(pid_t pid)
{
    const int64_t before_ms = cpu_ms(pid);
    (void)poll(NULL, 0, REST_MS);
    const int64_t used_ms = cpu_ms(pid) - before_ms;
    if (used_ms > REST_CPU_MS)
        fail_msg("%d ms of processor time in %d ms", (int)used_ms, REST_MS);
}

/* Its reader takes nothing meanwhile, and hears of it after what had come before. */
static void test_reset_while_nobody_reads(void **state)
{
    static char piece[PIECE_BYTES];
    struct line line;
    char told[1024];
    size_t got = 0;
    (void)state;
    open_line(&line, AF_INET);
    set_nonblocking(line.target);
    struct pollfd room = {.fd = line.target, .events = POLLOUT};
    while (poll(&room, 1, REST_MS) > 0)
        assert_true(write(line.target, piece, sizeof piece) > 0);
    reset(line.target);
    close_target(&line);
    expect_process_rests(line.pid);
    for (ssize_t size = 1; size > 0; got += (size_t)size) {
        wait_readable(line.out);
        size = read(line.out, piece, sizeof piece);
        assert_true(size >= 0);
    }
    assert_true(got >= FORWARD_BUFFER_BYTES);
    assert_int_equal(end_of(&line, told, sizeof told), FORWARD_BROKEN);
    assert_non_null(strstr(told, "the connection was lost: Connection reset by peer\n"));
}

/* It has ended its own way, and then is gone: what we send cannot be taken any more. */
static void test_gone_after_its_end(void **state)
{
    struct line line;
    char told[1024];
    (void)state;
    open_line(&line, AF_INET);
    (void)shutdown(line.target, SHUT_WR);
    expect_end(line.out);
    reset(line.target);
    close_target(&line);
    assert_int_equal(end_of(&line, told, sizeof told), FORWARD_ENDED);
}

/* A reader that has gone: the target is not read for nobody, and the other way goes on. */
static void test_client_stops_reading(void **state)
{
    struct line line;
    char told[1024];
    (void)state;
    open_line(&line, AF_INET);
    (void)close(line.out);
    line.out = -1;
    give(line.in, "x");
    expect(line.target, "x");
    (void)close(line.in);
    line.in = -1;
    assert_int_equal(end_of(&line, told, sizeof told), FORWARD_ENDED);
    close_target(&line);
}

/* Both sides send all they have at once; each byte arrives. */
static void test_floods(void **state)
{
    static char piece[PIECE_BYTES];
    struct line line;
    char told[1024];
    size_t sent[2] = {0};
    size_t got[2] = {0};
    (void)state;
    open_line(&line, AF_INET);
    set_nonblocking(line.in);
    set_nonblocking(line.target);
    const int to[2] = {line.in, line.target};
    const int from[2] = {line.target, line.out};
    while (got[0] < FLOOD_BYTES || got[1] < FLOOD_BYTES) {
        struct pollfd waiting[4];
        for (size_t i = 0; i < 2; i++) {
            waiting[i] =
                (struct pollfd){.fd = sent[i] < FLOOD_BYTES ? to[i] : -1, .events = POLLOUT};
            waiting[2 + i] = (struct pollfd){.fd = from[i], .events = POLLIN};
        }
        assert_true(poll(waiting, 4, PATIENCE_MS) > 0);
        for (size_t i = 0; i < 2; i++) {
            size_t left =
                FLOOD_BYTES - sent[i] < sizeof piece ? FLOOD_BYTES - sent[i] : sizeof piece;
            ssize_t size = waiting[i].revents != 0 ? write(to[i], piece, left) : 0;
            sent[i] += size > 0 ? (size_t)size : 0;
            size = (waiting[2 + i].revents & POLLIN) != 0 ? read(from[i], piece, sizeof piece) : 0;
            got[i] += size > 0 ? (size_t)size : 0;
        }
    }
    (void)close(line.in);
    line.in = -1;
    close_target(&line);
    assert_int_equal(end_of(&line, told, sizeof told), FORWARD_ENDED);
    assert_int_equal(got[0], FLOOD_BYTES);
    assert_int_equal(got[1], FLOOD_BYTES);
}

/* Where nobody listens, where no name is, and what is no target. */
static void test_failures(void **state)
{
    static const struct {
        const char *target;
        int end;
        const char *told;
    } table[] = {
        {"localhost:1", FORWARD_REFUSED, "cannot connect to localhost:1: Connection refused\n"},
        {"[::1]:1", FORWARD_REFUSED, "cannot connect to [::1]:1: "},
        {"no-such-name.invalid:80", FORWARD_NOT_FOUND, "cannot resolve 'no-such-name.invalid'"},
        {"nonsense", FORWARD_FAILED, "host:port was expected"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct line line;
        char told[1024];
        start(&line, table[i].target);
        int end = end_of(&line, told, sizeof told);
        const bool no_ipv6 = table[i].target[0] == '[' && end == FORWARD_UNREACHABLE;
        if ((end != table[i].end && !no_ipv6) || strstr(told, table[i].told) == NULL)
            fail_msg("%s: %d, '%s'", table[i].target, end, told);
        assert_null(strstr(told, FORWARD_CONNECTED));
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_half_closed_by_the_target),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_reset_while_nobody_reads),
        cmocka_unit_test(test_gone_after_its_end),
        cmocka_unit_test(test_client_stops_reading),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
