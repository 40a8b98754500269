/* All jobs of the server by their id, so that any connection can signal any of them; and the places
 * that they take: so many in all and for each identity, the rest waits in a queue. Where the queue
 * is full, an identity that has few requests in it gets the place of the newest of whichever has
 * the most: so nobody fills it for others.
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
    struct tally_entry *rule; /* by which it runs, where that has a max_jobs; else NULL */
    bool queued;              /* waits in the queue */
    bool displaced; /* granted is under way, but to say that others have its place there */
    struct crowd_member place; /* in the queue, by identity */
    struct mailbox *mailbox;   /* of its worker */
    struct mail granted;       /* deliver: set by the job */
    bool spawning;             /* one of its identity's spawns is its own … */
    struct list spawn_link;    /* … or it waits for one */
    struct mail may_spawn;     /* deliver: set by the job */
    struct registry_run *run;  /* of this job; NULL: nobody can come back to it */
    pid_t leader;              /* 0: nothing to signal (not yet started, or reaped) */
    bool killed;               /* a kill request has reached it */
};

/* A run to which its client can come back on another connection. It lies inside the run. */
struct registry_run {
    struct list by_holder; /* guarded by the registry, like all the rest … */
    struct list by_job;
    struct worker *home; /* where it is, or is on its way to … */
    atomic_uint *guests; /* … whose connections are counted here */
    bool moving;         /* on its way */
    void *object; /* … but this, which is fixed: the run itself, for its home's thread only */
    char holder[MESSAGE_HOLDER_BYTES];
    char job[MESSAGE_JOB_ID_BYTES];
    struct tally_entry *owner;    /* whose it is */
    struct registry_entry *entry; /* of its job, as long as there is one */
    struct tally_entry *place;    /* it has its job's place, whose end nobody has acknowledged */
    bool away;                    /* its client is */
};

/* The place of a kept command, from its start to its keeper's end. */
struct registry_hold {
    struct tally_entry *identity; /* guarded by the registry; NULL: it has none */
    struct tally_entry *rule;
};

/* What a claim asks for. */
struct registry_claim {
    const char *identity;    /* whose job it is */
    bool may_wait;           /* in the queue */
    struct mailbox *mailbox; /* where entry->granted goes when its turn has come */
};

/* NULL: out of memory. */
struct registry *registry_new(const struct config *config);
void registry_free(struct registry *registry);

/* The limits from now on; who is in stays in. */
void registry_set_limits(struct registry *registry, const struct config *config);

/* Gives the entry a fresh random id and a place. AFAR_EAGAIN: it waits, *position says as which (1:
 * the next). AFAR_ELIMIT: no, and *limit says by which limit. AFAR_ESYSTEM, AFAR_ENOMEM. After
 * AFAR_OK and AFAR_EAGAIN it must be given back by registry_remove. */
enum afar_status registry_claim(struct registry *registry, struct registry_entry *entry,
                                const struct registry_claim *claim, size_t *position,
                                enum counter *limit, struct afar_error *err);

/* Takes it out of the queue. False: it has its place already, or has been displaced, and
 * entry->granted is under way or delivered; the entry must stay where it is until then. */
bool registry_withdraw(struct registry *registry, struct registry_entry *entry);

/* Takes one of the `most` places of a rule, besides the one that it has; given back with that. Once
 * for an entry. AFAR_ELIMIT: there is none. AFAR_ENOMEM. */
enum afar_status registry_claim_rule(struct registry *registry, struct registry_entry *entry,
                                     const char *rule, uint64_t most, struct afar_error *err);

/* Takes one of the spawns that its identity may have under way (spawns_per_identity); given back by
 * registry_set_leader or registry_remove. False: it waits; entry->may_spawn comes when it has one.
 */
bool registry_begin_spawn(struct registry *registry, struct registry_entry *entry);

/* It waits no longer. False: entry->may_spawn is under way, as with registry_withdraw. */
bool registry_withdraw_spawn(struct registry *registry, struct registry_entry *entry);

/* The job runs; it can be signalled from now on. */
void registry_set_leader(struct registry *registry, struct registry_entry *entry, pid_t leader);

/* Must come before the leader is reaped, because its pid may be a stranger's afterwards. Tells
 * whether it was killed by request. */
bool registry_clear_leader(struct registry *registry, struct registry_entry *entry);

/* Gives the place back; the first in the queue that may have it gets it. Not while granted is under
 * way. */
void registry_remove(struct registry *registry, struct registry_entry *entry);

/* ---- places that outlive their job here ---- */

/* The entry's place, and that of its rule, is the hold's from now on. False: out of memory; the
 * entry keeps it. */
bool registry_pass(struct registry *registry, struct registry_entry *entry,
                   struct registry_hold *hold);

/* One more place of `owner` and (NULL: none) `rule`, beyond the limits if need be: it runs already.
 * False: out of memory. */
bool registry_hold(struct registry *registry, struct registry_hold *hold, const char *owner,
                   const char *rule);

/* Gives it back; nothing where there is none. */
void registry_release(struct registry *registry, struct registry_hold *hold);

/* ---- runs to which a client can come back ---- */

/* Enters a run of `owner` by its holder. AFAR_EINVAL: this owner has one of that holder. AFAR_ENOMEM.
 * The run's home,
 * guests and object are set. */
enum afar_status registry_enter_run(struct registry *registry, struct registry_run *run,
                                    const char *owner, const char *holder, struct afar_error *err);

/* It is that job's (which has been claimed): known by its id too, and its place is the run's, for
 * as long as that is longer. */
void registry_bind_run(struct registry *registry, struct registry_run *run, const char *id);

/* It goes to another worker: from now on that is where it is found. Posts `mail`, with which it
 * travels, so that whoever is sent after it comes later; it is the other's when this returns.
 * registry_run_arrived: there, when the mail has come. */
void registry_move_run(struct registry *registry, struct registry_run *run, struct worker *home,
                       atomic_uint *guests, struct mailbox *mailbox, struct mail *mail);
void registry_run_arrived(struct registry *registry, struct registry_run *run);

/* Another holder has it. False: this owner has a run of that holder already. */
bool registry_rename_run(struct registry *registry, struct registry_run *run, const char *holder);

/* It is over, also for one that was never entered. Gives the place back, where it has its job's. */
void registry_leave_run(struct registry *registry, struct registry_run *run);

/* Its client is away, or has come back. */
void registry_set_away(struct registry *registry, struct registry_run *run, bool away);

/* Kills a job of `identity` if its run's client is away. False: it is not, or there is none. */
bool registry_end_away(struct registry *registry, const char *id, const char *identity);

/* Finds the run of `owner` by its job's id (NULL: anybody's), or, where `id` is "", by its holder,
 * and says where it is; NULL: there is none. *object is the run where that is `asker`. Else, or where
 * it is still on its way there, *object is NULL: a connection has been counted there already, and must
 * be handed on to it: so its home does not end before. */
struct worker *registry_find_run(struct registry *registry, const char *owner, const char *id,
                                 const char *holder, const struct worker *asker, void **object);

/* Signals the process group of a job. AFAR_EINVAL: no such job runs, or it is not `identity`'s
 * (NULL: anybody's will do). AFAR_ESYSTEM: it runs, but could not be signalled. */
enum afar_status registry_signal(struct registry *registry, const char *id, const char *identity,
                                 int number, struct afar_error *err);

/* Jobs that have a place; requests that wait for one. */
size_t registry_count(struct registry *registry);
size_t registry_queued(struct registry *registry);

#endif
