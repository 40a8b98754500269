// wrap: pipe2 clone malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/process.h"
#include "exec/cgroup.h"
#include "exec/spawn.h"
#include "support/alloc_fault.h"
#include "support/fake_cgroup.h"
#include "support/spawned.h"

static int fail_pipe_at; /* the nth call fails; 0: none */
static bool fail_clone;
static int clones;

int __real_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags)
{
    if (fail_pipe_at > 0 && --fail_pipe_at == 0) {
        errno = EMFILE;
        return -1;
    }
    return __real_pipe2(ends, flags);
}

int __real_clone(int (*fn)(void *), void *stack, int flags, void *argument, ...);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *argument, int *pidfd);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *argument, int *pidfd)
{
    if (fail_clone) {
        errno = EAGAIN;
        return -1;
    }
    clones++;
    return __real_clone(fn, stack, flags, argument, pidfd);
}

static char *environment[] = {"PATH=/bin:/usr/bin", "NAME=value", NULL};

/* valgrind makes a fork of the child, which then cannot tell us why it failed. */
static bool under_valgrind(void)
{
    return getenv("VALGRIND") != NULL;
}

static void finish(struct spawn_result *result, char *text, size_t size, struct process_end *end)
{
    struct process process = {.pid = result->pid, .pidfd = result->pidfd};
    if (result->stdin_fd >= 0)
        (void)close(result->stdin_fd);
    spawned_read_all(result->stdout_fd, text, size);
    struct pollfd wait = {.fd = process.pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 60000), 1);
    assert_int_equal(process_reap(&process, end, NULL), AFAR_OK);
    assert_int_equal(process.pidfd, -1);
    (void)close(result->stdout_fd);
    (void)close(result->stderr_fd);
}

static void a_command(void **state)
{
    (void)state;
    char *argv[] = {"sh", "-c", "echo \"$NAME|$1|$2\"; exit 3", "sh", "a b", "\xff", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment};
    struct spawn_result result;
    struct process_end end;
    char text[256];
    unsigned before = spawned_descriptors();
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    assert_int_equal(result.stdin_fd, -1);
    assert_true((fcntl(result.stdout_fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(result.stdout_fd, F_GETFD) & FD_CLOEXEC) != 0);
    finish(&result, text, sizeof text, &end);
    assert_string_equal(text, "value|a b|\xff\n");
    assert_true(end.exited);
    assert_int_equal(end.code, 3);
    assert_true(end.max_rss_bytes > 0);
    assert_int_equal(spawned_descriptors(), before);
}

static void standard_input(void **state)
{
    (void)state;
    char *argv[] = {"cat", NULL};
    struct spawn_request request = {.argv = argv, .env = environment, .stdin_pipe = true};
    struct spawn_result result;
    struct process_end end;
    char text[64];
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    assert_int_equal(write(result.stdin_fd, "hello", 5), 5);
    finish(&result, text, sizeof text, &end);
    assert_string_equal(text, "hello");
    request.stdin_pipe = false; /* /dev/null */
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    finish(&result, text, sizeof text, &end);
    assert_string_equal(text, "");
    assert_int_equal(end.code, 0);
}

/* The kernel's, which libc's is not. */
struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

/* The parent blocks and ignores signals and has descriptors without close-on-exec. */
static void the_child_begins_clean(void **state)
{
    (void)state;
    sigset_t blocked;
    sigset_t before;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGUSR1);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &blocked, &before);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    int stray = open("/dev/null", O_RDONLY); /* NOLINT: without O_CLOEXEC is the point */

    /* Asked of a program of its own: a shell blocks signals now and then. */
    char *masks[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
    char *others[] = {"sh", "-c",
                      "ls -m /proc/$$/fd; cut -d' ' -f5,6 /proc/$$/stat | "
                      "awk -v me=$$ '{ print ($1 == me && $2 == me) ? \"leader\" : \"not\" }'",
                      NULL};
    struct spawn_request request = {.argv = masks, .env = environment};
    struct spawn_result result;
    struct process_end end;
    char text[256];
    /* Also where it resets only what is known not to be at its default: 32 is one that libc keeps
     * to itself, and that a parent may have left ignored. */
    static const int odd[] = {SIGPIPE, SIGHUP, 32};
    const struct kernel_action ignored = {.handler = SIG_IGN};
    assert_int_equal(syscall(SYS_rt_sigaction, 32, &ignored, NULL, 8), 0);
    const uint64_t defaults = spawn_default_signals();
    for (int i = 0; i < 3; i++)
        assert_int_equal(defaults >> (odd[i] - 1) & 1, 0);
    assert_int_equal(defaults >> (SIGUSR2 - 1) & 1, 1);
    const uint64_t known[] = {0, defaults};
    for (int i = 0; i < 2; i++) {
        request.default_signals = known[i];
        assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
        finish(&result, text, sizeof text, &end);
        assert_string_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    }
    request.argv = others;
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    finish(&result, text, sizeof text, &end);
    assert_string_equal(text, "0, 1, 2\nleader\n");

    (void)close(stray);
    (void)signal(SIGHUP, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static void working_directory(void **state)
{
    (void)state;
    char *argv[] = {"pwd", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .cwd = "/usr"};
    struct spawn_result result;
    struct process_end end;
    char text[64];
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    finish(&result, text, sizeof text, &end);
    assert_string_equal(text, "/usr\n");
}

/* Children that share our table for a moment leave it as it was, whether they succeed or not. */
static void from_a_seat(void **state)
{
    (void)state;
    if (under_valgrind()) {
        print_message("skipped: valgrind knows no clone that shares descriptors for a moment\n");
        skip();
    }
    struct seats *seats = seats_open();
    int high = fcntl(STDERR_FILENO, F_DUPFD, 200); /* NOLINT: without O_CLOEXEC is the point */
    char *lists[] = {"sh", "-c", "cat; echo $NAME; ls -m /proc/$$/fd", NULL};
    char *missing[] = {"no-such-command", NULL};
    struct spawn_request request = {
        .argv = lists, .env = environment, .stdin_pipe = true, .seats = seats};
    struct spawn_result result;
    struct process_end end;
    char text[256];
    struct stat before;
    struct stat after;
    assert_int_equal(fstat(STDERR_FILENO, &before), 0);
    unsigned count = spawned_descriptors();
    for (int i = 0; i < 2 * SEATS; i++) {
        request.argv = lists;
        assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
        assert_int_equal(write(result.stdin_fd, "in\n", 3), 3);
        finish(&result, text, sizeof text, &end);
        assert_string_equal(text, "in\nvalue\n0, 1, 2\n");
        assert_int_equal(end.code, 0);
        request.argv = missing;
        assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_ESYSTEM);
        assert_string_equal(result.stage, "exec");
        assert_int_equal(spawned_descriptors(), count);
    }
    assert_int_equal(fstat(STDERR_FILENO, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(fcntl(high, F_GETFD), 0);
    assert_int_equal(close(high), 0);
    seats_close(seats);
}

static void limit_on_descriptors(void **state)
{
    (void)state;
    if (under_valgrind()) {
        print_message("skipped: valgrind keeps the limit on descriptors to itself\n");
        skip();
    }
    char *argv[] = {"sh", "-c", "ulimit -Sn; ulimit -Hn", NULL};
    struct confinement confine = {.cgroup_fd = -1};
    confine.limits[CONFINE_NOFILE] = (struct confine_value){.set = true, .soft = 77, .hard = 88};
    const struct spawn_request request = {.argv = argv, .env = environment, .confine = &confine};
    struct spawn_result result;
    struct process_end end;
    char text[64];
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    finish(&result, text, sizeof text, &end);
    assert_string_equal(text, "77\n88\n");
}

/* The one that it must have, and the one that it may do without. */
static void a_cgroup_that_it_cannot_enter(void **state)
{
    (void)state;
    if (under_valgrind()) {
        print_message("skipped: valgrind forks where clone shares memory\n");
        skip();
    }
    char *argv[] = {"echo", "in", NULL};
    struct fake_cgroup fake;
    fake_cgroup_make(&fake, "/dev/full");
    struct confinement confine = {.cgroup_fd = fake_cgroup_open(&fake)};
    const struct spawn_request request = {.argv = argv, .env = environment, .confine = &confine};
    struct spawn_result result;
    struct process_end end;
    struct afar_error err = {0};
    char text[64];
    assert_int_equal(spawn_process(&request, NULL, &result, &err), AFAR_ESYSTEM);
    assert_string_equal(result.stage, "cgroup");
    assert_int_equal(err.sys_errno, ENOSPC);
    confine.cgroup_optional = true;
    assert_int_equal(spawn_process(&request, NULL, &result, &err), AFAR_OK);
    assert_true(result.cgroup_refused);
    finish(&result, text, sizeof text, &end);
    assert_string_equal(text, "in\n");
    assert_int_equal(close(confine.cgroup_fd), 0);
    fake_cgroup_remove(&fake);
    fake_cgroup_make(&fake, "/dev/null");
    confine.cgroup_fd = fake_cgroup_open(&fake);
    assert_int_equal(spawn_process(&request, NULL, &result, &err), AFAR_OK);
    assert_false(result.cgroup_refused);
    finish(&result, text, sizeof text, &end);
    assert_int_equal(close(confine.cgroup_fd), 0);
    fake_cgroup_remove(&fake);
}

/* To move there takes as long as all processors of the machine need to pass by: it begins there. */
static void begins_in_its_cgroup(void **state)
{
    (void)state;
    char *argv[] = {"cat", "/proc/self/cgroup", NULL};
    struct cgroups *cgroups = NULL;
    struct confinement confine = {.cgroup_fd = -1};
    const struct spawn_request request = {.argv = argv, .env = environment, .confine = &confine};
    struct spawn_result result;
    struct process_end end;
    struct afar_error err;
    char name[64];
    char text[1024];
    if (under_valgrind() || cgroups_open(&cgroups, NULL) != AFAR_OK) {
        print_message("skipped: no cgroup can be made here, or valgrind knows no clone3\n");
        skip();
    }
    (void)snprintf(name, sizeof name, "spawn%s", cgroups_mark(cgroups));
    assert_int_equal(cgroup_make(cgroups, name, NULL, &confine.cgroup_fd, NULL), AFAR_OK);
    clones = 0;
    if (spawn_process(&request, NULL, &result, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    finish(&result, text, sizeof text, &end);
    assert_int_equal(close(confine.cgroup_fd), 0);
    assert_true(cgroup_remove(cgroups, name));
    cgroups_close(cgroups);
    assert_false(result.cgroup_refused);
    assert_non_null(strstr(text, name));
    assert_int_equal(clones, 0);
}

static void expect_failure(char *const *argv, char *const *env, const char *cwd, const char *stage,
                           int sys_errno)
{
    const struct spawn_request request = {.argv = argv, .env = env, .cwd = cwd};
    struct spawn_result result;
    struct afar_error err = {0};
    unsigned before = spawned_descriptors();
    assert_int_equal(spawn_process(&request, NULL, &result, &err), AFAR_ESYSTEM);
    assert_string_equal(result.stage, stage);
    assert_int_equal(err.sys_errno, sys_errno);
    assert_int_equal(result.pid, -1);
    assert_int_equal(spawned_descriptors(), before);
}

static void what_cannot_be_executed(void **state)
{
    (void)state;
    if (under_valgrind()) {
        print_message("skipped: valgrind forks where clone shares memory\n");
        skip();
    }
    char folder[] = "/tmp/afar-spawn-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/tool", folder);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text\n", 5), 5);
    (void)close(fd);

    char *missing[] = {"no-such-program-here", NULL};
    char *absolute[] = {"/no/such/program", NULL};
    char *in_file[] = {"/etc/passwd/x", NULL};
    char *empty[] = {"", NULL};
    char *tool[] = {"tool", NULL};
    char *by_path[] = {path, NULL};
    char search[96];
    (void)snprintf(search, sizeof search, "PATH=/nowhere:%s:/bin", folder);
    char *with_tool[] = {search, NULL};
    char *without_path[] = {NULL};
    expect_failure(missing, environment, NULL, "exec", ENOENT);
    expect_failure(absolute, environment, NULL, "exec", ENOENT);
    expect_failure(in_file, environment, NULL, "exec", ENOTDIR);
    expect_failure(empty, environment, NULL, "exec", ENOENT);
    expect_failure(tool, with_tool, NULL, "exec", EACCES); /* remembered, though /bin came after */
    expect_failure(missing, without_path, NULL, "exec", ENOENT);
    expect_failure(missing, environment, "/no/such/folder", "chdir", ENOENT);
    assert_int_equal(chmod(path, 0700), 0);
    expect_failure(by_path, environment, NULL, "exec", ENOEXEC); /* and no shell is tried */
    (void)unlink(path);
    (void)rmdir(folder);
}

/* An empty element of PATH is the working directory, as execvp(3) has it. */
static void an_empty_element_of_path(void **state)
{
    (void)state;
    char *argv[] = {"true", NULL};
    char *with_empty[] = {"PATH=/nowhere::", NULL};
    const struct spawn_request request = {.argv = argv, .env = with_empty, .cwd = "/bin"};
    struct spawn_result result;
    struct process_end end;
    char text[16];
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    finish(&result, text, sizeof text, &end);
    assert_int_equal(end.code, 0);
}

static void no_descriptors_and_no_processes(void **state)
{
    (void)state;
    char *argv[] = {"true", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .stdin_pipe = true};
    struct spawn_result result;
    struct afar_error err;
    unsigned before = spawned_descriptors();
    for (int n = 1; n <= 3; n++) {
        fail_pipe_at = n;
        assert_int_equal(spawn_process(&request, NULL, &result, &err), AFAR_ESYSTEM);
        assert_int_equal(err.sys_errno, EMFILE);
        assert_string_equal(result.stage, "pipe");
    }
    fail_clone = true;
    enum afar_status status = spawn_process(&request, NULL, &result, &err);
    fail_clone = false;
#ifdef __SANITIZE_THREAD__
    /* There clone goes by another name, which is not wrapped. */
    struct process_end end;
    char text[16];
    assert_int_equal(status, AFAR_OK);
    finish(&result, text, sizeof text, &end);
#else
    assert_int_equal(status, AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EAGAIN);
    assert_string_equal(result.stage, "clone");
#endif
    assert_int_equal(spawned_descriptors(), before);
}

static void no_memory(void **state)
{
    (void)state;
    char *argv[] = {"true", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment};
    struct spawn_result result;
    unsigned before = spawned_descriptors();
    for (int n = 1;; n++) {
        alloc_fault_arm(n);
        enum afar_status status = spawn_process(&request, NULL, &result, NULL);
        if (!alloc_fault_fired()) {
            struct process_end end;
            char text[16];
            assert_int_equal(status, AFAR_OK);
            finish(&result, text, sizeof text, &end);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
    }
    assert_int_equal(spawned_descriptors(), before);
}

static void what_is_cancelled_before_it_begins(void **state)
{
    (void)state;
    char *argv[] = {"true", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .stdin_pipe = true};
    struct spawn_control control;
    struct spawn_result result;
    struct afar_error err;
    unsigned before = spawned_descriptors();
    spawn_control_init(&control);
    spawn_cancel(&control);
    assert_int_equal(spawn_process(&request, &control, &result, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ECANCELED);
    assert_string_equal(result.stage, "clone");
    assert_int_equal(spawned_descriptors(), before);
    spawn_control_close(&control);
}

/* One that runs is no longer the control's: it would be killed at a moment when it may be gone. */
static void what_is_cancelled_after_its_execve(void **state)
{
    (void)state;
    char *argv[] = {"sh", "-c", "read x; exit 5", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .stdin_pipe = true};
    struct spawn_control control;
    struct spawn_result result;
    struct process_end end;
    char text[16];
    spawn_control_init(&control);
    assert_int_equal(spawn_process(&request, &control, &result, NULL), AFAR_OK);
    spawn_cancel(&control);
    assert_int_equal(write(result.stdin_fd, "x\n", 2), 2);
    finish(&result, text, sizeof text, &end);
    assert_true(end.exited);
    assert_int_equal(end.code, 5);
    spawn_control_close(&control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command),
        cmocka_unit_test(standard_input),
        cmocka_unit_test(the_child_begins_clean),
        cmocka_unit_test(working_directory),
        cmocka_unit_test(limit_on_descriptors),
        cmocka_unit_test(from_a_seat),
        cmocka_unit_test(a_cgroup_that_it_cannot_enter),
        cmocka_unit_test(begins_in_its_cgroup),
        cmocka_unit_test(what_cannot_be_executed),
        cmocka_unit_test(an_empty_element_of_path),
        cmocka_unit_test(no_descriptors_and_no_processes),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(what_is_cancelled_before_it_begins),
        cmocka_unit_test(what_is_cancelled_after_its_execve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
