/* What a monitoring system wants to know of the server besides its counters: how many jobs there
 * are in which state and what became of them, how long things took, what goes through.
 *
 * Owns:    its numbers; all zero is a fresh one.
 * Threads: any; each number is an atomic of its own.
 * Blocks:  never.
 * Limits:  none; 64 bits do not overflow. */
#ifndef STATS_FIGURES_H
#define STATS_FIGURES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "stats/histogram.h"
#include "wire/message.h"

/* Jobs that there are. The first is no state, but where they come from and go to. */
enum job_state { JOB_NEW, JOB_QUEUED, JOB_SPAWNING, JOB_RUNNING, JOB_DRAINING, JOB_SWEEPING };

enum handshake_result {
    HANDSHAKE_PLAIN, /* none was wanted: not a TLS listener */
    HANDSHAKE_FULL,
    HANDSHAKE_RESUMED,
    HANDSHAKE_UNTRUSTED,
    HANDSHAKE_NOT_TLS,
    HANDSHAKE_CLOSED,
    HANDSHAKE_TIMEOUT,
    HANDSHAKE_FAILED, /* for another reason */
    HANDSHAKE_RESULTS
};

enum { JOB_STATES = JOB_SWEEPING + 1, FIGURES_OUTCOMES = AFAR_OUTCOME_SERVER_LOST + 1 };

enum server_phase { PHASE_STARTING, PHASE_READY, PHASE_DRAINING };

struct figures {
    atomic_int phase; /* enum server_phase */
    atomic_llong jobs[JOB_STATES];
    atomic_llong away;                        /* commands that wait for their client */
    atomic_ullong outcomes[FIGURES_OUTCOMES]; /* by enum afar_outcome */
    atomic_ullong files_sessions;             /* of the subsystem sftp, which have ended; … */
    atomic_ullong files_in_bytes;             /* … and what they took and gave */
    atomic_ullong files_out_bytes;
    atomic_ullong refused;  /* jobs that were never begun */
    atomic_llong terminals; /* that jobs have open */
    atomic_llong stuck;     /* jobs that were given up, and hang in the kernel before their start */
    atomic_llong hung_looks; /* at a job's processes, given up likewise (job/tree.c) */
    atomic_ullong handshakes[HANDSHAKE_RESULTS];
    atomic_ullong received_bytes; /* what the protocols carry, without TLS */
    atomic_ullong sent_bytes;
    atomic_llong certificate_expires_at; /* Unix time; 0: there is none; likewise: */
    atomic_llong chain_expires_at;       /* what is sent with it */
    atomic_llong lists_expire_at;        /* revocation lists */
    atomic_llong expiry_warning_s;       /* that long before, it is said; 0: never */
    atomic_llong reloaded_at;            /* the last time that it went well, or the start */
    atomic_bool reload_failed;           /* the last one did not */
    atomic_llong exposed_users;          /* who can get at the server's own files by commands */
    struct histogram queued;             /* from its request to its start */
    struct histogram ran;                /* from its start to the end of its process */
};

/* A job goes from one state to the next. */
void figures_job(struct figures *figures, enum job_state from, enum job_state to);

/* It has ended, with that receipt. */
void figures_ended(struct figures *figures, const struct afar_receipt *receipt);

/* It served files. */
void figures_files(struct figures *figures, const struct afar_receipt *receipt);

void figures_handshake(struct figures *figures, enum handshake_result result);

/* The last part of a metric's name or the value of its label: "queued", "resumed", … */
const char *figures_state_name(enum job_state state);
const char *figures_handshake_name(enum handshake_result result);

/* Adds to one of the sums. */
static inline void figures_add(atomic_ullong *sum, size_t more)
{
    (void)atomic_fetch_add_explicit(sum, more, memory_order_relaxed);
}

#endif
