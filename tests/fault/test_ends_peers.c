/* A job's end that comes from outside: its client goes away, or its server; or one of them stands
 * still for a while. Nothing is left of the job but, where somebody is there for it, a receipt. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/process_wait.h"
#include "support/raw.h"
#include "support/single_command.h"

/* What a client may leave behind when it goes: each prints its pids, then "ready". */
static const char *const scripts[] = {
    "echo $$; echo ready; exec sleep 1000",
    "trap '' TERM; echo $$; echo ready; while :; do sleep 0.05; done",
    "echo $$; echo ready; kill -STOP $$; exec sleep 1000",
    /* twice forked, in sessions of their own, one of them deaf */
    "(setsid sleep 1000 & echo $$ $!); (setsid sh -c 'trap : TERM; echo $$; echo ready; while :; "
    "do "
    "sleep 1; done' &); exec sleep 1000",
    /* it has ended; what it left holds the output open */
    "(setsid sh -c 'trap : TERM; echo $$; echo ready; while :; do sleep 1; done' &); exit 0",
    "echo $$; echo ready; exec yes",
};

enum { SCRIPTS = sizeof scripts / sizeof scripts[0] };

static void begin(struct single_command *single, const char *const *settings, const char *script)
{
    single_command_open(single, settings);
    single_command_exec(single, script, "");
    single_command_expect(single, "ready");
}

/* ---- the client ------------------------------------------------------------------------------ */

enum manner { CLOSE, SHUTDOWN, RESET };

static void go(struct single_command *single, enum manner manner)
{
    size_t size = 0;
    switch (manner) {
    case CLOSE:
        (void)close(single->fd);
        break;
    case SHUTDOWN: /* a FIN is a disconnect, though we would still listen */
        assert_int_equal(shutdown(single->fd, SHUT_WR), 0);
        free(raw_read_rest(single->fd, &size));
        (void)close(single->fd);
        break;
    case RESET:
        raw_reset(single->fd);
        break;
    }
    single->fd = -1;
}

static void the_client_goes(enum manner manner)
{
    static const char *const settings[] = {"kill_grace_ms=100", "linger_ms=150", NULL};
    for (size_t i = 0; i < SCRIPTS; i++) {
        struct single_command single;
        begin(&single, settings, scripts[i]);
        go(&single, manner);
        /* Of the one that has left something behind nobody knows whether it has ended itself yet.
         */
        afard_expect_log(&single.server, i == 4 ? "'sh' " : "'sh' disconnected");
        single_command_close(&single);
    }
}

static void the_client_closes(void **state)
{
    (void)state;
    the_client_goes(CLOSE);
}

static void the_client_says_no_more(void **state)
{
    (void)state;
    the_client_goes(SHUTDOWN);
}

static void the_client_resets(void **state)
{
    (void)state;
    the_client_goes(RESET);
}

/* From then on nothing of what the server sends arrives, not even an answer that it does not. The
 * one that notices is, in turn: the heartbeat of the server; the kernel, whose question is not
 * answered; the kernel, whose data is not acknowledged. */
static void the_cable_is_pulled(void **state)
{
    (void)state;
    static const char *const ways[][5] = {
        {"kill_grace_ms=100", "heartbeat_ms=200", "heartbeat_timeout_ms=400", NULL},
        {"kill_grace_ms=100", "heartbeat_ms=0", "keepalive_ms=1000",
         /* tcp(7): this one counts, where it is there, and not the number of questions */
         "tcp_user_timeout_ms=1500", NULL},
        {"kill_grace_ms=100", "heartbeat_ms=0", "tcp_user_timeout_ms=1000", NULL},
    };
    bool pulled = true;
    for (size_t way = 0; way < 3 && pulled; way++) {
        struct single_command single;
        begin(&single, ways[way], scripts[way < 2 ? 3 : SCRIPTS - 1]);
        pulled = raw_pull_cable(single.fd);
        if (!pulled)
            go(&single, RESET);
        afard_expect_log(&single.server, "'sh' disconnected");
        /* The descriptor stays open until here: closing it would tell the server. */
        single_command_close(&single);
    }
    if (!pulled) {
        print_message("skipped: only root may filter a socket's packets here\n");
        skip();
    }
}

/* ---- the server ------------------------------------------------------------------------------ */

/* It is told to end, once or twice, and all have had their time: each job ends with a receipt. */
static void the_server_goes(const char *const *settings, bool twice)
{
    for (size_t i = 0; i < SCRIPTS; i++) {
        struct single_command single;
        begin(&single, settings, scripts[i]);
        assert_int_equal(kill(single.server.program.pid, SIGTERM), 0);
        afard_expect_log(&single.server, "draining: 1 jobs");
        if (twice)
            assert_int_equal(kill(single.server.program.pid, SIGTERM), 0);
        /* Of the one that has left something behind nobody knows whether it has ended itself yet.
         */
        single_command_receipt(&single, i == 4 ? "\"outcome\":\"" : "\"outcome\":\"killed\"");
        single_command_close_ended(&single);
    }
}

static void drain_ms_are_over(void **state)
{
    (void)state;
    static const char *const settings[] = {"drain_ms=100", "kill_grace_ms=100", NULL};
    the_server_goes(settings, false);
}

static void a_second_signal(void **state)
{
    (void)state;
    static const char *const settings[] = {"drain_ms=1000000", "kill_grace_ms=1000000",
                                           "linger_ms=1000000", "linger_max_ms=1000000", NULL};
    the_server_goes(settings, true);
}

/* A job that ends within drain_ms, with orphans. */
static void a_job_finishes_during_the_drain(void **state)
{
    (void)state;
    static const char *const settings[] = {"drain_ms=1000000", NULL};
    struct single_command single;
    single_command_open(&single, settings);
    single_command_exec(&single,
                        "(setsid sleep 1000 >&- 2>&- & echo $! $$); trap 'exit 9' HUP; echo ready; "
                        "while :; do sleep 0.02; done",
                        "");
    single_command_expect(&single, "ready");
    assert_int_equal(kill(single.server.program.pid, SIGTERM), 0);
    afard_expect_log(&single.server, "draining: 1 jobs");
    raw_send_frame(single.fd, "{\"type\":\"signal\",\"id\":1,\"name\":\"HUP\"}");
    single_command_receipt(&single, "\"outcome\":\"exited\",\"code\":9");
    single_command_close_ended(&single);
}

/* ---- standing still -------------------------------------------------------------------------- */

enum { MEBIBYTES = 16, STOPS = 3, STILL_MS = 60 };

static void wait_until_stopped(pid_t pid)
{
    char path[64];
    char line[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (strstr(line, ") T ") == NULL) {
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_non_null(fgets(line, sizeof line, file));
        (void)fclose(file);
        assert_true(clock_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 1);
    }
}

/* For long enough that whoever goes on meanwhile comes to where it has to wait. */
static void stand_still(pid_t pid)
{
    assert_int_equal(kill(pid, SIGSTOP), 0);
    wait_until_stopped(pid);
    (void)poll(NULL, 0, STILL_MS);
    assert_int_equal(kill(pid, SIGCONT), 0);
}

/* A file of numbered lines, of which no two are alike. */
static char *make_file(const char *path, size_t *size)
{
    enum { LINE_BYTES = 64 };
    *size = (size_t)MEBIBYTES << 20;
    char *data = malloc(*size + 1);
    assert_non_null(data);
    for (size_t at = 0; at < *size; at += LINE_BYTES)
        (void)snprintf(data + at, LINE_BYTES + 1, "%062zu.\n", at);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, *size, file), *size);
    assert_int_equal(fclose(file), 0);
    return data;
}

static void touch(const char *folder, int number)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/go-%d", folder, number);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
}

/* The client writes to a pipe that is only read as far as this test wants it: most is under way. */
static void still_while_output_comes(void **state)
{
    (void)state;
    struct afard server;
    struct program client;
    char path[96];
    size_t size = 0;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", NULL};
    afard_start_tls(&server, args);
    (void)snprintf(path, sizeof path, "%s/data", server.folder);
    char *data = make_file(path, &size);
    for (int who = 0; who < 2; who++) {
        const char *argv[] = {"afar", "run", server.url[0], "--", "cat", path, NULL};
        program_start(&client, argv, NULL);
        for (size_t stop = 0; stop < STOPS; stop++) {
            char line[80];
            (void)snprintf(line, sizeof line, "%062zu.\n", (stop + 1) << 20);
            program_expect(&client, 1, line);
            stand_still(who == 0 ? server.program.pid : client.pid);
        }
        program_finish(&client, NULL, 0);
        assert_int_equal(program_exit_status(&client), 0);
        assert_int_equal(client.stdout_size, size);
        assert_memory_equal(client.stdout_data, data, size);
        program_close(&client);
    }
    free(data);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

/* The command takes a MiB of its input each time that it is told to: most of it is under way. */
static void still_while_input_goes(void **state)
{
    (void)state;
    struct afard server;
    struct program client;
    struct program sums;
    char path[96];
    char line[2048];
    char afar[PROGRAM_TEXT_BYTES];
    size_t size = 0;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    for (int who = 0; who < 2; who++) {
        afard_start(&server, args);
        (void)snprintf(path, sizeof path, "%s/data", server.folder);
        free(make_file(path, &size));
        (void)snprintf(line, sizeof line,
                       "exec %.200s run %s -- sh -c '{ for i in 0 1 2; do dd bs=1M count=1 "
                       "iflag=fullblock 2>&-; echo mark $i >&2; while ! [ -e %s/go-$i ]; do sleep "
                       "0.02; done; done; cat; } | md5sum' <%s",
                       program_path("afar", afar), server.url[0], server.folder, path);
        const char *words[] = {"sh", "-c", line, NULL};
        program_start(&client, words, NULL);
        for (int stop = 0; stop < STOPS; stop++) {
            char mark[16];
            (void)snprintf(mark, sizeof mark, "mark %d\n", stop);
            program_expect(&client, 2, mark);
            touch(server.folder, stop);
            stand_still(who == 0 ? server.program.pid : client.pid);
        }
        program_finish(&client, NULL, 0);
        assert_int_equal(program_exit_status(&client), 0);
        const char *sum[] = {"md5sum", path, NULL};
        assert_int_equal(program_run(&sums, sum, NULL, 0), 0);
        assert_memory_equal(client.stdout_data, sums.stdout_data, 32);
        program_close(&sums);
        program_close(&client);
        afard_expect_calm(&server);
        assert_int_equal(afard_stop(&server), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_closes),
        cmocka_unit_test(the_client_says_no_more),
        cmocka_unit_test(the_client_resets),
        cmocka_unit_test(the_cable_is_pulled),
        cmocka_unit_test(drain_ms_are_over),
        cmocka_unit_test(a_second_signal),
        cmocka_unit_test(a_job_finishes_during_the_drain),
        cmocka_unit_test(still_while_output_comes),
        cmocka_unit_test(still_while_input_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
