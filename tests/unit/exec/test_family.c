#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/family.h"
#include "exec/proc.h"
#include "support/process_wait.h"
#include "support/program.h"

static const struct family_mark nobody = {.session = 0x7ffffff0, .variable = "FAMILY_MARK=none"};

/* One round, a process at a time. */
static size_t walk(struct family *family, const struct family_mark *mark)
{
    while (!family_walk(family, mark, false, 0))
        ;
    return family_found(family);
}

static size_t add_descendants(struct family *family, pid_t parent)
{
    family_begin_round(family);
    family_propose_children(family, parent);
    return walk(family, &nobody);
}

static size_t add_marked(struct family *family, const pid_t *pids, size_t count,
                         const struct family_mark *mark)
{
    family_begin_round(family);
    for (size_t i = 0; i < count; i++)
        family_propose(family, pids[i], FAMILY_MARKED);
    return walk(family, mark);
}

/* How many of them live. */
static size_t signal_all(struct family *family, int number)
{
    size_t denied = 0;
    while (!family_signal(family, number, 0))
        ;
    size_t living = family_living(family, &denied);
    assert_int_equal(denied, 0);
    return living;
}

/* A shell that runs the script, and its first line. */
static void start(struct program *program, const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    program_start(program, argv, NULL);
    program_expect(program, 1, "\n");
}

static void descendants_in_any_session(void **state)
{
    (void)state;
    struct program program;
    struct family *family = family_new();
    assert_non_null(family);
    start(&program, "setsid sh -c 'setsid sleep 1000 & a=$!; sleep 1000 & echo $$ $a $!; wait' & "
                    "wait");
    /* setsid forks where it leads a group: not here. */
    assert_int_equal(add_descendants(family, program.pid), 3);
    assert_int_equal(add_descendants(family, program.pid), 0);
    assert_int_equal(signal_all(family, 0), 3);
    assert_int_equal(signal_all(family, SIGKILL), 3);
    expect_processes_gone(program.stdout_data);
    assert_int_equal(signal_all(family, 0), 0);
    family_free(family);
    program_close(&program);
}

/* What was found is looked at again: here it forks when it is told to. */
static void who_is_born_meanwhile(void **state)
{
    (void)state;
    struct program program;
    struct family *family = family_new();
    assert_non_null(family);
    start(&program, "sh -c 'trap \"sleep 1000 & echo \\$! born\" USR1; echo $$; while :; do sleep "
                    "0.05; done' & wait");
    (void)add_descendants(family, program.pid);
    assert_int_equal(kill(atoi(program.stdout_data), SIGUSR1), 0);
    program_expect(&program, 1, "born");
    assert_true(add_descendants(family, program.pid) >= 1);
    (void)signal_all(family, SIGKILL);
    expect_processes_gone(program.stdout_data);
    family_free(family);
    program_close(&program);
}

static void one_that_has_been_reaped_is_not_signalled(void **state)
{
    (void)state;
    struct family *family = family_new();
    assert_non_null(family);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (;;)
            (void)pause();
    }
    assert_int_equal(add_descendants(family, getpid()), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(signal_all(family, 0), 0); /* a zombie: nobody to signal */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(signal_all(family, 0), 0);
    assert_int_equal(add_descendants(family, getpid()), 0);
    family_free(family);
}

static void only_the_marked(void **state)
{
    (void)state;
    struct program mine;
    struct program other;
    char variable[64];
    (void)snprintf(variable, sizeof variable, "FAMILY_MARK=%d", (int)getpid());
    const char *argv[] = {"sh", "-c", "echo $$; sleep 1000 & wait", NULL};
    /* A session of its own: ours may be led from another pid namespace, and then it is nobody's. */
    const char *session_argv[] = {"setsid", "sh", "-c", "echo $$; sleep 1000 & wait", NULL};
    const char *environment[] = {variable, NULL};
    program_start(&other, session_argv, NULL);
    program_expect(&other, 1, "\n");
    program_start(&mine, argv, environment);
    program_expect(&mine, 1, "\n");

    const struct family_mark mark = {.session = 0x7ffffff0, .variable = variable};
    const pid_t pids[] = {other.pid, mine.pid, 0x7ffffff0};
    struct family *family = family_new();
    assert_non_null(family);
    assert_true(add_marked(family, pids, 3, &mark) >= 1);
    (void)signal_all(family, SIGKILL);
    program_finish(&mine, NULL, 0);
    assert_int_equal(program_exit_status(&mine), 128 + SIGKILL);
    assert_true(process_runs(other.pid));
    family_free(family);

    /* The other one by its session. */
    assert_int_equal(getsid(other.pid), other.pid);
    const struct family_mark session = {.session = other.pid, .variable = "FAMILY_MARK=none"};
    family = family_new();
    assert_non_null(family);
    assert_true(add_marked(family, &other.pid, 1, &session) >= 1);
    (void)signal_all(family, SIGKILL);
    program_finish(&other, NULL, 0);
    assert_int_equal(program_exit_status(&other), 128 + SIGKILL);
    family_free(family);
    program_close(&mine);
    program_close(&other);
}

/* Of whom the kernel says 0: it was told by a leader in another pid namespace, or is a thread of the
 * kernel's. A mark without a session is none of theirs. */
static void nobodys_session(void **state)
{
    const struct family_mark mark = {.session = 0, .variable = "FAMILY_MARK=none"};
    pid_t found = 0;
    (void)state;
    for (pid_t pid = 1; pid < 65536 && found == 0; pid++) {
        struct proc_stat stat;
        if (proc_read_stat(pid, &stat) && stat.session == 0 && !stat.dead)
            found = pid;
    }
    if (found == 0) {
        print_message("skipped: no process here has the session 0\n");
        skip();
    }
    struct family *family = family_new();
    assert_non_null(family);
    assert_int_equal(add_marked(family, &found, 1, &mark), 0);
    family_free(family);
}

/* ---- one that is dying ----------------------------------------------------------------------- */

enum { NOBODY = 65534 };

static void *outlive(void *argument)
{
    for (;;)
        (void)pause();
    return argument;
}

static const char dying_argument[] = "be-dying";

/* Its first thread has ended: it is dying as long as the second one wants, and has a child. */
static int be_dying(void)
{
    char *environment[] = {NULL};
    char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "1000", NULL};
    pthread_t second;
    pid_t child = fork();
    if (child == 0) {
        (void)execve("/bin/sleep", argv, environment);
        _exit(127);
    }
    if (write(STDOUT_FILENO, &child, sizeof child) != sizeof child ||
        pthread_create(&second, NULL, outlive, NULL) != 0)
        _exit(127);
    (void)syscall(SYS_exit, 0);
    return 127;
}

static pid_t start_dying(pid_t *child)
{
    char *environment[] = {(char *)(uintptr_t) "FAMILY_MARK=dying", NULL};
    char *argv[] = {(char *)(uintptr_t) "test_family", (char *)(uintptr_t)dying_argument, NULL};
    int ends[2];
    pid_t parent = pipe(ends) == 0 ? fork() : -1;
    if (parent == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execve("/proc/self/exe", argv, environment);
        _exit(127);
    }
    (void)close(ends[1]);
    bool started = parent > 0 && read(ends[0], child, sizeof *child) == sizeof *child;
    (void)close(ends[0]);
    return started ? parent : -1;
}

/* Whether it was found by its mark, which the second thread still shows, and its child with it. */
static bool find_dying(void)
{
    const struct family_mark mark = {.session = 0x7ffffff0, .variable = "FAMILY_MARK=dying"};
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    struct proc_stat stat = {.exiting = false};
    struct family *family = family_new();
    size_t found = 0;
    pid_t child = -1;
    pid_t parent = start_dying(&child);
    if (parent < 0 || family == NULL)
        return false;
    while (!stat.exiting && clock_now_ms() < deadline_ms) {
        (void)poll(NULL, 0, 1);
        (void)proc_read_stat(parent, &stat);
    }
    if (stat.exiting)
        found = add_marked(family, &parent, 1, &mark);
    (void)kill(child, SIGKILL);
    (void)kill(parent, SIGKILL);
    family_free(family);
    return found == 2;
}

/* Newer kernels (6.18.44 does) show the environment of a process without memory to root alone, so
 * this must be seen with the eyes of somebody else. */
static void one_that_is_dying(void **state)
{
    (void)state;
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool other = geteuid() != 0 ||
                     (setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                      setresuid(NOBODY, NOBODY, NOBODY) == 0 && prctl(PR_SET_DUMPABLE, 1UL) == 0);
        _exit(other && find_dying() ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], dying_argument) == 0)
        return be_dying();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descendants_in_any_session),
        cmocka_unit_test(who_is_born_meanwhile),
        cmocka_unit_test(one_that_has_been_reaped_is_not_signalled),
        cmocka_unit_test(only_the_marked),
        cmocka_unit_test(nobodys_session),
        cmocka_unit_test(one_that_is_dying),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind may lack pidfd_open\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
