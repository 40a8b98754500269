#include "server/summary.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/audit_note.h"
#include "server/worker.h"

/* How each kind is logged. Unauthenticated peers cause only the first two: with the sums, at most
 * SUMMARY_WHO_MAX + 1 of each, these are at most 754 lines a minute in either log. */
static const struct kind {
    const char *words;
    const char *event; /* its event in the audit log; NULL: none */
    enum log_level level;
    unsigned of_one; /* lines of one peer within a period */
    unsigned in_all;
} kinds[SUMMARY_KINDS] = {
    [SUMMARY_HANDSHAKE_FAILED] = {"handshakes failed", "handshake_failed", LOG_LEVEL_WARN, 10, 120},
    [SUMMARY_REFUSED] = {"connections refused", "connection_refused", LOG_LEVEL_WARN, 10, 120},
    [SUMMARY_OPENED] = {"connections opened", NULL, LOG_LEVEL_INFO, 60, 1200},
    [SUMMARY_CLOSED] = {"connections closed", NULL, LOG_LEVEL_INFO, 60, 1200},
    [SUMMARY_PAUSED] = {"accepting paused", NULL, LOG_LEVEL_ERROR, 10, 10},
    [SUMMARY_COMPLAINT] = {"requests refused", NULL, LOG_LEVEL_WARN, 60, 600},
    [SUMMARY_AUDIT_LOST] = {"audit: lines lost", NULL, LOG_LEVEL_ERROR, 10, 60},
};

struct counted {
    unsigned written;
    unsigned long long more;
};

struct peer_counts {
    struct tally_entry *name; /* NULL: all peers beyond SUMMARY_WHO_MAX */
    struct counted of[SUMMARY_KINDS];
    unsigned long long refused; /* refused requests, for its pace */
};

/* The counts of one period. */
struct period {
    struct tally names; /* entry->places is the peer's number */
    struct peer_counts peers[SUMMARY_WHO_MAX];
    struct peer_counts others;
    size_t count;
    unsigned written[SUMMARY_KINDS]; /* lines written, of all peers */
    int64_t since_ms;                /* 0: nothing has been counted */
};

struct summary {
    pthread_mutex_t lock;
    struct period *now;  /* guarded by lock, with all that it points to */
    struct period *over; /* the previous one, until it is written; home's */
    struct period periods[2];
    struct worker *home; /* fixed once threads run; NULL: no worker writes sums */
    struct mail mail;    /* to home: a period has begun */
    struct timer timer;  /* home's: the period ends */
};

struct summary *summary_new(void)
{
    struct summary *summary = calloc(1, sizeof *summary);
    if (summary == NULL)
        return NULL;
    (void)pthread_mutex_init(&summary->lock, NULL);
    summary->now = &summary->periods[0];
    summary->over = &summary->periods[1];
    tally_init(&summary->now->names);
    tally_init(&summary->over->names);
    return summary;
}

static void forget(struct period *period)
{
    for (size_t i = 0; i < period->count; i++) {
        tally_drop(period->peers[i].name);
        period->peers[i] = (struct peer_counts){.name = NULL};
    }
    period->others = (struct peer_counts){.name = NULL};
    memset(period->written, 0, sizeof period->written);
    period->count = 0;
    period->since_ms = 0;
}

void summary_free(struct summary *summary)
{
    if (summary == NULL)
        return;
    forget(summary->now);
    tally_close(&summary->now->names);
    tally_close(&summary->over->names);
    (void)pthread_mutex_destroy(&summary->lock);
    free(summary);
}

/* ---- counting; with the lock held ------------------------------------------------------------ */

static struct peer_counts *peer_of(struct period *period, const char *who)
{
    struct tally_entry *entry = tally_find(&period->names, who, strlen(who));
    if (entry != NULL)
        return &period->peers[entry->places];
    if (period->count < SUMMARY_WHO_MAX)
        entry = tally_hold(&period->names, who, strlen(who));
    if (entry == NULL)
        return &period->others;
    entry->places = period->count++;
    period->peers[entry->places].name = entry;
    return &period->peers[entry->places];
}

static struct peer_counts *begin_counting(struct summary *summary, const char *who)
{
    struct period *period = summary->now;
    if (period->since_ms == 0) {
        period->since_ms = clock_now_ms();
        if (summary->home != NULL)
            mailbox_post(&summary->home->mailbox, &summary->mail);
    }
    return peer_of(period, who);
}

/* Peers that are not told apart share the lines of all. */
static bool may_write(const struct period *period, const struct peer_counts *peer,
                      enum summary_kind kind)
{
    return period->written[kind] < kinds[kind].in_all &&
           (peer->name == NULL || peer->of[kind].written < kinds[kind].of_one);
}

/* By how many ms a peer's refusals are ahead of the allowed pace. */
static int64_t ahead_ms(const struct period *period, const struct peer_counts *peer, uint64_t free)
{
    const unsigned long long counted_most = 2000; /* beyond that, the wait is at its maximum
                                                     anyway */
    if (free == 0 || peer->refused <= free)
        return 0;
    unsigned long long refused = peer->refused - free;
    int64_t due_ms = (int64_t)(refused < counted_most ? refused : counted_most) * SUMMARY_PACE_MS;
    int64_t ahead = due_ms - (clock_now_ms() - period->since_ms);
    return ahead > 0 ? ahead : 0;
}

static int64_t at_most(int64_t ms, int64_t most_ms)
{
    return ms < most_ms ? ms : most_ms;
}

void summary_who(char who[SUMMARY_WHO_BYTES], const char *identity,
                 const struct address_group *group)
{
    char address[ADDRESS_TEXT_BYTES];
    address_group_format(group, address, sizeof address);
    if (identity == NULL)
        (void)snprintf(who, SUMMARY_WHO_BYTES, "%s", address);
    else
        (void)snprintf(who, SUMMARY_WHO_BYTES, "%s from %s", identity, address);
}

/* ---- verbs ----------------------------------------------------------------------------------- */

bool summary_count(struct summary *summary, enum summary_kind kind, const char *who)
{
    (void)pthread_mutex_lock(&summary->lock);
    struct peer_counts *peer = begin_counting(summary, who);
    bool write = may_write(summary->now, peer, kind);
    if (write) {
        peer->of[kind].written++;
        summary->now->written[kind]++;
    } else {
        peer->of[kind].more++;
    }
    (void)pthread_mutex_unlock(&summary->lock);
    return write;
}

void summary_add(struct summary *summary, enum summary_kind kind, const char *who)
{
    (void)pthread_mutex_lock(&summary->lock);
    begin_counting(summary, who)->of[kind].more++;
    (void)pthread_mutex_unlock(&summary->lock);
}

int64_t summary_pace(struct summary *summary, const char *who, uint64_t free)
{
    (void)pthread_mutex_lock(&summary->lock);
    struct peer_counts *peer = begin_counting(summary, who);
    peer->refused++;
    int64_t wait_ms = at_most(ahead_ms(summary->now, peer, free), SUMMARY_PACE_MAX_MS);
    (void)pthread_mutex_unlock(&summary->lock);
    return wait_ms;
}

int64_t summary_pace_now(struct summary *summary, const char *who, uint64_t free)
{
    int64_t wait_ms = 0;
    (void)pthread_mutex_lock(&summary->lock);
    const struct tally_entry *entry = tally_find(&summary->now->names, who, strlen(who));
    if (entry != NULL)
        wait_ms = ahead_ms(summary->now, &summary->now->peers[entry->places], free) / 10;
    (void)pthread_mutex_unlock(&summary->lock);
    return at_most(wait_ms, SUMMARY_PACE_MAX_MS);
}

/* ---- the end of a period --------------------------------------------------------------------- */

/* Writes a sum to the audit log. */
typedef void note(void *user, const struct audit_record *record);

static void write_sum(struct log *log, const struct kind *kind, const char *who,
                      unsigned long long more, uint64_t seconds, note *write, void *user)
{
    log_write(log, kind->level, "%s: and %llu more%s%s in %llu s", kind->words, more,
              who[0] != '\0' ? " from " : "", who, (unsigned long long)seconds);
    const struct audit_record record = {
        .event = kind->event, .address = who, .more = more, .more_s = seconds};
    if (kind->event != NULL)
        write(user, &record);
}

static void write_peer(struct log *log, const struct peer_counts *peer, uint64_t seconds,
                       note *write, void *user)
{
    char who[SUMMARY_WHO_BYTES] = "other addresses";
    if (peer->name != NULL)
        (void)snprintf(who, sizeof who, "%.*s", (int)peer->name->size, peer->name->name);
    for (int i = 0; i < SUMMARY_KINDS; i++) {
        if (peer->of[i].more > 0)
            write_sum(log, &kinds[i], who, peer->of[i].more, seconds, write, user);
    }
}

/* Ends the period, writes what it has counted, and forgets it. */
static void end_period(struct summary *summary, struct log *log, note *write, void *user)
{
    (void)pthread_mutex_lock(&summary->lock);
    struct period *over = summary->now;
    summary->now = summary->over;
    summary->over = over;
    (void)pthread_mutex_unlock(&summary->lock);

    const uint64_t seconds = (uint64_t)(clock_now_ms() - over->since_ms + 500) / 1000;
    for (size_t i = 0; i < over->count; i++)
        write_peer(log, &over->peers[i], seconds, write, user);
    write_peer(log, &over->others, seconds, write, user);
    forget(over);
}

static void note_by_worker(void *user, const struct audit_record *record)
{
    audit_note(user, record);
}

static void period_over(struct timer *timer)
{
    struct summary *summary = list_object(timer, struct summary, timer);
    end_period(summary, summary->home->shared->log, note_by_worker, summary->home);
}

static void period_begun(struct mail *mail)
{
    struct summary *summary = list_object(mail, struct summary, mail);
    timer_arm(loop_timers(summary->home->host.loop), &summary->timer,
              clock_now_ms() + SUMMARY_PERIOD_MS);
}

enum afar_status summary_at(struct summary *summary, struct worker *worker, struct afar_error *err)
{
    enum afar_status status =
        timer_attach(loop_timers(worker->host.loop), &summary->timer, period_over, err);
    if (status != AFAR_OK)
        return status;
    summary->mail.deliver = period_begun;
    summary->home = worker;
    return AFAR_OK;
}

void summary_leave(struct summary *summary, const struct worker *worker)
{
    if (summary->home != worker)
        return;
    timer_detach(loop_timers(worker->host.loop), &summary->timer);
    summary->home = NULL;
}

static void note_here(void *user, const struct audit_record *record)
{
    struct server_shared *shared = user;
    if (shared->audit != NULL && audit_write(shared->audit, record, NULL) != AFAR_OK)
        audit_lost(shared->audit);
}

void summary_end(struct summary *summary, struct server_shared *shared)
{
    if (summary != NULL && summary->now->since_ms != 0)
        end_period(summary, shared->log, note_here, shared);
}
