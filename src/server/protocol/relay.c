#include "server/protocol/relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/audit_note.h"
#include "server/kept.h"
#include "server/protocol/native_internal.h"
#include "server/protocol/relay_room.h"

enum {
    RELAY_FRAME_BYTES = FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES + FRAME_PAYLOAD_MAX_BYTES,
    RELAY_IN_BYTES = RELAY_FRAME_BYTES + 65536,
    RECEIVE_BYTES = 65536,
    OUT_SPARE_BYTES = 1 << 20, /* for a client's frames besides stdin */
    TRIES = 3                  /* a keeper that is just ending is followed by another */
};

struct relay {
    struct native *native; /* NULL: to be freed when the companion is done */
    struct worker *worker;
    struct task task;
    bool connecting; /* the companion uses status, error, job, line, reached_fd */
    uint64_t id;
    char job[MESSAGE_JOB_ID_BYTES];
    char key[MESSAGE_KEY_BYTES];
    struct message_attach attach;
    struct buffer line; /* of the audit log, written before anything is sent; then empty */
    const char *event;  /* of that line */
    unsigned tries;
    bool line_required;
    bool forwarded; /* a frame of the client besides the attach */
    bool heard;     /* bytes have come from the keeper */
    char owner[IDENTITY_OWNER_BYTES];
    enum afar_status status; /* of connecting */
    struct afar_error error;
    int reached_fd; /* the connected socket, until it becomes `fd`; -1: none */

    int fd; /* the keeper's socket; -1: not yet, or closed */
    struct loop_source source;
    struct buffer in;  /* from the keeper; begins with a frame */
    struct buffer out; /* to the keeper */
    size_t out_bytes;  /* its limit while the credit has not grown */
    struct decoder decoder;
    struct relay_room room;
    struct relay_room told; /* what the keeper was told last that it may have */
    uint64_t ping;          /* the keeper's; valid if `pinged` */
    size_t frame_bytes;     /* size of the first frame in `in`; 0: it is not complete */
    size_t frame_sent;
    bool pinged;      /* the keeper has sent a ping, and the client has not answered it */
    bool attached;    /* the keeper has sent `attached` */
    bool on_terminal; /* its job is on a terminal */
    bool last;        /* the request ends with the first frame in `in` */
    bool over;
    bool blocked;
};

static struct loop *loop_of(const struct relay *relay)
{
    return relay->worker->host.loop;
}

static void close_all(struct relay *relay)
{
    loop_remove(loop_of(relay), &relay->source);
    if (relay->fd >= 0)
        (void)close(relay->fd);
    relay->fd = -1;
}

static void destroy(struct relay *relay)
{
    close_all(relay);
    relay_room_end(&relay->room, relay->worker);
    if (relay->reached_fd >= 0)
        (void)close(relay->reached_fd);
    buffer_close(&relay->in);
    buffer_close(&relay->out);
    buffer_close(&relay->line);
    decoder_close(&relay->decoder);
    free(relay);
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    relay_room_end(&relay->room, relay->worker);
    relay->native = NULL;
    if (!relay->connecting)
        destroy(relay);
}

uint64_t relay_id(const struct relay *relay)
{
    return relay->id;
}

bool relay_on_terminal(const struct relay *relay)
{
    return relay->on_terminal;
}

bool relay_is_over(const struct relay *relay)
{
    return relay->over;
}

/* The relay is broken: closes the client's connection; the client comes back. */
static void fail(struct relay *relay, const char *why)
{
    close_all(relay);
    if (relay->native != NULL && !relay->over)
        connection_fail(relay->native->connection, LOG_LEVEL_INFO, why);
}

/* ---- to the keeper --------------------------------------------------------------------------- */

static void send_out(struct relay *relay)
{
    while (relay->fd >= 0 && !relay->blocked && buffer_size(&relay->out) > 0) {
        ssize_t sent = send(relay->fd, buffer_head(&relay->out), buffer_size(&relay->out),
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            relay->blocked = true;
        } else if (sent <= 0) {
            buffer_clear(&relay->out); /* receive() sees the end */
            return;
        } else {
            buffer_consume(&relay->out, (size_t)sent);
        }
    }
}

static void set_events(struct relay *relay)
{
    uint32_t events = 0;
    if (relay->fd < 0)
        return;
    if (buffer_size(&relay->in) + RECEIVE_BYTES <= RELAY_IN_BYTES && !relay->over)
        events |= (uint32_t)EPOLLIN;
    if (relay->blocked)
        events |= (uint32_t)EPOLLOUT;
    if (loop_set_events(loop_of(relay), &relay->source, events, NULL) != AFAR_OK)
        fail(relay, "the server cannot watch a job's keeper");
}

/* The keeper may let the windows grow by this, or must shrink them to this. */
static void tell_room(struct relay *relay, struct relay_room room)
{
    relay->told = room;
    if (message_put_room(&relay->out, relay->id, room.window, room.credit, NULL) != AFAR_OK)
        fail(relay, "the server cannot answer a job's keeper");
    send_out(relay);
    set_events(relay);
}

/* ---- from the keeper ------------------------------------------------------------------------- */

static bool ends_request(const struct message *message)
{
    return message->type == MESSAGE_EXIT || message->type == MESSAGE_ERROR ||
           message->type == MESSAGE_DETACHED;
}

/* The first frame for the client has come as a whole. */
static void note_frame(struct relay *relay, const struct message *message)
{
    relay->on_terminal =
        relay->on_terminal || (message->type == MESSAGE_ATTACHED && message->attached.has_pty);
    if (message->type == MESSAGE_EXIT)
        kept_hear_end(relay->worker->shared->kept, relay->job, &message->receipt);
    if (message->type == MESSAGE_DETACHED)
        kept_leave(relay->worker->shared->kept, relay->job, relay->attach.holder);
    relay->last = message->has_id && message->id == relay->id && ends_request(message);
    relay->attached = relay->attached || message->type == MESSAGE_ATTACHED;
    /* Only if it was attached: not if its attach came too late. */
    if (relay->attached && message->type == MESSAGE_ERROR &&
        strcmp(message->word, "superseded") == 0)
        counters_count(&relay->worker->shared->counters, COUNTER_SUPERSEDED);
}

/* The keeper wants more for the client's windows, or says that they have less. */
static void take_room(struct relay *relay, const struct message *message)
{
    struct relay_room *told = &relay->told;
    const uint64_t most = relay->worker->config->window_max_bytes;
    const size_t credit = (size_t)(message->credit < most ? message->credit : most);
    const bool asks = message->window > told->window || message->credit > told->credit;
    /* Also what the client was allowed on an earlier connection. */
    if (relay->out.limit_bytes < relay->out_bytes + credit)
        relay->out.limit_bytes = relay->out_bytes + credit;
    relay_room_take(&relay->room, relay->worker, message->window, message->credit);
    if (message->window < told->window)
        told->window = (size_t)message->window;
    if (message->credit < told->credit)
        told->credit = (size_t)message->credit;
    if (asks)
        tell_room(relay, relay_room_fair(&relay->room, relay->worker));
}

/* Handles a frame that is for this server, and not for the client. False: it is not such. */
static bool take_own(struct relay *relay, const struct message *message)
{
    if (message->type != MESSAGE_PING && message->type != MESSAGE_ROOM)
        return false;
    if (relay->over)
        return true;
    if (message->type == MESSAGE_ROOM) {
        take_room(relay, message);
        return true;
    }
    relay->ping = message->id;
    relay->pinged = true;
    native_time_way(relay->native);
    return true;
}

/* True: there was a frame for this server; look again. */
static bool take_frame(struct relay *relay)
{
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    if (relay->frame_bytes > 0 || buffer_size(&relay->in) == 0)
        return false;
    enum afar_status status =
        decoder_next(&relay->decoder, buffer_head(&relay->in), buffer_size(&relay->in), &message,
                     &payload, &used, NULL);
    if (status == AFAR_EAGAIN)
        return false;
    if (status != AFAR_OK) {
        fail(relay, "a job's keeper does not speak the protocol");
        return false;
    }
    const bool own = take_own(relay, &message);
    if (own) {
        buffer_consume(&relay->in, used);
    } else {
        relay->frame_bytes = used;
        note_frame(relay, &message);
    }
    message_close(&message);
    return own;
}

/* Finds the end of the first frame for the client. */
static void find_frame(struct relay *relay)
{
    while (take_frame(relay))
        ;
}

static void post(struct relay *relay)
{
    relay->connecting = true;
    relay->tries++;
    companion_post(relay->worker->host.companion, &relay->task);
}

/* The keeper has closed without sending anything, as it was just ending. True: connects again, to
 * the next one. */
static bool try_again(struct relay *relay)
{
    if (relay->heard || relay->forwarded || relay->native == NULL || relay->tries >= TRIES)
        return false;
    close_all(relay);
    relay->blocked = false;
    buffer_clear(&relay->out);
    if (message_put_attach(&relay->out, relay->id, NULL, &relay->attach, NULL) != AFAR_OK)
        return false;
    post(relay);
    return true;
}

static void receive(struct relay *relay)
{
    uint8_t *room = NULL;
    ssize_t got = 0;
    if (buffer_reserve(&relay->in, RECEIVE_BYTES, &room, NULL) != AFAR_OK)
        return; /* full, or out of memory: try in a later turn */
    do {
        got = recv(relay->fd, room, RECEIVE_BYTES, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    buffer_commit(&relay->in, got > 0 ? (size_t)got : 0);
    relay->heard = relay->heard || got > 0;
    if (got <= 0 && (got == 0 || errno != EAGAIN) && try_again(relay))
        return;
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        /* Frames that came before its end are still sent. */
        find_frame(relay);
        if (relay->frame_bytes == 0)
            fail(relay, "the job's keeper has closed the connection");
        else
            close_all(relay);
    }
    if (relay->native != NULL)
        connection_want_flush(relay->native->connection);
}

bool relay_peek(struct relay *relay, const uint8_t **data, size_t *size)
{
    find_frame(relay);
    if (relay->frame_bytes == 0)
        return false;
    *data = buffer_head(&relay->in) + relay->frame_sent;
    *size = relay->frame_bytes - relay->frame_sent;
    return true;
}

void relay_sent(struct relay *relay, size_t size)
{
    relay->frame_sent += size;
    if (relay->frame_sent < relay->frame_bytes)
        return;
    buffer_consume(&relay->in, relay->frame_bytes);
    relay->frame_bytes = relay->frame_sent = 0;
    relay->over = relay->over || relay->last;
    if (relay->over)
        relay_room_end(&relay->room, relay->worker);
    else
        find_frame(relay);
    if (relay->fd < 0 && relay->frame_bytes == 0)
        fail(relay, "the job's keeper has closed the connection");
    set_events(relay);
}

bool relay_inside(const struct relay *relay)
{
    return relay->frame_sent > 0;
}

void relay_forward(struct relay *relay, const uint8_t *frame, size_t size)
{
    relay->forwarded = true;
    if (buffer_append(&relay->out, frame, size, NULL) != AFAR_OK) {
        connection_fail(relay->native->connection, LOG_LEVEL_WARN,
                        "the client sends more than the job's keeper reads");
        return;
    }
    const struct relay_room fair = relay_room_fair(&relay->room, relay->worker);
    if (fair.window < relay->told.window || fair.credit < relay->told.credit)
        tell_room(relay, fair);
    send_out(relay);
    set_events(relay);
}

void relay_answered(struct relay *relay)
{
    if (!relay->pinged || relay->over)
        return;
    relay->pinged = false;
    if (message_put_pong(&relay->out, relay->ping, AFAR_VERSION, 0, NULL) != AFAR_OK)
        return; /* then nothing grows */
    send_out(relay);
    set_events(relay);
}

void relay_rest(struct relay *relay)
{
    if (!relay->over && relay->told.window + relay->told.credit > 0)
        tell_room(relay, (struct relay_room){0});
}

static void ready(struct loop_source *source, uint32_t events)
{
    struct relay *relay = list_object(source, struct relay, source);
    if ((events & (uint32_t)EPOLLOUT) != 0) {
        relay->blocked = false;
        send_out(relay);
    }
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        receive(relay);
    set_events(relay);
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* Writes the audit line once, before the client gets anything. */
static enum afar_status write_line(struct relay *relay)
{
    struct server_shared *shared = relay->worker->shared;
    struct afar_error why;
    if (buffer_size(&relay->line) == 0)
        return AFAR_OK;
    bool written = audit_write_body(shared->audit, &relay->line, false, &why) == AFAR_OK;
    buffer_clear(&relay->line);
    if (!written)
        audit_note_lost(shared, relay->event, why.message);
    return written || !relay->line_required
               ? AFAR_OK
               : afar_fail(&relay->error, AFAR_ESYSTEM, "the server cannot write its audit log");
}

static void work(struct task *task)
{
    struct relay *relay = list_object(task, struct relay, task);
    struct kept *kept = relay->worker->shared->kept;
    relay->status = write_line(relay);
    if (relay->status == AFAR_OK && relay->job[0] == '\0')
        relay->status = kept_wait(kept, relay->owner, relay->key, relay->job, &relay->error);
    if (relay->status == AFAR_OK)
        relay->status = kept_connect(kept, relay->job, &relay->reached_fd, &relay->error);
}

static void connected(struct mail *mail)
{
    struct relay *relay = list_object(mail, struct relay, task.done);
    struct native *native = relay->native;
    relay->connecting = false;
    if (native == NULL) {
        destroy(relay);
        return;
    }
    if (relay->status == AFAR_OK)
        relay->status = loop_add(loop_of(relay), &relay->source, relay->reached_fd, EPOLLIN, ready,
                                 &relay->error);
    if (relay->status == AFAR_OK) {
        relay->fd = relay->reached_fd;
        relay->reached_fd = -1;
        send_out(relay);
        set_events(relay);
        return;
    }
    const uint64_t id = relay->id;
    const enum afar_status status = relay->status;
    const struct afar_error why = relay->error;
    native_end_relay(native);
    native_refuse_attach(native, id, status, &why);
}

/* Makes the audit line that says who attaches to what. */
static enum afar_status make_line(struct relay *relay, struct afar_error *err)
{
    const struct connection *connection = relay->native->connection;
    const bool takes_over = kept_take(connection->worker->shared->kept, relay->owner, relay->job,
                                      relay->key, &relay->attach);
    relay->event = takes_over ? "takeover" : "attach";
    if (relay->attach.watch)
        relay->event = "watch";
    const struct audit_record record = {.event = relay->event,
                                        .connection = connection->number,
                                        .job = relay->job[0] != '\0' ? relay->job : NULL,
                                        .identity = connection->identity,
                                        .owner = connection->owner,
                                        .names =
                                            connection->who != NULL ? connection->who->names : NULL,
                                        .address = connection->peer};
    relay->line_required = connection->worker->config->audit == AUDIT_REQUIRED;
    buffer_init(&relay->line, AUDIT_LINE_BYTES);
    return connection->worker->shared->audit == NULL ? AFAR_OK
                                                     : audit_render(&relay->line, &record, err);
}

enum afar_status relay_open(struct relay **relay, struct native *native, uint64_t id,
                            const char *job, const char *key, const struct message_attach *attach,
                            struct afar_error *err)
{
    struct connection *connection = native->connection;
    struct relay *made = calloc(1, sizeof *made);
    *relay = NULL;
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a relay");
    made->native = native;
    made->worker = connection->worker;
    made->id = id;
    made->fd = made->reached_fd = -1;
    (void)snprintf(made->job, sizeof made->job, "%s", job);
    (void)snprintf(made->key, sizeof made->key, "%s", key);
    (void)snprintf(made->owner, sizeof made->owner, "%s", connection->owner);
    buffer_init(&made->in, RELAY_IN_BYTES);
    made->out_bytes =
        (size_t)connection->worker->config->stdin_bytes + OUT_SPARE_BYTES + RELAY_FRAME_BYTES;
    buffer_init(&made->out, made->out_bytes);
    decoder_init(&made->decoder);
    loop_source_init(&made->source);
    made->attach = *attach;
    made->attach.window_max = relay_room_most(made->worker, attach->window_max);
    enum afar_status status = message_put_attach(&made->out, id, NULL, &made->attach, err);
    if (status == AFAR_OK)
        status = make_line(made, err);
    if (status != AFAR_OK) {
        destroy(made);
        return status;
    }
    made->task.work = work;
    made->task.done.deliver = connected;
    post(made);
    *relay = made;
    return AFAR_OK;
}
