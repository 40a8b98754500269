#include "server/protocol/native_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "exec/signal_name.h"
#include "policy/decide.h"
#include "server/audit_note.h"
#include "server/prepare.h"

static struct native *session_of(const struct connection *connection)
{
    return connection->session;
}

static void on_signal(struct native *native, const struct message *message)
{
    int number = signal_by_name(message->name);
    if (number == 0)
        native_complain(native, REFUSAL_BAD_REQUEST,
                        "a signal name that this system does not know");
    else if (native_is_current(native, message) && native->run->job != NULL)
        job_signal(native->run->job, number);
}

static void deny_kill(struct native *native, const struct message *message)
{
    static const char why[] = "no rule lets this client end jobs";
    counters_count(&native->connection->worker->shared->counters, COUNTER_DENIED);
    audit_note_refused(native->connection, "denied", why, NULL);
    native_refuse(native, message, REFUSAL_DENIED, why);
}

static void note_kill(struct native *native, const struct message *message)
{
    struct connection *connection = native->connection;
    connection_slow_down(connection);
    const struct audit_record record = {.event = "kill",
                                        .connection = connection->number,
                                        .job = message->job,
                                        .identity = connection->identity,
                                        .owner = connection->owner,
                                        .names =
                                            connection->who != NULL ? connection->who->names : NULL,
                                        .address = connection->peer,
                                        .reason = message->name};
    audit_note(connection->worker, &record);
}

static void on_kill(struct native *native, const struct message *message)
{
    struct connection *connection = native->connection;
    struct registry *registry = connection->worker->shared->registry;
    const struct rules *rules = connection->worker->config->rules;
    int number = signal_by_name(message->name);
    struct afar_error err;
    struct policy_client client;
    enum afar_status status = connection_judge(connection, &client, &err);
    if (status != AFAR_OK) {
        native_refuse(native, message, status == AFAR_ETRUST ? REFUSAL_DENIED : REFUSAL_INTERNAL,
                      err.message);
        return;
    }
    if (number == 0) {
        native_refuse(native, message, REFUSAL_BAD_REQUEST,
                      "a signal name that this system does not know");
        return;
    }
    if (!policy_may(rules, &client, POLICY_KILL)) {
        deny_kill(native, message);
        return;
    }
    const char *owner = native_whose(native, &client, POLICY_KILL);
    char job[MESSAGE_JOB_ID_BYTES];
    if (kept_find(connection->worker->shared->kept, owner, message->job, "", job)) {
        note_kill(native, message);
        errand_run(native, message, owner, job);
        return;
    }
    status = registry_signal(registry, message->job, owner, number, &err);
    if (status != AFAR_OK) {
        native_refuse(native, message, status == AFAR_EINVAL ? REFUSAL_NOT_FOUND : REFUSAL_INTERNAL,
                      err.message);
    } else {
        note_kill(native, message);
        native_check_queued(native, message_put_done(&native->connection->out, message->id, NULL));
    }
}

/* `pause` is honoured only on a terminal, where a person has typed it: any other client that does
 * not answer has gone. */
static void on_pause(struct native *native)
{
    struct connection *connection = native->connection;
    const bool on_terminal =
        native->run == NULL ? relay_on_terminal(native->relay)
                            : job_has_run(native->run->job) && job_is_on_terminal(native->run->job);
    if (!on_terminal)
        return;
    connection->paused_until_ms =
        clock_deadline_ms((int64_t)connection->worker->config->pause_max_ms);
    /* Otherwise the kernel would drop a peer that reads nothing for so long. */
    transport_set_user_timeout(connection->transport, 0);
}

static void end_pause(struct connection *connection)
{
    if (connection->paused_until_ms == 0)
        return;
    connection->paused_until_ms = 0;
    transport_set_user_timeout(connection->transport,
                               connection->worker->config->tcp_user_timeout_ms);
}

/* True: the message belongs to a kept command's request and was handled: passed to its keeper. */
static bool relays(struct native *native, const struct message *message)
{
    if (native->relay == NULL || relay_is_over(native->relay) || !message->has_id ||
        message->id != relay_id(native->relay))
        return false;
    if (message->type == MESSAGE_PAUSE) {
        on_pause(native);
        return true;
    }
    if (message->type != MESSAGE_STDIN && message->type != MESSAGE_ACK &&
        message->type != MESSAGE_SIGNAL && message->type != MESSAGE_CLOSE &&
        message->type != MESSAGE_DETACH && message->type != MESSAGE_RESIZE)
        return false;
    relay_forward(native->relay, native->raw, native->raw_bytes);
    return true;
}

/* Whether the client may ask for this about kept jobs; *owner: whose. False: it was answered. */
static bool may_ask(struct native *native, const struct message *message, enum policy_verb verb,
                    const char *what, const char **owner)
{
    struct connection *connection = native->connection;
    struct afar_error err;
    struct policy_client client;
    if (connection->worker->shared->kept == NULL) {
        native_refuse_not_offered(native, message, what);
        return false;
    }
    enum afar_status status = connection_judge(connection, &client, &err);
    if (status != AFAR_OK) {
        native_refuse(native, message, status == AFAR_ETRUST ? REFUSAL_DENIED : REFUSAL_INTERNAL,
                      err.message);
        return false;
    }
    *owner = native_whose(native, &client, verb);
    if (policy_may(connection->worker->config->rules, &client, verb))
        return true;
    counters_count(&connection->worker->shared->counters, COUNTER_DENIED);
    native_refuse(native, message, REFUSAL_DENIED, "no rule lets this client ask for that");
    return false;
}

static void on_jobs(struct native *native, const struct message *message)
{
    const char *owner = NULL;
    if (may_ask(native, message, POLICY_LIST, "jobs", &owner))
        errand_run(native, message, owner, message->job);
}

static void on_forget(struct native *native, const struct message *message)
{
    char job[MESSAGE_JOB_ID_BYTES];
    const char *owner = NULL;
    if (!may_ask(native, message, POLICY_KILL, "forget", &owner))
        return;
    if (kept_find(native->connection->worker->shared->kept, owner, message->job, "", job)) {
        native_note(native, "forget", job);
        errand_run(native, message, owner, job);
    } else {
        native_refuse(native, message, REFUSAL_NOT_FOUND, "no such job");
    }
}

static void handle(struct native *native, struct message *message, const uint8_t *payload)
{
    if (relays(native, message))
        return;
    switch (message->type) {
    case MESSAGE_EXEC:
        native_exec(native, message, payload);
        break;
    case MESSAGE_STDIN:
        native_stdin(native, message, payload);
        break;
    case MESSAGE_ACK:
        native_ack(native, message);
        break;
    case MESSAGE_SIGNAL:
        on_signal(native, message);
        break;
    case MESSAGE_CLOSE:
        if (native_is_current(native, message) && native->run->job != NULL)
            job_close_output(native->run->job, message->stream);
        break;
    case MESSAGE_KILL:
        on_kill(native, message);
        break;
    case MESSAGE_PING:
        native_check_queued(native, message_put_pong(&native->connection->out, message->id,
                                                     AFAR_VERSION, native_features(native), NULL));
        break;
    case MESSAGE_PONG:
        if (!message->has_id || message->id != native->window_ping)
            break;
        if (native->run != NULL)
            run_window_answered(native->run);
        else if (native->relay != NULL)
            relay_answered(native->relay);
        break;
    case MESSAGE_ATTACH:
        native_attach(native, message);
        break;
    case MESSAGE_JOBS:
        on_jobs(native, message);
        break;
    case MESSAGE_FORGET:
        on_forget(native, message);
        break;
    case MESSAGE_DETACH:
        native_detach(native, message);
        break;
    case MESSAGE_RESIZE:
        if (native_is_current(native, message) && native->run->job != NULL)
            job_resize(native->run->job, &message->screen);
        break;
    case MESSAGE_PAUSE:
        if (native_is_current(native, message) && native->run->job != NULL)
            on_pause(native);
        break;
    case MESSAGE_BAD:
        native_refuse(native, message,
                      message->problem.code == AFAR_EREFUSED ? REFUSAL_UNSUPPORTED
                                                             : REFUSAL_BAD_REQUEST,
                      message->problem.message);
        break;
    case MESSAGE_ROOM: /* for a keeper only */
    case MESSAGE_UNKNOWN:
        native_refuse(native, message, REFUSAL_BAD_REQUEST, "an unknown message type");
        break;
    case MESSAGE_QUEUED:
    case MESSAGE_STARTED:
    case MESSAGE_STDOUT:
    case MESSAGE_STDERR:
    case MESSAGE_EXIT:
    case MESSAGE_ERROR:
    case MESSAGE_CLOSING:
    case MESSAGE_DONE:
    case MESSAGE_ATTACHED:
    case MESSAGE_CUT:
    case MESSAGE_DETACHED:
        native_refuse(native, message, REFUSAL_BAD_REQUEST, "a message that only a server sends");
        break;
    }
}

/* ---- the connection speaks ------------------------------------------------------------------- */

static enum afar_status native_open(struct connection *connection, struct afar_error *err)
{
    struct native *native = calloc(1, sizeof *native);
    if (native == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a session");
    const struct config *config = connection->worker->config;
    native->connection = connection;
    list_init(&native->errands);
    decoder_init(&native->decoder);
    native->header_is_short = config->header_bytes > NATIVE_HEADER_BYTES;
    decoder_limit(&native->decoder,
                  native->header_is_short ? NATIVE_HEADER_BYTES : (size_t)config->header_bytes,
                  (size_t)config->payload_bytes);
    decoder_ask(&native->decoder, native_wants, native);
    connection->session = native;
    return AFAR_OK;
}

/* Framing is lost, or a frame is larger than allowed: answers with an error and closes. */
static void refuse_and_close(struct native *native, enum afar_status status, struct afar_error *err)
{
    struct counters *counters = &native->connection->worker->shared->counters;
    const bool brief = native->connection->worker->config->deny_reason == DENY_REASON_BRIEF;
    enum refusal_code code = status == AFAR_ELIMIT ? REFUSAL_LIMIT : REFUSAL_BAD_REQUEST;
    const bool over = native->decoder.payload_over; /* the payload, and not the header */
    if (status == AFAR_ELIMIT && native->header_is_short && !over) {
        counters_count(counters, COUNTER_DENIED);
        native_deny(native, err);
        code = REFUSAL_DENIED;
    } else if (status == AFAR_ELIMIT) {
        counters_count(counters, over ? COUNTER_PAYLOAD_BYTES : COUNTER_HEADER_BYTES);
    }
    native_complain(native, code, brief && code == REFUSAL_DENIED ? DENIED_BRIEFLY : err->message);
    buffer_clear(&native->connection->in);
    connection_finish(native->connection);
}

/* A header is longer than the limit for clients that may run nothing. True: this client may run
 * something, and the longer limit holds from now on. */
static bool allow_long_headers(struct native *native)
{
    const struct config *config = native->connection->worker->config;
    if (!native->header_is_short || native->decoder.payload_over || !native_may_run(native))
        return false;
    native->header_is_short = false;
    decoder_limit(&native->decoder, (size_t)config->header_bytes, (size_t)config->payload_bytes);
    return true;
}

/* Takes one frame. False: there is none (yet), or the connection ends or goes elsewhere. */
static bool take_frame(struct native *native)
{
    struct connection *connection = native->connection;
    struct afar_error err;
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    if (!connection_alive(connection) || connection->finishing || connection->held_until_ms != 0 ||
        connection->next_worker != NULL)
        return false;
    buffer_consume(&connection->in, decoder_skip(&native->decoder, buffer_size(&connection->in)));
    if (buffer_size(&connection->in) == 0 || !connection_may_take(connection))
        return false;
    enum afar_status status =
        decoder_next(&native->decoder, buffer_head(&connection->in), buffer_size(&connection->in),
                     &message, &payload, &used, &err);
    if (status == AFAR_ELIMIT && allow_long_headers(native))
        return true;
    if (status == AFAR_EAGAIN)
        return false;
    if (status != AFAR_OK) {
        refuse_and_close(native, status, &err);
        return false;
    }
    if ((message.type == MESSAGE_EXEC || message.type == MESSAGE_ATTACH) && payload != NULL &&
        native_goes_home(native)) {
        message_close(&message); /* the frame is decoded again at home */
        return false;
    }
    connection->asked = true;
    /* These two may have been on their way when the client was stopped; any other ends its pause.
     */
    if (message.type != MESSAGE_PONG && message.type != MESSAGE_ACK)
        end_pause(connection);
    native->raw = buffer_head(&connection->in);
    native->raw_bytes = used;
    handle(native, &message, payload);
    message_close(&message);
    if (buffer_size(&connection->in) > 0)
        buffer_consume(&connection->in, used);
    return true;
}

static void native_input(struct connection *connection)
{
    struct native *native = session_of(connection);
    const size_t unwanted = native->decoder.unwanted;
    bool whole = connection->frame_since_ms == 0;
    while (take_frame(native))
        whole = true;
    whole = whole || (unwanted > 0 && native->decoder.unwanted == 0);
    if (!connection_alive(connection))
        return;
    if (buffer_size(&connection->in) == 0 && native->decoder.unwanted == 0)
        connection->frame_since_ms = 0;
    else if (whole)
        connection->frame_since_ms = connection->last_input_ms;
    /* Releases a large input buffer, unless a command's input may go on. */
    if (buffer_size(&connection->in) == 0 && native->run == NULL)
        buffer_rest(&connection->in);
}

/* Puts what is due besides output: an acknowledgement of input, a receipt that lacked memory. */
static void native_prepare(struct connection *connection)
{
    struct run *run = session_of(connection)->run;
    uint64_t taken = 0;
    int64_t by_ms = DEADLINE_NEVER;
    if (run == NULL || run->cut)
        return;
    if (run->receipt_waits && !run_add_receipt(run))
        return;
    if (run->job == NULL || !run->host.stdin_stream)
        return;
    run_window_clock(run);
    run_host_stdin_taken(&run->host, job_stdin_taken(run->job));
    run_window_settle(run);
    if (run->host.stdin_taken == run->host.stdin_acked)
        return;
    int64_t now_ms = clock_now_ms();
    if (!run_host_stdin_ack_due(&run->host, now_ms, &taken, &by_ms)) {
        if (by_ms != DEADLINE_NEVER)
            connection_want_flush_within(connection, by_ms - now_ms);
        return;
    }
    if (message_put_stdin_ack(&connection->out, run->host.id, taken,
                              run_host_told_credit(&run->host), NULL) != AFAR_OK)
        return;
    run_host_stdin_acked(&run->host, taken);
    run_window_ask(run);
}

static bool native_peek(struct connection *connection, const uint8_t **data, size_t *size)
{
    const struct native *native = session_of(connection);
    /* If the connection is finishing, only the rest of a frame: there may be no end of frames, and
     * its client comes back for them. */
    if (native->relay != NULL)
        return (!connection->finishing || relay_inside(native->relay)) &&
               relay_peek(native->relay, data, size);
    return native->run != NULL && output_log_peek(native->run->host.log, data, size);
}

static void native_sent(struct connection *connection, size_t size)
{
    struct native *native = session_of(connection);
    struct run *run = native->run;
    if (native->relay != NULL) {
        relay_sent(native->relay, size);
        if (relay_is_over(native->relay)) {
            connection_end_request(connection);
            if (connection->worker->draining)
                connection_drain(connection);
        }
        return;
    }
    run_window_clock(run);
    run_host_sent(&run->host, native, size);
    run_window_ask(run);
    if (!run->cut) {
        native_end_if_over(native);
    } else if (!output_log_inside_frame(run->host.log)) {
        native_end_request(native);
        if (connection->worker->draining)
            connection_drain(connection);
    }
}

static bool native_inside(struct connection *connection)
{
    const struct native *native = session_of(connection);
    if (native->relay != NULL)
        return relay_inside(native->relay);
    return native->run != NULL && output_log_inside_frame(native->run->host.log);
}

static enum afar_status native_say_no(struct buffer *out, const char *limit)
{
    char text[MESSAGE_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "the server has no room for another connection (%s)", limit);
    return message_put_error(out, false, 0, "busy", text, NATIVE_BUSY_RETRY_MS, NULL);
}

/* The client's pong needs no handling: that input came is enough. */
static void native_heartbeat(struct connection *connection)
{
    struct native *native = session_of(connection);
    if (native->run != NULL)
        run_window_rest(native->run);
    if (native->relay != NULL)
        relay_rest(native->relay);
    native->heartbeats++;
    native_check_queued(native, message_put_ping(&connection->out, native->heartbeats, NULL));
}

static bool native_busy(struct connection *connection)
{
    const struct native *native = session_of(connection);
    return native->run != NULL || native->errand_count > 0 ||
           (native->relay != NULL && !relay_is_over(native->relay));
}

/* A kept command that ends with the server has its receipt now or never. */
static bool is_last_chance(const struct native *native)
{
    const struct worker *worker = native->connection->worker;
    return worker->draining && native->relay != NULL && !relay_is_over(native->relay) &&
           kept_end_with_server(worker->config);
}

static void native_drain(struct connection *connection)
{
    struct native *native = session_of(connection);
    if (native->run != NULL || is_last_chance(native))
        return;
    /* A kept command that goes on is left: its client comes back to the next server. */
    native_check_queued(
        native, message_put_closing(&connection->out,
                                    connection->worker->draining ? "draining" : "idle", NULL));
    connection_finish(connection);
}

static void native_close(struct connection *connection)
{
    struct native *native = session_of(connection);
    if (native->run != NULL)
        run_lost(native->run);
    relay_free(native->relay);
    errands_abandon(native);
    connection_end_request(connection);
    free(native->attach);
    decoder_close(&native->decoder);
    free(native);
    connection->session = NULL;
}

const struct protocol_ops native_protocol = {
    /* The largest frame, and one read of the next. */
    .input_limit_bytes =
        FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES + FRAME_PAYLOAD_MAX_BYTES + 65536,
    .alpn = TLS_ALPN_AFAR,
    .open = native_open,
    .input = native_input,
    .prepare = native_prepare,
    .peek = native_peek,
    .sent = native_sent,
    .inside = native_inside,
    .refuse = native_say_no,
    .heartbeat = native_heartbeat,
    .busy = native_busy,
    .drain = native_drain,
    .moved = native_moved,
    .moves = &native_moves,
    .close = native_close,
};
