/* What stands behind a job besides its host: how it came to its place, who decides what it may do,
 * and who keeps account of it. And the making of jobs, which is for those who have such places.
 *
 *     job_new ──▶ job_wait ──▶ job_begin ──▶ ops->runs ──▶ ops->ends ──▶ ops->gone
 *         │          └─ops->leave, job_refuse─▶ ops->explain ─────────────▲
 *         └──────────▶ job_discard
 *
 * Owns:    nothing: a place lies inside an object of its own, which must stay until ops->gone.
 * Threads: the host's; launch->decider's work, the companion's.
 * Blocks:  never.
 * Limits:  none. */
#ifndef JOB_PLACE_H
#define JOB_PLACE_H

#include "job/host.h"
#include "job/job.h"
#include "job/launch.h"

struct file_note;
struct job_place;

/* Why not all may stay. */
struct job_stay_limit {
    enum counter which;
    uint64_t most;
};

struct job_place_ops {
    /* QUEUED: nobody wants it any more, or it has waited for too long. True: it has left the queue
     * and may be refused. False: its turn is just coming, and job_is_wanted is false then. */
    bool (*leave)(struct job_place *place);
    /* Whether the command may be started now; else job_spawn_turn is to be called later, unless
     * withdraw_spawn has said true. */
    bool (*may_spawn)(struct job_place *place);
    bool (*withdraw_spawn)(struct job_place *place);
    /* The command runs, as the leader of a process group and session. */
    void (*runs)(struct job_place *place, pid_t leader);
    /* The leader is going to be reaped: nobody may signal it any more. True: somebody else than its
     * owner or its host has killed it. */
    bool (*ends)(struct job_place *place);
    /* launch->audited: for the audit log. `pid` 0: there was no process. */
    void (*note_end)(struct job_place *place, const struct job_launch *launch, pid_t pid,
                     const struct afar_receipt *receipt);
    /* launch->leaves: how many of these, whom the command has left, may stay; the others are ended.
     * The oldest come first. What was said of this job's before is void. *limit: why not all. */
    size_t (*may_stay)(struct job_place *place, const struct job_launch *launch,
                       const struct family_member *members, size_t count,
                       struct job_stay_limit *limit);
    /* They do. */
    void (*note_left)(struct job_place *place, const struct job_launch *launch,
                      const struct family_member *members, size_t count);
    /* What was done to a file, for the audit log with launch->tells_files, or to its lock; NULL: that
     * will not be known. */
    void (*note_file)(struct job_place *place, const struct job_launch *launch,
                      const struct file_note *note);
    /* Whether there is room for the next of these; else it is asked again a little later. */
    bool (*file_room)(struct job_place *place);
    /* Its job is on its way to another host (move.h). NULL: that cannot be. */
    void (*moved)(struct job_place *place, struct job_host *to);
    /* It is refused: says why, counts it and notes it. `stopped`: by job_stop; NULL: it was not. */
    void (*explain)(struct job_place *place, const struct job_launch *launch,
                    const enum afar_outcome *stopped, struct refusal *refusal);
    /* The job is gone, and its place is free. */
    void (*gone)(struct job_place *place);
};

struct job_place {
    const struct job_place_ops *ops;
};

/* A job that takes input already, in no list. `request` is *moved*, but not on failure; the label
 * is copied and stands before log lines. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status job_new(struct job **job, struct job_host *host, struct job_place *place,
                         struct job_owner *owner, struct exec_request *request, const char *label,
                         struct afar_error *err);

/* Before job_wait and job_begin, once. */
void job_set_id(struct job *job, const char *id);

/* Instead of those: frees it, and nobody is told. */
void job_discard(struct job *job);

/* It waits for job_begin, at most until its start_within_ms has passed. */
void job_wait(struct job *job);

/* Has its command started. `share`: launch.task.owner. */
void job_begin(struct job *job, struct job_decider *decider, const void *share);

/* QUEUED: it never starts. The job is gone. */
void job_refuse(struct job *job);

/* QUEUED: there is still somebody who wants it started. */
bool job_is_wanted(const struct job *job);

/* After ops->may_spawn has said no. */
void job_spawn_turn(struct job *job);

/* NULL: abandoned. */
struct job_owner *job_owner(const struct job *job);
const char *job_label(const struct job *job);

#endif
