/* What jobs need of the thread that they live in: a worker of the server, or another that has a loop
 * and companions.
 *
 * Owns:    the companions and the lists of its jobs; all else is kept.
 * Threads: the loop's only. `limits` may be replaced between two turns.
 * Blocks:  job_host_stop, until what the companions work on is done.
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

/* In the environment of all of a job's processes, by which its orphans are known. */
#define JOB_VARIABLE "AFAR_JOB="

/* As the configuration has them under the same names. */
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
    uint64_t cgroups; /* 1: for each command, where one can be made; 0: where its rule needs one */
};

/* What every command starts from, where this process has changed it for itself. Read-only. */
struct job_base {
    struct seats *seats;       /* for spawning; may be NULL */
    uint64_t default_signals;  /* likewise: what commands need not reset */
    bool oom_protected;        /* which commands are not to be */
    struct rlimit descriptors; /* of open files */
    struct rlimit core;
    mode_t umask;
    bool umask_changed; /* else commands inherit it */
};

enum { JOB_SCRATCH_BYTES = 65536 };

struct job_host {
    /* Kept; set before job_host_init, but for the loop. */
    struct loop *loop;
    struct log *log;
    struct counters *counters;
    struct figures *figures;
    struct orphans *orphans; /* of JOB_VARIABLE */
    const struct job_base *base;
    _Atomic(struct cgroups *) *cgroups; /* NULL, or NULL in it: there are none (yet) */
    void (*left)(struct job_host *);    /* a job is gone, or has been given up */

    struct job_limits limits;
    struct companion *companion; /* starts commands; may be used for other things that block */
    struct companion *sweeper;   /* for jobs' ends: no spawn that hangs keeps them waiting */
    struct list jobs;
    struct list stuck;   /* jobs that were given up: the thread ends without them */
    uint64_t peak_bytes; /* this process's largest memory, as far as it was asked for */
    bool ended;          /* the loop runs no more: what still comes is cleared away */
    pthread_t self;      /* set by the thread itself, for job_host_is_here */
    uint8_t scratch[JOB_SCRATCH_BYTES]; /* for bytes that nobody keeps */
};

/* Before anything else; what is kept has been set, and the rest is zero. */
void job_host_init(struct job_host *host);

/* Starts the companions, which report to `mailbox` (*kept*, of the host's loop). After a failure
 * job_host_stop, too. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status job_host_start(struct job_host *host, struct mailbox *mailbox,
                                struct afar_error *err);

/* After the last turn of the loop, or without any. False: something hangs that was given up, and uses the host, its
 * loop and the mailbox still: they must stay. */
bool job_host_stop(struct job_host *host, struct mailbox *mailbox);

/* True on the host's own thread. */
bool job_host_is_here(const struct job_host *host);

/* Each does to all jobs what its namesake in job.h does to one. */
void job_host_drain(struct job_host *host);
void job_host_stop_jobs(struct job_host *host, enum afar_outcome outcome);
void job_host_kill_jobs(struct job_host *host, enum afar_outcome outcome);

#endif
