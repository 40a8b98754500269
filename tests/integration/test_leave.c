/* What a command leaves running: what stays, where it may, and what is ended all the same. */
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

#include "support/process_wait.h"
#include "support/raw.h"
#include "support/ruled.h"

enum { PIDS_MAX = 8 };

#define RULE "[allow x]\nclient = any\ncommand = **\n"
#define QUIET " >/dev/null 2>&1"
/* Until its execve a process has the shell's name, and its output. */
#define SLEEPS "until grep -q sleep /proc/$!/comm; do :; done; "

static const char daemon_script[] = "setsid sleep 1000" QUIET " & " SLEEPS "echo $!";
static const char nohup_script[] = "nohup sleep 1000" QUIET " & " SLEEPS "echo $!";

static struct program program;

static void has(const char *text)
{
    if (strstr(program.stdout_data, text) == NULL)
        fail_msg("no %s in %s%s", text, program.stdout_data, program.stderr_data);
}

static void has_not(const char *text)
{
    if (strstr(program.stdout_data, text) != NULL)
        fail_msg("%s is in %s", text, program.stdout_data);
}

static void says(const char *text)
{
    if (strstr(program.stderr_data, text) == NULL)
        fail_msg("no %s in %s", text, program.stderr_data);
}

static void run(const struct ruled *ruled, const char *const *options, const char *script,
                int status)
{
    assert_int_equal(ruled_run(ruled, &program, options, WORDS("/bin/sh", "-c", script)), status);
}

static pid_t left[PIDS_MAX];
static size_t left_count;

/* As the receipt says, so many run. */
static void expect_left(size_t count)
{
    char text[64];
    (void)snprintf(text, sizeof text, "\"left\":{\"count\":%zu,", count);
    has(text);
    const char *at = strstr(program.stdout_data, text);
    assert_non_null(at);
    const char *behind = strchr(at, ']');
    left_count = 0;
    for (at = strstr(at, "\"pid\":"); at != NULL && at < behind && left_count < PIDS_MAX;
         at = strstr(at + 1, "\"pid\":"))
        left[left_count++] = atoi(at + 6);
    assert_int_equal(left_count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(process_runs(left[i]));
    program_close(&program);
}

static void end(pid_t pid)
{
    assert_true(process_runs(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    expect_process_gone(pid);
}

static void end_left(void)
{
    for (size_t i = 0; i < left_count; i++)
        end(left[i]);
}

/* ---- where it may ---------------------------------------------------------------------------- */

static void what_has_let_go_stays(void **state)
{
    static const char *const scripts[] = {
        "nohup sleep 1000" QUIET " &", "setsid sleep 1000" QUIET " &", "(sleep 1000" QUIET " &)",
        "(setsid sh -c 'sleep 1000 &'" QUIET " &)", "setsid -f sleep 1000" QUIET};
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "", "info");
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        run(&ruled, WORDS("--leave", "--json"), scripts[i], 0);
        has_not("\"ended\"");
        expect_left(1);
        end_left();
    }
    run(&ruled, WORDS("--leave"), "nohup sleep 1000" QUIET " & " SLEEPS "echo $!", 0);
    says("the command left 1 process running: sleep (pid ");
    pid_t pid = atoi(program.stdout_data);
    assert_true(process_runs(pid));
    program_close(&program);
    afard_expect_log(&ruled.afard, ", 1 left running: sleep (pid ");
    end(pid);
    ruled_close(&ruled);
}

static void nothing_stays_without_it(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "", "info");
    run(&ruled, WORDS("--json"), "nohup sleep 1000" QUIET " & " SLEEPS "exit 3", 3);
    has("\"ended\":{\"count\":1,");
    has_not("left");
    program_close(&program);
    ruled_close(&ruled);
}

/* Who holds the output is ended, and only that. */
static void holders_are_ended(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "[server]\nlinger_ms = 50\n", "info");
    run(&ruled, WORDS("--leave", "--json"),
        "nohup sleep 1000" QUIET " & " SLEEPS "sleep 1000 & " SLEEPS "exit 4", 4);
    has("\"stdio_held_open\":true");
    has("\"held_by\":{\"count\":1,");
    has("\"ended\":{\"count\":1,");
    expect_left(1);
    end_left();
    ruled_close(&ruled);
}

/* Only what has exited by itself leaves something. */
static void an_end_by_force_is_one_of_all(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "[server]\nkill_grace_ms = 50\n", "info");
    run(&ruled, WORDS("--leave", "--json", "--timeout", "300ms"),
        "setsid sleep 1000" QUIET " & echo $!; exec sleep 1000", 124);
    has_not("\"left\"");
    expect_process_gone(atoi(strstr(program.stdout_data, "\"data\":\"") + 8));
    program_close(&program);
    run(&ruled, WORDS("--leave", "--json"),
        "setsid sleep 1000" QUIET " & " SLEEPS "kill -USR1 $$; sleep 1000", 128 + SIGUSR1);
    has("\"ended\":{\"count\":");
    has_not("\"left\"");
    program_close(&program);
    ruled_close(&ruled);
}

/* As under ssh, by the two that ask for it by themselves. */
static void ssh_and_terminals(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "", "info");
    const char *url = ruled.afard.url[0];
    assert_int_equal(program_run(&program, WORDS("afar", "ssh", url, nohup_script), NULL, 0), 0);
    pid_t pid = atoi(program.stdout_data);
    assert_string_equal(program.stderr_data, ""); /* as ssh(1) */
    end(pid);
    program_close(&program);
    /* A background job of a shell with job control; what holds the terminal is ended. */
    static const char script[] = "set -m\nnohup sleep 1000" QUIET " & " SLEEPS
                                 "echo \"p$!\"; sleep 1000 & " SLEEPS "echo \"q$!\"; exit 5\n";
    assert_int_equal(
        program_run(&program, WORDS("afar", "shell", "-t", "-q", url), script, strlen(script)), 5);
    const char *stays = strstr(program.stdout_data, "\np");
    const char *ends = strstr(program.stdout_data, "\nq");
    has("\np");
    has("\nq");
    assert_non_null(stays);
    assert_non_null(ends);
    pid = atoi(stays + 2);
    assert_true(process_runs(pid));
    expect_process_gone(atoi(ends + 2));
    says("held its output open and was ended: sleep (pid ");
    says("the command left 1 process running: sleep (pid ");
    end(pid);
    program_close(&program);
    ruled_close(&ruled);
}

/* ---- rules and limits ------------------------------------------------------------------------ */

static void a_rule_must_name_it(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, RULE, "info");
    run(&ruled, WORDS("--leave", "--json"), "nohup sleep 1000" QUIET " & " SLEEPS "exit 6", 6);
    has("\"leave_denied\":true");
    has("\"message\":\"its rule 'x' does not let it leave anything running (may = leave)\"");
    has("\"ended\":{\"count\":1,");
    has_not("\"left\"");
    program_close(&program);
    run(&ruled, WORDS("--leave"), "nohup sleep 1000" QUIET " & " SLEEPS, 0);
    says("ended, as its rule does not let it leave anything: sleep (pid ");
    assert_null(strchr(strchr(program.stderr_data, '\n') + 1, '\n')); /* one line */
    program_close(&program);
    run(&ruled, WORDS("--leave", "--json"), "exit 7", 7);
    has("\"leave_denied\":true");
    has_not("message");
    program_close(&program);
    ruled_close(&ruled);
    ruled_open(&ruled, RULE "may = run, leave\n", "info");
    run(&ruled, WORDS("--leave", "--json"), "nohup sleep 1000" QUIET " &", 0);
    has_not("leave_denied");
    expect_left(1);
    end_left();
    ruled_close(&ruled);
}

/* One that cannot do without is not run. */
static void must_leave(void **state)
{
    static const char request[] = "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"/bin/true\"],"
                                  "\"leave\":true,\"must\":[\"leave\"]}";
    (void)state;
    for (int may = 0; may < 2; may++) {
        struct afard server;
        struct ruled ruled;
        ruled_make_file(&ruled, may == 1 ? RULE "may = run, leave\n" : RULE);
        afard_start(&server, WORDS("--config", ruled.file, "--listen", "tcp://127.0.0.1:0"));
        int fd = raw_connect(afard_port(&server, 0));
        raw_send_frame(fd, request);
        char *answer = raw_read_header(fd, NULL);
        assert_non_null(answer);
        assert_non_null(strstr(answer, may == 1 ? "\"started\"" : "\"denied\""));
        free(answer);
        (void)close(fd);
        assert_int_equal(afard_stop(&server), 0);
        assert_int_equal(unlink(ruled.file), 0);
    }
}

static void no_more_than_may_be(void **state)
{
    static const char three[] = "for i in 1 2 3; do setsid sleep 1000" QUIET " & done; exit 8";
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "[server]\nleft_per_identity = 2\n", "info");
    run(&ruled, WORDS("--leave", "--json"), three, 8);
    has("\"ended\":{\"count\":1,");
    has("\"limit\":{\"name\":\"left_identity\",\"count\":2,\"by\":\"server\"}");
    expect_left(2);
    run(&ruled, WORDS("--leave"), "setsid sleep 1000" QUIET " & " SLEEPS "exit 9", 9);
    says("the command left 1 process behind, which the server has ended: sleep (pid ");
    says("no more processes may be left running: the server's limit is 2 (left_per_identity)");
    program_close(&program);
    /* Who has ended makes room. */
    end_left();
    run(&ruled, WORDS("--leave", "--json"), "setsid sleep 1000" QUIET " & " SLEEPS ":", 0);
    has_not("limit");
    expect_left(1);
    end_left();
    ruled_close(&ruled);
}

static void it_is_in_the_audit_log_and_the_figures(void **state)
{
    struct afard server;
    char log[128];
    char setting[160];
    char folder[] = "/tmp/afar-leave-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(log, sizeof log, "%s/audit", folder);
    (void)snprintf(setting, sizeof setting, "audit_log=%s", log);
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0", "--http", "tcp://127.0.0.1:0",
                               "--set", setting));
    assert_int_equal(
        program_run(&program,
                    WORDS("afar", "run", "-n", "-s", "--leave", server.url[0], daemon_script), NULL,
                    0),
        0);
    pid_t pid = atoi(program.stdout_data);
    program_close(&program);
    assert_int_equal((int)afard_metric(&server, "afard_left"), 1);
    end(pid);
    assert_int_equal((int)afard_metric(&server, "afard_left"), 0);
    assert_int_equal(afard_stop(&server), 0);
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "\"left\":1,\"pids\":[%d]}", (int)pid);
    assert_int_equal(program_run(&program, WORDS("grep", "\"event\":\"left\"", log), NULL, 0), 0);
    has(wanted);
    program_close(&program);
    assert_int_equal(unlink(log), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* The server's end is not theirs. */
static void it_outlives_the_server(void **state)
{
    struct afard server;
    (void)state;
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0"));
    assert_int_equal(
        program_run(&program,
                    WORDS("afar", "run", "-n", "-s", "--leave", server.url[0], daemon_script), NULL,
                    0),
        0);
    pid_t pid = atoi(program.stdout_data);
    program_close(&program);
    assert_int_equal(afard_stop(&server), 0);
    end(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_let_go_stays),
        cmocka_unit_test(nothing_stays_without_it),
        cmocka_unit_test(holders_are_ended),
        cmocka_unit_test(an_end_by_force_is_one_of_all),
        cmocka_unit_test(ssh_and_terminals),
        cmocka_unit_test(a_rule_must_name_it),
        cmocka_unit_test(must_leave),
        cmocka_unit_test(no_more_than_may_be),
        cmocka_unit_test(it_is_in_the_audit_log_and_the_figures),
        cmocka_unit_test(it_outlives_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
