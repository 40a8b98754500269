/* Every call of the guard, and of what makes the terminal raw, fails once, at each of its
 * occurrences: the terminal is as it was, and neither a process nor a descriptor is left. */
// wrap: mmap munmap pipe2 fork setpgid read write tcgetattr tcsetattr syscall waitpid poll
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "afar/tty.h"
#include "base/clock.h"
#include "support/program.h"

enum call {
    MMAP,
    PIPE2,
    FORK,
    SETPGID,
    READ,
    WRITE,
    TCGETATTR,
    TCSETATTR,
    CLOSE_RANGE,
    WAITPID,
    POLL,
    CALLS
};
enum side { CLIENT, GUARD, SIDES };
enum { SHORT = -1, WAYS = 5 };

static const struct {
    const char *name;
    int ways[WAYS]; /* errnos; SHORT: half of it */
} calls[CALLS] = {
    [MMAP] = {"mmap", {ENOMEM}},
    [PIPE2] = {"pipe2", {EMFILE, ENFILE}},
    [FORK] = {"fork", {EAGAIN, ENOMEM}},
    [SETPGID] = {"setpgid", {EPERM, ESRCH}},
    [READ] = {"read", {EINTR}},
    [WRITE] = {"write", {SHORT, EINTR, EAGAIN, EIO, ENOSPC}},
    [TCGETATTR] = {"tcgetattr", {EIO}},
    [TCSETATTR] = {"tcsetattr", {EINTR, EIO}},
    [CLOSE_RANGE] = {"close_range", {ENOSYS, EPERM}},
    [WAITPID] = {"waitpid", {EINTR}},
    [POLL] = {"poll", {EINTR}},
};

/* What all of the processes see. */
static struct page {
    atomic_int client; /* the process that has the guard; 0: nothing is watched */
    atomic_int call;
    atomic_int side;
    atomic_uint nth;
    atomic_int failure;
    atomic_uint fired;
    atomic_uint seen[SIDES][CALLS];
    atomic_long maps; /* of the client's: made and not let go of */
    /* What the client tells. */
    atomic_bool made;
    atomic_int made_errno;
    atomic_int more_fds;
    atomic_bool held;
} * page;

/* 0, or how it is to fail. */
static int failure(enum call call)
{
    if (page == NULL || atomic_load(&page->client) == 0)
        return 0;
    const enum side side = getpid() == atomic_load(&page->client) ? CLIENT : GUARD;
    const unsigned nth = atomic_fetch_add(&page->seen[side][call], 1) + 1;
    if (atomic_load(&page->call) != (int)call || atomic_load(&page->side) != (int)side ||
        atomic_load(&page->nth) != nth)
        return 0;
    (void)atomic_fetch_add(&page->fired, 1);
    return atomic_load(&page->failure);
}

#define WRAPS(type, name, ...)       \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

/* Fails, or goes on. */
#define MAY_FAIL(call)              \
    do {                            \
        int failed = failure(call); \
        if (failed != 0) {          \
            errno = failed;         \
            return -1;              \
        }                           \
    } while (0)

WRAPS(void *, mmap, void *at, size_t size, int access, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int access, int flags, int fd, off_t offset)
{
    errno = failure(MMAP);
    if (errno != 0)
        return MAP_FAILED;
    if (page != NULL)
        (void)atomic_fetch_add(&page->maps, 1);
    return __real_mmap(at, size, access, flags, fd, offset);
}

WRAPS(int, munmap, void *at, size_t size);
int __wrap_munmap(void *at, size_t size)
{
    (void)atomic_fetch_sub(&page->maps, 1);
    return __real_munmap(at, size);
}

WRAPS(int, pipe2, int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags)
{
    MAY_FAIL(PIPE2);
    return __real_pipe2(ends, flags);
}

WRAPS(pid_t, fork, void);
pid_t __wrap_fork(void)
{
    MAY_FAIL(FORK);
    return __real_fork();
}

WRAPS(int, setpgid, pid_t pid, pid_t group);
int __wrap_setpgid(pid_t pid, pid_t group)
{
    MAY_FAIL(SETPGID);
    return __real_setpgid(pid, group);
}

WRAPS(ssize_t, read, int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size)
{
    MAY_FAIL(READ);
    return __real_read(fd, data, size);
}

WRAPS(ssize_t, write, int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    int failed = failure(WRITE);
    if (failed == 0 || failed == SHORT)
        return __real_write(fd, data, failed == SHORT ? (size + 1) / 2 : size);
    errno = failed;
    return -1;
}

WRAPS(int, tcgetattr, int fd, struct termios *mode);
int __wrap_tcgetattr(int fd, struct termios *mode)
{
    MAY_FAIL(TCGETATTR);
    return __real_tcgetattr(fd, mode);
}

WRAPS(int, tcsetattr, int fd, int when, const struct termios *mode);
int __wrap_tcsetattr(int fd, int when, const struct termios *mode)
{
    MAY_FAIL(TCSETATTR);
    return __real_tcsetattr(fd, when, mode);
}

WRAPS(long, syscall, long number, ...);
long __wrap_syscall(long number, ...)
{
    long a[3];
    va_list arguments;
    if (number == SYS_close_range)
        MAY_FAIL(CLOSE_RANGE);
    va_start(arguments, number);
    for (int i = 0; i < 3; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    return __real_syscall(number, a[0], a[1], a[2]);
}

WRAPS(pid_t, waitpid, pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    MAY_FAIL(WAITPID);
    return __real_waitpid(pid, status, options);
}

WRAPS(int, poll, struct pollfd *polls, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout_ms)
{
    MAY_FAIL(POLL);
    return __real_poll(polls, count, timeout_ms);
}

/* ---- one client ------------------------------------------------------------------------------ */

static int count_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        _exit(EXIT_FAILURE);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

/* The guard has closed its copy of this pipe. */
static bool is_held(int ends[2])
{
    struct pollfd watched = {.fd = ends[0], .events = POLLIN};
    (void)close(ends[1]);
    const bool held = __real_poll(&watched, 1, (int)test_deadline_ms()) != 1;
    (void)close(ends[0]);
    return held;
}

_Noreturn static void be_client(int slave, bool killed)
{
    static const char modes[] = "\x1b[?2004h\x1b[?25l";
    struct tty tty;
    int ends[2];
    if (dup2(slave, STDIN_FILENO) < 0 || dup2(slave, STDOUT_FILENO) < 0 ||
        __real_pipe2(ends, 0) != 0)
        _exit(EXIT_FAILURE);
    const int before = count_fds() - 2; /* of the pipe */
    atomic_store(&page->maps, 0);
    atomic_store(&page->client, getpid());
    tty_init(&tty);
    const bool made = tty_make_raw(&tty);
    atomic_store(&page->made_errno, errno);
    atomic_store(&page->made, made);
    tty_follow(&tty, modes, sizeof modes - 1);
    atomic_store(&page->held, is_held(ends));
    if (made && killed)
        (void)kill(getpid(), SIGKILL);
    tty_restore(&tty, true);
    atomic_store(&page->more_fds, count_fds() - before);
    _exit(EXIT_SUCCESS);
}

/* All that there are, the guard too, which is ours then. */
static void await_all(const char *what)
{
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    for (;;) {
        const pid_t pid = __real_waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return;
        if (clock_now_ms() > deadline_ms)
            fail_msg("%s: a process is left", what);
        if (pid == 0)
            (void)__real_poll(NULL, 0, 1);
    }
}

static void check(const char *what, int master, bool killed, bool same)
{
    const enum call call = (enum call)atomic_load(&page->call);
    const int failed = atomic_load(&page->failure);
    const bool fired = atomic_load(&page->fired) > 0;
    const bool made = atomic_load(&page->made);
    /* One that cannot be written to nor set has gone: nobody can do anything about it. */
    const bool gone = fired && made && (failed == EIO || failed == ENOSPC) &&
                      (call == WRITE || call == TCGETATTR || call == TCSETATTR);
    char text[64] = "";
    struct pollfd watched = {.fd = master, .events = POLLIN};
    if (__real_poll(&watched, 1, 0) == 1)
        (void)__real_read(master, text, sizeof text - 1);
    if (!made && (!fired || atomic_load(&page->made_errno) != failed))
        fail_msg("%s: not raw, and the reason is %d", what, atomic_load(&page->made_errno));
    if (!same && !gone)
        fail_msg("%s: the terminal is not as it was", what);
    if (!gone && strcmp(text, made ? "\x1b[?2004l\x1b[?25h" : "") != 0)
        fail_msg("%s: %zu bytes were written", what, strlen(text));
    if (atomic_load(&page->held))
        fail_msg("%s: the guard holds a pipe", what);
    if ((!killed || !made) && (atomic_load(&page->more_fds) != 0 || atomic_load(&page->maps) != 0))
        fail_msg("%s: %d descriptors and %ld mappings are left", what, atomic_load(&page->more_fds),
                 atomic_load(&page->maps));
}

static void run(const char *what, bool killed)
{
    struct termios before;
    struct termios after;
    int master = -1;
    int slave = -1;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    assert_int_equal(__real_tcgetattr(slave, &before), 0);
    pid_t pid = __real_fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_client(slave, killed);
    await_all(what);
    atomic_store(&page->client, 0);
    assert_int_equal(__real_tcgetattr(slave, &after), 0);
    check(what, master, killed, guard_same_modes(&before, &after));
    (void)close(master);
    (void)close(slave);
}

static void arm(int call, int side, unsigned nth, int failed)
{
    atomic_store(&page->call, call);
    atomic_store(&page->side, side);
    atomic_store(&page->nth, nth);
    atomic_store(&page->failure, failed);
    atomic_store(&page->fired, 0);
    memset(page->seen, 0, sizeof page->seen);
}

static unsigned each_way(enum call call, enum side side, unsigned seen, bool killed)
{
    unsigned cases = 0;
    for (unsigned i = 0; i < seen * WAYS; i++) {
        const unsigned nth = i / WAYS + 1;
        const int failed = calls[call].ways[i % WAYS];
        char what[96];
        if (failed == 0)
            continue;
        (void)snprintf(what, sizeof what, "%s%s's %s %u: %s", killed ? "killed, " : "",
                       side == CLIENT ? "client" : "guard", calls[call].name, nth,
                       failed == SHORT ? "short" : strerrorname_np(failed));
        arm(call, side, nth, failed);
        run(what, killed);
        if (atomic_load(&page->fired) != 1)
            fail_msg("%s: the call was not made", what);
        cases++;
    }
    return cases;
}

static void each_call_fails(bool killed)
{
    unsigned seen[SIDES][CALLS];
    unsigned cases = 0;
    unsigned met[CALLS] = {0};
    arm(0, 0, 0, 0);
    run("none", killed);
    for (int i = 0; i < SIDES * CALLS; i++)
        seen[i / CALLS][i % CALLS] = atomic_load(&page->seen[i / CALLS][i % CALLS]);
    for (int i = 0; i < SIDES * CALLS; i++) {
        const enum call call = (enum call)(i % CALLS);
        met[call] += seen[i / CALLS][call];
        cases += each_way(call, (enum side)(i / CALLS), seen[i / CALLS][call], killed);
    }
    for (int call = 0; call < CALLS; call++) {
        if (met[call] == 0 && !(killed && (call == WAITPID || call == POLL)))
            fail_msg("%s is not called", calls[call].name);
    }
    print_message("%u cases\n", cases);
}

static void it_ends_by_itself(void **state)
{
    (void)state;
    each_call_fails(false);
}

static void it_is_killed(void **state)
{
    (void)state;
    each_call_fails(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_by_itself),
        cmocka_unit_test(it_is_killed),
    };
    void *made =
        __real_mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return EXIT_FAILURE;
    page = made;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
