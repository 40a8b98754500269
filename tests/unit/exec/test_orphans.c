/* The main thread here is what it is in afard: a subreaper that starts nothing; commands are
 * started from another thread. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/orphans.h"
#include "exec/proc.h"
#include "exec/process.h"
#include "exec/spawn.h"
#include "support/gone.h"
#include "support/program.h"

static struct orphans *orphans;

/* ---- commands -----------------------------------------------------------------------------------
 */

/* The thread lives as long as its command. */
struct command {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started; /* guarded by lock */
    bool over;    /* guarded by lock */
    const char *script;
    char variable[64];
    struct spawn_result result;
    enum afar_status status;
    struct process process;
    char line[128]; /* what it has printed */
};

static void *command_main(void *argument)
{
    struct command *command = argument;
    char shell[] = "sh";
    char option[] = "-c";
    char path[] = "PATH=/bin:/usr/bin";
    char *script = strdup(command->script);
    char *environment[] = {path, command->variable, NULL};
    char *argv[] = {shell, option, script, NULL};
    const struct spawn_request request = {.argv = argv, .env = environment};
    command->status = spawn_process(&request, NULL, &command->result, NULL);
    free(script);
    (void)pthread_mutex_lock(&command->lock);
    command->started = true;
    (void)pthread_cond_signal(&command->changed);
    while (!command->over)
        (void)pthread_cond_wait(&command->changed, &command->lock);
    (void)pthread_mutex_unlock(&command->lock);
    return NULL;
}

static void start(struct command *command, const char *name, const char *script)
{
    *command = (struct command){.script = script};
    (void)snprintf(command->variable, sizeof command->variable, "AFAR_JOB=%s-%d", name,
                   (int)getpid());
    (void)pthread_mutex_init(&command->lock, NULL);
    (void)pthread_cond_init(&command->changed, NULL);
    assert_int_equal(pthread_create(&command->thread, NULL, command_main, command), 0);
    (void)pthread_mutex_lock(&command->lock);
    while (!command->started)
        (void)pthread_cond_wait(&command->changed, &command->lock);
    (void)pthread_mutex_unlock(&command->lock);
    assert_int_equal(command->status, AFAR_OK);
    command->process = (struct process){.pid = command->result.pid, .pidfd = command->result.pidfd};
}

static struct family_mark mark_of(const struct command *command)
{
    return (struct family_mark){.session = command->process.pid, .variable = command->variable};
}

/* Reads one line of what it prints. */
static void expect_line(struct command *command)
{
    size_t used = 0;
    while (used == 0 || command->line[used - 1] != '\n') {
        struct pollfd wait = {.fd = command->result.stdout_fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
        ssize_t got =
            read(command->result.stdout_fd, command->line + used, sizeof command->line - 1 - used);
        assert_true(got > 0);
        used += (size_t)got;
    }
    command->line[used] = '\0';
}

static void expect_end(const struct command *command)
{
    struct pollfd wait = {.fd = command->process.pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
}

static struct process_end close_command(struct command *command)
{
    struct process_end end;
    expect_end(command);
    assert_int_equal(process_reap(&command->process, &end, NULL), AFAR_OK);
    (void)close(command->result.stdout_fd);
    (void)close(command->result.stderr_fd);
    (void)pthread_mutex_lock(&command->lock);
    command->over = true;
    (void)pthread_cond_signal(&command->changed);
    (void)pthread_mutex_unlock(&command->lock);
    (void)pthread_join(command->thread, NULL);
    (void)pthread_cond_destroy(&command->changed);
    (void)pthread_mutex_destroy(&command->lock);
    return end;
}

/* As a job does it: KILL until nothing is left. */
static void sweep(const struct command *command)
{
    const struct family_mark mark = mark_of(command);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (orphans_signal(orphans, &mark, SIGKILL) > 0) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("%s: something is left", command->script);
        (void)poll(NULL, 0, 1);
    }
}

static void expect_processes_with(const char *variable, size_t count)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (processes_with(variable) != count) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 1);
    }
}

static bool is_child_of_main_thread(pid_t pid)
{
    pid_t *pids = NULL;
    bool found = false;
    size_t count = proc_children(getpid(), getpid(), &pids);
    for (size_t i = 0; i < count; i++)
        found = found || pids[i] == pid;
    free(pids);
    return found;
}

/* Reaps until the main thread has no child, dead or alive. */
static void expect_no_orphans(void)
{
    pid_t *pids = NULL;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (proc_children(getpid(), getpid(), &pids) > 0) {
        free(pids);
        assert_true(clock_now_ms() < deadline_ms);
        orphans_reap(orphans);
        (void)poll(NULL, 0, 1);
    }
}

/* ---- tests --------------------------------------------------------------------------------------
 */

static int set_up(void **state)
{
    (void)state;
    orphans = orphans_new();
    return orphans == NULL || !orphans_adopt() || !orphans_are_adopted();
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
    struct command command;
    struct proc_stat stat;
    start(&command, "parents", "(setsid sh -c 'echo $$; exec sleep 1000' &); exec sleep 1000");
    expect_line(&command);
    int orphan = atoi(command.line);
    do
        assert_true(proc_read_stat(orphan, &stat));
    while (stat.parent != getpid()); /* until the subshell in between has ended */
    assert_true(is_child_of_main_thread(orphan));
    assert_false(is_child_of_main_thread(command.process.pid));
    /* Reaping orphans does not take the command's status. */
    assert_int_equal(kill(command.process.pid, SIGKILL), 0);
    expect_end(&command);
    orphans_reap(orphans);
    sweep(&command);
    expect_process_gone(orphan); /* dead, or so near to it that it has no environment any more */
    assert_int_equal(close_command(&command).signal, SIGKILL);
    expect_no_orphans();
}

static void nothing_there(void **state)
{
    (void)state;
    struct command command;
    start(&command, "nothing", "exit 5");
    expect_end(&command);
    const struct family_mark mark = mark_of(&command);
    assert_int_equal(orphans_signal(orphans, &mark, SIGKILL), 0);
    assert_int_equal(close_command(&command).code, 5);
}

/* Double fork, a session of its own, descendants in further sessions; another job's are spared. */
static void known_by_the_mark(void **state)
{
    (void)state;
    static const char script[] =
        "(setsid sh -c 'setsid sleep 1000 & a=$!; sleep 1000 & echo $$ $a $!; wait' &); exit 3";
    struct command mine;
    struct command other;
    start(&mine, "mine", script);
    start(&other, "other", script);
    expect_line(&mine);
    expect_line(&other);
    expect_processes_with(other.variable, 3); /* the last may be in its execve still */
    expect_end(&mine);
    expect_end(&other);
    sweep(&mine);
    assert_int_equal(processes_with(mine.variable), 0);
    assert_int_equal(processes_with(other.variable), 3);
    sweep(&other);
    expect_processes_gone(other.line);
    assert_int_equal(close_command(&mine).code, 3);
    assert_int_equal(close_command(&other).code, 3);
    expect_no_orphans();
}

/* The environment is gone, and the process group is another one; but not the session. */
static void known_by_the_session(void **state)
{
    (void)state;
    struct command command;
    start(&command, "session", "exec bash -c 'set -m; env -i sleep 1000 & echo $!; exit 4'");
    expect_line(&command);
    expect_end(&command);
    assert_int_equal(getpgid(atoi(command.line)), atoi(command.line));
    sweep(&command);
    expect_processes_gone(command.line);
    assert_int_equal(close_command(&command).code, 4);
    expect_no_orphans();
}

/* The limit of all this, as the manual says. */
static void one_that_has_left_everything_behind(void **state)
{
    (void)state;
    struct command command;
    start(&command, "escapes", "(setsid env -i sh -c 'echo $$; exec sleep 1000' &); exit 0");
    expect_line(&command);
    expect_end(&command);
    sweep(&command);
    int pid = atoi(command.line);
    assert_true(process_runs(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)close_command(&command);
    expect_no_orphans();
}

static void other_signals_reach_them_too(void **state)
{
    (void)state;
    struct command command;
    start(&command, "term",
          "(setsid sh -c 'trap \"echo got it; exit\" TERM; echo ready; while :; do sleep 0.05; "
          "done' &); exit 0");
    expect_line(&command);
    assert_string_equal(command.line, "ready\n");
    expect_end(&command);
    const struct family_mark mark = mark_of(&command);
    while (orphans_signal(orphans, &mark, SIGTERM) == 0)
        (void)poll(NULL, 0, 1);
    expect_line(&command);
    assert_string_equal(command.line, "got it\n");
    sweep(&command);
    (void)close_command(&command);
    expect_no_orphans();
}

/* Found in the middle of their forks and execs: in an execve the mark is invisible for a moment. */
static void at_any_moment_of_their_lives(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct command command;
        start(&command, "moment",
              "(setsid env A=1 sh -c 'setsid sleep 1000 & env A=1 sleep 1000' &); exit 0");
        expect_end(&command);
        if (round % 3 > 0)
            (void)poll(NULL, 0, round % 3);
        sweep(&command);
        assert_int_equal(processes_with(command.variable), 0);
        (void)close_command(&command);
    }
    expect_no_orphans();
}

/* Forks faster than it can be found, in a new session each time. */
static void one_that_runs_away(void **state)
{
    (void)state;
    struct command command;
    start(&command, "runs", "export S='(setsid sh -c \"$S\" &); exit 0'; sh -c \"$S\"; exit 0");
    expect_end(&command);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (processes_with(command.variable) == 0)
        assert_true(clock_now_ms() < deadline_ms);
    sweep(&command);
    assert_int_equal(processes_with(command.variable), 0);
    (void)close_command(&command);
    expect_no_orphans();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_orphans_are_the_main_threads_children),
        cmocka_unit_test(nothing_there),
        cmocka_unit_test(known_by_the_mark),
        cmocka_unit_test(known_by_the_session),
        cmocka_unit_test(one_that_has_left_everything_behind),
        cmocka_unit_test(other_signals_reach_them_too),
        cmocka_unit_test(at_any_moment_of_their_lives),
        cmocka_unit_test(one_that_runs_away),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind may lack pidfd_open, and runs one thread at a time\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
