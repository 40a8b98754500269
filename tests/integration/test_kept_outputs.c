/* A kept command whose client loses its reader, its disk or its patience: the command runs on, and
 * what is said of it is true. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "support/keeping.h"

#define WORDS KEEPING_WORDS

static struct keeping keeping;
static char job[KEEPING_JOB_BYTES];

static int set_up(void **state)
{
    (void)state;
    /* What is left of the jobs ends with the server. */
    static const char *const options[] = {"--set", "keep_on_stop=end",  "--set", "drain_ms=100",
                                          "--set", "kill_grace_ms=300", NULL};
    keeping_open(&keeping, options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keeping_close(&keeping);
    return 0;
}

/* Runs a shell line in which $A is afar, $U the server and $J the job; its status goes to standard
 * error. */
static void expect_line(const char *line, int status, const char *output, const char *words)
{
    char path[PROGRAM_TEXT_BYTES];
    char whole[4096];
    struct program shell;
    (void)snprintf(whole, sizeof whole, "A=%s U=%s J=%s; %s", program_path("afar", path),
                   keeping.url, job, line);
    int got = program_run(&shell, WORDS("sh", "-c", whole), NULL, 0);
    if (got != status || (output != NULL && strcmp(shell.stdout_data, output) != 0) ||
        strstr(shell.stderr_data, words) == NULL)
        fail_msg("%s: %d: %s%s", line, got, shell.stdout_data, shell.stderr_data);
    program_close(&shell);
}

static void one_who_reads_along_leaves(void **state)
{
    (void)state;
    keeping_detach(&keeping, "while :; do echo l; sleep 0.05; done", job);
    expect_line("{ $A attach -n $U $J; echo rc=$? >&2; } | head -n 1", 0, "l\n", "rc=141");
    expect_line("{ $A attach -n --json $U $J; echo rc=$? >&2; } | head -n 1", 0, NULL, "rc=141");
    expect_line("{ $A logs -f $U $J; echo rc=$? >&2; } | grep -m 1 l", 0, "l\n", "rc=141");
    expect_line("{ { $A logs -f $U $J; echo rc=$? >&3; } 2>&1 | head -n 1; } 3>&2", 0, "l\n",
                "rc=141");
    expect_line("{ $A logs -f --json $U $J; echo rc=$? >&2; } | head -n 1", 0, NULL, "rc=141");
    expect_line("$A ps --json $U", 0, NULL, "");
    expect_line("$A kill -s 9 $U $J", 0, "", ""); /* it was still there */
}

static void whose_standard_error_is_read_leaves(void **state)
{
    (void)state;
    keeping_detach(&keeping, "while :; do echo l >&2; sleep 0.05; done", job);
    expect_line("{ { timeout 10 $A logs -f $U $J; echo rc=$? >&3; } 2>&1 | head -n 1; } 3>&2", 0,
                "l\n", "rc=141");
    expect_line("{ { timeout 10 $A attach -n $U $J; echo rc=$? >&3; } 2>&1 | head -n 1; } 3>&2", 0,
                "l\n", "rc=141");
    expect_line("{ { timeout 10 $A logs -f $U $J; echo rc=$? >&3; } 2>&1 >/dev/null | "
                "head -n 1; } 3>&2",
                0, "l\n", "rc=141");
    expect_line("timeout 1 $A logs -f $U $J 2>&-", 124, "", ""); /* closed on purpose */
    expect_line("$A kill -s 9 $U $J", 0, "", "");
}

static void nothing_is_said_to_run_on_that_has_ended(void **state)
{
    (void)state;
    keeping_detach(&keeping, "seq 300000", job); /* more than a pipe holds */
    expect_line("$A wait $U $J", 0, "", "");
    expect_line("{ { $A attach -a -n $U $J 2>&3; echo rc=$? >&4; } | head -n 1 >&4; } 3>&1 4>&2 | "
                "grep -c 'runs on'",
                1, "0\n", "rc=141");
}

static void one_who_started_it_waits(void **state)
{
    (void)state;
    expect_line("{ $A run --once w $U -- sh -c 'echo one; sleep 0.2; echo two; sleep 0.2; "
                "echo three; exit 3'; echo rc=$? >&2; } | head -n 1",
                0, "one\n", "rc=3\n");
    expect_line("$A logs $U once:w", 0, "one\ntwo\nthree\n", "");
}

static void a_full_disk(void **state)
{
    (void)state;
    expect_line("$A run -d $U -- sleep 1000 >/dev/full", 125, "", "is kept");
    keeping_detach(&keeping, "echo l; sleep 1000", job);
    expect_line("$A logs $U $J >/dev/full; test $? = 125 && ! $A logs $U $J 2>&1 >/dev/full | "
                "grep ended",
                0, "", "No space left");
    expect_line("$A kill -s SIGKILL $U $J", 0, "", "");
}

static void lines_of_json(void **state)
{
    (void)state;
    expect_line("$A run -d --json $U -- true | grep -vc '^{\"type\":'", 1, "0\n", "");
    expect_line("$A wait --json $U 00000000000000000000000000000000", 125, NULL, "");
    expect_line("$A wait --json $U 00000000000000000000000000000000 2>/dev/null | "
                "grep -c '^{\"type\":\"error\",.*\"not_found\"'",
                0, "1\n", "");
    expect_line("for verb in kill rm logs attach wait; do "
                "$A $verb --json $U 0000 2>/dev/null | grep '^{\"type\":\"error\",' | "
                "grep -c '\"code\":\"not_found\"'; done",
                0, "1\n1\n1\n1\n1\n", "");
    expect_line("for verb in kill rm; do $A $verb --json $U 00000000000000000000000000000000 "
                "2>/dev/null; done | sed 's/ is running\"/\"/'",
                0,
                "{\"type\":\"error\",\"code\":\"not_found\",\"message\":\"no such job\"}\n"
                "{\"type\":\"error\",\"code\":\"not_found\",\"message\":\"no such job\"}\n",
                "");
}

static void names(void **state)
{
    (void)state;
    keeping_detach(&keeping, "sleep 1000", job);
    expect_line("$A rm -f $U once:", 125, "", "a name follows once:");
    expect_line("$A kill $U once:", 125, "", "a name follows once:");
    expect_line("$A run --once \"$(printf 'a\\nb')\" $U -- true", 125, "", "no control characters");
    /* U+0085 is a control character, too; and a wrong name needs no server to be refused. */
    expect_line("$A run --once \"$(printf 'a\\302\\205b')\" $U -- true", 125, "",
                "no control characters");
    expect_line("$A run --once '' unix:///nobody -- true", 125, "", "run: --once: a name is not");
    expect_line("$A shell --once '' unix:///nobody", 125, "", "shell: --once: a name is not");
    expect_line("$A logs $U \"once:$(printf 'a\\377')\"", 125, "", "without control characters");
    expect_line("$A run --once c $U -- true; $A run --once c $U -- false", 125, "",
                "--once c was used for another command (conflict)");
    expect_line("$A kill -s KILL $U $J", 0, "", ""); /* it was not taken for one without a name */
}

static void interrupted_thrice(void **state)
{
    struct program client;
    (void)state;
    program_start(&client,
                  WORDS("afar", "run", "--keep", keeping.url, "--", "sh", "-c",
                        "trap '' INT; echo up; exec sleep 1000"),
                  NULL);
    program_expect(&client, 1, "up\n");
    for (int i = 0; i < 3; i++)
        assert_int_equal(kill(client.pid, i == 1 ? SIGTERM : SIGINT), 0);
    program_finish(&client, NULL, 0);
    if (strstr(client.stderr_data, "closed, whether") != NULL)
        fail_msg("%s", client.stderr_data);
    program_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_who_reads_along_leaves),
        cmocka_unit_test(whose_standard_error_is_read_leaves),
        cmocka_unit_test(nothing_is_said_to_run_on_that_has_ended),
        cmocka_unit_test(one_who_started_it_waits),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(lines_of_json),
        cmocka_unit_test(names),
        cmocka_unit_test(interrupted_thrice),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
