/* Handles received messages: see run_guest.h. */
#include "wire/run_guest_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the beginning, and coming back ---------------------------------------------------------- */

/* A guest that may have to send again keeps all that is not acknowledged, so the credit is
 * limited. */
static uint64_t bounded(const struct run_guest *guest, uint64_t credit)
{
    const bool keeps = guest->asked_resume_ms > 0 && credit > RUN_GUEST_RING_MAX_BYTES;
    return keeps ? (uint64_t)RUN_GUEST_RING_MAX_BYTES : credit;
}

/* The ring's limit never shrinks: bytes sent under a larger credit stay in it. */
static void set_credit(struct run_guest *guest, uint64_t credit)
{
    guest->stdin_credit = credit;
    if (guest->ring.limit_bytes < (size_t)credit)
        guest->ring.limit_bytes = (size_t)credit;
}

static void take_facts(struct run_guest *guest, const struct message *message)
{
    const uint64_t credit = bounded(guest, message->credit);
    memcpy(guest->job, message->job, sizeof guest->job);
    memcpy(guest->server, message->server, sizeof guest->server);
    guest->resume_ms = message->resume_ms;
    guest->kept = message->kept;
    if (credit > guest->stdin_credit || (credit > 0 && guest->window_max > 0))
        set_credit(guest, credit);
    guest->confirmed = true;
}

static enum afar_status on_started(struct run_guest *guest, const struct message *message,
                                   enum run_guest_event *event, struct afar_error *err)
{
    if (guest->running || guest->state == RUN_GUEST_ATTACH)
        return afar_fail(err, AFAR_EPEER, "the server started one command twice");
    take_facts(guest, message);
    guest->running = guest->progress = true;
    guest->state = RUN_GUEST_RUN;
    *event = RUN_GUEST_STARTED;
    return AFAR_OK;
}

/* Checks that the server continues where this guest stopped. If this guest asked for no position,
 * it starts where the server starts. */
static enum afar_status take_first(struct run_guest *guest, const struct message_attached *attached,
                                   bool asked, struct afar_error *err)
{
    if (!asked) {
        guest->next_seq = guest->taken = guest->acked = attached->first;
        memcpy(guest->bytes, attached->first_bytes, sizeof guest->bytes);
        return AFAR_OK;
    }
    if (attached->first != guest->next_seq)
        return afar_fail(err, AFAR_EPEER,
                         "frame %" PRIu64 " was asked for, and %" PRIu64 " is to come",
                         guest->next_seq, attached->first);
    for (int s = 0; s < 2; s++) {
        if (attached->first_bytes[s] != guest->bytes[s])
            return afar_fail(err, AFAR_EPEER,
                             "%" PRIu64 " bytes of %s have come, and the server counts %" PRIu64,
                             guest->bytes[s], s == STREAM_STDOUT ? "stdout" : "stderr",
                             attached->first_bytes[s]);
    }
    return AFAR_OK;
}

/* Drops from the ring what the server has. `asked`: our attach gave a position, so input that the
 * server lacks must still be in the ring. `fresh`: the server may have input of earlier clients. */
static enum afar_status take_stdin(struct run_guest *guest, const struct message_attached *attached,
                                   bool asked, bool fresh, struct afar_error *err)
{
    uint64_t received = attached->stdin_received;
    uint64_t oldest = guest->stdin_sent - buffer_size(&guest->ring);
    bool ahead = fresh && (run_guest_is_named(guest) || guest->takes_over);
    if ((asked && received < oldest) || (received > guest->stdin_sent && !ahead))
        return afar_fail(err, AFAR_EPEER,
                         "the server has %" PRIu64 " bytes of stdin; %" PRIu64
                         " were sent, and those from %" PRIu64 " on can be sent again",
                         received, guest->stdin_sent, oldest);
    if (received > guest->stdin_sent) {
        if (guest->stdin_again)
            guest->stdin_skip = received - guest->stdin_sent;
        buffer_clear(&guest->ring);
        guest->stdin_sent = received;
    } else if (received > oldest) {
        buffer_consume(&guest->ring, (size_t)(received - oldest));
        guest->progress = true; /* made on the previous connection, but only known now */
    }
    if (attached->stdin_taken > guest->stdin_acked)
        guest->stdin_acked = attached->stdin_taken;
    if (guest->stdin_put < received)
        guest->stdin_put = received;
    if (attached->stdin_eof) {
        guest->stdin_over = !guest->stdin_ended;
        guest->eof_put = true;
    }
    return AFAR_OK;
}

/* The job has ended: stdin is not read any more, and a kept job's record may not know how much
 * there was. */
static void end_stdin(struct run_guest *guest)
{
    buffer_clear(&guest->ring);
    guest->stdin_put = guest->stdin_sent;
    guest->stdin_over = guest->eof_put = true;
}

/* An exec is answered by `attached` only if its job is kept, and with a position only if it has a
 * name: else output would be missing. */
static bool may_answer_exec(const struct run_guest *guest, const struct message_attached *attached)
{
    const bool whole =
        attached->first == 0 && attached->first_bytes[0] == 0 && attached->first_bytes[1] == 0;
    return guest->keep && (run_guest_is_named(guest) || whole);
}

static enum afar_status on_attached(struct run_guest *guest, const struct message *message,
                                    struct buffer *out, enum run_guest_event *event,
                                    struct afar_error *err)
{
    const struct message_attached *attached = &message->attached;
    /* `asked`: our attach said from which frame on. */
    const bool fresh = !guest->confirmed;
    const bool asked = guest->state == RUN_GUEST_ATTACH && (guest->confirmed || !guest->takes_over);
    if (guest->state == RUN_GUEST_RUN)
        return afar_fail(err, AFAR_EPEER, "the server attached one client twice");
    if (guest->state == RUN_GUEST_ASKED && !may_answer_exec(guest, attached))
        return afar_fail(err, AFAR_EPEER, "the server attached this client to another command");
    if (guest->job[0] != '\0' && strcmp(guest->job, message->job) != 0)
        return afar_fail(err, AFAR_EPEER, "the server attached another job");
    take_facts(guest, message);
    guest->running =
        attached->state != MESSAGE_JOB_QUEUED && attached->state != MESSAGE_JOB_STARTING;
    enum afar_status status = take_first(guest, attached, asked, err);
    if (attached->state == MESSAGE_JOB_ENDED)
        end_stdin(guest);
    else if (status == AFAR_OK && guest->stdin_stream)
        status = take_stdin(guest, attached, asked, fresh, err);
    if (status != AFAR_OK)
        return status;
    guest->state = RUN_GUEST_RUN;
    *event = RUN_GUEST_ATTACHED;
    return run_guest_push(guest, out, err);
}

/* ---- output, input, the receipt -------------------------------------------------------------- */

static enum afar_status count_frame(struct run_guest *guest, const struct message *message,
                                    uint64_t next, struct afar_error *err)
{
    /* A command that could not be started has a receipt only. */
    if (guest->state != RUN_GUEST_RUN &&
        (message->type != MESSAGE_EXIT || guest->state != RUN_GUEST_ASKED))
        return afar_fail(err, AFAR_EPEER, "output came before the command had started");
    if (message->seq != guest->next_seq)
        return afar_fail(err, AFAR_EPEER,
                         "frame %" PRIu64 " arrived instead of %" PRIu64 ": output is lost",
                         message->seq, guest->next_seq);
    guest->next_seq = next;
    guest->progress = true;
    return AFAR_OK;
}

static enum afar_status on_output(struct run_guest *guest, const struct message *message,
                                  enum run_guest_event *event, struct afar_error *err)
{
    enum afar_status status = count_frame(guest, message, message->seq + 1, err);
    if (status != AFAR_OK)
        return status;
    guest->bytes[message->type == MESSAGE_STDOUT ? STREAM_STDOUT : STREAM_STDERR] += message->size;
    *event = RUN_GUEST_OUTPUT;
    return AFAR_OK;
}

static enum afar_status on_cut(struct run_guest *guest, const struct message *message,
                               enum run_guest_event *event, struct afar_error *err)
{
    if (!guest->keep && !guest->takes_over)
        return afar_fail(err, AFAR_EPEER, "the server lost output of a command that is not kept");
    enum afar_status status = count_frame(guest, message, message->cut.next, err);
    for (int s = 0; s < 2 && status == AFAR_OK; s++) {
        guest->bytes[s] += message->cut.lost[s];
        guest->cut_bytes[s] += message->cut.lost[s];
    }
    *event = RUN_GUEST_LACK;
    return status;
}

static enum afar_status on_exit_frame(struct run_guest *guest, const struct message *message,
                                      enum run_guest_event *event, struct afar_error *err)
{
    enum afar_status status = count_frame(guest, message, message->seq + 1, err);
    const uint64_t said[2] = {message->receipt.stdout_bytes, message->receipt.stderr_bytes};
    for (int s = 0; s < 2 && status == AFAR_OK; s++) {
        /* Output written after the server read our `close` is not sent; and how much output there
         * was of a command lost together with its server is not known. */
        if (said[s] != guest->bytes[s] && !guest->closed[s] &&
            message->receipt.outcome != AFAR_OUTCOME_SERVER_LOST)
            status = afar_fail(err, AFAR_EPEER,
                               "the receipt counts %" PRIu64 " bytes of %s, but %" PRIu64
                               " have come: do not trust the output, nor the receipt",
                               said[s], s == STREAM_STDOUT ? "stdout" : "stderr", guest->bytes[s]);
    }
    if (status != AFAR_OK)
        return status;
    guest->exit_seen = true;
    guest->state = RUN_GUEST_RUN;
    buffer_clear(&guest->ring);
    *event = RUN_GUEST_EXIT;
    return AFAR_OK;
}

static enum afar_status on_ack(struct run_guest *guest, const struct message *message,
                               enum run_guest_event *event, struct afar_error *err)
{
    uint64_t oldest = guest->stdin_sent - buffer_size(&guest->ring);
    if (!message->has_stdin_acked || guest->state == RUN_GUEST_ATTACH)
        return AFAR_OK;
    if (message->stdin_acked > guest->stdin_sent)
        return afar_fail(err, AFAR_EPEER,
                         "the server acknowledges %" PRIu64 " bytes of stdin, %" PRIu64
                         " were sent",
                         message->stdin_acked, guest->stdin_sent);
    /* Without window_max the initial credit is final. */
    const uint64_t credit = guest->window_max > 0 ? bounded(guest, message->credit) : 0;
    const bool more = credit > guest->stdin_credit;
    if (credit > 0)
        set_credit(guest, credit);
    if (more)
        *event = RUN_GUEST_ROOM;
    if (message->stdin_acked <= guest->stdin_acked)
        return AFAR_OK;
    guest->stdin_acked = message->stdin_acked;
    guest->progress = true;
    if (guest->stdin_acked > oldest && buffer_size(&guest->ring) > 0)
        buffer_consume(&guest->ring, (size_t)(guest->stdin_acked - oldest));
    *event = RUN_GUEST_ROOM;
    return AFAR_OK;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static bool is_code(const struct message *message, const char *code)
{
    return strcmp(message->word, code) == 0;
}

static void end(struct run_guest *guest, enum run_guest_event how, enum run_guest_event *event)
{
    guest->state = RUN_GUEST_ENDED;
    *event = how;
}

static void fail(struct run_guest *guest, const struct message *message, const char *why,
                 const char *fate, enum run_guest_event *event, struct afar_error *err)
{
    (void)afar_fail(err, fate[0] != '\0' ? AFAR_ECLOSED : AFAR_EREFUSED, "%s%s%s", why,
                    fate[0] != '\0' ? "; " : "", fate);
    if (err != NULL)
        (void)snprintf(err->reason, sizeof err->reason, "%s", message->word);
    end(guest, RUN_GUEST_FAILED, event);
}

/* Tries another connection, after the time that the server says. */
static void drop(struct run_guest *guest, const struct message *message, int64_t now_ms,
                 enum run_guest_event *event)
{
    guest->try_at_ms = INT64_MAX;
    if (message->retry_after_ms > 0 && message->retry_after_ms < (uint64_t)(INT64_MAX - now_ms))
        guest->try_at_ms = now_ms + (int64_t)message->retry_after_ms;
    *event = RUN_GUEST_DROP;
}

static void on_not_found(struct run_guest *guest, const struct message *message, int64_t now_ms,
                         enum run_guest_event *event, struct afar_error *err)
{
    bool another = guest->server[0] != '\0' && message->server[0] != '\0' &&
                   strcmp(guest->server, message->server) != 0;
    if (guest->leaving)
        end(guest, RUN_GUEST_LEFT, event);
    else if (guest->confirmed ? another : now_ms < guest->believe_at_ms)
        drop(guest, message, now_ms, event);
    else
        fail(guest, message, "the server does not know the command", run_guest_fate(guest), event,
             err);
}

/* An error that answers an attach. */
static void on_attach_error(struct run_guest *guest, const struct message *message, int64_t now_ms,
                            enum run_guest_event *event, struct afar_error *err)
{
    const bool again = is_code(message, "busy") || is_code(message, "draining") ||
                       is_code(message, "internal") || is_code(message, "stale");
    /* First attach of a take-over: the client has nothing yet that could be lost. */
    const bool first = guest->takes_over && !guest->confirmed && !is_code(message, "stale");
    if (again && !first)
        drop(guest, message, now_ms, event);
    else if (first)
        end(guest, RUN_GUEST_REFUSED, event);
    else if (is_code(message, "not_found"))
        on_not_found(guest, message, now_ms, event, err);
    else if (is_code(message, "superseded"))
        fail(guest, message, "another client has taken the command over", "", event, err);
    else if (is_code(message, "gone"))
        fail(guest, message, "the server does not hold the output any more", run_guest_fate(guest),
             event, err);
    else
        fail(guest, message, message->text[0] != '\0' ? message->text : message->word,
             run_guest_fate(guest), event, err);
}

static void on_error(struct run_guest *guest, const struct message *message, int64_t now_ms,
                     enum run_guest_event *event, struct afar_error *err)
{
    if (guest->state == RUN_GUEST_ATTACH)
        on_attach_error(guest, message, now_ms, event, err);
    else if (guest->confirmed && is_code(message, "superseded"))
        fail(guest, message, "another client has taken the command over", "", event, err);
    else if (guest->confirmed && is_code(message, "stale"))
        drop(guest, message, now_ms, event);
    else
        end(guest, RUN_GUEST_REFUSED, event);
}

/* Messages about the connection, not a request: the server has not read requests that it did not
 * answer before. */
static void on_connection(struct run_guest *guest, const struct message *message)
{
    const bool error = message->type == MESSAGE_ERROR && !message->has_id;
    /* Our exec, which is all that we have sent, was too large to be read. */
    const bool unread =
        error && guest->state == RUN_GUEST_ASKED && !guest->heard && is_code(message, "limit");
    if (unread || (error && is_code(message, "denied")))
        guest->door = RUN_GUEST_DENIED;
    else if (message->type == MESSAGE_CLOSING ||
             (error && (is_code(message, "busy") || is_code(message, "draining"))))
        guest->door = RUN_GUEST_NOT_NOW;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool is_mine(const struct run_guest *guest, const struct message *message)
{
    return message->has_id && guest->connected && message->id == guest->id && !guest->exit_seen &&
           (guest->state == RUN_GUEST_ASKED || guest->state == RUN_GUEST_RUN ||
            guest->state == RUN_GUEST_ATTACH);
}

static enum afar_status on_message(struct run_guest *guest, const struct message *message,
                                   int64_t now_ms, struct buffer *out, enum run_guest_event *event,
                                   struct afar_error *err)
{
    switch (message->type) {
    case MESSAGE_STARTED:
        return on_started(guest, message, event, err);
    case MESSAGE_ATTACHED:
        return on_attached(guest, message, out, event, err);
    case MESSAGE_STDOUT:
    case MESSAGE_STDERR:
        return on_output(guest, message, event, err);
    case MESSAGE_CUT:
        return on_cut(guest, message, event, err);
    case MESSAGE_EXIT:
        return on_exit_frame(guest, message, event, err);
    case MESSAGE_ACK:
        return on_ack(guest, message, event, err);
    case MESSAGE_ERROR:
        on_error(guest, message, now_ms, event, err);
        return AFAR_OK;
    case MESSAGE_DETACHED:
        end(guest, RUN_GUEST_LEFT, event);
        return AFAR_OK;
    case MESSAGE_EXEC:
    case MESSAGE_STDIN:
    case MESSAGE_CLOSE:
    case MESSAGE_SIGNAL:
    case MESSAGE_RESIZE:
    case MESSAGE_PAUSE:
    case MESSAGE_DETACH:
    case MESSAGE_ATTACH:
    case MESSAGE_KILL:
    case MESSAGE_JOBS:
    case MESSAGE_FORGET:
    case MESSAGE_PING:
    case MESSAGE_PONG:
    case MESSAGE_QUEUED:
    case MESSAGE_CLOSING:
    case MESSAGE_DONE:
    case MESSAGE_ROOM:
    case MESSAGE_UNKNOWN:
    case MESSAGE_BAD:
        break;
    }
    return AFAR_OK;
}

enum afar_status run_guest_message(struct run_guest *guest, const struct message *message,
                                   int64_t now_ms, struct buffer *out, enum run_guest_event *event,
                                   struct afar_error *err)
{
    *event = RUN_GUEST_NOTHING;
    on_connection(guest, message);
    if (!is_mine(guest, message))
        return AFAR_OK;
    guest->heard = true;
    return on_message(guest, message, now_ms, out, event, err);
}
