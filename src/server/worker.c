#include "server/worker.h"

#include <errno.h>
#include <stdlib.h>

#include "server/connection/connection.h"
#include "server/giveback.h"
#include "job/job.h"
#include "job/internal.h"
#include "server/protocol/udp_upper.h"

static struct worker *worker_of_drain(struct mail *mail)
{
    return list_object(mail, struct worker, drain_mail);
}

bool worker_is_here(const struct worker *worker)
{
    return pthread_equal(worker->self, pthread_self()) != 0;
}

void worker_check_ended(struct worker *worker)
{
    worker->ended = worker->draining && list_empty(&worker->connections) &&
                    list_empty(&worker->jobs) && worker->audit_notes == 0;
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

static void drain(struct mail *mail)
{
    struct worker *worker = worker_of_drain(mail);
    worker->draining = true;
    udp_upper_free(worker->udp);
    worker->udp = NULL;
    drain_connections(worker);
    for (struct list *link = worker->jobs.next; link != &worker->jobs; link = link->next)
        job_drain(list_object(link, struct job, link));
    worker_check_ended(worker);
}

static void end_jobs(struct mail *mail)
{
    struct worker *worker = list_object(mail, struct worker, end_jobs_mail);
    for (struct list *link = worker->jobs.next; link != &worker->jobs; link = link->next)
        job_stop(list_object(link, struct job, link), AFAR_OUTCOME_KILLED);
}

static void kill_all(struct mail *mail)
{
    struct worker *worker = list_object(mail, struct worker, kill_mail);
    struct list *link = worker->jobs.next;
    while (link != &worker->jobs) {
        struct list *next = link->next; /* one that cannot be killed leaves the list */
        job_kill(list_object(link, struct job, link), AFAR_OUTCOME_KILLED);
        link = next;
    }
    for (link = worker->connections.next; link != &worker->connections; link = link->next)
        connection_hurry(list_object(link, struct connection, link));
}

static void settle(struct mail *mail)
{
    struct worker *worker = list_object(mail, struct worker, settings_mail);
    worker->config = worker->next_settings.config;
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
    worker->self = pthread_self();
    while (!worker->ended) {
        if (loop_turn(worker->loop, &err) != AFAR_OK) {
            log_write(worker->shared->log, LOG_LEVEL_ERROR, "worker %u: %s", worker->number,
                      err.message);
            abort(); /* its clients would wait for ever */
        }
    }
    mailbox_post(worker->boss, &worker->ended_mail);
    return NULL;
}

static void free_parts(struct worker *worker)
{
    bool hangs = !companion_stop(worker->companion);
    hangs = !companion_stop(worker->sweeper) || hangs;
    /* Collectors that were given up while the companion was busy with them are freed by their mail.
     */
    if (worker->mailbox.source.fd >= 0)
        mailbox_deliver(&worker->mailbox);
    summary_leave(worker->shared->summary, worker);
    if (hangs || !list_empty(&worker->stuck))
        return;
    mailbox_close(&worker->mailbox);
    loop_free(worker->loop);
    free(worker);
}

enum afar_status worker_start(struct worker **worker, unsigned number, struct server_shared *shared,
                              const struct worker_boss *boss, struct afar_error *err)
{
    *worker = NULL;
    struct worker *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a worker");
    made->number = number;
    made->shared = shared;
    made->config = shared->settings.config;
    made->tls = shared->settings.tls;
    made->fence = shared->settings.fence;
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
    list_init(&made->jobs);
    list_init(&made->stuck);
    loop_source_init(&made->mailbox.source);

    enum afar_status status = loop_new(&made->loop, err);
    if (status == AFAR_OK)
        status = mailbox_open(&made->mailbox, made->loop, err);
    if (status == AFAR_OK && number == 0)
        status = summary_at(shared->summary, made, err);
    if (status == AFAR_OK)
        status = companion_start(&made->companion, &made->mailbox, err);
    if (status == AFAR_OK)
        status = companion_start(&made->sweeper, &made->mailbox, err);
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
