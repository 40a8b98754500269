#include "exec/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/clone.h"
#include "exec/environment.h"
#include "exec/fence.h"
#include "exec/helper.h"
#include "exec/inheritance.h"
#include "exec/interpreter.h"
#include "exec/stdio.h"

/* Everything that the child needs, made before it starts: it shares our memory and must not
 * allocate. */
struct child {
    struct spawn_control *control;
    pid_t parent;
    char *const *argv;
    char *const *env;
    const char *cwd;
    bool cwd_optional;
    bool on_terminal;
    const struct confinement *confine;
    struct clone_order order;    /* how it is made and gets into its cgroup */
    const struct rlimit *limits; /* CONFINE_LIMITS of them */
    const int *resources;        /* likewise */
    int order_fd;                /* this and the next four are for the helper; -1: none */
    int status_fd;
    int note_fd;
    int program_fd;       /* the helper's program; 0: this one */
    const char *own_path; /* of this program, as it was started */
    int helper_fence_fd;
    char **candidates;        /* paths to try, NULL-terminated */
    uint64_t default_signals; /* as in the request */
    int stdio[3];
    int seat; /* = stdio[0] if the child shares the server's table; -1: it has a copy */
    /* Results of the child. `volatile`: written by another process in this memory. */
    const char *volatile stage; /* what it is doing */
    volatile int failed_errno;
    volatile bool failed;
    volatile bool cgroup_refused;
    struct interpreter_head head; /* of the program that could not be executed */
};

/* At this stage the child unshares its descriptor table. If that fails (a sandbox may forbid it),
 * the server's descriptors are unchanged, and the spawn can be tried again without a seat. */
static const char stage_table[] = "descriptors";

static const char stage_cgroup[] = "cgroup";
static const char stage_fence[] = "fence";
static const char stage_terminal[] = "terminal";

/* The child's stack. child_main needs a few hundred bytes, and signals are blocked. */
enum { CHILD_STACK_BYTES = 16384 };

/* The kernel's struct sigaction, which is not libc's. */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

_Static_assert(sizeof(struct rlimit) == 2 * sizeof(uint64_t), "the kernel's struct rlimit64");

enum { KERNEL_SIGSET_BYTES = 8, KERNEL_SIGNALS = 64 };

/* Sanitizers keep state per thread, and two processes share a thread's state here. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

/* From here to the end of child_main only raw system calls: libc's wrappers may take locks, change
 * thread state or (setuid and its like) signal other threads, all in the server's memory. */
IN_CHILD static int fail_child(struct child *child)
{
    child->failed_errno = errno;
    child->failed = true;
    syscall(SYS_exit, 127);
    return 127;
}

/* Ignored signals would stay ignored across execve. Handlers would be reset by it, but must not run
 * in this child. */
IN_CHILD static void reset_signals(const struct child *child)
{
    const struct kernel_sigaction action = {.handler = SIG_DFL};
    for (int number = 1; number <= KERNEL_SIGNALS; number++) {
        if ((child->default_signals >> (number - 1) & 1) == 0)
            (void)syscall(SYS_rt_sigaction, number, &action, NULL, KERNEL_SIGSET_BYTES);
    }
}

/* Gives the child a descriptor table of its own, which ends with its seat. Before this, closing or
 * replacing a descriptor would do so in the server. */
IN_CHILD static long leave_table(const struct child *child)
{
    if (child->seat < 0 || syscall(SYS_close_range, (unsigned)child->seat + SEAT_DESCRIPTORS, ~0U,
                                   CLOSE_RANGE_UNSHARE) == 0)
        return 0;
    return syscall(SYS_unshare, CLONE_FILES); /* before Linux 5.9 */
}

IN_CHILD static long set_limits(struct child *child)
{
    const struct confinement *confine = child->confine;
    child->stage = "limits";
    for (int i = 0; confine != NULL && i < CONFINE_LIMITS; i++) {
        if (confine->limits[i].set &&
            syscall(SYS_prlimit64, 0, child->resources[i], &child->limits[i], NULL) < 0)
            return -1;
    }
    if (confine != NULL && confine->reset_oom)
        inheritance_reset_oom();
    if (confine != NULL && confine->set_umask)
        (void)syscall(SYS_umask, confine->umask);
    if (confine != NULL && confine->set_nice &&
        syscall(SYS_setpriority, PRIO_PROCESS, 0, confine->nice) < 0)
        return -1;
    return 0;
}

/* Executes the helper, which does the rest in memory of its own. Its environment is empty: the
 * command's is in its order. */
IN_CHILD static int become_helper(struct child *child)
{
    static const char path[] = "/proc/self/exe";
    static const char *const argv[] = {HELPER_NAME, NULL};
    static const char *const env[] = {NULL};
    const unsigned long none = 0;
    child->stage = "helper";
    if (syscall(SYS_dup3, child->order_fd, HELPER_ORDER_FD, 0) < 0 ||
        syscall(SYS_dup3, child->status_fd, HELPER_STATUS_FD, 0) < 0 ||
        (child->note_fd >= 0 && syscall(SYS_dup3, child->note_fd, HELPER_NOTE_FD, 0) < 0) ||
        (child->helper_fence_fd >= 0 &&
         syscall(SYS_dup3, child->helper_fence_fd, HELPER_FENCE_FD, 0) < 0))
        return fail_child(child);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGSET_BYTES);
    if (child->program_fd > 0)
        (void)syscall(SYS_execveat, child->program_fd, "", argv, env, AT_EMPTY_PATH);
    (void)syscall(SYS_execve, path, argv, env);
    if (errno == ENOENT && child->own_path != NULL) /* a root without /proc */
        (void)syscall(SYS_execve, child->own_path, argv, env);
    return fail_child(child);
}

IN_CHILD static long enter_cgroup(struct child *child)
{
    child->stage = stage_cgroup;
    if (child->order.move_errno != 0)
        errno = child->order.move_errno;
    else if (child->order.procs_fd < 0 || syscall(SYS_write, child->order.procs_fd, "0", 1) == 1)
        return 0;
    child->cgroup_refused = true;
    return child->confine->cgroup_optional ? 0 : -1;
}

IN_CHILD static int child_main(void *argument)
{
    struct child *child = argument;
    /* Either spawn_cancel sees that we have begun, or we see that it was called before. */
    atomic_store(&child->control->begun, true);
    if (atomic_load(&child->control->cancelled)) {
        errno = ECANCELED;
        return fail_child(child);
    }
    /* The kernel kills the child when the server ends. (In fact when the thread ends that made the
     * child; companions end after their jobs.) */
    (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0UL, 0UL, 0UL);
    if (syscall(SYS_getppid) != child->parent) { /* the server ended before that */
        errno = ECANCELED;
        return fail_child(child);
    }
    reset_signals(child);
    child->stage = "session";
    if (syscall(SYS_setsid) < 0)
        return fail_child(child);
    if (enter_cgroup(child) < 0)
        return fail_child(child);
    /* Before leave_table closes its descriptor. */
    child->stage = stage_fence;
    if (child->confine != NULL && child->confine->fence_fd > 0 && child->helper_fence_fd < 0 &&
        fence_enter(child->confine->fence_fd) < 0)
        return fail_child(child);
    child->stage = stage_table;
    if (leave_table(child) < 0)
        return fail_child(child);
    child->stage = "stdio";
    for (int fd = 0; fd < 3; fd++) {
        if (syscall(SYS_dup3, child->stdio[fd], fd, 0) < 0)
            return fail_child(child);
    }
    /* Makes it the controlling terminal of the new session, also if the helper comes next. */
    child->stage = stage_terminal;
    if (child->on_terminal && syscall(SYS_ioctl, 0, TIOCSCTTY, 0) < 0)
        return fail_child(child);
    if (child->order_fd >= 0)
        return become_helper(child);
    /* All descriptors of the server are close-on-exec; this also closes those that a library opened
     * without the flag. Fails before Linux 5.9. */
    (void)syscall(SYS_close_range, 3U, ~0U, 0U);
    if (set_limits(child) < 0)
        return fail_child(child);
    child->stage = "chdir";
    if (child->cwd != NULL && syscall(SYS_chdir, child->cwd) < 0 &&
        (!child->cwd_optional || syscall(SYS_chdir, "/") < 0))
        return fail_child(child);
    child->stage = "exec";

    const unsigned long none = 0;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGSET_BYTES);

    /* As execvp(3): a file that may not be executed (EACCES) does not end the search, but this
     * error is reported if nothing else is found. */
    int denied = 0;
    for (char **path = child->candidates; *path != NULL; path++) {
        (void)syscall(SYS_execve, *path, child->argv, child->env);
        if (errno == EACCES)
            denied = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return fail_child(child);
    }
    if (denied != 0)
        errno = denied;
    const int failed_errno = errno;
    interpreter_look(child->candidates, &child->head);
    errno = failed_errno;
    return fail_child(child);
}

static char *join(const char *directory, size_t length, const char *name)
{
    char *path = malloc(length + 1 + strlen(name) + 1);
    if (path == NULL)
        return NULL;
    memcpy(path, directory, length);
    path[length] = '/';
    memcpy(path + length + 1, name, strlen(name) + 1);
    return path;
}

static void free_candidates(char **candidates)
{
    for (char **at = candidates; at != NULL && *at != NULL; at++)
        free(*at);
    free(candidates);
}

/* The paths at which the program `name` may be; `path` is PATH. NULL: out of memory. */
static char **find_candidates(const char *name, const char *path)
{
    bool search = strchr(name, '/') == NULL && name[0] != '\0';
    size_t count = 1;
    for (const char *at = path; search && *at != '\0'; at++)
        count += *at == ':';

    char **candidates = calloc(count + 1, sizeof *candidates);
    if (candidates == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t length = search ? strcspn(path, ":") : 0;
        if (!search)
            candidates[i] = strdup(name);
        else if (length == 0)
            candidates[i] = join(".", 1, name); /* an empty element is the working directory */
        else
            candidates[i] = join(path, length, name);
        if (candidates[i] == NULL) {
            free_candidates(candidates);
            return NULL;
        }
        path += search ? length + (path[length] == ':') : 0;
    }
    return candidates;
}

/* Makes the child, with all signals blocked: a signal before its reset_signals would run the
 * server's handler in it. */
static pid_t start_it(struct child *child, int *pidfd, int *clone_errno)
{
    /* It can be in this frame: CLONE_VFORK waits until the child does not use the memory any
     * more. */
    _Alignas(16) char stack[CHILD_STACK_BYTES];
    const int cgroup_fd = child->confine != NULL ? child->confine->cgroup_fd : -1;
    child->order = (struct clone_order){.run = child_main,
                                        .argument = child,
                                        .stack = stack,
                                        .stack_bytes = sizeof stack,
                                        .shares_files = child->seat >= 0,
                                        .pidfd = pidfd,
                                        .cgroup_fd = cgroup_fd};
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t pid = clone_child(&child->order);
    *clone_errno = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static void reap(int pidfd)
{
    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
        ;
    (void)close(pidfd);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

void spawn_control_init(struct spawn_control *control)
{
    (void)pthread_mutex_init(&control->lock, NULL);
    atomic_init(&control->pidfd, -1);
    atomic_init(&control->begun, false);
    atomic_init(&control->cancelled, false);
}

void spawn_control_close(struct spawn_control *control)
{
    (void)pthread_mutex_destroy(&control->lock);
}

void spawn_cancel(struct spawn_control *control)
{
    (void)pthread_mutex_lock(&control->lock);
    atomic_store(&control->cancelled, true);
    int pidfd = atomic_load(&control->pidfd);
    if (pidfd >= 0 && atomic_load(&control->begun))
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    (void)pthread_mutex_unlock(&control->lock);
}

/* Called when the child is in its execve or has ended. Takes its pidfd, which spawn_cancel cannot
 * use any more. Returns whether spawn_cancel was called before and has killed the child. */
static bool take_pidfd(struct spawn_control *control, int *pidfd)
{
    (void)pthread_mutex_lock(&control->lock);
    *pidfd = atomic_exchange(&control->pidfd, -1);
    atomic_store(&control->begun, false);
    bool cancelled = atomic_load(&control->cancelled);
    (void)pthread_mutex_unlock(&control->lock);
    return cancelled;
}

/* ---- the spawn ------------------------------------------------------------------------------- */

/* The message for a restriction that could not be applied. */
static enum afar_status explain_bounds(const struct spawn_request *request, const char *stage,
                                       int failed, struct afar_error *err)
{
    if (strcmp(stage, stage_fence) == 0)
        return afar_fail_errno(err, failed,
                               "cannot keep '%s' away from the server's files (Landlock)",
                               request->argv[0]);
    if (strcmp(stage, "files") == 0 && failed == ENOSYS)
        return afar_fail_errno(err, failed,
                               "cannot keep a client inside of the rule's files (openat2, Linux "
                               "5.6, is not to be had here)");
    return afar_fail_errno(err, failed, "cannot execute '%s' as its rule says (%s)",
                           request->argv[0], stage);
}

/* The message for a stage that failed, with its path. */
static enum afar_status explain(const struct spawn_request *request, const char *stage, int failed,
                                const struct interpreter_head *head, struct afar_error *err)
{
    char why[INTERPRETER_HEAD_BYTES + 64];
    const char *root = request->confine != NULL ? request->confine->root : NULL;
    if (strcmp(stage, stage_terminal) == 0)
        return afar_fail_errno(err, failed, "cannot make a terminal that of '%s'",
                               request->argv[0]);
    if (strcmp(stage, "chroot") == 0)
        return afar_fail_errno(err, failed, "cannot change to the root directory '%s'", root);
    if (strcmp(stage, "chdir") == 0 && root != NULL)
        return afar_fail_errno(err, failed, "cannot change to directory '%s' in the root '%s'",
                               request->cwd, root);
    if (strcmp(stage, "chdir") == 0)
        return afar_fail_errno(err, failed, "cannot change to directory '%s'", request->cwd);
    if (strcmp(stage, "exec") == 0 && interpreter_explain(head, why, sizeof why))
        return afar_fail_errno(err, failed, "cannot execute '%s': %s", request->argv[0], why);
    if (strcmp(stage, "exec") == 0)
        return afar_fail_errno(err, failed, "cannot execute '%s'", request->argv[0]);
    return explain_bounds(request, stage, failed, err);
}

/* Makes the process. *pidfd is the caller's on success. */
static enum afar_status start_child(const struct spawn_request *request, struct child *child,
                                    struct spawn_control *control, struct helper_way *helper,
                                    struct spawn_result *result, struct afar_error *err)
{
    int clone_errno = 0;
    int pidfd = -1;
    result->stage = "clone";
    if (atomic_load(&control->cancelled))
        return afar_fail_errno(err, ECANCELED, "cannot execute '%s'", request->argv[0]);
    /* The kernel writes the pidfd before the child runs. */
    pid_t pid = start_it(child, (int *)(void *)&control->pidfd, &clone_errno);
    const char *stage = child->stage;
    bool failed = child->failed;
    int failed_errno = child->failed_errno;
    if (pid >= 0 && !failed && helper != NULL &&
        !helper_way_wait(helper, &stage, &failed_errno, &child->head))
        failed = true;
    bool cancelled = take_pidfd(control, &pidfd);
    if (pid < 0)
        return afar_fail_errno(err, clone_errno, "cannot start a process");
    /* If it was killed in its execve or just after, it counts as a command that ran. */
    if (failed || (cancelled && strcmp(stage, "exec") != 0)) {
        reap(pidfd);
        result->stage = stage;
        return explain(request, result->stage, failed ? failed_errno : ECANCELED, &child->head,
                       err);
    }
    result->pid = pid;
    result->pidfd = pidfd;
    result->cgroup_refused = child->cgroup_refused;
    return AFAR_OK;
}

/* Tells the child where its standard streams are: at a seat, or (-1) in *stdio. */
static enum afar_status sit(struct child *child, int seat, struct stdio *stdio,
                            struct afar_error *err)
{
    child->seat = seat;
    child->stage = "session";
    child->failed = child->cgroup_refused = false;
    if (seat < 0 && stdio->child[0] < 0) {
        stdio->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (stdio->child[0] < 0)
            return afar_fail_errno(err, errno, "cannot open /dev/null");
    }
    for (int fd = 0; fd < 3; fd++)
        child->stdio[fd] = seat >= 0 ? seat + fd : stdio->child[fd];
    return AFAR_OK;
}

uint64_t spawn_default_signals(void)
{
    uint64_t bits = 0;
    for (int number = 1; number <= KERNEL_SIGNALS; number++) {
        struct kernel_sigaction action;
        if (syscall(SYS_rt_sigaction, number, NULL, &action, KERNEL_SIGSET_BYTES) == 0 &&
            action.handler == SIG_DFL)
            bits |= UINT64_C(1) << (number - 1);
    }
    return bits;
}

/* Converts the limits for prlimit(2), so that the child need not call confine_resource. */
static void copy_limits(const struct confinement *confine, struct rlimit limits[CONFINE_LIMITS],
                        int resources[CONFINE_LIMITS])
{
    for (int i = 0; confine != NULL && i < CONFINE_LIMITS; i++) {
        limits[i] = (struct rlimit){.rlim_cur = confine->limits[i].soft,
                                    .rlim_max = confine->limits[i].hard};
        resources[i] = confine_resource((enum confine_limit)i);
    }
}

static enum afar_status open_way(const struct spawn_request *request, struct child *child,
                                 struct helper_way *helper, struct afar_error *err)
{
    static const struct confinement none = {.cgroup_fd = -1};
    const struct helper_order order = {.candidates = child->candidates,
                                       .argv = request->argv,
                                       .env = request->env,
                                       .cwd = request->cwd,
                                       .cwd_optional = request->cwd_optional,
                                       .confine =
                                           request->confine != NULL ? request->confine : &none,
                                       .files = request->files,
                                       .forward = request->forward};
    enum afar_status status = helper_way_open(helper, &order, err);
    child->order_fd = helper->order;
    child->status_fd = helper->its;
    child->note_fd = helper->note_its;
    child->program_fd = request->program_fd;
    child->own_path = (const char *)getauxval(AT_EXECFN); // NOLINT(performance-no-int-to-ptr)
    child->helper_fence_fd = helper->fence;
    return status;
}

static bool needs_helper(const struct spawn_request *request)
{
    return confine_needs_helper(request->confine) || request->files != NULL ||
           request->forward != NULL;
}

enum afar_status spawn_process(const struct spawn_request *request, struct spawn_control *control,
                               struct spawn_result *result, struct afar_error *err)
{
    *result = (struct spawn_result){.pid = -1,
                                    .pidfd = -1,
                                    .stdin_fd = -1,
                                    .stdout_fd = -1,
                                    .stderr_fd = -1,
                                    .note_fd = -1,
                                    .stage = "pipe"};
    const char *path = environment_get(request->env, "PATH");
    struct rlimit limits[CONFINE_LIMITS];
    int resources[CONFINE_LIMITS];
    struct helper_way helper = {-1, -1, -1, -1, -1, -1};
    const bool by_helper = needs_helper(request);
    struct child child = {.parent = getpid(),
                          .argv = request->argv,
                          .env = request->env,
                          .cwd = request->cwd,
                          .cwd_optional = request->cwd_optional,
                          .on_terminal = request->terminal != NULL,
                          .confine = request->confine,
                          .limits = limits,
                          .resources = resources,
                          .order_fd = -1,
                          .helper_fence_fd = -1,
                          .note_fd = -1,
                          .default_signals = request->default_signals,
                          .seat = -1,
                          .stage = "session"};
    struct spawn_control nobody;
    struct stdio stdio;
    spawn_control_init(&nobody);
    if (request->terminal != NULL)
        result->stage = stage_terminal;
    enum afar_status status =
        request->terminal != NULL
            ? stdio_open_terminal(&stdio, request->terminal, result->terminal, err)
            : stdio_open_pipes(&stdio, request->stdin_pipe, err);
    if (status != AFAR_OK)
        goto out;

    child.candidates = find_candidates(
        request->program != NULL ? request->program : request->argv[0], path == NULL ? "" : path);
    if (child.candidates == NULL) {
        status = afar_fail(err, AFAR_ENOMEM, "out of memory for a command's path");
        goto out;
    }
    child.control = control != NULL ? control : &nobody;
    copy_limits(request->confine, limits, resources);
    if (by_helper) {
        status = open_way(request, &child, &helper, err);
        if (status != AFAR_OK)
            goto out;
    }
    /* Not with the helper: its descriptors lie above the seat and would be closed. */
    status = sit(&child, by_helper ? -1 : seats_take(request->seats, stdio.child), &stdio, err);
    if (status != AFAR_OK)
        goto out;
    status = start_child(request, &child, child.control, by_helper ? &helper : NULL, result, err);
    if (status != AFAR_OK && child.stage == stage_table) {
        seats_leave(request->seats, child.seat);
        /* Try again with a copy of the whole table. */
        status = sit(&child, -1, &stdio, err);
        if (status == AFAR_OK)
            status = start_child(request, &child, child.control, NULL, result, err);
    }
    if (status != AFAR_OK)
        goto out;
    result->stdin_fd = stdio.ours[0];
    result->stdout_fd = stdio.ours[1];
    result->stderr_fd = stdio.ours[2];
    result->note_fd = helper.note_ours;
    stdio.ours[0] = stdio.ours[1] = stdio.ours[2] = helper.note_ours = -1;
out:
    seats_leave(request->seats, child.seat);
    free_candidates(child.candidates);
    helper_way_close(&helper);
    stdio_close(&stdio);
    spawn_control_close(&nobody);
    return status;
}
