/* A job until its process exists: its turn, its deadline, and what happens if the start hangs.
 *
 *     waits for its identity's turn ──▶ waits for a companion ──▶ is being started ──▶ spawn_done
 *          │ deadline, or stopped            │ the same                 │ the same: KILL
 *          ▼                                 ▼                          ▼
 *     never begun: job_end_not_spawned ◀─────┘           if it does not end: given up
 *
 * A child that waits for a dead file system may not react to KILL, and the thread that created it
 * waits for it. Then the job's owner is told and the thread is replaced. The job keeps its place,
 * and its share of its identity's spawns, until the kernel lets the child go. */
#include "job/internal.h"

#include <errno.h>

#include "base/clock.h"

/* From KILL to giving up. A process that can be killed is gone within a few milliseconds. */
enum { KILLED_MS = 500 };

static void set_deadline(struct job *job, int64_t deadline_ms)
{
    job->deadlines.spawn_by_ms = deadline_ms;
    timer_arm(loop_timers(job->host->loop), &job->deadlines.timer, deadline_ms);
}

static void post(struct job *job)
{
    job_terminal_begins(job);
    companion_post(job->host->companion, &job->launch.task);
}

void job_spawn_begin(struct job *job)
{
    struct job_host *host = job->host;
    job->spawning.posted_ms = clock_now_ms();
    job->spawning.timeout_ms = (int64_t)host->limits.spawn_timeout_ms;
    set_deadline(job, clock_deadline_ms(job->spawning.timeout_ms));
    job->spawning.waits = !job->place->ops->may_spawn(job->place);
    if (!job->spawning.waits)
        post(job);
}

/* Its companion has never begun. */
static void end_unbegun(struct job *job)
{
    job->launch.begin_us = job->launch.end_us = clock_now_us();
    job->launch.spawned.stage = "queue";
    job->launch.status =
        afar_fail_errno(&job->launch.error, job->spawning.timed_out ? ETIMEDOUT : ECANCELED,
                        "it could not be started in time: other commands of this client are being "
                        "started, or their start hangs (spawn_timeout_ms, spawns_per_identity)");
    job_end_not_spawned(job);
}

void job_spawn_turn(struct job *job)
{
    job->spawning.waits = false;
    if (job->spawning.cancelled)
        end_unbegun(job);
    else
        post(job);
}

/* False: the start is in progress, or its turn has just come. */
static bool withdraw(struct job *job)
{
    if (job->spawning.waits)
        return job->place->ops->withdraw_spawn(job->place);
    return companion_withdraw(job->host->companion, &job->launch.task);
}

static void give_up(struct job *job)
{
    struct job_host *host = job->host;
    struct counters *counters = host->counters;
    enum companion_loss loss =
        companion_give_up(host->companion, &job->launch.task, host->limits.max_stuck_spawns);
    set_deadline(job, DEADLINE_NEVER);
    if (loss == COMPANION_DONE)
        return;
    counters_count(counters, COUNTER_SPAWNS_STUCK);
    if (loss == COMPANION_KEPT)
        counters_count(counters, COUNTER_MAX_STUCK_SPAWNS);
    log_write(host->log, LOG_LEVEL_WARN,
              "%s: job %s: its start hangs in the kernel and cannot be ended; it is given up%s",
              job->label, job->launch.id,
              loss == COMPANION_KEPT ? ", and its thread is not replaced (max_stuck_spawns)" : "");
    job_end_given_up(job);
}

/* When its time is up: spawn_timeout_ms after its companion has begun. If the companion has not
 * begun, allow time for all threads to hang, be given up and be replaced, once. */
static int64_t due_ms(const struct job *job)
{
    int64_t begun_ms = atomic_load(&job->launch.begun_ms);
    return begun_ms > 0 ? begun_ms + job->spawning.timeout_ms
                        : job->spawning.posted_ms + 2 * (job->spawning.timeout_ms + KILLED_MS);
}

void job_spawn_timer(struct job *job)
{
    int64_t now_ms = clock_now_ms();
    if (job->spawning.cancelled) {
        give_up(job);
        return;
    }
    int64_t due = due_ms(job);
    if (!job->stopping && due > now_ms) { /* its companion may begin at any time */
        int64_t begun = now_ms + job->spawning.timeout_ms;
        set_deadline(job, due < begun ? due : begun);
        return;
    }
    if (!job->stopping) {
        counters_count(job->host->counters, COUNTER_SPAWN_TIMEOUT);
        job->spawning.timed_out = true;
    }
    job->spawning.cancelled = true;
    spawn_cancel(&job->launch.control);
    if (withdraw(job))
        end_unbegun(job);
    else
        set_deadline(job, now_ms + KILLED_MS);
}

void job_spawn_stop(struct job *job)
{
    spawn_cancel(&job->launch.control);
    if (!job->spawning.cancelled) /* in a later turn: the caller may be iterating over a list */
        set_deadline(job, 0);
}
