/* A worker: one thread, one event loop, the connections and jobs that were given to it.
 *
 * Owns:    its loop, mailbox, companion and sweeper, and every connection and job in its lists.
 *          They are reached from its own thread only; other threads post to its mailbox.
 * Threads: worker_start, worker_free and the three worker_post_… from the acceptor;
 *          connection_count from any; everything else from the worker's thread.
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

/* What a reload changes. Read-only; what it points to lives until every worker has gone on to the
 * next. */
struct server_settings {
    const struct config *config;
    struct tls_context *tls; /* NULL: no TLS listener */
    struct fence *fence;     /* NULL: none */
};

struct kept;
struct left;
struct worker;

enum { INSTANCE_BYTES = 17 };

/* What all workers share; read-only but for those with a lock of their own and the counters. */
struct server_shared {
    struct server_settings settings; /* the acceptor's; each worker has a copy */
    struct log *log;
    struct audit *audit; /* NULL: none */
    char user[64];       /* whom the server runs as */
    struct user self;    /* likewise, with home and shell, without groups */
    struct registry *registry;
    struct partials partials;
    struct kept *kept; /* NULL: no kept commands */
    struct left *left; /* what commands have left running */
    struct orphans *orphans;
    struct admission *admission;
    struct summary *summary;
    struct counters counters;
    struct figures figures;
    struct window_pool windows;
    uint64_t memory_bytes;    /* that this process may use, as it was at the start */
    char *const *environment; /* what commands start from, and: */
    /* As the server was started. It has raised its own limit of descriptors, and set that of core
     * files to 0: its memory has keys in it. */
    struct job_base base;
    _Atomic(struct cgroups *) cgroups; /* NULL: none; once it is there it stays */
    struct worker *const *bulk;        /* those for what carries much; none before … */
    atomic_uint bulk_count;            /* … they are counted here */
    const char *temporary;             /* folder for collected output */
    atomic_ullong next_connection;
    char instance[INSTANCE_BYTES];     /* this server's, until it ends: random */
    char variable[REMAINS_NAME_BYTES]; /* what its commands carry: see remains.h; "": nothing */
};

struct worker {
    unsigned number;
    struct server_shared *shared;
    const struct config *config; /* of the settings that this worker goes by */
    struct tls_context *tls;     /* likewise */
    struct fence *fence;         /* likewise */
    struct job_host host;        /* with its loop, its companions and its jobs */
    struct mailbox mailbox;
    struct admission_exit way_out; /* for connections that are to make room */
    struct list connections;
    struct list runs;     /* to which their clients can come back; they may be without one */
    unsigned audit_notes; /* under way */
    size_t audit_note_bytes;
    bool bulk;     /* nothing begins here: what carries much comes from other workers */
    bool draining; /* no new jobs; the thread ends when connections, runs and jobs are gone … */
    bool ending;   /* … its jobs have been told to end … */
    bool killing;  /* … and killed: likewise what still comes */

    /* What the acceptor chooses by; counted up there and where one is handed on, before it is
     * posted, and down here. WORKER_ENDED: it takes none any more. */
    atomic_uint connection_count;
    atomic_uint room; /* so many connections can move in, with all that is theirs, and not fail */
    unsigned places_due;   /* of that room, which memory has lacked for, … */
    unsigned timers_due;   /* … and of the timers in it */
    struct udp_upper *udp; /* NULL: none; worker 0 answers all of them */

    pthread_t thread;
    struct mailbox *boss; /* the acceptor's */
    struct mail settings_mail;
    struct server_settings next_settings; /* while settings_mail is under way */
    struct mail settled_mail;             /* to the acceptor: this worker goes by them now */
    struct mail drain_mail;
    struct mail end_jobs_mail;
    struct mail kill_mail;
    struct mail ended_mail;
    struct mail give_back_mail;
    atomic_bool giving_back; /* that mail is under way */
};

/* What a worker tells the acceptor, in the acceptor's thread. */
struct worker_boss {
    struct mailbox *mailbox;
    void (*ended)(struct mail *);   /* ended_mail: it has nothing left after a drain */
    void (*settled)(struct mail *); /* settled_mail: it uses the settings that were posted last */
};

/* Makes everything and starts the thread. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status worker_start(struct worker **worker, unsigned number, bool bulk,
                              struct server_shared *shared, const struct worker_boss *boss,
                              struct afar_error *err);

/* Waits for the thread, which must have been drained. */
void worker_join(struct worker *worker);

/* (Where jobs hang that were given up, so does what they use, and it stays: figures.stuck is not 0
 * then.) After worker_join of this and of all other workers: until then its last mail may hang in
 * the acceptor's mailbox, where the others hang theirs behind it. */
void worker_free(struct worker *worker);

/* From the acceptor: go by these settings from now on. Not again before it has settled. */
void worker_post_settings(struct worker *worker, const struct server_settings *settings);

/* From the acceptor, each at most once and in this order: finish what runs and take nothing new;
 * end the jobs (TERM, grace, KILL); kill the jobs and close all connections. */
void worker_post_drain(struct worker *worker);
void worker_post_end_jobs(struct worker *worker);
void worker_post_kill(struct worker *worker);

/* From the acceptor: gives back what malloc(3) keeps for this thread alone (giveback.h). */
void worker_post_give_back(struct worker *worker);

/* True on the worker's own thread, which alone may touch its connections and jobs. */
bool worker_is_here(const struct worker *worker);

/* From the worker's thread: something has left the lists. */
void worker_check_ended(struct worker *worker);

/* Connections that are here or on their way. For any thread. */
unsigned worker_connections(const struct worker *worker);

/* ---- moving in from another worker (connection/move.c), in this order ---- */

/* From any thread: a place for one connection with all that is its own; and giving it back. False:
 * there is none. */
bool worker_reserve(struct worker *worker);
void worker_unreserve(struct worker *worker);

/* From any thread: counts a connection that is going to be posted. False: this worker has ended. */
bool worker_enter(struct worker *worker);

/* From the worker's thread, when it has come and attached so many timers in what was reserved: the
 * place is made anew; and what the server's end has told all others is told it as well. */
void worker_arrived(struct worker *worker, unsigned timers);

#endif
