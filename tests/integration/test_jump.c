/* Servers that are reached through others, the rules that a jump host needs for it, and what its
 * audit log says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/cutter.h"
#include "support/echo_server.h"
#include "support/ruled.h"

enum { TEXT_BYTES = 8192 };

/* Two jump hosts without TLS, and a server behind them with it. */
static struct afard jump;
static struct afard second;
static struct afard server;
static char hosts[] = "/tmp/afar-jump-XXXXXX";

static int set_up(void **state)
{
    const char *plain[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    const char *tls[] = {"--listen", "tls://127.0.0.1:0", NULL};
    (void)state;
    afard_start(&jump, plain);
    afard_start(&second, plain);
    afard_start_tls(&server, tls);
    int fd = mkstemp(hosts);
    char text[TEXT_BYTES];
    int size = snprintf(text, sizeof text,
                        "[jump]\nendpoint = %s\n[second]\nendpoint = %s\nvia = jump\n"
                        "[far]\nendpoint = %s\nvia = jump\n"
                        "[farther]\nendpoint = %s\nvia = second\nreconnect = 0\n"
                        "[direct]\nendpoint = %s\nvia = none\n"
                        "[a]\nendpoint = %s\nvia = b\n[b]\nendpoint = %s\nvia = a\n"
                        "[slow]\nendpoint = %s\nreconnect = soon\n"
                        "[none]\nendpoint = tcp://127.0.0.1:1\nvia = jump\n"
                        "[nowhere]\nendpoint = tcp://127.0.0.1:1\nvia = second\n"
                        "[plain]\nendpoint = %s\nvia = jump,second\n",
                        jump.url[0], second.url[0], server.url[0], server.url[0], server.url[0],
                        jump.url[0], jump.url[0], jump.url[0], second.url[0]);
    assert_true(fd >= 0 && write(fd, text, (size_t)size) == size);
    (void)close(fd);
    return setenv("AFAR_HOSTS", hosts, 1);
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(hosts);
    (void)unsetenv("AFAR_HOSTS");
    int failed = afard_stop(&jump);
    failed |= afard_stop(&second);
    return failed | afard_stop(&server);
}

static void test_ssh(void **state)
{
    char list[TEXT_BYTES];
    char proxy[TEXT_BYTES];
    char program[PROGRAM_TEXT_BYTES];
    const char *url = server.url[0];
    (void)state;
    program_expect_run(WORDS("afar", "ssh", "-J", jump.url[0], url, "cat; exit 7"), "in\n", 7,
                       "in\n", "");
    /* In brackets there may be a name too, as in ssh(1). */
    program_expect_run(WORDS("afar", "ssh", "-J", "[jump]", url, "echo x"), "", 0, "x\n", "");
    program_expect_run(WORDS("afar", "ssh", "-J", "ssh://[jump]/,jump", url, "echo x"), "", 0,
                       "x\n", "");
    program_expect_run(WORDS("afar", "ssh", "-J", "[::1]:1", url, "true"), "", 255, "",
                       "tls://[::1]:1");
    program_expect_run(WORDS("afar", "ssh", "-J", "root@[127.0.0.1]:1", url, "true"), "", 255, "",
                       "tls://127.0.0.1:1");
    program_expect_run(WORDS("afar", "ssh", "-o", "ProxyJump=jump", url, "echo x"), "", 0, "x\n",
                       "");
    (void)snprintf(list, sizeof list, "%s,%s", second.url[0], jump.url[0]);
    program_expect_run(WORDS("afar", "ssh", "-J", list, url, "echo x"), "", 0, "x\n", "");
    program_expect_run(WORDS("afar", "ssh", "far", "echo x"), "", 0, "x\n", "");
    program_expect_run(WORDS("afar", "ssh", "-J", "none", "far", "echo x"), "", 0, "x\n", "");
    /* By itself as a ProxyCommand. */
    (void)snprintf(proxy, sizeof proxy, "ProxyCommand=%s ssh -W %%h:%%p jump",
                   program_path("afar", program));
    program_expect_run(WORDS("afar", "ssh", "-o", proxy, url, "echo x; exit 3"), "", 3, "x\n", "");
    (void)snprintf(proxy, sizeof proxy, "ProxyCommand=%s forward jump - %%h:%%p",
                   program_path("afar", program));
    program_expect_run(WORDS("afar", "ssh", "-o", proxy, url, "echo x"), "", 0, "x\n", "");
}

static void test_every_subcommand(void **state)
{
    char copy[] = "/tmp/afar-jumped-XXXXXX";
    char word[256];
    struct program program;
    int fd = mkstemp(copy);
    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    program_expect_run(WORDS("afar", "run", "far", "cat"), "in", 0, "in", "");
    program_expect_run(WORDS("afar", "run", "farther", "echo", "x"), "", 0, "x\n", "");
    program_expect_run(WORDS("afar", "run", "direct", "echo", "x"), "", 0, "x\n", "");
    (void)snprintf(word, sizeof word, "far:%s", hosts);
    program_expect_run(WORDS("afar", "cp", "-q", word, copy), "", 0, "", "");
    assert_int_equal(program_run(&program, WORDS("cmp", hosts, copy), NULL, 0), 0);
    program_close(&program);
    assert_int_equal(program_run(&program, WORDS("afar", "ping", "far"), NULL, 0), 0);
    program_close(&program);
    (void)unlink(copy);
}

static void expect_one_line(const char *const *argv, int status, const char *line)
{
    struct program program;
    assert_int_equal(program_run(&program, argv, NULL, 0), status);
    assert_string_equal(program.stderr_data, line);
    program_close(&program);
}

/* A server without TLS, where nothing but the jump host tells whether it was reached. */
static void test_plain(void **state)
{
    static const char refused[] = "afar: jump: cannot connect to 127.0.0.1:1: Connection refused\n";
    const char *url = "tcp://127.0.0.1:1";
    (void)state;
    program_expect_run(WORDS("afar", "run", "plain", "cat"), "in", 0, "in", "");
    program_expect_run(WORDS("afar", "ssh", "-J", "jump,jump", "plain", "echo x"), "", 0, "x\n",
                       "");
    expect_one_line(WORDS("afar", "run", "none", "true"), 125, refused);
    expect_one_line(WORDS("afar", "run", "--reconnect", "0", "none", "true"), 125, refused);
    expect_one_line(WORDS("afar", "ping", "none"), 125, refused);
    expect_one_line(WORDS("afar", "forward", "none", "0:1"), 125, refused);
    expect_one_line(WORDS("afar", "ssh", "-J", "jump", url, "true"), 255, refused);
    expect_one_line(WORDS("afar", "run", "nowhere", "true"), 125,
                    "afar: second: cannot connect to 127.0.0.1:1: Connection refused\n");
    afard_expect_calm(&jump);
    afard_expect_calm(&second);
}

/* A jump host that is there, but does not answer. */
static void test_silent(void **state)
{
    struct echo_server deaf;
    char url[64];
    const int64_t began_ms = clock_now_ms();
    (void)state;
    assert_true(echo_server_start(&deaf, ECHO_DEAF, false));
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%u", deaf.port);
    program_expect_run(WORDS("afar", "ssh", "-o", "ConnectTimeout=1", "-J", url, "none", "true"),
                       "", 255, "", "has not answered for 1 s");
    assert_true(clock_now_ms() - began_ms < test_deadline_ms() / 2);
    echo_server_stop(&deaf);
}

/* Nothing of it stays. */
static void test_failures(void **state)
{
    (void)state;
    program_expect_run(WORDS("afar", "ssh", "-J", "tcp://127.0.0.1:1", server.url[0], "true"), "",
                       255, "", "cannot connect to tcp://127.0.0.1:1: Connection refused");
    /* Said once, by who knows it. */
    struct program program;
    assert_int_equal(
        program_run(&program,
                    WORDS("afar", "ssh", "-J", "tcp://127.0.0.1:1", server.url[0], "true"), NULL,
                    0),
        255);
    assert_ptr_equal(strchr(program.stderr_data, '\n'),
                     program.stderr_data + program.stderr_size - 1);
    program_close(&program);
    program_expect_run(WORDS("afar", "ssh", "-J", "jump", "tls://127.0.0.1:1", "true"), "", 255, "",
                       "jump: cannot connect to 127.0.0.1:1: Connection refused");
    program_expect_run(WORDS("afar", "run", "a", "true"), "", 125, "",
                       "a: more than 8 jump hosts: does one of them lead to another, and back?");
    static const char *const bad[] = {"",    ",",    "jump,,jump", "jump,", "root@", "@jump",
                                      "[]",  "[]:1", "[jump",      "[a]x",  "jump:", "jump:x",
                                      "-ox", "[::1", "[a]:",       "a b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        program_expect_run(WORDS("afar", "ssh", "-J", bad[i], "tls://127.0.0.1:1", "true"), "", 255,
                           "", "is not a list of jump hosts");
    program_expect_run(WORDS("afar", "ssh", "-J", "jump", "unix:///x", "true"), "", 255, "",
                       "unix:///x: a jump host cannot lead there");
    program_expect_run(WORDS("afar", "run", "slow", "true"), "", 125, "",
                       "reconnect: 'soon' is not a duration");
    afard_expect_calm(&jump);
    afard_expect_calm(&second);
    afard_expect_calm(&server);
}

/* In the background, where whoever has started it is gone. */
static void test_background(void **state)
{
    char file[] = "/tmp/afar-behind-XXXXXX";
    char line[128];
    char byte = 0;
    int fd = mkstemp(file);
    (void)state;
    assert_true(fd >= 0);
    (void)snprintf(line, sizeof line, "sleep 0.3; echo x > %s", file);
    program_expect_run(WORDS("afar", "ssh", "-f", "-J", "jump", server.url[0], line), "", 0, "",
                       "");
    for (int i = 0; i < 6000 && pread(fd, &byte, 1, 0) != 1; i++)
        (void)usleep(10000);
    assert_int_equal(byte, 'x');
    (void)close(fd);
    (void)unlink(file);
    afard_expect_calm(&jump);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* In a session of its own, whose processes are its group. */
static void start_session(struct program *program, const char *host, const char *line)
{
    char path[PROGRAM_TEXT_BYTES];
    const char *argv[] = {"setsid", program_path("afar", path), "run", host, "sh", "-c", line,
                          NULL};
    program_start(program, argv, NULL);
    program_expect(program, 1, "ready\n");
}

/* As where its terminal goes: it passes the signal on, over jump hosts that have it too. */
static void test_hang_up(void **state)
{
    struct program program;
    (void)state;
    start_session(&program, "farther", "echo ready; exec sleep 60");
    assert_int_equal(kill(-program.pid, SIGHUP), 0);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 128 + SIGHUP);
    program_close(&program);
    afard_expect_calm(&server);
}

/* Whoever leads to a server for it ends with it; and the end of a terminal's session is no reason to
 * have lost connections again. */
static void test_killed(void **state)
{
    struct program program;
    (void)state;
    start_session(&program, "farther", "echo ready; exec sleep 60");
    const int64_t began_ms = clock_now_ms();
    assert_int_equal(kill(program.pid, SIGKILL), 0);
    (void)kill(-program.pid, SIGHUP);
    program_finish(&program, NULL, 0); /* they have standard error too */
    assert_true(clock_now_ms() - began_ms < test_deadline_ms() / 20);
    program_close(&program);
    afard_expect_calm(&server);
}

/* A way that is had again, and leads to nobody, does not hold back a signal. */
static void test_silent_return(void **state)
{
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = cutter_start(afard_port(&server, 0), &plan);
    struct cutter_result result;
    struct program program;
    char text[256];
    (void)state;
    int size = snprintf(text, sizeof text,
                        "[cut]\nendpoint = tls://127.0.0.1:%u\nvia = jump\nreconnect = 7s\n",
                        cutter_port(cutter));
    int fd = open(hosts, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0 && write(fd, text, (size_t)size) == size);
    (void)close(fd);
    start_session(&program, "cut", "echo ready; exec sleep 60");
    unsigned before = cutter_count(cutter);
    cutter_refuse(cutter, 1);
    cutter_cut(cutter);
    while (cutter_count(cutter) == before) /* the loss was noticed */
        (void)usleep(1000);
    cutter_swallow(cutter);
    before = cutter_count(cutter);
    cutter_refuse(cutter, 0);
    while (cutter_count(cutter) == before)
        (void)usleep(1000);
    const int64_t began_ms = clock_now_ms();
    assert_int_equal(kill(program.pid, SIGTERM), 0);
    program_finish(&program, NULL, 0);
    assert_true(clock_now_ms() - began_ms < test_deadline_ms() / 3);
    assert_int_equal(program_exit_status(&program), 125);
    assert_non_null(strstr(program.stderr_data, "interrupted, and the connection is not back"));
    program_close(&program);
    cutter_stop(cutter, &result);
    afard_expect_calm(&server);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void test_rules(void **state)
{
    struct ruled ruled;
    struct echo_server echo;
    char text[TEXT_BYTES];
    char log[] = "/tmp/afar-forward-audit-XXXXXX";
    char allowed[64];
    char by_name[64];
    int fd = mkstemp(log);
    (void)state;
    assert_true(fd >= 0 && echo_server_start(&echo, ECHO_PLAIN, false));
    (void)snprintf(allowed, sizeof allowed, "127.0.0.1:%u", echo.port);
    (void)snprintf(by_name, sizeof by_name, "localhost:%u", echo.port);
    (void)snprintf(text, sizeof text,
                   "[server]\naudit_log = %s\naudit = counted\n"
                   "[allow x]\nclient = any\nmay = run forward\ncommand = /bin/true\n"
                   "forward = 127.0.0.0/8:%u\nforward = *.example:1\n",
                   log, echo.port);
    ruled_open(&ruled, text, "error");
    const char *url = ruled.afard.url[0];
    program_expect_run(WORDS("afar", "ssh", "-W", allowed, url), "in", 0, "in", "");
    program_expect_run(WORDS("afar", "ssh", "-W", by_name, url), "in", 255, "", "denied");
    program_expect_run(WORDS("afar", "ssh", "-W", "127.0.0.1:1", url), "in", 255, "", "denied");
    ruled_close(&ruled);

    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    assert_true(size > 0);
    text[size] = '\0';
    (void)close(fd);
    (void)unlink(log);
    char wanted[128];
    (void)snprintf(wanted, sizeof wanted, "\"rule\":\"x\",\"forward\":\"%s\",", allowed);
    const char *start = strstr(text, "\"event\":\"start\"");
    assert_true(start != NULL && strstr(start, wanted) != NULL);
    assert_null(strstr(text, "\"argv\""));
    assert_non_null(strstr(text, "\"event\":\"end\""));
    (void)snprintf(wanted, sizeof wanted, "\"forward\":\"%s\",", by_name);
    const char *denied = strstr(text, "\"event\":\"denied\"");
    assert_true(denied != NULL && strstr(denied, wanted) != NULL);

    /* Only where it is named. */
    ruled_open(&ruled, "[allow x]\nclient = any\ncommand = **\n", "error");
    program_expect_run(WORDS("afar", "ssh", "-W", allowed, ruled.afard.url[0]), "", 255, "",
                       "denied");
    ruled_close(&ruled);
    echo_server_stop(&echo);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ssh),      cmocka_unit_test(test_every_subcommand),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_background),
        cmocka_unit_test(test_rules),    cmocka_unit_test(test_plain),
        cmocka_unit_test(test_silent),   cmocka_unit_test(test_hang_up),
        cmocka_unit_test(test_killed),   cmocka_unit_test(test_silent_return),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
