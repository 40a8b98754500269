/* What a command is confined to, as it sees it itself. */
// wrap: prlimit setpriority chroot chdir setgroups setresgid setresuid prctl syscall getresuid
// wrap: getresgid getgroups setuid execve malloc calloc pread
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/helper.h"
#include "exec/spawn.h"
#include "support/fake_cgroup.h"
#include "support/program.h"
#include "support/spawned.h"

enum { TEXT_BYTES = SPAWNED_TEXT_BYTES, NOBODY = 54871 };

static char *environment[] = {"PATH=/usr/bin:/bin", "SECRET=hush", NULL};

static void run(const struct confinement *confine, const char *script, char text[TEXT_BYTES])
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .confine = confine};
    spawned_run(&request, text);
}

static void assert_fails(const struct confinement *confine, const char *cwd, const char *program,
                         const char *stage, int sys_errno)
{
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    const struct spawn_request request = {
        .argv = argv, .env = environment, .cwd = cwd, .confine = confine};
    struct afar_error err;
    spawned_fail(&request, stage, sys_errno, &err);
}

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can become somebody else\n");
        skip();
    }
}

static void set(struct confinement *confine, enum confine_limit limit, uint64_t value)
{
    confine->limits[limit] = (struct confine_value){.set = true, .soft = value, .hard = value};
}

static struct confinement nobody(void)
{
    static const gid_t groups[] = {NOBODY, 12345};
    return (struct confinement){.cgroup_fd = -1,
                                .set_user = true,
                                .set_group = true,
                                .user = NOBODY,
                                .group = NOBODY,
                                .groups = groups,
                                .group_count = 2};
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void limits_and_habits(void **state)
{
    static const char script[] = "ulimit -n; ulimit -c; ulimit -t; ulimit -v; umask; nice";
    struct confinement confine = {
        .cgroup_fd = -1, .set_umask = true, .umask = 027, .set_nice = true, .nice = 7};
    char text[TEXT_BYTES];
    (void)state;
    if (getenv("VALGRIND") != NULL || getpriority(PRIO_PROCESS, 0) != 0) {
        print_message("skipped: the limits are not the system's own here\n");
        skip();
    }
    set(&confine, CONFINE_NOFILE, 50);
    set(&confine, CONFINE_CORE, 0);
    set(&confine, CONFINE_CPU, 99);
    set(&confine, CONFINE_AS, 512 << 20);
    run(&confine, script, text);
    assert_string_equal(text, "50\n0\n99\n524288\n0027\n7\n");
    assert_int_equal(getpriority(PRIO_PROCESS, 0), 0); /* ours is ours */
    assert_int_not_equal(umask(022), 027);
}

static void a_limit_that_cannot_be(void **state)
{
    struct confinement confine = {.cgroup_fd = -1};
    (void)state;
    confine.limits[CONFINE_NOFILE] =
        (struct confine_value){.set = true, .soft = 2000000000, .hard = 2000000000};
    assert_fails(&confine, NULL, "true", "limits", EPERM);
}

static void a_cgroup_that_is_none(void **state)
{
    struct fake_cgroup full;
    (void)state;
    fake_cgroup_make(&full, "/dev/full");
    struct confinement confine = {.cgroup_fd = fake_cgroup_open(&full)};
    assert_fails(&confine, NULL, "true", "cgroup", ENOSPC);
    fake_cgroup_remove(&full);
    assert_fails(&confine, NULL, "true", "cgroup", ENOENT);
    assert_int_equal(close(confine.cgroup_fd), 0);
}

/* ---- another user ---------------------------------------------------------------------------- */

static void another_user(void **state)
{
    char text[TEXT_BYTES];
    struct confinement confine = nobody();
    (void)state;
    need_root();
    run(&confine, "id -u; id -g; id -G; id -ru; echo $SECRET; ls /proc/self/fd | wc -l", text);
    assert_string_equal(text, "54871\n54871\n54871 12345\n54871\nhush\n4\n");
}

static void nothing_is_left_of_root(void **state)
{
    char text[TEXT_BYTES];
    struct confinement confine = nobody();
    (void)state;
    need_root();
    run(&confine, "grep -E '^(Cap|NoNewPrivs|Uid|Gid)' /proc/self/status | tr '\\t' ' '", text);
    assert_non_null(strstr(text, "Uid: 54871 54871 54871 54871\n"));
    assert_non_null(strstr(text, "Gid: 54871 54871 54871 54871\n"));
    assert_non_null(strstr(text, "CapInh: 0000000000000000\n"));
    assert_non_null(strstr(text, "CapPrm: 0000000000000000\n"));
    assert_non_null(strstr(text, "CapEff: 0000000000000000\n"));
    assert_non_null(strstr(text, "CapBnd: 0000000000000000\n"));
    assert_non_null(strstr(text, "CapAmb: 0000000000000000\n"));
    assert_non_null(strstr(text, "NoNewPrivs: 1\n"));
}

static void limits_of_another_user(void **state)
{
    struct confinement confine = nobody();
    char text[TEXT_BYTES];
    (void)state;
    need_root();
    /* ThreadSanitizer takes address space for each call that it has not seen before, and dies without. */
#ifdef __SANITIZE_THREAD__
    static const char expected[] = "33\nunlimited\n77\n0077\n-5\n";
#else
    static const char expected[] = "33\n262144\n77\n0077\n-5\n";
    set(&confine, CONFINE_AS, 256 << 20);
#endif
    set(&confine, CONFINE_NOFILE, 33);
    set(&confine, CONFINE_NPROC, 77);
    confine.set_umask = confine.set_nice = true;
    confine.umask = 077;
    confine.nice = -5;
    run(&confine, "ulimit -n; ulimit -v; ulimit -p; umask; nice", text);
    assert_string_equal(text, expected);
}

/* He cannot go where he may not, whatever the server may. */
static void what_another_user_may_not(void **state)
{
    char folder[] = "/tmp/afar-confine-XXXXXX";
    char file[64];
    struct confinement confine = nobody();
    (void)state;
    need_root();
    assert_non_null(mkdtemp(folder)); /* 0700 */
    assert_fails(&confine, folder, "true", "chdir", EACCES);
    assert_fails(&confine, NULL, "/nonexistent", "exec", ENOENT);
    (void)snprintf(file, sizeof file, "%s/program", folder);
    assert_fails(&confine, NULL, file, "exec", EACCES);
    assert_int_equal(rmdir(folder), 0);
}

static void another_group_alone(void **state)
{
    static const gid_t groups[] = {54321};
    const struct confinement confine = {
        .cgroup_fd = -1, .set_group = true, .group = 54321, .groups = groups, .group_count = 1};
    char text[TEXT_BYTES];
    (void)state;
    need_root();
    run(&confine, "id -u; id -g; id -G", text);
    assert_string_equal(text, "0\n54321\n54321\n");
}

static void who_is_not_root_cannot(void **state)
{
    struct confinement confine = nobody();
    (void)state;
    if (geteuid() == 0) {
        print_message("skipped: root can\n");
        skip();
    }
    assert_fails(&confine, NULL, "true", "user", EPERM);
    const struct confinement jail = {.cgroup_fd = -1, .root = "/tmp"};
    assert_fails(&jail, NULL, "true", "chroot", EPERM);
}

/* A request's variables are the command's; those of the linker would else be the helper's too. */
static void the_helper_has_no_environment(void **state)
{
    static char *dangerous[] = {"PATH=/usr/bin:/bin", "LD_PRELOAD=/nonexistent.so", "LD_DEBUG=help",
                                NULL};
    char *argv[] = {"/bin/echo", "x", NULL};
    struct confinement confine = nobody();
    char text[TEXT_BYTES];
    (void)state;
    need_root();
    const struct spawn_request request = {.argv = argv, .env = dangerous, .confine = &confine};
    struct spawn_result result;
    struct afar_error err;
    if (spawn_process(&request, NULL, &result, &err) != AFAR_OK)
        fail_msg("%s", err.message); /* LD_DEBUG=help would end the helper */
    spawned_read_all(result.stdout_fd, text, sizeof text);
    spawned_read_all(result.stderr_fd, text, sizeof text);
    assert_int_equal(close(result.stdout_fd) | close(result.stderr_fd), 0);
    spawned_reap(&result);
}

/* ---- another root directory ------------------------------------------------------------------ */

static void another_root(void **state)
{
    char folder[] = "/tmp/afar-confine-XXXXXX";
    char command[512];
    char text[TEXT_BYTES];
    char *argv[] = {"sh", "-c", "pwd; echo /b* /tmp*; echo $0", NULL};
    (void)state;
    need_root();
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    /* A shell and what it is linked with. */
    (void)snprintf(command, sizeof command,
                   "mkdir %s/bin && cp -L /bin/sh %s/bin && "
                   "cp -L --parents $(ldd /bin/sh | grep -o '/[^ )]*') %s",
                   folder, folder, folder);
    assert_int_equal(system(command), 0);
    struct confinement confine = nobody();
    confine.root = folder;
    const struct spawn_request request = {
        .argv = argv, .env = environment, .cwd = "/bin", .confine = &confine};
    spawned_run(&request, text);
    assert_string_equal(text, "/bin\n/bin /tmp*\nsh\n");
    assert_fails(&confine, "/usr", "sh", "chdir", ENOENT);
    assert_fails(&confine, NULL, "/usr/bin/true", "exec", ENOENT);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    assert_fails(&confine, NULL, "sh", "chroot", ENOENT);
}

/* ---- a helper that hangs --------------------------------------------------------------------- */

static void *cancel_soon(void *argument)
{
    struct spawn_control *control = argument;
    /* Not before the child is there: the kernel has written its pidfd by then. */
    while (atomic_load(&control->pidfd) < 0 || !atomic_load(&control->begun))
        (void)usleep(1000);
    (void)usleep(20000); /* in the helper, most likely; wherever it is, the outcome is the same */
    spawn_cancel(control);
    return NULL;
}

/* As where its root or its directory lies on a mount that does not answer; see helper(). */
static void a_helper_that_hangs_is_cancelled(void **state)
{
    struct confinement confine = nobody();
    struct spawn_control control;
    struct spawn_result result;
    struct afar_error err;
    pthread_t thread;
    char *argv[] = {"true", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .confine = &confine};
    (void)state;
    need_root();
    confine.nice = 19; /* the sign to hang */
    confine.set_nice = true;
    spawn_control_init(&control);
    unsigned before = spawned_descriptors();
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &control), 0);
    assert_int_equal(spawn_process(&request, &control, &result, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ECANCELED);
    assert_string_equal(result.stage, "helper");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(spawned_descriptors(), before);
    spawn_control_close(&control);
}

/* ---- a helper whose calls fail --------------------------------------------------------------- */

/* In the helper: this call fails, or says that it has worked and has not. The order has it in a
 * field that means nothing there, as -FAULT_BASE less the number: it has no environment. */
enum fault {
    FAULT_NONE,
    FAULT_PRLIMIT,
    FAULT_SETPRIORITY,
    FAULT_CHROOT,
    FAULT_SETGROUPS,
    FAULT_SETRESGID,
    FAULT_SETRESUID,
    FAULT_SETRESUID_LIES,
    FAULT_SETRESGID_LIES,
    FAULT_SETGROUPS_LIES,
    FAULT_BOUNDING_SET,
    FAULT_CAPSET,
    FAULT_KEYRING,
    FAULT_NO_NEW_PRIVS,
    FAULT_DUMPABLE,
    FAULT_GETRESUID,
    FAULT_GETRESGID,
    FAULT_GETGROUPS,
    FAULT_ROOT_AGAIN,
    FAULT_CHDIR,
    FAULT_EXECVE,
    FAULT_MALLOC,
    FAULT_CALLOC,
    FAULT_PREAD,
    FAULTS
};

enum { FAULT_BASE = 100, FAULT_ERRNO = EDOM };

static enum fault fault;

static bool fails(enum fault which)
{
    if (fault != which)
        return false;
    errno = FAULT_ERRNO;
    return true;
}

#define WRAP(type, name, parameters, arguments, which)      \
    type __real_##name parameters;                          \
    type __wrap_##name parameters;                          \
    type __wrap_##name parameters                           \
    {                                                       \
        return fails(which) ? -1 : __real_##name arguments; \
    }

/* The same, and it may lie. */
#define WRAP_LIAR(type, name, parameters, arguments, which, lies) \
    type __real_##name parameters;                                \
    type __wrap_##name parameters;                                \
    type __wrap_##name parameters                                 \
    {                                                             \
        if (fault == (lies))                                      \
            return 0;                                             \
        return fails(which) ? -1 : __real_##name arguments;       \
    }

WRAP(int, setpriority, (int which, id_t who, int value), (which, who, value), FAULT_SETPRIORITY)
WRAP(int, chroot, (const char *path), (path), FAULT_CHROOT)
WRAP(int, getresuid, (uid_t * a, uid_t *b, uid_t *c), (a, b, c), FAULT_GETRESUID)
WRAP(int, getresgid, (gid_t * a, gid_t *b, gid_t *c), (a, b, c), FAULT_GETRESGID)
WRAP(int, getgroups, (int size, gid_t *list), (size, list), FAULT_GETGROUPS)
WRAP(int, chdir, (const char *path), (path), FAULT_CHDIR)
WRAP(int, execve, (const char *path, char *const *argv, char *const *env), (path, argv, env),
     FAULT_EXECVE)
WRAP(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at), FAULT_PREAD)
WRAP_LIAR(int, setgroups, (size_t size, const gid_t *list), (size, list), FAULT_SETGROUPS,
          FAULT_SETGROUPS_LIES)
WRAP_LIAR(int, setresgid, (gid_t a, gid_t b, gid_t c), (a, b, c), FAULT_SETRESGID,
          FAULT_SETRESGID_LIES)
WRAP_LIAR(int, setresuid, (uid_t a, uid_t b, uid_t c), (a, b, c), FAULT_SETRESUID,
          FAULT_SETRESUID_LIES)

struct rlimit;
int __real_prlimit(pid_t pid, unsigned which, const struct rlimit *now, struct rlimit *was);
int __wrap_prlimit(pid_t pid, unsigned which, const struct rlimit *now, struct rlimit *was);
int __wrap_prlimit(pid_t pid, unsigned which, const struct rlimit *now, struct rlimit *was)
{
    return fails(FAULT_PRLIMIT) ? -1 : __real_prlimit(pid, which, now, was);
}

/* Being root again must end it. */
int __real_setuid(uid_t uid);
int __wrap_setuid(uid_t uid);
int __wrap_setuid(uid_t uid)
{
    return fault == FAULT_ROOT_AGAIN ? 0 : __real_setuid(uid);
}

int __real_prctl(int what, ...);
int __wrap_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    if ((what == PR_CAPBSET_DROP && fails(FAULT_BOUNDING_SET)) ||
        (what == PR_SET_NO_NEW_PRIVS && fails(FAULT_NO_NEW_PRIVS)) ||
        (what == PR_SET_DUMPABLE && fails(FAULT_DUMPABLE)))
        return -1;
    return __real_prctl(what, a, b, c, d);
}

/* Only the helper's calls come here: the others are the test's own child's, before it is one. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
__attribute__((no_sanitize("address", "undefined", "thread"))) long
__wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if ((number == SYS_capset && fails(FAULT_CAPSET)) ||
        (number == SYS_keyctl && fails(FAULT_KEYRING)))
        return -1;
    return __real_syscall(number, a, b, c, d, e, f);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails(FAULT_MALLOC) ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return fails(FAULT_CALLOC) ? NULL : __real_calloc(count, size);
}

static void no_half_way(void **state)
{
    static const char *const stages[FAULTS] = {
        [FAULT_PRLIMIT] = "limits",      [FAULT_SETPRIORITY] = "limits",
        [FAULT_CHROOT] = "chroot",       [FAULT_SETGROUPS] = "user",
        [FAULT_SETRESGID] = "user",      [FAULT_SETRESUID] = "user",
        [FAULT_SETRESUID_LIES] = "user", [FAULT_SETRESGID_LIES] = "user",
        [FAULT_SETGROUPS_LIES] = "user", [FAULT_BOUNDING_SET] = "user",
        [FAULT_CAPSET] = "user",         [FAULT_NO_NEW_PRIVS] = "user",
        [FAULT_DUMPABLE] = "user",       [FAULT_GETRESUID] = "user",
        [FAULT_GETRESGID] = "user",      [FAULT_GETGROUPS] = "user",
        [FAULT_KEYRING] = "user",        [FAULT_ROOT_AGAIN] = "user",
        [FAULT_CHDIR] = "chroot",        [FAULT_EXECVE] = "exec",
        [FAULT_MALLOC] = "helper",       [FAULT_CALLOC] = "helper",
        [FAULT_PREAD] = "helper",
    };
    (void)state;
    need_root();
    for (int i = FAULT_NONE + 1; i < FAULTS; i++) {
        struct confinement confine = nobody();
        char *argv[] = {"true", NULL};
        const struct spawn_request request = {
            .argv = argv, .env = environment, .cwd = "/", .confine = &confine};
        struct spawn_result result;
        struct afar_error err;
        confine.cgroup_fd = -FAULT_BASE - i;
        confine.root = "/";
        confine.set_nice = true;
        set(&confine, CONFINE_NOFILE, 40);
        if (spawn_process(&request, NULL, &result, &err) == AFAR_OK)
            fail_msg("fault %d was not noticed", i);
        if (strcmp(result.stage, stages[i]) != 0)
            fail_msg("fault %d: %s, not %s: %s", i, result.stage, stages[i], err.message);
        assert_true(err.sys_errno != 0 && err.sys_errno != ECANCELED);
    }
}

/* The helper is this program under its other name. */
static int helper(void)
{
    struct confinement confine;
    ssize_t got = pread(HELPER_ORDER_FD, &confine, sizeof confine, 0);
    if (got != sizeof confine)
        return 1;
    if (confine.set_nice && confine.nice == 19) {
        for (;;)
            (void)pause();
    }
    fault = confine.cgroup_fd < -FAULT_BASE ? (enum fault)(-confine.cgroup_fd - FAULT_BASE)
                                            : FAULT_NONE;
    struct helper_service service;
    helper_main(&service);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], HELPER_NAME) == 0)
        return helper();
    if (getenv("VALGRIND") != NULL) {
        (void)puts("skipped: valgrind makes a fork of a child that shares our memory");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_and_habits),
        cmocka_unit_test(a_limit_that_cannot_be),
        cmocka_unit_test(a_cgroup_that_is_none),
        cmocka_unit_test(another_user),
        cmocka_unit_test(nothing_is_left_of_root),
        cmocka_unit_test(limits_of_another_user),
        cmocka_unit_test(what_another_user_may_not),
        cmocka_unit_test(another_group_alone),
        cmocka_unit_test(who_is_not_root_cannot),
        cmocka_unit_test(the_helper_has_no_environment),
        cmocka_unit_test(another_root),
        cmocka_unit_test(no_half_way),
        cmocka_unit_test(a_helper_that_hangs_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
