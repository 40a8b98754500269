/* How kept commands end, and what of that is noticed without anybody who asks: their place is free,
 * what a killed keeper has left is ended, their output goes where there is too much. */
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
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/folder.h"
#include "support/keeping.h"
#include "support/process_wait.h"
#include "support/raw.h"

#define WORDS KEEPING_WORDS

static struct keeping keeping;
enum { END_TURNS = 15 };

static char job[KEEPING_JOB_BYTES];

static int tear_down(void **state)
{
    (void)state;
    keeping_close(&keeping);
    return 0;
}

static void expect(const char *const *args, int status, const char *output, const char *words)
{
    struct program client;
    int got = keeping_afar(&client, args);
    if (got != status || strstr(client.stdout_data, output) == NULL ||
        strstr(client.stderr_data, words) == NULL)
        fail_msg("%d: %s%s", got, client.stdout_data, client.stderr_data);
    program_close(&client);
}

/* Until it says so. */
static void await(const char *const *args, int status)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    int got = keeping_afar(NULL, args);
    while (got != status && clock_now_ms() < deadline_ms)
        got = keeping_afar(NULL, args);
    assert_int_equal(got, status);
}

/* A kept job counts as others do, also with the next server; its end is enough to be let in. */
static void takes_a_place(void **state)
{
    char *const url = keeping.url;
    (void)state;
    keeping_open(&keeping, WORDS("--set", "max_jobs=1"));
    keeping_detach(&keeping, "read x < /dev/zero", job);
    for (int i = 0; i < 2; i++) {
        expect(WORDS("run", "-n", url, "true"), 125, "", "max_jobs");
        expect(WORDS("run", "-d", url, "true"), 125, "", "max_jobs");
        keeping_kill(&keeping);
        keeping_start(&keeping);
    }
    expect(WORDS("kill", "-s", "KILL", url, job), 0, "", "");
    await(WORDS("run", "-n", url, "true"), 0);
    /* One that waits in the queue hears of it. */
    keeping_detach(&keeping, "sleep 0.3", job);
    expect(WORDS("run", "--start-within", "60s", "-n", url, "echo", "in"), 0, "in", "");
}

/* What it has begun holds its output open, silent or not, and may for ten minutes: but not if the
 * client has killed it. */
static void killed_with_what_it_began(void **state)
{
    static const char *const lines[] = {"setsid sleep 1000 & exec sleep 1000",
                                        "setsid yes & exec sleep 1000"};
    char *const url = keeping.url;
    (void)state;
    keeping_open(&keeping, WORDS("--set", "linger_ms=600000", "--set", "linger_max_ms=600000",
                                 "--set", "spool_bytes=1048576"));
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        keeping_detach(&keeping, lines[i], job);
        expect(WORDS("kill", "-s", "KILL", url, job), 0, "", "");
        expect(WORDS("wait", url, job), 125, "", "killed by another request");
        keeping_detach(&keeping, lines[i], job);
        expect(WORDS("rm", "-f", url, job), 0, "", "");
    }
}

static size_t count_lines(const char *path, const char *pattern)
{
    struct program shell;
    (void)program_run(&shell, WORDS("grep", "-c", pattern, path), NULL, 0);
    const size_t count = strtoul(shell.stdout_data, NULL, 10);
    program_close(&shell);
    return count;
}

/* Whoever has the receipt can begin the next. */
static void its_place_is_free_at_its_end(void **state)
{
    char *const url = keeping.url;
    char log_key[128];
    (void)state;
    (void)snprintf(log_key, sizeof log_key, "audit_log=/tmp/afar-test-kept-audit-%d", getpid());
    keeping_open(&keeping, WORDS("--set", "max_jobs=1", "--set", "keep_max=1", "--set", log_key));
    for (int i = 0; i < END_TURNS; i++) {
        expect(WORDS("run", "--keep", "-n", url, "echo", "a"), 0, "a", "");
        expect(WORDS("run", "-n", url, "echo", "b"), 0, "b", "");
    }
    /* And each end is in the log. */
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    const char *const path = strchr(log_key, '/');
    while (count_lines(path, "\"event\":\"end\"") != (size_t)2 * END_TURNS &&
           clock_now_ms() < deadline_ms)
        (void)usleep(20000);
    assert_int_equal(count_lines(path, "\"event\":\"end\""), 2 * END_TURNS);
    assert_int_equal(unlink(path), 0);
}

static void killed_keepers_are_noticed(void **state)
{
    char mark[64];
    (void)state;
    keeping_open(&keeping, WORDS("--set", "max_jobs=1"));
    for (int i = 0; i < 2; i++) {
        keeping_detach(&keeping,
                       "echo $PPID; (setsid sleep 1000 >/dev/null 2>&1 &) ; exec sleep 1000", job);
        pid_t keeper = keeping_number(&keeping, job);
        (void)snprintf(mark, sizeof mark, "AFAR_JOB=%s", job);
        if (i == 1) { /* also by a server that has picked it up */
            keeping_kill(&keeping);
            keeping_start(&keeping);
        }
        struct program waiter;
        program_start(&waiter, WORDS("afar", "logs", "-f", keeping.url, job), NULL);
        program_expect(&waiter, 1, "\n");
        assert_int_equal(kill(keeper, SIGKILL), 0);
        int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
        while (processes_with(mark) > 0 && clock_now_ms() < deadline_ms)
            (void)usleep(1000);
        assert_int_equal(processes_with(mark), 0);
        program_finish(&waiter, NULL, 0);
        assert_int_equal(program_exit_status(&waiter), 0);
        program_close(&waiter);
        await(WORDS("run", "-n", keeping.url, "true"), 0);
        expect(WORDS("wait", "--json", keeping.url, job), 125, "server_lost", "");
        expect(WORDS("ps", "-a", keeping.url), 0, "server_lost", "");
    }
}

/* Who is told to end all of them writes their receipts before it is gone. */
static void ended_at_a_stop(void **state)
{
    char deaf[KEEPING_JOB_BYTES];
    char *const url = keeping.url;
    (void)state;
    keeping_open(&keeping, WORDS("--set", "keep_on_stop=end", "--set", "drain_ms=300", "--set",
                                 "kill_grace_ms=300"));
    keeping_detach(&keeping,
                   "trap 'echo bye; exit 3' TERM; echo $PPID; while :; do sleep 0.01; done", job);
    keeping_detach(&keeping, "trap '' TERM; echo $PPID; while :; do sleep 0.01; done", deaf);
    (void)keeping_number(&keeping, job);
    (void)keeping_number(&keeping, deaf);
    assert_int_equal(keeping_stop(&keeping), 0);
    char path[160];
    (void)snprintf(path, sizeof path, "%s/state/jobs/%s/receipt", keeping.folder, job);
    assert_int_equal(access(path, F_OK), 0);
    (void)snprintf(path, sizeof path, "%s/state/jobs/%s/receipt", keeping.folder, deaf);
    assert_int_equal(access(path, F_OK), 0);
    keeping_start(&keeping);
    expect(WORDS("wait", "--json", url, job), 125, "\"killed_by\":\"shutdown\"", "");
    expect(WORDS("logs", url, job), 0, "bye\n", "");
    expect(WORDS("wait", "--json", url, deaf), 125, "\"killed_by\":\"shutdown\"", "");
}

/* Waits until the server takes no connections any more. */
static void await_drain(void)
{
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    char door[128];
    (void)snprintf(door, sizeof door, "%s/door", keeping.folder);
    while (access(door, F_OK) == 0 && clock_now_ms() < deadline_ms)
        (void)usleep(1000);
}

/* A second signal: it does not wait for drain_ms. */
static void ended_at_once(void **state)
{
    (void)state;
    keeping_open(&keeping, WORDS("--set", "keep_on_stop=end", "--set", "drain_ms=2000000000"));
    keeping_detach(&keeping, "echo $PPID; exec sleep 1000", job);
    pid_t keeper = keeping_number(&keeping, job);
    const pid_t server = keeping.server.program.pid;
    assert_int_equal(kill(server, SIGTERM), 0);
    /* The first must have been taken before the second comes. */
    await_drain();
    assert_int_equal(keeping_stop(&keeping), 0);
    keeping_start(&keeping);
    expect(WORDS("wait", "--json", keeping.url, job), 125, "\"killed_by\":\"shutdown\"", "");
    (void)keeper;
}

static void expect_end(struct program *client, int status, const char *output)
{
    program_finish(client, NULL, 0);
    if (program_exit_status(client) != status || strcmp(client->stdout_data, output) != 0)
        fail_msg("%d: %s%s", program_exit_status(client), client->stdout_data, client->stderr_data);
    program_close(client);
}

/* Who is there when they end with their server hears of it, as of other commands: within drain_ms
 * they may end by themselves, and after it they are ended. */
static void clients_hear_of_a_stop(void **state)
{
    struct program client;
    struct program follower;
    struct program waiter;
    struct program ended;
    char line[256];
    char go[128];
    (void)state;
    keeping_open(&keeping, WORDS("--set", "keep_on_stop=end", "--set", "drain_ms=2000"));
    (void)snprintf(go, sizeof go, "%s/go", keeping.folder);
    (void)snprintf(line, sizeof line,
                   "echo ready; while ! [ -e %s ]; do sleep 0.02; done; echo done; exit 3", go);
    program_start(&client, WORDS("afar", "run", "--once", "x", "-n", "-s", keeping.url, line),
                  NULL);
    program_expect(&client, 1, "ready");
    program_start(&follower, WORDS("afar", "logs", "-f", keeping.url, "once:x"), NULL);
    program_expect(&follower, 1, "ready");
    program_start(&waiter, WORDS("afar", "wait", keeping.url, "once:x"), NULL);
    program_start(&ended,
                  WORDS("afar", "run", "--keep", "-n", "-s", keeping.url,
                        "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.02; done"),
                  NULL);
    program_expect(&ended, 1, "ready");
    (void)usleep(300000); /* (nothing is to be seen of one that waits) */
    assert_int_equal(kill(keeping.server.program.pid, SIGTERM), 0);
    await_drain();
    assert_int_equal(close(open(go, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    expect_end(&client, 3, "ready\ndone\n");
    expect_end(&follower, 0, "ready\ndone\n");
    expect_end(&waiter, 3, "");
    expect_end(&ended, 125, "ready\nbye\n");
    assert_int_equal(keeping_stop(&keeping), 0);
    keeping_start(&keeping);
}

/* The second signal's end, too. */
static void clients_hear_of_a_second_signal(void **state)
{
    struct program client;
    (void)state;
    keeping_open(&keeping, WORDS("--set", "keep_on_stop=end", "--set", "drain_ms=2000000000"));
    program_start(&client,
                  WORDS("afar", "run", "--keep", "-n", "-s", keeping.url,
                        "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.02; done"),
                  NULL);
    program_expect(&client, 1, "ready");
    assert_int_equal(kill(keeping.server.program.pid, SIGTERM), 0);
    await_drain();
    assert_int_equal(keeping_stop(&keeping), 0);
    expect_end(&client, 125, "ready\nbye\n");
    keeping_start(&keeping);
}

/* The middle of much output is not kept. */
static void from_within_a_gap(void **state)
{
    char *const url = keeping.url;
    char seq[16];
    (void)state;
    keeping_open(&keeping, WORDS("--set", "spool_bytes=1048576"));
    keeping_detach(&keeping, "yes | head -c 6000000; sleep 0.2; echo end >&2; exit 4", job);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", url, job)), 4);
    unsigned cut = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct program client;
        (void)snprintf(seq, sizeof seq, "%u", i);
        const int got = keeping_afar(&client, WORDS("logs", "--since", seq, url, job));
        if (got == 125) {
            assert_non_null(strstr(client.stderr_data, "not held")); /* beyond the end */
        } else {
            /* But for the receipt alone, which has nothing to show. */
            if (got != 0 || client.stderr_size + client.stdout_size > 0)
                assert_non_null(strstr(client.stderr_data, "end\n"));
            assert_true((got == 3) == (strstr(client.stderr_data, "bytes") != NULL));
            cut += got == 3;
        }
        program_close(&client);
    }
    assert_true(cut > 30);
}

static void too_much_output(void **state)
{
    char later[2][KEEPING_JOB_BYTES];
    char *const url = keeping.url;
    (void)state;
    keeping_open(&keeping, WORDS("--set", "keep_bytes=2097152"));
    static const char line[] = "head -c 1000000 /dev/zero; exit 4";
    keeping_detach(&keeping, line, job);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", url, job)), 4);
    for (int i = 0; i < 2; i++) {
        keeping_detach(&keeping, line, later[i]);
        assert_int_equal(keeping_afar(NULL, WORDS("wait", url, later[i])), 4);
    }
    await(WORDS("logs", url, job), 3);
    expect(WORDS("logs", url, job), 3, "", "1000000 bytes");
    /* What may have been written then, and what is from there on, is told too. */
    expect(WORDS("logs", "--since", "1h", url, job), 3, "", "1000000 bytes");
    expect(WORDS("logs", "--since", "5", url, job), 3, "", "1000000 bytes");
    expect(WORDS("wait", url, job), 4, "", "");
    (void)usleep(20000);
    expect(WORDS("logs", "--since", "1ms", url, job), 0, "", "");
    for (int i = 0; i < 2; i++)
        assert_int_equal(keeping_afar(NULL, WORDS("logs", url, later[i])), 0);
    /* What runs is not touched; nothing more is let in until there is room. */
    keeping_detach(&keeping, "head -c 3000000 /dev/zero; echo done >&2; exec sleep 1000", job);
    await(WORDS("run", "-d", url, "true"), 0);
    /* It is measured as the next server begins, and then once a minute. */
    struct program reader;
    program_start(&reader, WORDS("afar", "logs", "-f", url, job), NULL);
    program_expect(&reader, 2, "done\n");
    (void)kill(reader.pid, SIGKILL);
    program_finish(&reader, NULL, 0);
    program_close(&reader);
    keeping_kill(&keeping);
    keeping_start(&keeping);
    await(WORDS("run", "-d", url, "true"), 125);
    expect(WORDS("run", "-d", url, "true"), 125, "", "keep_bytes");
    expect(WORDS("rm", "-f", url, job), 0, "", "");
    await(WORDS("run", "-d", url, "true"), 0);
}

/* The name is there for longer than the output. */
static void output_goes_before_the_name(void **state)
{
    char *const url = keeping.url;
    (void)state;
    keeping_open(&keeping, WORDS("--set", "keep_ms=1"));
    static const char *const once[] = {
        "run", "--once", "x", "-n", "-s", keeping.url, "echo here; exit 5", NULL};
    assert_int_equal(keeping_afar(NULL, once), 5);
    /* Each end is a look at the others. (One without a name would not be known any more at once.) */
    assert_int_equal(keeping_afar(NULL, WORDS("run", "--once", "y", "-n", url, "--", "true")), 0);
    await(WORDS("logs", url, "once:x"), 3);
    expect(once, 5, "", ""); /* (its keeper may have the output in its memory) */
}

/* Who attaches stands in the audit log, or does not attach. */
static void no_log_no_attach(void **state)
{
    const struct rlimit nothing = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
    char log_key[128];
    char *const url = keeping.url;
    (void)state;
    (void)snprintf(log_key, sizeof log_key, "audit_log=/tmp/afar-test-kept-audit-%d", getpid());
    const char *const options[] = {"--set", log_key, NULL};
    keeping_open(&keeping, options);
    keeping_detach(&keeping, "echo here; exec sleep 1000", job);
    await(WORDS("logs", url, job), 0);
    /* As a full disk is. Its keeper is another process. */
    assert_int_equal(prlimit(keeping.server.program.pid, RLIMIT_FSIZE, &nothing, NULL), 0);
    expect(WORDS("logs", url, job), 125, "", "cannot write its audit log");
    expect(WORDS("attach", "-a", "-n", url, job), 125, "", "cannot write its audit log");
    keeping_kill(&keeping);
    keeping.options = NULL;
    keeping_start(&keeping);
    expect(WORDS("logs", url, job), 0, "here", "");
    expect(WORDS("rm", "-f", url, job), 0, "", "");
    assert_int_equal(unlink(strchr(log_key, '/')), 0);
}

/* What is kept, under which name, and who took it from whom. */
static void who_has_it_is_audited(void **state)
{
    struct program first;
    struct program second;
    char log_key[128];
    char *const url = keeping.url;
    (void)state;
    (void)snprintf(log_key, sizeof log_key, "audit_log=/tmp/afar-test-kept-audit-%d", getpid());
    const char *const options[] = {"--set", log_key, NULL};
    const char *const path = strchr(log_key, '/');
    keeping_open(&keeping, options);
    program_start(
        &first,
        WORDS("afar", "run", "--once", "abc", "-n", "-s", url, "echo here; exec sleep 1000"), NULL);
    program_expect(&first, 1, "here\n");
    /* sha256 of "abc" */
    assert_int_equal(count_lines(path, "\"start\".*\"kept\":true,\"key_sha256\":\"ba7816bf8f01"),
                     1);
    assert_int_equal(count_lines(path, "\"event\":\"takeover\""), 0);
    assert_int_equal(count_lines(path, "\"event\":\"attach\""), 1);
    program_start(&second, WORDS("afar", "attach", "-a", "-n", url, "once:abc"), NULL);
    program_expect(&second, 1, "here\n");
    program_finish(&first, NULL, 0);
    assert_int_equal(program_exit_status(&first), 125);
    program_close(&first);
    assert_int_equal(count_lines(path, "\"event\":\"takeover\""), 1);
    assert_int_equal(count_lines(path, "\"event\":\"attach\""), 1);
    assert_int_equal(kill(second.pid, SIGINT), 0); /* it leaves */
    program_finish(&second, NULL, 0);
    program_close(&second);
    expect(WORDS("logs", url, "once:abc"), 0, "here", "");
    expect(WORDS("rm", "-f", url, "once:abc"), 0, "", "");
    /* What nobody has is not taken from anybody. */
    keeping_detach(&keeping, "sleep 0.3; exit 3", job);
    expect(WORDS("attach", "-n", url, job), 3, "", "");
    assert_int_equal(count_lines(path, "\"start\".*\"kept\":true"), 2);
    assert_int_equal(count_lines(path, "\"start\".*\"key_sha256\""), 1);
    assert_int_equal(count_lines(path, "\"event\":\"takeover\""), 1);
    assert_int_equal(unlink(path), 0);
}

static size_t count_jobs(void)
{
    struct program client;
    size_t count = 0;
    assert_int_equal(keeping_afar(&client, WORDS("ps", "-a", "--json", keeping.url)), 0);
    for (const char *at = client.stdout_data; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    program_close(&client);
    return count;
}

static void await_jobs(size_t count)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (count_jobs() != count)
        assert_true(clock_now_ms() < deadline_ms);
}

/* The oldest one that has ended makes room; what has a name or runs does not. */
static void the_oldest_makes_room(void **state)
{
    char *const url = keeping.url;
    char last[KEEPING_JOB_BYTES];
    (void)state;
    keeping_open(&keeping, WORDS("--set", "keep_per_identity=2"));
    keeping_detach(&keeping, "exit 3", job);
    await(WORDS("wait", url, job), 3);
    for (int i = 4; i < 8; i++) {
        char line[16];
        (void)snprintf(line, sizeof line, "exit %d", i);
        keeping_detach(&keeping, line, last);
        await(WORDS("wait", url, last), i);
    }
    await_jobs(2);
    expect(WORDS("wait", url, job), 125, "", "no such job");
    expect(WORDS("wait", url, last), 7, "", "");

    expect(WORDS("run", "--once", "first", url, "true"), 0, "", "");
    expect(WORDS("run", "-d", url, "sleep", "1000"), 0, "", "");
    await_jobs(2);
    expect(WORDS("run", "-d", url, "true"), 125, "", "keep_per_identity");
    expect(WORDS("run", "--once", "second", url, "true"), 125, "", "keep_per_identity");
    expect(WORDS("run", "--once", "first", url, "true"), 0, "", "");
}

/* Before the server has reached the keeper: it is passed on in its order. */
static void much_is_said_at_once(void **state)
{
    enum { ROUNDS = 20, FRAMES = 200 };
    (void)state;
    keeping_open(&keeping, WORDS("--listen", "tcp://127.0.0.1:0"));
    keeping_detach(&keeping, "exec sleep 1000", job);
    for (int i = 0; i < ROUNDS; i++) {
        int fd = raw_connect(afard_port(&keeping.server, 1));
        raw_say(fd,
                "{\"type\":\"attach\",\"id\":7,\"job\":\"%s\",\"holder\":\"holder-%016d\","
                "\"attempt\":1}",
                job, i);
        for (int n = 0; n < FRAMES; n++)
            raw_say(fd, "{\"type\":\"ack\",\"id\":7,\"next\":0}");
        char *header = raw_read_header(fd, NULL);
        assert_non_null(header);
        if (strstr(header, "\"attached\"") == NULL)
            fail_msg("%s", header);
        free(header);
        assert_int_equal(close(fd), 0);
    }
}

/* A state_directory that nobody here has asked for is left out where it cannot be had. */
static void preset_folder(void **state)
{
    struct program afard;
    char folder[] = "/tmp/afar-test-preset-XXXXXX";
    char defaults[96];
    char variable[128];
    char url[96];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(defaults, sizeof defaults, "%s/defaults", folder);
    (void)snprintf(url, sizeof url, "unix://%s/door", folder);
    FILE *file = fopen(defaults, "we");
    assert_non_null(file);
    (void)fprintf(file, "[server]\nstate_directory = /no/such/folder\n");
    assert_int_equal(fclose(file), 0);
    (void)snprintf(variable, sizeof variable, "AFARD_DEFAULTS=%s", defaults);
    program_start(&afard, WORDS("afard", "--listen", url, "--print-endpoints"), WORDS(variable));
    program_expect(&afard, 1, "listening");
    expect(WORDS("run", "-n", url, "true"), 0, "", "");
    expect(WORDS("run", "-d", url, "true"), 125, "", "");
    assert_int_equal(kill(afard.pid, SIGTERM), 0);
    program_finish(&afard, NULL, 0);
    assert_int_equal(program_exit_status(&afard), 0);
    assert_non_null(strstr(afard.stderr_data, "no commands are kept"));
    program_close(&afard);
    assert_int_equal(program_run(&afard, WORDS("afard", "-c", defaults, "--listen", url), NULL, 0),
                     1);
    program_close(&afard);
    assert_int_equal(folder_remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(takes_a_place, tear_down),
        cmocka_unit_test_teardown(killed_with_what_it_began, tear_down),
        cmocka_unit_test_teardown(its_place_is_free_at_its_end, tear_down),
        cmocka_unit_test_teardown(killed_keepers_are_noticed, tear_down),
        cmocka_unit_test_teardown(ended_at_a_stop, tear_down),
        cmocka_unit_test_teardown(ended_at_once, tear_down),
        cmocka_unit_test_teardown(clients_hear_of_a_stop, tear_down),
        cmocka_unit_test_teardown(clients_hear_of_a_second_signal, tear_down),
        cmocka_unit_test_teardown(no_log_no_attach, tear_down),
        cmocka_unit_test_teardown(who_has_it_is_audited, tear_down),
        cmocka_unit_test_teardown(too_much_output, tear_down),
        cmocka_unit_test_teardown(from_within_a_gap, tear_down),
        cmocka_unit_test(preset_folder),
        cmocka_unit_test_teardown(much_is_said_at_once, tear_down),
        cmocka_unit_test_teardown(the_oldest_makes_room, tear_down),
        cmocka_unit_test_teardown(output_goes_before_the_name, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
