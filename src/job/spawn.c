/* A job on its way to its process: its turn, its deadline, and what becomes of it where that hangs.
 *
 *     waits for its identity's turn ──▶ waits for a companion ──▶ is being started ──▶ spawn_done
 *          │ deadline, or stopped            │ the same                 │ the same: KILL
 *          ▼                                 ▼                          ▼
 *     never begun: job_end_not_spawned ◀─────┘       … and where that does not end it: given up
 *
 * A child that waits for a dead file system may be beyond the reach of KILL, and the thread that
 * has made it waits for it. Then the job's owner is told, and the thread is replaced; the job keeps
 * its place, and its share of its identity's spawns, until the kernel has let go of the child. */
#include "job/internal.h"

#include <errno.h>

#include "base/clock.h"

/* From KILL to giving up. What can be killed is gone within a few milliseconds. */
enum { KILLED_MS = 500 };

static void set_deadline(struct job *job, int64_t deadline_ms)
{
    job->spawn_by_ms = deadline_ms;
    timer_arm(loop_timers(job->worker->loop), &job->timer, deadline_ms);
}

void job_spawn_begin(struct job *job)
{
    struct worker *worker = job->worker;
    job->task.owner = job->entry.identity;
    job->spawn_posted_ms = clock_now_ms();
    job->spawn_timeout_ms = (int64_t)worker->config->spawn_timeout_ms;
    set_deadline(job, clock_deadline_ms(job->spawn_timeout_ms));
    job->spawn_waits = !registry_begin_spawn(worker->shared->registry, &job->entry);
    if (job->spawn_waits)
        counters_count(&worker->shared->counters, COUNTER_SPAWNS_PER_IDENTITY);
    else
        companion_post(worker->companion, &job->task);
}

/* Its companion has never seen it. */
static void end_unbegun(struct job *job)
{
    job->spawn_begin_us = job->spawn_end_us = clock_now_us();
    job->spawned.stage = "queue";
    job->spawn_status = afar_fail_errno(
        &job->spawn_error, job->spawn_timed_out ? ETIMEDOUT : ECANCELED,
        "it was not its turn to be started in time: other commands of this client are, or "
        "hang in their start (spawn_timeout_ms, spawns_per_identity)");
    job_end_not_spawned(job);
}

void job_spawn_turn(struct mail *mail)
{
    struct job *job = list_object(mail, struct job, entry.may_spawn);
    job->spawn_waits = false;
    if (job->spawn_cancelled)
        end_unbegun(job);
    else
        companion_post(job->worker->companion, &job->task);
}

/* False: it is being started, or its turn is just coming. */
static bool withdraw(struct job *job)
{
    if (job->spawn_waits)
        return registry_withdraw_spawn(job->worker->shared->registry, &job->entry);
    return companion_withdraw(job->worker->companion, &job->task);
}

static void give_up(struct job *job)
{
    struct worker *worker = job->worker;
    struct counters *counters = &worker->shared->counters;
    enum companion_loss loss =
        companion_give_up(worker->companion, &job->task, worker->config->max_stuck_spawns);
    set_deadline(job, DEADLINE_NEVER);
    if (loss == COMPANION_DONE)
        return;
    counters_count(counters, COUNTER_SPAWNS_STUCK);
    if (loss == COMPANION_KEPT)
        counters_count(counters, COUNTER_MAX_STUCK_SPAWNS);
    log_write(worker->shared->log, LOG_LEVEL_WARN,
              "%s: job %s: its start hangs in the kernel and cannot be ended; it is given up%s",
              job->label, job->entry.id,
              loss == COMPANION_KEPT ? ", and its thread is not replaced (max_stuck_spawns)" : "");
    job_end_given_up(job);
}

/* When its time is over: spawn_timeout_ms after its companion has begun. Until then its turn may be
 * so late that all threads have hung, been given up and been replaced meanwhile; but not twice. */
static int64_t due_ms(const struct job *job)
{
    int64_t begun_ms = atomic_load(&job->spawn_begun_ms);
    return begun_ms > 0 ? begun_ms + job->spawn_timeout_ms
                        : job->spawn_posted_ms + 2 * (job->spawn_timeout_ms + KILLED_MS);
}

void job_spawn_timer(struct job *job)
{
    int64_t now_ms = clock_now_ms();
    if (job->spawn_cancelled) {
        give_up(job);
        return;
    }
    int64_t due = due_ms(job);
    if (!job->stopping && due > now_ms) { /* it may begin in the next moment */
        int64_t begun = now_ms + job->spawn_timeout_ms;
        set_deadline(job, due < begun ? due : begun);
        return;
    }
    if (!job->stopping) {
        counters_count(&job->worker->shared->counters, COUNTER_SPAWN_TIMEOUT);
        job->spawn_timed_out = true;
    }
    job->spawn_cancelled = true;
    spawn_cancel(&job->control);
    if (withdraw(job))
        end_unbegun(job);
    else
        set_deadline(job, now_ms + KILLED_MS);
}

void job_spawn_stop(struct job *job)
{
    spawn_cancel(&job->control);
    if (!job->spawn_cancelled) /* in a later turn: the caller may be in the middle of a list */
        set_deadline(job, 0);
}
