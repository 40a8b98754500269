/* Forwarded connections whose server is lost: it comes back, or their client sees a reset, and not
 * an end that somebody meant. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/cutter.h"
#include "support/echo_server.h"
#include "support/forwarded.h"
#include "support/raw.h"
#include "support/ruled.h"

enum { BULK_BYTES = 300000 };

static struct afard server;
static struct echo_server echo;

static int set_up(void **state)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--listen", "tls://127.0.0.1:0", NULL};
    (void)state;
    afard_start_tls(&server, args);
    return echo_server_start(&echo, ECHO_PLAIN, false) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    echo_server_stop(&echo);
    return afard_stop(&server);
}

static void test_resumed(void **state)
{
    static char sent[BULK_BYTES];
    static char got[BULK_BYTES];
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = cutter_start(afard_port(&server, 0), &plan);
    struct cutter_result result;
    uint16_t port = 0;
    char url[64];
    (void)state;
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%u", cutter_port(cutter));
    struct program program = forwarded_start(url, "60s", &echo, &port);
    int fd = raw_connect(port);
    forwarded_echo(fd, "before");
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sent; i++)
            sent[i] = (char)(i * 7 + (size_t)round);
        cutter_cut(cutter);
        raw_send(fd, sent, sizeof sent);
        assert_true(raw_read(fd, got, sizeof got));
        assert_memory_equal(got, sent, sizeof got);
    }
    (void)close(fd);
    forwarded_stop(&program);
    cutter_stop(cutter, &result);
    assert_true(result.connections > 3);
    afard_expect_calm(&server);
}

/* No end before the reset. */
static void expect_reset(int fd)
{
    char byte = 0;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, (int)test_deadline_ms()), 1);
    ssize_t got = recv(fd, &byte, 1, 0);
    assert_true(got < 0 && errno == ECONNRESET);
    (void)close(fd);
}

/* `listener` 0: tcp, 1: tls. */
static void lose_server(unsigned listener, const char *reconnect)
{
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = cutter_start(afard_port(&server, listener), &plan);
    struct cutter_result result;
    uint16_t port = 0;
    char url[64];
    (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u", listener == 0 ? "tcp" : "tls",
                   cutter_port(cutter));
    struct program program = forwarded_start(url, reconnect, &echo, &port);
    int fd = raw_connect(port);
    forwarded_echo(fd, "before");
    cutter_refuse(cutter, 1);
    cutter_cut(cutter);
    expect_reset(fd);
    forwarded_stop(&program);
    cutter_stop(cutter, &result);
}

static void test_lost(void **state)
{
    (void)state;
    lose_server(0, "0");
    lose_server(0, "1s");
    lose_server(1, "0");
    afard_expect_calm(&server);
}

static void test_lost_ssh(void **state)
{
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = cutter_start(afard_port(&server, 0), &plan);
    struct cutter_result result;
    struct program program;
    char spec[128];
    char url[64];
    (void)state;
    (void)snprintf(spec, sizeof spec, "0:127.0.0.1:%u", echo.port);
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%u", cutter_port(cutter));
    program_start(&program, WORDS("afar", "ssh", "-N", "-L", spec, url), NULL);
    int fd = raw_connect(forwarded_port(&program, 0));
    forwarded_echo(fd, "before");
    cutter_cut(cutter);
    expect_reset(fd);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 255);
    program_close(&program);
    cutter_stop(cutter, &result);
    afard_expect_calm(&server);
}

/* Who ends `afar forward` ends what it carries, in the middle. */
static void test_stopped(void **state)
{
    uint16_t port = 0;
    (void)state;
    struct program program = forwarded_start(server.url[0], "60s", &echo, &port);
    int fd = raw_connect(port);
    forwarded_echo(fd, "before");
    forwarded_stop(&program);
    expect_reset(fd);
    afard_expect_calm(&server);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_lost_ssh),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
