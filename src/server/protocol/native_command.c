/* The command that runs on a connection: its request, its input, its output and its receipt. */
#include "server/protocol/native_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/audit_note.h"
#include "server/prepare.h"

/* ---- the job speaks -------------------------------------------------------------------------- */

static struct native *native_of(struct job_owner *owner)
{
    return list_object(owner, struct native, owner);
}

static enum afar_status job_judge(struct job_owner *owner, struct policy_client *who,
                                  struct afar_error *err)
{
    return connection_judge(native_of(owner)->connection, who, err);
}

/* Most commands are over in a moment, and then the client needs to wake up only once. But who may
 * send input waits for this. */
static void job_started(struct job_owner *owner)
{
    struct native *native = native_of(owner);
    const bool more = native->stdin_stream && native->stdin_credit > MESSAGE_STDIN_CREDIT_BYTES;
    const struct message_started started = {
        .job = job_id(native->job),
        .window = output_log_capacity(native->log),
        .credit = more ? native->stdin_credit : 0,
        .tty = job_terminal_name(native->job),
        .features = native->told_features ? 0 : native_features(native)};
    enum afar_status status =
        message_put_started(&native->connection->out, native->id, &started, NULL);
    native->told_features = true;
    if (status == AFAR_OK && !native->stdin_stream)
        connection_want_flush_within(native->connection, NATIVE_STARTED_WITHIN_MS);
    else
        native_check_queued(native, status);
    if (native->detaching)
        native_end_detached(native);
}

static enum afar_status job_reserve(struct job_owner *owner, enum stream stream, uint8_t **room,
                                    size_t *size, struct afar_error *err)
{
    struct native *native = native_of(owner);
    (void)stream;
    enum afar_status status = output_log_reserve(native->log, room, size, err);
    if (status == AFAR_EAGAIN)
        counters_count(&native->connection->worker->shared->counters, COUNTER_OUTPUT_LOG_FULL);
    return status;
}

static void job_commit(struct job_owner *owner, enum stream stream, size_t size)
{
    struct native *native = native_of(owner);
    output_log_commit(native->log, stream, size);
    if (size > 0)
        connection_want_flush(native->connection);
}

static void job_took_stdin(struct job_owner *owner)
{
    connection_want_flush(native_of(owner)->connection);
}

/* The receipt must not be lost for want of memory: prepare() tries again. */
void native_add_receipt(struct native *native)
{
    native->receipt_waits =
        output_log_finish(native->log, native->receipt, native->digest, NULL) != AFAR_OK;
}

static void job_ended(struct job_owner *owner, const struct afar_receipt *receipt)
{
    struct native *native = native_of(owner);
    native->job = NULL;
    if (native->detaching) {
        native_end_detached(native);
        return;
    }
    *native->receipt = *receipt;
    native_add_receipt(native);
    connection_want_flush(native->connection);
}

static void job_refused(struct job_owner *owner, const struct refusal *refusal)
{
    struct native *native = native_of(owner);
    native->job = NULL;
    if (native->detaching) {
        native_end_detached(native);
        return;
    }
    const struct message request = {.type = MESSAGE_EXEC, .has_id = true, .id = native->id};
    native_answer(native, &request, refusal_word(refusal->code), refusal->text,
                  NATIVE_BUSY_RETRY_MS); /* it has been logged */
}

const struct job_owner_ops native_owner_ops = {
    .started = job_started,
    .reserve = job_reserve,
    .commit = job_commit,
    .stdin_taken = job_took_stdin,
    .ended = job_ended,
    .refused = job_refused,
};

/* ---- requests -------------------------------------------------------------------------------- */

unsigned native_features(const struct native *native)
{
    const struct rules *rules = native->connection->worker->config->rules;
    return FEATURE_DETACH | FEATURE_DIGEST | FEATURE_KILL | FEATURE_LOGIN | FEATURE_PTY |
           FEATURE_START_WITHIN_MS | FEATURE_SUBSYSTEM |
           (rules_count(rules) > 0 ? (unsigned)FEATURE_USER : 0);
}

/* The name of what is asked for and not offered, or NULL. A restriction is never dropped silently.
 */
static const char *not_offered(const struct exec_request *request, const struct rules *rules)
{
    if (request->unknown_must[0] != '\0')
        return request->unknown_must;
    if (request->subsystem != NULL && strcmp(request->subsystem, JOB_FILES) != 0)
        return "a subsystem of that name: there is " JOB_FILES;
    if (request->user != NULL && rules_count(rules) == 0)
        return "user"; /* who may become whom is for rules to say */
    if (request->key != NULL)
        return "key";
    if (request->keep)
        return "keep";
    if (request->when_full == WHEN_FULL_CUT)
        return "when_full: cut";
    return NULL;
}

/* No place for it, or no means. */
static void refuse_start(struct native *native, const struct message *message,
                         enum afar_status status, enum counter limit, const struct afar_error *err)
{
    struct counters *counters = &native->connection->worker->shared->counters;
    const char *code = "internal";
    bool again = true;
    const char *text = err->message;
    if (status == AFAR_EREFUSED) {
        counters_count(counters, COUNTER_DENIED);
        code = "denied";
        again = false;
    }
    if (status == AFAR_ELIMIT) {
        counters_count(counters, limit);
        again = limit != COUNTER_ARGV_BYTES && limit != COUNTER_ENV_BYTES;
        code = again ? "busy" : "limit";
    }
    connection_complain(native->connection, code, text); /* also what the client does not hear */
    if (status == AFAR_EREFUSED &&
        native->connection->worker->config->deny_reason == DENY_REASON_BRIEF)
        text = DENIED_BRIEFLY;
    native_answer(native, message, code, text, again ? NATIVE_BUSY_RETRY_MS : 0);
}

static void start(struct native *native, struct message *message,
                  const struct policy_client *client)
{
    struct connection *connection = native->connection;
    const struct config *config = connection->worker->config;
    if (!connection_begin_request(connection)) {
        native_refuse(native, message, "busy", "the server needs this connection's place",
                      NATIVE_BUSY_RETRY_MS);
        return;
    }
    struct exec_request *request = message_take_exec(message);
    struct afar_error err;
    enum counter limit = COUNTER_MAX_JOBS;
    size_t position = 0;
    char label[512];

    native->cut = native->stdin_eof = native->receipt_waits = false;
    native->stdin_received = native->stdin_acked = 0;
    native->stdin_ack_by_ms = DEADLINE_NEVER;
    native->id = message->id;
    native->digest = request->digest;
    native->stdin_stream = request->stdin_stream;
    const bool files = request->subsystem != NULL;
    native->stdin_credit = config->payload_bytes >= MESSAGE_STDIN_FRAME_BYTES
                               ? (files ? config->files_window_bytes : config->stdin_bytes)
                               : MESSAGE_STDIN_CREDIT_BYTES;
    native->log =
        output_log_new(message->id, files ? config->files_window_bytes : config->output_log_bytes);
    native->receipt = malloc(sizeof *native->receipt);
    if (native->log == NULL || native->receipt == NULL) {
        native_end_request(native);
        exec_request_free(request);
        native_refuse(native, message, "internal", "out of memory", NATIVE_BUSY_RETRY_MS);
        return;
    }
    connection_label(connection, label, sizeof label);
    const struct job_origin origin = {.label = label,
                                      .group = connection->ticket.group,
                                      .connection = connection->number,
                                      .identity = connection->identity,
                                      .owner = connection->owner,
                                      .client = *client,
                                      .judge = job_judge};
    native->attached = true;
    enum afar_status status = prepare_job(&native->job, connection->worker, &native->owner, request,
                                          &origin, &position, &limit, &err);
    if (status != AFAR_OK)
        refuse_start(native, message, status, limit, &err);
    else if (position > 0)
        native_check_queued(native,
                            message_put_queued(&connection->out, native->id, position, NULL));
}

bool native_may_run(struct native *native)
{
    struct policy_client client;
    struct afar_error err;
    return connection_judge(native->connection, &client, &err) == AFAR_OK &&
           policy_may(native->connection->worker->config->rules, &client,
                      POLICY_RUN | POLICY_FILES);
}

bool native_wants(void *user, const struct message *message)
{
    struct native *native = user;
    if (message->type == MESSAGE_EXEC)
        return !native->attached && native_may_run(native);
    return message->type == MESSAGE_STDIN && native_is_current(native, message) &&
           native->job != NULL && native->stdin_stream &&
           message->offset + message->size <= native->stdin_acked + native->stdin_credit;
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

/* Its payload has not been read, as nobody wants it. */
static void refuse_unread(struct native *native, struct message *message)
{
    struct afar_error err;
    if (native->attached) {
        native_refuse(native, message, "bad_request",
                      "another command is under way on this connection", 0);
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
        native_refuse(native, message, status == AFAR_EPEER ? "bad_request" : "internal",
                      err.message, 0);
        return;
    }
    struct connection *connection = native->connection;
    struct policy_client client;
    status = connection_judge(connection, &client, &err);
    if (status != AFAR_OK) {
        audit_note_refused(connection, "denied", err.message, message->exec);
        native_refuse(native, message, status == AFAR_ETRUST ? "denied" : "internal", err.message,
                      0);
        return;
    }
    const char *lacking = not_offered(message->exec, connection->worker->config->rules);
    if (lacking != NULL)
        native_refuse_not_offered(native, message, lacking);
    else if (native->attached)
        /* Ends the new request, not the one that runs; which it would be if they had one id. */
        native_refuse(native, message, "bad_request",
                      "another command is under way on this connection", 0);
    else if (native->connection->worker->draining)
        native_refuse(native, message, "draining", "the server is shutting down",
                      NATIVE_BUSY_RETRY_MS);
    else
        start(native, message, &client);
}

void native_stdin(struct native *native, const struct message *message, const uint8_t *payload)
{
    /* Input that comes after the command's end has raced its receipt, and nobody keeps count of it.
     */
    if (!native_is_current(native, message) || native->job == NULL)
        return;
    uint64_t end = message->offset + message->size;
    if (!native->stdin_stream) {
        native_refuse(native, message, "bad_request",
                      "stdin for a command without \"stdin\":\"stream\"", 0);
        return;
    }
    if (message->offset > native->stdin_received) {
        native_refuse(native, message, "bad_request", "a gap in stdin: \"offset\" is too high", 0);
        return;
    }
    if (native->stdin_eof && end > native->stdin_received) {
        native_refuse(native, message, "bad_request", "stdin after its end", 0);
        return;
    }
    if (end > native->stdin_acked + native->stdin_credit) {
        native_refuse(native, message, "bad_request", "stdin beyond its credit", 0);
        return;
    }
    if (end > native->stdin_received) {
        size_t known = (size_t)(native->stdin_received - message->offset); /* a resend */
        if (job_write_stdin(native->job, payload + known, message->size - known, NULL) != AFAR_OK) {
            native_refuse(native, message, "internal", "out of memory for stdin", 0);
            return;
        }
        native->stdin_received = end;
    }
    if (message->eof && !native->stdin_eof) {
        native->stdin_eof = true;
        job_close_stdin(native->job);
    }
    connection_want_flush(native->connection); /* an ack may be due */
}

void native_ack(struct native *native, const struct message *message)
{
    struct afar_error err;
    if (!native_is_current(native, message) || !message->has_next)
        return;
    if (output_log_ack(native->log, message->next, &err) != AFAR_OK) {
        native_refuse(native, message, "bad_request", err.message, 0);
        return;
    }
    if (native->job != NULL)
        job_resume_output(native->job);
}

/* Its client does not want it any more. Whether it has begun is known at once, or when the place in
 * the queue has been given back, or the spawn that is under way has been ended. */
void native_detach(struct native *native, const struct message *message)
{
    if (!native_is_current(native, message) || native->job == NULL || native->detaching)
        return; /* its end is on its way */
    if (job_has_run(native->job)) {
        native_end_detached(native);
        return;
    }
    native->detaching = true;
    job_stop(native->job, AFAR_OUTCOME_DISCONNECTED);
}
