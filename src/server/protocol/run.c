#include "server/protocol/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/rules.h"
#include "server/protocol/native_internal.h"

enum { RECEIPT_RETRY_MS = 100 };

static void set_away(struct run *run, bool away)
{
    if (run->away == away)
        return;
    run->away = away;
    registry_set_away(run->worker->shared->registry, &run->entry, away);
    (void)atomic_fetch_add(&run->worker->shared->figures.away, away ? 1 : -1);
}

static void say(const struct run *run, const char *text)
{
    log_write(run->worker->shared->log, LOG_LEVEL_INFO, "connection %llu: job %s: %s",
              run->connection, run->entry.job, text);
}

/* ---- the job speaks -------------------------------------------------------------------------- */

static struct run *run_of(struct job_owner *owner)
{
    return list_object(owner, struct run, owner);
}

/* A client that is away cannot show its certificate: the last judgement holds as long as the
 * server's TLS context is the same. */
enum afar_status run_judge(struct job_owner *owner, struct policy_client *who,
                           struct afar_error *err)
{
    struct run *run = run_of(owner);
    if (run->native != NULL)
        return connection_judge(run->native->connection, who, err);
    *who = (struct policy_client){.names = NULL};
    if (run->judged_by == run->worker->tls)
        return AFAR_OK;
    return afar_fail(err, AFAR_ETRUST,
                     "its client was away when its turn came, and the server's certificates have "
                     "been replaced meanwhile");
}

/* Its rule may grant a shorter resume_ms than the server. */
static enum run_host_after apply_rule(struct run *run)
{
    const struct rule *rule = job_rule(run->job);
    if (!run->resumable || rule == NULL || !rule->resume_ms.set)
        return RUN_HOST_GOES_ON;
    return run_host_grant(&run->host, rule->resume_ms.value, clock_now_ms());
}

static void on_started(struct job_owner *owner)
{
    struct run *run = run_of(owner);
    if (apply_rule(run) == RUN_HOST_RELEASE)
        run_free(run);
    else if (run->native != NULL)
        native_tell_started(run->native);
    else
        timer_arm(loop_timers(run->worker->host.loop), &run->timer,
                  run_host_deadline_ms(&run->host));
}

static enum afar_status on_reserve(struct job_owner *owner, enum stream stream, uint8_t **room,
                                   size_t *size, struct afar_error *err)
{
    struct run *run = run_of(owner);
    (void)stream;
    enum afar_status status = output_log_reserve(run->host.log, room, size, err);
    if (status == AFAR_EAGAIN) {
        counters_count(&run->worker->shared->counters, COUNTER_OUTPUT_LOG_FULL);
        /* The job is to end, and would wait for a client that no longer comes: the timer frees the
         * run. */
        if (run->host.expired && run->native == NULL)
            timer_arm(loop_timers(run->worker->host.loop), &run->timer, 0);
    }
    return status;
}

static void on_commit(struct job_owner *owner, enum stream stream, size_t size)
{
    struct run *run = run_of(owner);
    output_log_commit(run->host.log, stream, size);
    if (size > 0 && run->native != NULL)
        connection_want_flush(run->native->connection);
}

static void on_took_stdin(struct job_owner *owner)
{
    struct run *run = run_of(owner);
    if (run->native != NULL)
        connection_want_flush(run->native->connection);
}

bool run_add_receipt(struct run *run)
{
    enum run_host_after after = RUN_HOST_GOES_ON;
    run->receipt_waits =
        run_host_ended(&run->host, &run->receipt, run->digest, &after, NULL) != AFAR_OK;
    if (after == RUN_HOST_RELEASE) {
        run_free(run);
        return false;
    }
    if (run->receipt_waits && run->native == NULL)
        timer_arm(loop_timers(run->worker->host.loop), &run->timer,
                  clock_now_ms() + RECEIPT_RETRY_MS);
    return true;
}

static void add_receipt(struct run *run, const struct afar_receipt *receipt)
{
    struct native *native = run->native;
    run->receipt = *receipt;
    (void)run_add_receipt(run);
    if (native != NULL)
        connection_want_flush(native->connection);
}

/* Its client has withdrawn it. */
static void end_detached(struct run *run)
{
    if (run->native != NULL)
        native_end_detached(run->native);
    else
        run_free(run);
}

static void on_ended(struct job_owner *owner, const struct afar_receipt *receipt)
{
    struct run *run = run_of(owner);
    run->job = NULL;
    if (run->detaching)
        end_detached(run);
    else
        add_receipt(run, receipt);
}

static const char sha256_of_nothing[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* The client is away and cannot be sent an error: a receipt of a command that was not started tells
 * it. */
static void refuse_away(struct run *run, const struct refusal *refusal)
{
    struct afar_receipt receipt = {
        .size = sizeof receipt, .outcome = AFAR_OUTCOME_SPAWN_FAILED, .code = -1};
    (void)snprintf(receipt.error_stage, sizeof receipt.error_stage, "queue");
    (void)snprintf(receipt.error_name, sizeof receipt.error_name, "%s",
                   refusal->code == REFUSAL_DENIED ? "EACCES" : "EAGAIN");
    (void)snprintf(receipt.message, sizeof receipt.message, "%.255s", refusal->text);
    if (run->digest) {
        (void)snprintf(receipt.stdout_sha256, sizeof receipt.stdout_sha256, "%s",
                       sha256_of_nothing);
        (void)snprintf(receipt.stderr_sha256, sizeof receipt.stderr_sha256, "%s",
                       sha256_of_nothing);
    }
    add_receipt(run, &receipt);
}

static void on_refused(struct job_owner *owner, const struct refusal *refusal)
{
    struct run *run = run_of(owner);
    run->job = NULL;
    if (run->detaching)
        end_detached(run);
    else if (run->native != NULL)
        native_tell_refused(run->native, refusal);
    else
        refuse_away(run, refusal);
}

/* A client that is away finds the kept job by its holder. */
static void on_kept(struct job_owner *owner, const char *id)
{
    struct run *run = run_of(owner);
    memcpy(run->kept_job, id, sizeof run->kept_job);
    run->job = NULL;
    if (run->native != NULL)
        native_follow_kept(run->native, run);
    else
        run_free(run);
}

static const struct job_owner_ops owner_ops = {
    .kept = on_kept,
    .started = on_started,
    .reserve = on_reserve,
    .commit = on_commit,
    .stdin_taken = on_took_stdin,
    .ended = on_ended,
    .refused = on_refused,
};

/* ---- its life -------------------------------------------------------------------------------- */

/* The client has not come back in time, or the server does not wait for it any more. If there is no room for its output, the command could not
 * even end: then the run is freed. */
static void expire(struct run *run)
{
    const struct output_log *log = run->host.log;
    if (run->worker->draining) {
        say(run, "the server stops, so its client cannot come back; it is ended");
    } else {
        counters_count(&run->worker->shared->counters, COUNTER_RESUME_MS);
        say(run, "its client has not come back in time (resume_ms); it is ended");
    }
    bool full = output_log_held(log) + MESSAGE_OUTPUT_HEAD_BYTES >= output_log_capacity(log);
    if (run->job == NULL || full)
        run_free(run);
    else
        job_stop(run->job, AFAR_OUTCOME_DISCONNECTED);
}

static void check_time(struct run *run)
{
    if (run->host.expired && run->native == NULL) { /* and its output has no room: on_reserve */
        run_free(run);
        return;
    }
    switch (run_host_time(&run->host, clock_now_ms())) {
    case RUN_HOST_STOP:
    case RUN_HOST_RELEASE:
        expire(run);
        return;
    case RUN_HOST_FREE:
    case RUN_HOST_GOES_ON:
        break;
    }
    timer_arm(loop_timers(run->worker->host.loop), &run->timer, run_host_deadline_ms(&run->host));
}

static void timer_fired(struct timer *timer)
{
    struct run *run = list_object(timer, struct run, timer);
    if (run->receipt_waits && (!run_add_receipt(run) || run->receipt_waits))
        return;
    check_time(run);
}

/* Prepares what coming back needs. */
static enum afar_status make_resumable(struct run *run, const struct connection *connection,
                                       const char *holder, struct afar_error *err)
{
    struct worker *worker = run->worker;
    run->entry.home = worker;
    run->entry.guests = &worker->connection_count;
    run->entry.object = run;
    enum afar_status status =
        timer_attach(loop_timers(worker->host.loop), &run->timer, timer_fired, err);
    if (status != AFAR_OK)
        return status;
    run->resumable = true;
    list_append(&worker->runs, &run->link);
    return registry_enter_run(worker->shared->registry, &run->entry, connection->owner, holder,
                              err);
}

enum afar_status run_new(struct run **run, struct native *native, uint64_t id,
                         const struct exec_request *request, struct afar_error *err)
{
    const struct connection *connection = native->connection;
    const struct config *config = connection->worker->config;
    const uint64_t granted =
        request->resume_ms < config->resume_ms ? request->resume_ms : config->resume_ms;
    struct run *made = calloc(1, sizeof *made);
    *run = NULL;
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a run");
    made->owner.ops = &owner_ops;
    made->worker = connection->worker;
    made->native = native;
    made->digest = request->digest;
    made->judged_by = connection->worker->tls;
    made->connection = connection->number;
    list_init(&made->link);
    const bool service = request->subsystem != NULL || request->forward != NULL;
    const bool large_frames = config->payload_bytes >= MESSAGE_STDIN_FRAME_BYTES;
    struct run_host_setup setup = {.holder = request->holder,
                                   .resume_ms = granted,
                                   .stdin_stream = request->stdin_stream,
                                   .stdin_credit = MESSAGE_STDIN_CREDIT_BYTES,
                                   .window_max = request->window_max,
                                   .window_most = (size_t)config->window_max_bytes,
                                   .session = native,
                                   .id = id};
    setup.window_bytes =
        run_window_begin(made, &made->out_share, (size_t)config->output_log_bytes,
                         (size_t)(service ? config->files_window_bytes : config->output_log_bytes));
    if (request->window_max > 0 && request->window_max < setup.window_bytes)
        setup.window_bytes = (size_t)request->window_max;
    if (large_frames)
        setup.stdin_credit =
            run_window_begin(made, &made->in_share, (size_t)config->stdin_bytes,
                             (size_t)(service ? config->files_window_bytes : config->stdin_bytes));
    enum afar_status status = run_host_open(&made->host, &setup, 0, err);
    if (status == AFAR_OK && granted > 0)
        status = make_resumable(made, connection, request->holder, err);
    if (status != AFAR_OK) {
        made->native = NULL;
        run_free(made);
        return status;
    }
    *run = made;
    return AFAR_OK;
}

enum afar_status run_start(struct run *run, struct exec_request *request,
                           const struct job_origin *origin, size_t *position, enum counter *limit,
                           struct afar_error *err)
{
    enum afar_status status =
        prepare_job(&run->job, run->worker, &run->owner, request, origin, position, limit, err);
    if (status == AFAR_OK && run->resumable)
        registry_bind_run(run->worker->shared->registry, &run->entry, job_id(run->job));
    return status;
}

/* No client can come back any more. */
static void leave(struct run *run)
{
    if (!run->resumable)
        return;
    set_away(run, false);
    registry_leave_run(run->worker->shared->registry, &run->entry);
    timer_detach(loop_timers(run->worker->host.loop), &run->timer);
    list_remove(&run->link);
    run->resumable = false;
}

void run_free(struct run *run)
{
    if (run == NULL)
        return;
    struct worker *worker = run->worker;
    const bool counted = run->resumable;
    leave(run);
    if (run->native != NULL)
        run->native->run = NULL;
    if (run->job != NULL)
        job_abandon(run->job);
    run_host_close(&run->host);
    run_window_end(run);
    free(run);
    if (counted)
        worker_check_ended(worker);
}

void run_cut(struct run *run)
{
    leave(run);
    if (run->job != NULL)
        job_abandon(run->job);
    run->job = NULL;
    run->cut = true;
    output_log_cut(run->host.log);
}

void run_lost(struct run *run)
{
    struct native *native = run->native;
    enum run_host_after after = run_host_lost(&run->host, native, clock_now_ms());
    if (!run->resumable || run->detaching || after != RUN_HOST_GOES_ON) {
        run_free(run);
        return;
    }
    native_note_away(native);
    native->run = NULL;
    run->native = NULL;
    set_away(run, true);
    timer_arm(loop_timers(run->worker->host.loop), &run->timer, run_host_deadline_ms(&run->host));
    if (run->worker->draining)
        run_drain(run);
}

void run_attached(struct run *run, struct native *native)
{
    run->native = native;
    run->came_back = true;
    run->judged_by = run->worker->tls;
    run->connection = native->connection->number;
    set_away(run, false);
    timer_arm(loop_timers(run->worker->host.loop), &run->timer, DEADLINE_NEVER);
}

void run_drain(struct run *run)
{
    if (run->native != NULL)
        return;
    run_host_hurry(&run->host, clock_now_ms());
    check_time(run);
}
