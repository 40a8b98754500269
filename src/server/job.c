#include "server/job.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "exec/environment.h"
#include "exec/signal_name.h"
#include "server/job_internal.h"

static void spawn_in_companion(struct task *task);
static void spawn_done(struct mail *mail);
static void timer_fired(struct timer *timer);

/* ---- beginning ----------------------------------------------------------------------------------
 */

static void free_job(struct job *job)
{
    if (job->timer.fire != NULL)
        timer_detach(loop_timers(job->worker->loop), &job->timer);
    list_remove(&job->link);
    exec_request_free(job->request);
    environment_free(job->environment);
    digest_free(job->digest[0]);
    digest_free(job->digest[1]);
    buffer_close(&job->input);
    free(job);
}

static struct job *new_job(struct worker *worker, struct job_owner *owner,
                           struct exec_request *request, const char *label)
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
    utf8_copy(job->label, sizeof job->label, label);
    buffer_init(&job->input, MESSAGE_STDIN_CREDIT_BYTES);
    loop_source_init(&job->exit_source);
    loop_source_init(&job->stdin_source);
    for (int i = 0; i < 2; i++) {
        job->output[i] = (struct job_pipe){.job = job, .stream = (enum stream)i};
        loop_source_init(&job->output[i].source);
    }
    job->created_us = clock_now_us();
    job->timeout_at_ms = job->kill_at_ms = job->linger_at_ms = DEADLINE_NEVER;
    job->linger_max_at_ms = job->retry_at_ms = DEADLINE_NEVER;
    job->task.work = spawn_in_companion;
    job->task.done.deliver = spawn_done;
    return job;
}

/* A shell line is an argv too. The array is the request's, freed with it; its words stay where they
 * are. */
static enum afar_status make_argv(struct exec_request *request, struct afar_error *err)
{
    static char shell[] = "/bin/sh";
    static char option[] = "-c";
    if (request->argv != NULL)
        return AFAR_OK;
    request->argv = calloc(4, sizeof *request->argv);
    if (request->argv == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a command");
    request->argv[0] = shell;
    request->argv[1] = option;
    request->argv[2] = request->shell;
    return AFAR_OK;
}

enum afar_status job_start(struct job **job, struct worker *worker, struct job_owner *owner,
                           struct exec_request *request, const char *label, struct afar_error *err)
{
    *job = NULL;
    struct job *made = new_job(worker, owner, request, label);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a job");
    enum afar_status status =
        timer_attach(loop_timers(worker->loop), &made->timer, timer_fired, err);
    if (status == AFAR_OK)
        status = make_argv(request, err);
    if (status == AFAR_OK)
        status =
            environment_build(&made->environment, worker->shared->environment, request->env, err);
    for (int i = 0; i < 2 && status == AFAR_OK && request->digest; i++)
        status = digest_new(&made->digest[i], "sha256", err);
    if (status == AFAR_OK)
        status = registry_add(worker->shared->registry, &made->entry, err);
    if (status != AFAR_OK) {
        free_job(made);
        return status;
    }
    list_append(&worker->jobs, &made->link);
    companion_post(worker->companion, &made->task);
    *job = made;
    return AFAR_OK;
}

static void spawn_in_companion(struct task *task)
{
    struct job *job = list_object(task, struct job, task);
    job->spawn_begin_us = clock_now_us();
    uint64_t within_ms = job->request->start_within_ms;
    job->too_late =
        within_ms > 0 && (uint64_t)(job->spawn_begin_us - job->created_us) / 1000 > within_ms;
    if (job->too_late)
        return;
    const struct spawn_request request = {.argv = job->request->argv,
                                          .env = job->environment,
                                          .cwd = job->request->cwd,
                                          .stdin_pipe = job->request->stdin_stream};
    job->spawn_status = spawn_process(&request, &job->spawned, &job->spawn_error);
    job->spawn_end_us = clock_now_us();
}

/* ---- end ----------------------------------------------------------------------------------------
 */

/* Takes the job out of the world; the owner hears of it last, when nothing of the job is left. */
static void end_job(struct job *job, const struct afar_receipt *receipt)
{
    struct worker *worker = job->worker;
    struct job_owner *owner = job->owner;
    registry_remove(worker->shared->registry, &job->entry);
    job_streams_close(job);
    free_job(job);
    if (owner != NULL)
        owner->ops->ended(owner, receipt);
    worker_check_ended(worker);
}

static void log_end(const struct job *job, const struct afar_receipt *receipt)
{
    const struct log *log = job->worker->shared->log;
    const char *outcome = message_outcome_name(receipt->outcome);
    if (receipt->outcome == AFAR_OUTCOME_SPAWN_FAILED)
        log_write(log, LOG_LEVEL_INFO, "%s: job %s: %s: %s", job->label, job->entry.id, outcome,
                  receipt->message);
    else if (receipt->signal[0] != '\0')
        log_write(log, LOG_LEVEL_INFO, "%s: job %s: '%s' %s, by signal %s, after %llu ms",
                  job->label, job->entry.id, job->request->argv[0], outcome, receipt->signal,
                  (unsigned long long)receipt->run_us / 1000);
    else
        log_write(log, LOG_LEVEL_INFO, "%s: job %s: '%s' %s, status %d, after %llu ms", job->label,
                  job->entry.id, job->request->argv[0], outcome, receipt->code,
                  (unsigned long long)receipt->run_us / 1000);
}

static void end_not_spawned(struct job *job)
{
    char space[24];
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_SPAWN_FAILED, .code = -1};
    (void)snprintf(receipt.error_name, sizeof receipt.error_name, "%s",
                   errno_name(job->spawn_error.sys_errno, space));
    (void)snprintf(receipt.error_stage, sizeof receipt.error_stage, "%s", job->spawned.stage);
    utf8_copy(receipt.message, sizeof receipt.message, job->spawn_error.message);
    receipt.queued_us = (uint64_t)(job->spawn_begin_us - job->created_us);
    receipt.spawn_us = (uint64_t)(job->spawn_end_us - job->spawn_begin_us);
    for (int i = 0; i < 2 && job->digest[i] != NULL; i++)
        (void)digest_finish(job->digest[i], i == 0 ? receipt.stdout_sha256 : receipt.stderr_sha256,
                            NULL);
    log_end(job, &receipt);
    end_job(job, &receipt);
}

static void end_too_late(struct job *job)
{
    struct worker *worker = job->worker;
    struct job_owner *owner = job->owner;
    registry_remove(worker->shared->registry, &job->entry);
    free_job(job);
    if (owner != NULL)
        owner->ops->refused(owner, "busy", "the command could not be started in time");
    worker_check_ended(worker);
}

static void fill_receipt(struct job *job, const struct process_end *end, bool killed,
                         struct afar_receipt *receipt)
{
    int64_t now_us = clock_now_us();
    *receipt = (struct afar_receipt){
        .outcome = end->exited ? AFAR_OUTCOME_EXITED : AFAR_OUTCOME_SIGNALED,
        .code = end->exited ? end->code : -1,
        .core_dumped = end->core_dumped,
        .stdin_bytes = job->stdin_delivered,
        .stdout_bytes = job->output_bytes[STREAM_STDOUT],
        .stderr_bytes = job->output_bytes[STREAM_STDERR],
        .user_us = end->user_us,
        .system_us = end->system_us,
        .max_rss_bytes = end->max_rss_bytes,
        .queued_us = (uint64_t)(job->spawn_begin_us - job->created_us),
        .spawn_us = (uint64_t)(job->spawn_end_us - job->spawn_begin_us),
        .run_us = (uint64_t)(job->exited_us - job->spawn_end_us),
        .drain_us = (uint64_t)(now_us - job->exited_us),
        .stdio_held_open = job->held_open,
    };
    if (!end->exited)
        signal_name(end->signal, receipt->signal, sizeof receipt->signal);
    if (job->stopping)
        receipt->outcome = job->stop_outcome;
    else if (killed && !end->exited)
        receipt->outcome = AFAR_OUTCOME_KILLED;
    if (job->digest[0] != NULL) {
        (void)digest_finish(job->digest[0], receipt->stdout_sha256, NULL);
        (void)digest_finish(job->digest[1], receipt->stderr_sha256, NULL);
    }
}

/* The command and its output have ended. What is left of its process group ends with it. */
static void end_finished(struct job *job)
{
    struct process_end end = {0};
    struct afar_error err = {0};
    struct afar_receipt receipt;
    bool killed = registry_clear_leader(job->worker->shared->registry, &job->entry);
    (void)process_signal_group(job->process.pid, SIGKILL);
    enum afar_status status = process_reap(&job->process, &end, &err);
    /* Its pidfd was readable and nobody else reaps: anything else is a defect, and must not look
     * like success. */
    if (status != AFAR_OK) {
        log_write(job->worker->shared->log, LOG_LEVEL_ERROR, "%s: job %s: %s", job->label,
                  job->entry.id, status == AFAR_EAGAIN ? "not to be reaped" : err.message);
        (void)close(job->process.pidfd);
        job->stopping = true;
        job->stop_outcome = AFAR_OUTCOME_SERVER_LOST;
    }
    fill_receipt(job, &end, killed, &receipt);
    log_end(job, &receipt);
    end_job(job, &receipt);
}

/* ---- in between ---------------------------------------------------------------------------------
 */

static void exit_ready(struct loop_source *source, uint32_t events)
{
    struct job *job = list_object(source, struct job, exit_source);
    const struct config *config = job->worker->shared->config;
    (void)events;
    loop_remove(job->worker->loop, source);
    job->state = JOB_DRAINING;
    job->exited_us = clock_now_us();
    job->timeout_at_ms = job->kill_at_ms = DEADLINE_NEVER;
    job->linger_at_ms = clock_deadline_ms((int64_t)config->linger_ms);
    job->linger_max_at_ms = clock_deadline_ms((int64_t)config->linger_max_ms);
    job_streams_read(job);
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

/* It runs, but cannot be watched: end it here and now. */
static void give_up(struct job *job, const struct afar_error *err)
{
    loop_remove(job->worker->loop, &job->exit_source);
    process_signal_tree(job->process.pid, SIGKILL);
    struct process_end end;
    while (process_reap(&job->process, &end, NULL) == AFAR_EAGAIN)
        (void)usleep(1000); /* a killed process ends at once */
    job->spawn_error = *err;
    job->spawned.stage = "watch";
    end_not_spawned(job);
}

static void spawn_done(struct mail *mail)
{
    struct job *job = list_object(mail, struct job, task.done);
    const struct config *config = job->worker->shared->config;
    struct afar_error err = {0};
    if (job->too_late) {
        end_too_late(job);
        return;
    }
    if (job->spawn_status != AFAR_OK) {
        end_not_spawned(job);
        return;
    }
    job->state = JOB_RUNNING;
    if (begin_running(job, &err) != AFAR_OK) {
        give_up(job, &err);
        return;
    }
    registry_set_leader(job->worker->shared->registry, &job->entry, job->process.pid);
    uint64_t timeout_ms = job->request->timeout_ms;
    if (config->job_timeout_ms > 0 && (timeout_ms == 0 || timeout_ms > config->job_timeout_ms))
        timeout_ms = config->job_timeout_ms;
    job->timeout_at_ms = clock_deadline_ms((int64_t)timeout_ms);
    if (job->owner != NULL)
        job->owner->ops->started(job->owner);
    if (job->early_signal != 0)
        (void)process_signal_group(job->process.pid, job->early_signal);
    if (job->stopping) {
        job->stopping = false;
        job_stop(job, job->stop_outcome);
    }
    job_advance(job);
}

static int64_t earliest(const struct job *job)
{
    int64_t deadline_ms = job->timeout_at_ms;
    if (job->kill_at_ms < deadline_ms)
        deadline_ms = job->kill_at_ms;
    if (job->retry_at_ms < deadline_ms)
        deadline_ms = job->retry_at_ms;
    /* Linger time counts only while the output is being read. */
    if (job->state == JOB_DRAINING && !job->held_open && !job_streams_paused(job)) {
        if (job->linger_at_ms < deadline_ms)
            deadline_ms = job->linger_at_ms;
        if (job->linger_max_at_ms < deadline_ms)
            deadline_ms = job->linger_max_at_ms;
    }
    return deadline_ms;
}

void job_advance(struct job *job)
{
    if (job->state == JOB_DRAINING && job_streams_ended(job)) {
        end_finished(job);
        return;
    }
    timer_arm(loop_timers(job->worker->loop), &job->timer, earliest(job));
}

/* The command has ended, but someone it left behind holds its output open and has been quiet for
 * long enough, or has talked for too long. */
static void end_linger(struct job *job)
{
    job_streams_read(job);
    if (job_streams_ended(job) || job_streams_paused(job))
        return;
    job->held_open = true;
    process_signal_tree(job->process.pid, SIGKILL);
    job->linger_at_ms = job->linger_max_at_ms = DEADLINE_NEVER;
    job_streams_read(job);
}

static void timer_fired(struct timer *timer)
{
    struct job *job = list_object(timer, struct job, timer);
    int64_t now_ms = clock_now_ms();
    if (job->retry_at_ms <= now_ms) {
        job->retry_at_ms = DEADLINE_NEVER;
        job_resume_output(job);
    }
    if (job->timeout_at_ms <= now_ms)
        job_stop(job, AFAR_OUTCOME_TIMED_OUT);
    if (job->kill_at_ms <= now_ms) {
        job->kill_at_ms = DEADLINE_NEVER;
        process_signal_tree(job->process.pid, SIGKILL);
    }
    if (job->state == JOB_DRAINING && !job->held_open &&
        (job->linger_at_ms <= now_ms || job->linger_max_at_ms <= now_ms))
        end_linger(job);
    job_advance(job);
}

/* ---- verbs --------------------------------------------------------------------------------------
 */

const char *job_id(const struct job *job)
{
    return job->entry.id;
}

void job_stop(struct job *job, enum afar_outcome outcome)
{
    if (job->stopping || job->state == JOB_DRAINING)
        return;
    job->stopping = true;
    job->stop_outcome = outcome;
    job->timeout_at_ms = DEADLINE_NEVER;
    if (job->state == JOB_SPAWNING)
        return;
    process_signal_tree(job->process.pid, SIGTERM);
    /* One that is stopped would not see it. */
    process_signal_tree(job->process.pid, SIGCONT);
    uint64_t grace_ms = job->worker->shared->config->kill_grace_ms;
    job->kill_at_ms = clock_now_ms() + (int64_t)grace_ms;
    timer_arm(loop_timers(job->worker->loop), &job->timer, earliest(job));
}

void job_kill(struct job *job, enum afar_outcome outcome)
{
    job_stop(job, outcome);
    if (job->state == JOB_RUNNING) {
        job->kill_at_ms = DEADLINE_NEVER;
        process_signal_tree(job->process.pid, SIGKILL);
    } else if (job->state == JOB_DRAINING) {
        job->linger_at_ms = 0; /* whoever holds the output has had its time */
        timer_arm(loop_timers(job->worker->loop), &job->timer, earliest(job));
    }
}

void job_abandon(struct job *job)
{
    assert(job->owner != NULL);
    job->owner = NULL;
    job_stop(job, AFAR_OUTCOME_DISCONNECTED);
    /* Its output is dropped from now on; what was paused must be read to its end. */
    job_resume_output(job);
    job_close_stdin(job);
    timer_arm(loop_timers(job->worker->loop), &job->timer, earliest(job));
}

void job_signal(struct job *job, int number)
{
    if (job->state == JOB_SPAWNING)
        job->early_signal = number;
    else
        (void)process_signal_group(job->process.pid, number);
}
