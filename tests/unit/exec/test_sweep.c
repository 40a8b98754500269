/* The main thread here is what it is in afard: see support/threaded.h. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/proc.h"
#include "support/process_wait.h"
#include "support/program.h"
#include "support/threaded.h"

static struct orphans *orphans;

static int set_up(void **state)
{
    (void)state;
    orphans = threaded_orphans();
    return orphans == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    orphans_free(orphans);
    return 0;
}

/* Sessions of their own, several generations deep, all of them connected by their parents. */
static void the_tree_has_other_sessions_too(void **state)
{
    (void)state;
    struct threaded command;
    struct sweep sweep;
    const struct sweep_order order = {.signals = {SIGKILL}};
    sweep_init(&sweep);
    threaded_start(&command, "tree",
                   "env -i setsid sh -c 'setsid sleep 1000 >/dev/null 2>&1 & a=$!; sleep 1000 "
                   ">/dev/null 2>&1 & echo $$ $a $!; wait' & wait");
    threaded_expect_line(&command);
    threaded_sweep(&command, &sweep, orphans, &order);
    sweep_close(&sweep);
    expect_processes_gone(command.line);
    assert_int_equal(threaded_close(&command).signal, SIGKILL);
    expect_no_orphans(orphans);
}

/* One that is stopped would not see a TERM. */
static void two_signals_reach_all_of_them(void **state)
{
    (void)state;
    struct threaded command;
    struct sweep sweep;
    const struct sweep_order order = {.leader_ended = true, .signals = {SIGTERM, SIGCONT}};
    sweep_init(&sweep);
    threaded_start(&command, "term",
                   "(setsid sh -c 'trap \"echo got it; exit\" TERM; echo $$; while :; do sleep "
                   "0.05; done' &); exit 0");
    threaded_expect_line(&command);
    threaded_expect_end(&command);
    assert_int_equal(kill(atoi(command.line), SIGSTOP), 0);
    threaded_sweep(&command, &sweep, orphans, &order);
    assert_true(sweep.result.left >= 1); /* the shell, and its sleep if there is one now */
    threaded_expect_line(&command);
    assert_string_equal(command.line, "got it\n");
    sweep_close(&sweep);
    threaded_sweep_away(&command, orphans);
    (void)threaded_close(&command);
    expect_no_orphans(orphans);
}

static bool has_name(const struct afar_processes *processes, const char *name)
{
    for (uint64_t i = 0; i < processes->count && i < AFAR_PROCESSES_NAMED; i++) {
        if (strcmp(processes->first[i].name, name) == 0 && processes->first[i].pid > 1)
            return true;
    }
    return false;
}

/* Before its execve it has the shell's name, and its pipes. */
static void expect_name(pid_t pid, const char *name)
{
    struct proc_stat stat = {.name = ""};
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (strcmp(stat.name, name) != 0) {
        assert_true(clock_now_ms() < deadline_ms);
        assert_true(proc_read_stat(pid, &stat));
    }
}

static void what_was_left_has_names(void **state)
{
    (void)state;
    struct threaded command;
    struct sweep sweep;
    struct stat info;
    struct sweep_order order = {.leader_ended = true, .signals = {SIGKILL}, .pipe_count = 1};
    sweep_init(&sweep);
    threaded_start(&command, "names",
                   "sleep 1000 >/dev/null 2>&1 & s=$!; setsid sh -c \"echo \\$\\$ $s; exec tail -f "
                   "/dev/null\" & exit 7");
    threaded_expect_line(&command);
    threaded_expect_end(&command);
    expect_name(atoi(command.line), "tail");
    expect_name(atoi(strchr(command.line, ' ')), "sleep");
    assert_int_equal(fstat(command.result.stdout_fd, &info), 0);
    order.pipes[0] = info.st_ino;
    threaded_sweep(&command, &sweep, orphans, &order);
    assert_int_equal(sweep.result.holders.count, 1);
    assert_true(has_name(&sweep.result.holders, "tail"));
    assert_int_equal(sweep.result.holders.first[0].pid, atoi(command.line));
    assert_int_equal(sweep.result.found.count, 2);
    /* What a later one finds is added; what the first one has killed is not counted twice. */
    order.until_none = true;
    order.pipe_count = 0;
    threaded_sweep(&command, &sweep, orphans, &order);
    assert_int_equal(sweep.result.found.count, 2);
    assert_true(has_name(&sweep.result.found, "tail"));
    assert_true(has_name(&sweep.result.found, "sleep"));
    assert_int_equal(sweep.result.left, 0);
    sweep_close(&sweep);
    assert_int_equal(threaded_close(&command).code, 7);
    expect_no_orphans(orphans);
}

/* Who holds the output is ended, the others stay and are listed, the oldest first. */
static void what_may_stay_is_spared(void **state)
{
    (void)state;
    struct threaded command;
    struct sweep sweep;
    struct stat info;
    struct sweep_order order = {.leader_ended = true,
                                .signals = {SIGKILL},
                                .spares = true,
                                .until_none = true,
                                .pipe_count = 1};
    sweep_init(&sweep);
    threaded_start(&command, "spared",
                   "sleep 1000 >/dev/null 2>&1 & s=$!; until grep -q sleep /proc/$s/comm; do :; "
                   "done; (setsid sh -c \"sleep 1000 & wait\" >/dev/null 2>&1 &); "
                   "setsid sh -c \"echo \\$\\$ $s; exec tail -f /dev/null\" & exit 7");
    threaded_expect_line(&command);
    threaded_expect_end(&command);
    expect_name(atoi(command.line), "tail");
    assert_int_equal(fstat(command.result.stdout_fd, &info), 0);
    order.pipes[0] = info.st_ino;
    threaded_sweep(&command, &sweep, orphans, &order);
    assert_false(process_runs(atoi(command.line)));
    assert_int_equal(sweep.result.found.count, 1);
    assert_true(has_name(&sweep.result.found, "tail"));
    assert_int_equal(sweep.result.spared_count, 3);
    assert_int_equal(sweep.result.spared[0].pid, atoi(strchr(command.line, ' ')));
    assert_string_equal(sweep.result.spared[0].name, "sleep");
    for (size_t i = 0; i < 3; i++)
        assert_true(process_runs(sweep.result.spared[i].pid));
    /* One of them may not. */
    struct family_member condemned = sweep.result.spared[0];
    sweep_condemn(&sweep, &condemned);
    threaded_sweep(&command, &sweep, orphans, &order);
    expect_process_gone(condemned.pid);
    assert_int_equal(sweep.result.spared_count, 2);
    assert_int_equal(sweep.result.found.count, 2);
    /* Nobody is spared any more. */
    order.spares = false;
    threaded_sweep(&command, &sweep, orphans, &order);
    assert_null(sweep.result.spared);
    assert_int_equal(sweep.result.found.count, 4);
    assert_int_equal(processes_with(command.variable), 0);
    sweep_close(&sweep);
    (void)threaded_close(&command);
    expect_no_orphans(orphans);
}

/* More than the first form of a family could hold, and each part handles one process. */
static void thousands(void **state)
{
    enum { COUNT = 1100 };
    (void)state;
    struct threaded command;
    struct sweep sweep;
    struct sweep_order order = {.leader_ended = true, .signals = {SIGKILL}, .until_none = true};
    sweep_init(&sweep);
    threaded_start(&command, "many",
                   "i=0; while [ $i -lt 1100 ]; do sleep 1000 >/dev/null 2>&1 & i=$((i+1)); done; "
                   "exit 0");
    threaded_expect_end(&command);
    order.leader = command.process.pid;
    order.mark = threaded_mark(&command);
    order.orphans = orphans;
    sweep_begin(&sweep, &order);
    size_t parts = 0;
    enum sweep_progress progress = SWEEP_MORE;
    while (progress != SWEEP_DONE) {
        int64_t wait_ms = 0;
        progress = sweep_step(&sweep, 0, &wait_ms);
        if (progress == SWEEP_WAIT)
            (void)poll(NULL, 0, (int)wait_ms);
        parts++;
    }
    assert_true(parts > 3 * COUNT); /* judged, found, signalled */
    assert_int_equal(sweep.result.left, 0);
    assert_int_equal(sweep.result.found.count, COUNT);
    assert_int_equal(processes_with(command.variable), 0);
    sweep_close(&sweep);
    (void)threaded_close(&command);
    expect_no_orphans(orphans);
}

/* It ends by itself, and nobody need be told. */
static void one_that_is_dying_is_not_named(void **state)
{
    enum { ROUNDS = 30 };
    (void)state;
    int named = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct threaded command;
        struct sweep sweep;
        char byte = 0;
        const struct sweep_order order = {
            .leader_ended = true, .signals = {SIGKILL}, .until_none = true};
        /* Its pipe is at its end when the last process of it dies, with the rest of it behind. */
        sweep_init(&sweep);
        threaded_start(&command, "dying", "exec sh -c '(sleep 0.00'$(($$ % 4))' 2>/dev/null) &'");
        threaded_expect_end(&command);
        while (read(command.result.stdout_fd, &byte, 1) != 0)
            (void)poll(&(struct pollfd){.fd = command.result.stdout_fd, .events = POLLIN}, 1, -1);
        threaded_sweep(&command, &sweep, orphans, &order);
        named += sweep.result.found.count > 0;
        sweep_close(&sweep);
        (void)threaded_close(&command);
    }
    /* Where the machine is busy, one may not come to its end in time. */
    assert_in_range(named, 0, ROUNDS / 2);
    expect_no_orphans(orphans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_has_other_sessions_too),
        cmocka_unit_test(two_signals_reach_all_of_them),
        cmocka_unit_test(what_was_left_has_names),
        cmocka_unit_test(what_may_stay_is_spared),
        cmocka_unit_test(thousands),
        cmocka_unit_test(one_that_is_dying_is_not_named),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind may lack pidfd_open, and runs one thread at a time\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
