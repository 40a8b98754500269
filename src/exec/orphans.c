#include "exec/orphans.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "exec/proc.h"

enum {
    BUCKETS = 256,
    VALUE_BYTES = 64,
    /* With more orphans, the kernel needs more than 0.1 ms to find the end of the list: too long
     * for an event loop. */
    LOOP_MAX = 4096,
    /* So few orphans can be read from the beginning in an event loop, too; a read gets 1 KiB. */
    FEW = 128,
    FEW_READS = 2,
    /* An orphan that cannot be recognized yet (it is in an execve, or exits) is examined again
     * after 1, 2, 4, … ms. A search waits for it up to PATIENCE_MS and then goes on without it;
     * after LOOKS_MAX examinations (a second) it counts as a stranger. */
    LOOKS_MAX = 10,
    PATIENCE_MS = 50,
    /* A search proposes at most so many orphans that cannot be recognized yet: they may be exiting,
     * and have children of any job. */
    UNKNOWN_MAX = 256,
    /* A search reads the list again at most so often, after it has examined all orphans. */
    REREADS_MAX = 16,
    /* The list is read from the beginning after this time, in case another part of the program has
     * reaped a child of the main thread. */
    ANEW_MS = 1000
};

enum kind {
    NEW,
    UNKNOWN,  /* cannot be recognized yet */
    STRANGER, /* it has no such variable, or is gone */
    MARKED    /* it has the variable */
};

struct orphan {
    struct list by_pid;
    struct list by_session; /* once it has been examined */
    struct list by_value;   /* if it is MARKED */
    struct list waiting;    /* in `fresh`, `waiting` or `looked_at` below */
    uint64_t number;        /* counts orphans in the order in which they come */
    uint64_t value;         /* hash of the variable's value; the family compares the value itself */
    unsigned long long start; /* 0: not known */
    int64_t known_ms;         /* when it was first listed */
    int64_t look_at_ms;       /* when to examine it again, if it is in `waiting` */
    unsigned looks;
    unsigned generation; /* of the last reading of the list that had it */
    pid_t pid;
    pid_t session;
    enum kind kind;
};

struct orphans {
    const char *prefix;
    pthread_mutex_t lock; /* guards all that follows */
    int fd;               /* the list of the main thread's children; -1: none */
    bool stale;           /* a child was reaped: the position in the list is not valid any more */
    struct proc_numbers numbers;
    unsigned generation;
    int64_t anew_at_ms;
    size_t count;
    uint64_t last;         /* the highest number so far */
    struct list fresh;     /* not examined yet; in the order of their numbers */
    struct list waiting;   /* NEW and UNKNOWN, and their start time is known */
    struct list looked_at; /* being examined by a thread; all three lists use the same link */
    struct list by_pid[BUCKETS];
    struct list by_session[BUCKETS];
    struct list by_value[BUCKETS];
};

/* ---- making ---------------------------------------------------------------------------------- */

bool orphans_adopt(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) == 0;
}

bool orphans_are_adopted(void)
{
    int subreaper = 0;
    (void)prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0L, 0L, 0L);
    return subreaper != 0 || getpid() == 1;
}

struct orphans *orphans_new(const char *prefix)
{
    char path[64];
    struct orphans *orphans = calloc(1, sizeof *orphans);
    if (orphans == NULL)
        return NULL;
    orphans->prefix = prefix;
    (void)pthread_mutex_init(&orphans->lock, NULL);
    list_init(&orphans->fresh);
    list_init(&orphans->waiting);
    list_init(&orphans->looked_at);
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&orphans->by_pid[i]);
        list_init(&orphans->by_session[i]);
        list_init(&orphans->by_value[i]);
    }
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    bool reads = orphans_are_adopted() && proc_is_ours();
    orphans->fd = reads ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    return orphans;
}

/* From here to orphans_free: call with the lock held. */

static struct list *bucket(struct list buckets[BUCKETS], uint64_t key)
{
    return &buckets[key % BUCKETS];
}

static void forget(struct orphans *orphans, struct orphan *orphan)
{
    list_remove(&orphan->by_pid);
    list_remove(&orphan->by_session);
    list_remove(&orphan->by_value);
    list_remove(&orphan->waiting);
    free(orphan);
    orphans->count--;
}

static struct orphan *find(struct orphans *orphans, pid_t pid)
{
    const struct list *head = bucket(orphans->by_pid, (uint64_t)pid);
    for (struct list *link = head->next; link != head; link = link->next) {
        struct orphan *orphan = list_object(link, struct orphan, by_pid);
        if (orphan->pid == pid)
            return orphan;
    }
    return NULL;
}

/* Adds an orphan unless it is known. False: out of memory. */
static bool know(struct orphans *orphans, pid_t pid)
{
    struct orphan *orphan = find(orphans, pid);
    if (orphan == NULL) {
        orphan = calloc(1, sizeof *orphan);
        if (orphan == NULL)
            return false;
        orphan->pid = pid;
        orphan->number = ++orphans->last;
        orphan->known_ms = clock_now_ms();
        list_init(&orphan->by_session);
        list_init(&orphan->by_value);
        list_init(&orphan->waiting);
        list_append(bucket(orphans->by_pid, (uint64_t)pid), &orphan->by_pid);
        list_append(&orphans->fresh, &orphan->waiting);
        orphans->count++;
    }
    orphan->generation = orphans->generation;
    return true;
}

/* Forgets the orphans that were not in the list when it was last read from the beginning. */
static void forget_unlisted(struct orphans *orphans)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct list *link = orphans->by_pid[i].next;
        while (link != &orphans->by_pid[i]) {
            struct orphan *orphan = list_object(link, struct orphan, by_pid);
            link = link->next;
            if (orphan->generation != orphans->generation)
                forget(orphans, orphan);
        }
    }
}

void orphans_free(struct orphans *orphans)
{
    if (orphans == NULL)
        return;
    orphans->generation++;
    forget_unlisted(orphans);
    if (orphans->fd >= 0)
        (void)close(orphans->fd);
    free(orphans->numbers.at);
    (void)pthread_mutex_destroy(&orphans->lock);
    free(orphans);
}

/* ---- the list -------------------------------------------------------------------------------- */

/* Call these with the lock held, except orphans_reap. */

/* Reads once. False: end of the list, or it failed (and is stale). */
static bool read_piece(struct orphans *orphans)
{
    struct proc_numbers *numbers = &orphans->numbers;
    ssize_t got = proc_read_piece(orphans->fd, numbers);
    orphans->stale = orphans->stale || got < 0;
    for (size_t i = 0; i < numbers->count; i++)
        orphans->stale = !know(orphans, numbers->at[i]) || orphans->stale;
    numbers->count = 0;
    return got > 0;
}

static bool is_due_anew(const struct orphans *orphans)
{
    return orphans->stale || (orphans->count > 0 && orphans->anew_at_ms <= clock_now_ms());
}

/* Reads the list from the beginning, with at most `reads` reads, and forgets orphans that are not
 * in it any more. If there was more, it stays stale. */
static void read_anew(struct orphans *orphans, size_t reads)
{
    orphans->stale = lseek(orphans->fd, 0, SEEK_SET) != 0;
    orphans->numbers.value = 0;
    orphans->numbers.inside = false;
    orphans->generation++;
    bool more = true;
    for (size_t i = 0; more && i < reads; i++)
        more = read_piece(orphans);
    orphans->stale = orphans->stale || more;
    if (orphans->stale)
        return;
    orphans->anew_at_ms = clock_now_ms() + ANEW_MS;
    forget_unlisted(orphans);
}

bool orphans_reap(struct orphans *orphans, int64_t until_us)
{
    siginfo_t info;
    bool more = true;
    while (more && clock_now_us() < until_us) {
        info.si_pid = 0;
        (void)pthread_mutex_lock(&orphans->lock);
        more = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WNOTHREAD) == 0 && info.si_pid != 0;
        if (more) {
            struct orphan *orphan = find(orphans, info.si_pid);
            if (orphan != NULL)
                forget(orphans, orphan);
            orphans->stale = true;
        }
        (void)pthread_mutex_unlock(&orphans->lock);
    }
    return more;
}

/* ---- examining one --------------------------------------------------------------------------- */

/* FNV-1a. */
static uint64_t hash(const char *value)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *at = value; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    return hash;
}

/* Whether the orphan is old and new enough for the search, whatever job it may belong to. */
static bool is_meant(const struct orphans_search *search, const struct orphan *orphan)
{
    return orphan->number <= search->last && orphan->start >= search->since;
}

static enum kind judge(pid_t pid, const char *prefix, struct proc_stat *stat, char *value,
                       size_t size)
{
    switch (proc_find_mark(pid, stat, prefix, value, size)) {
    case PROC_MARKED:
        return MARKED;
    case PROC_DYING:
    case PROC_STARTING:
        return UNKNOWN;
    case PROC_UNMARKED:
        break;
    }
    return STRANGER;
}

/* Called with the lock held. The next orphan that the search must examine now; NULL: none. */
static struct orphan *next_to_look_at(struct orphans *orphans, const struct orphans_search *search)
{
    if (!list_empty(&orphans->fresh)) {
        struct orphan *orphan = list_object(orphans->fresh.next, struct orphan, waiting);
        if (orphan->number <= search->last)
            return orphan;
    }
    int64_t now_ms = clock_now_ms();
    for (struct list *link = orphans->waiting.next; link != &orphans->waiting; link = link->next) {
        struct orphan *orphan = list_object(link, struct orphan, waiting);
        if (is_meant(search, orphan) && orphan->look_at_ms <= now_ms)
            return orphan;
    }
    return NULL;
}

/* Called with the lock held. Stores the result. `kind` NEW: only stat is known. */
static void note(struct orphans *orphans, struct orphan *orphan, enum kind kind,
                 const struct proc_stat *stat, const char *value)
{
    orphan->start = stat->start;
    orphan->session = stat->session;
    list_remove(&orphan->waiting);
    list_remove(&orphan->by_session);
    list_append(bucket(orphans->by_session, (uint64_t)stat->session), &orphan->by_session);
    if (kind != NEW) {
        orphan->looks++;
        orphan->look_at_ms = clock_now_ms() + (1 << (orphan->looks - 1));
    }
    orphan->kind = kind == UNKNOWN && orphan->looks >= LOOKS_MAX ? STRANGER : kind;
    if (orphan->kind == NEW || orphan->kind == UNKNOWN)
        list_append(&orphans->waiting, &orphan->waiting);
    if (orphan->kind != MARKED)
        return;
    orphan->value = hash(value);
    list_append(bucket(orphans->by_value, orphan->value), &orphan->by_value);
}

/* Examines the next orphan; of one that is too old for the search, only the start time. The lock is
 * not held meanwhile, so the orphan may be reaped and forgotten. False: there is none. */
static bool look_at_one(struct orphans *orphans, const struct orphans_search *search)
{
    struct proc_stat stat = {0};
    char value[VALUE_BYTES] = "";
    enum kind kind = STRANGER;
    (void)pthread_mutex_lock(&orphans->lock);
    struct orphan *orphan = next_to_look_at(orphans, search);
    if (orphan == NULL) {
        (void)pthread_mutex_unlock(&orphans->lock);
        return false;
    }
    list_remove(&orphan->waiting);
    list_append(&orphans->looked_at, &orphan->waiting);
    pid_t pid = orphan->pid;
    uint64_t number = orphan->number;
    (void)pthread_mutex_unlock(&orphans->lock);
    if (proc_read_stat(pid, &stat) && !stat.dead && stat.parent == getpid())
        kind = stat.start < search->since ? NEW
                                          : judge(pid, orphans->prefix, &stat, value, sizeof value);
    (void)pthread_mutex_lock(&orphans->lock);
    orphan = find(orphans, pid);
    if (orphan != NULL && orphan->number == number)
        note(orphans, orphan, kind, &stat, value);
    (void)pthread_mutex_unlock(&orphans->lock);
    return true;
}

/* ---- orphans of a job ------------------------------------------------------------------------ */

static const char *value_of(const struct orphans *orphans, const struct family_mark *mark)
{
    return mark->variable + strlen(orphans->prefix);
}

/* Called with the lock held. The next in its bucket after `link`; NULL: no more. */
static struct orphan *next_of_session(struct orphans *orphans, pid_t session,
                                      const struct list *link)
{
    const struct list *head = bucket(orphans->by_session, (uint64_t)session);
    for (link = link == NULL ? head->next : link->next; link != head; link = link->next) {
        struct orphan *orphan = list_object(link, struct orphan, by_session);
        if (orphan->session == session)
            return orphan;
    }
    return NULL;
}

static struct orphan *next_of_value(struct orphans *orphans, uint64_t value,
                                    const struct list *link)
{
    const struct list *head = bucket(orphans->by_value, value);
    for (link = link == NULL ? head->next : link->next; link != head; link = link->next) {
        struct orphan *orphan = list_object(link, struct orphan, by_value);
        if (orphan->value == value)
            return orphan;
    }
    return NULL;
}

bool orphans_none(struct orphans *orphans, const struct family_mark *mark)
{
    if (orphans->fd < 0)
        return true;
    if (pthread_mutex_trylock(&orphans->lock) != 0)
        return false;
    if (is_due_anew(orphans) && orphans->count <= FEW)
        read_anew(orphans, FEW_READS);
    bool none = !is_due_anew(orphans) && orphans->count <= LOOP_MAX && !read_piece(orphans) &&
                list_empty(&orphans->fresh) && list_empty(&orphans->waiting) &&
                list_empty(&orphans->looked_at) &&
                next_of_session(orphans, mark->session, NULL) == NULL &&
                next_of_value(orphans, hash(value_of(orphans, mark)), NULL) == NULL;
    (void)pthread_mutex_unlock(&orphans->lock);
    return none;
}

/* ---- searching ------------------------------------------------------------------------------- */

static void begin(struct orphans *orphans, struct orphans_search *search)
{
    (void)pthread_mutex_lock(&orphans->lock);
    if (is_due_anew(orphans))
        read_anew(orphans, SIZE_MAX);
    while (read_piece(orphans))
        ;
    search->last = orphans->last;
    search->begun = true;
    (void)pthread_mutex_unlock(&orphans->lock);
}

/* Whether new orphans have come since the search began. A listed orphan may have died before it was
 * examined; its children were adopted before its death was visible, and are at the end of the
 * list. */
static bool has_come(struct orphans *orphans, struct orphans_search *search)
{
    uint64_t last = search->last;
    if (search->rereads >= REREADS_MAX)
        return false;
    search->rereads++;
    begin(orphans, search);
    return search->last != last;
}

static bool propose(struct family *family, const struct orphans_search *search,
                    const struct orphan *orphan)
{
    bool meant = is_meant(search, orphan);
    if (meant)
        family_propose(family, orphan->pid, FAMILY_MARKED);
    return meant;
}

/* Whether one of these may be meant, is not recognized yet, and is worth waiting for. */
static bool must_wait(const struct list *head, const struct orphans_search *search)
{
    int64_t now_ms = clock_now_ms();
    for (const struct list *link = head->next; link != head; link = link->next) {
        const struct orphan *orphan = list_object(link, struct orphan, waiting);
        bool meant = orphan->start == 0 ? orphan->number <= search->last : is_meant(search, orphan);
        if (meant && now_ms - orphan->known_ms < PATIENCE_MS)
            return true;
    }
    return false;
}

static void propose_all(struct orphans *orphans, const struct orphans_search *search,
                        const struct family_mark *mark, struct family *family)
{
    uint64_t value = hash(value_of(orphans, mark));
    for (struct orphan *orphan = next_of_session(orphans, mark->session, NULL); orphan != NULL;
         orphan = next_of_session(orphans, mark->session, &orphan->by_session))
        (void)propose(family, search, orphan);
    for (struct orphan *orphan = next_of_value(orphans, value, NULL); orphan != NULL;
         orphan = next_of_value(orphans, value, &orphan->by_value))
        (void)propose(family, search, orphan);
    struct list *link = orphans->waiting.next;
    for (int i = 0; link != &orphans->waiting && i < UNKNOWN_MAX; link = link->next)
        i += propose(family, search, list_object(link, struct orphan, waiting));
}

enum orphans_answer orphans_find(struct orphans *orphans, struct orphans_search *search,
                                 struct family *family, const struct family_mark *mark,
                                 int64_t until_us)
{
    if (orphans->fd < 0)
        return ORPHANS_FOUND;
    if (!search->begun)
        begin(orphans, search);
    do {
        while (look_at_one(orphans, search)) {
            if (clock_now_us() >= until_us)
                return ORPHANS_MORE;
        }
    } while (has_come(orphans, search));
    (void)pthread_mutex_lock(&orphans->lock);
    bool wait = must_wait(&orphans->waiting, search) || must_wait(&orphans->looked_at, search);
    if (!wait)
        propose_all(orphans, search, mark, family);
    (void)pthread_mutex_unlock(&orphans->lock);
    return wait ? ORPHANS_WAIT : ORPHANS_FOUND;
}
