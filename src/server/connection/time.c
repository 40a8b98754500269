/* The deadlines of a connection, and what happens when they pass. */
#include "server/connection/internal.h"

#include "base/clock.h"

/* The earliest of a connection's deadlines, and the limit that it belongs to; COUNTERS: none. */
struct deadline {
    int64_t at_ms;
    enum counter limit;
};

static void consider(struct deadline *deadline, enum counter limit, int64_t from_ms,
                     uint64_t timeout_ms)
{
    if (timeout_ms == 0)
        return;
    int64_t at_ms = from_ms + (int64_t)timeout_ms;
    if (at_ms < deadline->at_ms)
        *deadline = (struct deadline){at_ms, limit};
}

/* The time from which a client's silence counts: not before the end of its `pause`. */
static int64_t later(const struct connection *connection, int64_t from_ms)
{
    return connection->paused_until_ms > from_ms ? connection->paused_until_ms : from_ms;
}

/* A job runs, or a reply is under way, while the client only waits. */
static void consider_heartbeat(struct connection *connection, struct deadline *deadline)
{
    const struct config *config = connection->worker->config;
    int64_t last_ms = connection->last_heartbeat_ms > connection->last_input_ms
                          ? connection->last_heartbeat_ms
                          : connection->last_input_ms;
    if (connection->protocol->heartbeat == NULL || config->heartbeat_ms == 0)
        return;
    consider(deadline, COUNTERS, later(connection, last_ms), config->heartbeat_ms);
    consider(deadline, COUNTER_HEARTBEAT_TIMEOUT, later(connection, connection->last_input_ms),
             config->heartbeat_timeout_ms);
}

static void consider_open(struct connection *connection, struct deadline *deadline)
{
    const struct config *config = connection->worker->config;
    /* Only while we read. */
    if (connection->frame_since_ms != 0 && connection_takes_input(connection))
        consider(deadline, COUNTER_FRAME_TIMEOUT, connection->frame_since_ms,
                 config->frame_timeout_ms);
    if (connection->send_blocked) {
        consider(deadline, COUNTER_WRITE_TIMEOUT, later(connection, connection->last_output_ms),
                 config->write_timeout_ms);
        return;
    }
    if (connection->session != NULL && connection->protocol->busy(connection)) {
        consider_heartbeat(connection, deadline);
        return;
    }
    if (!connection->asked)
        consider(deadline, COUNTER_FIRST_REQUEST_TIMEOUT, connection->opened_ms,
                 config->first_request_timeout_ms);
    consider(deadline, COUNTER_IDLE_TIMEOUT, connection->last_input_ms, config->idle_timeout_ms);
}

static struct deadline next_deadline(struct connection *connection)
{
    struct deadline deadline = {connection->give_up_at_ms, COUNTERS};
    if (connection->read_more)
        return (struct deadline){0, COUNTERS};
    switch (connection->state) {
    case CONNECTION_HANDSHAKE:
        consider(&deadline, COUNTER_HANDSHAKE_TIMEOUT, connection->opened_ms,
                 connection->worker->config->handshake_timeout_ms);
        break;
    case CONNECTION_OPEN:
        consider_open(connection, &deadline);
        if (connection->flush_at_ms < deadline.at_ms)
            deadline = (struct deadline){connection->flush_at_ms, COUNTERS};
        if (connection->held_until_ms != 0 && connection->held_until_ms < deadline.at_ms)
            deadline = (struct deadline){connection->held_until_ms, COUNTERS};
        break;
    case CONNECTION_CLOSING:
        if (connection->closing_at_ms < deadline.at_ms)
            deadline.at_ms = connection->closing_at_ms;
        break;
    case CONNECTION_GONE:
        break;
    }
    return deadline;
}

void connection_set_timer(struct connection *connection)
{
    timer_arm(loop_timers(connection->worker->host.loop), &connection->timer,
              next_deadline(connection).at_ms);
}

void connection_watch_time(struct connection *connection)
{
    if (connection->timer.deadline_ms == DEADLINE_NEVER ||
        next_deadline(connection).at_ms < connection->timer.deadline_ms)
        connection_set_timer(connection);
}

static const char *why(enum counter limit)
{
    switch (limit) {
    case COUNTER_HANDSHAKE_TIMEOUT:
        return "no handshake in time (handshake_timeout_ms)";
    case COUNTER_FIRST_REQUEST_TIMEOUT:
        return "no request in time (first_request_timeout_ms)";
    case COUNTER_FRAME_TIMEOUT:
        return "the rest of a frame has not come in time (frame_timeout_ms)";
    case COUNTER_WRITE_TIMEOUT:
        return "the client takes nothing of what is sent (write_timeout_ms)";
    case COUNTER_HEARTBEAT_TIMEOUT:
        return "the client gives no sign of life (heartbeat_timeout_ms)";
    default:
        return "idle for too long (idle_timeout_ms)";
    }
}

/* The client has exceeded a limit. */
static void run_out(struct connection *connection, enum counter limit)
{
    counters_count(&connection->worker->shared->counters, limit);
    if (limit == COUNTER_HANDSHAKE_TIMEOUT)
        figures_handshake(&connection->worker->shared->figures, HANDSHAKE_TIMEOUT);
    connection_fail(connection, LOG_LEVEL_INFO, why(limit));
}

/* A deadline that is no limit: the server is going down, something was held back long enough, it is
 * time for a ping, or CLOSING is over. */
static void act(struct connection *connection, int64_t now_ms)
{
    if (connection->give_up_at_ms <= now_ms) {
        connection_fail(connection, LOG_LEVEL_INFO, "closed: the server is going down");
    } else if (connection->flush_at_ms <= now_ms) {
        connection_want_flush(connection); /* which sets the timer again */
    } else if (connection->held_until_ms != 0 && connection->held_until_ms <= now_ms) {
        connection_go_on(connection);
    } else if (connection->state == CONNECTION_OPEN) {
        connection->last_heartbeat_ms = now_ms;
        connection->protocol->heartbeat(connection);
        connection_set_timer(connection);
    } else {
        connection_end(connection);
    }
}

void connection_timer_fired(struct timer *timer)
{
    struct connection *connection = list_object(timer, struct connection, timer);
    int64_t now_ms = clock_now_ms();
    struct deadline deadline = next_deadline(connection);
    /* When a deadline moves, the timer is not armed again, as that would cost at each byte: it is
     * done here. */
    if (deadline.at_ms > now_ms)
        connection_set_timer(connection);
    else if (connection->read_more)
        connection_ready(&connection->source, 0);
    else if (deadline.limit == COUNTERS)
        act(connection, now_ms);
    else
        run_out(connection, deadline.limit);
}
