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
#include "job/internal.h"

enum { POLL_MAX_MS = 64 };

static void spawn_done(struct mail *mail);
static void timer_fired(struct timer *timer);

/* The only function that changes the state: always to the next one, except that QUEUED may be
 * skipped. */
static void become(struct job *job, enum job_state state)
{
    assert(job_host_is_here(job->host));
    assert(state == job->state + 1 || (job->state == JOB_NEW && state == JOB_SPAWNING));
    figures_job(job->host->figures, job->state, state);
    job->state = state;
}

const struct rule *job_rule(const struct job *job)
{
    return job->state >= JOB_RUNNING ? job->launch.decision.rule : NULL;
}

bool job_is_queued(const struct job *job)
{
    return job->state == JOB_QUEUED;
}

bool job_has_run(const struct job *job)
{
    return job->state >= JOB_RUNNING;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void init_launch(struct job_launch *launch, const struct job_host *host)
{
    launch->base = host->base;
    launch->created_us = clock_now_us();
    launch->task.work = job_launch_work;
    launch->task.done.deliver = spawn_done;
    spawn_control_init(&launch->control);
}

static void init_streams(struct job *job, const struct exec_request *request)
{
    struct job_streams *streams = &job->streams;
    const struct job_limits *limits = &job->host->limits;
    const bool service = request->subsystem != NULL || request->forward != NULL;
    buffer_init(&streams->input,
                (size_t)(service ? limits->files_window_bytes : limits->stdin_bytes));
    loop_source_init(&streams->stdin_source);
    loop_source_init(&streams->notes_source);
    for (int i = 0; i < 2; i++) {
        streams->output[i] = (struct job_pipe){.job = job, .stream = (enum stream)i};
        loop_source_init(&streams->output[i].source);
    }
}

static void init_deadlines(struct job_deadlines *deadlines)
{
    deadlines->start_by_ms = deadlines->spawn_by_ms = DEADLINE_NEVER;
    deadlines->timeout_at_ms = deadlines->kill_at_ms = deadlines->linger_at_ms = DEADLINE_NEVER;
    deadlines->linger_max_at_ms = deadlines->retry_at_ms = deadlines->poll_at_ms = DEADLINE_NEVER;
}

enum afar_status job_new(struct job **job, struct job_host *host, struct job_place *place,
                         struct job_owner *owner, struct exec_request *request, const char *label,
                         struct afar_error *err)
{
    *job = NULL;
    struct job *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a job");
    made->host = host;
    made->place = place;
    made->owner = owner;
    list_init(&made->link);
    utf8_copy(made->label, sizeof made->label, label);
    loop_source_init(&made->exit_source);
    init_launch(&made->launch, host);
    init_streams(made, request);
    made->terminal.end_at_ms = DEADLINE_NEVER;
    init_deadlines(&made->deadlines);
    job_tree_init(made);
    enum afar_status status =
        timer_attach(loop_timers(host->loop), &made->deadlines.timer, timer_fired, err);
    for (int i = 0; i < 2 && status == AFAR_OK && request->digest; i++)
        status = digest_new(&made->streams.digest[i], "sha256", err);
    if (status != AFAR_OK) {
        job_free(made);
        return status;
    }
    made->launch.request = request;
    *job = made;
    return AFAR_OK;
}

void job_set_id(struct job *job, const char *id)
{
    struct job_launch *launch = &job->launch;
    (void)snprintf(launch->id, sizeof launch->id, "%s", id);
    (void)snprintf(launch->variable, sizeof launch->variable, JOB_VARIABLE "%s", id);
}

void job_discard(struct job *job)
{
    job_free(job);
}

void job_wait(struct job *job)
{
    list_append(&job->host->jobs, &job->link);
    become(job, JOB_QUEUED);
    job->deadlines.start_by_ms =
        job->launch.created_us / 1000 + (int64_t)job->launch.request->start_within_ms;
    timer_arm(loop_timers(job->host->loop), &job->deadlines.timer, job->deadlines.start_by_ms);
}

void job_begin(struct job *job, struct job_decider *decider, const void *share)
{
    if (job->state == JOB_NEW)
        list_append(&job->host->jobs, &job->link);
    become(job, JOB_SPAWNING);
    if (job->host->cgroups != NULL)
        job->launch.cgroups = atomic_load(job->host->cgroups);
    job->launch.wants_cgroup = job->host->limits.cgroups != 0;
    job->launch.decider = decider;
    job->launch.task.owner = share;
    job->deadlines.start_by_ms = DEADLINE_NEVER;
    job_spawn_begin(job);
}

bool job_is_wanted(const struct job *job)
{
    return !job->stopping && job->owner != NULL && job->deadlines.start_by_ms > clock_now_ms();
}

void job_refuse(struct job *job)
{
    assert(job->state == JOB_QUEUED);
    job_end_refused(job);
}

/* Leaves the queue. If its turn has just come, the mail for that finds job_is_wanted false. */
static void leave_queue(struct job *job)
{
    job->deadlines.start_by_ms = DEADLINE_NEVER;
    if (job->place->ops->leave(job->place))
        job_end_refused(job);
    else
        job->deadlines.start_by_ms = 0;
}

/* ---- in between ------------------------------------------------------------------------------ */

/* Signals that end the job: TERM or KILL. All processes are signalled a little later; signal 0
 * tells now whether that is permitted. */
static void signal_to_end(struct job *job, enum tree_want want)
{
    bool kill = want == TREE_KILL;
    if (process_signal_group(job->process.pid, 0) ||
        (kill && job->launch.has_cgroup && cgroup_kill(job->launch.cgroups, job->launch.cgroup)))
        job->stop_reached = true;
    else
        log_write(job->host->log, LOG_LEVEL_WARN,
                  "%s: job %s: cannot send it SIG%s: its processes are another user's, and the "
                  "server lacks CAP_KILL",
                  job->label, job->launch.id, kill ? "KILL" : "TERM");
    job_tree_want(job, want);
}

/* If no signal of ours has reached the job, it has ended without us, and the receipt must not say
 * that we ended it. Exception: its output was cut, which the receipt must say. */
static void judge_end(struct job *job)
{
    job->stop_failed =
        job->stopping && !job->stop_reached && job->stop_outcome != AFAR_OUTCOME_OUTPUT_LIMIT;
    job->stopping = job->stopping && !job->stop_failed;
}

/* Those who kill it want an end of all of it, and wait for that. */
int64_t job_linger_at_ms(const struct job *job)
{
    return job->killed ? clock_now_ms() : clock_deadline_ms((int64_t)job->host->limits.linger_ms);
}

static void command_ended(struct job *job)
{
    const struct job_limits *limits = &job->host->limits;
    become(job, JOB_DRAINING);
    judge_end(job);
    job->exited_us = clock_now_us();
    job->deadlines.timeout_at_ms = job->deadlines.kill_at_ms = job->deadlines.poll_at_ms =
        DEADLINE_NEVER;
    job->deadlines.linger_at_ms = job_linger_at_ms(job);
    job->deadlines.linger_max_at_ms = clock_deadline_ms((int64_t)limits->linger_max_ms);
    job_streams_read(job);
}

static void exit_ready(struct loop_source *source, uint32_t events)
{
    struct job *job = list_object(source, struct job, exit_source);
    (void)events;
    loop_remove(job->host->loop, source);
    command_ended(job);
    job_advance(job);
}

static enum afar_status begin_running(struct job *job, struct afar_error *err)
{
    job->process =
        (struct process){.pid = job->launch.spawned.pid, .pidfd = job->launch.spawned.pidfd};
    enum afar_status status = job_streams_open(job, err);
    if (status == AFAR_OK)
        status = loop_add(job->host->loop, &job->exit_source, job->process.pidfd, EPOLLIN,
                          exit_ready, err);
    return status;
}

/* The command runs but cannot be watched: kill it, and poll for its end. */
static void give_up(struct job *job, const struct afar_error *err)
{
    job->unwatched = true;
    job->launch.error = *err;
    job->launch.spawned.stage = "watch";
    loop_remove(job->host->loop, &job->exit_source);
    job_streams_close(job);
    job->deadlines.poll_pause_ms = 1;
    job->deadlines.poll_at_ms = clock_now_ms() + job->deadlines.poll_pause_ms;
    signal_to_end(job, TREE_KILL);
    job_set_timer(job);
}

static void poll_end(struct job *job)
{
    if (process_has_ended(&job->process)) {
        command_ended(job);
        return;
    }
    job->deadlines.poll_pause_ms =
        job->deadlines.poll_pause_ms < POLL_MAX_MS ? 2 * job->deadlines.poll_pause_ms : POLL_MAX_MS;
    job->deadlines.poll_at_ms = clock_now_ms() + job->deadlines.poll_pause_ms;
}

/* The shortest of the request's, the rule's and the server's timeout. 0: none. */
static void set_timeout(struct job *job)
{
    const struct rule *rule = job->launch.decision.rule;
    const struct {
        uint64_t ms;
        enum afar_limit_owner by;
    } bounds[] = {{job->launch.request->timeout_ms, AFAR_BY_REQUEST},
                  {rule != NULL && rule->timeout_ms.set ? rule->timeout_ms.value : 0, AFAR_BY_RULE},
                  {job->host->limits.job_timeout_ms, AFAR_BY_SERVER}};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (bounds[i].ms > 0 &&
            (job->deadlines.timeout_ms == 0 || bounds[i].ms < job->deadlines.timeout_ms)) {
            job->deadlines.timeout_ms = bounds[i].ms;
            job->deadlines.timeout_by = bounds[i].by;
        }
    }
    job->deadlines.timeout_at_ms = clock_deadline_ms((int64_t)job->deadlines.timeout_ms);
}

/* The companion of a job that was given up has returned: only cleanup is left. True: the job is
 * freed. */
static bool came_back(struct job *job)
{
    bool started = !job->launch.too_late && !job->launch.refused && job->launch.status == AFAR_OK &&
                   !job->launch.kept;
    if (started && !job->host->ended) { /* killed in execve: its end is seen as usual */
        list_remove(&job->link);
        list_append(&job->host->jobs, &job->link);
        return false;
    }
    if (started) { /* its end will not be seen */
        (void)process_signal_group(job->launch.spawned.pid, SIGKILL);
        const int fds[] = {job->launch.spawned.pidfd, job->launch.spawned.stdin_fd,
                           job->launch.spawned.stdout_fd, job->launch.spawned.stderr_fd,
                           job->launch.spawned.note_fd};
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
    struct job *job = list_object(mail, struct job, launch.task.done);
    struct afar_error err = {0};
    job->deadlines.spawn_by_ms = DEADLINE_NEVER;
    if (job->given_up && came_back(job))
        return;
    if (job->launch.too_late || job->launch.refused) {
        job_end_refused(job);
        return;
    }
    if (job->launch.status != AFAR_OK) {
        if (job->spawning.timed_out && job->launch.error.sys_errno == ECANCELED)
            job->launch.error.sys_errno = ETIMEDOUT;
        job_end_not_spawned(job);
        return;
    }
    if (job->launch.kept) {
        counters_count(job->host->counters, COUNTER_JOBS);
        job_end_kept(job);
        return;
    }
    become(job, JOB_RUNNING);
    counters_count(job->host->counters, COUNTER_JOBS);
    if (begin_running(job, &err) != AFAR_OK) {
        give_up(job, &err);
        return;
    }
    job->place->ops->runs(job->place, job->process.pid);
    set_timeout(job);
    if (job->owner != NULL)
        job->owner->ops->started(job->owner);
    if (job->early_signal != 0)
        job_signal(job, job->early_signal);
    if (job->stopping) {
        job->stopping = false;
        job_stop(job, job->stop_outcome);
    }
    if (job->spawning.timed_out) /* it was in execve, and was killed there */
        job_stop(job, AFAR_OUTCOME_TIMED_OUT);
    job_advance(job);
}

static int64_t earliest(const struct job *job)
{
    int64_t deadline_ms = job->deadlines.timeout_at_ms;
    if (job->state == JOB_QUEUED)
        return job->deadlines.start_by_ms;
    if (job->state == JOB_SPAWNING)
        return job->deadlines.spawn_by_ms;
    if (job->tree.again_at_ms < deadline_ms)
        deadline_ms = job->tree.again_at_ms;
    if (job->tree.stuck_at_ms < deadline_ms)
        deadline_ms = job->tree.stuck_at_ms;
    if (job->deadlines.poll_at_ms < deadline_ms)
        deadline_ms = job->deadlines.poll_at_ms;
    if (job->deadlines.kill_at_ms < deadline_ms)
        deadline_ms = job->deadlines.kill_at_ms;
    if (job->deadlines.retry_at_ms < deadline_ms)
        deadline_ms = job->deadlines.retry_at_ms;
    if (job->terminal.end_at_ms < deadline_ms)
        deadline_ms = job->terminal.end_at_ms;
    /* Linger time counts only while the output is being read. */
    if (job->state == JOB_DRAINING && !job->lingered && (job->killed || !job_streams_paused(job))) {
        if (job->deadlines.linger_at_ms < deadline_ms)
            deadline_ms = job->deadlines.linger_at_ms;
        if (job->deadlines.linger_max_at_ms < deadline_ms)
            deadline_ms = job->deadlines.linger_max_at_ms;
    }
    return deadline_ms;
}

void job_set_timer(struct job *job)
{
    timer_arm(loop_timers(job->host->loop), &job->deadlines.timer, earliest(job));
}

void job_advance(struct job *job)
{
    if (job->state == JOB_DRAINING && job_streams_ended(job))
        become(job, JOB_SWEEPING);
    if (job->state == JOB_SWEEPING && job_tree_swept(job) && job_record_ended(job)) {
        job_end_finished(job);
        return;
    }
    job_set_timer(job);
}

/* The command has ended, but a process that it left behind holds its output open, and has been
 * quiet for linger_ms or has gone on for linger_max_ms. */
static void kill_holders(struct job *job)
{
    job_streams_read(job);
    if (job_streams_ended(job) || (job_streams_paused(job) && !job->killed))
        return;
    job->lingered = true;
    job->deadlines.linger_at_ms = job->deadlines.linger_max_at_ms = DEADLINE_NEVER;
    counters_count(job->host->counters, COUNTER_LINGER);
    job_tree_want(job, TREE_LINGER);
}

void job_end_linger(struct job *job, const struct afar_processes *holders)
{
    job->held_by = *holders; /* they may be gone already, and the streams ended */
    job->held_open = !job_streams_ended(job);
    job_streams_read(job);
}

static void time_out(struct job *job)
{
    counters_count(job->host->counters, COUNTER_JOB_TIMEOUT);
    job_stop(job, AFAR_OUTCOME_TIMED_OUT);
}

static void run_timers(struct job *job, int64_t now_ms)
{
    if (job->deadlines.retry_at_ms <= now_ms) {
        job->deadlines.retry_at_ms = DEADLINE_NEVER;
        job_streams_retry(job);
        job_files_retry(job);
    }
    if (job->deadlines.timeout_at_ms <= now_ms)
        time_out(job);
    if (job->deadlines.kill_at_ms <= now_ms) {
        job->deadlines.kill_at_ms = DEADLINE_NEVER;
        signal_to_end(job, TREE_KILL);
    }
    job_terminal_run_timers(job, now_ms);
    job_tree_run_timers(job, now_ms);
    if (job->deadlines.poll_at_ms <= now_ms)
        poll_end(job);
    if (job->state == JOB_DRAINING && !job->lingered &&
        (job->deadlines.linger_at_ms <= now_ms || job->deadlines.linger_max_at_ms <= now_ms))
        kill_holders(job);
}

static void timer_fired(struct timer *timer)
{
    struct job *job = list_object(timer, struct job, deadlines.timer);
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
    return job->launch.id;
}

const char *job_label(const struct job *job)
{
    return job->label;
}

struct job_owner *job_owner(const struct job *job)
{
    return job->owner;
}

void job_stop(struct job *job, enum afar_outcome outcome)
{
    if (job->stopping || job->state >= JOB_DRAINING)
        return;
    job->stopping = true;
    job->stop_outcome = outcome;
    job->deadlines.timeout_at_ms = DEADLINE_NEVER;
    if (job->state == JOB_QUEUED) {
        job->deadlines.start_by_ms =
            0; /* refused by the timer: the caller may be iterating over a list */
        timer_arm(loop_timers(job->host->loop), &job->deadlines.timer, 0);
        return;
    }
    if (job->state == JOB_SPAWNING) {
        job_spawn_stop(job);
        return;
    }
    /* A shell on a terminal ignores TERM. */
    if (job_is_on_terminal(job) && outcome == AFAR_OUTCOME_DISCONNECTED)
        job_hang_up(job);
    else if (job_is_on_terminal(job))
        (void)process_signal_group(job->process.pid, SIGHUP);
    signal_to_end(job, TREE_END);
    uint64_t grace_ms = job->host->limits.kill_grace_ms;
    job->deadlines.kill_at_ms = clock_now_ms() + (int64_t)grace_ms;
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
        job->deadlines.kill_at_ms = DEADLINE_NEVER;
        signal_to_end(job, TREE_KILL);
        if (!job->stop_reached) /* the server ends without it */
            job_end_given_up(job);
    } else if (job->state == JOB_DRAINING) {
        job->deadlines.linger_at_ms = 0; /* the holders of its output get no more time */
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
    /* From now on its output is dropped, so paused streams must be read to their end. */
    job_resume_output(job);
    job_close_stdin(job);
    job_set_timer(job);
}

void job_signal(struct job *job, int number)
{
    char space[24];
    job->killed = job->killed || number == SIGKILL;
    if (job->state == JOB_DRAINING && job->killed) {
        job->deadlines.linger_at_ms = 0;
        job_set_timer(job);
    }
    if (job->state == JOB_QUEUED || job->state == JOB_SPAWNING)
        job->early_signal = number;
    else if (!job_terminal_signal(job, number) && !process_signal_group(job->process.pid, number))
        log_write(job->host->log, LOG_LEVEL_WARN,
                  "%s: job %s: its client's signal %d could not be sent (%s)", job->label,
                  job->launch.id, number, errno_name(errno, space));
}
