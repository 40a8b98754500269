/* Root that has few capabilities, looking at the processes of another user. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/as_owner.h"
#include "exec/proc.h"

enum { SOMEBODY = 54881 };

static void need_root(void)
{
    if (geteuid() == 0)
        return;
    print_message("skipped: only root can look into processes of others\n");
    skip();
}

static ino_t its_pipe;

/* Theirs, with AFAR_X=1 in its environment. */
static pid_t start_theirs(void)
{
    int ready[2];
    char byte = 0;
    struct stat info;
    static char *const argv[] = {"sh", "-c", "echo; sleep 1000", NULL};
    static char *const environment[] = {"PATH=/usr/bin:/bin", "AFAR_X=1", NULL};
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ready[1], STDOUT_FILENO);
        (void)close(ready[0]);
        (void)close(ready[1]);
        if (setsid() >= 0 && setgroups(0, NULL) == 0 &&
            setresgid(SOMEBODY, SOMEBODY, SOMEBODY) == 0 &&
            setresuid(SOMEBODY, SOMEBODY, SOMEBODY) == 0)
            (void)execve("/bin/sh", argv, environment);
        _exit(127);
    }
    assert_true(pid > 0);
    assert_int_equal(fstat(ready[1], &info), 0);
    its_pipe = info.st_ino;
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1); /* it has done its execve */
    (void)close(ready[0]);
    return pid;
}

/* Leaves nothing but these. */
static bool keep_capabilities(uint32_t wanted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {{.effective = wanted, .permitted = wanted}};
    return syscall(SYS_capset, &header, data) == 0;
}

static int look(pid_t pid, uint32_t capabilities, enum proc_answer expected)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    if (prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) != 0 || !keep_capabilities(capabilities))
        return 1;
    char value[8];
    if (proc_get_variable(pid, pid, "AFAR_X=", value, sizeof value) != expected)
        return 2;
    if (proc_has_pipe(pid, &its_pipe, 1) != (expected == PROC_YES))
        return 5;
    /* Nothing of the other user has stayed. */
    if (setfsuid((uid_t)-1) != 0 || setfsgid((gid_t)-1) != 0)
        return 3;
    if (prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) != 0)
        return 4;
    int fd = as_owner_open(getpid(), path);
    return fd < 0 && errno == EACCES ? 0 : 5;
}

static void assert_look(uint32_t capabilities, enum proc_answer expected)
{
    int status = 0;
    pid_t theirs = start_theirs();
    pid_t pid = fork();
    if (pid == 0)
        _exit(look(theirs, capabilities, expected));
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(kill(-theirs, SIGKILL), 0);
    assert_int_equal(waitpid(theirs, NULL, 0), theirs);
    assert_int_equal(status, 0);
}

static void test_with_few_capabilities(void **state)
{
    (void)state;
    need_root();
    assert_look(1U << CAP_SETUID | 1U << CAP_SETGID, PROC_YES);
}

static void test_without(void **state)
{
    (void)state;
    need_root();
    assert_look(0, PROC_DENIED);
}

/* Two threads at once, as far as the flag is concerned: the second begins when it is lost. */
static void test_the_flag_outlives_two_at_once(void **state)
{
    (void)state;
    need_root();
    pid_t theirs = start_theirs();
    for (unsigned long flag = 0; flag <= 1; flag++) {
        assert_int_equal(prctl(PR_SET_DUMPABLE, flag, 0UL, 0UL, 0UL), 0);
        assert_true(as_owner_enter(theirs));
        assert_true(as_owner_enter(theirs));
        as_owner_leave();
        as_owner_leave();
        assert_int_equal(prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL), flag);
    }
    assert_int_equal(kill(-theirs, SIGKILL), 0);
    assert_int_equal(waitpid(theirs, NULL, 0), theirs);
}

static void test_nobody_there(void **state)
{
    (void)state;
    assert_int_equal(as_owner_open(INT32_MAX, "/proc/2147483647/environ"), -1);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_few_capabilities),
        cmocka_unit_test(test_without),
        cmocka_unit_test(test_the_flag_outlives_two_at_once),
        cmocka_unit_test(test_nobody_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
