/* Who looks at a kept command: from where on its output is wanted, how many can read, what the list
 * says of one that does not answer, and how long is waited for its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "support/keeping.h"
#include "support/process_wait.h"

#define WORDS KEEPING_WORDS

enum { READERS = 16 };

static struct keeping keeping;
static char job[KEEPING_JOB_BYTES];

static int set_up(void **state)
{
    (void)state;
    keeping_open(&keeping, NULL);
    return 0;
}

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
    if (got != status || (output != NULL && strcmp(client.stdout_data, output) != 0) ||
        strstr(client.stderr_data, words) == NULL)
        fail_msg("%d: %s%s", got, client.stdout_data, client.stderr_data);
    program_close(&client);
}

static void leave(struct program *reader)
{
    assert_int_equal(kill(reader->pid, SIGTERM), 0);
    program_finish(reader, NULL, 0);
    program_close(reader);
}

/* Waits until the job's output is this. */
static void expect_output(const char *wanted)
{
    struct program follower;
    program_start(&follower, WORDS("afar", "logs", "-f", keeping.url, job), NULL);
    program_expect(&follower, 1, wanted);
    leave(&follower);
}

static void since(void **state)
{
    char *const url = keeping.url;
    (void)state;
    keeping_detach(&keeping, "echo old; sleep 0.3; echo new; sleep 1000", job);
    expect_output("old\nnew\n");
    expect(WORDS("logs", url, job), 0, "old\nnew\n", "");
    expect(WORDS("logs", "--since", "1h", url, job), 0, "old\nnew\n", "");
    expect(WORDS("logs", "--since", "1", url, job), 0, "new\n", "");
    expect(WORDS("logs", "--since", "2", url, job), 0, "", "");
    expect(WORDS("logs", "--since", "yesterday", url, job), 125, "", "neither a duration");
    expect(WORDS("logs", "--since", "3000", url, job), 125, "", "not held");
    expect(WORDS("kill", "-s", "KILL", url, job), 0, "", "");
    expect(WORDS("wait", url, job), 125, "", "");
    expect(WORDS("logs", "--since", "1h", url, job), 0, "old\nnew\n", "");
    expect(WORDS("logs", "--since", "1", url, job), 0, "new\n", "");
}

/* By the clock: what was written before the time that is asked for is left out. */
static void since_a_time(void **state)
{
    struct program client;
    (void)state;
    keeping_detach(&keeping, "echo old; sleep 3; echo new", job);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", keeping.url, job)), 0);
    assert_int_equal(keeping_afar(&client, WORDS("logs", "--since", "2500ms", keeping.url, job)),
                     0);
    assert_null(strstr(client.stdout_data, "old"));
    program_close(&client);
}

/* Each line after the time at which it was begun, of the same digits in each; --json has it too. */
static void timestamps(void **state)
{
    char *const url = keeping.url;
    struct program client;
    (void)state;
    const time_t before = time(NULL);
    keeping_detach(&keeping, "printf 'one\nt'; sleep 0.1; printf 'wo\nthree'; echo four >&2", job);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", url, job)), 0);
    assert_int_equal(keeping_afar(&client, WORDS("logs", "--timestamps", url, job)), 0);
    static const char *const words[] = {"Z one\n", "Z two\n", "Z three"};
    const char *at = client.stdout_data;
    for (size_t i = 0; i < 3; i++) {
        struct tm parts = {0};
        const char *rest = strptime(at, "%Y-%m-%dT%H:%M:%S.", &parts);
        assert_non_null(rest);
        assert_int_equal(strspn(rest, "0123456789"), 6);
        assert_int_equal(strncmp(rest + 6, words[i], strlen(words[i])), 0);
        assert_true(timegm(&parts) >= before && timegm(&parts) <= time(NULL));
        at = rest + 6 + strlen(words[i]);
    }
    assert_string_equal(at, "");
    assert_non_null(strstr(client.stderr_data, "Z four\n"));
    program_close(&client);
    expect(WORDS("logs", url, job), 0, "one\ntwo\nthree", "");
    assert_int_equal(keeping_afar(&client, WORDS("logs", "--json", url, job)), 0);
    assert_non_null(strstr(client.stdout_data, "\"time_us\":"));
    program_close(&client);
}

/* From now on, or with -a from the beginning; and the frames before are no loss. */
static void attach_from_now(void **state)
{
    struct program all;
    struct program now;
    (void)state;
    program_start(&all,
                  WORDS("afar", "run", "--keep", "-s", keeping.url,
                        "echo $AFAR_JOB; read x; read y; echo $x $y; exit 5"),
                  NULL);
    program_expect(&all, 1, "\n");
    (void)snprintf(job, sizeof job, "%.32s", all.stdout_data);
    program_start(&now, WORDS("afar", "attach", "-a", "-n", keeping.url, job), NULL);
    program_expect(&now, 1, "\n");
    program_finish(&all, NULL, 0);
    assert_int_equal(program_exit_status(&all), 125);
    program_close(&all);
    leave(&now);
    program_start(&now, WORDS("afar", "attach", keeping.url, job), NULL);
    program_finish(&now, "a\nb\n", 4);
    assert_int_equal(program_exit_status(&now), 5);
    assert_string_equal(now.stdout_data, "a b\n");
    program_close(&now);
}

/* Whoever attaches cannot know whether the command reads input. */
static void attach_to_one_without_input(void **state)
{
    struct program there;
    (void)state;
    for (size_t size = 0; size <= 2; size += 2) {
        keeping_detach(&keeping, "sleep 0.5; echo hi; exit 4", job);
        assert_int_equal(
            program_run(&there, WORDS("afar", "attach", keeping.url, job), "a\n", size), 4);
        assert_string_equal(there.stdout_data, "hi\n");
        assert_string_equal(there.stderr_data, "");
        program_close(&there);
    }
}

static void attach_for_its_signals(void **state)
{
    struct program there;
    (void)state;
    keeping_detach(&keeping, "trap 'exit 6' INT; echo ready; while :; do sleep 0.01; done", job);
    program_start(&there,
                  WORDS("afar", "attach", "-a", "-n", "--forward-signals", keeping.url, job), NULL);
    program_expect(&there, 1, "ready\n");
    assert_int_equal(kill(there.pid, SIGINT), 0);
    program_finish(&there, NULL, 0);
    assert_int_equal(program_exit_status(&there), 6);
    program_close(&there);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", keeping.url, job)), 6);
}

static void beside_its_client(void **state)
{
    struct program first;
    struct program reader;
    (void)state;
    program_start(&first,
                  WORDS("afar", "run", "--keep", "-s", keeping.url,
                        "echo $AFAR_JOB; read x; echo $x; exit 4"),
                  NULL);
    program_expect(&first, 1, "\n");
    (void)snprintf(job, sizeof job, "%.32s", first.stdout_data);
    program_start(&reader, WORDS("afar", "logs", "-f", keeping.url, job), NULL);
    program_expect(&reader, 1, "\n");
    program_finish(&first, "more\n", 5);
    assert_int_equal(program_exit_status(&first), 4);
    program_finish(&reader, NULL, 0);
    assert_int_equal(program_exit_status(&reader), 0);
    assert_string_equal(reader.stdout_data, first.stdout_data);
    program_close(&reader);
    program_close(&first);
}

static void too_many(void **state)
{
    struct program reader[READERS];
    (void)state;
    keeping_detach(&keeping, "echo here; exec sleep 1000", job);
    for (int i = 0; i < READERS; i++)
        program_start(&reader[i], WORDS("afar", "logs", "-f", keeping.url, job), NULL);
    for (int i = 0; i < READERS; i++)
        program_expect(&reader[i], 1, "here\n");
    expect(WORDS("logs", keeping.url, job), 125, "", "too many clients read this job");
    /* Who only waits for the end does not read. */
    expect(WORDS("wait", "--timeout", "100ms", keeping.url, job), 124, "", "runs on");
    for (int i = 0; i < READERS; i++) {
        leave(&reader[i]);
    }
    expect(WORDS("rm", "-f", keeping.url, job), 0, "", "");
}

/* A keeper whose door is gone is there, but nobody can ask it. */
static void a_keeper_without_a_door(void **state)
{
    char door[160];
    (void)state;
    keeping_detach(&keeping, "echo $PPID; exec sleep 1000", job);
    pid_t keeper = keeping_number(&keeping, job);
    (void)snprintf(door, sizeof door, "%s/state/jobs/%s/sock", keeping.folder, job);
    assert_int_equal(unlink(door), 0);
    struct program client;
    assert_int_equal(keeping_afar(&client, WORDS("ps", "--json", keeping.url)), 0);
    if (strstr(client.stdout_data, "\"state\":\"unreachable\"") == NULL)
        fail_msg("%s", client.stdout_data);
    program_close(&client);
    assert_int_equal(kill(keeper, SIGKILL), 0);
}

static void the_list(void **state)
{
    struct program client;
    (void)state;
    keeping_detach(&keeping, "echo $PPID; head -c 30000 /dev/zero; echo e >&2; exec sleep 1000",
                   job);
    pid_t keeper = keeping_number(&keeping, job);
    expect_output("\n");
    for (bool there = false; !there;) {
        assert_int_equal(keeping_afar(&client, WORDS("ps", "--json", keeping.url)), 0);
        there = strstr(client.stdout_data, "\"stderr\":2") != NULL &&
                strstr(client.stdout_data, "\"state\":\"running\"") != NULL;
        program_close(&client);
    }
    assert_int_equal(keeping_afar(&client, WORDS("ps", keeping.url)), 0);
    assert_non_null(strstr(client.stdout_data, "  OUT "));
    assert_non_null(strstr(client.stdout_data, "   29K "));
    program_close(&client);

    assert_int_equal(kill(keeper, SIGSTOP), 0);
    assert_int_equal(keeping_afar(&client, WORDS("ps", "--json", keeping.url)), 0);
    assert_non_null(strstr(client.stdout_data, "\"state\":\"unreachable\""));
    program_close(&client);
    assert_int_equal(kill(keeper, SIGCONT), 0);
    assert_int_equal(keeping_afar(&client, WORDS("ps", "--json", keeping.url)), 0);
    assert_non_null(strstr(client.stdout_data, "\"state\":\"running\""));
    program_close(&client);
    expect(WORDS("kill", keeping.url, job), 0, "", "");
    expect(WORDS("wait", "--json", keeping.url, job), 125, NULL, "");
}

/* Each verb has --json, also those that only do something. */
static void expect_json(const char *const *args, int status, const char *type, const char *name,
                        const char *value)
{
    struct program client;
    assert_int_equal(keeping_afar(&client, args), status);
    cJSON *object = cJSON_Parse(client.stdout_data);
    if (object == NULL)
        fail_msg("no object: %s", client.stdout_data);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(object, "type")), type);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(object, name)), value);
    cJSON_Delete(object);
    program_close(&client);
}

static void done_as_json(void **state)
{
    char *const url = keeping.url;
    (void)state;
    keeping_detach(&keeping, "echo $PPID; exec sleep 1000", job);
    (void)keeping_number(&keeping, job);
    expect_json(WORDS("rm", "--json", url, job), 125, "error", "code", "running");
    expect_json(WORDS("kill", "-s", "SIGKILL", "--json", url, job), 0, "done", "signal", "KILL");
    expect(WORDS("wait", url, job), 125, NULL, "killed");
    expect_json(WORDS("kill", "--json", url, job), 125, "error", "code", "not_found");
    expect_json(WORDS("rm", "--json", url, job), 0, "done", "job", job);
    expect_json(WORDS("rm", "--json", url, job), 125, "error", "code", "not_found");
}

static void unknown(void **state)
{
    const char *const none = "0123456789abcdef0123456789abcdef";
    static const char *const verbs[] = {"logs", "attach", "wait", "kill", "rm"};
    (void)state;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        expect(WORDS(verbs[i], keeping.url, none), 125, "", "no");
        expect(WORDS(verbs[i], keeping.url, "0123"), 125, "", "has no job '0123'");
        expect(WORDS(verbs[i], keeping.url, "once:x"), 125, "", "has no job 'once:x'");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(since, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timestamps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(since_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(attach_from_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(attach_to_one_without_input, set_up, tear_down),
        cmocka_unit_test_setup_teardown(attach_for_its_signals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(beside_its_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_keeper_without_a_door, set_up, tear_down),
        cmocka_unit_test_setup_teardown(done_as_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
