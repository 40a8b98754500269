/* Every call of the file server, and of a copy to it and from it, fails once: files are whole or not
 * there, what is told as copied is there, the other side goes on or ends, and no descriptor is left.
 * Calls that are interrupted, or do less than they were asked for, change nothing. */
// wrap: openat __openat_2 open pread pwrite read write fstat fstatat fchmod fchown fchownat futimens
// wrap: utimensat fsync ftruncate renameat renameat2 linkat unlinkat symlinkat readlinkat mkdirat
// wrap: fdopendir readdir flock close lseek getrandom fcntl poll syscall malloc calloc realloc
// wrap: reallocarray strdup realpath __realpath_chk statvfs fstatvfs stat readlink getcwd
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy/copy.h"
#include "files/files.h"
#include "support/folder.h"

enum side { NOBODY, CLIENT, SERVER };

/* How a call does other than it should. */
enum way { FAILS, IS_INTERRUPTED, DOES_LESS };

enum {
    LARGE_BYTES = 200000,
    TOLD_MAX = 64,
    RUN_S = 30,
    CALLS_MAX = 20000, /* there are some hundreds */
    EXIT_ODD = 3,      /* something is told as copied, and is not there */
    EXIT_LEAK = 4,
    EXIT_CUT = 5 /* the server had gone */
};

/* Shared by the processes. */
struct plan {
    enum side side;
    enum way way;
    unsigned nth;
    unsigned met;
    unsigned fired;
    char name[32];
};

static struct plan *plan;
static enum side mine; /* of this process; NOBODY: nothing fails in it */

static bool strikes(enum way way, const char *name)
{
    if (mine == NOBODY || mine != plan->side || plan->way != way)
        return false;
    if (++plan->met != plan->nth)
        return false;
    plan->fired++;
    (void)snprintf(plan->name, sizeof plan->name, "%s", name);
    return true;
}

/* Whether a call is to fail; errno says how. */
static bool fails(const char *name, int number)
{
    if (!strikes(FAILS, name))
        return false;
    errno = number;
    return true;
}

static bool is_interrupted(const char *name)
{
    if (!strikes(IS_INTERRUPTED, name))
        return false;
    errno = EINTR;
    return true;
}

/* RESULT NAME(PARAMETERS), which calls NAME with ARGUMENTS unless it is to fail. */
#define WRAP(result, name, number, failed, parameters, arguments)         \
    result __real_##name parameters;                                      \
    result __wrap_##name parameters;                                      \
    result __wrap_##name parameters                                       \
    {                                                                     \
        return fails(#name, number) ? (failed) : __real_##name arguments; \
    }

WRAP(int, __openat_2, EMFILE, -1, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(int, fstat, EIO, -1, (int fd, struct stat *info), (fd, info))
WRAP(int, stat, EIO, -1, (const char *path, struct stat *info), (path, info))
WRAP(int, fstatat, EIO, -1, (int dir, const char *path, struct stat *info, int flags),
     (dir, path, info, flags))
WRAP(int, fchmod, EPERM, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchown, EPERM, -1, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, fchownat, EPERM, -1, (int dir, const char *path, uid_t uid, gid_t gid, int flags),
     (dir, path, uid, gid, flags))
WRAP(int, futimens, EPERM, -1, (int fd, const struct timespec *times), (fd, times))
WRAP(int, utimensat, EPERM, -1,
     (int dir, const char *path, const struct timespec *times, int flags),
     (dir, path, times, flags))
WRAP(int, fsync, EIO, -1, (int fd), (fd))
WRAP(int, ftruncate, EIO, -1, (int fd, off_t size), (fd, size))
WRAP(int, renameat, EACCES, -1, (int from, const char *a, int to, const char *b), (from, a, to, b))
WRAP(int, renameat2, EINVAL, -1, (int from, const char *a, int to, const char *b, unsigned flags),
     (from, a, to, b, flags))
WRAP(int, linkat, EPERM, -1, (int from, const char *a, int to, const char *b, int flags),
     (from, a, to, b, flags))
WRAP(int, unlinkat, EBUSY, -1, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(int, symlinkat, ENOSPC, -1, (const char *text, int dir, const char *path), (text, dir, path))
WRAP(ssize_t, readlinkat, EIO, -1, (int dir, const char *path, char *text, size_t size),
     (dir, path, text, size))
WRAP(ssize_t, readlink, EIO, -1, (const char *path, char *text, size_t size), (path, text, size))
WRAP(int, mkdirat, ENOSPC, -1, (int dir, const char *path, mode_t mode), (dir, path, mode))
WRAP(DIR *, fdopendir, ENOMEM, NULL, (int fd), (fd))
WRAP(struct dirent *, readdir, EIO, NULL, (DIR * dir), (dir))
WRAP(int, flock, ENOLCK, -1, (int fd, int operation), (fd, operation))
WRAP(off_t, lseek, EINVAL, -1, (int fd, off_t offset, int whence), (fd, offset, whence))
WRAP(ssize_t, getrandom, ENOSYS, -1, (void *data, size_t size, unsigned flags), (data, size, flags))
WRAP(void *, malloc, ENOMEM, NULL, (size_t size), (size))
WRAP(void *, calloc, ENOMEM, NULL, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, ENOMEM, NULL, (void *old, size_t size), (old, size))
WRAP(void *, reallocarray, ENOMEM, NULL, (void *old, size_t count, size_t size), (old, count, size))
WRAP(char *, strdup, ENOMEM, NULL, (const char *text), (text))
WRAP(char *, realpath, EIO, NULL, (const char *path, char *out), (path, out))
WRAP(char *, __realpath_chk, EIO, NULL, (const char *path, char *out, size_t room),
     (path, out, room))
WRAP(int, statvfs, EIO, -1, (const char *path, struct statvfs *info), (path, info))
WRAP(int, fstatvfs, EIO, -1, (int fd, struct statvfs *info), (fd, info))
WRAP(char *, getcwd, ENOENT, NULL, (char *out, size_t size), (out, size))

#define MODE(flags)                                           \
    mode_t mode = 0;                                          \
    va_list more;                                             \
    va_start(more, flags);                                    \
    mode = ((flags)&O_CREAT) != 0 ? va_arg(more, mode_t) : 0; \
    va_end(more)

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
    MODE(flags);
    return fails("openat", EMFILE) ? -1 : __real_openat(dir, path, flags, mode);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    MODE(flags);
    return fails("open", EMFILE) ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    long value = va_arg(more, long);
    va_end(more);
    return fails("fcntl", EMFILE) ? -1 : __real_fcntl(fd, command, value);
}

/* openat2 */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    long value[4];
    va_list more;
    va_start(more, number);
    for (int i = 0; i < 4; i++)
        value[i] = va_arg(more, long);
    va_end(more);
    return fails("syscall", EACCES)
               ? -1
               : __real_syscall(number, value[0], value[1], value[2], value[3]);
}

/* It is closed whatever it says: close(2). */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    int result = __real_close(fd);
    return result == 0 && (fails("close", EDQUOT) || is_interrupted("close")) ? -1 : result;
}

#define WRAP_MOVE(name, number, parameters, whole, half)                                         \
    ssize_t __real_##name parameters;                                                            \
    ssize_t __wrap_##name parameters;                                                            \
    ssize_t __wrap_##name parameters                                                             \
    {                                                                                            \
        if (fails(#name, number) || is_interrupted(#name))                                       \
            return -1;                                                                           \
        return size > 1 && strikes(DOES_LESS, #name) ? __real_##name half : __real_##name whole; \
    }

WRAP_MOVE(read, EIO, (int fd, void *data, size_t size), (fd, data, size), (fd, data, size / 2))
WRAP_MOVE(write, EPIPE, (int fd, const void *data, size_t size), (fd, data, size),
          (fd, data, size / 2))
WRAP_MOVE(pread, EIO, (int fd, void *data, size_t size, off_t offset), (fd, data, size, offset),
          (fd, data, size / 2, offset))
WRAP_MOVE(pwrite, ENOSPC, (int fd, const void *data, size_t size, off_t offset),
          (fd, data, size, offset), (fd, data, size / 2, offset))

int __real_poll(struct pollfd *polls, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout_ms)
{
    return fails("poll", ENOMEM) || is_interrupted("poll") ? -1
                                                           : __real_poll(polls, count, timeout_ms);
}

/* ---- one run --------------------------------------------------------------------------------- */

static char folder[64];

struct told {
    char *target[TOLD_MAX];
    unsigned count;
    unsigned failed;
};

static void on_result(void *user, const struct copy_result *result)
{
    struct told *told = user;
    enum side kept = mine;
    mine = NOBODY;
    if (result->outcome == COPY_COPIED && told->count < TOLD_MAX)
        told->target[told->count++] = strdup(result->target);
    if (result->outcome == COPY_FAILED)
        told->failed++;
    mine = kept;
}

/* Moves bytes between the copy and the server. False: that has gone. */
static bool move(struct requests *requests, int fd)
{
    uint8_t data[65536];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ready.events |= buffer_size(&requests->out) > 0 ? POLLOUT : 0;
    (void)__real_poll(&ready, 1, 1000);
    if ((ready.revents & POLLOUT) != 0) {
        ssize_t sent = send(fd, buffer_head(&requests->out), buffer_size(&requests->out),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0)
            buffer_consume(&requests->out, (size_t)sent);
    }
    if ((ready.revents & (POLLIN | POLLHUP)) == 0)
        return true;
    ssize_t got = recv(fd, data, sizeof data, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN;
    return got > 0 && requests_take(requests, data, (size_t)got, NULL) == AFAR_OK;
}

/* Both ways in one session. False: the server had gone, or memory for a beginning had. */
static bool copy_both(int fd, struct told *told)
{
    struct copy copy;
    struct requests requests;
    bool there = true;
    const struct copy_options options = {.recursive = true, .fsync = true};
    const struct {
        const char *from;
        const char *to;
        bool up;
    } ways[] = {{"src", "up", true}, {"src", "down", false}};
    if (requests_init(&requests, NULL) != AFAR_OK)
        return false;
    copy_init(&copy, &options);
    copy.on_result = on_result;
    copy.user = told;
    for (size_t i = 0; i < 2 && there; i++) {
        const struct copy_route route = {.from = ways[i].up ? NULL : &requests,
                                         .source = ways[i].from,
                                         .to = ways[i].up ? &requests : NULL,
                                         .target = ways[i].to,
                                         .target_name = "t"};
        there = copy_add(&copy, &route, NULL) == AFAR_OK;
    }
    bool begun = there;
    while (!copy_done(&copy)) {
        bool more = copy_step(&copy);
        if (copy_done(&copy))
            break;
        if (begun && (there = there && move(&requests, fd)) && more)
            continue;
        if (!there) {
            requests_end(&requests);
            copy_stop(&copy);
        }
    }
    copy_close(&copy);
    requests_close(&requests);
    return there;
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

static bool is_same(const char *one, const char *other)
{
    static uint8_t bytes[2][LARGE_BYTES + 1];
    ssize_t size[2];
    struct stat info[2];
    const char *path[2] = {one, other};
    for (int i = 0; i < 2; i++) {
        if (lstat(path[i], &info[i]) != 0)
            return false;
        if (S_ISLNK(info[i].st_mode)) {
            size[i] = readlink(path[i], (char *)bytes[i], sizeof bytes[i]);
            continue;
        }
        int fd = open(path[i], O_RDONLY | O_CLOEXEC);
        size[i] = fd < 0 ? -1 : pread(fd, bytes[i], sizeof bytes[i], 0);
        if (fd >= 0)
            (void)close(fd);
    }
    return size[0] >= 0 && size[0] == size[1] && memcmp(bytes[0], bytes[1], (size_t)size[0]) == 0 &&
           (info[0].st_mode & S_IFMT) == (info[1].st_mode & S_IFMT);
}

/* "up/t/d/f" is "src/d/f". */
static bool is_copy(const char *target)
{
    char source[256];
    const char *below = strstr(target, "/t");
    if (below == NULL)
        return false;
    (void)snprintf(source, sizeof source, "src%s", below + 2);
    return is_same(source, target);
}

static _Noreturn void be_client(bool fenced)
{
    int ends[2];
    struct told told = {.count = 0};
    struct files_root root = {.path = folder, .writable = true};
    const struct files_options options = {
        .roots = &root, .root_count = fenced ? 1 : 0, .note_fd = -1};
    (void)alarm(RUN_S);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        _exit(99);
    pid_t server = fork();
    if (server == 0) {
        (void)alarm(RUN_S);
        (void)close(ends[0]);
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        mine = SERVER;
        _exit(files_serve(ends[1], ends[1], &options));
    }
    (void)close(ends[1]);
    unsigned before = count_descriptors();
    mine = CLIENT;
    bool there = copy_both(ends[0], &told);
    mine = NOBODY;
    if (count_descriptors() != before)
        _exit(EXIT_LEAK);
    (void)close(ends[0]);
    (void)waitpid(server, NULL, 0);
    for (unsigned i = 0; i < told.count; i++) {
        if (!is_copy(told.target[i]))
            _exit(EXIT_ODD);
    }
    _exit(!there ? EXIT_CUT : told.failed > 0 ? 1 : 0);
}

static void sh(const char *line)
{
    if (system(line) != 0) // NOLINT(cert-env33-c): a line of this test
        fail_msg("%s", line);
}

/* Nothing but whole copies, and what was there before; partial files are allowed. */
static void expect_whole(const char *top)
{
    char path[512];
    struct stat info;
    DIR *dir = opendir(top);
    for (const struct dirent *at = dir == NULL ? NULL : readdir(dir); at != NULL;
         at = readdir(dir)) {
        if (at->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", top, at->d_name);
        assert_int_equal(lstat(path, &info), 0);
        if (S_ISDIR(info.st_mode))
            expect_whole(path);
        else if (!is_copy(path) && !is_same(path, "old"))
            fail_msg("call %u (%s): %s is not whole", plan->nth, plan->name, path);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

static void make_old(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "old\n", 4), 4);
    assert_int_equal(close(fd), 0);
}

/* Some files are there already. */
static void prepare(void)
{
    static const char *const tops[] = {"up", "up/t", "down", "down/t"};
    if (access("up", F_OK) == 0)
        assert_int_equal(folder_remove("up") | folder_remove("down"), 0);
    for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++)
        assert_int_equal(mkdir(tops[i], 0755), 0);
    make_old("up/t/large");
    make_old("up/t/s");
    make_old("down/t/s");
}

/* Returns the client's exit status. */
static int run_once(bool fenced)
{
    int status = 0;
    prepare();
    plan->met = plan->fired = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_client(fenced);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == EXIT_LEAK || WEXITSTATUS(status) == EXIT_ODD)
        fail_msg("side %d, way %d, call %u (%s): status %x", plan->side, plan->way, plan->nth,
                 plan->name, (unsigned)status);
    expect_whole("up");
    expect_whole("down");
    return WEXITSTATUS(status);
}

static void run_all(enum side side, enum way way, bool fenced)
{
    plan->side = side;
    plan->way = way;
    for (plan->nth = 1;; plan->nth++) {
        assert_true(plan->nth < CALLS_MAX);
        int status = run_once(fenced);
        bool all = plan->fired == 0 || way != FAILS;
        if (all && status != 0)
            fail_msg("side %d, way %d, call %u (%s): %d", side, way, plan->nth, plan->name, status);
        if (plan->fired == 0)
            break;
    }
    print_message("%u calls\n", plan->nth - 1);
    assert_true(plan->nth > 3);
}

static void test_client(void **state)
{
    (void)state;
    run_all(CLIENT, FAILS, false);
}

static void test_server(void **state)
{
    (void)state;
    run_all(SERVER, FAILS, false);
}

static void test_fenced_server(void **state)
{
    (void)state;
    run_all(SERVER, FAILS, true);
}

static void test_interrupted(void **state)
{
    (void)state;
    run_all(CLIENT, IS_INTERRUPTED, false);
    run_all(SERVER, IS_INTERRUPTED, false);
}

static void test_less(void **state)
{
    (void)state;
    run_all(CLIENT, DOES_LESS, false);
    run_all(SERVER, DOES_LESS, false);
}

static int begin(void **state)
{
    (void)state;
    /* Where fsync(2) takes no time, if it can be. */
    bool fast = access("/dev/shm", W_OK) == 0;
    (void)strcpy(folder,
                 fast ? "/dev/shm/afar-file-faults-XXXXXX" : "/tmp/afar-file-faults-XXXXXX");
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan == MAP_FAILED || mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    sh("mkdir -p src/d && echo small > src/s && echo old > old && ln -s d/f src/l && : > src/d/e "
       "&& "
       "echo f > src/d/f && head -c 200000 /dev/urandom > src/large");
    return 0;
}

static int end(void **state)
{
    (void)state;
    return chdir("/") == 0 ? folder_remove(folder) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client),        cmocka_unit_test(test_server),
        cmocka_unit_test(test_fenced_server), cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_less),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
