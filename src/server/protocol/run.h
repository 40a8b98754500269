/* A run: one command that a client of the native protocol has asked for, from its request to the
 * acknowledgement of its receipt. It outlives the connection that it was asked for on, where that
 * was granted (resume_ms): then it is away until its client comes back, or the time is over.
 *
 *     run_new ─ run_start ─▶ attached ◀────── run_attach ──────┐
 *                              │  └────────── run_lost ─▶ away ┤
 *                              └─ acknowledged, detached ─▶ run_free ◀─ resume_ms are over
 *
 * A conversation (struct native) and the run on it are two objects, each with a pointer to the
 * other, which both are NULL where there is none. What is decided about who has it, its input, its
 * output and its receipt is decided in wire/run_host.h.
 *
 * Owns:    the job, as long as that runs; the output that is not acknowledged; the receipt.
 * Threads: its worker's.
 * Blocks:  never.
 * Limits:  output_log_bytes of output; stdin_bytes of input; both up to window_max_bytes where the way
 *          is long; resume_ms away. */
#ifndef SERVER_PROTOCOL_RUN_H
#define SERVER_PROTOCOL_RUN_H

#include "job/job.h"
#include "server/prepare.h"
#include "server/registry.h"
#include "server/worker.h"
#include "wire/run_host.h"

struct native;

/* One of its windows, in what all windows may have. */
struct run_share {
    size_t own_bytes; /* which every run has */
    size_t bytes;     /* beyond that, from the pool */
};

struct run {
    struct job_owner owner;
    struct worker *worker;
    struct native *native; /* the conversation that it is attached to; NULL: away */
    struct run_host host;
    struct run_share out_share;
    struct run_share in_share;
    struct job *job; /* NULL: not yet, or not any more */
    bool digest;
    bool cut; /* ended by an error; only the frame under way is still to be sent */
    char kept_job[MESSAGE_JOB_ID_BYTES]; /* a keeper has got its command under this id */
    bool detaching; /* its client has given it up, and is told once it is known whether it began */
    bool receipt_waits; /* for memory */
    bool resumable;     /* it is in worker->runs and in the registry, and its timer is attached */
    bool away;          /* counted as such */
    bool came_back;     /* its client has, or another: it is not moved */
    const void *judged_by;         /* the certificates by which its client was judged last */
    unsigned long long connection; /* the number of the last one that it was attached to */
    struct list link;              /* in worker->runs */
    struct timer timer;            /* while it is away */
    struct registry_run entry;
    /* Room for it from the start of the command to the end of the request, so that an idle
     * connection holds none and a command that has begun cannot lack it. */
    struct afar_receipt receipt;
};

/* For what the conversation is asked by the request `id`, and attached to it. AFAR_EINVAL: its
 * holder has a run already. AFAR_ENOMEM. */
enum afar_status run_new(struct run **run, struct native *native, uint64_t id,
                         const struct exec_request *request, struct afar_error *err);

/* For struct job_origin: its owner is a run. */
enum afar_status run_judge(struct job_owner *owner, struct policy_client *who,
                           struct afar_error *err);

/* As prepare_job. */
enum afar_status run_start(struct run *run, struct exec_request *request,
                           const struct job_origin *origin, size_t *position, enum counter *limit,
                           struct afar_error *err);

/* Its job is abandoned, and its conversation has none any more. NULL is fine. */
void run_free(struct run *run);

/* Ends it by an error, but for the rest of the frame that is under way; nobody can come back. */
void run_cut(struct run *run);

/* The conversation is going away. The run may be gone when this returns. */
void run_lost(struct run *run);

/* Another conversation has it now, by run_host_attach. */
void run_attached(struct run *run, struct native *native);

/* The server is shutting down: nobody can come back. The run may be gone when this returns. */
void run_drain(struct run *run);

/* The receipt that lacked memory, once more. False: nobody waited for it any more, and the run is
 * gone. */
bool run_add_receipt(struct run *run);

/* ---- run_window.c: how large its windows are -------------------------------------------------- */

/* Of a run that begins: as much of `bytes` as there is, at least `own_bytes` (or all of it where that is
 * less). And of one that ends. */
size_t run_window_begin(struct run *run, struct run_share *share, size_t own_bytes, size_t bytes);
void run_window_end(struct run *run);

/* Before something is told that was sent or received. */
void run_window_clock(struct run *run);

/* After that: they grow, or shrink. */
void run_window_settle(struct run *run);

/* `started` has been put. */
void run_window_started(struct run *run);

/* Sends a ping where one is wanted; and its answer has come. */
void run_window_ask(struct run *run);
void run_window_answered(struct run *run);

/* Its client has been silent for long: what lies idle goes back. */
void run_window_rest(struct run *run);

#endif
