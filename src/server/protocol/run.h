/* A run: one command of a client of the native protocol, from its request to the acknowledgement of
 * its receipt. If that was granted (resume_ms), it outlives its connection: then it is away until
 * its client comes back, or resume_ms are over.
 *
 *     run_new ─ run_start ─▶ attached ◀──── run_attached ──────┐
 *                              │  └────────── run_lost ─▶ away ┤
 *                              └─ acknowledged, detached ─▶ run_free ◀─ resume_ms are over
 *
 * A conversation (struct native) and the run on it are two objects; each has a pointer to the
 * other, NULL if there is none. wire/run_host.h decides which connection has the run, and about its
 * input, output and receipt.
 *
 * Owns:    the job, as long as that runs; the output that is not acknowledged; the receipt.
 * Threads: its worker's.
 * Blocks:  never.
 * Limits:  output_log_bytes of output; stdin_bytes of input; both up to window_max_bytes if the
 *          round trip is long; resume_ms away. */
#ifndef SERVER_PROTOCOL_RUN_H
#define SERVER_PROTOCOL_RUN_H

#include "job/job.h"
#include "server/prepare.h"
#include "server/registry.h"
#include "server/worker.h"
#include "wire/run_host.h"

struct native;

/* The size of one of its windows. */
struct run_share {
    size_t own_bytes; /* what every run has */
    size_t bytes;     /* beyond that, from the pool (window_pool.h) */
};

struct run {
    struct job_owner owner;
    struct worker *worker;
    struct native *native; /* the conversation that it is attached to; NULL: away */
    struct run_host host;
    struct run_share out_share;
    struct run_share in_share;
    struct job *job; /* NULL: not begun, or ended */
    bool digest;
    bool cut; /* ended by an error: only the rest of a frame is still to be sent */
    char kept_job[MESSAGE_JOB_ID_BYTES]; /* its command's id, once a keeper has it */
    bool detaching; /* its client withdraws it, and is answered once it is known whether it began */
    bool receipt_waits; /* the receipt waits for memory */
    bool resumable;     /* it is in worker->runs and in the registry, and its timer is attached */
    bool away;          /* its client is away */
    bool came_back;     /* a client has attached to it: it is not moved to another worker */
    const void *judged_by;         /* the TLS context that judged its client last */
    unsigned long long connection; /* the number of the last connection that it was attached to */
    struct list link;              /* in worker->runs */
    struct timer timer;            /* while it is away */
    struct registry_run entry;
    /* Allocated with the run, so that an idle connection holds none and a command that has begun
     * cannot lack it. */
    struct afar_receipt receipt;
};

/* Makes a run for request `id` of the conversation, attached to it. AFAR_EINVAL: its holder has a
 * run already. AFAR_ENOMEM. */
enum afar_status run_new(struct run **run, struct native *native, uint64_t id,
                         const struct exec_request *request, struct afar_error *err);

/* The `judge` of a struct job_origin whose owner is a run. AFAR_ETRUST, AFAR_ENOMEM. */
enum afar_status run_judge(struct job_owner *owner, struct policy_client *who,
                           struct afar_error *err);

/* Starts its command, as prepare_job does. */
enum afar_status run_start(struct run *run, struct exec_request *request,
                           const struct job_origin *origin, size_t *position, enum counter *limit,
                           struct afar_error *err);

/* Abandons the job, detaches the run from its conversation, and frees it. NULL is fine. */
void run_free(struct run *run);

/* Ends it by an error, except that the rest of the frame under way is still sent. No client can
 * come back. */
void run_cut(struct run *run);

/* The conversation ends: the run is away, or, if it cannot be resumed, freed when this returns. */
void run_lost(struct run *run);

/* Another conversation has it now, as run_host_attach has decided. */
void run_attached(struct run *run, struct native *native);

/* The server shuts down: no client can come back to a run that is away. The run may be freed when
 * this returns. */
void run_drain(struct run *run);

/* Adds the receipt to the output, or tries again later if memory is short. False: no client will
 * read it, and the run has been freed. */
bool run_add_receipt(struct run *run);

/* ---- run_window.c: the size of its windows --------------------------------------------------- */

/* Sizes a window of a run that begins: as much of `bytes` as there is, at least `own_bytes` (or
 * `bytes` if that is less); returns the size. run_window_end: releases both windows. */
size_t run_window_begin(struct run *run, struct run_share *share, size_t own_bytes, size_t bytes);
void run_window_end(struct run *run);

/* Call run_window_clock before run_host is told that something was sent or received, and
 * run_window_settle after it, which lets the windows grow or shrink. */
void run_window_clock(struct run *run);
void run_window_settle(struct run *run);

/* `started` has been put into connection->out. */
void run_window_started(struct run *run);

/* run_window_ask sends a ping if one is wanted; run_window_answered: its answer has come. */
void run_window_ask(struct run *run);
void run_window_answered(struct run *run);

/* Its client has been silent for long: releases window space that is not in use. */
void run_window_rest(struct run *run);

#endif
