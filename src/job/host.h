/* What jobs need from the thread that they live in: a worker of the server, or another thread with
 * a loop and companions.
 *
 * Owns:    the companions and the lists of its jobs; everything else is kept.
 * Threads: the loop's only. `limits` may be replaced between two turns.
 * Blocks:  job_host_stop, until the companions have finished their tasks.
 * Limits:  struct job_limits. */
#ifndef JOB_HOST_H
#define JOB_HOST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <afar/receipt.h>

#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "exec/cgroup.h"
#include "exec/orphans.h"
#include "exec/seats.h"
#include "loop/companion.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "stats/counters.h"
#include "stats/figures.h"

/* In the environment of all of a job's processes: identifies its orphans. */
#define JOB_VARIABLE "AFAR_JOB="

/* The settings of the same names, see afard.conf(5). */
struct job_limits {
    uint64_t stdin_bytes;
    uint64_t files_window_bytes;
    uint64_t spawn_timeout_ms;
    uint64_t max_stuck_spawns;
    uint64_t job_timeout_ms;
    uint64_t kill_grace_ms;
    uint64_t linger_ms;
    uint64_t linger_max_ms;
    uint64_t collect_max_bytes;
    uint64_t cgroups; /* 1: one for each command, if possible; 0: only if its rule needs one */
};

/* Settings that this process has changed for itself and that commands must get back. Read-only. */
struct job_base {
    struct seats *seats;       /* for spawning; may be NULL */
    uint64_t default_signals;  /* for spawning: signals that commands need not reset */
    int program_fd;            /* for spawning: the helper's program; 0: this one */
    bool oom_protected;        /* commands must not be */
    struct rlimit descriptors; /* limit of open files */
    struct rlimit core;
    mode_t umask;
    bool umask_changed; /* false: commands inherit it */
};

enum { JOB_SCRATCH_BYTES = 65536 };

struct job_host {
    /* Kept; set before job_host_init, except `loop`. */
    struct loop *loop;
    struct log *log;
    struct counters *counters;
    struct figures *figures;
    struct orphans *orphans; /* those marked with JOB_VARIABLE */
    const struct job_base *base;
    _Atomic(struct cgroups *) *cgroups; /* NULL, or points to NULL: none (yet) */
    void (*left)(struct job_host *);    /* a job is gone or was given up */

    struct job_limits limits;
    struct companion *companion; /* starts commands; may be used for other blocking work */
    struct companion *sweeper;   /* finds and kills processes: not delayed by a start that hangs */
    struct list jobs;
    struct list stuck;                  /* jobs that were given up: the thread ends without them */
    uint64_t peak_bytes;                /* peak memory of this process, when last asked for */
    bool ended;                         /* the loop has ended: late mail only frees its object */
    pthread_t self;                     /* set by the thread itself, for job_host_is_here */
    uint8_t scratch[JOB_SCRATCH_BYTES]; /* for bytes that are thrown away */
};

/* Call first; the kept members are set and the rest is zero. */
void job_host_init(struct job_host *host);

/* Starts the companions, which report to `mailbox` (*kept*; the mailbox of the host's loop). After
 * a failure, too, job_host_stop must be called. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status job_host_start(struct job_host *host, struct mailbox *mailbox,
                                struct afar_error *err);

/* Call after the last turn of the loop, or if there was none. False: a task that was given up still
 * hangs and uses the host, its loop and the mailbox, which must not be freed. */
bool job_host_stop(struct job_host *host, struct mailbox *mailbox);

/* True if called on the host's own thread. */
bool job_host_is_here(const struct job_host *host);

/* Each calls the function of the same name in job.h for every job (job_host_stop_jobs:
 * job_stop). */
void job_host_drain(struct job_host *host);
void job_host_stop_jobs(struct job_host *host, enum afar_outcome outcome);
void job_host_kill_jobs(struct job_host *host, enum afar_outcome outcome);

#endif
