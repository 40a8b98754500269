/* Every call of a keeper, of its folder, of its start and of the server that finds it again, made to
 * fail once: the command has run at most once, what is told of it is true, and nothing hangs.
 *
 * This program is also the keeper (as "afard-keep"). A page that both map says which call is to
 * fail, and counts all of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/helper.h"
#include "keep/keeper.h"
#include "keep/spool.h"
#include "server/kept.h"
#include "support/folder.h"
#include "support/watched.h"

// wrap: openat mkdirat renameat unlinkat fsync fdatasync pwrite pwritev pread ftruncate flock
// wrap: posix_fallocate fchmodat faccessat fdopendir socket bind listen connect fork posix_spawn
// wrap: waitpid pipe2 memfd_create setsid sigaction sync_file_range epoll_ctl close

enum call {
    OPENAT,
    MKDIRAT,
    RENAMEAT,
    UNLINKAT,
    FSYNC,
    FDATASYNC,
    PWRITE,
    PWRITEV,
    PREAD,
    FTRUNCATE,
    FLOCK,
    FALLOCATE,
    FCHMODAT,
    FACCESSAT,
    FDOPENDIR,
    SOCKET,
    BIND,
    LISTEN,
    CONNECT,
    FORK,
    SPAWN,
    WAITPID,
    PIPE2,
    MEMFD,
    SETSID,
    SIGACTION,
    SYNC_RANGE,
    CALLS
};

enum { WAYS = 3, NTH_MAX = 8, FIRST_FD = 7, DEADLINE_MS = 30000 };

static const struct {
    const char *name;
    int ways[WAYS];
} calls[CALLS] = {
    [OPENAT] = {"openat", {EMFILE, EACCES, ENOSPC}},
    [MKDIRAT] = {"mkdirat", {ENOSPC, EDQUOT}},
    [RENAMEAT] = {"renameat", {ENOSPC, EIO}},
    [UNLINKAT] = {"unlinkat", {EIO}},
    [FSYNC] = {"fsync", {EIO, ENOSPC}},
    [FDATASYNC] = {"fdatasync", {EIO, EDQUOT}},
    [PWRITE] = {"pwrite", {ENOSPC, EIO, EINTR}},
    [PWRITEV] = {"pwritev", {ENOSPC, EIO, EDQUOT}},
    [PREAD] = {"pread", {EIO, EINTR}},
    [FTRUNCATE] = {"ftruncate", {EIO}},
    [FLOCK] = {"flock", {ENOLCK}},
    [FALLOCATE] = {"posix_fallocate", {ENOSPC, EDQUOT}},
    [FCHMODAT] = {"fchmodat", {EIO}},
    [FACCESSAT] = {"faccessat", {EIO}},
    [FDOPENDIR] = {"fdopendir", {ENOMEM}},
    [SOCKET] = {"socket", {EMFILE}},
    [BIND] = {"bind", {EACCES, ENOSPC}},
    [LISTEN] = {"listen", {EADDRINUSE}},
    [CONNECT] = {"connect", {ECONNREFUSED, EAGAIN}},
    [FORK] = {"fork", {EAGAIN}},
    [SPAWN] = {"posix_spawn", {EAGAIN, ENOMEM}},
    [WAITPID] = {"waitpid", {EINTR}},
    [PIPE2] = {"pipe2", {EMFILE}},
    [MEMFD] = {"memfd_create", {EMFILE}},
    [SETSID] = {"setsid", {EPERM}},
    [SIGACTION] = {"sigaction", {EINVAL}},
    [SYNC_RANGE] = {"sync_file_range", {EIO}},
};

/* Shared by this program and the keepers that it starts. */
struct page {
    atomic_int on; /* calls are counted */
    atomic_int call;
    atomic_uint nth; /* of these, the one that fails; 0: none */
    atomic_int failure;
    atomic_uint fired;
    atomic_uint seen[CALLS];
};
static struct page *page;

static int failing(enum call call)
{
    if (page == NULL || atomic_load(&page->on) == 0)
        return 0;
    unsigned nth = atomic_fetch_add(&page->seen[call], 1) + 1;
    if (nth != atomic_load(&page->nth) || (int)call != atomic_load(&page->call))
        return 0;
    atomic_fetch_add(&page->fired, 1);
    errno = atomic_load(&page->failure);
    return errno;
}

#define WRAP(type, name, call, parameters, arguments) \
    type __real_##name parameters;                    \
    type __wrap_##name parameters;                    \
    type __wrap_##name parameters                     \
    {                                                 \
        if (failing(call) != 0)                       \
            return -1;                                \
        return __real_##name arguments;               \
    }

WRAP(int, mkdirat, MKDIRAT, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(int, renameat, RENAMEAT, (int from, const char *old, int to, const char *fresh),
     (from, old, to, fresh))
WRAP(int, unlinkat, UNLINKAT, (int fd, const char *path, int flags), (fd, path, flags))
WRAP(int, fsync, FSYNC, (int fd), (fd))
WRAP(int, fdatasync, FDATASYNC, (int fd), (fd))
WRAP(ssize_t, pwrite, PWRITE, (int fd, const void *data, size_t size, off_t at),
     (fd, data, size, at))
WRAP(ssize_t, pwritev, PWRITEV, (int fd, const struct iovec *parts, int count, off_t at),
     (fd, parts, count, at))
WRAP(ssize_t, pread, PREAD, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(int, ftruncate, FTRUNCATE, (int fd, off_t size), (fd, size))
WRAP(int, flock, FLOCK, (int fd, int how), (fd, how))
WRAP(int, fchmodat, FCHMODAT, (int fd, const char *path, mode_t mode, int flags),
     (fd, path, mode, flags))
WRAP(int, faccessat, FACCESSAT, (int fd, const char *path, int mode, int flags),
     (fd, path, mode, flags))
WRAP(int, socket, SOCKET, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, bind, BIND, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP(int, listen, LISTEN, (int fd, int backlog), (fd, backlog))
WRAP(int, connect, CONNECT, (int fd, const struct sockaddr *address, socklen_t size),
     (fd, address, size))
WRAP(pid_t, fork, FORK, (void), ())
WRAP(pid_t, waitpid, WAITPID, (pid_t pid, int *status, int flags), (pid, status, flags))
WRAP(int, pipe2, PIPE2, (int *ends, int flags), (ends, flags))
WRAP(int, memfd_create, MEMFD, (const char *name, unsigned flags), (name, flags))
WRAP(pid_t, setsid, SETSID, (void), ())
WRAP(int, sigaction, SIGACTION,
     (int number, const struct sigaction *action, struct sigaction *before),
     (number, action, before))
WRAP(int, sync_file_range, SYNC_RANGE, (int fd, off64_t at, off64_t size, unsigned flags),
     (fd, at, size, flags))

int __real_epoll_ctl(int fd, int operation, int subject, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int operation, int subject, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int operation, int subject, struct epoll_event *event)
{
    int result = __real_epoll_ctl(fd, operation, subject, event);
    if (result == 0)
        watched_note(fd, operation, subject);
    return result;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    watched_close(fd);
    return __real_close(fd);
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return failing(OPENAT) != 0 ? -1 : __real_openat(fd, path, flags, mode);
}

DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
    return failing(FDOPENDIR) != 0 ? NULL : __real_fdopendir(fd);
}

/* These two give the error itself. */
int __real_posix_fallocate(int fd, off_t at, off_t size);
int __wrap_posix_fallocate(int fd, off_t at, off_t size);
int __wrap_posix_fallocate(int fd, off_t at, off_t size)
{
    const int failure = failing(FALLOCATE);
    return failure != 0 ? failure : __real_posix_fallocate(fd, at, size);
}

int __real_posix_spawn(pid_t *pid, const char *path, const void *actions, const void *attributes,
                       char *const argv[], char *const env[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const void *actions, const void *attributes,
                       char *const argv[], char *const env[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const void *actions, const void *attributes,
                       char *const argv[], char *const env[])
{
    const int failure = failing(SPAWN);
    return failure != 0 ? failure : __real_posix_spawn(pid, path, actions, attributes, argv, env);
}

/* ---- one command ----------------------------------------------------------------------------- */

static char folder[64];
static char starts[96]; /* has a byte for each start of the command */
static unsigned made;
static bool lost; /* the command ends its keeper */

static void map_page(int fd)
{
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(page != MAP_FAILED);
}

static size_t count_starts(void)
{
    char text[16];
    int fd = open(starts, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text) : 0;
    if (fd >= 0)
        (void)close(fd);
    return got > 0 ? (size_t)got : 0;
}

static enum afar_status start(int jobs_fd, struct jobdir_request *request, struct afar_error *err)
{
    char line[256];
    (void)snprintf(line, sizeof line, "printf x >>'%s'; head -c 600000 /dev/zero; %s exit 3",
                   starts, lost ? "kill -9 $PPID; sleep 100;" : "");
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, line, NULL};
    char *env[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};
    *request = (struct jobdir_request){.owner = "uid=0",
                                       .command = "a test",
                                       .created_us = jobdir_now_us(),
                                       .window_bytes = 1 << 18,
                                       .resume_ms = 60000,
                                       .spool_bytes = 4 << 20,
                                       .when_full = WHEN_FULL_CUT};
    (void)snprintf(request->job, sizeof request->job, "%032x", ++made);
    (void)snprintf(request->holder, sizeof request->holder, "0123456789abcdef0123");
    struct keep_order order = {.label = "test",
                               .argv = argv,
                               .env = env,
                               .limits = {.stdin_bytes = 1 << 20,
                                          .spawn_timeout_ms = 10000,
                                          .kill_grace_ms = 10000,
                                          .linger_ms = 100,
                                          .linger_max_ms = 1000},
                               .stdin_credit = MESSAGE_STDIN_CREDIT_BYTES};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &order.base.descriptors), 0);
    assert_int_equal(getrlimit(RLIMIT_CORE, &order.base.core), 0);
    return keep_start(jobs_fd, request, &order, 0, 0, err);
}

/* The next server on the same folder; NULL: it does not start. */
static struct kept *serve(const struct config *config, const struct kept_setup *setup,
                          struct afar_error *err)
{
    struct kept *kept = NULL;
    enum afar_status status = kept_open(&kept, config, setup, err);
    return status == AFAR_OK ? kept : NULL;
}

/* Asks until the job has ended, or is not there. */
static bool ended(struct kept *kept, struct message_job *job)
{
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    bool more = false;
    for (;;) {
        size_t count = kept_list(kept, NULL, "", true, job, 1, &more);
        if (count == 0 || job->state == MESSAGE_JOB_ENDED)
            return count > 0;
        if (clock_now_ms() >= deadline_ms)
            fail_msg("job %s has not ended", job->job);
        (void)usleep(2000);
    }
}

static void check_job(const struct message_job *job, const char *what)
{
    const size_t run = count_starts();
    const bool exited = job->has_outcome && job->outcome == AFAR_OUTCOME_EXITED;
    if (exited && (lost || job->code != 3 || run != 1 || job->bytes[0] != 600000))
        fail_msg("%s: exit %d, %zu starts, %llu bytes", what, job->code, run,
                 (unsigned long long)job->bytes[0]);
    if (!exited && job->outcome != AFAR_OUTCOME_SPAWN_FAILED &&
        job->outcome != AFAR_OUTCOME_SERVER_LOST)
        fail_msg("%s: outcome %d", what, (int)job->outcome);
}

/* Starts one, lets a server find it, and waits for its end; then removes it. What was armed may fail
 * anywhere in there. */
static void one_command(const struct config *config, const char *what)
{
    struct jobdir_request request;
    struct afar_error err = {0};
    struct message_job job;
    char path[96];
    (void)unlink(starts);
    struct registry *registry = registry_new(config);
    assert_non_null(registry);
    const struct kept_setup setup = {.registry = registry};
    (void)snprintf(path, sizeof path, "%s/state/jobs", folder);
    int jobs_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(jobs_fd >= 0);

    atomic_store(&page->on, 1);
    const bool begun = start(jobs_fd, &request, &err) == AFAR_OK;
    struct kept *kept = serve(config, &setup, &err);
    bool there = kept != NULL && ended(kept, &job);
    kept_free(kept);
    atomic_store(&page->on, 0);

    /* Nothing fails any more: what is there is as it was, and can be removed. */
    const unsigned fired = atomic_load(&page->fired);
    kept = serve(config, &setup, &err);
    if (kept == NULL)
        fail_msg("%s: %s", what, err.message);
    there = ended(kept, &job);
    if (there)
        check_job(&job, what);
    const size_t run = count_starts();
    if (run > 1 || (!there && run > 0 && begun) || (!there && begun && fired == 0))
        fail_msg("%s: %zu starts, and there is %s of it", what, run,
                 there ? "a receipt" : "nothing");
    if (there && kept_forget(kept, job.job, &err) != AFAR_OK)
        fail_msg("%s: %s", what, err.message);
    kept_free(kept);
    registry_free(registry);
    (void)close(jobs_fd);
}

static void arm(int call, unsigned nth, int failure)
{
    for (int i = 0; i < CALLS; i++)
        atomic_store(&page->seen[i], 0);
    atomic_store(&page->call, call);
    atomic_store(&page->nth, nth);
    atomic_store(&page->failure, failure);
    atomic_store(&page->fired, 0);
}

/* How many cases there were. */
static unsigned each_call(const struct config *config, unsigned met[CALLS])
{
    unsigned cases = 0;
    unsigned seen[CALLS];
    arm(0, 0, 0);
    one_command(config, "none");
    for (int call = 0; call < CALLS; call++) {
        seen[call] = atomic_load(&page->seen[call]);
        met[call] += seen[call];
    }
    for (int call = 0; call < CALLS; call++) {
        for (unsigned i = 0; i < WAYS * NTH_MAX; i++) {
            const unsigned nth = i / WAYS + 1;
            const int failure = calls[call].ways[i % WAYS];
            char what[96];
            if (nth > seen[call] || failure == 0)
                continue;
            (void)snprintf(what, sizeof what, "%s%s %u: %s", lost ? "lost, " : "", calls[call].name,
                           nth, strerrorname_np(failure));
            arm(call, nth, failure);
            one_command(config, what);
            cases++;
        }
    }
    return cases;
}

static void each_call_fails_once(void **state)
{
    struct config config;
    char state_path[80];
    (void)state;
    config_init(&config);
    (void)snprintf(state_path, sizeof state_path, "%s/state", folder);
    config.state_directory = state_path;
    unsigned cases = 0;
    unsigned met[CALLS] = {0};
    for (int round = 0; round < 2; round++) {
        lost = round == 1;
        cases += each_call(&config, met);
    }
    for (int call = 0; call < CALLS; call++) {
        if (met[call] == 0)
            fail_msg("%s is not called", calls[call].name);
    }
    print_message("%u cases\n", cases);
    config.state_directory = NULL;
    config_close(&config);
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], HELPER_NAME) == 0)
        helper_main(NULL);
    if (argc > 0 && strcmp(argv[0], KEEPER_NAME) == 0) {
        int fd = openat(FIRST_FD, "../../../page", O_RDWR | O_CLOEXEC);
        if (fd >= 0) {
            map_page(fd);
            (void)close(fd); /* it must not be taken for one of the keeper's */
        }
        return keeper_main(argc, argv);
    }
    (void)snprintf(folder, sizeof folder, "/tmp/afar-keep-faults-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return EXIT_FAILURE;
    (void)snprintf(starts, sizeof starts, "%s/starts", folder);
    char path[96];
    (void)snprintf(path, sizeof path, "%s/page", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *page) != 0)
        return EXIT_FAILURE;
    map_page(fd);
    (void)close(fd);
    (void)snprintf(path, sizeof path, "%s/state", folder);
    if (mkdir(path, 0700) != 0)
        return EXIT_FAILURE;
    (void)snprintf(path, sizeof path, "%s/state/jobs", folder);
    if (mkdir(path, 0700) != 0)
        return EXIT_FAILURE;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_fails_once),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    return folder_remove(folder) == 0 ? status : EXIT_FAILURE;
}
