/* How a connection waits, sends and receives. */
#include "server/connection/internal.h"

#include <poll.h>
#include <sys/epoll.h>

#include "base/clock.h"

enum {
    TURN_BYTES = 1 << 18,    /* received, and sent, in a turn: no client can hold the loop */
    READS_PER_TURN = 8,      /* likewise, for small reads */
    REQUESTS_PER_TURN = 256, /* likewise; a request takes 2 to 20 us */
    LAST_TURNS = 64,         /* turns' worth of input: as much as a socket may hold */
    SMALL_BYTES = 4096,      /* frames up to this size are copied, to be sent together */
    CLOSING_MS = 2000        /* time for the peer to read our last bytes */
};

/* ---- waiting --------------------------------------------------------------------------------- */

static uint32_t to_epoll(short events)
{
    return ((events & POLLIN) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((events & POLLOUT) != 0 ? (uint32_t)EPOLLOUT : 0);
}

bool connection_takes_input(const struct connection *connection)
{
    return connection->state == CONNECTION_OPEN && !connection->input_paused &&
           !connection->finishing && connection->held_until_ms == 0 &&
           connection->next_worker == NULL;
}

void connection_wait(struct connection *connection)
{
    if (connection->state == CONNECTION_GONE || connection->next_worker != NULL)
        return;
    struct afar_error err;
    uint32_t events = 0;
    bool reading = connection_takes_input(connection);
    connection->read_more =
        reading && (connection->input_left || transport_pending(connection->transport));
    if (reading || connection->state != CONNECTION_OPEN)
        events |= to_epoll(transport_recv_events(connection->transport));
    else
        events |= (uint32_t)EPOLLRDHUP; /* notice that the client goes away even while not
                                           reading */
    if (connection->send_blocked)
        events |= to_epoll(transport_send_events(connection->transport));
    else if (connection->send_more)
        events |= (uint32_t)EPOLLOUT; /* go on in the next turn: other connections come first */
    if (loop_set_events(connection->worker->host.loop, &connection->source, events, &err) !=
        AFAR_OK) {
        connection_fail(connection, LOG_LEVEL_ERROR, err.message);
        return;
    }
    connection_watch_time(connection);
}

/* ---- sending --------------------------------------------------------------------------------- */

void connection_begin_closing(struct connection *connection)
{
    transport_shutdown(connection->transport);
    if (connection->session != NULL)
        connection->protocol->close(connection);
    connection->session = NULL;
    connection_become(connection, CONNECTION_CLOSING);
    connection->closing_at_ms = clock_now_ms() + CLOSING_MS;
    buffer_clear(&connection->in);
    connection_set_timer(connection);
}

/* A send has failed. A client that closed on purpose has sent its last messages before that; if it
 * had not read all of our output, its kernel sent a reset, which this send has met. What the client
 * sent can still be read. */
static void hear_last_words(struct connection *connection, const struct afar_error *why)
{
    connection->send_blocked = connection->blocked_inside = false;
    buffer_clear(&connection->out);
    for (int turns = 0; turns < LAST_TURNS && connection_takes_input(connection); turns++)
        connection_receive(connection);
    if (connection->next_worker == NULL) /* otherwise the next worker meets the same error */
        connection_fail(connection, why->code == AFAR_ECLOSED ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                        why->message);
}

/* Sends once. False: it would block, or the connection has failed. */
static bool send_once(struct connection *connection, const uint8_t *data, size_t size, size_t *sent)
{
    struct afar_error err;
    enum afar_status status = transport_send(connection->transport, data, size, sent, &err);
    if (status == AFAR_OK) {
        figures_add(&connection->worker->shared->figures.sent_bytes, *sent);
        connection->send_blocked = connection->blocked_inside = false;
        connection->last_output_ms = clock_now_ms();
        connection_weigh(connection, *sent, connection->last_output_ms);
        return true;
    }
    if (status == AFAR_EAGAIN) {
        if (!connection->send_blocked)
            connection->last_output_ms = clock_now_ms();
        connection->send_blocked = true;
        return false;
    }
    hear_last_words(connection, &err);
    return false;
}

/* Moves small frames from peek behind what is in `out`, so that they leave in one write. */
static void gather(struct connection *connection)
{
    const struct protocol_ops *protocol = connection->protocol;
    const uint8_t *data = NULL;
    size_t size = 0;
    while (protocol->peek != NULL && protocol->peek(connection, &data, &size) &&
           size <= SMALL_BYTES &&
           buffer_size(&connection->out) + size <= CONNECTION_TOGETHER_BYTES) {
        if (buffer_append(&connection->out, data, size, NULL) != AFAR_OK)
            break;
        protocol->sent(connection, size);
    }
}

/* Sends one piece: of `out`, or, if that is empty or must wait, from peek. False: nothing (more)
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

void connection_flush(struct connection *connection)
{
    size_t budget = TURN_BYTES;
    if (connection->next_worker != NULL)
        return;
    connection->flush_at_ms = DEADLINE_NEVER;
    while (connection->state == CONNECTION_OPEN && connection->session != NULL && budget > 0) {
        if (!send_piece(connection, &budget))
            break;
    }
    if (connection->state != CONNECTION_OPEN)
        return;
    connection->send_more = budget == 0;
    if (budget > 0 && connection->finishing && !connection->send_blocked)
        connection_begin_closing(connection);
}

void connection_run_flush(struct loop_deferred *deferred)
{
    struct connection *connection = list_object(deferred, struct connection, flush);
    if (connection->state == CONNECTION_OPEN && !connection->send_blocked)
        connection_flush(connection);
    connection_wait(connection);
}

void connection_want_flush(struct connection *connection)
{
    if (connection->state == CONNECTION_OPEN && connection->next_worker == NULL)
        loop_defer(connection->worker->host.loop, &connection->flush);
}

void connection_want_flush_within(struct connection *connection, int64_t within_ms)
{
    if (connection->state != CONNECTION_OPEN)
        return;
    connection->flush_at_ms = clock_now_ms() + within_ms;
    connection_watch_time(connection);
}

void connection_finish(struct connection *connection)
{
    connection->finishing = true;
    connection_want_flush(connection);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void receive_stopped(struct connection *connection, enum afar_status status,
                            const struct afar_error *err)
{
    if (status == AFAR_EAGAIN)
        return;
    if (status == AFAR_ECLOSED)
        connection_fail(connection, LOG_LEVEL_DEBUG, err->message);
    else
        connection_fail(connection, LOG_LEVEL_INFO, err->message);
}

/* Reads. Small input goes into the scratch buffer first, so that an idle connection holds no
 * memory; large input goes directly into `in`, to save the copy. */
static enum afar_status receive_once(struct connection *connection, size_t size, size_t *got,
                                     struct afar_error *err)
{
    struct buffer *in = &connection->in;
    uint8_t *scratch = connection->worker->host.scratch;
    uint8_t *room = scratch;
    enum afar_status status = AFAR_OK;
    *got = 0;
    if (size > JOB_SCRATCH_BYTES)
        status = buffer_reserve(in, size, &room, err);
    if (status == AFAR_OK)
        status = transport_fill(connection->transport, room, size, got, err);
    if (room != scratch) {
        buffer_commit(in, *got);
    } else if (*got > 0 && buffer_append(in, scratch, *got, err) != AFAR_OK) {
        *got = 0;
        return AFAR_ENOMEM; /* not AFAR_ELIMIT: `size` is within its limit */
    }
    buffer_pace(in, size, *got);
    return status;
}

bool connection_may_take(struct connection *connection)
{
    if (connection->input_taken < REQUESTS_PER_TURN) {
        connection->input_taken++;
        return true;
    }
    connection->input_left = true;
    return false;
}

void connection_receive(struct connection *connection)
{
    struct afar_error err;
    size_t total = 0;
    connection->input_taken = 0;
    if (connection->input_left && connection_takes_input(connection)) {
        connection->input_left = false;
        connection->protocol->input(connection);
    }
    for (int reads = 0; reads < READS_PER_TURN && total < TURN_BYTES; reads++) {
        if (!connection_takes_input(connection) || connection->input_left)
            return;
        size_t room_bytes = connection->in.limit_bytes - buffer_size(&connection->in);
        if (room_bytes == 0) {
            connection_pause_input(connection, true);
            return;
        }
        size_t pace_bytes = connection->in.pace_bytes;
        size_t size = room_bytes < pace_bytes ? room_bytes : pace_bytes;
        size_t got = 0;
        enum afar_status status = receive_once(connection, size, &got, &err);
        if (got > 0) {
            total += got;
            figures_add(&connection->worker->shared->figures.received_bytes, got);
            connection->last_input_ms = clock_now_ms();
            connection_weigh(connection, got, connection->last_input_ms);
            connection->protocol->input(connection);
        }
        /* If it is finishing, what waits is sent first. */
        if (status != AFAR_OK && connection_takes_input(connection))
            receive_stopped(connection, status, &err);
        /* Less than asked for: there is no more, or (transport_fill) other connections come first.
         */
        if (status != AFAR_OK || got < size)
            return;
    }
}

/* Reads and drops, so that the kernel does not answer with a reset, until the peer has closed, too.
 */
void connection_receive_rest(struct connection *connection)
{
    for (int reads = 0; reads < READS_PER_TURN; reads++) {
        enum afar_status status = transport_discard(
            connection->transport, connection->worker->host.scratch, JOB_SCRATCH_BYTES);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK) {
            connection_end(connection);
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
        connection_want_flush(connection); /* which sets the events to wait for */
}
