/* A job's place: how it was admitted, who decides what it may do, and who accounts for it. Also the
 * functions that create jobs, which only the owners of places use.
 *
 *     job_new ──▶ job_wait ──▶ job_begin ──▶ ops->runs ──▶ ops->ends ──▶ ops->gone
 *         │          └─ops->leave, job_refuse─▶ ops->explain ─────────────▲
 *         └──────────▶ job_discard
 *
 * Owns:    nothing: a place is embedded in another object, which must live until ops->gone.
 * Threads: the host's; the decider's work: the companion's.
 * Blocks:  never.
 * Limits:  none. */
#ifndef JOB_PLACE_H
#define JOB_PLACE_H

#include "job/host.h"
#include "job/job.h"
#include "job/launch.h"

struct file_note;
struct job_place;

/* Which limit keeps some processes from staying. */
struct job_stay_limit {
    enum counter which;
    uint64_t most;
};

struct job_place_ops {
    /* QUEUED: the job is no longer wanted, or has waited too long. True: it has left the queue and
     * must be refused. False: its turn has just come, and job_is_wanted will be false then. */
    bool (*leave)(struct job_place *place);
    /* may_spawn: true if the command may be started now; else the place calls job_spawn_turn later,
     * unless withdraw_spawn has taken the job out of the queue, which that reports as true. */
    bool (*may_spawn)(struct job_place *place);
    bool (*withdraw_spawn)(struct job_place *place);
    /* The command runs, as the leader of a process group and session. */
    void (*runs)(struct job_place *place, pid_t leader);
    /* The leader is about to be reaped and must not be signalled any more. True: it was killed by
     * someone other than its owner or its host. */
    bool (*ends)(struct job_place *place);
    /* Only with launch->audited: writes the end to the audit log. `pid` 0: there was no process. */
    void (*note_end)(struct job_place *place, const struct job_launch *launch, pid_t pid,
                     const struct afar_receipt *receipt);
    /* Only with launch->leaves: returns how many of these processes, which the command has left
     * running, may stay; the others are killed. Oldest first. Replaces the answer for an earlier
     * call. *limit: which limit applies, if not all may stay. */
    size_t (*may_stay)(struct job_place *place, const struct job_launch *launch,
                       const struct family_member *members, size_t count,
                       struct job_stay_limit *limit);
    /* These processes stay. */
    void (*note_left)(struct job_place *place, const struct job_launch *launch,
                      const struct family_member *members, size_t count);
    /* A file operation (for the audit log, only with launch->tells_files) or a change of a file's
     * lock. NULL: notes were lost. */
    void (*note_file)(struct job_place *place, const struct job_launch *launch,
                      const struct file_note *note);
    /* True if there is room for the next note; else the job asks again after a short pause. */
    bool (*file_room)(struct job_place *place);
    /* The job moves to another host (move.h). NULL: its jobs need not be told. */
    void (*moved)(struct job_place *place, struct job_host *to);
    /* The job is refused: fills in why, counts it and logs it. `stopped`: the outcome passed to
     * job_stop; NULL: it was not called. */
    void (*explain)(struct job_place *place, const struct job_launch *launch,
                    const enum afar_outcome *stopped, struct refusal *refusal);
    /* The job is gone: the place may be freed. */
    void (*gone)(struct job_place *place);
};

struct job_place {
    const struct job_place_ops *ops;
};

/* Creates a job, in no list; it accepts input already. On success `request` is *moved*. The label
 * is copied; it begins the job's log lines. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status job_new(struct job **job, struct job_host *host, struct job_place *place,
                         struct job_owner *owner, struct exec_request *request, const char *label,
                         struct afar_error *err);

/* Call once, before job_wait and job_begin. */
void job_set_id(struct job *job, const char *id);

/* Frees a job for which neither job_wait nor job_begin was called. No op is called. */
void job_discard(struct job *job);

/* Queues the job until job_begin, at most until its start_within_ms has passed. */
void job_wait(struct job *job);

/* Starts the command. `share`: the owner for the companion's per-owner limit (task.owner). */
void job_begin(struct job *job, struct job_decider *decider, const void *share);

/* QUEUED: refuses the job. The job is freed. */
void job_refuse(struct job *job);

/* QUEUED: true unless the job was stopped, abandoned, or has waited too long. */
bool job_is_wanted(const struct job *job);

/* The job may be started now, after ops->may_spawn was false. */
void job_spawn_turn(struct job *job);

/* job_owner: NULL if abandoned. */
struct job_owner *job_owner(const struct job *job);
const char *job_label(const struct job *job);

#endif
