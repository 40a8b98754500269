#include "server/registry.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "exec/process.h"

enum { BUCKETS = 1024 };

struct registry {
    pthread_mutex_t lock;
    size_t max_jobs; /* lock guards all of this */
    size_t max_per_identity;
    size_t max_queued;
    size_t max_spawns; /* of one identity at a time; 0: no limit */
    size_t count;
    size_t queued;
    struct tally identities;      /* of those that have a place */
    struct tally rules;           /* likewise */
    struct list queue;            /* queued entries in their order … */
    struct crowd waiting;         /* … and by identity */
    struct list buckets[BUCKETS]; /* of those that have a place */
    struct list holders[BUCKETS]; /* runs, by holder … */
    struct list runs[BUCKETS];    /* … and by their job's id */
};

struct registry *registry_new(const struct config *config)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return NULL;
    (void)pthread_mutex_init(&registry->lock, NULL);
    tally_init(&registry->identities);
    tally_init(&registry->rules);
    list_init(&registry->queue);
    crowd_init(&registry->waiting);
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&registry->buckets[i]);
        list_init(&registry->holders[i]);
        list_init(&registry->runs[i]);
    }
    registry_set_limits(registry, config);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    assert(registry->count == 0 && registry->queued == 0);
    tally_close(&registry->identities);
    tally_close(&registry->rules);
    crowd_close(&registry->waiting);
    (void)pthread_mutex_destroy(&registry->lock);
    free(registry);
}

/* Ids are random, so any of their digits will do; an id in a request may be any text. */
static size_t bucket_number(const char *id)
{
    size_t hash = 0;
    for (size_t i = 0; i < 4 && id[i] != '\0'; i++)
        hash = hash * 31 + (unsigned char)id[i];
    return hash % BUCKETS;
}

static struct list *bucket_of(struct registry *registry, const char *id)
{
    return &registry->buckets[bucket_number(id)];
}

/* ---- places -------------------------------------------------------------------------------------
 * Each of these with the lock held. */

static bool identity_full(const struct registry *registry, const struct registry_entry *entry)
{
    return registry->max_per_identity > 0 && entry->identity->places >= registry->max_per_identity;
}

static void take_place(struct registry *registry, struct registry_entry *entry)
{
    registry->count++;
    entry->identity->places++;
    list_append(bucket_of(registry, entry->id), &entry->link);
}

static void leave_queue(struct registry *registry, struct registry_entry *entry)
{
    list_remove(&entry->link);
    crowd_leave(&registry->waiting, &entry->place);
    registry->queued--;
    entry->queued = false;
}

/* Makes room in a full queue for a request of that identity: the newest request of the identity
 * with the most is told that it will not be started. False: the identity would then have as many as
 * that one. */
static bool displace(struct registry *registry, const struct tally_entry *identity)
{
    struct crowd_member *member = crowd_newest_of_largest(&registry->waiting);
    size_t own = crowd_size_of(&registry->waiting, identity->name, identity->size);
    if (member == NULL || member->group->count <= own + 1)
        return false;
    struct registry_entry *entry = list_object(member, struct registry_entry, place);
    leave_queue(registry, entry);
    entry->displaced = true;
    mailbox_post(entry->mailbox, &entry->granted);
    return true;
}

static bool may_spawn(const struct registry *registry, const struct tally_entry *identity)
{
    return registry->max_spawns == 0 || identity->spawns < registry->max_spawns;
}

/* Releases the entry's spawn, if any, to waiting entries of its identity (`members`). */
static void end_spawn(struct registry *registry, struct registry_entry *entry)
{
    struct tally_entry *identity = entry->identity;
    if (!entry->spawning)
        return;
    entry->spawning = false;
    identity->spawns--;
    while (!list_empty(&identity->members) && may_spawn(registry, identity)) {
        struct registry_entry *next =
            list_object(identity->members.next, struct registry_entry, spawn_link);
        list_remove(&next->spawn_link);
        next->spawning = true;
        identity->spawns++;
        mailbox_post(next->mailbox, &next->may_spawn);
    }
}

/* A place may be free: the first in the queue whose identity has room gets it. */
static void grant(struct registry *registry)
{
    struct list *link = registry->queue.next;
    while (link != &registry->queue && registry->count < registry->max_jobs) {
        struct registry_entry *entry = list_object(link, struct registry_entry, link);
        link = link->next;
        if (identity_full(registry, entry))
            continue;
        leave_queue(registry, entry);
        take_place(registry, entry);
        mailbox_post(entry->mailbox, &entry->granted);
    }
}

/* AFAR_OK, AFAR_EAGAIN, AFAR_ELIMIT or AFAR_ENOMEM. */
static enum afar_status place_or_queue(struct registry *registry, struct registry_entry *entry,
                                       bool may_wait, enum counter *limit)
{
    bool identity = identity_full(registry, entry);
    /* FIFO: while a place is free, queued entries wait only for their identity's limit. */
    if (!identity && registry->count < registry->max_jobs) {
        take_place(registry, entry);
        return AFAR_OK;
    }
    *limit = identity ? COUNTER_MAX_JOBS_PER_IDENTITY : COUNTER_MAX_JOBS;
    if (!may_wait)
        return AFAR_ELIMIT;
    *limit = COUNTER_MAX_QUEUED;
    if (registry->queued >= registry->max_queued && !displace(registry, entry->identity))
        return AFAR_ELIMIT;
    if (!crowd_join(&registry->waiting, &entry->place, entry->identity->name, entry->identity->size,
                    0))
        return AFAR_ENOMEM;
    registry->queued++;
    entry->queued = true;
    list_append(&registry->queue, &entry->link);
    return AFAR_EAGAIN;
}

static enum afar_status refuse(const struct registry *registry, enum afar_status status,
                               enum counter limit, struct afar_error *err)
{
    if (status == AFAR_ENOMEM)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a job");
    if (limit == COUNTER_MAX_JOBS)
        return afar_fail(err, AFAR_ELIMIT, "%zu jobs are running, which is the limit (max_jobs)",
                         registry->max_jobs);
    if (limit == COUNTER_MAX_JOBS_PER_IDENTITY)
        return afar_fail(err, AFAR_ELIMIT,
                         "%zu jobs of yours are running, which is the limit "
                         "(max_jobs_per_identity)",
                         registry->max_per_identity);
    return afar_fail(err, AFAR_ELIMIT, "%zu requests are waiting already (max_queued)",
                     registry->max_queued);
}

/* ---- verbs ----------------------------------------------------------------------------------- */

void registry_set_limits(struct registry *registry, const struct config *config)
{
    (void)pthread_mutex_lock(&registry->lock);
    registry->max_jobs = config->max_jobs;
    registry->max_per_identity = config->max_jobs_per_identity;
    registry->max_queued = config->max_queued;
    registry->max_spawns = config->spawns_per_identity;
    grant(registry);
    (void)pthread_mutex_unlock(&registry->lock);
}

enum afar_status registry_claim(struct registry *registry, struct registry_entry *entry,
                                const struct registry_claim *claim, size_t *position,
                                enum counter *limit, struct afar_error *err)
{
    enum afar_status status = random_hex(entry->id, (MESSAGE_JOB_ID_BYTES - 1) / 2, err);
    if (status != AFAR_OK)
        return status;
    list_init(&entry->link);
    entry->leader = 0;
    entry->rule = NULL;
    entry->run = NULL;
    entry->killed = entry->queued = entry->displaced = entry->spawning = false;
    entry->place = (struct crowd_member){.group = NULL};
    list_init(&entry->spawn_link);
    entry->mailbox = claim->mailbox;
    (void)pthread_mutex_lock(&registry->lock);
    entry->identity = tally_hold(&registry->identities, claim->identity, strlen(claim->identity));
    if (entry->identity == NULL)
        status = afar_fail(err, AFAR_ENOMEM, "out of memory for a job");
    else
        status = place_or_queue(registry, entry, claim->may_wait, limit);
    *position = registry->queued;
    if (status == AFAR_ELIMIT || (status == AFAR_ENOMEM && entry->identity != NULL)) {
        tally_drop(entry->identity);
        status = refuse(registry, status, *limit, err);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return status;
}

bool registry_withdraw(struct registry *registry, struct registry_entry *entry)
{
    (void)pthread_mutex_lock(&registry->lock);
    bool queued = entry->queued;
    if (queued)
        leave_queue(registry, entry);
    (void)pthread_mutex_unlock(&registry->lock);
    return queued;
}

enum afar_status registry_claim_rule(struct registry *registry, struct registry_entry *entry,
                                     const char *rule, uint64_t most, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    (void)pthread_mutex_lock(&registry->lock);
    assert(entry->rule == NULL);
    if (tally_count(&registry->rules, rule, strlen(rule)) >= most) {
        status = afar_fail(err, AFAR_ELIMIT,
                           "%llu jobs of the rule '%s' are running, which is its limit (max_jobs)",
                           (unsigned long long)most, rule);
    } else {
        entry->rule = tally_hold(&registry->rules, rule, strlen(rule));
        if (entry->rule == NULL)
            status = afar_fail(err, AFAR_ENOMEM, "out of memory for a job");
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return status;
}

bool registry_begin_spawn(struct registry *registry, struct registry_entry *entry)
{
    (void)pthread_mutex_lock(&registry->lock);
    entry->spawning = may_spawn(registry, entry->identity);
    if (entry->spawning)
        entry->identity->spawns++;
    else
        list_append(&entry->identity->members, &entry->spawn_link);
    bool begun = entry->spawning; /* another thread may change it from now on */
    (void)pthread_mutex_unlock(&registry->lock);
    return begun;
}

bool registry_withdraw_spawn(struct registry *registry, struct registry_entry *entry)
{
    (void)pthread_mutex_lock(&registry->lock);
    bool waits = !list_empty(&entry->spawn_link);
    if (waits)
        list_remove(&entry->spawn_link);
    (void)pthread_mutex_unlock(&registry->lock);
    return waits;
}

void registry_set_leader(struct registry *registry, struct registry_entry *entry, pid_t leader)
{
    (void)pthread_mutex_lock(&registry->lock);
    entry->leader = leader;
    end_spawn(registry, entry);
    (void)pthread_mutex_unlock(&registry->lock);
}

bool registry_clear_leader(struct registry *registry, struct registry_entry *entry)
{
    (void)pthread_mutex_lock(&registry->lock);
    entry->leader = 0;
    bool killed = entry->killed;
    (void)pthread_mutex_unlock(&registry->lock);
    return killed;
}

void registry_remove(struct registry *registry, struct registry_entry *entry)
{
    (void)pthread_mutex_lock(&registry->lock);
    assert(!entry->queued && list_empty(&entry->spawn_link));
    end_spawn(registry, entry);
    bool placed = !list_empty(&entry->link); /* not withdrawn */
    list_remove(&entry->link);
    if (entry->run != NULL)
        entry->run->entry = NULL;
    if (placed && entry->run != NULL) {
        entry->run->place = entry->identity;
        entry->identity = NULL;
    } else if (placed) {
        registry->count--;
        entry->identity->places--;
    }
    tally_drop(entry->identity);
    tally_drop(entry->rule);
    entry->identity = entry->rule = NULL;
    grant(registry);
    (void)pthread_mutex_unlock(&registry->lock);
}

/* ---- places that outlive their job here ------------------------------------------------------ */

bool registry_pass(struct registry *registry, struct registry_entry *entry,
                   struct registry_hold *hold)
{
    (void)pthread_mutex_lock(&registry->lock);
    assert(!entry->queued && !list_empty(&entry->link));
    const struct tally_entry *own = entry->identity;
    hold->identity = tally_hold(&registry->identities, own->name, own->size);
    bool passed = hold->identity != NULL;
    if (passed) {
        list_remove(&entry->link); /* so that registry_remove does not count it down */
        hold->rule = entry->rule;
        entry->rule = NULL;
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return passed;
}

bool registry_hold(struct registry *registry, struct registry_hold *hold, const char *owner,
                   const char *rule)
{
    (void)pthread_mutex_lock(&registry->lock);
    hold->rule = rule != NULL ? tally_hold(&registry->rules, rule, strlen(rule)) : NULL;
    bool counted = rule == NULL || hold->rule != NULL;
    hold->identity = counted ? tally_hold(&registry->identities, owner, strlen(owner)) : NULL;
    bool held = hold->identity != NULL;
    tally_drop(held ? NULL : hold->rule);
    if (held)
        hold->identity->places++;
    registry->count += held ? 1 : 0;
    (void)pthread_mutex_unlock(&registry->lock);
    return held;
}

void registry_release(struct registry *registry, struct registry_hold *hold)
{
    if (hold->identity == NULL)
        return;
    (void)pthread_mutex_lock(&registry->lock);
    hold->identity->places--;
    registry->count--;
    tally_drop(hold->identity);
    tally_drop(hold->rule);
    hold->identity = hold->rule = NULL;
    grant(registry);
    (void)pthread_mutex_unlock(&registry->lock);
}

static bool is_of(const struct registry_entry *entry, const char *identity)
{
    size_t size = identity == NULL ? 0 : strlen(identity);
    return identity == NULL ||
           (entry->identity->size == size && memcmp(entry->identity->name, identity, size) == 0);
}

enum afar_status registry_signal(struct registry *registry, const char *id, const char *identity,
                                 int number, struct afar_error *err)
{
    enum afar_status status = afar_fail(err, AFAR_EINVAL, "no such job is running");
    (void)pthread_mutex_lock(&registry->lock);
    const struct list *head = bucket_of(registry, id);
    for (struct list *link = head->next; link != head; link = link->next) {
        struct registry_entry *entry = list_object(link, struct registry_entry, link);
        if (strcmp(entry->id, id) != 0 || entry->leader <= 0 || !is_of(entry, identity))
            continue;
        /* The leader cannot be reaped meanwhile, as registry_clear_leader needs the lock. */
        if (process_signal_group(entry->leader, number)) {
            entry->killed = true;
            status = AFAR_OK;
        } else {
            status = afar_fail_errno(err, errno, "the job's processes cannot be signalled");
        }
        break;
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return status;
}

/* ---- runs to which a client can come back ---------------------------------------------------- */

/* With the lock held. */
static struct registry_run *run_of_holder(struct registry *registry,
                                          const struct tally_entry *owner, const char *holder)
{
    const struct list *head = &registry->holders[bucket_number(holder)];
    for (struct list *link = head->next; link != head; link = link->next) {
        struct registry_run *run = list_object(link, struct registry_run, by_holder);
        if (run->owner == owner && strcmp(run->holder, holder) == 0)
            return run;
    }
    return NULL;
}

/* Likewise; `owner` NULL: of any owner. */
static struct registry_run *run_of_job(struct registry *registry, const struct tally_entry *owner,
                                       const char *id)
{
    const struct list *head = &registry->runs[bucket_number(id)];
    for (struct list *link = head->next; link != head; link = link->next) {
        struct registry_run *run = list_object(link, struct registry_run, by_job);
        if ((owner == NULL || run->owner == owner) && strcmp(run->job, id) == 0)
            return run;
    }
    return NULL;
}

enum afar_status registry_enter_run(struct registry *registry, struct registry_run *run,
                                    const char *owner, const char *holder, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    list_init(&run->by_holder);
    list_init(&run->by_job);
    run->owner = run->place = NULL;
    run->entry = NULL;
    run->job[0] = '\0';
    (void)snprintf(run->holder, sizeof run->holder, "%s", holder);
    (void)pthread_mutex_lock(&registry->lock);
    struct tally_entry *known = tally_hold(&registry->identities, owner, strlen(owner));
    if (known == NULL)
        status = afar_fail(err, AFAR_ENOMEM, "out of memory for a run");
    else if (run_of_holder(registry, known, holder) != NULL)
        status = afar_fail(err, AFAR_EINVAL, "there is a command of this \"holder\" already");
    if (status == AFAR_OK) {
        run->owner = known;
        list_append(&registry->holders[bucket_number(holder)], &run->by_holder);
    } else {
        tally_drop(known);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return status;
}

/* Finds an entry that has a place or is queued. With the lock held. */
static struct registry_entry *entry_of(struct registry *registry, const char *id)
{
    const struct list *const heads[] = {bucket_of(registry, id), &registry->queue};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        for (struct list *link = heads[i]->next; link != heads[i]; link = link->next) {
            struct registry_entry *entry = list_object(link, struct registry_entry, link);
            if (strcmp(entry->id, id) == 0)
                return entry;
        }
    }
    return NULL;
}

void registry_bind_run(struct registry *registry, struct registry_run *run, const char *id)
{
    (void)snprintf(run->job, sizeof run->job, "%s", id);
    (void)pthread_mutex_lock(&registry->lock);
    run->entry = entry_of(registry, id);
    if (run->entry != NULL)
        run->entry->run = run;
    list_append(&registry->runs[bucket_number(id)], &run->by_job);
    (void)pthread_mutex_unlock(&registry->lock);
}

void registry_move_run(struct registry *registry, struct registry_run *run, struct worker *home,
                       atomic_uint *guests, struct mailbox *mailbox, struct mail *mail)
{
    (void)pthread_mutex_lock(&registry->lock);
    run->home = home;
    run->guests = guests;
    run->moving = true;
    mailbox_post(mailbox, mail);
    (void)pthread_mutex_unlock(&registry->lock);
}

void registry_run_arrived(struct registry *registry, struct registry_run *run)
{
    (void)pthread_mutex_lock(&registry->lock);
    run->moving = false;
    (void)pthread_mutex_unlock(&registry->lock);
}

bool registry_rename_run(struct registry *registry, struct registry_run *run, const char *holder)
{
    (void)pthread_mutex_lock(&registry->lock);
    const struct registry_run *found = run_of_holder(registry, run->owner, holder);
    bool free = found == NULL || found == run;
    if (free) {
        list_remove(&run->by_holder);
        (void)snprintf(run->holder, sizeof run->holder, "%s", holder);
        list_append(&registry->holders[bucket_number(holder)], &run->by_holder);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return free;
}

void registry_leave_run(struct registry *registry, struct registry_run *run)
{
    if (run->owner == NULL)
        return;
    (void)pthread_mutex_lock(&registry->lock);
    list_remove(&run->by_holder);
    list_remove(&run->by_job);
    if (run->entry != NULL)
        run->entry->run = NULL;
    if (run->place != NULL) {
        registry->count--;
        run->place->places--;
    }
    tally_drop(run->place);
    tally_drop(run->owner);
    run->owner = run->place = NULL;
    run->entry = NULL;
    grant(registry);
    (void)pthread_mutex_unlock(&registry->lock);
}

void registry_set_away(struct registry *registry, struct registry_run *run, bool away)
{
    (void)pthread_mutex_lock(&registry->lock);
    run->away = away;
    (void)pthread_mutex_unlock(&registry->lock);
}

bool registry_end_away(struct registry *registry, const char *id, const char *identity)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct registry_entry *entry = entry_of(registry, id);
    bool ends = entry != NULL && entry->leader > 0 && is_of(entry, identity) &&
                entry->run != NULL && entry->run->away &&
                process_signal_group(entry->leader, SIGKILL);
    if (ends)
        entry->killed = true;
    (void)pthread_mutex_unlock(&registry->lock);
    return ends;
}

struct worker *registry_find_run(struct registry *registry, const char *owner, const char *id,
                                 const char *holder, const struct worker *asker, void **object)
{
    struct worker *home = NULL;
    *object = NULL;
    (void)pthread_mutex_lock(&registry->lock);
    const struct tally_entry *known =
        owner != NULL ? tally_find(&registry->identities, owner, strlen(owner)) : NULL;
    const struct registry_run *run = NULL;
    if (known != NULL || (owner == NULL && id[0] != '\0'))
        run = id[0] != '\0' ? run_of_job(registry, known, id)
                            : run_of_holder(registry, known, holder);
    if (run != NULL) {
        home = run->home;
        if (home == asker && !run->moving)
            *object = run->object;
        else
            (void)atomic_fetch_add(run->guests, 1);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return home;
}

size_t registry_count(struct registry *registry)
{
    (void)pthread_mutex_lock(&registry->lock);
    size_t count = registry->count;
    (void)pthread_mutex_unlock(&registry->lock);
    return count;
}

size_t registry_queued(struct registry *registry)
{
    (void)pthread_mutex_lock(&registry->lock);
    size_t queued = registry->queued;
    (void)pthread_mutex_unlock(&registry->lock);
    return queued;
}
