/* The ways in which a command may behave at its end. After each of them nothing is left of it: no
 * process, zombie, descriptor or file. What test_run.c has of this is not repeated here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/process_wait.h"
#include "support/raw.h"
#include "support/single_command.h"

/* Short, so that the tests are; each of them is waited for by what comes after it, never by time.
 */
#define QUICK "kill_grace_ms=100", "linger_ms=150", "linger_max_ms=400"

static const char *const quick[] = {QUICK, NULL};

/* Runs the script to its receipt, in which `text` must be. */
static void run(struct single_command *single, const char *script, const char *fields,
                const char *text)
{
    single_command_open(single, quick);
    single_command_exec(single, script, fields);
    single_command_receipt(single, text);
}

/* When the receipt comes everything is over already: nothing here waits. */
static void expect_over_with_the_receipt(const struct single_command *single)
{
    assert_int_equal(single_command_processes(single), 0);
}

static void expect_held_open(const struct single_command *single, bool held_open)
{
    assert_int_equal(strstr(single->receipt, "\"stdio_held_open\":true") != NULL, held_open);
}

static void normally(void **state)
{
    (void)state;
    struct single_command single;
    run(&single, "echo $$; sleep 0; exit 7", "", "\"outcome\":\"exited\",\"code\":7");
    expect_held_open(&single, false);
    single_command_close(&single);
}

/* Each of these would be there for a quarter of an hour otherwise. */
static void what_it_leaves_behind(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        /* in its group; in a session of its own; twice forked; and that in a session of its own */
        "sleep 1000 >&- 2>&- & echo $$ $!; exit 3",
        "setsid sleep 1000 >&- 2>&- & echo $$ $!; exit 3",
        "(sleep 1000 >&- 2>&- & echo $$ $!); exit 3",
        "(setsid sleep 1000 >&- 2>&- & echo $$ $!); exit 3",
        /* with descendants of their own, deaf to TERM; in another group of the same session */
        "echo $(setsid sh -c 'setsid sleep 1000 >&- 2>&- & echo $$ $!; exec >&- 2>&-; trap : TERM; "
        "while :; do sleep 1; done' &); exit 3",
        "exec bash -c 'set -m; env -i sleep 1000 >&- 2>&- & echo $$ $!; exit 3'",
        /* stopped */
        "echo $(setsid sh -c 'echo $$; exec >&- 2>&-; kill -STOP $$' &); exit 3",
    };
    struct single_command single;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        run(&single, scripts[i], "", "\"outcome\":\"exited\",\"code\":3");
        expect_over_with_the_receipt(&single);
        expect_held_open(&single, false);
        single_command_close(&single);
    }
}

static void what_holds_its_output_open(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "sleep 1000 & echo $$ $!; exit 4",
        "(setsid sleep 1000 & echo $$ $!); exit 4",                                  /* linger_ms */
        "(setsid sh -c 'echo $$; while :; do echo on; sleep 0.02; done' &); exit 4", /* …_max_ms */
        "(setsid sh -c 'echo $$; while :; do echo on >&2; sleep 0.02; done' &); exec >&-; exit 4",
    };
    struct single_command single;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        run(&single, scripts[i], "", "\"outcome\":\"exited\",\"code\":4");
        expect_over_with_the_receipt(&single);
        expect_held_open(&single, true);
        single_command_close(&single);
    }
}

/* Output that comes after the command's end, from one that ends by itself, is not lost. */
static void a_late_word(void **state)
{
    (void)state;
    struct single_command single;
    const char *const settings[] = {"linger_ms=100000", "linger_max_ms=100000", NULL};
    single_command_open(&single, settings);
    single_command_exec(&single, "(setsid sh -c 'sleep 0.05; echo late' &); exit 5", "");
    single_command_receipt(&single, "\"outcome\":\"exited\",\"code\":5");
    assert_string_equal(single.output, "late\n");
    expect_held_open(&single, false);
    single_command_close(&single);
}

static void a_timeout(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        const char *signal;
    } cases[] = {
        {"echo $$; exec sleep 1000", "TERM"},
        {"trap '' TERM; echo $$; while :; do sleep 0.05; done", "KILL"},
        {"echo $$; kill -STOP $$; echo woken", "TERM"},
        {"trap '' TERM; echo $$; kill -STOP $$; while :; do kill -STOP $$; done", "KILL"},
        {"(setsid sh -c 'trap : TERM; echo $$; while :; do sleep 1; done' &); exec sleep 1000",
         "TERM"},
        {"trap '' TERM; (setsid sleep 1000 & echo $!); while :; do sleep 1; done", "KILL"},
        {"exec yes >&2", "TERM"},
    };
    /* Enough for a shell to come to its traps. */
    bool slow = getenv("SAN") != NULL && *getenv("SAN") != '\0';
    const char *in_time = slow ? "\"timeout_ms\":5000," : "\"timeout_ms\":500,";
    struct single_command single;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run(&single, cases[i].script, in_time, "\"outcome\":\"timed_out\"");
        expect_over_with_the_receipt(&single);
        if (strstr(single.receipt, cases[i].signal) == NULL)
            fail_msg("%s: %s", cases[i].script, single.receipt);
        single_command_close(&single);
    }
}

/* It stops itself; its client wakes it up, and it goes on. */
static void stopped_and_continued(void **state)
{
    (void)state;
    struct single_command single;
    single_command_open(&single, quick);
    single_command_exec(&single, "echo $$; kill -STOP $$; echo woken; exit 6", "");
    single_command_expect(&single, "\n");
    int pid = atoi(single.output);
    char path[64];
    char line[256] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (strstr(line, ") T ") == NULL) {
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_non_null(fgets(line, sizeof line, file));
        (void)fclose(file);
        assert_true(clock_now_ms() < deadline_ms);
    }
    raw_send_frame(single.fd, "{\"type\":\"signal\",\"id\":1,\"name\":\"CONT\"}");
    single_command_receipt(&single, "\"outcome\":\"exited\",\"code\":6");
    assert_non_null(strstr(single.output, "woken"));
    single_command_close(&single);
}

/* Two hundred and more processes, each in a session of its own, whose parents are gone. */
static void a_fork_bomb(void **state)
{
    (void)state;
    /* $1 generations; the last one stays. */
    static const char bomb[] = "export B='[ $1 -gt 0 ] || exec sleep 1000\n"
                               "for i in 1 2; do setsid sh -c \"$B\" - $(($1 - 1)) & done'\n";
    char script[512];
    struct single_command single;
    /* The timeout comes when all of them are there. */
    single_command_open(&single, quick);
    (void)snprintf(script, sizeof script, "%ssh -c \"$B\" - 7; exec sleep 1000", bomb);
    single_command_exec(&single, script, "");
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (single_command_processes(&single) < 129) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("only %zu processes", single_command_processes(&single));
        (void)poll(NULL, 0, 10);
    }
    raw_send_frame(single.fd, "{\"type\":\"signal\",\"id\":1,\"name\":\"TERM\"}");
    single_command_receipt(&single, "\"signal\":\"TERM\"");
    expect_over_with_the_receipt(&single);
    single_command_close(&single);
    /* Its command ends while it explodes. */
    (void)snprintf(script, sizeof script, "%ssh -c \"$B\" - 7 >/dev/null 2>&1 & exit 8", bomb);
    run(&single, script, "", "\"outcome\":\"exited\",\"code\":8");
    expect_over_with_the_receipt(&single);
    single_command_close(&single);
}

static void closed_streams(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "echo $$; exec >&-; sleep 0.05; exit 9",
        "echo $$; exec 2>&-; sleep 0.05; exit 9",
        "echo $$; exec >&- 2>&- <&-; sleep 0.05; exit 9",
    };
    struct single_command single;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        run(&single, scripts[i], "", "\"outcome\":\"exited\",\"code\":9");
        expect_held_open(&single, false);
        single_command_close(&single);
    }
}

static void a_flood_on_stderr(void **state)
{
    (void)state;
    struct single_command single;
    run(&single, "head -c 30000000 /dev/zero >&2; echo $$; exit 10", "",
        "\"outcome\":\"exited\",\"code\":10");
    assert_non_null(strstr(single.receipt, "\"stderr\":30000000"));
    assert_int_equal(single.bytes[1], 30000000);
    assert_true(single.bytes[0] > 0);
    single_command_close(&single);
}

/* All the credit there is, and the end of input, for one who never looks at it. */
static void unread_stdin(void **state)
{
    (void)state;
    enum { CREDIT = 262144 };
    static const char eof[] = "{\"type\":\"stdin\",\"id\":1,\"offset\":262144,\"eof\":true}";
    char *input = calloc(1, CREDIT);
    assert_non_null(input);
    for (int round = 0; round < 2; round++) {
        struct single_command single;
        single_command_open(&single, quick);
        single_command_exec(
            &single, round == 0 ? "echo $$; sleep 0.05; exit 11" : "echo $$; exec sleep 1000",
            "\"stdin\":\"stream\",");
        raw_send_frame_with(single.fd, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":262144}",
                            input, CREDIT);
        raw_send_frame(single.fd, eof);
        single_command_expect(&single, "\n");
        if (round == 1)
            raw_send_frame(single.fd, "{\"type\":\"signal\",\"id\":1,\"name\":\"HUP\"}");
        single_command_receipt(&single, round == 0 ? "\"code\":11" : "\"signal\":\"HUP\"");
        single_command_close(&single);
    }
    free(input);
}

/* A reply is collected, and too large: in memory, and in a temporary file. */
static void the_output_limit(void **state)
{
    (void)state;
    static const char *const limits[] = {"collect_max_bytes=100000", "collect_max_bytes=5000000"};
    for (size_t i = 0; i < 2; i++) {
        struct single_command single;
        char file[96];
        char request[256];
        size_t size = 0;
        const char *const settings[] = {QUICK, limits[i], "collect_memory_bytes=1000000", NULL};
        single_command_open_at(&single, "tcp://127.0.0.1:0?protocol=headed", settings);
        (void)snprintf(file, sizeof file, "%s/pids", single.server.folder);
        (void)snprintf(request, sizeof request,
                       "trap '' TERM; (setsid sleep 1000 & echo $$ $! >%s); yes; sleep 1000", file);
        int fd = raw_connect(afard_port(&single.server, 0));
        raw_send(fd, request, strlen(request));
        free(raw_read_rest(fd, &size));
        (void)close(fd);
        assert_int_equal(size, 0); /* no header for what cannot be sent */
        afard_expect_log(&single.server, "output_limit");
        FILE *pids = fopen(file, "r");
        assert_non_null(pids);
        assert_non_null(fgets(single.output, sizeof single.output, pids));
        (void)fclose(pids);
        single_command_close(&single);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normally),
        cmocka_unit_test(what_it_leaves_behind),
        cmocka_unit_test(what_holds_its_output_open),
        cmocka_unit_test(a_late_word),
        cmocka_unit_test(a_timeout),
        cmocka_unit_test(stopped_and_continued),
        cmocka_unit_test(a_fork_bomb),
        cmocka_unit_test(closed_streams),
        cmocka_unit_test(a_flood_on_stderr),
        cmocka_unit_test(unread_stdin),
        cmocka_unit_test(the_output_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
