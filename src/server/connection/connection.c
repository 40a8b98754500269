#include "server/connection/internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/audit_note.h"

enum { HURRY_MS = 1000 /* what connection_hurry leaves for sending */ };

/* ---- beginning and end ----------------------------------------------------------------------- */

static void free_connection(struct connection *connection)
{
    if (connection->worker != NULL) {
        loop_remove(connection->worker->host.loop, &connection->source);
        if (connection->timer.fire != NULL)
            timer_detach(loop_timers(connection->worker->host.loop), &connection->timer);
    }
    loop_deferred_cancel(&connection->flush);
    loop_deferred_cancel(&connection->gone);
    loop_deferred_cancel(&connection->hand_on);
    loop_deferred_cancel(&connection->move);
    list_remove(&connection->link);
    transport_free(connection->transport);
    tls_context_free(connection->tls);
    if (connection->fd >= 0)
        (void)close(connection->fd);
    buffer_close(&connection->in);
    buffer_close(&connection->out);
    free(connection->identity);
    free(connection->owner);
    peer_free(connection->who);
    free(connection->peer);
    free(connection);
}

static void run_gone(struct loop_deferred *deferred)
{
    struct connection *connection = list_object(deferred, struct connection, gone);
    struct worker *worker = connection->worker;
    if (connection->session != NULL)
        connection->protocol->close(connection);
    admission_leave(worker->shared->admission, &connection->ticket);
    free_connection(connection);
    (void)atomic_fetch_sub(&worker->connection_count, 1);
    worker_check_ended(worker);
}

void connection_become(struct connection *connection, enum connection_state state)
{
    assert(worker_is_here(connection->worker));
    assert(state > connection->state);
    connection->state = state;
}

void connection_end(struct connection *connection)
{
    if (connection->state == CONNECTION_GONE)
        return;
    connection_become(connection, CONNECTION_GONE);
    loop_remove(connection->worker->host.loop, &connection->source);
    if (connection->next_worker == NULL) /* otherwise it ends at that worker */
        loop_defer(connection->worker->host.loop, &connection->gone);
}

void connection_fail(struct connection *connection, enum log_level level, const char *why)
{
    if (connection->state == CONNECTION_GONE)
        return;
    if (connection->identity != NULL) /* it was open */
        connection_say(connection, SUMMARY_CLOSED, level, why);
    else if (connection->state != CONNECTION_CLOSING) /* then that has been said */
        connection_not_let_in(connection, SUMMARY_HANDSHAKE_FAILED, "handshake_failed", why);
    connection_end(connection);
}

bool connection_alive(const struct connection *connection)
{
    return connection->state != CONNECTION_GONE;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Keeps the name alone, in a buffer of its length: ten thousand connections may be idle. */
static enum afar_status take_identity(struct connection *connection,
                                      const struct identity *identity, struct afar_error *err)
{
    connection->identity = strdup(identity->name);
    return connection->identity != NULL ? AFAR_OK
                                        : afar_fail(err, AFAR_ENOMEM, "out of memory for a name");
}

/* Fills in owner and names, unless they are known by the current TLS context. */
static enum afar_status know_client(struct connection *connection, struct afar_error *err)
{
    const struct worker *worker = connection->worker;
    struct identity identity;
    if (connection->owner != NULL && connection->who_by == worker->tls)
        return AFAR_OK;
    transport_identity(connection->transport, &identity);
    free(connection->owner);
    peer_free(connection->who);
    connection->who = NULL;
    connection->who_by = worker->tls;
    connection->owner = strdup(identity.owner);
    if (connection->owner == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a name");
    if (rules_count(worker->config->rules) == 0 && worker->shared->audit == NULL)
        return AFAR_OK;
    return transport_peer(connection->transport, &connection->who, err);
}

enum afar_status connection_judge(struct connection *connection, struct policy_client *who,
                                  struct afar_error *err)
{
    static char *nobody[] = {NULL};
    const struct worker *worker = connection->worker;
    *who = (struct policy_client){.names = nobody, .address = connection->peer};
    enum afar_status status = transport_judge(connection->transport, worker->tls, err);
    /* Also for a client that is turned away: the audit log names it. */
    struct afar_error unknown;
    enum afar_status known = know_client(connection, status == AFAR_OK ? err : &unknown);
    if (status == AFAR_OK)
        status = known;
    if (status == AFAR_OK && connection->who != NULL && connection->who->names != NULL)
        who->names = connection->who->names;
    return status;
}

static enum handshake_result how_it_failed(enum afar_status status)
{
    switch (status) {
    case AFAR_ETRUST:
        return HANDSHAKE_UNTRUSTED;
    case AFAR_EPEER:
        return HANDSHAKE_NOT_TLS;
    case AFAR_ECLOSED:
        return HANDSHAKE_CLOSED;
    default:
        return HANDSHAKE_FAILED;
    }
}

static enum handshake_result how_it_went(const struct connection *connection,
                                         const struct identity *identity)
{
    if (identity->kind != IDENTITY_CERTIFICATE)
        return HANDSHAKE_PLAIN;
    return transport_resumed(connection->transport) ? HANDSHAKE_RESUMED : HANDSHAKE_FULL;
}

static void handshake(struct connection *connection)
{
    struct figures *figures = &connection->worker->shared->figures;
    struct counters *counters = &connection->worker->shared->counters;
    struct identity identity;
    struct afar_error err;
    enum afar_status status = transport_handshake(connection->transport, &err);
    if (status == AFAR_EAGAIN)
        return;
    if (status != AFAR_OK) {
        counters_count(counters, COUNTER_HANDSHAKES_FAILED);
        figures_handshake(figures, how_it_failed(status));
        connection_not_let_in(connection, SUMMARY_HANDSHAKE_FAILED, "handshake_failed",
                              err.message);
        /* OpenSSL has sent its alert; closed without this, the peer might see a reset instead. */
        connection_begin_closing(connection);
        return;
    }
    counters_count(counters, COUNTER_HANDSHAKES);
    transport_identity(connection->transport, &identity);
    figures_handshake(figures, how_it_went(connection, &identity));
    if (!admission_authenticated(connection->worker->shared->admission, &connection->ticket)) {
        connection_make_room(connection);
        return;
    }
    connection_become(connection, CONNECTION_OPEN);
    status = take_identity(connection, &identity, &err);
    connection->last_input_ms = clock_now_ms();
    connection->handshake_ms = connection->last_input_ms - connection->opened_ms;
    connection->opened_ms = connection->last_input_ms;
    /* The timer is set to the handshake's deadline, which is earlier than the next one: left as it
     * is, it would wake us up once more for each connection. */
    connection_set_timer(connection);
    connection_say(connection, SUMMARY_OPENED, LOG_LEVEL_INFO, "open");
    if (status == AFAR_OK)
        status = connection->protocol->open(connection, &err);
    if (status == AFAR_OK)
        connection_begin_slowly(connection);
    if (status != AFAR_OK)
        connection_fail(connection, LOG_LEVEL_ERROR, err.message);
    else if (connection->worker->draining)
        connection_drain(connection);
}

void connection_ready(struct loop_source *source, uint32_t events)
{
    struct connection *connection = list_object(source, struct connection, source);
    connection->read_more = false;
    if (connection->state == CONNECTION_HANDSHAKE)
        handshake(connection);
    if (connection->state == CONNECTION_OPEN && !connection_takes_input(connection) &&
        (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        connection_fail(connection, LOG_LEVEL_DEBUG, "the client has gone");
    if (connection->state == CONNECTION_OPEN && connection->send_blocked)
        connection_flush(connection);
    connection_receive(connection);
    if (connection->state == CONNECTION_CLOSING)
        connection_receive_rest(connection);
    if (connection->state == CONNECTION_OPEN)
        loop_defer(connection->worker->host.loop, &connection->flush);
    else
        connection_wait(connection);
}

/* ---- moving in ------------------------------------------------------------------------------- */

struct connection *connection_new(const struct connection_origin *origin,
                                  struct server_shared *shared)
{
    struct connection *connection = calloc(1, sizeof *connection);
    char *peer = strdup(origin->peer);
    if (connection == NULL || peer == NULL) {
        free(connection);
        free(peer);
        (void)close(origin->fd);
        return NULL;
    }
    connection->fd = origin->fd;
    connection->give_up_at_ms = connection->flush_at_ms = DEADLINE_NEVER;
    if (origin->tls != NULL)
        tls_context_keep(origin->tls);
    connection->tls = origin->tls;
    connection->protocol = origin->protocol;
    connection->kind = origin->kind;
    connection->peer = peer;
    list_init(&connection->link);
    loop_deferred_init(&connection->flush, connection_run_flush);
    loop_deferred_init(&connection->gone, run_gone);
    loop_deferred_init(&connection->hand_on, connection_run_hand_on);
    loop_deferred_init(&connection->move, connection_run_move);
    loop_source_init(&connection->source);
    buffer_init(&connection->in, origin->protocol->input_limit_bytes);
    buffer_init(&connection->out,
                shared->settings.config->control_queue_bytes + CONNECTION_TOGETHER_BYTES);
    return connection;
}

void connection_drop(struct connection *connection)
{
    free_connection(connection);
}

static enum afar_status make_transport(struct connection *connection, struct afar_error *err)
{
    int fd = connection->fd;
    connection->fd = -1; /* moved, also on failure */
    if (connection->tls == NULL || connection->refusal != NULL)
        return transport_plain_new(&connection->transport, fd, err);
    enum afar_status status = transport_tls_server_new(&connection->transport, connection->tls, fd,
                                                       connection->protocol->alpn, err);
    tls_context_free(connection->tls);
    connection->tls = NULL;
    return status;
}

static enum afar_status begin(struct connection *connection, struct afar_error *err)
{
    enum afar_status status = make_transport(connection, err);
    if (status == AFAR_OK)
        status = timer_attach(loop_timers(connection->worker->host.loop), &connection->timer,
                              connection_timer_fired, err);
    if (status == AFAR_OK)
        status = loop_add(connection->worker->host.loop, &connection->source,
                          transport_fd(connection->transport), EPOLLIN, connection_ready, err);
    return status;
}

/* Refuses the connection for lack of room. A TLS client gets an alert, which needs no handshake. It
 * is one write, which fits into the empty socket buffer. */
static void say_no(struct connection *connection)
{
    size_t sent = 0;
    enum afar_status status = AFAR_OK;
    char why[80];
    (void)snprintf(why, sizeof why, "refused: no room (%s)", connection->refusal);
    if (connection->note_refusal)
        connection_note(connection, "connection_refused", why);
    if (connection->tls != NULL) {
        uint8_t alert[TLS_REFUSAL_BYTES];
        tls_refusal(alert);
        status = buffer_append(&connection->out, alert, sizeof alert, NULL);
    } else if (connection->protocol->refuse != NULL) {
        status = connection->protocol->refuse(&connection->out, connection->refusal);
    }
    if (status == AFAR_OK && buffer_size(&connection->out) > 0)
        (void)transport_send(connection->transport, buffer_head(&connection->out),
                             buffer_size(&connection->out), &sent, NULL);
    connection_begin_closing(connection);
    connection_wait(connection);
}

/* In the worker's thread: the connection has come from the acceptor. */
static void moved_in(struct mail *mail)
{
    struct connection *connection = list_object(mail, struct connection, mail);
    struct afar_error err;
    list_append(&connection->worker->connections, &connection->link);
    connection->opened_ms = clock_now_ms();
    connection->last_input_ms = connection->last_output_ms = connection->opened_ms;
    connection->moved_in = true;
    if (connection->make_room) {
        connection_make_room(connection);
        return;
    }
    if (begin(connection, &err) != AFAR_OK) {
        connection_fail(connection, LOG_LEVEL_ERROR, err.message);
        return;
    }
    if (connection->refusal != NULL) {
        say_no(connection);
        return;
    }
    /* A plain connection opens immediately; and its first bytes may be there already. */
    connection_ready(&connection->source, 0);
}

void connection_hand_over(struct connection *connection, struct worker *worker)
{
    connection->worker = worker;
    connection->number = atomic_fetch_add(&worker->shared->next_connection, 1) + 1;
    connection->mail.deliver = moved_in;
    admission_ticket_at(&connection->ticket, &worker->way_out);
    (void)atomic_fetch_add(&worker->connection_count, 1);
    mailbox_post(&worker->mailbox, &connection->mail);
}

void connection_make_room(struct connection *connection)
{
    connection->make_room = true;
    if (!connection->moved_in)
        return; /* moved_in does it when its mail comes */
    /* It goes anyway, and the reason was logged. */
    if (connection->state > CONNECTION_OPEN) {
        connection_end(connection);
        return;
    }
    if (connection->state == CONNECTION_HANDSHAKE) {
        connection_not_let_in(connection, SUMMARY_REFUSED, "connection_refused",
                              "closed before it was authenticated, to make room for another "
                              "connection (max_unauthenticated)");
        connection_end(connection); /* without a message, which would need waiting */
        return;
    }
    connection_say(connection, SUMMARY_CLOSED, LOG_LEVEL_INFO,
                   "closed while idle, to make room for another connection (max_connections)");
    connection_drain(connection);
    connection_hurry(connection);
}

bool connection_begin_request(struct connection *connection)
{
    return !connection->make_room &&
           admission_busy(connection->worker->shared->admission, &connection->ticket);
}

void connection_end_request(struct connection *connection)
{
    admission_idle(connection->worker->shared->admission, &connection->ticket);
    connection->stays = false;
    if (connection->worker->bulk && connection->home != NULL)
        loop_defer(connection->worker->host.loop, &connection->move);
}

void connection_drain(struct connection *connection)
{
    if (connection->state == CONNECTION_HANDSHAKE)
        connection_end(connection);
    else if (connection->state == CONNECTION_OPEN && !connection->finishing)
        connection->protocol->drain(connection);
}

void connection_hurry(struct connection *connection)
{
    connection->give_up_at_ms = clock_now_ms() + HURRY_MS;
    if (connection->state != CONNECTION_GONE)
        connection_set_timer(connection);
}
