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
#include "support/gone.h"
#include "support/program.h"

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
    assert_int_equal(family_add_descendants(family, program.pid), 3);
    assert_int_equal(family_add_descendants(family, program.pid), 0);
    assert_int_equal(family_signal(family, 0), 3);
    assert_int_equal(family_signal(family, SIGKILL), 3);
    expect_processes_gone(program.stdout_data);
    assert_int_equal(family_signal(family, 0), 0);
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
    (void)family_add_descendants(family, program.pid);
    assert_int_equal(kill(atoi(program.stdout_data), SIGUSR1), 0);
    program_expect(&program, 1, "born");
    assert_true(family_add_descendants(family, program.pid) >= 1);
    (void)family_signal(family, SIGKILL);
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
    assert_int_equal(family_add_descendants(family, getpid()), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(family_signal(family, 0), 0); /* a zombie: nobody to signal */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(family_signal(family, 0), 0);
    assert_int_equal(family_add_descendants(family, getpid()), 0);
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
    const char *environment[] = {variable, NULL};
    program_start(&other, argv, NULL);
    program_expect(&other, 1, "\n");
    program_start(&mine, argv, environment);
    program_expect(&mine, 1, "\n");

    const struct family_mark mark = {.session = 0x7ffffff0, .variable = variable};
    const pid_t pids[] = {other.pid, mine.pid, 0x7ffffff0};
    struct family *family = family_new();
    assert_non_null(family);
    assert_true(family_add_marked(family, pids, 3, &mark) >= 1);
    (void)family_signal(family, SIGKILL);
    program_finish(&mine, NULL, 0);
    assert_int_equal(program_exit_status(&mine), 128 + SIGKILL);
    assert_true(process_runs(other.pid));
    family_free(family);

    /* The other one by its session, which is ours, and everybody's here. */
    const struct family_mark session = {.session = getsid(0), .variable = "FAMILY_MARK=none"};
    family = family_new();
    assert_non_null(family);
    assert_true(family_add_marked(family, &other.pid, 1, &session) >= 1);
    (void)family_signal(family, SIGKILL);
    program_finish(&other, NULL, 0);
    assert_int_equal(program_exit_status(&other), 128 + SIGKILL);
    family_free(family);
    program_close(&mine);
    program_close(&other);
}

/* ---- behind one that is dying
 * --------------------------------------------------------------------
 */

enum { NOBODY = 65534 };

static void *outlive(void *argument)
{
    for (;;)
        (void)pause();
    return argument;
}

/* Its first thread has ended: it is dying as long as the second one wants, and has a marked child.
 */
static void be_dying(int fd)
{
    char *environment[] = {(char *)(uintptr_t) "FAMILY_MARK=behind", NULL};
    char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "1000", NULL};
    pthread_t second;
    pid_t child = fork();
    if (child == 0) {
        (void)execve("/bin/sleep", argv, environment);
        _exit(127);
    }
    if (write(fd, &child, sizeof child) != sizeof child ||
        pthread_create(&second, NULL, outlive, NULL) != 0)
        _exit(127);
    (void)syscall(SYS_exit, 0);
}

/* Whether the child was found through its parent, whose own environment is gone. */
static bool find_behind(void)
{
    const struct family_mark mark = {.session = 0x7ffffff0, .variable = "FAMILY_MARK=behind"};
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    struct proc_stat stat = {.exiting = false};
    struct family *family = family_new();
    int ends[2];
    pid_t child = -1;
    size_t found = 0;
    pid_t parent = family != NULL && pipe(ends) == 0 ? fork() : -1;
    if (parent == 0)
        be_dying(ends[1]);
    if (parent < 0 || read(ends[0], &child, sizeof child) != sizeof child)
        return false;
    while ((!stat.exiting || proc_has_variable(child, mark.variable) != PROC_YES) &&
           clock_now_ms() < deadline_ms) {
        (void)poll(NULL, 0, 1);
        (void)proc_read_stat(parent, &stat);
    }
    if (stat.exiting)
        found = family_add_marked(family, &parent, 1, &mark);
    (void)kill(child, SIGKILL);
    (void)kill(parent, SIGKILL);
    family_free(family);
    return found == 1;
}

/* Newer kernels (6.18.44 does) show the environment of a process without memory to root alone, so
 * this must be seen with the eyes of somebody else. */
static void behind_one_that_is_dying(void **state)
{
    (void)state;
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool other = geteuid() != 0 ||
                     (setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                      setresuid(NOBODY, NOBODY, NOBODY) == 0 && prctl(PR_SET_DUMPABLE, 1UL) == 0);
        _exit(other && find_behind() ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descendants_in_any_session),
        cmocka_unit_test(who_is_born_meanwhile),
        cmocka_unit_test(one_that_has_been_reaped_is_not_signalled),
        cmocka_unit_test(only_the_marked),
        cmocka_unit_test(behind_one_that_is_dying),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind may lack pidfd_open\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
