#include "job/job.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "exec/signal_name.h"
#include "job/internal.h"

enum { POLL_MAX_MS = 64 };

static void spawn_done(struct mail *mail);
static void place_granted(struct mail *mail);
static void timer_fired(struct timer *timer);

/* The only way to change its state: one after the other, but that QUEUED may be left out. */
static void become(struct job *job, enum job_state state)
{
    assert(worker_is_here(job->worker));
    assert(state == job->state + 1 || (job->state == JOB_NEW && state == JOB_SPAWNING));
    figures_job(&job->worker->shared->figures, job->state, state);
    job->state = state;
}

bool job_has_run(const struct job *job)
{
    return job->state >= JOB_RUNNING;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static struct job *new_job(struct worker *worker, struct job_owner *owner,
                           struct exec_request *request, const struct job_origin *origin)
{
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        exec_request_free(request);
        return NULL;
    }
    job->worker = worker;
    job->owner = owner;
    job->request = request;
    list_init(&job->link);
    utf8_copy(job->label, sizeof job->label, origin->label);
    job->group = origin->group;
    buffer_init(&job->input, (size_t)worker->config->stdin_bytes);
    loop_source_init(&job->exit_source);
    loop_source_init(&job->stdin_source);
    for (int i = 0; i < 2; i++) {
        job->output[i] = (struct job_pipe){.job = job, .stream = (enum stream)i};
        loop_source_init(&job->output[i].source);
    }
    spawn_control_init(&job->control);
    job->created_us = clock_now_us();
    job->start_by_ms = job->spawn_by_ms = DEADLINE_NEVER;
    job->timeout_at_ms = job->kill_at_ms = job->linger_at_ms = DEADLINE_NEVER;
    job->linger_max_at_ms = job->retry_at_ms = job->poll_at_ms = DEADLINE_NEVER;
    job_tree_init(job);
    job->entry.granted.deliver = place_granted;
    job->entry.may_spawn.deliver = job_spawn_turn;
    job->task.work = job_begin;
    job->task.done.deliver = spawn_done;
    return job;
}

static void begin_spawning(struct job *job)
{
    struct worker *worker = job->worker;
    become(job, JOB_SPAWNING);
    /* It may have waited for its turn, and the rules be others now. */
    rules_free(job->rules);
    job->rules = rules_keep(worker->config->rules);
    fence_free(job->fence);
    job->fence = fence_keep(worker->fence);
    job->start_by_ms = DEADLINE_NEVER;
    job_spawn_begin(job);
}

static void begin_waiting(struct job *job)
{
    become(job, JOB_QUEUED);
    job->start_by_ms = job->created_us / 1000 + (int64_t)job->request->start_within_ms;
    counters_count(&job->worker->shared->counters, COUNTER_JOBS_QUEUED);
    timer_arm(loop_timers(job->worker->loop), &job->timer, job->start_by_ms);
}

enum afar_status job_start(struct job **job, struct worker *worker, struct job_owner *owner,
                           struct exec_request *request, const struct job_origin *origin,
                           size_t *position, enum counter *limit, struct afar_error *err)
{
    *job = NULL;
    *position = 0;
    struct job *made = new_job(worker, owner, request, origin);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a job");
    enum afar_status status =
        timer_attach(loop_timers(worker->loop), &made->timer, timer_fired, err);
    if (status == AFAR_OK)
        status = job_prepare(made, origin, limit, err);
    for (int i = 0; i < 2 && status == AFAR_OK && request->digest; i++)
        status = digest_new(&made->digest[i], "sha256", err);
    if (status == AFAR_OK) {
        const struct registry_claim claim = {.identity = origin->owner,
                                             .may_wait = request->start_within_ms > 0,
                                             .mailbox = &worker->mailbox};
        status =
            registry_claim(worker->shared->registry, &made->entry, &claim, position, limit, err);
    }
    if (status != AFAR_OK && status != AFAR_EAGAIN) {
        if (request->argv != NULL)
            job_note(made, status == AFAR_EREFUSED ? "denied" : "refused", err->message, NULL);
        job_free(made);
        return status;
    }
    list_append(&worker->jobs, &made->link);
    if (status == AFAR_EAGAIN) {
        begin_waiting(made);
    } else {
        *position = 0;
        begin_spawning(made);
    }
    *job = made;
    return AFAR_OK;
}

/* Its turn has come; or would have, if nobody had given it up meanwhile. */
static void place_granted(struct mail *mail)
{
    struct job *job = list_object(mail, struct job, entry.granted);
    assert(job->state == JOB_QUEUED);
    bool in_vain = job->entry.displaced || job->stopping || job->owner == NULL ||
                   job->start_by_ms <= clock_now_ms();
    if (in_vain || !job_judge_again(job))
        job_end_refused(job);
    else
        begin_spawning(job);
}

/* Gives up waiting. Where its turn has just come, place_granted does what is left to do. */
static void leave_queue(struct job *job)
{
    job->start_by_ms = DEADLINE_NEVER;
    if (registry_withdraw(job->worker->shared->registry, &job->entry))
        job_end_refused(job);
    else
        job->start_by_ms = 0;
}

/* ---- in between ------------------------------------------------------------------------------ */

/* A signal that is to end it: TERM, or KILL. What could not be sent must not be taken for done.
 * (All of it is signalled a little later, but whether that may be done can be told now.) */
static void signal_to_end(struct job *job, enum tree_want want)
{
    bool kill = want == TREE_KILL;
    if (process_signal_group(job->process.pid, 0) ||
        (kill && job->has_cgroup && cgroup_kill(job->cgroups, job->entry.id)))
        job->stop_reached = true;
    else
        log_write(job->worker->shared->log, LOG_LEVEL_WARN,
                  "%s: job %s: cannot send it SIG%s: its processes are another user's, and the "
                  "server lacks CAP_KILL",
                  job->label, job->entry.id, kill ? "KILL" : "TERM");
    job_tree_want(job, want);
}

/* Where no signal of ours has reached it, it has ended by itself, whatever was meant to happen. But
 * where output was cut, that is what is to be said. */
static void judge_end(struct job *job)
{
    job->stop_failed =
        job->stopping && !job->stop_reached && job->stop_outcome != AFAR_OUTCOME_OUTPUT_LIMIT;
    job->stopping = job->stopping && !job->stop_failed;
}

static void command_ended(struct job *job)
{
    const struct config *config = job->worker->config;
    become(job, JOB_DRAINING);
    judge_end(job);
    job->exited_us = clock_now_us();
    job->timeout_at_ms = job->kill_at_ms = job->poll_at_ms = DEADLINE_NEVER;
    job->linger_at_ms = clock_deadline_ms((int64_t)config->linger_ms);
    job->linger_max_at_ms = clock_deadline_ms((int64_t)config->linger_max_ms);
    job_streams_read(job);
}

static void exit_ready(struct loop_source *source, uint32_t events)
{
    struct job *job = list_object(source, struct job, exit_source);
    (void)events;
    loop_remove(job->worker->loop, source);
    command_ended(job);
    job_advance(job);
}

static enum afar_status begin_running(struct job *job, struct afar_error *err)
{
    job->process = (struct process){.pid = job->spawned.pid, .pidfd = job->spawned.pidfd};
    enum afar_status status = job_streams_open(job, err);
    if (status == AFAR_OK)
        status = loop_add(job->worker->loop, &job->exit_source, job->process.pidfd, EPOLLIN,
                          exit_ready, err);
    return status;
}

/* It runs, but cannot be watched: it is ended at once, and asked for its end now and then. */
static void give_up(struct job *job, const struct afar_error *err)
{
    job->unwatched = true;
    job->spawn_error = *err;
    job->spawned.stage = "watch";
    loop_remove(job->worker->loop, &job->exit_source);
    job_streams_close(job);
    job->poll_pause_ms = 1;
    job->poll_at_ms = clock_now_ms() + job->poll_pause_ms;
    signal_to_end(job, TREE_KILL);
    job_set_timer(job);
}

static void poll_end(struct job *job)
{
    if (process_has_ended(&job->process)) {
        command_ended(job);
        return;
    }
    job->poll_pause_ms = job->poll_pause_ms < POLL_MAX_MS ? 2 * job->poll_pause_ms : POLL_MAX_MS;
    job->poll_at_ms = clock_now_ms() + job->poll_pause_ms;
}

/* The shortest of what was asked for, what its rule says and what all may have. 0: none. */
static void set_timeout(struct job *job)
{
    const struct rule *rule = job->decision.rule;
    const struct {
        uint64_t ms;
        enum afar_limit_owner by;
    } bounds[] = {{job->request->timeout_ms, AFAR_BY_REQUEST},
                  {rule != NULL && rule->timeout_ms.set ? rule->timeout_ms.value : 0, AFAR_BY_RULE},
                  {job->worker->config->job_timeout_ms, AFAR_BY_SERVER}};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (bounds[i].ms > 0 && (job->timeout_ms == 0 || bounds[i].ms < job->timeout_ms)) {
            job->timeout_ms = bounds[i].ms;
            job->timeout_by = bounds[i].by;
        }
    }
    job->timeout_at_ms = clock_deadline_ms((int64_t)job->timeout_ms);
}

/* A job that was given up: its companion is back, too late for all but clearing up. True: it is
 * gone.
 */
static bool came_back(struct job *job)
{
    bool started = !job->too_late && job->refused == NULL && job->spawn_status == AFAR_OK;
    if (started && !job->worker->ended) { /* killed in its execve: its end is seen as ever */
        list_remove(&job->link);
        list_append(&job->worker->jobs, &job->link);
        return false;
    }
    if (started) { /* nobody will see its end */
        (void)process_signal_group(job->spawned.pid, SIGKILL);
        const int fds[] = {job->spawned.pidfd, job->spawned.stdin_fd, job->spawned.stdout_fd,
                           job->spawned.stderr_fd};
        for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
            if (fds[i] >= 0)
                (void)close(fds[i]);
        }
    }
    job_end_quietly(job);
    return true;
}

static void spawn_done(struct mail *mail)
{
    struct job *job = list_object(mail, struct job, task.done);
    struct afar_error err = {0};
    job->spawn_by_ms = DEADLINE_NEVER;
    if (job->given_up && came_back(job))
        return;
    if (job->too_late || job->refused != NULL) {
        job_end_refused(job);
        return;
    }
    if (job->spawn_status != AFAR_OK) {
        if (job->spawn_timed_out && job->spawn_error.sys_errno == ECANCELED)
            job->spawn_error.sys_errno = ETIMEDOUT;
        job_end_not_spawned(job);
        return;
    }
    become(job, JOB_RUNNING);
    counters_count(&job->worker->shared->counters, COUNTER_JOBS);
    if (begin_running(job, &err) != AFAR_OK) {
        give_up(job, &err);
        return;
    }
    registry_set_leader(job->worker->shared->registry, &job->entry, job->process.pid);
    set_timeout(job);
    if (job->owner != NULL)
        job->owner->ops->started(job->owner);
    if (job->early_signal != 0)
        (void)process_signal_group(job->process.pid, job->early_signal);
    if (job->stopping) {
        job->stopping = false;
        job_stop(job, job->stop_outcome);
    }
    if (job->spawn_timed_out) /* in its execve, and killed there */
        job_stop(job, AFAR_OUTCOME_TIMED_OUT);
    job_advance(job);
}

static int64_t earliest(const struct job *job)
{
    int64_t deadline_ms = job->timeout_at_ms;
    if (job->state == JOB_QUEUED)
        return job->start_by_ms;
    if (job->state == JOB_SPAWNING)
        return job->spawn_by_ms;
    if (job->tree.again_at_ms < deadline_ms)
        deadline_ms = job->tree.again_at_ms;
    if (job->tree.stuck_at_ms < deadline_ms)
        deadline_ms = job->tree.stuck_at_ms;
    if (job->poll_at_ms < deadline_ms)
        deadline_ms = job->poll_at_ms;
    if (job->kill_at_ms < deadline_ms)
        deadline_ms = job->kill_at_ms;
    if (job->retry_at_ms < deadline_ms)
        deadline_ms = job->retry_at_ms;
    /* Linger time counts only while the output is being read. */
    if (job->state == JOB_DRAINING && !job->lingered && !job_streams_paused(job)) {
        if (job->linger_at_ms < deadline_ms)
            deadline_ms = job->linger_at_ms;
        if (job->linger_max_at_ms < deadline_ms)
            deadline_ms = job->linger_max_at_ms;
    }
    return deadline_ms;
}

void job_set_timer(struct job *job)
{
    timer_arm(loop_timers(job->worker->loop), &job->timer, earliest(job));
}

void job_advance(struct job *job)
{
    if (job->state == JOB_DRAINING && job_streams_ended(job))
        become(job, JOB_SWEEPING);
    if (job->state == JOB_SWEEPING && job_tree_swept(job)) {
        job_end_finished(job);
        return;
    }
    job_set_timer(job);
}

/* The command has ended, but someone it left behind holds its output open and has been quiet for
 * long enough, or has talked for too long. */
static void kill_holders(struct job *job)
{
    job_streams_read(job);
    if (job_streams_ended(job) || job_streams_paused(job))
        return;
    job->lingered = true;
    job->linger_at_ms = job->linger_max_at_ms = DEADLINE_NEVER;
    counters_count(&job->worker->shared->counters, COUNTER_LINGER);
    job_tree_want(job, TREE_LINGER);
}

void job_end_linger(struct job *job, const struct afar_processes *holders)
{
    job->held_by = *holders; /* (who may be gone already, and the streams have ended) */
    job->held_open = !job_streams_ended(job);
    job_streams_read(job);
}

static void time_out(struct job *job)
{
    counters_count(&job->worker->shared->counters, COUNTER_JOB_TIMEOUT);
    job_stop(job, AFAR_OUTCOME_TIMED_OUT);
}

static void run_timers(struct job *job, int64_t now_ms)
{
    if (job->retry_at_ms <= now_ms) {
        job->retry_at_ms = DEADLINE_NEVER;
        job_streams_retry(job);
    }
    if (job->timeout_at_ms <= now_ms)
        time_out(job);
    if (job->kill_at_ms <= now_ms) {
        job->kill_at_ms = DEADLINE_NEVER;
        signal_to_end(job, TREE_KILL);
    }
    job_tree_run_timers(job, now_ms);
    if (job->poll_at_ms <= now_ms)
        poll_end(job);
    if (job->state == JOB_DRAINING && !job->lingered &&
        (job->linger_at_ms <= now_ms || job->linger_max_at_ms <= now_ms))
        kill_holders(job);
}

static void timer_fired(struct timer *timer)
{
    struct job *job = list_object(timer, struct job, timer);
    switch (job->state) {
    case JOB_QUEUED:
        leave_queue(job);
        return;
    case JOB_SPAWNING:
        job_spawn_timer(job);
        return;
    case JOB_RUNNING:
    case JOB_DRAINING:
    case JOB_SWEEPING:
        run_timers(job, clock_now_ms());
        break;
    case JOB_NEW:
        break;
    }
    job_advance(job);
}

/* ---- verbs ----------------------------------------------------------------------------------- */

const char *job_id(const struct job *job)
{
    return job->entry.id;
}

void job_stop(struct job *job, enum afar_outcome outcome)
{
    if (job->stopping || job->state >= JOB_DRAINING)
        return;
    job->stopping = true;
    job->stop_outcome = outcome;
    job->timeout_at_ms = DEADLINE_NEVER;
    if (job->state == JOB_QUEUED) {
        job->start_by_ms = 0; /* refused by the timer: the caller may be in the middle of a list */
        timer_arm(loop_timers(job->worker->loop), &job->timer, 0);
        return;
    }
    if (job->state == JOB_SPAWNING) {
        job_spawn_stop(job);
        return;
    }
    signal_to_end(job, TREE_END);
    uint64_t grace_ms = job->worker->config->kill_grace_ms;
    job->kill_at_ms = clock_now_ms() + (int64_t)grace_ms;
    job_set_timer(job);
}

void job_drain(struct job *job)
{
    if (job->state == JOB_QUEUED)
        job_stop(job, AFAR_OUTCOME_KILLED);
}

void job_kill(struct job *job, enum afar_outcome outcome)
{
    job_stop(job, outcome);
    if (job->state == JOB_RUNNING) {
        job->kill_at_ms = DEADLINE_NEVER;
        signal_to_end(job, TREE_KILL);
        if (!job->stop_reached) /* the server ends without it */
            job_end_given_up(job);
    } else if (job->state == JOB_DRAINING) {
        job->linger_at_ms = 0; /* whoever holds the output has had its time */
        job_set_timer(job);
    }
}

void job_abandon(struct job *job)
{
    assert(job->owner != NULL);
    job->owner = NULL;
    if (job->state == JOB_QUEUED) {
        job->stopping = true;
        job->stop_outcome = AFAR_OUTCOME_DISCONNECTED;
        leave_queue(job);
        return;
    }
    job_stop(job, AFAR_OUTCOME_DISCONNECTED);
    /* Its output is dropped from now on; what was paused must be read to its end. */
    job_resume_output(job);
    job_close_stdin(job);
    job_set_timer(job);
}

void job_signal(struct job *job, int number)
{
    char space[24];
    if (job->state == JOB_QUEUED || job->state == JOB_SPAWNING)
        job->early_signal = number;
    else if (!process_signal_group(job->process.pid, number))
        log_write(job->worker->shared->log, LOG_LEVEL_WARN,
                  "%s: job %s: its client's signal %d could not be sent (%s)", job->label,
                  job->entry.id, number, errno_name(errno, space));
}
