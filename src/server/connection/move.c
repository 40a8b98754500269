/* Moves a connection that carries much, with its run and its job, to a *bulk* worker, and home when
 * its request has ended. So the other connections of its own worker do not wait behind it.
 *
 *     here, at the end of a turn, what can fail; after a failure nothing has changed:
 *         worker_reserve (room for timers) ─ loop_offer (descriptors) ─ worker_enter
 *     then it leaves, and travels with its mail          there: move_in
 *
 * While it travels, nothing else is under way for it, and no other thread looks at it: see
 * README.md, Bulk. */
#include "server/connection/internal.h"

#include "base/clock.h"

enum { BULK_MS = 100 };

/* In the thread of its new worker. */
static void move_in(struct mail *mail)
{
    struct connection *connection = list_object(mail, struct connection, mail);
    struct worker *worker = connection->worker;
    struct afar_error err;
    list_append(&worker->connections, &connection->link);
    timer_attach_kept(loop_timers(worker->host.loop), &connection->timer);
    const enum afar_status status = loop_take(worker->host.loop, &connection->source, &err);
    connection->input_left = connection->input_left || buffer_size(&connection->in) > 0;
    worker_arrived(worker, 1 + connection->protocol->moves->arrive(connection));
    if (!worker->bulk) /* it counted as busy only for the move */
        admission_idle(worker->shared->admission, &connection->ticket);
    if (status != AFAR_OK)
        connection_fail(connection, LOG_LEVEL_ERROR, err.message);
    if (worker->draining)
        connection_drain(connection);
    if (worker->killing)
        connection_hurry(connection);
    if (connection->state == CONNECTION_GONE)
        return;
    connection_set_timer(connection);
    connection_ready(&connection->source, 0);
}

/* Leaves this worker. Once its mail is posted, it belongs to the other one. */
static void depart(struct connection *connection, struct worker *to)
{
    struct worker *from = connection->worker;
    loop_leave(from->host.loop, &connection->source);
    timer_detach(loop_timers(from->host.loop), &connection->timer);
    loop_deferred_cancel(&connection->flush);
    list_remove(&connection->link);
    connection_set_home(connection, to);
    connection->next_worker = NULL;
    connection->worker = to;
    connection->mail.deliver = move_in;
    admission_ticket_at(&connection->ticket, &to->way_out);
    connection->protocol->moves->depart(connection, to);
    (void)atomic_fetch_sub(&from->connection_count, 1);
    worker_check_ended(from);
}

void connection_set_home(struct connection *connection, const struct worker *to)
{
    if (!to->bulk)
        connection->home = NULL;
    else if (!connection->worker->bulk)
        connection->home = connection->worker;
}

/* AFAR_EAGAIN: worker `to` has no room, or has ended. */
static enum afar_status offer(struct connection *connection, struct worker *to,
                              struct afar_error *err)
{
    const struct protocol_moves *moves = connection->protocol->moves;
    if (!worker_reserve(to))
        return AFAR_EAGAIN;
    enum afar_status status = loop_offer(to->host.loop, &connection->source, err);
    if (status == AFAR_OK) {
        status = moves->offer(connection, to, err);
        if (status == AFAR_OK && worker_enter(to))
            return AFAR_OK;
        if (status == AFAR_OK) {
            moves->unoffer(connection, to);
            status = AFAR_EAGAIN;
        }
        loop_unoffer(to->host.loop, &connection->source);
    }
    worker_unreserve(to);
    return status;
}

/* The bulk worker with the fewest connections. NULL: there is none. */
static struct worker *bulk_worker(const struct server_shared *shared)
{
    const unsigned count = atomic_load(&shared->bulk_count);
    struct worker *best = NULL;
    for (unsigned i = 0; i < count; i++) {
        struct worker *worker = shared->bulk[i];
        if (best == NULL || worker_connections(worker) < worker_connections(best))
            best = worker;
    }
    return best;
}

/* It did not move: goes on here, with the request that was held back for the move. */
static void go_on(struct connection *connection)
{
    if (connection->next_worker == NULL)
        return;
    connection->next_worker = NULL;
    connection->stays = true; /* until a request has ended here */
    if (connection->state == CONNECTION_GONE) {
        loop_defer(connection->worker->host.loop, &connection->gone);
        return;
    }
    connection->input_left = true;
    connection_ready(&connection->source, 0);
}

/* A connection on its way must not be told to leave: it counts as busy until it has come. */
static bool may_move(struct connection *connection, const struct worker *to)
{
    const struct worker *from = connection->worker;
    return connection->state == CONNECTION_OPEN && !connection->finishing && to != NULL &&
           !connection->stays && !from->draining &&
           connection->protocol->moves->may_move(connection) &&
           (!from->bulk || connection_begin_request(connection));
}

void connection_run_move(struct loop_deferred *deferred)
{
    struct connection *connection = list_object(deferred, struct connection, move);
    struct worker *from = connection->worker;
    struct server_shared *shared = from->shared;
    struct worker *to = from->bulk ? connection->home : bulk_worker(shared);
    struct afar_error err = {.message = ""};
    if (!may_move(connection, to)) {
        go_on(connection);
        return;
    }
    const enum afar_status status = offer(connection, to, &err);
    if (status == AFAR_OK) {
        if (to->bulk)
            counters_count(&shared->counters, COUNTER_BULK_MOVES);
        depart(connection, to);
        return;
    }
    counters_count(&shared->counters, COUNTER_BULK_STAYS);
    if (status != AFAR_EAGAIN)
        connection_say(connection, SUMMARY_CLOSED, LOG_LEVEL_DEBUG, err.message);
    if (from->bulk)
        admission_idle(shared->admission, &connection->ticket);
    go_on(connection);
}

void connection_weigh(struct connection *connection, size_t size, int64_t now_ms)
{
    const struct worker *worker = connection->worker;
    if (worker->bulk || connection->protocol->moves == NULL ||
        atomic_load_explicit(&worker->shared->bulk_count, memory_order_relaxed) == 0)
        return;
    if (now_ms - connection->bulk_since_ms > BULK_MS) {
        connection->bulk_since_ms = now_ms;
        connection->bulk_bytes = 0;
    }
    connection->bulk_bytes += size;
    if (connection->bulk_bytes < worker->config->bulk_bytes)
        return;
    connection->bulk_bytes = 0;
    if (connection->protocol->moves->may_move(connection))
        loop_defer(worker->host.loop, &connection->move);
}

bool connection_goes_home(struct connection *connection)
{
    const struct worker *worker = connection->worker;
    if (!worker->bulk || connection->home == NULL || connection->stays || worker->draining ||
        connection->finishing)
        return false;
    connection->next_worker = connection->home;
    loop_defer(worker->host.loop, &connection->move);
    return true;
}
