/* What a process behind the fence can still do, as it sees it itself. */
// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/fence.h"
#include "exec/spawn.h"
#include "support/alloc_fault.h"
#include "support/folder.h"

/* A folder with secrets, one beside it, and the way there. */
struct place {
    char folder[48];
    char secret[PATH_MAX]; /* …/way/secret */
};

static void path_of(const struct place *place, const char *name, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/%s", place->folder, name);
}

static void put(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("key\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    static const char *const folders[] = {"way", "way/secret", "way/secret/deep", "way/beside",
                                          "beside"};
    struct place *place = calloc(1, sizeof *place);
    char path[PATH_MAX];
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/afar-fence-XXXXXX");
    if (mkdtemp(place->folder) == NULL)
        return -1;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        path_of(place, folders[i], path);
        if (mkdir(path, 0700) != 0)
            return -1;
        (void)strcat(path, "/file");
        put(path);
    }
    path_of(place, "way/secret", place->secret);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    int failed = folder_remove(place->folder);
    free(place);
    return failed;
}

static void need_landlock(void)
{
    if (fence_abi() >= FENCE_ABI_MIN)
        return;
    print_message("skipped: this kernel has no Landlock (ABI %d is needed, %d is here)\n",
                  FENCE_ABI_MIN, fence_abi());
    skip();
}

static struct fence *make(const struct place *place)
{
    char *folders[] = {(char *)(uintptr_t)place->secret, NULL};
    struct fence *fence = NULL;
    struct afar_error err = {.code = AFAR_OK};
    if (fence_new(&fence, folders, NULL, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return fence;
}

/* ---- in a child ------------------------------------------------------------------------------ */

static int fails(const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, strerror(errno)); // NOLINT(concurrency-mt-unsafe)
    return 1;
}

/* Opens a file under the place, and closes it; 0 or an errno. */
static int try_open(const struct place *place, const char *name, int flags)
{
    char path[PATH_MAX];
    path_of(place, name, path);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    (void)close(fd);
    return 0;
}

static int check_denied(const struct place *place)
{
    char secret[PATH_MAX];
    char other[PATH_MAX];
    char around[2 * PATH_MAX];
    static const char *const files[] = {"way/secret/file", "way/secret/deep/file"};
    for (size_t i = 0; i < 2; i++) {
        if (try_open(place, files[i], O_RDONLY) != EACCES ||
            try_open(place, files[i], O_WRONLY) != EACCES ||
            try_open(place, files[i], O_RDONLY | O_TRUNC) != EACCES)
            return fails("open");
        path_of(place, files[i], secret);
        if (truncate(secret, 0) == 0 || errno != EACCES)
            return fails("truncate");
        if (unlink(secret) == 0 || errno != EACCES)
            return fails("unlink");
        path_of(place, "beside/link", other);
        if (link(secret, other) == 0)
            return fails("link");
        if (rename(secret, other) == 0)
            return fails("rename out");
        path_of(place, "beside/file", other);
        if (rename(other, secret) == 0)
            return fails("rename over");
        (void)snprintf(around, sizeof around, "/proc/self/root%s", secret);
        if (open(around, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
            return fails("through /proc/self/root");
        path_of(place, "beside/symlink", other);
        if (symlink(secret, other) != 0 || open(other, O_RDONLY | O_CLOEXEC) >= 0 ||
            unlink(other) != 0)
            return fails("through a link");
    }
    if (try_open(place, "way/secret/new", O_WRONLY | O_CREAT) != EACCES)
        return fails("create");
    path_of(place, "way/secret", secret);
    path_of(place, "way/moved", other);
    if (rename(secret, other) == 0)
        return fails("move the folder away");
    path_of(place, "way", secret);
    path_of(place, "beside/way", other);
    if (rename(secret, other) == 0)
        return fails("move the folder above it away");
    if (mount(secret, other, NULL, MS_BIND, NULL) == 0)
        return fails("mount");
    return 0;
}

static int check_allowed(const struct place *place)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    static const char *const files[] = {"beside/file", "way/beside/file"};
    for (size_t i = 0; i < 2; i++) {
        if (try_open(place, files[i], O_RDONLY) != 0 || try_open(place, files[i], O_RDWR) != 0 ||
            try_open(place, files[i], O_WRONLY | O_TRUNC) != 0)
            return fails(files[i]);
    }
    /* From one to the other: REFER. */
    path_of(place, "beside/file", from);
    path_of(place, "way/beside/moved", to);
    if (rename(from, to) != 0 || link(to, from) != 0 || unlink(to) != 0)
        return fails("rename and link beside it");
    path_of(place, "beside/made", to);
    if (mkdir(to, 0700) != 0 || rmdir(to) != 0 || mkfifo(to, 0600) != 0 || unlink(to) != 0)
        return fails("make beside it");
    if (try_open(place, "way/secret", O_RDONLY | O_DIRECTORY) != 0)
        return fails("list");
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "x", 1) != 1 || access("/proc/self/status", R_OK) != 0 ||
        open("/proc/self/status", O_RDONLY | O_CLOEXEC) < 0 ||
        open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0)
        return fails("the rest of the system");
    return 0;
}

/* Runs a check in a process of its own that is behind the fence as it was taken, and closes `fd`.
 */
static void assert_behind_this(int fd, const struct place *place,
                               int (*check)(const struct place *))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(fence_enter(fd) != 0 ? fails("enter") : check(place));
    assert_true(pid > 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void assert_behind(struct fence *fence, const struct place *place,
                          int (*check)(const struct place *))
{
    int fd = -1;
    struct afar_error err = {.code = AFAR_OK};
    if (fence_take(fence, &fd, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_behind_this(fd, place, check);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_denied(void **state)
{
    need_landlock();
    struct fence *fence = make(*state);
    assert_behind(fence, *state, check_denied);
    fence_free(fence);
}

static void test_allowed(void **state)
{
    need_landlock();
    struct fence *fence = make(*state);
    assert_behind(fence, *state, check_allowed);
    fence_free(fence);
}

static int check_outside(const struct place *place)
{
    char path[64];
    (void)place;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL) != 1)
        return fails("no_new_privs");
    (void)snprintf(path, sizeof path, "/proc/%d/root/etc/passwd", (int)getppid());
    if (open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return fails("through the root of a process outside");
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)getppid());
    /* (Linux 6.14 lets CAP_PERFMON read it; the server fences nobody who is root.) */
    if (geteuid() != 0 && (open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES))
        return fails("the environment of a process outside");
    if (ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0)
        return fails("ptrace of a process outside");
    /* And what is behind the fence, too, can be looked into. */
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return fd >= 0 ? 0 : fails("the environment of a child");
}

static void test_processes_outside(void **state)
{
    need_landlock();
    struct fence *fence = make(*state);
    assert_behind(fence, *state, check_outside);
    fence_free(fence);
}

static int check_new(const struct place *place)
{
    return try_open(place, "way/new/file", O_RDONLY);
}

static int check_new_is_unknown(const struct place *place)
{
    return try_open(place, "way/new/file", O_RDONLY) == EACCES ? 0 : fails("new");
}

/* What appears on the way is seen by the next one that is put behind the fence. */
static void test_siblings_that_come(void **state)
{
    const struct place *place = *state;
    char path[PATH_MAX];
    int old = -1;
    need_landlock();
    struct fence *fence = make(place);
    assert_int_equal(fence_take(fence, &old, NULL), AFAR_OK);
    path_of(place, "way/new", path);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)strcat(path, "/file");
    put(path);
    assert_behind_this(old, place, check_new_is_unknown);
    assert_behind(fence, place, check_new);
    assert_behind(fence, place, check_denied);
    fence_free(fence);
}

/* Of two folders one is in the other. */
static void test_several(void **state)
{
    const struct place *place = *state;
    char deep[PATH_MAX];
    char beside[PATH_MAX];
    struct fence *fence = NULL;
    need_landlock();
    path_of(place, "way/secret/deep", deep);
    path_of(place, "beside/file", beside);
    char *folders[] = {deep, (char *)(uintptr_t)place->secret, NULL};
    assert_int_equal(fence_new(&fence, folders, NULL, NULL), AFAR_OK);
    assert_behind(fence, place, check_denied);
    assert_behind(fence, place, check_allowed);
    assert_ptr_equal(fence_keep(fence), fence);
    fence_free(fence);
    assert_behind(fence, place, check_denied);
    fence_free(fence);
    assert_null(fence_keep(NULL));
    fence_free(NULL);
}

static int check_readable(const struct place *place)
{
    char path[PATH_MAX];
    if (try_open(place, "way/beside/file", O_RDONLY) != 0)
        return fails("read");
    if (try_open(place, "way/beside/file", O_WRONLY) != EACCES ||
        try_open(place, "way/beside/new", O_WRONLY | O_CREAT) != EACCES)
        return fails("write");
    path_of(place, "way/beside/new", path);
    if (mkdir(path, 0700) == 0 || errno != EACCES)
        return fails("make");
    return check_denied(place);
}

static void test_readable(void **state)
{
    const struct place *place = *state;
    char beside[PATH_MAX];
    struct fence *fence = NULL;
    need_landlock();
    path_of(place, "way/beside", beside);
    char *folders[] = {(char *)(uintptr_t)place->secret, NULL};
    char *readable[] = {beside, NULL};
    assert_int_equal(fence_new(&fence, folders, readable, NULL), AFAR_OK);
    assert_behind(fence, place, check_readable);
    fence_free(fence);
}

static void test_what_cannot_be_fenced(void **state)
{
    const struct place *place = *state;
    struct fence *fence = NULL;
    struct afar_error err;
    char path[PATH_MAX];
    char *nowhere[] = {"/nonexistent/folder/deep", NULL};
    need_landlock();
    assert_int_equal(fence_new(&fence, nowhere, NULL, &err), AFAR_ESYSTEM);
    assert_null(fence);
    assert_non_null(strstr(err.message, "cannot list '/nonexistent'"));
    for (unsigned i = 0; i <= FENCE_RULES_MAX; i++) {
        (void)snprintf(path, sizeof path, "%s/way/%u", place->folder, i);
        assert_int_equal(symlink("nowhere", path), 0);
    }
    char *folders[] = {(char *)(uintptr_t)place->secret, NULL};
    assert_int_equal(fence_new(&fence, folders, NULL, &err), AFAR_ELIMIT);
    assert_non_null(strstr(err.message, "there are more than 4096 files beside"));
}

/* It is the command that is behind the fence, and nobody else. */
static void test_spawn(void **state)
{
    const struct place *place = *state;
    static char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    char line[2 * PATH_MAX];
    int fd = -1;
    int status = 0;
    need_landlock();
    struct fence *fence = make(place);
    assert_int_equal(fence_take(fence, &fd, NULL), AFAR_OK);
    const struct confinement confine = {.cgroup_fd = -1, .fence_fd = fd};
    (void)snprintf(line, sizeof line, "if cat %s/file; then exit 3; fi; cat %s/beside/file",
                   place->secret, place->folder);
    char *argv[] = {"sh", "-c", line, NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .confine = &confine};
    struct spawn_result result;
    struct afar_error err;
    if (spawn_process(&request, NULL, &result, &err) != AFAR_OK)
        fail_msg("%s: %s", result.stage, err.message);
    assert_int_equal(waitpid(result.pid, &status, 0), result.pid);
    assert_int_equal(status, 0);
    (void)close(result.pidfd);
    (void)close(result.stdout_fd);
    (void)close(result.stderr_fd);
    assert_int_equal(try_open(place, "way/secret/file", O_RDWR), 0);
    assert_int_equal(close(fd), 0);

    /* A descriptor that is no fence: the command does not run without one. */
    const struct confinement wrong = {.cgroup_fd = -1, .fence_fd = STDERR_FILENO};
    const struct spawn_request other = {.argv = argv, .env = environment, .confine = &wrong};
    assert_int_equal(spawn_process(&other, NULL, &result, &err), AFAR_ESYSTEM);
    assert_string_equal(result.stage, "fence");
    assert_non_null(strstr(err.message, "cannot keep 'sh' away from the server's files"));
    fence_free(fence);
}

static void test_out_of_memory(void **state)
{
    const struct place *place = *state;
    char *folders[] = {(char *)(uintptr_t)place->secret, NULL};
    need_landlock();
    for (int nth = 1;; nth++) {
        struct fence *fence = NULL;
        alloc_fault_arm(nth);
        enum afar_status status = fence_new(&fence, folders, NULL, NULL);
        bool fired = alloc_fault_fired();
        assert_int_equal(status, fired ? AFAR_ENOMEM : AFAR_OK);
        fence_free(fence);
        if (!fired)
            break;
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_denied),
        TEST(test_allowed),
        TEST(test_processes_outside),
        TEST(test_siblings_that_come),
        TEST(test_several),
        TEST(test_readable),
        TEST(test_what_cannot_be_fenced),
        TEST(test_spawn),
        TEST(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
