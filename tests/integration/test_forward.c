/* Forwarded connections by a real server: standard streams, ports, SOCKS, rules, and what the other
 * end of a connection can do. */
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
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/echo_server.h"
#include "support/forwarded.h"
#include "support/raw.h"
#include "support/ruled.h"

enum { TEXT_BYTES = 4096 };

static struct afard server;
static struct echo_server echo;

static int set_up(void **state)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    (void)state;
    afard_start(&server, args);
    return echo_server_start(&echo, ECHO_PLAIN, false) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    echo_server_stop(&echo);
    return afard_stop(&server);
}

/* "HOST:PORT", in a place of its own for each of a few calls. */
static const char *at(const char *host, unsigned port)
{
    static char texts[8][128];
    static unsigned next;
    char *text = texts[next++ % 8];
    (void)snprintf(text, sizeof texts[0], "%s:%u", host, port);
    return text;
}

/* ---- standard streams ------------------------------------------------------------------------ */

static void test_stdio(void **state)
{
    const char *url = server.url[0];
    struct echo_server six;
    (void)state;
    program_expect_run(WORDS("afar", "ssh", "-W", at("127.0.0.1", echo.port), url), "hello", 0,
                       "hello", "");
    program_expect_run(WORDS("afar", "ssh", "-W", at("localhost", echo.port), url), "", 0, "", "");
    program_expect_run(WORDS("afar", "ssh", "-W", at("[localhost]", echo.port), url), "hello", 0,
                       "hello", "");
    program_expect_run(WORDS("afar", "forward", url, "-", at("localhost", echo.port)), "hello", 0,
                       "hello", "");
    if (echo_server_start(&six, ECHO_PLAIN, true)) {
        program_expect_run(WORDS("afar", "ssh", "-W", at("[::1]", six.port), url), "six", 0, "six",
                           "");
        echo_server_stop(&six);
    }
}

static void test_stdio_failures(void **state)
{
    const char *url = server.url[0];
    (void)state;
    program_expect_run(
        WORDS("afar", "ssh", "-W", "localhost:1", url), "", 255, "",
        "cannot connect to localhost:1: Connection refused\nstdio forwarding failed\n");
    program_expect_run(WORDS("afar", "ssh", "-W", "db.example:80", url), "", 255, "",
                       "only, not to db.example:80 (a rule with may = forward");
    program_expect_run(WORDS("afar", "ssh", "-W", "nowhere", url), "", 255, "",
                       "host:port was expected");
    program_expect_run(WORDS("afar", "ssh", "-W", "a:1", url, "true"), "", 255, "",
                       "-W takes no command");
    program_expect_run(WORDS("afar", "forward", url, "-", "localhost:1"), "", 255, "",
                       "Connection refused");
    program_expect_run(WORDS("afar", "forward", url, "-"), "", 125, "",
                       "one TARGET:PORT was expected");
    program_expect_run(WORDS("afar", "forward", url), "", 125, "", "nothing is to be forwarded");
    program_expect_run(WORDS("afar", "forward", url, "x:y"), "", 125, "",
                       "PORT:PORT or PORT was expected");
    afard_expect_calm(&server);
}

/* The other side ends first: its reader hears of that although ours goes on. */
static void test_stdio_half_closed(void **state)
{
    struct echo_server greeting;
    struct program program;
    char text[64];
    (void)state;
    assert_true(echo_server_start(&greeting, ECHO_GREETING, false));
    program_start(&program,
                  WORDS("afar", "ssh", "-W", at("127.0.0.1", greeting.port), server.url[0]), NULL);
    size_t used = 0;
    ssize_t got = 0;
    do { /* to its end, with standard input still open */
        struct pollfd waiting = {.fd = program.out, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, (int)test_deadline_ms()), 1);
        got = read(program.out, text + used, sizeof text - used);
        used += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    assert_int_equal(got, 0);
    assert_int_equal(used, 6);
    assert_memory_equal(text, "hello\n", 6);
    program_finish(&program, "rest", 4);
    assert_int_equal(program_exit_status(&program), 0);
    program_close(&program);
    echo_server_stop(&greeting);
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* Several at once; one that is reset, and one that never was, are no matter to the others. */
static void use_port(uint16_t port, uint16_t bad_port)
{
    char byte;
    int one = raw_connect(port);
    int two = raw_connect(port);
    forwarded_echo(one, "one");
    forwarded_echo(two, "two");
    raw_reset(one);
    forwarded_echo(two, "more");
    int bad = raw_connect(bad_port);
    assert_false(raw_read(bad, &byte, 1));
    (void)close(bad);
    int three = raw_connect(port);
    forwarded_echo(three, "three");
    /* Half closed: what was sent comes back, and then the end. */
    raw_send(three, "last", 4);
    (void)shutdown(three, SHUT_WR);
    size_t size = 0;
    char *rest = raw_read_rest(three, &size);
    assert_int_equal(size, 4);
    free(rest);
    (void)close(three);
    forwarded_echo(two, "still");
    (void)close(two);
}

static void test_local(void **state)
{
    char spec[128];
    struct program program;
    (void)state;
    (void)snprintf(spec, sizeof spec, "0:127.0.0.1:%u", echo.port);
    program_start(&program,
                  WORDS("afar", "ssh", "-N", "-L", spec, "-L", "0:localhost:1", server.url[0]),
                  NULL);
    uint16_t port = forwarded_port(&program, 0);
    use_port(port, forwarded_port(&program, 1));
    program_expect(&program, 2, "cannot connect to localhost:1: Connection refused");
    forwarded_stop(&program);
    afard_expect_calm(&server);

    (void)snprintf(spec, sizeof spec, "0:%u", echo.port);
    program_start(&program, WORDS("afar", "forward", server.url[0], spec, "0:1"), NULL);
    port = forwarded_port(&program, 0);
    use_port(port, forwarded_port(&program, 1));
    forwarded_stop(&program);
    afard_expect_calm(&server);
}

/* What it led is ended with it, also where it is killed. */
static void test_killed(void **state)
{
    char spec[128];
    char byte;
    struct program program;
    (void)state;
    (void)snprintf(spec, sizeof spec, "0:127.0.0.1:%u", echo.port);
    program_start(&program, WORDS("afar", "ssh", "-N", "-L", spec, server.url[0]), NULL);
    int fd = raw_connect(forwarded_port(&program, 0));
    forwarded_echo(fd, "x");
    assert_int_equal(kill(program.pid, SIGKILL), 0);
    assert_false(raw_read(fd, &byte, 1));
    (void)close(fd);
    program_finish(&program, NULL, 0);
    program_close(&program);
    afard_expect_calm(&server);
}

/* Beside a command, whose end waits for connections that there still are. */
static void test_with_command(void **state)
{
    char spec[128];
    struct program program;
    (void)state;
    (void)snprintf(spec, sizeof spec, "0:127.0.0.1:%u", echo.port);
    program_start(&program,
                  WORDS("afar", "ssh", "-L", spec, server.url[0], "read x; echo $x; exit 7"), NULL);
    int fd = raw_connect(forwarded_port(&program, 0));
    forwarded_echo(fd, "x");
    raw_send(fd, "y", 1);
    assert_int_equal(write(program.in, "done\n", 5), 5);
    program_expect(&program, 1, "done\n");
    char byte;
    assert_true(raw_read(fd, &byte, 1));
    forwarded_echo(fd, "after the command");
    (void)close(fd);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 7);
    program_close(&program);
    afard_expect_calm(&server);
}

/* ---- Unix sockets ---------------------------------------------------------------------------- */

struct place {
    char folder[32];
    char path[64];
    char spec[128]; /* from the path to the echo server */
};

static void place_open(struct place *place)
{
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/afar-forward-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/s", place->folder);
    (void)snprintf(place->spec, sizeof place->spec, "%s:127.0.0.1:%u", place->path, echo.port);
}

/* Nothing was left. */
static void place_close(struct place *place)
{
    assert_int_equal(rmdir(place->folder), 0);
}

static void expect_echo_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    forwarded_echo(fd, "by a path");
    (void)close(fd);
}

/* The socket goes with the program, by whatever signal that ends; and it ends as by that signal. */
static void test_unix_socket(void **state)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    struct place place;
    struct program program;
    (void)state;
    place_open(&place);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        program_start(&program, WORDS("afar", "forward", server.url[0], place.spec), NULL);
        program_expect(&program, 2, " -> ");
        if (i == 0)
            expect_echo_at(place.path);
        assert_int_equal(kill(program.pid, numbers[i]), 0);
        program_finish(&program, NULL, 0);
        assert_int_equal(program_exit_status(&program), 128 + numbers[i]);
        program_close(&program);
        assert_int_equal(access(place.path, F_OK), -1);
    }
    place_close(&place);
}

/* With ssh another process has the socket, and removes it also where the first one is killed. */
static void test_unix_socket_beside_command(void **state)
{
    static const int numbers[] = {SIGTERM, SIGKILL};
    struct place place;
    struct program program;
    (void)state;
    place_open(&place);
    program_expect_run(WORDS("afar", "ssh", "-L", place.spec, server.url[0], "echo x"), "", 0,
                       "x\n", "");
    assert_int_equal(access(place.path, F_OK), -1);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        program_start(&program, WORDS("afar", "ssh", "-v", "-N", "-L", place.spec, server.url[0]),
                      NULL);
        program_expect(&program, 2, " -> ");
        expect_echo_at(place.path);
        assert_int_equal(kill(program.pid, numbers[i]), 0);
        program_finish(&program, NULL, 0); /* the other process has standard error until its end */
        assert_int_equal(program_exit_status(&program), 128 + numbers[i]);
        program_close(&program);
        assert_int_equal(access(place.path, F_OK), -1);
    }
    place_close(&place);
    afard_expect_calm(&server);
}

/* Nobody's file is removed but its own. */
static void test_unix_socket_in_use(void **state)
{
    const char *url = server.url[0];
    struct place place;
    struct program program;
    (void)state;
    place_open(&place);
    int fd = open(place.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    program_expect_run(WORDS("afar", "forward", url, place.spec), "", 125, "",
                       "Address already in use; a file that is not a socket is there");
    program_expect_run(WORDS("afar", "forward", "tcp://127.0.0.1:1", place.spec), "", 125, "",
                       "Connection refused");
    program_expect_run(WORDS("afar", "ssh", "-L", place.spec, url, "echo x"), "", 0, "x\n",
                       "Address already in use");
    assert_int_equal(unlink(place.path), 0);

    program_start(&program, WORDS("afar", "forward", url, place.spec), NULL);
    program_expect(&program, 2, " -> ");
    program_expect_run(WORDS("afar", "forward", url, place.spec), "", 125, "",
                       "in use; if nobody listens there any more, remove it");
    expect_echo_at(place.path);
    /* In the place of its own there is another's. */
    assert_int_equal(unlink(place.path), 0);
    fd = open(place.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    forwarded_stop(&program);
    assert_int_equal(unlink(place.path), 0);
    place_close(&place);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_ports_in_use(void **state)
{
    char spec[128];
    const char *url = server.url[0];
    (void)state;
    (void)snprintf(spec, sizeof spec, "127.0.0.1:%u:localhost:1", echo.port);
    program_expect_run(WORDS("afar", "ssh", "-L", spec, url, "echo x"), "", 0, "x\n",
                       "Address already in use");
    program_expect_run(
        WORDS("afar", "ssh", "-o", "ExitOnForwardFailure=yes", "-L", spec, url, "echo x"), "", 255,
        "", "Could not request local forwarding.");
    program_expect_run(WORDS("afar", "forward", url, spec), "", 125, "", "Address already in use");
    program_expect_run(
        WORDS("afar", "ssh", "-o", "ClearAllForwardings=yes", "-L", spec, url, "echo x"), "", 0,
        "x\n", "");
    program_expect_run(WORDS("afar", "ssh", "-L", "x", url, "true"), "", 255, "",
                       "Bad local forwarding specification 'x'");
    program_expect_run(WORDS("afar", "ssh", "-D", "x:y:z", url, "true"), "", 255, "",
                       "Bad dynamic forwarding specification 'x:y:z'");
    program_expect_run(WORDS("afar", "ssh", "-R", "1:h:2", url, "true"), "", 255, "",
                       "afar: -R: forwarding from the server to here is not supported");
}

/* ---- SOCKS ----------------------------------------------------------------------------------- */

static int socks_to(uint16_t socks, const void *request, size_t size, void *reply,
                    size_t reply_size)
{
    int fd = raw_connect(socks);
    raw_send(fd, request, size);
    assert_true(raw_read(fd, reply, reply_size));
    return fd;
}

static void test_socks(void **state)
{
    uint8_t five[] = {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 0};
    uint8_t name[] = {5, 1, 0, 5, 1, 0, 3, 9, 'l', 'o', 'c', 'a', 'l', 'h', 'o', 's', 't', 0, 0};
    uint8_t four[] = {4, 1, 0, 0, 0, 0, 0, 1, 0, 'l', 'o', 'c', 'a', 'l', 'h', 'o', 's', 't', 0};
    const uint8_t high = (uint8_t)(echo.port >> 8);
    const uint8_t low = (uint8_t)echo.port;
    uint8_t reply[12];
    struct program program;
    (void)state;
    program_start(&program, WORDS("afar", "ssh", "-N", "-D", "0", server.url[0]), NULL);
    uint16_t port = forwarded_port(&program, 0);
    five[11] = name[17] = four[2] = high;
    five[12] = name[18] = four[3] = low;

    int fd = socks_to(port, five, sizeof five, reply, 12);
    assert_memory_equal(reply, "\5\0\5\0\0\1\0\0\0\0\0\0", 12);
    forwarded_echo(fd, "five");
    (void)close(fd);
    fd = socks_to(port, name, sizeof name, reply, 12);
    assert_int_equal(reply[3], 0);
    forwarded_echo(fd, "by name");
    (void)close(fd);
    fd = socks_to(port, four, sizeof four, reply, 8);
    assert_int_equal(reply[1], 90);
    forwarded_echo(fd, "four");
    (void)close(fd);

    five[11] = 0;
    five[12] = 1;
    fd = socks_to(port, five, sizeof five, reply, 12);
    assert_int_equal(reply[3], 5); /* refused */
    assert_false(raw_read(fd, reply, 1));
    (void)close(fd);
    fd = raw_connect(port);
    raw_send(fd, "GET / HTTP/1.0\r\n\r\n", 18);
    assert_false(raw_read(fd, reply, 1));
    (void)close(fd);
    forwarded_stop(&program);
    afard_expect_calm(&server);
}

/* Each of several is served. */
static void test_socks_twice(void **state)
{
    char four[] = "\4\1\0\0\177\0\0\1user"; /* and a NUL */
    struct program program;
    char reply[16];
    (void)state;
    four[2] = (char)(echo.port >> 8);
    four[3] = (char)echo.port;
    program_start(&program, WORDS("afar", "forward", "-D", "0", server.url[0], "--socks", "0"),
                  NULL);
    for (unsigned i = 0; i < 2; i++) {
        int fd = socks_to(forwarded_port(&program, i), four, sizeof four, reply, 8);
        assert_int_equal(reply[1], 90);
        forwarded_echo(fd, "x");
        (void)close(fd);
    }
    forwarded_stop(&program);
    afard_expect_calm(&server);
}

/* ---- hostile ends ---------------------------------------------------------------------------- */

/* Writes until nobody takes any more. */
static size_t push(int fd)
{
    static const char data[65536];
    size_t pushed = 0;
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    while (poll(&waiting, 1, 1000) > 0) {
        ssize_t sent = send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(sent > 0 || errno == EAGAIN);
        pushed += sent > 0 ? (size_t)sent : 0;
        assert_true(pushed < (1U << 30));
    }
    return pushed;
}

/* It takes nothing: so much waits on the way, and no more; and is gone at once with its sender. */
static void test_deaf_target(void **state)
{
    struct echo_server deaf;
    uint16_t port = 0;
    (void)state;
    assert_true(echo_server_start(&deaf, ECHO_DEAF, false));
    struct program program = forwarded_start(server.url[0], "60s", &deaf, &port);
    int fd = raw_connect(port);
    assert_true(push(fd) > 0);
    raw_reset(fd);
    afard_expect_calm(&server);
    forwarded_stop(&program);
    echo_server_stop(&deaf);
}

/* It sends without end to who does not read. Whoever goes is gone at once, and not only after a minute
 * (resume_ms), whatever was under way: again and again, as it is another each time. */
static void test_flooding_target(void **state)
{
    enum { ROUNDS = 30, MUCH = 1000 };
    struct echo_server flood;
    uint16_t port = 0;
    char data[1000];
    (void)state;
    assert_true(echo_server_start(&flood, ECHO_FLOOD, false));
    struct program program = forwarded_start(server.url[0], "60s", &flood, &port);
    int fd = raw_connect(port);
    int other = raw_connect(port);
    assert_true(raw_read(fd, data, sizeof data));
    /* Another beside it is served. */
    for (int i = 0; i < 1000; i++)
        assert_true(raw_read(other, data, sizeof data));
    raw_reset(fd);
    raw_reset(other);
    for (int round = 0; round < ROUNDS; round++) {
        fd = raw_connect(port);
        for (int i = 0; i < MUCH; i++)
            assert_true(raw_read(fd, data, sizeof data));
        raw_reset(fd);
    }
    const int64_t began_ms = clock_now_ms();
    afard_expect_calm(&server);
    assert_in_range(clock_now_ms() - began_ms, 0, 20000);
    forwarded_stop(&program);
    echo_server_stop(&flood);
}

/* A reset arrives as one, and not as an end that somebody meant. */
static void test_resetting_target(void **state)
{
    struct echo_server resets;
    uint16_t port = 0;
    char byte;
    (void)state;
    assert_true(echo_server_start(&resets, ECHO_RESET, false));
    struct program program = forwarded_start(server.url[0], "60s", &resets, &port);
    int fd = raw_connect(port);
    raw_send(fd, "x", 1);
    ssize_t got = recv(fd, &byte, 1, 0);
    assert_true(got < 0 && errno == ECONNRESET);
    (void)close(fd);
    program_expect(&program, 2, "the connection was lost: Connection reset by peer");
    forwarded_stop(&program);
    echo_server_stop(&resets);
    afard_expect_calm(&server);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stdio),
        cmocka_unit_test(test_stdio_failures),
        cmocka_unit_test(test_stdio_half_closed),
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_with_command),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_unix_socket_beside_command),
        cmocka_unit_test(test_unix_socket_in_use),
        cmocka_unit_test(test_ports_in_use),
        cmocka_unit_test(test_socks),
        cmocka_unit_test(test_socks_twice),
        cmocka_unit_test(test_deaf_target),
        cmocka_unit_test(test_flooding_target),
        cmocka_unit_test(test_resetting_target),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
