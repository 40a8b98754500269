/* Hands an open connection on to another worker, for an attach. */
#include "server/connection/internal.h"

#include <sys/epoll.h>

/* In the thread of its new worker. */
static void arrived(struct mail *mail)
{
    struct connection *connection = list_object(mail, struct connection, mail);
    struct worker *worker = connection->worker;
    struct afar_error err;
    connection->next_worker = NULL;
    list_append(&worker->connections, &connection->link);
    if (connection->state == CONNECTION_GONE) { /* it ended in the turn in which it left */
        loop_defer(worker->host.loop, &connection->gone);
        return;
    }
    enum afar_status status = timer_attach(loop_timers(worker->host.loop), &connection->timer,
                                           connection_timer_fired, &err);
    if (status == AFAR_OK)
        status = loop_add(worker->host.loop, &connection->source,
                          transport_fd(connection->transport), EPOLLIN, connection_ready, &err);
    if (status != AFAR_OK) {
        connection_fail(connection, LOG_LEVEL_ERROR, err.message);
        return;
    }
    connection->protocol->moved(connection);
    connection->input_left = true; /* there may be input behind the attach */
    connection_set_timer(connection);
    connection_ready(&connection->source, 0);
}

void connection_run_hand_on(struct loop_deferred *deferred)
{
    struct connection *connection = list_object(deferred, struct connection, hand_on);
    struct worker *from = connection->worker;
    struct worker *to = connection->next_worker;
    loop_remove(from->host.loop, &connection->source);
    timer_detach(loop_timers(from->host.loop), &connection->timer);
    connection->timer.fire = NULL;
    loop_deferred_cancel(&connection->flush);
    loop_deferred_cancel(&connection->move);
    connection_set_home(connection, to);
    list_remove(&connection->link);
    connection->worker = to;
    connection->mail.deliver = arrived;
    admission_ticket_at(&connection->ticket, &to->way_out);
    mailbox_post(&to->mailbox, &connection->mail); /* from here on it belongs to the other worker */
    (void)atomic_fetch_sub(&from->connection_count, 1);
    worker_check_ended(from);
}

void connection_hand_on(struct connection *connection, struct worker *worker)
{
    connection->next_worker = worker;
    loop_defer(connection->worker->host.loop, &connection->hand_on);
}
