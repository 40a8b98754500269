#include "server/connection.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    READ_BYTES = 65536,
    READS_PER_TURN = 8,            /* so that one client cannot hold the loop */
    SEND_BYTES_PER_TURN = 1 << 20, /* likewise */
    SMALL_BYTES = 4096,            /* frames up to this size are sent together … */
    TOGETHER_BYTES = 16384,        /* … in one TLS record (RFC 8446 §5.1: 2^14) */
    HURRY_MS = 1000,               /* in a shutdown that does not wait */
    CLOSING_MS = 2000              /* time for the peer to read our last words */
};

static void connection_ready(struct loop_source *source, uint32_t events);

/* ---- beginning and end --------------------------------------------------------------------------
 */

void connection_label(const struct connection *connection, char *label, size_t size)
{
    if (connection->state == CONNECTION_HANDSHAKE)
        (void)snprintf(label, size, "connection %llu from %s", connection->number,
                       connection->peer);
    else
        (void)snprintf(label, size, "connection %llu from %s (%s)", connection->number,
                       connection->peer, connection->identity.name);
}

static void log_line(const struct connection *connection, enum log_level level, const char *text)
{
    const struct log *log = connection->worker->shared->log;
    char label[ADDRESS_TEXT_BYTES + IDENTITY_NAME_BYTES + 64];
    if (!log_enabled(log, level))
        return;
    connection_label(connection, label, sizeof label);
    log_write(log, level, "%s: %s", label, text);
}

static void free_connection(struct connection *connection)
{
    if (connection->worker != NULL) {
        loop_remove(connection->worker->loop, &connection->source);
        if (connection->timer.fire != NULL)
            timer_detach(loop_timers(connection->worker->loop), &connection->timer);
    }
    loop_deferred_cancel(&connection->flush);
    loop_deferred_cancel(&connection->gone);
    list_remove(&connection->link);
    transport_free(connection->transport);
    if (connection->fd >= 0)
        (void)close(connection->fd);
    buffer_close(&connection->in);
    buffer_close(&connection->out);
    free(connection);
}

static void run_gone(struct loop_deferred *deferred)
{
    struct connection *connection = list_object(deferred, struct connection, gone);
    struct worker *worker = connection->worker;
    if (connection->session != NULL)
        connection->protocol->close(connection);
    free_connection(connection);
    (void)atomic_fetch_sub(&worker->connection_count, 1);
    (void)atomic_fetch_sub(&worker->shared->connections, 1);
    worker_check_ended(worker);
}

/* From here on nothing of it happens any more; its memory goes at the end of the turn. */
static void end(struct connection *connection)
{
    if (connection->state == CONNECTION_GONE)
        return;
    connection->state = CONNECTION_GONE;
    loop_remove(connection->worker->loop, &connection->source);
    loop_defer(connection->worker->loop, &connection->gone);
}

void connection_fail(struct connection *connection, enum log_level level, const char *why)
{
    if (connection->state == CONNECTION_GONE)
        return;
    log_line(connection, level, why);
    end(connection);
}

bool connection_alive(const struct connection *connection)
{
    return connection->state != CONNECTION_GONE;
}

/* ---- time ---------------------------------------------------------------------------------------
 */

static bool output_waits(struct connection *connection)
{
    return connection->send_blocked;
}

static bool is_busy(struct connection *connection)
{
    return connection->session != NULL && connection->protocol->busy(connection);
}

static void later(int64_t *deadline_ms, int64_t from_ms, uint64_t timeout_ms)
{
    if (timeout_ms == 0)
        return;
    int64_t at_ms = from_ms + (int64_t)timeout_ms;
    if (at_ms < *deadline_ms)
        *deadline_ms = at_ms;
}

static int64_t next_deadline(struct connection *connection)
{
    const struct config *config = connection->worker->shared->config;
    int64_t deadline_ms = connection->give_up_at_ms;
    if (connection->read_more)
        return 0;
    switch (connection->state) {
    case CONNECTION_HANDSHAKE:
        later(&deadline_ms, connection->last_input_ms, config->handshake_timeout_ms);
        break;
    case CONNECTION_OPEN:
        if (output_waits(connection))
            later(&deadline_ms, connection->last_output_ms, config->write_timeout_ms);
        else if (!is_busy(connection))
            later(&deadline_ms, connection->last_input_ms, config->idle_timeout_ms);
        break;
    case CONNECTION_CLOSING:
        if (connection->closing_at_ms < deadline_ms)
            deadline_ms = connection->closing_at_ms;
        break;
    case CONNECTION_GONE:
        break;
    }
    return deadline_ms;
}

static void set_timer(struct connection *connection)
{
    timer_arm(loop_timers(connection->worker->loop), &connection->timer, next_deadline(connection));
}

static void timer_fired(struct timer *timer)
{
    struct connection *connection = list_object(timer, struct connection, timer);
    /* Whatever moved the deadline meanwhile did not arm the timer anew: that would cost at each
     * byte. */
    if (next_deadline(connection) > clock_now_ms()) {
        set_timer(connection);
        return;
    }
    if (connection->read_more) {
        connection_ready(&connection->source, 0);
        return;
    }
    if (connection->give_up_at_ms <= clock_now_ms()) {
        connection_fail(connection, LOG_LEVEL_INFO, "closed: the server is going down");
        return;
    }
    switch (connection->state) {
    case CONNECTION_HANDSHAKE:
        connection_fail(connection, LOG_LEVEL_INFO, "no handshake in time (handshake_timeout_ms)");
        break;
    case CONNECTION_OPEN:
        connection_fail(connection, LOG_LEVEL_INFO,
                        output_waits(connection)
                            ? "the client takes nothing of what is sent (write_timeout_ms)"
                            : "idle for too long (idle_timeout_ms)");
        break;
    case CONNECTION_CLOSING:
    case CONNECTION_GONE:
        end(connection);
        break;
    }
}

/* ---- waiting ------------------------------------------------------------------------------------
 */

static uint32_t to_epoll(short events)
{
    return ((events & POLLIN) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((events & POLLOUT) != 0 ? (uint32_t)EPOLLOUT : 0);
}

static bool takes_input(const struct connection *connection)
{
    return connection->state == CONNECTION_OPEN && !connection->input_paused &&
           !connection->finishing;
}

/* Waits for what can go on next. */
static void wait_for_events(struct connection *connection)
{
    if (connection->state == CONNECTION_GONE)
        return;
    struct afar_error err;
    uint32_t events = 0;
    bool reading = takes_input(connection);
    connection->read_more = reading && transport_pending(connection->transport);
    if (reading || connection->state != CONNECTION_OPEN)
        events |= to_epoll(transport_recv_events(connection->transport));
    else
        events |= (uint32_t)EPOLLRDHUP; /* its going away is of interest all the same */
    if (connection->send_blocked)
        events |= to_epoll(transport_send_events(connection->transport));
    if (loop_set_events(connection->worker->loop, &connection->source, events, &err) != AFAR_OK) {
        connection_fail(connection, LOG_LEVEL_ERROR, err.message);
        return;
    }
    if (next_deadline(connection) < connection->timer.deadline_ms ||
        connection->timer.deadline_ms == DEADLINE_NEVER)
        set_timer(connection);
}

/* ---- sending ------------------------------------------------------------------------------------
 */

static void begin_closing(struct connection *connection)
{
    transport_shutdown(connection->transport);
    if (connection->session != NULL)
        connection->protocol->close(connection);
    connection->session = NULL;
    connection->state = CONNECTION_CLOSING;
    connection->closing_at_ms = clock_now_ms() + CLOSING_MS;
    buffer_clear(&connection->in);
    set_timer(connection);
}

/* Sends once. False: would block, or the connection has failed. */
static bool send_once(struct connection *connection, const uint8_t *data, size_t size, size_t *sent)
{
    struct afar_error err;
    enum afar_status status = transport_send(connection->transport, data, size, sent, &err);
    if (status == AFAR_OK) {
        connection->send_blocked = connection->blocked_inside = false;
        connection->last_output_ms = clock_now_ms();
        return true;
    }
    if (status == AFAR_EAGAIN) {
        if (!connection->send_blocked)
            connection->last_output_ms = clock_now_ms();
        connection->send_blocked = true;
        return false;
    }
    connection_fail(connection, status == AFAR_ECLOSED ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                    err.message);
    return false;
}

/* Moves small frames of the session behind what is in `out`, so that they leave in one write. */
static void gather(struct connection *connection)
{
    const struct protocol_ops *protocol = connection->protocol;
    const uint8_t *data = NULL;
    size_t size = 0;
    while (protocol->peek != NULL && protocol->peek(connection, &data, &size) &&
           size <= SMALL_BYTES && buffer_size(&connection->out) + size <= TOGETHER_BYTES) {
        if (buffer_append(&connection->out, data, size, NULL) != AFAR_OK)
            break;
        protocol->sent(connection, size);
    }
}

/* One piece: of `out`, or, where that is empty or must wait, of the session. False: nothing (more)
 * can be sent now. */
static bool send_piece(struct connection *connection, size_t *budget)
{
    const struct protocol_ops *protocol = connection->protocol;
    const uint8_t *data = NULL;
    size_t size = 0;
    size_t sent = 0;
    bool inside =
        connection->blocked_inside || (protocol->inside != NULL && protocol->inside(connection));
    if (!inside && !connection->send_blocked) {
        if (protocol->prepare != NULL)
            protocol->prepare(connection);
        gather(connection);
    }
    if (!inside && buffer_size(&connection->out) > 0) {
        if (!send_once(connection, buffer_head(&connection->out), buffer_size(&connection->out),
                       &sent))
            return false;
        buffer_consume(&connection->out, sent);
    } else if (protocol->peek != NULL && protocol->peek(connection, &data, &size)) {
        if (!send_once(connection, data, size, &sent)) {
            connection->blocked_inside = connection->send_blocked;
            return false;
        }
        protocol->sent(connection, sent);
    } else {
        return false;
    }
    *budget -= sent < *budget ? sent : *budget;
    return true;
}

static void flush(struct connection *connection)
{
    size_t budget = SEND_BYTES_PER_TURN;
    while (connection->state == CONNECTION_OPEN && connection->session != NULL && budget > 0) {
        if (!send_piece(connection, &budget))
            break;
    }
    if (connection->state != CONNECTION_OPEN)
        return;
    if (budget == 0)
        connection->send_blocked =
            true; /* the rest in the next turn: the socket is still writable */
    else if (connection->finishing && !connection->send_blocked)
        begin_closing(connection);
}

static void run_flush(struct loop_deferred *deferred)
{
    struct connection *connection = list_object(deferred, struct connection, flush);
    if (connection->state == CONNECTION_OPEN && !connection->send_blocked)
        flush(connection);
    wait_for_events(connection);
}

void connection_want_flush(struct connection *connection)
{
    if (connection->state == CONNECTION_OPEN)
        loop_defer(connection->worker->loop, &connection->flush);
}

void connection_finish(struct connection *connection)
{
    connection->finishing = true;
    connection_want_flush(connection);
}

/* ---- receiving ----------------------------------------------------------------------------------
 */

static void received_nothing(struct connection *connection, enum afar_status status,
                             const struct afar_error *err)
{
    if (status == AFAR_EAGAIN)
        return;
    if (status == AFAR_ECLOSED)
        connection_fail(connection, LOG_LEVEL_DEBUG, err->message);
    else
        connection_fail(connection, LOG_LEVEL_INFO, err->message);
}

/* Reads while there is something, room, and patience. */
static void receive(struct connection *connection)
{
    struct afar_error err;
    for (int reads = 0; reads < READS_PER_TURN; reads++) {
        if (!takes_input(connection))
            return;
        size_t room_bytes = connection->in.limit_bytes - buffer_size(&connection->in);
        if (room_bytes == 0) {
            connection_pause_input(connection, true);
            return;
        }
        /* Into the scratch buffer first, so that an idle connection holds no memory. */
        uint8_t *scratch = connection->worker->scratch;
        size_t size = room_bytes < READ_BYTES ? room_bytes : READ_BYTES;
        size_t got = 0;
        enum afar_status status = transport_recv(connection->transport, scratch, size, &got, &err);
        if (status == AFAR_OK)
            status = buffer_append(&connection->in, scratch, got, &err);
        if (status != AFAR_OK) {
            received_nothing(connection, status, &err);
            return;
        }
        connection->last_input_ms = clock_now_ms();
        connection->protocol->input(connection);
        if (got < size && !transport_pending(connection->transport))
            return;
    }
}

/* Reads and forgets, so that the kernel does not answer with a reset, until the peer has closed
 * too. */
static void receive_rest(struct connection *connection)
{
    for (int reads = 0; reads < READS_PER_TURN; reads++) {
        enum afar_status status = transport_discard(
            connection->transport, connection->worker->scratch, WORKER_SCRATCH_BYTES);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK) {
            end(connection);
            return;
        }
    }
}

void connection_pause_input(struct connection *connection, bool paused)
{
    if (connection->input_paused == paused)
        return;
    connection->input_paused = paused;
    if (!paused)
        connection_want_flush(connection); /* which looks again at what to wait for */
}

/* ---- events -------------------------------------------------------------------------------------
 */

static void handshake(struct connection *connection)
{
    struct afar_error err;
    enum afar_status status = transport_handshake(connection->transport, &err);
    if (status == AFAR_EAGAIN)
        return;
    if (status != AFAR_OK) {
        log_line(connection, LOG_LEVEL_WARN, err.message);
        /* OpenSSL has sent its alert; without this the peer might see a reset instead. */
        begin_closing(connection);
        return;
    }
    transport_identity(connection->transport, &connection->identity);
    connection->state = CONNECTION_OPEN;
    connection->last_input_ms = clock_now_ms();
    log_line(connection, LOG_LEVEL_INFO, "open");
    status = connection->protocol->open(connection, &err);
    if (status != AFAR_OK)
        connection_fail(connection, LOG_LEVEL_ERROR, err.message);
    else if (connection->worker->draining)
        connection_drain(connection);
}

static void connection_ready(struct loop_source *source, uint32_t events)
{
    struct connection *connection = list_object(source, struct connection, source);
    connection->read_more = false;
    if (connection->state == CONNECTION_HANDSHAKE)
        handshake(connection);
    if (connection->state == CONNECTION_OPEN && !takes_input(connection) &&
        (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        connection_fail(connection, LOG_LEVEL_DEBUG, "the client has gone");
    if (connection->state == CONNECTION_OPEN && connection->send_blocked)
        flush(connection);
    receive(connection);
    if (connection->state == CONNECTION_CLOSING)
        receive_rest(connection);
    if (connection->state == CONNECTION_OPEN)
        loop_defer(connection->worker->loop, &connection->flush);
    else
        wait_for_events(connection);
}

/* ---- moving in ----------------------------------------------------------------------------------
 */

struct connection *connection_new(int fd, const char *peer, struct tls_context *tls,
                                  const struct protocol_ops *protocol, enum endpoint_protocol kind,
                                  struct server_shared *shared)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        (void)close(fd);
        return NULL;
    }
    connection->fd = fd;
    connection->give_up_at_ms = DEADLINE_NEVER;
    connection->tls = tls;
    connection->protocol = protocol;
    connection->kind = kind;
    connection->number = atomic_fetch_add(&shared->next_connection, 1) + 1;
    (void)snprintf(connection->peer, sizeof connection->peer, "%s", peer);
    list_init(&connection->link);
    loop_source_init(&connection->source);
    buffer_init(&connection->in, protocol->input_limit_bytes);
    buffer_init(&connection->out, shared->config->control_queue_bytes + TOGETHER_BYTES);
    return connection;
}

static enum afar_status begin(struct connection *connection, struct afar_error *err)
{
    int fd = connection->fd;
    connection->fd = -1; /* moved, also where that fails */
    enum afar_status status =
        connection->tls == NULL ? transport_plain_new(&connection->transport, fd, err)
                                : transport_tls_server_new(&connection->transport, connection->tls,
                                                           fd, connection->protocol->alpn, err);
    if (status == AFAR_OK)
        status = timer_attach(loop_timers(connection->worker->loop), &connection->timer,
                              timer_fired, err);
    if (status == AFAR_OK)
        status = loop_add(connection->worker->loop, &connection->source,
                          transport_fd(connection->transport), EPOLLIN, connection_ready, err);
    return status;
}

/* In the worker's thread. */
static void moved_in(struct mail *mail)
{
    struct connection *connection = list_object(mail, struct connection, mail);
    struct afar_error err;
    loop_deferred_init(&connection->flush, run_flush);
    loop_deferred_init(&connection->gone, run_gone);
    list_append(&connection->worker->connections, &connection->link);
    connection->last_input_ms = connection->last_output_ms = clock_now_ms();
    if (begin(connection, &err) != AFAR_OK) {
        connection_fail(connection, LOG_LEVEL_ERROR, err.message);
        return;
    }
    /* Plain is open at once; and the first bytes may be there already. */
    connection_ready(&connection->source, 0);
}

void connection_hand_over(struct connection *connection, struct worker *worker)
{
    connection->worker = worker;
    connection->mail.deliver = moved_in;
    (void)atomic_fetch_add(&worker->connection_count, 1);
    mailbox_post(&worker->mailbox, &connection->mail);
}

void connection_drain(struct connection *connection)
{
    if (connection->state == CONNECTION_HANDSHAKE)
        end(connection);
    else if (connection->state == CONNECTION_OPEN && !connection->finishing)
        connection->protocol->drain(connection);
}

void connection_hurry(struct connection *connection)
{
    connection->give_up_at_ms = clock_now_ms() + HURRY_MS;
    if (connection->state != CONNECTION_GONE)
        set_timer(connection);
}
