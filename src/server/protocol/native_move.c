/* Moves a conversation that carries much to another worker with its run, and home without one: the
 * functions that connection/move.c calls. */
#include "server/protocol/native_internal.h"

#include "job/move.h"

static struct run *run_at(const struct connection *connection)
{
    const struct native *native = connection->session;
    return native->run;
}

/* Answers of companions (errands, a relay that connects, a start) would come to the old worker. A
 * run that a client has come back to is not moved. */
static bool may_move(struct connection *connection)
{
    const struct native *native = connection->session;
    const struct run *run = native->run;
    if (native->relay != NULL || native->attach != NULL || native->errand_count > 0)
        return false;
    if (connection->worker->bulk)
        return run == NULL;
    return run != NULL && run->job != NULL && !run->cut && !run->detaching && !run->receipt_waits &&
           !run->came_back && job_may_move(run->job);
}

static enum afar_status offer(struct connection *connection, struct worker *to,
                              struct afar_error *err)
{
    const struct run *run = run_at(connection);
    return run != NULL ? job_offer(run->job, &to->host, err) : AFAR_OK;
}

static void unoffer(struct connection *connection, struct worker *to)
{
    const struct run *run = run_at(connection);
    if (run != NULL)
        job_unoffer(run->job, &to->host);
}

static void depart(struct connection *connection, struct worker *to)
{
    struct run *run = run_at(connection);
    if (run != NULL) {
        job_leave(run->job, &to->host);
        if (run->resumable) {
            timer_detach(loop_timers(run->worker->host.loop), &run->timer);
            list_remove(&run->link);
        }
        run->worker = to;
    }
    if (run != NULL && run->resumable)
        registry_move_run(to->shared->registry, &run->entry, to, &to->connection_count,
                          &to->mailbox, &connection->mail);
    else
        mailbox_post(&to->mailbox, &connection->mail);
}

static unsigned arrive(struct connection *connection)
{
    struct run *run = run_at(connection);
    if (run == NULL)
        return 0;
    job_arrive(run->job);
    if (!run->resumable)
        return 1;
    timer_attach_kept(loop_timers(run->worker->host.loop), &run->timer);
    list_append(&run->worker->runs, &run->link);
    registry_run_arrived(run->worker->shared->registry, &run->entry);
    return 2;
}

const struct protocol_moves native_moves = {
    .may_move = may_move,
    .offer = offer,
    .unoffer = unoffer,
    .depart = depart,
    .arrive = arrive,
};

bool native_goes_home(struct native *native)
{
    if (!native->connection->worker->bulk || native->errand_count > 0 || !native_is_free(native) ||
        !native_take_free(native))
        return false;
    return connection_goes_home(native->connection);
}
