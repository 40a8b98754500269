/* A client comes back to a command, on another connection than the one that it was begun on.
 *
 * The connection goes to the run's worker, not the run to the connection's: a run has descriptors,
 * timers and a companion at work on it, and would be lost if a part of it could not be moved. An
 * idle connection has one descriptor and one timer; if these cannot be registered at the other
 * worker, the connection is closed, and its client can come back again. After the move, nothing
 * needs to be copied. */
#include "server/protocol/native_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "policy/decide.h"

/* An attach, while the connection is on its way to the run's worker. */
struct attach {
    uint64_t id;
    char job[MESSAGE_JOB_ID_BYTES];
    struct message_attach what;
    bool anybodys; /* also to another client's job */
};

/* ---- in the audit log ------------------------------------------------------------------------ */

void native_note(const struct native *native, const char *event, const char *job)
{
    const struct connection *connection = native->connection;
    const struct audit_record record = {.event = event,
                                        .connection = connection->number,
                                        .job = job,
                                        .identity = connection->identity,
                                        .owner = connection->owner,
                                        .names =
                                            connection->who != NULL ? connection->who->names : NULL,
                                        .address = connection->peer};
    audit_note(connection->worker, &record);
}

void native_note_away(const struct native *native)
{
    const struct connection *connection = native->connection;
    counters_count(&connection->worker->shared->counters, COUNTER_AWAY);
    log_write(connection->worker->shared->log, LOG_LEVEL_INFO,
              "connection %llu: lost; job %s waits %llu ms for its client", connection->number,
              native->run->entry.job, (unsigned long long)native->run->host.resume_ms);
    native_note(native, "away", native->run->entry.job);
    if (native->run->job != NULL)
        job_record_mark(native->run->job, "away");
}

/* ---- refused --------------------------------------------------------------------------------- */

static void refuse(struct native *native, uint64_t id, enum refusal_code code, const char *text)
{
    const struct message request = {.type = MESSAGE_ATTACH, .has_id = true, .id = id};
    native_refuse(native, &request, code, text);
}

static void refuse_unknown(struct native *native, uint64_t id)
{
    connection_slow_down(native->connection);
    native_check_queued(native,
                        message_put_not_found(&native->connection->out, id, "no such job",
                                              native->connection->worker->shared->instance, NULL));
}

static const char *words_of(enum run_host_verdict verdict)
{
    switch (verdict) {
    case RUN_HOST_SUPERSEDED:
        return "another client has the command";
    case RUN_HOST_STALE:
        return "a newer attach of this client came first";
    case RUN_HOST_GONE:
        return "that part of the output is no longer stored";
    case RUN_HOST_WATCH:
    case RUN_HOST_ATTACHED:
        break;
    }
    return "this server does not offer watch";
}

/* ---- at the run's worker --------------------------------------------------------------------- */

/* The command of `old` belongs to another connection now. If a frame was sent in part, nothing can
 * follow it: the rest goes to the other connection. */
static void displace(struct native *old, uint64_t id, const char *code, bool inside)
{
    assert(old != NULL);
    struct connection *connection = old->connection;
    struct afar_error err;
    old->run = NULL;
    connection_end_request(connection);
    if (inside || message_put_error(&connection->out, true, id, code,
                                    strcmp(code, "stale") == 0
                                        ? "its client has come back on another connection"
                                        : "another client has the command now",
                                    0, &err) != AFAR_OK)
        connection_fail(connection, LOG_LEVEL_DEBUG, "its command is on another connection now");
    else
        connection_finish(connection);
}

static enum message_job_state state_of(const struct run *run)
{
    if (run->job == NULL)
        return MESSAGE_JOB_ENDED;
    if (job_has_run(run->job))
        return MESSAGE_JOB_RUNNING;
    return job_is_queued(run->job) ? MESSAGE_JOB_QUEUED : MESSAGE_JOB_STARTING;
}

static void tell_attached(struct native *native)
{
    struct run *run = native->run;
    struct message_attached attached;
    run_host_tell(&run->host, &attached);
    attached.state = state_of(run);
    const struct message_started facts = native_facts(native);
    native_check_queued(native, message_put_attached(&native->connection->out, run->host.id, &facts,
                                                     &attached, NULL));
}

static void attach_here(struct native *native, const struct attach *attach, struct run *run)
{
    struct connection *connection = native->connection;
    struct native *old = run->native;
    const uint64_t old_id = run->host.id;
    const bool inside =
        old != NULL && (output_log_inside_frame(run->host.log) || old->connection->blocked_inside);
    const bool same = strcmp(run->host.holder, attach->what.holder) == 0;
    struct run_host_displaced displaced;
    enum run_host_verdict verdict =
        run_host_attach(&run->host, native, attach->id, &attach->what, &displaced);
    if (verdict != RUN_HOST_ATTACHED) {
        const enum refusal_code code = run_host_refusal(verdict);
        refuse(native, attach->id, code != REFUSAL_NONE ? code : REFUSAL_UNSUPPORTED,
               words_of(verdict));
        return;
    }
    if (displaced.session != NULL)
        displace(old, old_id, displaced.code, inside);
    if (!same) {
        counters_count(&connection->worker->shared->counters, COUNTER_SUPERSEDED);
        /* If that holder is taken (by its own client's mistake), the run is found by its job only.
         */
        (void)registry_rename_run(connection->worker->shared->registry, &run->entry,
                                  attach->what.holder);
    }
    counters_count(&connection->worker->shared->counters, COUNTER_ATTACHES);
    if (attach->what.resume)
        counters_count(&connection->worker->shared->counters, COUNTER_RESUMES);
    native->run = run;
    run_attached(run, native);
    log_write(connection->worker->shared->log, LOG_LEVEL_INFO, "connection %llu: %s job %s",
              connection->number, same ? "back at" : "takes over", run->entry.job);
    native_note(native, same ? "attach" : "takeover", run->entry.job);
    tell_attached(native);
    if (run->job != NULL)
        job_record_mark(run->job, same ? "attach" : "takeover");
    if (run->job != NULL)
        job_resume_output(run->job);
    connection_want_flush(connection);
    native_end_if_over(native);
}

/* ---- a kept one ------------------------------------------------------------------------------ */

void native_end_relay(struct native *native)
{
    relay_free(native->relay);
    native->relay = NULL;
    connection_end_request(native->connection);
}

void native_refuse_attach(struct native *native, uint64_t id, enum afar_status status,
                          const struct afar_error *why)
{
    if (status == AFAR_EINVAL)
        refuse_unknown(native, id);
    else
        refuse(native, id, status == AFAR_EAGAIN ? REFUSAL_BUSY : REFUSAL_INTERNAL, why->message);
    if (native->connection->worker->draining)
        connection_drain(native->connection);
}

static void begin_kept(struct native *native, uint64_t id, const char *job, const char *key,
                       const struct message_attach *attach)
{
    struct afar_error err;
    if (relay_open(&native->relay, native, id, job, key, attach, &err) != AFAR_OK) {
        native_end_relay(native);
        native_refuse_attach(native, id, AFAR_ENOMEM, &err);
        return;
    }
    struct counters *counters = &native->connection->worker->shared->counters;
    counters_count(counters, COUNTER_ATTACHES);
    if (attach->resume)
        counters_count(counters, COUNTER_RESUMES);
}

void native_attach_kept(struct native *native, uint64_t id, const char *job, const char *key,
                        const struct message_attach *attach)
{
    if (connection_begin_request(native->connection))
        begin_kept(native, id, job, key, attach);
    else
        refuse(native, id, REFUSAL_BUSY,
               "the server is full and closes this connection; connect again");
}

/* ---- finding it ------------------------------------------------------------------------------ */

const char *native_whose(const struct native *native, const struct policy_client *client,
                         unsigned verbs)
{
    const struct connection *connection = native->connection;
    const bool all = policy_may_others(connection->worker->config->rules, client, verbs);
    return all ? NULL : connection->owner;
}

static void find(struct native *native, const struct attach *attach)
{
    struct connection *connection = native->connection;
    struct worker *worker = connection->worker;
    void *object = NULL;
    char job[MESSAGE_JOB_ID_BYTES];
    if (!connection_begin_request(connection)) {
        refuse(native, attach->id, REFUSAL_BUSY,
               "the server is full and closes this connection; connect again");
        return;
    }
    const char *owner = attach->anybodys ? NULL : connection->owner;
    /* A holder is valid for its own owner only; a job id for all. */
    struct worker *home = registry_find_run(worker->shared->registry,
                                            attach->job[0] != '\0' ? owner : connection->owner,
                                            attach->job, attach->what.holder, worker, &object);
    if (object != NULL) {
        attach_here(native, attach, object);
    } else if (home != NULL) {
        native->attach = malloc(sizeof *native->attach);
        if (native->attach != NULL)
            *native->attach = *attach;
        connection_hand_on(connection, home); /* (registry_find_run has counted it there) */
        return;
    } else if (kept_find(worker->shared->kept, owner, attach->job, attach->what.holder, job)) {
        begin_kept(native, attach->id, job, "", &attach->what);
        return;
    } else if (worker->config->resume_ms == 0 && worker->shared->kept == NULL) {
        const struct message request = {.type = MESSAGE_ATTACH, .has_id = true, .id = attach->id};
        native_refuse_not_offered(native, &request, "attach");
    } else {
        refuse_unknown(native, attach->id);
    }
    if (native->run == NULL)
        connection_end_request(connection);
}

void native_moved(struct connection *connection)
{
    struct native *native = connection->session;
    struct attach *attach = native->attach;
    native->attach = NULL;
    if (attach == NULL) {
        connection_fail(connection, LOG_LEVEL_ERROR, "out of memory for an attach");
        return;
    }
    if (connection->worker->draining)
        refuse(native, attach->id, REFUSAL_DRAINING, "the server is shutting down");
    else
        find(native, attach);
    free(attach);
}

/* False: it was refused and answered. */
static bool is_allowed(struct native *native, const struct message *message, bool *anybodys)
{
    struct connection *connection = native->connection;
    struct afar_error err;
    struct policy_client client;
    enum afar_status status = connection_judge(connection, &client, &err);
    if (status != AFAR_OK) {
        native_refuse(native, message, status == AFAR_ETRUST ? REFUSAL_DENIED : REFUSAL_INTERNAL,
                      err.message);
        return false;
    }
    /* Either of these verbs lets a client come back to its own command. */
    const unsigned verbs = message->attach.resume ? POLICY_RUN | POLICY_ATTACH : POLICY_ATTACH;
    *anybodys = native_whose(native, &client, verbs) == NULL;
    if (policy_may(connection->worker->config->rules, &client, verbs))
        return true;
    static const char why[] = "no rule lets this client attach to this job";
    counters_count(&connection->worker->shared->counters, COUNTER_DENIED);
    audit_note_refused(connection, "denied", why, NULL);
    native_refuse(native, message, REFUSAL_DENIED,
                  connection->worker->config->deny_reason == DENY_REASON_BRIEF ? DENIED_BRIEFLY
                                                                               : why);
    return false;
}

void native_attach(struct native *native, const struct message *message)
{
    struct attach attach = {.id = message->id, .what = message->attach};
    memcpy(attach.job, message->job, sizeof attach.job);
    if (message->attach.watch && native->connection->worker->shared->kept == NULL)
        native_refuse_not_offered(native, message, "watch");
    else if (!native_take_free(native))
        native_refuse(native, message, REFUSAL_BAD_REQUEST,
                      "another command is under way on this connection");
    else if (native->connection->worker->draining)
        native_refuse(native, message, REFUSAL_DRAINING, "the server is shutting down");
    else if (is_allowed(native, message, &attach.anybodys))
        find(native, &attach);
}
