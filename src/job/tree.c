/* All processes of a job: signals them, and makes sure that none is left.
 *
 * They are found in /proc, which is slow if there are many; so the host's sweeper does it in short
 * steps, and other jobs' steps run in between. Reading another process's memory may hang (on a
 * hostile user's file system): then the job continues without the answer. */
#include "job/internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "exec/orphans.h"

enum {
    PART_US = 5000,
    RETRY_MS = 50,   /* after a lack of memory */
    STUCK_MS = 2000, /* for one step */
    STUCK_MAX = 3,   /* then the remaining processes are not looked for */
    UNBEGUN_MS = 30000,
    HUNG_MAX = 32 /* hung threads that are replaced */
};

/* Has copies of all that it needs, because it may outlive its job. */
struct tree_op {
    struct task task;
    struct job_host *host;
    struct job *job;    /* NULL: given up */
    bool hangs;         /* given up, and counted in hung_looks */
    struct sweep sweep; /* while busy the sweeper's, with the next two */
    enum sweep_progress progress;
    int64_t wait_ms;
    atomic_llong begun_ms; /* start of the step in progress; 0: waits for a thread */
    char variable[sizeof JOB_VARIABLE + MESSAGE_JOB_ID_BYTES];
    char cgroup[CGROUP_NAME_BYTES];
};

static void done(struct mail *mail);

/* Runs in the sweeper. */
static void work(struct task *task)
{
    struct tree_op *op = list_object(task, struct tree_op, task);
    atomic_store(&op->begun_ms, clock_now_ms());
    op->progress = sweep_step(&op->sweep, clock_now_us() + PART_US, &op->wait_ms);
}

static void op_free(struct tree_op *op)
{
    if (op == NULL)
        return;
    sweep_close(&op->sweep);
    free(op);
}

static struct tree_op *op_new(struct job *job)
{
    struct tree_op *op = calloc(1, sizeof *op);
    if (op == NULL)
        return NULL;
    op->host = job->host;
    op->job = job;
    op->task.work = work;
    op->task.done.deliver = done;
    sweep_init(&op->sweep);
    memcpy(op->variable, job->launch.variable, sizeof op->variable);
    memcpy(op->cgroup, job->launch.cgroup, sizeof op->cgroup);
    return op;
}

static void post(struct job *job)
{
    struct tree_op *op = job->tree.op;
    atomic_store(&op->begun_ms, 0);
    job->tree.stuck_at_ms = clock_now_ms() + STUCK_MS;
    companion_post(job->host->sweeper, &op->task);
    job_set_timer(job);
}

void job_tree_init(struct job *job)
{
    job->tree.again_at_ms = job->tree.stuck_at_ms = DEADLINE_NEVER;
}

void job_tree_close(struct job *job)
{
    op_free(job->tree.op);
    job->tree.op = NULL;
}

/* Names the pipes of its output that are still open, or its terminal. Not those that we have
 * closed: their inode numbers may have been reused. */
static void add_pipes(const struct job *job, struct sweep_order *order)
{
    struct stat info;
    if (job_is_on_terminal(job)) {
        (void)snprintf(order->terminal, sizeof order->terminal, "%s%s",
                       job->launch.spawned.terminal, job_terminal_is_open(job) ? "" : " (deleted)");
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (job->streams.output[i].source.fd >= 0 &&
            fstat(job->streams.output[i].source.fd, &info) == 0)
            order->pipes[order->pipe_count++] = info.st_ino;
    }
}

/* Begins a sweep. AFAR_ENOMEM. */
static enum afar_status begin(struct job *job, enum tree_want want)
{
    struct job_tree *tree = &job->tree;
    if (tree->op == NULL)
        tree->op = op_new(job);
    if (tree->op == NULL)
        return AFAR_ENOMEM;
    struct sweep_order order = {
        .leader = job->process.pid,
        .leader_ended = job->state >= JOB_DRAINING,
        .mark = {.session = job->process.pid, .variable = tree->op->variable},
        .orphans = job->host->orphans,
        .cgroups = job->launch.cgroups,
        .cgroup = job->launch.has_cgroup ? tree->op->cgroup : NULL,
        .signals = {SIGKILL},
        .spares = want == TREE_LEAVE || (want == TREE_LINGER && job_may_leave(job)),
        .until_none = want == TREE_SWEEP || want == TREE_LEAVE};
    if (want == TREE_END) {
        order.signals[0] = SIGTERM;
        order.signals[1] = SIGCONT;
    }
    if (want == TREE_LEAVE && job_is_on_terminal(job))
        job_hang_up(job);
    if (want == TREE_LINGER || want == TREE_LEAVE)
        add_pipes(job, &order);
    tree->busy = true;
    tree->does = want;
    sweep_begin(&tree->op->sweep, &order);
    post(job);
    return AFAR_OK;
}

/* Begins the strongest of what is wanted, which includes the weaker ones. */
static void begin_next(struct job *job)
{
    struct job_tree *tree = &job->tree;
    if (tree->busy || tree->wanted == 0)
        return;
    enum tree_want want = TREE_SWEEP;
    while ((tree->wanted & want) == 0)
        want >>= 1;
    tree->wanted = 0;
    if (begin(job, want) == AFAR_OK)
        return;
    tree->wanted = want;
    tree->again_at_ms = clock_now_ms() + RETRY_MS;
    job_set_timer(job);
}

void job_tree_want(struct job *job, enum tree_want want)
{
    job->tree.wanted |= want;
    begin_next(job);
}

static void note_left(const struct job *job)
{
    const struct job_tree *tree = &job->tree;
    const struct sweep_result *result = &tree->result;
    size_t left = result->left;
    if (left == 0 && tree->does == TREE_SWEEP)
        left = result->cgroup_left;
    if (left > 0)
        log_write(job->host->log, LOG_LEVEL_WARN,
                  "%s: job %s: %zu of its processes have been killed but do not end%s", job->label,
                  job->launch.id, left, result->denied > 0 ? " (not permitted)" : "");
}

/* The command's leftovers were examined, and some of them ended. */
static void settle(struct job *job)
{
    struct job_tree *tree = &job->tree;
    note_left(job);
    switch (job_left_settle(job, &tree->op->sweep)) {
    case JOB_LEFT_SETTLED:
        tree->swept = true;
        tree->wanted = 0;
        break;
    case JOB_LEFT_AGAIN:
        tree->wanted |= TREE_LEAVE;
        break;
    case JOB_LEFT_NONE:
        tree->wanted |= TREE_SWEEP;
        break;
    }
}

static void finish(struct job *job)
{
    struct job_tree *tree = &job->tree;
    tree->busy = false;
    if (tree->does == TREE_LEAVE) {
        settle(job);
    } else if (tree->does == TREE_SWEEP) {
        job->launch.has_cgroup = job->launch.has_cgroup && tree->result.cgroup_left;
        tree->swept = true;
        tree->wanted = 0;
        note_left(job);
    } else if (tree->does == TREE_LINGER) {
        job_end_linger(job, &tree->result.holders);
    }
    begin_next(job);
}

static void done(struct mail *mail)
{
    struct tree_op *op = list_object(mail, struct tree_op, task.done);
    struct job *job = op->job;
    if (op->hangs)
        (void)atomic_fetch_sub(&op->host->figures->hung_looks, 1);
    if (job == NULL)
        op_free(op);
    if (job == NULL || op->host->ended) /* (it was given up and goes on) */
        return;
    job->tree.stuck_at_ms = DEADLINE_NEVER;
    if (op->progress == SWEEP_MORE) {
        post(job);
        return;
    }
    if (op->progress == SWEEP_WAIT) {
        job->tree.again_at_ms = clock_now_ms() + op->wait_ms;
        job_set_timer(job);
        return;
    }
    job->tree.result = op->sweep.result;
    finish(job);
    job_advance(job);
}

/* Continues without the op that hangs. */
static void leave_op(struct job *job)
{
    struct job_tree *tree = &job->tree;
    tree->stuck_at_ms = DEADLINE_NEVER;
    tree->stuck++;
    log_write(job->host->log, LOG_LEVEL_WARN,
              "%s: job %s: reading /proc of one of its processes hangs", job->label,
              job->launch.id);
    if (tree->does == TREE_LEAVE) { /* a process that cannot be examined does not stay */
        job_left_give_up(job);
        tree->does = TREE_SWEEP;
    }
    if (tree->stuck < STUCK_MAX) {
        tree->busy = false;
        tree->wanted |= tree->does;
        begin_next(job);
        return;
    }
    (void)process_signal_group(job->process.pid, tree->does == TREE_END ? SIGTERM : SIGKILL);
    tree->result = (struct sweep_result){.cgroup_left = job->launch.has_cgroup};
    finish(job);
}

/* Reading a process hangs: the next sweep skips that process. */
static void give_up_op(struct job *job)
{
    struct tree_op *op = job->tree.op;
    sweep_cancel(&op->sweep);
    op->job = NULL; /* freed when its work returns */
    op->hangs = companion_give_up(job->host->sweeper, &op->task, HUNG_MAX) != COMPANION_DONE;
    if (op->hangs)
        (void)atomic_fetch_add(&job->host->figures->hung_looks, 1);
    job->tree.op = NULL;
    leave_op(job);
}

void job_tree_run_timers(struct job *job, int64_t now_ms)
{
    struct job_tree *tree = &job->tree;
    if (tree->again_at_ms <= now_ms) {
        tree->again_at_ms = DEADLINE_NEVER;
        if (tree->busy)
            post(job);
        else
            begin_next(job);
    }
    if (tree->stuck_at_ms > now_ms)
        return;
    int64_t begun_ms = atomic_load(&tree->op->begun_ms);
    if (begun_ms > 0 && now_ms - begun_ms >= STUCK_MS)
        give_up_op(job);
    else if (begun_ms == 0 && now_ms - tree->op->task.posted_ms >= UNBEGUN_MS &&
             companion_withdraw(job->host->sweeper, &tree->op->task))
        leave_op(job); /* all threads hang */
    else
        tree->stuck_at_ms = now_ms + STUCK_MS;
}

/* False: a process is in the cgroup, or its events must still be read. */
static bool leave_empty_cgroup(struct job *job)
{
    struct job_launch *launch = &job->launch;
    if (launch->has_cgroup && !launch->limits_cgroup)
        launch->has_cgroup = !cgroup_remove_empty(launch->cgroups, launch->cgroup);
    return !launch->has_cgroup;
}

bool job_tree_rests(const struct job *job)
{
    const struct job_tree *tree = &job->tree;
    return !tree->busy && tree->wanted == 0 && tree->again_at_ms == DEADLINE_NEVER &&
           tree->stuck_at_ms == DEADLINE_NEVER;
}

void job_tree_moved(struct job *job)
{
    if (job->tree.op != NULL)
        job->tree.op->host = job->host;
}

bool job_tree_swept(struct job *job)
{
    struct job_tree *tree = &job->tree;
    const struct family_mark mark = {.session = job->process.pid, .variable = job->launch.variable};
    const bool last = tree->does == TREE_SWEEP || tree->does == TREE_LEAVE;
    if (tree->swept)
        return true;
    if (last && (tree->busy || tree->wanted != 0))
        return false;
    if (!tree->busy && orphans_none(job->host->orphans, &mark) && leave_empty_cgroup(job)) {
        (void)process_signal_group(job->process.pid, SIGKILL);
        return true;
    }
    job_tree_want(job, job_may_leave(job) ? TREE_LEAVE : TREE_SWEEP);
    return false;
}
