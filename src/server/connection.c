#include "server/connection_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

enum { HURRY_MS = 1000 /* in a shutdown that does not wait */ };

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
void connection_end(struct connection *connection)
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
    connection_end(connection);
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

int64_t connection_next_deadline(struct connection *connection)
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

void connection_set_timer(struct connection *connection)
{
    timer_arm(loop_timers(connection->worker->loop), &connection->timer,
              connection_next_deadline(connection));
}

static void timer_fired(struct timer *timer)
{
    struct connection *connection = list_object(timer, struct connection, timer);
    /* Whatever moved the deadline meanwhile did not arm the timer anew: that would cost at each
     * byte. */
    if (connection_next_deadline(connection) > clock_now_ms()) {
        connection_set_timer(connection);
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
        connection_end(connection);
        break;
    }
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
        connection_begin_closing(connection);
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
    if (connection->state == CONNECTION_OPEN && !connection_takes_input(connection) &&
        (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        connection_fail(connection, LOG_LEVEL_DEBUG, "the client has gone");
    if (connection->state == CONNECTION_OPEN && connection->send_blocked)
        connection_flush(connection);
    connection_receive(connection);
    if (connection->state == CONNECTION_CLOSING)
        connection_receive_rest(connection);
    if (connection->state == CONNECTION_OPEN)
        loop_defer(connection->worker->loop, &connection->flush);
    else
        connection_wait(connection);
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
    buffer_init(&connection->out, shared->config->control_queue_bytes + CONNECTION_TOGETHER_BYTES);
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
    loop_deferred_init(&connection->flush, connection_run_flush);
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
