/* How a command begins, in the companion: the decider says what to run, and this code runs it. */
#include "job/launch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"

static void limit_to(struct confine_value *limit, const struct rule_number *number)
{
    if (number->set)
        *limit = (struct confine_value){.set = true, .soft = number->value, .hard = number->value};
}

static void restore(struct confine_value *limit, const struct rlimit *was)
{
    *limit = (struct confine_value){.set = true, .soft = was->rlim_cur, .hard = was->rlim_max};
}

/* The limits that this process was started with, then those of the rule. */
static void confine(const struct job_launch *launch, struct confinement *confine)
{
    const struct rule *rule = launch->decision.rule;
    const struct job_base *base = launch->base;
    *confine = (struct confinement){.cgroup_fd = -1, .reset_oom = base->oom_protected};
    restore(&confine->limits[CONFINE_NOFILE], &base->descriptors);
    restore(&confine->limits[CONFINE_CORE], &base->core);
    confine->set_umask = base->umask_changed;
    confine->umask = base->umask;
    if (rule == NULL)
        return;
    limit_to(&confine->limits[CONFINE_NOFILE], &rule->nofile);
    limit_to(&confine->limits[CONFINE_CORE], &rule->core_bytes);
    limit_to(&confine->limits[CONFINE_NPROC], &rule->nproc);
    limit_to(&confine->limits[CONFINE_AS], &rule->as_bytes);
    limit_to(&confine->limits[CONFINE_CPU], &rule->cpu_s);
    if (launch->request->subsystem != NULL)
        limit_to(&confine->limits[CONFINE_FSIZE], &rule->files_max);
    confine->limits[CONFINE_CPU].hard++; /* so that XCPU comes before KILL and shows the reason */
    if (rule->umask.set) {
        confine->set_umask = true;
        confine->umask = (mode_t)rule->umask.value;
    }
    confine->set_nice = rule->nice_set;
    confine->nice = rule->nice;
    /* A forward only connects: it needs no files of that root, only the resolver's outside it. */
    confine->root = launch->request->forward == NULL ? rule->chroot : NULL;
    confine->set_user = rule->user.name != NULL;
    confine->user = rule->user.uid;
    confine->set_group = confine->set_user || rule->group_set;
    confine->group = rule->group_set ? rule->group : rule->user.gid;
    confine->groups = rule->user.groups;
    confine->group_count = rule->user.group_count;
}

/* A cgroup without limits, to kill all processes in one step. Optional: none is made for a command
 * that may leave processes running, nor for a file server, which starts none. */
static void make_own_cgroup(struct job_launch *launch, struct confinement *confine)
{
    confine->cgroup_optional = true;
    if (!launch->wants_cgroup || launch->cgroups == NULL || launch->leaves ||
        launch->request->subsystem != NULL)
        return;
    (void)snprintf(launch->cgroup, sizeof launch->cgroup, "%s%s", launch->id,
                   cgroups_mark(launch->cgroups));
    launch->has_cgroup =
        cgroup_make(launch->cgroups, launch->cgroup, NULL, &confine->cgroup_fd, NULL) == AFAR_OK;
}

/* The cgroup of a command that may leave processes running has no mark, so that the server does not
 * end what is in it. */
static enum afar_status make_cgroup(struct job_launch *launch, struct confinement *confine,
                                    struct afar_error *err)
{
    const struct rule *rule = launch->decision.rule;
    if (rule == NULL || !rule_wants_cgroup(rule)) {
        make_own_cgroup(launch, confine);
        return AFAR_OK;
    }
    launch->spawned.stage = "cgroup";
    if (launch->cgroups == NULL)
        return afar_fail_errno(err, ENOSYS,
                               "its rule '%s' needs a cgroup, and the server cannot make one",
                               rule->name);
    const struct cgroup_limits limits = {.memory_bytes = rule->memory_bytes.value,
                                         .cpu_millis = rule->cpu_millis.value,
                                         .pids = rule->pids.value};
    (void)snprintf(launch->cgroup, sizeof launch->cgroup, "%s%s", launch->id,
                   launch->leaves ? "" : cgroups_mark(launch->cgroups));
    enum afar_status status =
        cgroup_make(launch->cgroups, launch->cgroup, &limits, &confine->cgroup_fd, err);
    launch->has_cgroup = launch->limits_cgroup = status == AFAR_OK;
    return status;
}

/* *fd: 0 if the command has no fence. */
static enum afar_status take_fence(struct job_launch *launch, int *fd, struct afar_error *err)
{
    *fd = 0;
    if (launch->fence == NULL && launch->fence_fd <= 0)
        return AFAR_OK;
    launch->spawned.stage = "fence";
    if (launch->fence_fd > 0) {
        *fd = fcntl(launch->fence_fd, F_DUPFD_CLOEXEC, 3);
        return *fd > 0 ? AFAR_OK : afar_fail_errno(err, errno, "cannot take the fence");
    }
    enum afar_status status = fence_take(launch->fence, fd, err);
    if (status != AFAR_OK)
        *fd = 0;
    return status;
}

/* NULL: the environment has no such room. */
static char *tty_room(char **environment, const char *room)
{
    for (char **at = environment; at != NULL && *at != NULL; at++) {
        if (strcmp(*at, room) == 0)
            return strchr(*at, '=') + 1;
    }
    return NULL;
}

static struct pty_wish wish(const struct pty_request *pty, const struct confinement *confine,
                            char **environment)
{
    static_assert(sizeof JOB_TTY_NAME_ROOM == PTY_NAME_BYTES, "its room");
    if (pty == NULL)
        return (struct pty_wish){.utf8 = false};
    return (struct pty_wish){
        .size = {.rows = pty->size.rows,
                 .cols = pty->size.cols,
                 .xpixel = pty->size.xpixel,
                 .ypixel = pty->size.ypixel},
        .utf8 = pty->utf8,
        .owned = confine->set_user,
        .owner = confine->user,
        .tell = {tty_room(environment, JOB_TTY_ROOM), tty_room(environment, JOB_SSH_TTY_ROOM)}};
}

static enum afar_status start(struct job_launch *launch, struct afar_error *err)
{
    const struct policy_decision *decision = &launch->decision;
    struct confinement confinement;
    confine(launch, &confinement);
    enum afar_status status = make_cgroup(launch, &confinement, err);
    if (status == AFAR_OK)
        status = take_fence(launch, &confinement.fence_fd, err);
    if (status != AFAR_OK)
        goto out;
    static char *everything[] = {NULL};
    const struct helper_files files = {.roots = decision->roots.count > 0 ? decision->roots.at
                                                                          : everything,
                                       .home = decision->home,
                                       .notes = launch->tells_files,
                                       .all_notes = launch->tells_all};
    const struct pty_request *pty = launch->request->pty;
    const struct pty_wish terminal = wish(pty, &confinement, launch->environment);
    const struct spawn_request request = {
        .argv = decision->argv != NULL ? decision->argv : launch->request->argv,
        .program = decision->program,
        .env = launch->environment,
        .cwd = decision->cwd,
        .cwd_optional = decision->cwd_is_home,
        .stdin_pipe = launch->request->stdin_stream,
        .terminal = pty != NULL ? &terminal : NULL,
        .files = launch->request->subsystem != NULL ? &files : NULL,
        .forward = launch->request->forward,
        .confine = &confinement,
        .seats = launch->base->seats,
        .default_signals = launch->base->default_signals,
        .program_fd = launch->base->program_fd};
    status = spawn_process(&request, &launch->control, &launch->spawned, err);
    if (status == AFAR_ESYSTEM && decision->login_name != NULL && err->sys_errno == ENOENT &&
        strcmp(launch->spawned.stage, "exec") == 0) {
        (void)afar_fail(err, AFAR_ESYSTEM,
                        "no shell there: %s; name a program: afar run -t HOST -- PROGRAM",
                        decision->program != NULL ? decision->program : "/bin/sh");
        err->sys_errno = ENOENT;
    }
out:
    if (confinement.cgroup_fd >= 0)
        (void)close(confinement.cgroup_fd);
    if (confinement.fence_fd > 0)
        (void)close(confinement.fence_fd);
    if ((status != AFAR_OK || launch->spawned.cgroup_refused) && launch->has_cgroup)
        launch->has_cgroup = !cgroup_remove(launch->cgroups, launch->cgroup);
    return status;
}

void job_launch_work(struct task *task)
{
    struct job_launch *launch = list_object(task, struct job_launch, task);
    struct afar_error *err = &launch->error;
    launch->begin_us = clock_now_us();
    atomic_store(&launch->begun_ms, launch->begin_us / 1000);
    uint64_t within_ms = launch->request->start_within_ms;
    launch->too_late =
        within_ms > 0 && (uint64_t)(launch->begin_us - launch->created_us) / 1000 > within_ms;
    if (launch->too_late)
        return;
    launch->status = launch->decider->decide(launch->decider, launch, err);
    atomic_store(&launch->starting, true);
    if (launch->status == AFAR_OK && !launch->kept)
        launch->status = start(launch, err);
    launch->end_us = clock_now_us();
}
