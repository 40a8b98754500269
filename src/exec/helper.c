#include "exec/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/digest.h"
#include "exec/fence.h"
#include "exec/inheritance.h"
#include "exec/packed.h"

static const char whom[] = "the helper";

enum { LOWEST_FD = 10, CAPABILITIES_MAX = 64 };

/* The reports: ABOUT just before the command's execve; otherwise the stage that failed. */
enum stage {
    STAGE_ABOUT,
    STAGE_HELPER,
    STAGE_LIMITS,
    STAGE_CHROOT,
    STAGE_USER,
    STAGE_CHDIR,
    STAGE_FENCE,
    STAGE_FILES,
    STAGE_EXEC
};

static const char *const stage_names[] = {"exec",  "helper", "limits", "chroot", "user",
                                          "chdir", "fence",  "files",  "exec"};

struct report {
    int stage;
    int failed;
    struct interpreter_head head;
};

/* The order in the file: this, the groups, then strings, each with its NUL. No format conversion is
 * needed, as both sides are of one build. */
struct order {
    struct confinement confine; /* its pointers are not valid in the helper */
    size_t candidates;
    size_t argc;
    size_t envc;
    size_t roots;
    bool has_cwd;
    bool cwd_optional;
    bool has_root;
    bool serves_files;
    bool forwards;
    bool has_home;
    bool notes;
    bool all_notes;
};

/* ---- in the server --------------------------------------------------------------------------- */

static enum afar_status put_all(int fd, const struct helper_order *order, struct afar_error *err)
{
    static char *const none[] = {NULL};
    const struct confinement *confine = order->confine;
    const struct helper_files *files = order->files;
    char *const *roots = files != NULL ? files->roots : none;
    const struct order head = {.confine = *confine,
                               .candidates = packed_count(order->candidates),
                               .argc = packed_count(order->argv),
                               .envc = packed_count(order->env),
                               .has_cwd = order->cwd != NULL,
                               .cwd_optional = order->cwd_optional,
                               .has_root = confine->root != NULL,
                               .serves_files = files != NULL,
                               .forwards = order->forward != NULL,
                               .has_home = files != NULL && files->home != NULL,
                               .notes = files != NULL && files->notes,
                               .all_notes = files != NULL && files->all_notes,
                               .roots = packed_count(roots)};
    enum afar_status status = packed_put(fd, &head, sizeof head, whom, err);
    if (status == AFAR_OK)
        status = packed_put(fd, confine->groups, confine->group_count * sizeof(gid_t), whom, err);
    if (status == AFAR_OK)
        status = packed_put_words(fd, order->candidates, whom, err);
    if (status == AFAR_OK)
        status = packed_put_words(fd, order->argv, whom, err);
    if (status == AFAR_OK)
        status = packed_put_words(fd, order->env, whom, err);
    if (status == AFAR_OK && head.has_cwd)
        status = packed_put(fd, order->cwd, strlen(order->cwd) + 1, whom, err);
    if (status == AFAR_OK && head.has_root)
        status = packed_put(fd, confine->root, strlen(confine->root) + 1, whom, err);
    if (status == AFAR_OK)
        status = packed_put_words(fd, roots, whom, err);
    if (status == AFAR_OK && head.has_home)
        status = packed_put(fd, files->home, strlen(files->home) + 1, whom, err);
    if (status == AFAR_OK && head.forwards)
        status = packed_put(fd, order->forward, strlen(order->forward) + 1, whom, err);
    return status;
}

static enum afar_status put_order(const struct helper_order *order, int *fd, struct afar_error *err)
{
    int made = memfd_create("afard-order", MFD_CLOEXEC);
    if (made < 0)
        return afar_fail_errno(err, errno, "cannot tell the helper what to do");
    *fd = fcntl(made, F_DUPFD_CLOEXEC, LOWEST_FD);
    int failed = errno;
    (void)close(made);
    if (*fd < 0)
        return afar_fail_errno(err, failed, "cannot tell the helper what to do");
    return put_all(*fd, order, err);
}

/* Makes a pipe; *its is above the descriptors that the helper expects. */
static enum afar_status open_pipe(int *ours, int *its, struct afar_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return afar_fail_errno(err, errno, "cannot make a pipe");
    *ours = ends[0];
    *its = fcntl(ends[1], F_DUPFD_CLOEXEC, LOWEST_FD);
    int failed = errno;
    (void)close(ends[1]);
    return *its >= 0 ? AFAR_OK : afar_fail_errno(err, failed, "cannot make a pipe");
}

enum afar_status helper_way_open(struct helper_way *way, const struct helper_order *order,
                                 struct afar_error *err)
{
    *way = (struct helper_way){-1, -1, -1, -1, -1, -1};
    enum afar_status status = put_order(order, &way->order, err);
    if (status == AFAR_OK)
        status = open_pipe(&way->ours, &way->its, err);
    if (status == AFAR_OK && order->files != NULL)
        status = open_pipe(&way->note_ours, &way->note_its, err);
    if (status == AFAR_OK && way->note_ours >= 0 && fcntl(way->note_ours, F_SETFL, O_NONBLOCK) != 0)
        status = afar_fail_errno(err, errno, "cannot make a pipe non-blocking");
    const bool stays = order->files != NULL || order->forward != NULL;
    if (status == AFAR_OK && stays && order->confine->fence_fd > 0) {
        way->fence = fcntl(order->confine->fence_fd, F_DUPFD_CLOEXEC, LOWEST_FD);
        if (way->fence < 0)
            status = afar_fail_errno(err, errno, "cannot keep a fence's descriptor");
    }
    return status;
}

void helper_way_close(struct helper_way *way)
{
    int *const fds[] = {&way->order,     &way->ours,     &way->its,
                        &way->note_ours, &way->note_its, &way->fence};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            (void)close(*fds[i]);
        *fds[i] = -1;
    }
}

bool helper_way_wait(struct helper_way *way, const char **stage, int *failed,
                     struct interpreter_head *head)
{
    struct report report;
    bool about = false;
    /* Only the helper may have this end open, so that its death ends the pipe. */
    (void)close(way->its);
    way->its = -1;
    *stage = stage_names[STAGE_HELPER];
    *failed = ECANCELED;
    for (;;) {
        /* A report has at most PIPE_BUF bytes, so it is written and read in one piece (pipe(7)). */
        ssize_t size = read(way->ours, &report, sizeof report);
        if (size < 0 && errno == EINTR)
            continue;
        if (size != sizeof report) {
            if (about)
                *stage = stage_names[STAGE_EXEC];
            return about;
        }
        about = report.stage == STAGE_ABOUT;
        if (report.stage > STAGE_ABOUT && report.stage <= STAGE_EXEC) {
            *stage = stage_names[report.stage];
            *failed = report.failed;
            *head = report.head;
        }
    }
}

/* ---- in the helper --------------------------------------------------------------------------- */

/* Reports. `paths`: the paths of a program that could not be executed; otherwise NULL. */
static void say(enum stage stage, int failed, char *const *paths)
{
    struct report report = {.stage = (int)stage, .failed = failed};
    if (paths != NULL)
        interpreter_look(paths, &report.head);
    ssize_t written = write(HELPER_STATUS_FD, &report, sizeof report);
    (void)written;
}

_Noreturn static void give_up(enum stage stage, int failed)
{
    say(stage, failed, NULL);
    _exit(127);
}

/* Reads the whole order. NULL: errno. */
static char *read_order(size_t *size)
{
    struct stat info;
    if (fstat(HELPER_ORDER_FD, &info) != 0)
        return NULL;
    char *data = malloc((size_t)info.st_size + 1);
    size_t used = 0;
    while (data != NULL && used < (size_t)info.st_size) {
        ssize_t got = pread(HELPER_ORDER_FD, data + used, (size_t)info.st_size - used, (off_t)used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            free(data);
            return NULL;
        }
        used += (size_t)got;
    }
    *size = used;
    return data;
}

/* Takes `count` strings. NULL: out of memory, or there are fewer. */
static char **take_words(char **at, const char *end, size_t count)
{
    char **words = calloc(count + 1, sizeof *words);
    for (size_t i = 0; words != NULL && i < count; i++) {
        words[i] = packed_take(at, end);
        if (words[i] == NULL) {
            free(words);
            return NULL;
        }
    }
    return words;
}

struct work {
    struct order order;
    gid_t *groups;
    char **candidates;
    char **argv;
    char **env;
    char *cwd;
    char *root;
    char **roots;
    char *home;
    char *forward;
};

static bool parse(struct work *work, char *data, size_t size)
{
    const char *end = data + size;
    char *at = data + sizeof work->order;
    if (size < sizeof work->order)
        return false;
    memcpy(&work->order, data, sizeof work->order);
    size_t groups_bytes = work->order.confine.group_count * sizeof(gid_t);
    if ((size_t)(end - at) < groups_bytes)
        return false;
    work->groups = malloc(groups_bytes + 1);
    if (work->groups == NULL)
        return false;
    memcpy(work->groups, at, groups_bytes);
    at += groups_bytes;
    work->candidates = take_words(&at, end, work->order.candidates);
    work->argv = work->candidates == NULL ? NULL : take_words(&at, end, work->order.argc);
    work->env = work->argv == NULL ? NULL : take_words(&at, end, work->order.envc);
    work->cwd = work->env != NULL && work->order.has_cwd ? packed_take(&at, end) : NULL;
    work->root = work->env != NULL && work->order.has_root ? packed_take(&at, end) : NULL;
    work->roots = work->env != NULL ? take_words(&at, end, work->order.roots) : NULL;
    work->home = work->roots != NULL && work->order.has_home ? packed_take(&at, end) : NULL;
    work->forward = work->roots != NULL && work->order.forwards ? packed_take(&at, end) : NULL;
    return work->roots != NULL && (work->cwd != NULL) == work->order.has_cwd &&
           (work->root != NULL) == work->order.has_root &&
           (work->home != NULL) == work->order.has_home &&
           (work->forward != NULL) == work->order.forwards && at == end;
}

/* Must be called while the process still has its privileges. */
static bool set_limits(const struct confinement *confine)
{
    for (int i = 0; i < CONFINE_LIMITS; i++) {
        const struct confine_value *value = &confine->limits[i];
        const struct rlimit limit = {.rlim_cur = value->soft, .rlim_max = value->hard};
        if (value->set &&
            prlimit(0, (unsigned)confine_resource((enum confine_limit)i), &limit, NULL) != 0)
            return false;
    }
    if (confine->reset_oom)
        inheritance_reset_oom();
    if (confine->set_umask)
        (void)umask(confine->umask);
    return !confine->set_nice || setpriority(PRIO_PROCESS, 0, confine->nice) == 0;
}

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    struct __user_cap_data_struct left[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capset, &header, none) != 0 || syscall(SYS_capget, &header, left) != 0)
        return false;
    return memcmp(none, left, sizeof none) == 0;
}

/* So that no later execve can give a capability back. EINVAL: the kernel has no capability with
 * this number. */
static bool drop_bounding_set(void)
{
    for (unsigned long i = 0; i < CAPABILITIES_MAX; i++) {
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            return errno == EINVAL && i > 0;
    }
    return true;
}

/* Verifies that the switch of user has worked, instead of trusting the calls' results. */
static bool is_user(const struct work *work)
{
    const struct confinement *confine = &work->order.confine;
    uid_t uid[3] = {0};
    gid_t gid[3] = {0};
    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return false;
    for (int i = 0; i < 3; i++) {
        if ((confine->set_user && uid[i] != confine->user) || gid[i] != confine->group)
            return false;
    }
    bool root_again = confine->set_user && confine->user != 0 && setuid(0) == 0;
    return !root_again && getgroups(0, NULL) == (int)confine->group_count;
}

static bool switch_user(const struct work *work)
{
    const struct confinement *confine = &work->order.confine;
    bool drops = confine->set_user && confine->user != 0;
    if (!confine->set_group && !confine->set_user)
        return true;
    if (drops && !drop_bounding_set())
        return false;
    if (setgroups(confine->group_count, work->groups) != 0 ||
        setresgid(confine->group, confine->group, confine->group) != 0)
        return false;
    if (confine->set_user && setresuid(confine->user, confine->user, confine->user) != 0)
        return false;
    if (drops && (!drop_capabilities() || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0))
        return false;
    errno = EPERM; /* for a failing is_user */
    return is_user(work) &&
           (!confine->set_user || prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0);
}

/* Tries the candidates as execvp(3) does; see spawn.c. Returns an errno. */
static int run(const struct work *work)
{
    int denied = 0;
    for (char **path = work->candidates; *path != NULL; path++) {
        (void)execve(*path, work->argv, work->env);
        if (errno == EACCES)
            denied = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return errno;
    }
    return denied != 0 ? denied : errno;
}

/* The file server needs openat2(2) to stay within its roots; without it, it does not start. */
static bool has_openat2(void)
{
    const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
    if (fd >= 0)
        (void)close((int)fd);
    return fd >= 0 || (errno != ENOSYS && errno != EPERM); /* EPERM: from a sandbox */
}

/* The service must not execute anything, and must not be traced: a tracer could get around its
 * roots. */
static void begin_service(const struct work *work, struct helper_service *service)
{
    if (work->roots[0] != NULL && !has_openat2())
        give_up(STAGE_FILES, ENOSYS);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 ||
        prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) != 0)
        give_up(STAGE_FILES, errno);
    /* Only now: before, the fence could have prevented the execve of this program. */
    if (work->order.confine.fence_fd > 0 &&
        (fence_enter(HELPER_FENCE_FD) < 0 || close(HELPER_FENCE_FD) != 0))
        give_up(STAGE_FENCE, errno);
    (void)prctl(PR_SET_NAME, work->order.forwards ? "afard-forward" : "afard-files");
    environ = work->env; /* for the time zone */
    *service = (struct helper_service){.roots = work->roots,
                                       .home = work->home,
                                       .note_fd = HELPER_NOTE_FD,
                                       .notes = work->order.notes,
                                       .all_notes = work->order.all_notes,
                                       .own_root = work->root != NULL,
                                       .forward = work->forward};
    say(STAGE_ABOUT, 0, NULL);
    (void)close(HELPER_STATUS_FD);
}

/* Whether the helper stays in this program instead of executing another. */
static bool stays(const struct order *order)
{
    return order->serves_files || order->forwards;
}

/* Closes all descriptors that are not needed for this order. */
static void close_others(const struct order *order)
{
    if (!order->serves_files)
        (void)close(HELPER_NOTE_FD);
    if (!stays(order) || order->confine.fence_fd <= 0)
        (void)close(HELPER_FENCE_FD);
    (void)syscall(SYS_close_range, HELPER_FENCE_FD + 1U, ~0U, 0U);
}

static bool has_reader(int fd)
{
    struct pollfd gone = {.fd = fd};
    return poll(&gone, 1, 0) == 0;
}

void helper_main(struct helper_service *service)
{
    struct work work = {.cwd = NULL};
    size_t size = 0;
    if (fcntl(HELPER_STATUS_FD, F_SETFD, FD_CLOEXEC) != 0)
        _exit(127); /* not started by a server */
    char *data = read_order(&size);
    if (data == NULL || !parse(&work, data, size))
        give_up(STAGE_HELPER, data == NULL ? errno : EPROTO);
    (void)close(HELPER_ORDER_FD);
    close_others(&work.order);
    if (!set_limits(&work.order.confine))
        give_up(STAGE_LIMITS, errno);
    if (work.root != NULL && work.order.serves_files)
        digest_prepare();
    if (work.root != NULL && (chroot(work.root) != 0 || chdir("/") != 0))
        give_up(STAGE_CHROOT, errno);
    /* Before the switch of user, so that root's quota of keys counts: the user's may be used up. */
    if (work.order.confine.set_user && !inheritance_leave())
        give_up(STAGE_USER, errno);
    if (!switch_user(&work))
        give_up(STAGE_USER, errno);
    /* Set before (spawn.c), but a change of user resets it. */
    (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
    if (!has_reader(HELPER_STATUS_FD)) /* the server died before it was set */
        give_up(STAGE_USER, ECANCELED);
    if (work.cwd != NULL && chdir(work.cwd) != 0 && (!work.order.cwd_optional || chdir("/") != 0))
        give_up(STAGE_CHDIR, errno);
    if (stays(&work.order)) {
        begin_service(&work, service);
        return;
    }
    say(STAGE_ABOUT, 0, NULL);
    say(STAGE_EXEC, run(&work), work.candidates);
    _exit(127);
}
