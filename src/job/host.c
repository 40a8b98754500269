#include "job/host.h"

#include "job/internal.h"

void job_host_init(struct job_host *host)
{
    list_init(&host->jobs);
    list_init(&host->stuck);
}

enum afar_status job_host_start(struct job_host *host, struct mailbox *mailbox,
                                struct afar_error *err)
{
    enum afar_status status = companion_start(&host->companion, mailbox, err);
    if (status == AFAR_OK)
        status = companion_start(&host->sweeper, mailbox, err);
    return status;
}

bool job_host_stop(struct job_host *host, struct mailbox *mailbox)
{
    bool hangs = !companion_stop(host->companion);
    hangs = !companion_stop(host->sweeper) || hangs;
    /* Mail frees the jobs that were given up while a companion was busy with them. */
    if (mailbox->source.fd >= 0)
        mailbox_deliver(mailbox);
    return !hangs && list_empty(&host->stuck);
}

bool job_host_is_here(const struct job_host *host)
{
    return pthread_equal(host->self, pthread_self()) != 0;
}

static struct job *job_at(struct list *link)
{
    return list_object(link, struct job, link);
}

void job_host_drain(struct job_host *host)
{
    for (struct list *link = host->jobs.next; link != &host->jobs; link = link->next)
        job_drain(job_at(link));
}

void job_host_stop_jobs(struct job_host *host, enum afar_outcome outcome)
{
    for (struct list *link = host->jobs.next; link != &host->jobs; link = link->next)
        job_stop(job_at(link), outcome);
}

void job_host_kill_jobs(struct job_host *host, enum afar_outcome outcome)
{
    struct list *link = host->jobs.next;
    while (link != &host->jobs) {
        struct list *next = link->next; /* one that cannot be killed leaves the list */
        job_kill(job_at(link), outcome);
        link = next;
    }
}
