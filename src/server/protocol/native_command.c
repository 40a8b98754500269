/* The command that runs on a connection: its request, input, output and receipt. */
#include "server/protocol/native_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "policy/decide.h"

/* ---- the run speaks -------------------------------------------------------------------------- */

struct message_started native_facts(struct native *native)
{
    const struct run *run = native->run;
    const struct run_host *host = &run->host;
    const bool more = host->stdin_stream && host->stdin_credit > MESSAGE_STDIN_CREDIT_BYTES;
    const struct message_started facts = {
        .job = run->resumable ? run->entry.job : job_id(run->job),
        .window = run_host_told_window(host),
        .credit = more ? host->stdin_credit : 0,
        .resume_ms = host->resume_ms,
        .features = native->told_features ? 0 : native_features(native),
        .tty = run->job != NULL && job_has_run(run->job) ? job_terminal_name(run->job) : NULL,
        .server = host->resume_ms > 0 ? run->worker->shared->instance : NULL};
    native->told_features = true;
    return facts;
}

/* Most commands end soon: `started` waits briefly so that the client wakes up only once. But a
 * client that sends input waits for `started`. */
void native_tell_started(struct native *native)
{
    struct run *run = native->run;
    const struct message_started started = native_facts(native);
    enum afar_status status =
        message_put_started(&native->connection->out, run->host.id, &started, NULL);
    run_window_started(run);
    if (status == AFAR_OK && !run->host.stdin_stream)
        connection_want_flush_within(native->connection, NATIVE_STARTED_WITHIN_MS);
    else
        native_check_queued(native, status);
    if (run->detaching)
        native_end_detached(native);
}

void native_tell_refused(struct native *native, const struct refusal *refusal)
{
    const struct message request = {
        .type = MESSAGE_EXEC, .has_id = true, .id = native->run->host.id};
    native_answer(native, &request, refusal->code, refusal->text); /* prepare.c has logged it */
}

/* ---- requests -------------------------------------------------------------------------------- */

unsigned native_features(const struct native *native)
{
    return FEATURE_DETACH | FEATURE_DIGEST | FEATURE_FORWARD | FEATURE_HOME | FEATURE_KILL |
           FEATURE_PTY | FEATURE_START_WITHIN_MS | FEATURE_SUBSYSTEM | FEATURE_USER |
           FEATURE_LEAVE |
           (native->connection->worker->config->resume_ms > 0 ? (unsigned)FEATURE_RESUME : 0) |
           (native->connection->worker->shared->kept != NULL
                ? (unsigned)FEATURE_KEEP | FEATURE_TIMES
                : 0);
}

/* The name of a requested feature that is not offered, or NULL. A restriction is never dropped
 * silently. */
static const char *not_offered(const struct exec_request *request, const struct kept *kept)
{
    if (request->unknown_must[0] != '\0')
        return request->unknown_must;
    if (request->subsystem != NULL && strcmp(request->subsystem, JOB_FILES) != 0)
        return "a subsystem of that name: there is " JOB_FILES;
    if (request->key != NULL && kept == NULL)
        return "key";
    if ((request->keep || request->key != NULL) &&
        (kept == NULL || request->subsystem != NULL || request->forward != NULL))
        return "keep";
    if (request->when_full == WHEN_FULL_CUT && !request->keep && request->key == NULL)
        return "when_full: cut";
    return NULL;
}

/* Answers a request that could not be started. */
static void refuse_start(struct native *native, const struct message *message,
                         enum afar_status status, enum counter limit, const struct afar_error *err)
{
    struct counters *counters = &native->connection->worker->shared->counters;
    enum refusal_code code = REFUSAL_INTERNAL;
    const char *text = err->message;
    if (status == AFAR_EREFUSED) {
        counters_count(counters, COUNTER_DENIED);
        code = REFUSAL_DENIED;
    }
    if (status == AFAR_ELIMIT) {
        const bool final = limit == COUNTER_ARGV_BYTES || limit == COUNTER_ENV_BYTES;
        counters_count(counters, limit);
        code = final ? REFUSAL_LIMIT : REFUSAL_BUSY;
    }
    /* Logs the reason, also if the client is told less. */
    connection_complain(native->connection, refusal_word(code), text);
    if (status == AFAR_EREFUSED &&
        native->connection->worker->config->deny_reason == DENY_REASON_BRIEF)
        text = DENIED_BRIEFLY;
    native_answer(native, message, code, text);
}

/* The server's address, for SSH_CONNECTION. */
static void describe_local(const struct connection *connection, char *text, size_t size)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    if (getsockname(transport_fd(connection->transport), (struct sockaddr *)&address, &length) == 0)
        address_format((struct sockaddr *)&address, length, text, size);
}

static void start(struct native *native, struct message *message,
                  const struct policy_client *client)
{
    struct connection *connection = native->connection;
    struct kept_entry *kept = NULL;
    if ((message->exec->keep || message->exec->key != NULL) &&
        !native_claim_kept(native, message, client, &kept))
        return;
    if (!connection_begin_request(connection)) {
        kept_drop(connection->worker->shared->kept, kept);
        native_refuse(native, message, REFUSAL_BUSY,
                      "the server is full and closes this connection; connect again");
        return;
    }
    struct exec_request *request = message_take_exec(message);
    struct afar_error err;
    enum counter limit = COUNTER_MAX_JOBS;
    size_t position = 0;
    char label[512];
    char local[ADDRESS_TEXT_BYTES] = "";
    enum afar_status status = run_new(&native->run, native, message->id, request, &err);
    if (status != AFAR_OK) {
        native_end_request(native);
        exec_request_free(request);
        kept_drop(connection->worker->shared->kept, kept);
        native_refuse(native, message,
                      status == AFAR_EINVAL ? REFUSAL_BAD_REQUEST : REFUSAL_INTERNAL, err.message);
        return;
    }
    connection_label(connection, label, sizeof label);
    if (request->home || request->login)
        describe_local(connection, local, sizeof local);
    const struct job_origin origin = {.label = label,
                                      .group = connection->ticket.group,
                                      .connection = connection->number,
                                      .identity = connection->identity,
                                      .owner = connection->owner,
                                      .client = *client,
                                      .local = local,
                                      .kept = kept,
                                      .judge = run_judge};
    status = run_start(native->run, request, &origin, &position, &limit, &err);
    if (status != AFAR_OK)
        refuse_start(native, message, status, limit, &err);
    else if (position > 0)
        native_check_queued(native,
                            message_put_queued(&connection->out, message->id, position, NULL));
}

bool native_is_free(const struct native *native)
{
    const struct run *run = native->run;
    if (native->relay != NULL)
        return relay_is_over(native->relay);
    return run == NULL || (!run->cut && run->host.ended && output_log_finished(run->host.log));
}

bool native_take_free(struct native *native)
{
    if (native->relay != NULL) {
        if (!relay_is_over(native->relay))
            return false;
        relay_free(native->relay);
        native->relay = NULL;
        return true;
    }
    if (native->run == NULL)
        return true;
    if (native->run->cut || run_host_next(&native->run->host, native) == RUN_HOST_GOES_ON)
        return false;
    native_end_request(native);
    return true;
}

void native_end_if_over(struct native *native)
{
    if (run_host_over(&native->run->host) != RUN_HOST_RELEASE)
        return;
    native_end_request(native);
    if (native->connection->worker->draining)
        connection_drain(native->connection);
}

bool native_may_run(struct native *native)
{
    struct policy_client client;
    struct afar_error err;
    return connection_judge(native->connection, &client, &err) == AFAR_OK &&
           policy_may(native->connection->worker->config->rules, &client,
                      POLICY_RUN | POLICY_FILES | POLICY_FORWARD);
}

bool native_wants(void *user, const struct message *message)
{
    struct native *native = user;
    if (message->type == MESSAGE_EXEC)
        return native_is_free(native) && native_may_run(native);
    if (message->type == MESSAGE_STDIN && native->relay != NULL)
        return message->has_id && message->id == relay_id(native->relay) &&
               !relay_is_over(native->relay);
    if (message->type != MESSAGE_STDIN || !native_is_current(native, message))
        return false;
    const struct run_host *host = &native->run->host;
    return native->run->job != NULL && host->stdin_stream &&
           message->offset + message->size <= host->stdin_end;
}

void native_deny(struct native *native, struct afar_error *err)
{
    struct connection *connection = native->connection;
    struct policy_client client;
    if (connection_judge(connection, &client, err) == AFAR_OK)
        (void)afar_fail(err, AFAR_EREFUSED, "no rule lets this client (%.100s) run anything",
                        connection->identity);
    audit_note_refused(connection, "denied", err->message, NULL);
}

/* Refuses an exec whose payload was dropped (native_wants). */
static void refuse_unread(struct native *native, struct message *message)
{
    struct afar_error err;
    if (!native_is_free(native)) {
        native_refuse(native, message, REFUSAL_BAD_REQUEST,
                      "another command is under way on this connection");
        return;
    }
    native_deny(native, &err);
    refuse_start(native, message, AFAR_EREFUSED, COUNTERS, &err);
}

void native_exec(struct native *native, struct message *message, const uint8_t *payload)
{
    struct afar_error err;
    if (payload == NULL && message->size > 0) {
        refuse_unread(native, message);
        return;
    }
    enum afar_status status =
        exec_request_take_payload(message->exec, payload, message->size, &err);
    if (status != AFAR_OK) {
        native_refuse(native, message,
                      status == AFAR_EPEER ? REFUSAL_BAD_REQUEST : REFUSAL_INTERNAL, err.message);
        return;
    }
    struct connection *connection = native->connection;
    struct policy_client client;
    status = connection_judge(connection, &client, &err);
    if (status != AFAR_OK) {
        audit_note_refused(connection, "denied", err.message, message->exec);
        native_refuse(native, message, status == AFAR_ETRUST ? REFUSAL_DENIED : REFUSAL_INTERNAL,
                      err.message);
        return;
    }
    const char *lacking = not_offered(message->exec, connection->worker->shared->kept);
    if (lacking != NULL)
        native_refuse_not_offered(native, message, lacking);
    else if (!native_take_free(native))
        /* Ends the new request, not the one that runs (unless both have the same id). */
        native_refuse(native, message, REFUSAL_BAD_REQUEST,
                      "another command is under way on this connection");
    else if (native->connection->worker->draining)
        native_refuse(native, message, REFUSAL_DRAINING, "the server is shutting down");
    else
        start(native, message, &client);
}

void native_stdin(struct native *native, const struct message *message, const uint8_t *payload)
{
    struct run_host_input input;
    struct afar_error err;
    /* Input that comes after the command's end has crossed its receipt, and is dropped. */
    if (!native_is_current(native, message) || native->run->job == NULL)
        return;
    struct run *run = native->run;
    run_window_clock(run);
    if (run_host_stdin(&run->host, native, message->offset, message->size, message->eof, &input,
                       &err) != AFAR_OK) {
        native_refuse(native, message, REFUSAL_BAD_REQUEST, err.message);
        return;
    }
    if (input.size > 0 &&
        job_write_stdin(run->job, payload + input.skip, input.size, NULL) != AFAR_OK) {
        native_refuse(native, message, REFUSAL_INTERNAL, "out of memory for stdin");
        return;
    }
    if (input.eof)
        job_close_stdin(run->job);
    connection_want_flush(native->connection); /* an ack may be due */
}

void native_ack(struct native *native, const struct message *message)
{
    struct afar_error err;
    bool resume = false;
    if (!native_is_current(native, message) || !message->has_next)
        return;
    struct run *run = native->run;
    run_window_clock(run);
    if (run_host_ack(&run->host, native, message->next, &resume, &err) != AFAR_OK) {
        native_refuse(native, message, REFUSAL_BAD_REQUEST, err.message);
        return;
    }
    run_window_settle(run);
    if (resume && run->job != NULL)
        job_resume_output(run->job);
    native_end_if_over(native);
}

/* The client withdraws its command. Whether that has begun is known immediately if it runs;
 * otherwise when its place in the queue has been released, or the spawn under way has ended. */
void native_detach(struct native *native, const struct message *message)
{
    if (!native_is_current(native, message) || native->run->detaching)
        return;
    struct run *run = native->run;
    if (run->job == NULL) { /* its receipt is on its way; run_lost will not wait for the client */
        run->detaching = true;
        return;
    }
    if (job_has_run(run->job)) {
        native_end_detached(native);
        return;
    }
    run->detaching = true;
    job_stop(run->job, AFAR_OUTCOME_DISCONNECTED);
}
