#include "job/move.h"

#include <assert.h>

#include "base/clock.h"
#include "job/internal.h"

enum { SOURCES = 5, RETRY_MS = 1 };

static struct loop_source *source_at(const struct job *job, unsigned number)
{
    struct job *its = (struct job *)job; /* not written through if const */
    struct loop_source *const sources[SOURCES] = {
        &its->streams.output[0].source, &its->streams.output[1].source, &its->streams.stdin_source,
        &its->streams.notes_source, &its->exit_source};
    return sources[number];
}

bool job_may_move(const struct job *job)
{
    /* A recording nearly always has a write in progress. */
    const bool recorded = job->record.open || job->record.busy;
    return job->state == JOB_RUNNING && !job->unwatched && !job->given_up && !recorded &&
           job_tree_rests(job);
}

enum afar_status job_offer(const struct job *job, struct job_host *to, struct afar_error *err)
{
    assert(job_may_move(job));
    for (unsigned i = 0; i < SOURCES; i++) {
        enum afar_status status = loop_offer(to->loop, source_at(job, i), err);
        if (status == AFAR_OK)
            continue;
        while (i-- > 0)
            loop_unoffer(to->loop, source_at(job, i));
        return status;
    }
    return AFAR_OK;
}

void job_unoffer(const struct job *job, struct job_host *to)
{
    for (unsigned i = 0; i < SOURCES; i++)
        loop_unoffer(to->loop, source_at(job, i));
}

void job_leave(struct job *job, struct job_host *to)
{
    for (unsigned i = 0; i < SOURCES; i++)
        loop_leave(job->host->loop, source_at(job, i));
    timer_detach(loop_timers(job->host->loop), &job->deadlines.timer);
    list_remove(&job->link);
    job->host = to;
    job_tree_moved(job);
    if (job->place->ops->moved != NULL)
        job->place->ops->moved(job->place, to);
}

/* If watching fails in spite of job_offer, retry as after a lack of memory. */
static void take(struct job *job)
{
    struct loop *loop = job->host->loop;
    bool again = false;
    for (int i = 0; i < 2; i++) {
        struct job_pipe *pipe = &job->streams.output[i];
        const bool taken = loop_take(loop, &pipe->source, NULL) == AFAR_OK;
        pipe->paused = pipe->paused || !taken;
        again = again || !taken;
    }
    again = loop_take(loop, &job->streams.stdin_source, NULL) != AFAR_OK || again;
    again = loop_take(loop, &job->streams.notes_source, NULL) != AFAR_OK || again;
    if (again)
        job->deadlines.retry_at_ms = clock_deadline_ms(RETRY_MS);
    if (loop_take(loop, &job->exit_source, NULL) != AFAR_OK) {
        job->deadlines.poll_pause_ms = RETRY_MS;
        job->deadlines.poll_at_ms = clock_deadline_ms(RETRY_MS);
    }
}

void job_arrive(struct job *job)
{
    assert(job_host_is_here(job->host));
    list_append(&job->host->jobs, &job->link);
    timer_attach_kept(loop_timers(job->host->loop), &job->deadlines.timer);
    take(job);
    job_set_timer(job);
}
