/* A job goes from one host to another in the same process, while its command runs.
 *
 *     here:  job_may_move ─ job_offer, or else nothing has changed ─ job_leave ─ a mail
 *     there: job_arrive
 *
 * Only a job of which nothing is under way may: no start, no look at its processes, no recording.
 * So no mail of a companion is looking for it, and all that belongs to it are its descriptors, its
 * timer and its place in the host's list. Its owner goes with it.
 *
 * Owns:    nothing.
 * Threads: each the host's at which the job is; job_arrive the other's.
 * Blocks:  never.
 * Limits:  none. */
#ifndef JOB_MOVE_H
#define JOB_MOVE_H

#include "job/host.h"
#include "job/job.h"

/* Its command runs and nothing else is under way. Asked anew before each of the following. */
bool job_may_move(const struct job *job);

/* AFAR_ESYSTEM: the other loop cannot watch all of its descriptors; it stays. And taking it back. */
enum afar_status job_offer(const struct job *job, struct job_host *to, struct afar_error *err);
void job_unoffer(const struct job *job, struct job_host *to);

/* It is on its way. Its place is told (ops->moved). */
void job_leave(struct job *job, struct job_host *to);

/* Room for its timer has been kept (timers_keep). */
void job_arrive(struct job *job);

#endif
