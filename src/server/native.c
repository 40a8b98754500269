#include "server/native.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "exec/signal_name.h"
#include "server/job.h"
#include "wire/frame.h"
#include "wire/output_log.h"

enum { BUSY_RETRY_MS = 1000 };

struct native {
    struct job_owner owner;
    struct connection *connection;
    struct decoder decoder;
    bool attached; /* a request is under way: job or at least its log is there */
    uint64_t id;   /* of that request */
    struct job *job;
    struct output_log *log;
    bool cut; /* ended by an error; only the frame under way is still to be sent */
    bool digest;
    bool stdin_stream;
    bool stdin_eof;
    uint64_t stdin_received;
    uint64_t stdin_acked; /* as last sent */
    bool receipt_waits;   /* for memory */
    struct afar_receipt receipt;
};

static struct native *session_of(const struct connection *connection)
{
    return connection->session;
}

/* ---- answering ----------------------------------------------------------------------------------
 */

/* What could not even be queued: the client floods us and does not read. */
static void check_queued(struct native *native, enum afar_status status)
{
    if (status == AFAR_ELIMIT)
        connection_fail(native->connection, LOG_LEVEL_WARN,
                        "too many replies are waiting (control_queue_bytes)");
    else if (status != AFAR_OK)
        connection_fail(native->connection, LOG_LEVEL_ERROR, "out of memory for a reply");
    connection_want_flush(native->connection);
}

static void log_refusal(struct native *native, const char *code, const char *text)
{
    char label[512];
    connection_label(native->connection, label, sizeof label);
    log_write(native->connection->worker->shared->log, LOG_LEVEL_WARN, "%s: %s: %s", label, code,
              text);
}

/* The request that is under way ends here, whatever comes of its job. */
static void end_request(struct native *native)
{
    if (native->job != NULL)
        job_abandon(native->job);
    output_log_free(native->log);
    native->job = NULL;
    native->log = NULL;
    native->attached = native->cut = native->receipt_waits = false;
}

/* Ends the request; but where part of a frame is on its way, the rest of that frame must still
 * follow before anything else, so the log stays until native_sent. */
static void cut_request(struct native *native)
{
    if (!output_log_inside_frame(native->log) && !native->connection->blocked_inside) {
        end_request(native);
        return;
    }
    if (native->job != NULL)
        job_abandon(native->job);
    native->job = NULL;
    native->cut = true;
    output_log_cut(native->log);
}

static bool is_current(const struct native *native, const struct message *message)
{
    return native->attached && !native->cut && message->has_id && message->id == native->id;
}

/* An error about a frame: nothing ends, so it carries no id. */
static void complain(struct native *native, const char *code, const char *text)
{
    log_refusal(native, code, text);
    check_queued(native,
                 message_put_error(&native->connection->out, false, 0, code, text, 0, NULL));
}

/* An error that ends a request. */
static void refuse(struct native *native, const struct message *message, const char *code,
                   const char *text, uint64_t retry_after_ms)
{
    log_refusal(native, code, text);
    if (is_current(native, message))
        cut_request(native);
    check_queued(native, message_put_error(&native->connection->out, message->has_id, message->id,
                                           code, text, retry_after_ms, NULL));
}

/* Framing is lost: say so and close. */
static void refuse_and_close(struct native *native, const struct afar_error *err)
{
    complain(native, "bad_request", err->message);
    buffer_clear(&native->connection->in);
    connection_finish(native->connection);
}

/* ---- the job speaks -----------------------------------------------------------------------------
 */

static struct native *native_of(struct job_owner *owner)
{
    return list_object(owner, struct native, owner);
}

static void job_started(struct job_owner *owner)
{
    struct native *native = native_of(owner);
    check_queued(native,
                 message_put_started(&native->connection->out, native->id, job_id(native->job),
                                     output_log_capacity(native->log), NULL));
}

static enum afar_status job_reserve(struct job_owner *owner, enum stream stream, uint8_t **room,
                                    size_t *size, struct afar_error *err)
{
    (void)stream;
    return output_log_reserve(native_of(owner)->log, room, size, err);
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
static void add_receipt(struct native *native)
{
    native->receipt_waits =
        output_log_finish(native->log, &native->receipt, native->digest, NULL) != AFAR_OK;
}

static void job_ended(struct job_owner *owner, const struct afar_receipt *receipt)
{
    struct native *native = native_of(owner);
    native->job = NULL;
    native->receipt = *receipt;
    add_receipt(native);
    connection_want_flush(native->connection);
}

static void job_refused(struct job_owner *owner, const char *code, const char *message)
{
    struct native *native = native_of(owner);
    native->job = NULL;
    const struct message request = {.type = MESSAGE_EXEC, .has_id = true, .id = native->id};
    refuse(native, &request, code, message, BUSY_RETRY_MS);
}

static const struct job_owner_ops owner_ops = {
    .started = job_started,
    .reserve = job_reserve,
    .commit = job_commit,
    .stdin_taken = job_took_stdin,
    .ended = job_ended,
    .refused = job_refused,
};

/* ---- requests -----------------------------------------------------------------------------------
 */

/* The name of what is asked for and not offered, or NULL. A restriction is never dropped silently.
 */
static const char *not_offered(const struct exec_request *request)
{
    if (request->unknown_must[0] != '\0')
        return request->unknown_must;
    if (request->pty)
        return "pty";
    if (request->user != NULL)
        return "user";
    if (request->key != NULL)
        return "key";
    if (request->on_disconnect == ON_DISCONNECT_GRACE)
        return "on_disconnect: grace";
    if (request->on_disconnect == ON_DISCONNECT_DETACH)
        return "on_disconnect: detach";
    if (request->when_full == WHEN_FULL_CUT)
        return "when_full: cut";
    return NULL;
}

static void refuse_not_offered(struct native *native, const struct message *message,
                               const char *what)
{
    char text[MESSAGE_TEXT_BYTES] = "this server does not offer ";
    (void)strncat(text, what, sizeof text - strlen(text) - 1);
    refuse(native, message, "unsupported", text, 0);
}

static void start(struct native *native, struct message *message)
{
    struct connection *connection = native->connection;
    const struct config *config = connection->worker->shared->config;
    struct exec_request *request = message_take_exec(message);
    struct afar_error err;
    char label[512];

    *native = (struct native){.owner = native->owner,
                              .connection = connection,
                              .decoder = native->decoder,
                              .id = message->id,
                              .digest = request->digest,
                              .stdin_stream = request->stdin_stream};
    native->log = output_log_new(message->id, config->output_log_bytes);
    if (native->log == NULL) {
        exec_request_free(request);
        refuse(native, message, "internal", "out of memory", BUSY_RETRY_MS);
        return;
    }
    connection_label(connection, label, sizeof label);
    native->attached = true;
    enum afar_status status =
        job_start(&native->job, connection->worker, &native->owner, request, label, &err);
    if (status != AFAR_OK)
        refuse(native, message, status == AFAR_ELIMIT ? "busy" : "internal", err.message,
               BUSY_RETRY_MS);
}

static void on_exec(struct native *native, struct message *message, const uint8_t *payload)
{
    struct afar_error err;
    enum afar_status status =
        exec_request_take_payload(message->exec, payload, message->size, &err);
    if (status != AFAR_OK) {
        refuse(native, message, status == AFAR_EPEER ? "bad_request" : "internal", err.message, 0);
        return;
    }
    const char *lacking = not_offered(message->exec);
    if (lacking != NULL)
        refuse_not_offered(native, message, lacking);
    else if (native->attached)
        /* Ends the new request, not the one that runs; which it would be if they had one id. */
        refuse(native, message, "bad_request", "another command is under way on this connection",
               0);
    else if (native->connection->worker->draining)
        refuse(native, message, "draining", "the server is shutting down", BUSY_RETRY_MS);
    else
        start(native, message);
}

static void on_stdin(struct native *native, const struct message *message, const uint8_t *payload)
{
    /* Input that comes after the command's end has raced its receipt, and nobody keeps count of it.
     */
    if (!is_current(native, message) || native->job == NULL)
        return;
    uint64_t end = message->offset + message->size;
    if (!native->stdin_stream) {
        refuse(native, message, "bad_request", "stdin for a command without \"stdin\":\"stream\"",
               0);
        return;
    }
    if (message->offset > native->stdin_received) {
        refuse(native, message, "bad_request", "a gap in stdin: \"offset\" is too high", 0);
        return;
    }
    if (native->stdin_eof && end > native->stdin_received) {
        refuse(native, message, "bad_request", "stdin after its end", 0);
        return;
    }
    if (end > native->stdin_acked + MESSAGE_STDIN_CREDIT_BYTES) {
        refuse(native, message, "bad_request", "stdin beyond its credit of 262144 bytes", 0);
        return;
    }
    if (end > native->stdin_received) {
        size_t known = (size_t)(native->stdin_received - message->offset); /* a resend */
        if (job_write_stdin(native->job, payload + known, message->size - known, NULL) != AFAR_OK) {
            refuse(native, message, "internal", "out of memory for stdin", 0);
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

static void on_ack(struct native *native, const struct message *message)
{
    struct afar_error err;
    if (!is_current(native, message) || !message->has_next)
        return;
    if (output_log_ack(native->log, message->next, &err) != AFAR_OK) {
        refuse(native, message, "bad_request", err.message, 0);
        return;
    }
    if (native->job != NULL)
        job_resume_output(native->job);
}

static void on_signal(struct native *native, const struct message *message)
{
    int number = signal_by_name(message->name);
    if (number == 0)
        complain(native, "bad_request", "a signal name that this system does not know");
    else if (is_current(native, message) && native->job != NULL)
        job_signal(native->job, number);
}

static void on_kill(struct native *native, const struct message *message)
{
    struct registry *registry = native->connection->worker->shared->registry;
    int number = signal_by_name(message->name);
    if (number == 0)
        refuse(native, message, "bad_request", "a signal name that this system does not know", 0);
    else if (!registry_signal(registry, message->job, number))
        refuse(native, message, "not_found", "no such job is running", 0);
    else
        check_queued(native, message_put_done(&native->connection->out, message->id, NULL));
}

static void handle(struct native *native, struct message *message, const uint8_t *payload)
{
    switch (message->type) {
    case MESSAGE_EXEC:
        on_exec(native, message, payload);
        break;
    case MESSAGE_STDIN:
        on_stdin(native, message, payload);
        break;
    case MESSAGE_ACK:
        on_ack(native, message);
        break;
    case MESSAGE_SIGNAL:
        on_signal(native, message);
        break;
    case MESSAGE_CLOSE:
        if (is_current(native, message) && native->job != NULL)
            job_close_output(native->job, message->stream);
        break;
    case MESSAGE_KILL:
        on_kill(native, message);
        break;
    case MESSAGE_PING:
        check_queued(native,
                     message_put_pong(&native->connection->out, message->id, AFAR_VERSION, NULL));
        break;
    case MESSAGE_PONG:
        break;
    case MESSAGE_ATTACH:
        refuse_not_offered(native, message, "attach");
        break;
    case MESSAGE_JOBS:
        refuse_not_offered(native, message, "jobs");
        break;
    /* These two belong to a running command, which must not end for it. */
    case MESSAGE_DETACH:
        complain(native, "unsupported", "this server does not offer detach");
        break;
    case MESSAGE_RESIZE:
        complain(native, "unsupported", "this server does not offer resize");
        break;
    case MESSAGE_BAD:
        refuse(native, message, "bad_request", message->problem.message, 0);
        break;
    case MESSAGE_UNKNOWN:
        refuse(native, message, "bad_request", "an unknown message type", 0);
        break;
    case MESSAGE_STARTED:
    case MESSAGE_STDOUT:
    case MESSAGE_STDERR:
    case MESSAGE_EXIT:
    case MESSAGE_ERROR:
    case MESSAGE_CLOSING:
    case MESSAGE_DONE:
        refuse(native, message, "bad_request", "a message that only a server sends", 0);
        break;
    }
}

/* ---- the connection speaks ----------------------------------------------------------------------
 */

static enum afar_status native_open(struct connection *connection, struct afar_error *err)
{
    struct native *native = calloc(1, sizeof *native);
    if (native == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a session");
    native->owner.ops = &owner_ops;
    native->connection = connection;
    decoder_init(&native->decoder);
    connection->session = native;
    return AFAR_OK;
}

static void native_input(struct connection *connection)
{
    struct native *native = session_of(connection);
    struct afar_error err;
    while (connection_alive(connection) && !connection->finishing) {
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        enum afar_status status =
            decoder_next(&native->decoder, buffer_head(&connection->in),
                         buffer_size(&connection->in), &message, &payload, &used, &err);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK) {
            refuse_and_close(native, &err);
            return;
        }
        handle(native, &message, payload);
        message_close(&message);
        if (buffer_size(&connection->in) > 0)
            buffer_consume(&connection->in, used);
    }
}

static void native_prepare(struct connection *connection)
{
    struct native *native = session_of(connection);
    if (native->receipt_waits)
        add_receipt(native);
    if (native->job == NULL || !native->stdin_stream)
        return;
    uint64_t taken = job_stdin_taken(native->job);
    if (taken == native->stdin_acked)
        return;
    if (message_put_stdin_ack(&connection->out, native->id, taken, NULL) == AFAR_OK)
        native->stdin_acked = taken;
}

static bool native_peek(struct connection *connection, const uint8_t **data, size_t *size)
{
    const struct native *native = session_of(connection);
    return native->log != NULL && output_log_peek(native->log, data, size);
}

static void native_sent(struct connection *connection, size_t size)
{
    struct native *native = session_of(connection);
    output_log_sent(native->log, size);
    bool ended =
        native->cut ? !output_log_inside_frame(native->log) : output_log_finished(native->log);
    if (!ended)
        return;
    end_request(native);
    if (connection->worker->draining)
        connection_drain(connection);
}

static bool native_inside(struct connection *connection)
{
    const struct native *native = session_of(connection);
    return native->log != NULL && output_log_inside_frame(native->log);
}

static bool native_busy(struct connection *connection)
{
    return session_of(connection)->attached;
}

static void native_drain(struct connection *connection)
{
    struct native *native = session_of(connection);
    if (native->attached)
        return;
    check_queued(native, message_put_closing(&connection->out, "draining", NULL));
    connection_finish(connection);
}

static void native_close(struct connection *connection)
{
    struct native *native = session_of(connection);
    end_request(native);
    decoder_close(&native->decoder);
    free(native);
    connection->session = NULL;
}

const struct protocol_ops native_protocol = {
    /* The largest frame, and a read's worth of the next. */
    .input_limit_bytes =
        FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES + FRAME_PAYLOAD_MAX_BYTES + 65536,
    .alpn = TLS_ALPN_AFAR,
    .open = native_open,
    .input = native_input,
    .prepare = native_prepare,
    .peek = native_peek,
    .sent = native_sent,
    .inside = native_inside,
    .busy = native_busy,
    .drain = native_drain,
    .close = native_close,
};
