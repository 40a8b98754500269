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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/proc.h"

/* A child that waits for its end, or (`ready` given) executes something with that environment. */
static pid_t start(char *const *environment)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *argv[] = {"sleep", "1000", NULL};
        (void)close(ready[0]);
        if (environment != NULL) {
            /* The pipe closes when the new program is there. */
            (void)dup3(ready[1], 100, O_CLOEXEC);
            (void)close(ready[1]);
            (void)execve("/bin/sleep", argv, environment);
            _exit(127);
        }
        (void)close(ready[1]);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0);
    (void)close(ready[0]);
    return pid;
}

/* Whether the environment has "NAME=value", by asking for what begins with NAME=. */
static enum proc_answer has_variable(pid_t pid, const char *entry)
{
    char prefix[64];
    char value[64];
    size_t length = strcspn(entry, "=") + 1;
    (void)snprintf(prefix, sizeof prefix, "%.*s", (int)length, entry);
    enum proc_answer answer = proc_get_variable(pid, pid, prefix, value, sizeof value);
    if (answer != PROC_YES)
        assert_string_equal(value, "");
    return answer == PROC_YES && strcmp(value, entry + length) != 0 ? PROC_NO : answer;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void the_one_that_asks(void **state)
{
    (void)state;
    struct proc_stat stat;
    struct proc_stat again;
    assert_true(proc_is_ours());
    assert_true(proc_read_stat(getpid(), &stat));
    assert_int_equal(stat.parent, getppid());
    assert_int_equal(stat.session, getsid(0));
    assert_false(stat.dead);
    assert_false(stat.exiting);
    assert_false(stat.bare);
    assert_true(stat.start > 0);
    assert_true(proc_read_stat(getpid(), &again));
    assert_true(again.start == stat.start);
    assert_false(proc_read_stat(0x7ffffff0, &stat));
}

/* The name of a process is what it likes. */
static void a_name_like_the_rest_of_the_line(void **state)
{
    (void)state;
    struct proc_stat stat;
    char before[16];
    assert_int_equal(prctl(PR_GET_NAME, before), 0);
    assert_int_equal(prctl(PR_SET_NAME, ") Z 1 1 1\n("), 0);
    assert_true(proc_read_stat(getpid(), &stat));
    assert_false(stat.dead);
    assert_int_equal(stat.parent, getppid());
    assert_memory_equal(stat.name, ") Z 1 1 1", 9);
    assert_int_equal(prctl(PR_SET_NAME, before), 0);
}

static void a_zombie_is_dead(void **state)
{
    (void)state;
    struct proc_stat stat;
    siginfo_t info;
    pid_t pid = start(NULL);
    assert_true(proc_read_stat(pid, &stat));
    assert_false(stat.dead);
    assert_int_equal(stat.parent, getpid());
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(proc_read_stat(pid, &stat));
    assert_true(stat.dead);
    assert_false(stat.exiting);
    enum proc_answer answer = has_variable(pid, "A=1");
    assert_true(answer == PROC_EMPTY || (answer == PROC_DENIED && geteuid() != 0));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(proc_read_stat(pid, &stat));
    assert_int_equal(has_variable(pid, "A=1"), PROC_EMPTY);
}

static void children(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    pid_t started[COUNT];
    struct proc_numbers pids = {0};
    proc_add_children(getpid(), getpid(), &pids);
    assert_int_equal(pids.count, 0);
    assert_null(pids.at);
    for (int i = 0; i < COUNT; i++)
        started[i] = start(NULL);
    proc_add_children(getpid(), getpid(), &pids);
    assert_int_equal(pids.count, COUNT);
    assert_memory_equal(pids.at, started, sizeof started);
    for (int i = 0; i < COUNT; i++)
        end(started[i]);
    proc_add_children(0x7ffffff0, 0x7ffffff0, &pids);
    assert_int_equal(pids.count, COUNT); /* added to, by none */
    free(pids.at);
}

static void environments(void **state)
{
    (void)state;
    /* Long enough for an entry to lie across the pieces in which it is read, wherever they end. */
    enum { LONG = 9000 };
    char *big = malloc(LONG + 1);
    assert_non_null(big);
    for (int shift = 0; shift < 12; shift++) {
        memset(big, 'x', LONG);
        big[0] = 'B';
        big[1] = '=';
        big[4096 - 8 + shift] = '\0';
        char *environment[] = {"A=12", big, "MARK=abcdef", "Z=MARK=abcd", NULL};
        pid_t pid = start(environment);
        assert_int_equal(has_variable(pid, "MARK=abcdef"), PROC_YES);
        assert_int_equal(has_variable(pid, "A=12"), PROC_YES);
        assert_int_equal(has_variable(pid, "A=1"), PROC_NO);
        assert_int_equal(has_variable(pid, "Q=1"), PROC_NO);
        assert_int_equal(has_variable(pid, "A=123"), PROC_NO);
        assert_int_equal(has_variable(pid, "MARK=abcd"), PROC_NO);
        assert_int_equal(has_variable(pid, "Z=MARK=abcd"), PROC_YES);
        end(pid);
    }
    free(big);
    char *nothing[] = {NULL};
    pid_t pid = start(nothing);
    struct proc_stat stat;
    assert_int_equal(has_variable(pid, "A=12"), PROC_EMPTY);
    assert_true(proc_read_stat(pid, &stat));
    assert_false(stat.bare); /* it has one, with nothing in it */
    char value[8];
    assert_int_equal(proc_find_mark(pid, &stat, "A=", value, sizeof value), PROC_UNMARKED);
    end(pid);
    char *marked[] = {"MARK=abcdefghijkl", NULL};
    pid = start(marked);
    assert_int_equal(proc_get_variable(pid, pid, "MARK=", value, sizeof value), PROC_YES);
    assert_string_equal(value, "abcdefg"); /* cut */
    assert_true(proc_read_stat(pid, &stat));
    assert_string_equal(stat.name, "sleep");
    assert_int_equal(proc_find_mark(pid, &stat, "MARK=abcdefghijkl", value, 2), PROC_MARKED);
    assert_string_equal(value, "");
    end(pid);
}

static void who_has_a_pipe(void **state)
{
    (void)state;
    struct stat info[2];
    int mine[2];
    int other[2];
    assert_int_equal(pipe2(other, O_CLOEXEC), 0);
    pid_t pid = start(NULL);
    assert_int_equal(pipe2(mine, O_CLOEXEC), 0);
    assert_int_equal(fstat(other[0], &info[0]), 0);
    assert_int_equal(fstat(mine[0], &info[1]), 0);
    const ino_t pipes[] = {info[1].st_ino, info[0].st_ino};
    assert_true(proc_has_pipe(getpid(), pipes, 1));
    assert_false(proc_has_pipe(pid, pipes, 1));
    assert_true(proc_has_pipe(pid, pipes, 2));
    assert_false(proc_has_pipe(0x7ffffff0, pipes, 2));
    end(pid);
    for (int i = 0; i < 2; i++) {
        (void)close(mine[i]);
        (void)close(other[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_that_asks), cmocka_unit_test(a_name_like_the_rest_of_the_line),
        cmocka_unit_test(a_zombie_is_dead),  cmocka_unit_test(children),
        cmocka_unit_test(environments),      cmocka_unit_test(who_has_a_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
