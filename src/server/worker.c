#include "server/worker.h"

#include <errno.h>
#include <stdlib.h>

#include "server/connection/connection.h"
#include "server/giveback.h"
#include "server/protocol/run.h"
#include "server/protocol/udp_upper.h"

enum {
    WORKER_ENDED = 1U << 31, /* in connection_count */
    ROOM = 16,               /* connections that can be moving in at a time … */
    TIMERS = 3               /* … each with a timer for itself, its run and its job */
};

static struct worker *worker_of_drain(struct mail *mail)
{
    return list_object(mail, struct worker, drain_mail);
}

bool worker_is_here(const struct worker *worker)
{
    return job_host_is_here(&worker->host);
}

void worker_check_ended(struct worker *worker)
{
    unsigned none = 0;
    if (worker->host.ended || !worker->draining || !list_empty(&worker->host.jobs) ||
        !list_empty(&worker->runs) || worker->audit_notes > 0)
        return;
    /* The count, not the list: a connection may be on its way here. None is sent after this. */
    worker->host.ended =
        atomic_compare_exchange_strong(&worker->connection_count, &none, (unsigned)WORKER_ENDED);
}

unsigned worker_connections(const struct worker *worker)
{
    return atomic_load(&worker->connection_count) & ~(unsigned)WORKER_ENDED;
}

bool worker_enter(struct worker *worker)
{
    unsigned count = atomic_load(&worker->connection_count);
    do {
        if ((count & (unsigned)WORKER_ENDED) != 0)
            return false;
    } while (!atomic_compare_exchange_weak(&worker->connection_count, &count, count + 1));
    return true;
}

bool worker_reserve(struct worker *worker)
{
    unsigned room = atomic_load(&worker->room);
    do {
        if (room == 0)
            return false;
    } while (!atomic_compare_exchange_weak(&worker->room, &room, room - 1));
    return true;
}

void worker_unreserve(struct worker *worker)
{
    (void)atomic_fetch_add(&worker->room, 1);
}

/* Restores `places` places, for which `timers` timers need room. If memory is short, it is tried
 * again when the next connection arrives. */
static void make_room_anew(struct worker *worker, unsigned places, unsigned timers)
{
    worker->places_due += places;
    worker->timers_due += timers;
    if (timers_keep(loop_timers(worker->host.loop), worker->timers_due, NULL) != AFAR_OK)
        return;
    (void)atomic_fetch_add(&worker->room, worker->places_due);
    worker->places_due = worker->timers_due = 0;
}

void worker_arrived(struct worker *worker, unsigned timers)
{
    make_room_anew(worker, 1, timers);
    if (worker->ending)
        job_host_stop_jobs(&worker->host, AFAR_OUTCOME_KILLED);
    if (worker->killing)
        job_host_kill_jobs(&worker->host, AFAR_OUTCOME_KILLED);
}

static void job_left(struct job_host *host)
{
    worker_check_ended(list_object(host, struct worker, host));
}

static void set_limits(struct job_limits *limits, const struct config *config)
{
    *limits = (struct job_limits){.cgroups = config->cgroup == CGROUP_AUTO,
                                  .stdin_bytes = config->stdin_bytes,
                                  .files_window_bytes = config->files_window_bytes,
                                  .spawn_timeout_ms = config->spawn_timeout_ms,
                                  .max_stuck_spawns = config->max_stuck_spawns,
                                  .job_timeout_ms = config->job_timeout_ms,
                                  .kill_grace_ms = config->kill_grace_ms,
                                  .linger_ms = config->linger_ms,
                                  .linger_max_ms = config->linger_max_ms,
                                  .collect_max_bytes = config->collect_max_bytes};
}

static void drain_connections(struct worker *worker)
{
    struct list *link = worker->connections.next;
    while (link != &worker->connections) {
        struct list *next = link->next;
        connection_drain(list_object(link, struct connection, link));
        link = next;
    }
}

/* No client can come back any more, as the listeners are closed. */
static void drain_runs(struct worker *worker)
{
    struct list *link = worker->runs.next;
    while (link != &worker->runs) {
        struct list *next = link->next;
        run_drain(list_object(link, struct run, link));
        link = next;
    }
}

static void drain(struct mail *mail)
{
    struct worker *worker = worker_of_drain(mail);
    worker->draining = true;
    udp_upper_free(worker->udp);
    worker->udp = NULL;
    drain_connections(worker);
    job_host_drain(&worker->host);
    drain_runs(worker);
    worker_check_ended(worker);
}

static void end_jobs(struct mail *mail)
{
    struct worker *worker = list_object(mail, struct worker, end_jobs_mail);
    worker->ending = true;
    job_host_stop_jobs(&worker->host, AFAR_OUTCOME_KILLED);
}

static void kill_all(struct mail *mail)
{
    struct worker *worker = list_object(mail, struct worker, kill_mail);
    worker->killing = true;
    job_host_kill_jobs(&worker->host, AFAR_OUTCOME_KILLED);
    for (struct list *link = worker->connections.next; link != &worker->connections;
         link = link->next)
        connection_hurry(list_object(link, struct connection, link));
}

static void settle(struct mail *mail)
{
    struct worker *worker = list_object(mail, struct worker, settings_mail);
    worker->config = worker->next_settings.config;
    set_limits(&worker->host.limits, worker->config);
    window_pool_set(&worker->shared->windows, worker->config->window_total_bytes,
                    worker->shared->memory_bytes);
    worker->tls = worker->next_settings.tls;
    worker->fence = worker->next_settings.fence;
    mailbox_post(worker->boss, &worker->settled_mail);
}

static void make_room(struct mail *mail)
{
    struct worker *worker = list_object(mail, struct worker, way_out.mail);
    struct admission *admission = worker->shared->admission;
    for (struct admission_ticket *ticket = admission_next_to_leave(admission, &worker->way_out);
         ticket != NULL; ticket = admission_next_to_leave(admission, &worker->way_out))
        connection_make_room(list_object(ticket, struct connection, ticket));
}

static void give_back(struct mail *mail)
{
    struct worker *worker = list_object(mail, struct worker, give_back_mail);
    atomic_store(&worker->giving_back, false);
    giveback_trim_own();
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct afar_error err;
    worker->host.self = pthread_self();
    while (!worker->host.ended) {
        if (loop_turn(worker->host.loop, &err) != AFAR_OK) {
            log_write(worker->shared->log, LOG_LEVEL_ERROR, "worker %u: %s", worker->number,
                      err.message);
            abort(); /* otherwise its clients would wait for ever */
        }
    }
    mailbox_post(worker->boss, &worker->ended_mail);
    return NULL;
}

static void free_parts(struct worker *worker)
{
    bool stopped = job_host_stop(&worker->host, &worker->mailbox);
    summary_leave(worker->shared->summary, worker);
    if (!stopped)
        return;
    mailbox_close(&worker->mailbox);
    loop_free(worker->host.loop);
    free(worker);
}

static void init_host(struct job_host *host, struct server_shared *shared)
{
    host->log = shared->log;
    host->counters = &shared->counters;
    host->figures = &shared->figures;
    host->orphans = shared->orphans;
    host->base = &shared->base;
    host->cgroups = &shared->cgroups;
    host->left = job_left;
    job_host_init(host);
    set_limits(&host->limits, shared->settings.config);
}

enum afar_status worker_start(struct worker **worker, unsigned number, bool bulk,
                              struct server_shared *shared, const struct worker_boss *boss,
                              struct afar_error *err)
{
    *worker = NULL;
    struct worker *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a worker");
    made->number = number;
    made->bulk = bulk;
    made->shared = shared;
    made->config = shared->settings.config;
    made->tls = shared->settings.tls;
    made->fence = shared->settings.fence;
    init_host(&made->host, shared);
    made->boss = boss->mailbox;
    made->settings_mail.deliver = settle;
    made->settled_mail.deliver = boss->settled;
    made->drain_mail.deliver = drain;
    made->end_jobs_mail.deliver = end_jobs;
    made->kill_mail.deliver = kill_all;
    made->give_back_mail.deliver = give_back;
    made->ended_mail.deliver = boss->ended;
    admission_exit_init(&made->way_out, &made->mailbox, make_room);
    list_init(&made->connections);
    list_init(&made->runs);
    loop_source_init(&made->mailbox.source);

    enum afar_status status = loop_new(&made->host.loop, err);
    if (status == AFAR_OK)
        status = mailbox_open(&made->mailbox, made->host.loop, err);
    if (status == AFAR_OK && shared->settings.config->bulk_workers > 0)
        status = timers_keep(loop_timers(made->host.loop), (size_t)ROOM * TIMERS, err);
    atomic_store(&made->room, ROOM);
    if (status == AFAR_OK && number == 0)
        status = summary_at(shared->summary, made, err);
    if (status == AFAR_OK)
        status = job_host_start(&made->host, &made->mailbox, err);
    if (status == AFAR_OK) {
        int failed = pthread_create(&made->thread, NULL, worker_main, made);
        if (failed != 0)
            status = afar_fail_errno(err, failed, "cannot start a worker thread");
    }
    if (status != AFAR_OK) {
        free_parts(made);
        return status;
    }
    *worker = made;
    return AFAR_OK;
}

void worker_join(struct worker *worker)
{
    (void)pthread_join(worker->thread, NULL);
}

void worker_free(struct worker *worker)
{
    if (worker != NULL)
        free_parts(worker);
}

void worker_post_settings(struct worker *worker, const struct server_settings *settings)
{
    worker->next_settings = *settings;
    mailbox_post(&worker->mailbox, &worker->settings_mail);
}

void worker_post_give_back(struct worker *worker)
{
    if (!atomic_exchange(&worker->giving_back, true))
        mailbox_post(&worker->mailbox, &worker->give_back_mail);
}

void worker_post_drain(struct worker *worker)
{
    mailbox_post(&worker->mailbox, &worker->drain_mail);
}

void worker_post_end_jobs(struct worker *worker)
{
    mailbox_post(&worker->mailbox, &worker->end_jobs_mail);
}

void worker_post_kill(struct worker *worker)
{
    mailbox_post(&worker->mailbox, &worker->kill_mail);
}
