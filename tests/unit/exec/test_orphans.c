/* The main thread here is what it is in afard: a subreaper that starts nothing; commands are
 * started from another thread. */
// wrap: open
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
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/orphans.h"
#include "exec/proc.h"
#include "support/process_wait.h"
#include "support/program.h"
#include "support/threaded.h"

/* Its execve, in which it cannot be known, is over as soon as its variable is seen again. */
#define SLEEPS "until grep -q sleep /proc/$!/comm; do :; done; "

static struct orphans *orphans;

static void expect_processes_with(const char *variable, size_t count)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (processes_with(variable) != count) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 1);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

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

/* What all of this rests on. */
static void only_orphans_are_the_main_threads_children(void **state)
{
    (void)state;
    struct threaded command;
    struct proc_stat stat;
    threaded_start(&command, "parents",
                   "(setsid sh -c 'echo $$; exec sleep 1000' &); exec sleep 1000");
    threaded_expect_line(&command);
    int orphan = atoi(command.line);
    do
        assert_true(proc_read_stat(orphan, &stat));
    while (stat.parent != getpid()); /* until the subshell in between has ended */
    assert_true(is_child_of_main_thread(orphan));
    assert_false(is_child_of_main_thread(command.process.pid));
    /* Reaping orphans does not take the command's status. */
    assert_int_equal(kill(command.process.pid, SIGKILL), 0);
    threaded_expect_end(&command);
    assert_false(orphans_reap(orphans, DEADLINE_NEVER));
    threaded_sweep_away(&command, orphans);
    expect_process_gone(orphan); /* dead, or so near to it that it has no environment any more */
    assert_int_equal(threaded_close(&command).signal, SIGKILL);
    expect_no_orphans(orphans);
}

static void nothing_there(void **state)
{
    (void)state;
    struct threaded command;
    threaded_start(&command, "nothing", "exit 5");
    threaded_expect_end(&command);
    const struct family_mark mark = threaded_mark(&command);
    assert_true(orphans_none(orphans, &mark));
    assert_int_equal(threaded_close(&command).code, 5);
}

/* Double fork, a session of its own, descendants in further sessions; another job's are spared. */
static void known_by_the_mark(void **state)
{
    (void)state;
    static const char script[] =
        "(setsid sh -c 'setsid sleep 1000 & a=$!; sleep 1000 & echo $$ $a $!; wait' &); exit 3";
    struct threaded mine;
    struct threaded other;
    threaded_start(&mine, "mine", script);
    threaded_start(&other, "other", script);
    threaded_expect_line(&mine);
    threaded_expect_line(&other);
    expect_processes_with(other.variable, 3); /* the last may be in its execve still */
    threaded_expect_end(&mine);
    threaded_expect_end(&other);
    threaded_sweep_away(&mine, orphans);
    assert_int_equal(processes_with(mine.variable), 0);
    assert_int_equal(processes_with(other.variable), 3);
    threaded_sweep_away(&other, orphans);
    expect_processes_gone(other.line);
    assert_int_equal(threaded_close(&mine).code, 3);
    assert_int_equal(threaded_close(&other).code, 3);
    expect_no_orphans(orphans);
}

/* The environment is gone, and the process group is another one; but not the session. */
static void known_by_the_session(void **state)
{
    (void)state;
    struct threaded command;
    threaded_start(&command, "session",
                   "exec bash -c 'set -m; env -i sleep 1000 & echo $!; exit 4'");
    threaded_expect_line(&command);
    threaded_expect_end(&command);
    assert_int_equal(getpgid(atoi(command.line)), atoi(command.line));
    threaded_sweep_away(&command, orphans);
    expect_processes_gone(command.line);
    assert_int_equal(threaded_close(&command).code, 4);
    expect_no_orphans(orphans);
}

/* The limit of all this, as the manual says. */
static void one_that_has_left_everything_behind(void **state)
{
    (void)state;
    struct threaded command;
    threaded_start(&command, "escapes",
                   "(setsid env -i sh -c 'echo $$; exec sleep 1000' &); exit 0");
    threaded_expect_line(&command);
    threaded_expect_end(&command);
    threaded_sweep_away(&command, orphans);
    int pid = atoi(command.line);
    assert_true(process_runs(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)threaded_close(&command);
    expect_no_orphans(orphans);
}

static void expect_orphans(size_t count)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    size_t found = 0;
    while (found != count) {
        struct proc_numbers pids = {0};
        assert_true(clock_now_ms() < deadline_ms);
        proc_add_children(getpid(), getpid(), &pids);
        found = pids.count;
        free(pids.at);
        (void)poll(NULL, 0, 1);
    }
}

static size_t environments_read;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    environments_read += strstr(path, "/environ") != NULL;
    return __real_open(path, flags, 0);
}

/* So that what a command's end costs does not depend on what others have left behind. */
static void strangers_are_looked_at_once(void **state)
{
    enum { STRANGERS = 40, COMMANDS = 30 };
    (void)state;
    struct threaded command;
    threaded_start(&command, "strangers",
                   "i=0; while [ $i -lt 40 ]; do env -i setsid -f sleep 1000 >/dev/null 2>&1; "
                   "i=$((i+1)); done");
    threaded_expect_end(&command);
    expect_orphans(STRANGERS);
    environments_read = 0;
    threaded_sweep_away(&command, orphans);
    (void)threaded_close(&command);
    assert_true(environments_read >= STRANGERS);
    environments_read = 0;
    for (int i = 0; i < COMMANDS; i++) {
        threaded_start(&command, "another", "exit 0");
        threaded_expect_end(&command);
        const struct family_mark mark = threaded_mark(&command);
        /* (Once a second the whole list is read, and this says false.) */
        if (!orphans_none(orphans, &mark))
            threaded_sweep_away(&command, orphans);
        (void)threaded_close(&command);
    }
    assert_int_equal(environments_read, 0);
    struct proc_numbers pids = {0};
    proc_add_children(getpid(), getpid(), &pids);
    assert_int_equal(pids.count, STRANGERS);
    for (size_t i = 0; i < pids.count; i++)
        assert_int_equal(kill(pids.at[i], SIGKILL), 0);
    free(pids.at);
    expect_no_orphans(orphans);
}

/* Where we are in the kernel's list is another place after somebody in it was reaped. */
static void others_come_and_go_meanwhile(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct threaded command;
        threaded_start(&command, "goes",
                       "(setsid sleep 0.0$(($$ % 5)) &); (setsid sleep 1000 &); "
                       "(setsid sleep 0.001 &); exit 0");
        threaded_expect_end(&command);
        (void)orphans_reap(orphans, DEADLINE_NEVER);
        const struct family_mark mark = threaded_mark(&command);
        assert_false(orphans_none(orphans, &mark));
        threaded_sweep_away(&command, orphans);
        assert_int_equal(processes_with(command.variable), 0);
        (void)threaded_close(&command);
    }
    expect_no_orphans(orphans);
}

/* It should not be; but then we must not be wrong for ever. */
static void one_that_somebody_else_has_reaped(void **state)
{
    (void)state;
    struct threaded first;
    struct threaded second;
    threaded_start(&first, "first", "(setsid env -i sleep 1000 & echo $!); exit 0");
    threaded_expect_line(&first);
    threaded_expect_end(&first);
    threaded_sweep_away(&first, orphans);
    (void)threaded_close(&first);
    int pid = atoi(first.line);
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    threaded_start(&second, "second", "(setsid sleep 1000 &); exit 0");
    threaded_expect_end(&second);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    const struct family_mark mark = threaded_mark(&second);
    while (orphans_none(orphans, &mark)) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 10);
    }
    threaded_sweep_away(&second, orphans);
    assert_int_equal(processes_with(second.variable), 0);
    (void)threaded_close(&second);
    expect_no_orphans(orphans);
}

/* Found in the middle of their forks and execs: in an execve the mark is invisible for a moment. */
static void at_any_moment_of_their_lives(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct threaded command;
        threaded_start(&command, "moment",
                       "(setsid env A=1 sh -c 'setsid sleep 1000 & env A=1 sleep 1000' &); exit 0");
        threaded_expect_end(&command);
        if (round % 3 > 0)
            (void)poll(NULL, 0, round % 3);
        threaded_sweep_away(&command, orphans);
        assert_int_equal(processes_with(command.variable), 0);
        (void)threaded_close(&command);
    }
    expect_no_orphans(orphans);
}

/* Then nothing names its child any more but the list itself, which has grown. */
static void one_that_dies_between_list_and_look(void **state)
{
    (void)state;
    struct threaded command;
    struct proc_stat stat = {.dead = false};
    struct orphans_search search = {.begun = false};
    threaded_start(&command, "between",
                   "(setsid sleep 1000 >/dev/null 2>&1 & " SLEEPS "); "
                   "(setsid sh -c 'sleep 1000 >/dev/null 2>&1 & " SLEEPS "echo $$; kill -STOP $$' "
                   "&); exit 0");
    threaded_expect_line(&command);
    threaded_expect_end(&command);
    expect_orphans(2);
    expect_processes_with(command.variable, 3);
    const struct family_mark mark = threaded_mark(&command);
    struct family *family = family_new();
    assert_non_null(family);
    family_begin_round(family);
    assert_int_equal(orphans_find(orphans, &search, family, &mark, 0), ORPHANS_MORE);
    pid_t parent = atoi(command.line);
    assert_int_equal(kill(parent, SIGKILL), 0);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (!stat.dead && proc_read_stat(parent, &stat))
        assert_true(clock_now_ms() < deadline_ms);
    while (orphans_find(orphans, &search, family, &mark, INT64_MAX) != ORPHANS_FOUND)
        (void)poll(NULL, 0, 1);
    assert_true(family_walk(family, &mark, false, INT64_MAX));
    assert_int_equal(family_found(family), 2);
    family_free(family);
    threaded_sweep_away(&command, orphans);
    assert_int_equal(processes_with(command.variable), 0);
    (void)threaded_close(&command);
    expect_no_orphans(orphans);
}

/* Forks faster than it can be found, in a new session each time. */
static void one_that_runs_away(void **state)
{
    (void)state;
    struct threaded command;
    threaded_start(&command, "runs",
                   "export S='(setsid sh -c \"$S\" &); exit 0'; sh -c \"$S\"; exit 0");
    threaded_expect_end(&command);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (processes_with(command.variable) == 0)
        assert_true(clock_now_ms() < deadline_ms);
    threaded_sweep_away(&command, orphans);
    assert_int_equal(processes_with(command.variable), 0);
    (void)threaded_close(&command);
    expect_no_orphans(orphans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_orphans_are_the_main_threads_children),
        cmocka_unit_test(nothing_there),
        cmocka_unit_test(known_by_the_mark),
        cmocka_unit_test(known_by_the_session),
        cmocka_unit_test(one_that_has_left_everything_behind),
        cmocka_unit_test(strangers_are_looked_at_once),
        cmocka_unit_test(others_come_and_go_meanwhile),
        cmocka_unit_test(one_that_somebody_else_has_reaped),
        cmocka_unit_test(at_any_moment_of_their_lives),
        cmocka_unit_test(one_that_dies_between_list_and_look),
        cmocka_unit_test(one_that_runs_away),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind may lack pidfd_open, and runs one thread at a time\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
