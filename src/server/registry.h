/* All jobs of the server by their id, so that any connection can signal any of them; and their
 * places: a limited number in all and for each identity; other requests wait in a queue. When the
 * queue is full, a request of an identity with few queued requests replaces the newest one of the
 * identity with the most, so that no identity can fill the queue for the others.
 *
 * Owns:    its counts; an entry lies inside its job, which its worker owns.
 * Threads: any; one mutex, off the data path, never held across a callback.
 * Blocks:  never.
 * Limits:  those of registry_set_limits. A place is claimed before anything is spawned. */
#ifndef SERVER_REGISTRY_H
#define SERVER_REGISTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/list.h"
#include "policy/config.h"
#include "stats/counters.h"
#include "server/crowd.h"
#include "loop/mailbox.h"
#include "server/tally.h"
#include "wire/message.h"

struct registry;
struct worker;

struct registry_entry {
    struct list link;              /* guarded by the registry, like all the rest … */
    char id[MESSAGE_JOB_ID_BYTES]; /* … but this, which is fixed once claimed */
    struct tally_entry *identity;
    struct tally_entry *rule;  /* the rule it runs by, if that has max_jobs; else NULL */
    bool queued;               /* waits in the queue */
    bool displaced;            /* it lost its place in the queue: `granted` is posted to say so */
    struct crowd_member place; /* in the queue, by identity */
    struct mailbox *mailbox;   /* of its worker */
    struct mail granted;       /* deliver: set by the job */
    bool spawning;             /* it holds one of its identity's spawns … */
    struct list spawn_link;    /* … or waits for one in this list */
    struct mail may_spawn;     /* deliver: set by the job */
    struct registry_run *run;  /* of this job; NULL: no client can come back to it */
    pid_t leader;              /* 0: nothing to signal (not yet started, or reaped) */
    bool killed;               /* it was signalled by a kill request */
};

/* The registry's part of a run to which its client can come back on another connection. */
struct registry_run {
    struct list by_holder; /* guarded by the registry, like all the rest … */
    struct list by_job;
    struct worker *home; /* the worker where it is, or to which it is moving … */
    atomic_uint *guests; /* … and that worker's connection count */
    bool moving;         /* it is on its way to home */
    void *object; /* … but this, which is fixed: the struct run, for its home's thread only */
    char holder[MESSAGE_HOLDER_BYTES];
    char job[MESSAGE_JOB_ID_BYTES];
    struct tally_entry *owner;    /* whose it is */
    struct registry_entry *entry; /* of its job, as long as there is one */
    struct tally_entry *place;    /* the job's place after the job's end, until the receipt is
                                     acknowledged */
    bool away;                    /* its client is away */
};

/* The place of a kept command, from its start to its keeper's end. */
struct registry_hold {
    struct tally_entry *identity; /* guarded by the registry; NULL: no place */
    struct tally_entry *rule;
};

/* What a claim asks for. */
struct registry_claim {
    const char *identity;    /* whose job it is */
    bool may_wait;           /* in the queue */
    struct mailbox *mailbox; /* where entry->granted goes when its turn has come */
};

/* Free with registry_free, when no entry is left. NULL: out of memory. */
struct registry *registry_new(const struct config *config);
void registry_free(struct registry *registry);

/* Uses these limits from now on; entries that have a place keep it. */
void registry_set_limits(struct registry *registry, const struct config *config);

/* Gives the entry a new random id and a place. AFAR_EAGAIN: it waits, at *position in the queue (1:
 * the next). AFAR_ELIMIT: refused; *limit is the limit. AFAR_ESYSTEM, AFAR_ENOMEM. After AFAR_OK
 * and AFAR_EAGAIN the entry must be given back by registry_remove. */
enum afar_status registry_claim(struct registry *registry, struct registry_entry *entry,
                                const struct registry_claim *claim, size_t *position,
                                enum counter *limit, struct afar_error *err);

/* Takes the entry out of the queue. False: it already has a place, or was displaced: entry->granted
 * is under way or delivered, and the entry must stay where it is until that is delivered. */
bool registry_withdraw(struct registry *registry, struct registry_entry *entry);

/* Also takes one of the `most` places of a rule; released with the entry. At most once for an
 * entry. AFAR_ELIMIT: the rule has none left. AFAR_ENOMEM. */
enum afar_status registry_claim_rule(struct registry *registry, struct registry_entry *entry,
                                     const char *rule, uint64_t most, struct afar_error *err);

/* Takes one of the spawns that the entry's identity may have under way (spawns_per_identity);
 * released by registry_set_leader or registry_remove. False: it waits, and entry->may_spawn is
 * posted when it has one. */
bool registry_begin_spawn(struct registry *registry, struct registry_entry *entry);

/* Stops waiting for a spawn. False: it does not wait: entry->may_spawn is under way or delivered,
 * or it never waited. */
bool registry_withdraw_spawn(struct registry *registry, struct registry_entry *entry);

/* The job runs: `leader` can be signalled from now on. */
void registry_set_leader(struct registry *registry, struct registry_entry *entry, pid_t leader);

/* Must be called before the leader is reaped, because its pid may then be another process's.
 * Returns whether a kill request has signalled the job. */
bool registry_clear_leader(struct registry *registry, struct registry_entry *entry);

/* Releases the place, which goes to the first entry in the queue that may have it. Must not be
 * called while `granted` is under way. */
void registry_remove(struct registry *registry, struct registry_entry *entry);

/* ---- places that outlive their job here ---- */

/* Moves the entry's place, and that of its rule, to the hold. False: out of memory; the entry keeps
 * them. */
bool registry_pass(struct registry *registry, struct registry_entry *entry,
                   struct registry_hold *hold);

/* Takes a place of `owner` and of `rule` (NULL: none) for a job that runs already, even beyond the
 * limits. False: out of memory. */
bool registry_hold(struct registry *registry, struct registry_hold *hold, const char *owner,
                   const char *rule);

/* Releases the hold's place; does nothing if it has none. */
void registry_release(struct registry *registry, struct registry_hold *hold);

/* ---- runs to which a client can come back ---- */

/* Enters a run of `owner` under its holder. The caller has set its home, guests and object.
 * AFAR_EINVAL: this owner has another run of that holder. AFAR_ENOMEM. */
enum afar_status registry_enter_run(struct registry *registry, struct registry_run *run,
                                    const char *owner, const char *holder, struct afar_error *err);

/* The run's job has been claimed: the run is found by its id, too, and keeps the job's place after
 * the job's end. */
void registry_bind_run(struct registry *registry, struct registry_run *run, const char *id);

/* Moves a run to another worker, where it is found from now on, and posts `mail`, with which it
 * travels: both in one step, so that a connection that is sent after the run arrives later. When
 * this returns, the run belongs to the other worker, which calls registry_run_arrived when the mail
 * has come. */
void registry_move_run(struct registry *registry, struct registry_run *run, struct worker *home,
                       atomic_uint *guests, struct mailbox *mailbox, struct mail *mail);
void registry_run_arrived(struct registry *registry, struct registry_run *run);

/* Enters the run under another holder. False: this owner has another run of that holder; nothing
 * has changed. */
bool registry_rename_run(struct registry *registry, struct registry_run *run, const char *holder);

/* Removes a run, and releases its job's place if it has that. Does nothing for one that was never
 * entered. */
void registry_leave_run(struct registry *registry, struct registry_run *run);

/* The run's client is away, or has come back. */
void registry_set_away(struct registry *registry, struct registry_run *run, bool away);

/* Sends SIGKILL to a job of `identity` if its run's client is away. False: nothing was signalled.
 */
bool registry_end_away(struct registry *registry, const char *id, const char *identity);

/* Finds a run by its job's id (`owner` NULL: of any owner), or, if `id` is "", a run of `owner` by
 * its holder. Returns the worker where it is; NULL: there is no such run. If that is `asker` and
 * the run is not moving, *object is the run. Otherwise *object is NULL and a connection has been
 * counted at that worker, so that it does not end: the caller must hand its connection on to it. */
struct worker *registry_find_run(struct registry *registry, const char *owner, const char *id,
                                 const char *holder, const struct worker *asker, void **object);

/* Signals the process group of a job. AFAR_EINVAL: no such job runs, or it is not of `identity`
 * (NULL: of anyone). AFAR_ESYSTEM: it runs, but could not be signalled. */
enum afar_status registry_signal(struct registry *registry, const char *id, const char *identity,
                                 int number, struct afar_error *err);

/* The number of jobs that have a place; that of requests in the queue. */
size_t registry_count(struct registry *registry);
size_t registry_queued(struct registry *registry);

#endif
