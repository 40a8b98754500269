/* Moves a job to another host of the same process while its command runs.
 *
 *     here:  job_may_move ─ job_offer (on failure nothing has changed) ─ job_leave ─ a mail
 *     there: job_arrive
 *
 * A job may move only while nothing is in progress: no start, no sweep of its processes, no
 * recording. So no companion's mail refers to it, and it consists only of its descriptors, its
 * timer and its entry in the host's list. Its owner moves with it.
 *
 * Owns:    nothing.
 * Threads: the thread of the host at which the job is; job_arrive: the new host's.
 * Blocks:  never.
 * Limits:  none. */
#ifndef JOB_MOVE_H
#define JOB_MOVE_H

#include "job/host.h"
#include "job/job.h"

/* True: its command runs and nothing else is in progress. Check again before each of the
 * following. */
bool job_may_move(const struct job *job);

/* AFAR_ESYSTEM: the other loop cannot watch all of its descriptors; the job stays here. job_unoffer
 * undoes job_offer. */
enum afar_status job_offer(const struct job *job, struct job_host *to, struct afar_error *err);
void job_unoffer(const struct job *job, struct job_host *to);

/* Detaches the job from this host, and tells its place (ops->moved). */
void job_leave(struct job *job, struct job_host *to);

/* Attaches the job to the new host. Room for its timer must have been reserved there
 * (timers_keep). */
void job_arrive(struct job *job);

#endif
