/* Cgroups: what is written where, on a tree that only looks like one; and killing and removing on a
 * real one, where there is any. */
// wrap: mkdirat unlinkat openat
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/cgroup.h"
#include "support/program.h"

enum { TEXT_BYTES = 256 };

static bool pretend; /* the kernel's files appear in a folder, and go with it */
static const char *lacking;

static const char *const files[] = {"cgroup.procs", "cgroup.kill",     "memory.max",
                                    "cpu.max",      "memory.swap.max", "pids.max"};
enum { FILES = sizeof files / sizeof files[0] };

static void make_file(int folder, const char *name)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

int __real_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_mkdirat(int fd, const char *name, mode_t mode)
{
    int result = __real_mkdirat(fd, name, mode);
    int folder = result == 0 && pretend ? openat(fd, name, O_PATH | O_CLOEXEC) : -1;
    for (int i = 0; folder >= 0 && i < FILES; i++) {
        if (lacking == NULL || strcmp(files[i], lacking) != 0)
            make_file(folder, files[i]);
    }
    if (folder >= 0)
        (void)close(folder);
    return result;
}

/* What is written there, the kernel does not keep as text. */
int __real_openat(int fd, const char *name, int flags, ...);
int __wrap_openat(int fd, const char *name, int flags, mode_t mode);
int __wrap_openat(int fd, const char *name, int flags, mode_t mode)
{
    if (pretend && strcmp(name, "cgroup.subtree_control") == 0 && (flags & O_WRONLY) != 0)
        name = "cgroup.controllers";
    return __real_openat(fd, name, flags, mode);
}

int __real_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags)
{
    int folder = pretend ? openat(fd, name, O_PATH | O_CLOEXEC) : -1;
    for (int i = 0; folder >= 0 && i < FILES; i++)
        (void)__real_unlinkat(folder, files[i], 0);
    if (folder >= 0)
        (void)close(folder);
    return __real_unlinkat(fd, name, flags);
}

/* ---- a tree that looks like one -------------------------------------------------------------- */

static char tree[64];

static int make_tree(void **state)
{
    (void)state;
    (void)snprintf(tree, sizeof tree, "/tmp/afar-cgroup-XXXXXX");
    lacking = NULL;
    pretend = true;
    return mkdtemp(tree) == NULL ? -1 : 0;
}

static int remove_tree(void **state)
{
    char command[128];
    (void)state;
    pretend = false;
    (void)snprintf(command, sizeof command, "rm -r %s", tree);
    return system(command);
}

static void put(const char *name, const char *text)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", tree, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static const char *get(const char *name)
{
    static char text[TEXT_BYTES];
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", tree, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    return text;
}

static struct cgroups *open_tree(const char *controllers)
{
    struct cgroups *cgroups = NULL;
    struct afar_error err;
    put("cgroup.controllers", "cpu memory pids\n");
    put("cgroup.subtree_control", controllers); /* those that the kernel has turned on */
    if (cgroups_open_at(&cgroups, tree, &err) != AFAR_OK ||
        cgroups_prepare(cgroups, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return cgroups;
}

static void what_is_written(void **state)
{
    const struct cgroup_limits limits = {.memory_bytes = 64 << 20, .cpu_millis = 500, .pids = 12};
    char expected[32];
    struct afar_error err;
    int fd = -1;
    (void)state;
    struct cgroups *cgroups = open_tree("cpu memory pids\n");
    (void)snprintf(expected, sizeof expected, "%ld", (long)getpid());
    assert_string_equal(get("afard/cgroup.procs"), expected);
    put("cgroup.subtree_control", "cpu memory pids\n"); /* its own words were written there */
    if (cgroup_make(cgroups, "0011", &limits, &fd, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_string_equal(get("job-0011/memory.max"), "67108864");
    assert_string_equal(get("job-0011/memory.swap.max"), "0");
    assert_string_equal(get("job-0011/cpu.max"), "50000 100000");
    assert_string_equal(get("job-0011/pids.max"), "12");
    int procs_fd = openat(fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    assert_true(procs_fd >= 0);
    assert_int_equal(write(procs_fd, "0", 1), 1);
    assert_string_equal(get("job-0011/cgroup.procs"), "0");
    assert_int_equal(close(procs_fd), 0);
    assert_int_equal(close(fd), 0);
    (void)cgroup_kill(cgroups, "0011");
    assert_string_equal(get("job-0011/cgroup.kill"), "1");
    assert_true(cgroup_remove(cgroups, "0011"));
    assert_true(cgroup_remove(cgroups, "0011")); /* it is gone */
    (void)cgroup_kill(cgroups, "0011");
    cgroups_close(cgroups);
}

static void a_controller_that_lacks(void **state)
{
    struct cgroup_limits limits = {.pids = 12};
    struct afar_error err;
    int fd = -1;
    (void)state;
    struct cgroups *cgroups = open_tree("pids\n");
    put("cgroup.subtree_control", "pids\n");
    assert_int_equal(cgroups_check(cgroups, &limits, &err), AFAR_OK);
    limits.memory_bytes = 1 << 20;
    assert_int_equal(cgroups_check(cgroups, &limits, &err), AFAR_ESYSTEM);
    assert_non_null(strstr(err.message, "lacks the controller memory"));
    assert_int_equal(cgroup_make(cgroups, "x", &limits, &fd, &err), AFAR_ESYSTEM);
    assert_int_equal(fd, -1);
    limits.memory_bytes = 0;
    for (int i = 0; i < FILES; i++) {
        struct stat info;
        char path[160];
        bool needed = strcmp(files[i], "pids.max") == 0;
        lacking = files[i];
        enum afar_status status = cgroup_make(cgroups, "x", &limits, &fd, &err);
        assert_int_equal(status, needed ? AFAR_ESYSTEM : AFAR_OK);
        if (fd >= 0)
            assert_int_equal(close(fd), 0);
        assert_true(status != AFAR_OK || cgroup_remove(cgroups, "x"));
        (void)snprintf(path, sizeof path, "%s/job-x", tree);
        assert_int_equal(stat(path, &info), -1); /* nothing is left */
    }
    cgroups_close(cgroups);
}

static void none_that_can_be_written(void **state)
{
    struct cgroups *cgroups = NULL;
    struct afar_error err;
    (void)state;
    assert_int_equal(cgroups_open_at(&cgroups, "/nonexistent", &err), AFAR_ESYSTEM);
    assert_non_null(strstr(err.message, "Delegate=yes"));
    assert_int_equal(cgroups_open_at(&cgroups, "/proc/self", &err), AFAR_ESYSTEM);
    assert_non_null(strstr(err.message, "no cgroup can be made"));
}

/* ---- a real one ------------------------------------------------------------------------------ */

/* A cgroup of this test's in the hierarchy that is mounted here. */
static bool real_folder(char folder[128])
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/cgroup.procs", mounts[i]);
        (void)snprintf(folder, 128, "%s/afar-test-%ld", mounts[i], (long)getpid());
        if (access(path, W_OK) == 0 && mkdir(folder, 0755) == 0)
            return true;
    }
    return false;
}

static bool move(pid_t pid, int cgroup_fd)
{
    int fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    bool moved = fd >= 0 && dprintf(fd, "%ld", (long)pid) > 0;
    if (fd >= 0)
        (void)close(fd);
    return moved;
}

/* A process in a cgroup of that name. */
static pid_t put_into(const struct cgroups *cgroups, const char *name)
{
    int fd = -1;
    if (cgroup_make(cgroups, name, NULL, &fd, NULL) != AFAR_OK)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            (void)pause();
    }
    bool moved = move(pid, fd);
    (void)close(fd);
    return moved ? pid : -1;
}

static bool is_killed(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, WNOHANG) == pid && WIFSIGNALED(status);
}

/* A dead server's is ended; ours, another namespace's and what has no mark are not. */
static int sweep_real_one(const struct cgroups *cgroups)
{
    enum { NAMES = 5 };
    char names[NAMES][96];
    pid_t pids[NAMES];
    const char *mark = cgroups_mark(cgroups);
    char space[32];
    (void)snprintf(space, sizeof space, "%.*s", (int)strcspn(mark + 1, ".") + 1, mark);
    (void)snprintf(names[0], sizeof names[0], "dead%s.%ld.1", space, (long)getpid());
    (void)snprintf(names[1], sizeof names[1], "ours%s", mark);
    (void)snprintf(names[2], sizeof names[2], "other.1.%ld.1", (long)getpid());
    (void)snprintf(names[3], sizeof names[3], "unmarked");
    (void)snprintf(names[4], sizeof names[4], "odd%s.%ld", space, (long)getpid());
    for (int i = 0; i < NAMES; i++) {
        pids[i] = put_into(cgroups, names[i]);
        if (pids[i] < 0)
            return 5;
    }
    if (cgroups_sweep(cgroups, INT64_MAX) != 1 || !is_killed(pids[0]))
        return 6;
    for (int i = 1; i < NAMES; i++) {
        if (is_killed(pids[i]))
            return 7;
        (void)cgroup_kill(cgroups, names[i]);
        (void)waitpid(pids[i], NULL, 0);
    }
    if (cgroups_sweep(cgroups, INT64_MAX) != 0 || cgroup_kill(cgroups, "unmarked"))
        return 8; /* it was empty */
    for (int i = 0; i < NAMES; i++) {
        if (!cgroup_remove(cgroups, names[i]))
            return 9;
    }
    return 0;
}

/* Children of the test, as the server moves there: the test itself must not. */
static int use_real_one(const char *folder)
{
    struct cgroups *cgroups = NULL;
    const struct cgroup_limits none = {0};
    int fd = -1;
    if (cgroups_open_at(&cgroups, folder, NULL) != AFAR_OK ||
        cgroup_make(cgroups, "x", &none, &fd, NULL) != AFAR_OK)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            (void)pause();
    }
    if (!move(pid, fd) || cgroup_remove(cgroups, "x"))
        return 2;
    (void)cgroup_kill(cgroups, "x");
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return 3;
    /* With what its processes have made in it. */
    char inner[256];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(inner, sizeof inner, "%s/job-x/a%s", folder, i == 0 ? "" : "/b");
        if (mkdir(inner, 0755) != 0)
            return 4;
    }
    if (cgroup_remove_empty(cgroups, "x"))
        return 4;
    while (!cgroup_remove(cgroups, "x"))
        (void)usleep(1000);
    (void)close(fd);
    int failed = sweep_real_one(cgroups);
    cgroups_close(cgroups);
    return failed;
}

static void killed_and_removed(void **state)
{
    char folder[128];
    char inner[160];
    int status = 0;
    (void)state;
    pretend = false;
    if (!real_folder(folder)) {
        print_message("skipped: there is no cgroup of version 2 here that could be written\n");
        skip();
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(use_real_one(folder));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)snprintf(inner, sizeof inner, "%s/afard", folder);
    (void)rmdir(inner);
    assert_int_equal(rmdir(folder), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(a_controller_that_lacks, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(none_that_can_be_written, make_tree, remove_tree),
        cmocka_unit_test(killed_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
