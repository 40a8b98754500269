/* The server's end, and its next beginning. */
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
#include "support/afard.h"
#include "support/raw.h"

/* A command that runs until the file is there, so that no test has to guess times. */
static void start_command(struct afard *server, struct program *client, const char *script)
{
    const char *argv[] = {"afar", "run", "--json", "--reconnect", "0", server->url[0],
                          "--",   "sh",  "-c",     script,        NULL};
    program_start(client, argv, NULL);
    program_expect(client, 1, "ready");
}

static void a_running_job_may_finish(void **state)
{
    (void)state;
    struct afard server;
    struct program client;
    char script[256];
    char file[128];
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "drain_ms=100000", NULL};
    afard_start(&server, args);
    (void)snprintf(file, sizeof file, "%s/go", server.folder);
    (void)snprintf(script, sizeof script,
                   "echo ready; while ! [ -e %s ]; do sleep 0.02; done; echo finished; exit 9",
                   file);
    start_command(&server, &client, script);
    int idle = raw_connect(afard_port(&server, 0));

    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    afard_expect_log(&server, "draining: 1 jobs");
    /* The idle connection is told and closed. */
    char *closing = raw_read_header(idle, NULL);
    assert_non_null(strstr(closing, "\"type\":\"closing\""));
    free(closing);
    size_t size = 0;
    free(raw_read_rest(idle, &size));
    (void)close(idle);
    /* No one else gets in. */
    struct program late;
    const char *argv[] = {"afar", "run", server.url[0], "--", "true", NULL};
    assert_int_equal(program_run(&late, argv, NULL, 0), 125);
    assert_non_null(strstr(late.stderr_data, "refused"));
    program_close(&late);

    FILE *go = fopen(file, "w");
    assert_non_null(go);
    (void)fclose(go);
    program_finish(&client, NULL, 0);
    assert_int_equal(program_exit_status(&client), 9);
    assert_non_null(strstr(client.stdout_data, "finished"));
    program_close(&client);
    assert_int_equal(afard_stop(&server), 0);
}

static void after_drain_ms_jobs_are_ended(void **state)
{
    (void)state;
    struct afard server;
    struct program client;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "drain_ms=100",
                          "--set",    "kill_grace_ms=100", NULL};
    afard_start(&server, args);
    start_command(&server, &client, "trap '' TERM; echo ready; while :; do sleep 0.05; done");
    assert_int_equal(afard_stop(&server), 0);
    program_finish(&client, NULL, 0);
    assert_int_equal(program_exit_status(&client), 125);
    assert_non_null(strstr(client.stdout_data, "\"outcome\":\"killed\""));
    program_close(&client);
}

static void a_second_signal_kills(void **state)
{
    (void)state;
    struct afard server;
    struct program client;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",     "--set", "drain_ms=1000000",
                          "--set",    "kill_grace_ms=1000000", NULL};
    afard_start(&server, args);
    start_command(&server, &client, "trap '' TERM; echo ready; while :; do sleep 0.05; done");
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    afard_expect_log(&server, "draining: 1 jobs");
    assert_int_equal(afard_stop(&server), 0);
    program_finish(&client, NULL, 0);
    assert_non_null(strstr(client.stdout_data, "\"outcome\":\"killed\""));
    assert_non_null(strstr(client.stdout_data, "\"signal\":\"KILL\""));
    program_close(&client);
}

/* Nobody can come back to a server that stops, so nobody is waited for; and that is what it says. */
static void whoever_is_away_is_not_waited_for(void **state)
{
    (void)state;
    struct afard server;
    struct program client;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "drain_ms=1000000", NULL};
    afard_start(&server, args);
    const char *argv[] = {"afar", "run", "--reconnect",           "60s", server.url[0], "--",
                          "sh",   "-c",  "echo ready; sleep 977", NULL};
    program_start(&client, argv, NULL);
    program_expect(&client, 1, "ready");
    assert_int_equal(kill(client.pid, SIGKILL), 0);
    afard_expect_log(&server, "ms for its client");
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    afard_expect_log(&server, "the server stops, so its client cannot come back");
    assert_null(strstr(server.program.stderr_data, "in time (resume_ms)"));
    program_finish(&client, NULL, 0);
    program_close(&client);
    assert_int_equal(afard_stop(&server), 0);
}

/* A client that takes nothing cannot keep the server from ending: it does when last_words_ms are
 * over, so that a container's grace period can be kept. */
static int64_t end_without_a_reader(void)
{
    struct afard server;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",  "--set", "drain_ms=100",
                          "--set",    "kill_grace_ms=100",  "--set", "last_words_ms=100",
                          "--set",    "write_timeout_ms=0", NULL};
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"yes\"]}");
    char *started = raw_read_header(fd, NULL);
    assert_non_null(strstr(started, "started"));
    free(started);
    const int64_t began_ms = clock_now_ms();
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    afard_expect_log(&server, "draining: 1 jobs");
    program_finish(&server.program, NULL, 0);
    const int64_t took_ms = clock_now_ms() - began_ms;
    assert_int_equal(afard_stop(&server), 0);
    (void)close(fd);
    return took_ms;
}

static void a_client_that_does_not_read(void **state)
{
    (void)state;
    enum { LAST_WORDS_BY_DEFAULT_MS = 5000, TRIES = 5 }; /* the machine may be busy with others */
    int64_t took_ms = LAST_WORDS_BY_DEFAULT_MS;
    for (int i = 0; i < TRIES && took_ms >= LAST_WORDS_BY_DEFAULT_MS; i++)
        took_ms = end_without_a_reader();
    assert_true(took_ms < LAST_WORDS_BY_DEFAULT_MS);
}

/* Tutorial §8: with connections in TIME_WAIT the port can be had again at once. */
static void restart_on_the_same_port(void **state)
{
    (void)state;
    struct afard server;
    char url[512];
    const char *first[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, first);
    (void)snprintf(url, sizeof url, "%s", server.url[0]);
    for (unsigned round = 0; round < 3; round++) {
        struct program client;
        const char *argv[] = {"afar", "run", url, "--", "true", NULL};
        assert_int_equal(program_run(&client, argv, NULL, 0), 0);
        program_close(&client);
        /* A connection that the server closes is the one that stays in TIME_WAIT. */
        int fd = raw_connect(afard_port(&server, 0));
        assert_int_equal(afard_stop(&server), 0);
        (void)close(fd);
        const char *again[] = {"--listen", url, NULL};
        afard_start(&server, again);
        assert_string_equal(server.url[0], url);
    }
    assert_int_equal(afard_stop(&server), 0);
}

static void killed_server_leaves_no_success(void **state)
{
    (void)state;
    struct afard server;
    struct program client;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    start_command(&server, &client, "echo ready; exec sleep 5");
    assert_int_equal(kill(server.program.pid, SIGKILL), 0);
    program_finish(&client, NULL, 0);
    assert_int_equal(program_exit_status(&client), 125);
    assert_non_null(strstr(client.stderr_data, "receipt"));
    program_close(&client);
    program_finish(&server.program, NULL, 0);
    program_close(&server.program);
    assert_int_equal(rmdir(server.folder), 0);
}

static void ipv6_and_json_log(void **state)
{
    (void)state;
    struct afard server;
    struct program client;
    const char *args[] = {"--listen", "tcp://[::1]:0", "--log-format", "json", NULL};
    afard_start(&server, args);
    assert_int_equal(strncmp(server.url[0], "tcp://[::1]:", 12), 0);
    const char *argv[] = {"afar", "run", server.url[0], "--", "echo", "six", NULL};
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    assert_string_equal(client.stdout_data, "six\n");
    program_close(&client);
    afard_expect_log(&server, "exited, status 0");
    const char *check[] = {"python3", "-c",
                           "import sys,json\n"
                           "l=[json.loads(x) for x in sys.stdin]\n"
                           "assert all(set(x)=={'time','level','message'} for x in l), l\n"
                           "assert any('everyone on this machine' in x['message'] for x in l), l\n",
                           NULL};
    struct program checker;
    const char *last = strrchr(server.program.stderr_data, '\n');
    size_t whole = (size_t)(last - server.program.stderr_data) + 1;
    assert_int_equal(program_run(&checker, check, server.program.stderr_data, whole), 0);
    program_close(&checker);
    assert_int_equal(afard_stop(&server), 0);
}

static void type_line(const struct program *program, const char *line)
{
    assert_int_equal(write(program->in, line, strlen(line)), strlen(line));
}

/* While a repl waits for its next line: that line is run by the new server. */
static void a_repl_outlives_a_restart(void **state)
{
    (void)state;
    char unix_url[128];
    (void)snprintf(unix_url, sizeof unix_url, "unix:///tmp/afar-test-drain-%d.sock", (int)getpid());
    const char *const urls[] = {"tcp://127.0.0.1:0", unix_url};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct afard server;
        struct program repl;
        char url[512];
        const char *first[] = {"--listen", urls[i], NULL};
        afard_start(&server, first);
        (void)snprintf(url, sizeof url, "%s", server.url[0]);
        const char *argv[] = {"afar", "repl", url, NULL};
        program_start(&repl, argv, NULL);
        type_line(&repl, "echo one\n");
        program_expect(&repl, 1, "one\n");
        assert_int_equal(afard_stop(&server), 0);
        const char *again[] = {"--listen", url, NULL};
        afard_start(&server, again);
        program_finish(&repl, "echo two\n", 9);
        assert_string_equal(repl.stderr_data == NULL ? "" : repl.stderr_data, "");
        assert_int_equal(program_exit_status(&repl), 0);
        assert_string_equal(repl.stdout_data, "one\ntwo\n");
        program_close(&repl);
        assert_int_equal(afard_stop(&server), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_job_may_finish),
        cmocka_unit_test(after_drain_ms_jobs_are_ended),
        cmocka_unit_test(a_second_signal_kills),
        cmocka_unit_test(whoever_is_away_is_not_waited_for),
        cmocka_unit_test(a_client_that_does_not_read),
        cmocka_unit_test(restart_on_the_same_port),
        cmocka_unit_test(a_repl_outlives_a_restart),
        cmocka_unit_test(killed_server_leaves_no_success),
        cmocka_unit_test(ipv6_and_json_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
