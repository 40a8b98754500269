/* What a monitoring system needs besides the counters: jobs by state and by outcome, durations,
 * bytes transferred.
 *
 * Owns:    its numbers; all zero is a fresh one.
 * Threads: any; each number is a separate atomic.
 * Blocks:  never.
 * Limits:  none; 64 bits do not overflow. */
#ifndef STATS_FIGURES_H
#define STATS_FIGURES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "stats/histogram.h"
#include "wire/message.h"

/* The states of jobs. JOB_NEW is not a state: jobs come from there and go there. */
enum job_state { JOB_NEW, JOB_QUEUED, JOB_SPAWNING, JOB_RUNNING, JOB_DRAINING, JOB_SWEEPING };

enum handshake_result {
    HANDSHAKE_PLAIN, /* no handshake: not a TLS listener */
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
    atomic_llong away;                        /* commands that wait for their client to come back */
    atomic_ullong outcomes[FIGURES_OUTCOMES]; /* by enum afar_outcome */
    atomic_ullong files_sessions;             /* ended sessions of the subsystem sftp, … */
    atomic_ullong files_in_bytes;             /* … and the bytes they received and sent */
    atomic_ullong files_out_bytes;
    atomic_ullong refused;   /* jobs that never started */
    atomic_llong terminals;  /* open terminals of jobs */
    atomic_llong stuck;      /* jobs given up that hang in the kernel before their start */
    atomic_llong hung_looks; /* likewise: looks at a job's processes that hang (job/tree.c) */
    atomic_ullong handshakes[HANDSHAKE_RESULTS];
    atomic_ullong received_bytes; /* bytes of the protocols, without TLS */
    atomic_ullong sent_bytes;
    atomic_llong certificate_expires_at; /* Unix time, as the next two; 0: none */
    atomic_llong chain_expires_at;       /* the certificates sent with it */
    atomic_llong lists_expire_at;        /* revocation lists */
    atomic_llong expiry_warning_s;       /* warn this long before; 0: never */
    atomic_llong reloaded_at;            /* last successful reload, or the start */
    atomic_bool reload_failed;           /* the last reload failed */
    atomic_llong exposed_users;          /* users whose commands can access the server's own
                                            files */
    struct histogram queued;             /* time from request to start */
    struct histogram ran;                /* time from start to the end of the process */
};

/* A job changes its state. */
void figures_job(struct figures *figures, enum job_state from, enum job_state to);

/* A job has ended with this receipt. */
void figures_ended(struct figures *figures, const struct afar_receipt *receipt);

/* The job was a session of the file server. */
void figures_files(struct figures *figures, const struct afar_receipt *receipt);

void figures_handshake(struct figures *figures, enum handshake_result result);

/* Parts of metric names, or label values: "queued", "resumed", … */
const char *figures_state_name(enum job_state state);
const char *figures_handshake_name(enum handshake_result result);

/* Adds `more` to a sum. */
static inline void figures_add(atomic_ullong *sum, size_t more)
{
    (void)atomic_fetch_add_explicit(sum, more, memory_order_relaxed);
}

#endif
