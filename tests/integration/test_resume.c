/* Commands whose connection is lost: cut at any byte, silent, refused for a while; over tcp and tls.
 * Nothing is lost, nothing comes twice, and the command is started once.
 *
 *   AFAR_RESUME_BYTES=n AFAR_RESUME_CUTS=n  so much each way, instead of 4 MiB and 20 cuts */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "support/afard.h"
#include "support/cutter.h"

enum { TCP, TLS };

static struct afard server;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--listen", "tls://127.0.0.1:0",
                          "--set",    "workers=3",         "--set",    "resume_ms=30000",
                          "--set",    "kill_grace_ms=100", "--http",   "tcp://127.0.0.1:0",
                          NULL};
    afard_start_tls(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static struct cutter *begin(unsigned url, const struct cutter_plan *plan, char text[64])
{
    struct cutter *cutter = cutter_start(afard_port(&server, url), plan);
    (void)snprintf(text, 64, "%s://127.0.0.1:%u", url == TLS ? "tls" : "tcp", cutter_port(cutter));
    return cutter;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

/* No run waits for anybody. */
static void expect_none_away(void)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_metric(&server, "afard_jobs{state=\"away\"}") != 0) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(10000);
    }
}

/* ---- cuts at random bytes -------------------------------------------------------------------- */

/* Standard input comes back by two ways, and both are whole and in order. A count of the starts
 * stands beside them. */
static void many_cuts(unsigned url)
{
    char text[64];
    char starts[] = "/tmp/afar-resume-XXXXXX";
    char line[1024];
    char path[PROGRAM_TEXT_BYTES];
    const uint64_t size = number_from("AFAR_RESUME_BYTES", 4 << 20);
    const unsigned cuts = (unsigned)number_from("AFAR_RESUME_CUTS", 20);
    const struct cutter_plan plan = {
        .cuts = cuts, .most_bytes = (unsigned)(2 * size / cuts), .seed = 7 + url};
    struct cutter *cutter = begin(url, &plan, text);
    struct cutter_result result;
    int fd = mkstemp(starts);
    assert_true(fd >= 0);
    (void)close(fd);
    /* By system(3), because it may take long. */
    (void)snprintf(line, sizeof line,
                   "head -c %llu /dev/urandom >%s.in && "
                   "'%s' run --digest %s -- sh -c 'echo started >>%s; cat' <%s.in | cmp - %s.in && "
                   "test \"$(wc -l <%s)\" = 1",
                   (unsigned long long)size, starts, program_path("afar", path), text, starts,
                   starts, starts, starts);
    int status = system(line); // NOLINT(cert-env33-c)
    cutter_stop(cutter, &result);
    print_message("%u connections, %u cuts\n", result.connections, result.cuts);
    assert_int_equal(status, 0);
    assert_true(result.cuts >= cuts / 2);
    (void)unlink(starts);
    (void)snprintf(line, sizeof line, "%s.in", starts);
    (void)unlink(line);
    expect_none_away();
}

static void many_cuts_over_tcp(void **state)
{
    (void)state;
    many_cuts(TCP);
}

static void many_cuts_over_tls(void **state)
{
    (void)state;
    many_cuts(TLS);
}

/* A client in Python, from PROTOCOL.md alone, does it too. */
static void another_client(void **state)
{
    (void)state;
    char text[64];
    char port[8];
    const struct cutter_plan plan = {.cuts = 10, .most_bytes = 300000, .seed = 1};
    struct cutter *cutter = begin(TLS, &plan, text);
    struct cutter_result result;
    struct program program;
    const size_t size = 2000000;
    char *input = malloc(size);
    assert_non_null(input);
    for (size_t i = 0; i < size; i++)
        input[i] = (char)(i * 7919 >> 5);
    (void)snprintf(port, sizeof port, "%u", cutter_port(cutter));
    const char *argv[] = {"python3",
                          "tests/integration/protocol_client.py",
                          "127.0.0.1",
                          port,
                          "--tls",
                          server.ca,
                          server.client_cert,
                          server.client_key,
                          "--resume",
                          "20000",
                          "cat",
                          NULL};
    int status = program_run(&program, argv, input, size);
    print_message("%s", program.stderr_data);
    assert_int_equal(status, 0);
    assert_int_equal(program.stdout_size, size);
    assert_memory_equal(program.stdout_data, input, size);
    program_close(&program);
    free(input);
    cutter_stop(cutter, &result);
    assert_true(result.cuts >= 5);
    expect_none_away();
}

/* ---- one loss at a time ---------------------------------------------------------------------- */

static void start(struct program *program, const char *url, const char *const *options,
                  const char *script)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "run"};
    unsigned count = 2;
    for (; options != NULL && *options != NULL; options++)
        argv[count++] = *options;
    const char *rest[] = {url, "--", "sh", "-c", script, NULL};
    for (unsigned i = 0; rest[i] != NULL; i++)
        argv[count++] = rest[i];
    program_start(program, argv, NULL);
}

/* The client has noticed that its connection is lost, and tried again. */
static void expect_attempt(const struct cutter *cutter, unsigned count)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (cutter_count(cutter) < count) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(2000);
    }
}

/* On another connection than it was begun on, and another again. */
static void a_silent_command_goes_on(void **state)
{
    (void)state;
    char text[64];
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = begin(TLS, &plan, text);
    struct program program;
    start(&program, text, NULL, "echo one; read line; echo $line; exit 9");
    program_expect(&program, 1, "one");
    for (unsigned i = 1; i < 4; i++) {
        cutter_cut(cutter);
        expect_attempt(cutter, i + 1);
    }
    program_finish(&program, "two\n", 4);
    assert_int_equal(program_exit_status(&program), 9);
    assert_string_equal(program.stdout_data, "one\ntwo\n");
    assert_string_equal(program.stderr_data, ""); /* no terminal, no line */
    program_close(&program);
    cutter_stop(cutter, NULL);
    expect_none_away();
}

/* No end, no reset: it is the missing sign of life that tells, and the server believes in the old
 * connection until the client is back on a new one. */
static void a_black_hole(void **state)
{
    (void)state;
    char text[64];
    const struct cutter_plan plan = {.cuts = 0};
    const char *options[] = {"--silence", "800ms", "--json", NULL};
    struct cutter *cutter = begin(TCP, &plan, text);
    struct program program;
    start(&program, text, options, "echo one; read line; echo $line");
    program_expect(&program, 1, "one");
    cutter_silence(cutter);
    program_expect(&program, 1, "{\"type\":\"away\"}");
    program_expect(&program, 1, "\"type\":\"attached\"");
    program_finish(&program, "two\n", 4);
    assert_int_equal(program_exit_status(&program), 0);
    assert_non_null(strstr(program.stdout_data, "two"));
    assert_non_null(strstr(program.stdout_data, "\"stdout\":8"));
    program_close(&program);
    cutter_stop(cutter, NULL);
    expect_none_away();
}

/* While nobody reads, the command blocks, and the server does not grow. */
static void output_waits(void **state)
{
    (void)state;
    char text[64];
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = begin(TCP, &plan, text);
    struct program program;
    start(&program, text, NULL, "echo one; sleep 0.2; head -c 50000000 /dev/zero; echo over >&2");
    program_expect(&program, 1, "one");
    long before_kib = afard_peak_kib(&server);
    cutter_refuse(cutter, 1);
    cutter_cut(cutter);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_metric(&server, "afard_limit_reached_total{limit=\"output_log_bytes\"}") == 0) {
        assert_true(clock_now_ms() < deadline_ms); /* until it is full */
        (void)usleep(10000);
    }
    assert_true(afard_peak_kib(&server) - before_kib < 16384);
    cutter_refuse(cutter, 0);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 0);
    assert_int_equal(program.stdout_size, 50000004);
    assert_string_equal(program.stderr_data, "over\n");
    program_close(&program);
    cutter_stop(cutter, NULL);
    expect_none_away();
}

/* ---- too late, or not wanted ----------------------------------------------------------------- */

static void the_server_gives_up_first(void **state)
{
    (void)state;
    char text[64];
    const struct cutter_plan plan = {.cuts = 0};
    const char *options[] = {"--reconnect", "1s", NULL};
    struct cutter *cutter = begin(TCP, &plan, text);
    struct program program;
    start(&program, text, options, "echo one; exec sleep 977");
    program_expect(&program, 1, "one");
    cutter_refuse(cutter, 1);
    cutter_cut(cutter);
    afard_expect_log(&server, "its client has not come back in time (resume_ms)");
    afard_expect_log(&server, "'sh' disconnected");
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 125);
    assert_non_null(strstr(program.stderr_data, "not to be had again in time"));
    assert_non_null(strstr(program.stderr_data, "whether the command finished is unknown"));
    program_close(&program);
    cutter_stop(cutter, NULL);
    expect_none_away();
}

/* A client that was asleep for longer than its command has waited. */
static void asleep_beyond_the_deadline(void **state)
{
    (void)state;
    char text[64];
    const struct cutter_plan plan = {.cuts = 0};
    const char *options[] = {"--reconnect", "1s", NULL};
    const char *given_up = "afard_limit_reached_total{limit=\"resume_ms\"}";
    double before = afard_metric(&server, given_up);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    struct cutter *cutter = begin(TCP, &plan, text);
    struct program program;
    start(&program, text, options, "echo one; exec sleep 976");
    program_expect(&program, 1, "one");
    assert_int_equal(kill(program.pid, SIGSTOP), 0);
    cutter_cut(cutter);
    while (afard_metric(&server, given_up) <= before) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(10000);
    }
    expect_none_away();
    assert_int_equal(kill(program.pid, SIGCONT), 0);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 125);
    assert_non_null(strstr(program.stderr_data, "the server does not know the command"));
    assert_non_null(strstr(program.stderr_data, "whether the command finished is unknown"));
    program_close(&program);
    cutter_stop(cutter, NULL);
}

/* With --reconnect 0 it is as it was. */
static void not_asked_for(void **state)
{
    (void)state;
    char text[64];
    const struct cutter_plan plan = {.cuts = 0};
    const char *options[] = {"--reconnect", "0", NULL};
    struct cutter *cutter = begin(TCP, &plan, text);
    struct program program;
    start(&program, text, options, "echo one; exec sleep 975");
    program_expect(&program, 1, "one");
    cutter_cut(cutter);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 125);
    assert_int_equal(cutter_count(cutter), 1);
    afard_expect_log(&server, "'sh' disconnected");
    program_close(&program);
    cutter_stop(cutter, NULL);
}

/* INT is delivered when it is back. */
static void an_interrupt_while_away(void **state)
{
    (void)state;
    char text[64];
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = begin(TCP, &plan, text);
    struct program program;
    start(&program, text, NULL,
          "trap 'echo caught; exit 5' INT; echo one; while :; do sleep 0.05; done");
    program_expect(&program, 1, "one");
    cutter_refuse(cutter, 1);
    cutter_cut(cutter);
    expect_attempt(cutter, 2);
    assert_int_equal(kill(program.pid, SIGINT), 0);
    cutter_refuse(cutter, 0);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 5);
    assert_string_equal(program.stdout_data, "one\ncaught\n");
    program_close(&program);
    cutter_stop(cutter, NULL);
    expect_none_away();
}

/* Whoever interrupts it does not wait for a connection that does not come. */
static void an_interrupt_in_vain(void **state)
{
    (void)state;
    char text[64];
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = begin(TCP, &plan, text);
    struct program program;
    start(&program, text, NULL, "echo $$; exec sleep 974");
    program_expect(&program, 1, "\n");
    pid_t command = (pid_t)atoi(program.stdout_data);
    cutter_refuse(cutter, 1);
    cutter_cut(cutter);
    expect_attempt(cutter, 2);
    assert_int_equal(kill(program.pid, SIGINT), 0);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 125);
    assert_non_null(strstr(program.stderr_data, "may run for up to 60 s more"));
    program_close(&program);
    cutter_stop(cutter, NULL);
    assert_int_equal(kill(command, SIGTERM), 0); /* the server's child: it would wait for long */
    afard_expect_log(&server, "'sh' signaled");
}

/* A server that is killed takes its commands along. */
static void the_server_is_killed(void **state)
{
    (void)state;
    struct afard other;
    struct program program;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    const char *options[] = {"--reconnect", "300ms", NULL};
    afard_start(&other, args);
    start(&program, other.url[0], options, "echo $$; exec sleep 973");
    program_expect(&program, 1, "\n");
    pid_t command = (pid_t)atoi(program.stdout_data);
    assert_int_equal(kill(other.program.pid, SIGKILL), 0);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (kill(command, 0) == 0) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(2000);
    }
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 125);
    assert_non_null(strstr(program.stderr_data, "not to be had again in time"));
    program_close(&program);
    (void)afard_stop(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_cuts_over_tcp),
        cmocka_unit_test(many_cuts_over_tls),
        cmocka_unit_test(another_client),
        cmocka_unit_test(a_silent_command_goes_on),
        cmocka_unit_test(a_black_hole),
        cmocka_unit_test(output_waits),
        cmocka_unit_test(the_server_gives_up_first),
        cmocka_unit_test(asleep_beyond_the_deadline),
        cmocka_unit_test(not_asked_for),
        cmocka_unit_test(an_interrupt_while_away),
        cmocka_unit_test(an_interrupt_in_vain),
        cmocka_unit_test(the_server_is_killed),
    };
    /* Of commands that have been moved to a bulk worker. */
    const struct CMUnitTest moved[] = {
        cmocka_unit_test(many_cuts_over_tcp),
        cmocka_unit_test(many_cuts_over_tls),
    };
    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    (void)setenv("AFARD_BULK_BYTES", "1", 1);
    return failed + cmocka_run_group_tests(moved, set_up, tear_down);
}
