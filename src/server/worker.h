/* A worker: one thread, one event loop, the connections and jobs that were given to it.
 *
 * Owns:    its loop, mailbox, companion and sweeper, and every connection and job in its lists.
 *          Only its own thread may touch them; other threads post to its mailbox.
 * Threads: worker_start, worker_join, worker_free and worker_post_… from the acceptor;
 *          worker_connections, worker_reserve, worker_unreserve, worker_enter and worker_is_here
 *          from any; everything else from the worker's thread.
 * Blocks:  worker_join, until the thread has ended.
 * Limits:  see struct config. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "exec/fence.h"
#include "tls/tls.h"
#include "policy/audit.h"
#include "policy/config.h"
#include "server/admission.h"
#include "stats/counters.h"
#include "stats/figures.h"
#include "job/host.h"
#include "loop/mailbox.h"
#include "server/partials.h"
#include "server/registry.h"
#include "server/remains.h"
#include "server/summary.h"
#include "server/window_pool.h"

/* What a reload changes. Read-only; what it points to lives until every worker uses the next. */
struct server_settings {
    const struct config *config;
    struct tls_context *tls; /* NULL: no TLS listener */
    struct fence *fence;     /* NULL: none */
};

struct kept;
struct left;
struct worker;

enum { INSTANCE_BYTES = 17 };

/* What all workers share. Read-only, except parts with a lock of their own, and atomics. */
struct server_shared {
    struct server_settings settings; /* the acceptor's; each worker has a copy */
    struct log *log;
    struct audit *audit; /* NULL: none */
    char user[64];       /* the name of the user that the server runs as */
    struct user self;    /* that user, with home and shell, without groups */
    struct registry *registry;
    struct partials partials;
    struct kept *kept; /* NULL: no kept commands */
    struct left *left; /* processes that commands have left running */
    struct orphans *orphans;
    struct admission *admission;
    struct summary *summary;
    struct counters counters;
    struct figures figures;
    struct window_pool windows;
    uint64_t memory_bytes;    /* that this process may use; read at the start */
    char *const *environment; /* the environment that commands start from */
    /* Limits and umask as the server was started with. It has raised its own limit of descriptors,
     * and set that of core files to 0, since its memory has keys in it. */
    struct job_base base;
    _Atomic(struct cgroups *) cgroups; /* NULL: none; never replaced once set */
    struct worker *const *bulk;        /* the bulk workers; valid once … */
    atomic_uint bulk_count;            /* … this is not 0 */
    const char *temporary;             /* the folder for collected output */
    atomic_ullong next_connection;
    char instance[INSTANCE_BYTES];     /* a random name of this server process */
    char variable[REMAINS_NAME_BYTES]; /* AFAR_SERVER=… for its commands (remains.h); "": none */
};

struct worker {
    unsigned number;
    struct server_shared *shared;
    const struct config *config; /* of the settings that this worker uses */
    struct tls_context *tls;     /* likewise */
    struct fence *fence;         /* likewise */
    struct job_host host;        /* its loop, companions and jobs */
    struct mailbox mailbox;
    struct admission_exit way_out; /* connections that must make room */
    struct list connections;
    struct list runs;     /* runs to which a client can come back, with or without a connection */
    unsigned audit_notes; /* audit lines under way */
    size_t audit_note_bytes;
    bool bulk;     /* no request begins here: connections that carry much move in */
    bool draining; /* no new jobs; ends when connections, runs and jobs are gone */
    bool ending;   /* jobs have been told to end, as are those that still come */
    bool killing;  /* jobs have been killed, as are those that still come */

    /* Connections here or on their way. The acceptor chooses by it. Counted up by the sender before
     * a connection is posted, and down here. WORKER_ENDED is set: no more are taken. */
    atomic_uint connection_count;
    atomic_uint room;      /* how many connections can move in, with run and job, without failing */
    unsigned places_due;   /* room still to be restored, for lack of memory … */
    unsigned timers_due;   /* … and the timers for it */
    struct udp_upper *udp; /* NULL: none; all UDP listeners are worker 0's */

    pthread_t thread;
    struct mailbox *boss; /* the acceptor's */
    struct mail settings_mail;
    struct server_settings next_settings; /* valid while settings_mail is under way */
    struct mail settled_mail;             /* to the acceptor: this worker uses them now */
    struct mail drain_mail;
    struct mail end_jobs_mail;
    struct mail kill_mail;
    struct mail ended_mail;
    struct mail give_back_mail;
    atomic_bool giving_back; /* give_back_mail is under way */
};

/* Callbacks of the acceptor, in its own thread. */
struct worker_boss {
    struct mailbox *mailbox;
    void (*ended)(struct mail *);   /* ended_mail: the worker has drained and its thread ends */
    void (*settled)(struct mail *); /* settled_mail: the worker uses the settings posted last */
};

/* Makes a worker and starts its thread. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status worker_start(struct worker **worker, unsigned number, bool bulk,
                              struct server_shared *shared, const struct worker_boss *boss,
                              struct afar_error *err);

/* Waits for the thread, which must have been drained. */
void worker_join(struct worker *worker);

/* Call it after worker_join of this and of all other workers: its last mail may lie in the
 * acceptor's mailbox, linked with theirs. If threads hang with jobs that were given up
 * (figures.stuck is not 0), what these use is not freed. NULL is fine. */
void worker_free(struct worker *worker);

/* Has the worker use these settings. Must not be called again before it has settled. */
void worker_post_settings(struct worker *worker, const struct server_settings *settings);

/* Each at most once and in this order: finish what runs and take nothing new; end the jobs (TERM,
 * grace, KILL); kill the jobs and close all connections. */
void worker_post_drain(struct worker *worker);
void worker_post_end_jobs(struct worker *worker);
void worker_post_kill(struct worker *worker);

/* Has the worker give back the memory that malloc(3) keeps for its thread (giveback.h). */
void worker_post_give_back(struct worker *worker);

/* Whether the caller is the worker's own thread. */
bool worker_is_here(const struct worker *worker);

/* Something has left the lists: ends the worker if it is drained. */
void worker_check_ended(struct worker *worker);

/* The number of connections that are here or on their way. */
unsigned worker_connections(const struct worker *worker);

/* ---- moving in from another worker (connection/move.c), in this order ---- */

/* Reserves room for one connection with its run and job; worker_unreserve releases it. False: there
 * is none. */
bool worker_reserve(struct worker *worker);
void worker_unreserve(struct worker *worker);

/* Counts a connection before it is posted here. False: this worker has ended. */
bool worker_enter(struct worker *worker);

/* A connection has come and has attached `timers` of the reserved timers: restores the reserve, and
 * applies the orders to end or kill jobs to what has come. */
void worker_arrived(struct worker *worker, unsigned timers);

#endif
