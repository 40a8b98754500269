#include "server/admission.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"

struct admission {
    pthread_mutex_t lock;
    struct tally addresses; /* connections by address. lock guards all of this */
    struct crowd strangers; /* by address, as are … */
    struct crowd idle;      /* … the anonymous without a request */
    size_t count;           /* connections that are inside and were not told to leave */
    size_t leaving;
    size_t refused;
    size_t max_connections; /* as of the last admission_enter */
};

struct admission *admission_new(void)
{
    struct admission *admission = calloc(1, sizeof *admission);
    if (admission == NULL)
        return NULL;
    (void)pthread_mutex_init(&admission->lock, NULL);
    tally_init(&admission->addresses);
    crowd_init(&admission->strangers);
    crowd_init(&admission->idle);
    return admission;
}

void admission_free(struct admission *admission)
{
    if (admission == NULL)
        return;
    tally_close(&admission->addresses);
    crowd_close(&admission->strangers);
    crowd_close(&admission->idle);
    (void)pthread_mutex_destroy(&admission->lock);
    free(admission);
}

void admission_exit_init(struct admission_exit *way_out, struct mailbox *mailbox,
                         void (*deliver)(struct mail *))
{
    *way_out = (struct admission_exit){.mailbox = mailbox, .mail = {.deliver = deliver}};
    list_init(&way_out->tickets);
}

/* ---- making room; with the lock held --------------------------------------------------------- */

static struct crowd *crowd_of(struct admission *admission, const struct admission_ticket *ticket)
{
    return ticket->kind == ADMISSION_STRANGER ? &admission->strangers : &admission->idle;
}

/* False: there is no such member, or ADMISSION_LEAVING_MAX is reached. */
static bool send_away(struct admission *admission, struct crowd_member *member)
{
    if (member == NULL || admission->leaving >= ADMISSION_LEAVING_MAX)
        return false;
    struct admission_ticket *ticket = list_object(member, struct admission_ticket, place);
    crowd_leave(crowd_of(admission, ticket), member);
    tally_drop(ticket->address);
    ticket->address = NULL;
    ticket->leaving = true;
    admission->count--;
    admission->leaving++;
    list_append(&ticket->exit->tickets, &ticket->to_leave);
    if (!ticket->exit->posted) {
        ticket->exit->posted = true;
        mailbox_post(ticket->exit->mailbox, &ticket->exit->mail);
    }
    return true;
}

static struct crowd_member *stranger_to_go(const struct admission *admission)
{
    struct crowd_member *oldest = crowd_oldest(&admission->strangers);
    if (oldest == NULL || clock_now_ms() - oldest->since_ms >= ADMISSION_FAIR_MS)
        return oldest;
    return crowd_oldest_of_largest(&admission->strangers);
}

/* A connection from the newcomer's own address has to make room. */
static bool make_room_at(struct admission *admission, const struct address_group *address)
{
    struct crowd_member *member =
        crowd_oldest_of(&admission->strangers, address->bytes, address->size);
    if (member == NULL)
        member = crowd_oldest_of(&admission->idle, address->bytes, address->size);
    return send_away(admission, member);
}

static bool make_room(struct admission *admission)
{
    struct crowd_member *member = stranger_to_go(admission);
    if (member == NULL)
        member = crowd_oldest_of_largest(&admission->idle);
    return send_away(admission, member);
}

/* Whether there is a place, or another connection can be made to leave for it. */
static bool has_room(struct admission *admission, const struct config *config,
                     const struct address_group *address, enum admission_kind kind,
                     enum counter *limit)
{
    const struct crowd *strangers = &admission->strangers;
    const uint64_t per_address = config->max_connections_per_address;
    const uint64_t strangers_per_address = config->max_unauthenticated_per_address;
    const bool counted = address->size > 0;
    bool room = true;

    if (counted && per_address > 0 &&
        tally_count(&admission->addresses, address->bytes, address->size) >= per_address) {
        *limit = COUNTER_MAX_CONNECTIONS_PER_ADDRESS;
        room = make_room_at(admission, address);
    }
    if (room && kind == ADMISSION_STRANGER && counted && strangers_per_address > 0 &&
        crowd_size_of(strangers, address->bytes, address->size) >= strangers_per_address) {
        *limit = COUNTER_MAX_UNAUTHENTICATED_PER_ADDRESS;
        room = make_room_at(admission, address);
    }
    if (room && kind == ADMISSION_STRANGER && strangers->count >= config->max_unauthenticated) {
        *limit = COUNTER_MAX_UNAUTHENTICATED;
        room = send_away(admission, stranger_to_go(admission));
    }
    if (room && admission->count >= config->max_connections) {
        *limit = COUNTER_MAX_CONNECTIONS;
        room = make_room(admission);
    }
    return room;
}

/* ---- entering -------------------------------------------------------------------------------- */

static enum admission_verdict refuse(struct admission *admission, struct admission_ticket *ticket)
{
    if (admission->refused >= ADMISSION_REFUSED_MAX)
        return ADMISSION_DROPPED;
    admission->refused++;
    ticket->refused = true;
    return ADMISSION_REFUSED;
}

/* Counts the connection. False: out of memory. */
static bool let_in(struct admission *admission, struct admission_ticket *ticket)
{
    const struct address_group *group = &ticket->group;
    if (group->size > 0) {
        ticket->address = tally_hold(&admission->addresses, group->bytes, group->size);
        if (ticket->address == NULL)
            return false;
    }
    if (ticket->kind != ADMISSION_KNOWN && !crowd_join(crowd_of(admission, ticket), &ticket->place,
                                                       group->bytes, group->size, clock_now_ms())) {
        tally_drop(ticket->address);
        ticket->address = NULL;
        return false;
    }
    ticket->inside = true;
    admission->count++;
    return true;
}

enum admission_verdict admission_enter(struct admission *admission, const struct config *config,
                                       const struct address_group *address,
                                       enum admission_kind kind, struct admission_ticket *ticket,
                                       enum counter *limit)
{
    enum admission_verdict verdict = ADMISSION_GRANTED;
    *limit = COUNTERS;
    *ticket = (struct admission_ticket){.group = *address, .kind = kind};
    list_init(&ticket->to_leave);
    (void)pthread_mutex_lock(&admission->lock);
    admission->max_connections = config->max_connections;
    if (!has_room(admission, config, address, kind, limit)) {
        verdict = refuse(admission, ticket);
    } else if (!let_in(admission, ticket)) {
        *limit = COUNTER_MAX_CONNECTIONS;
        verdict = ADMISSION_DROPPED;
    }
    (void)pthread_mutex_unlock(&admission->lock);
    return verdict;
}

void admission_ticket_at(struct admission_ticket *ticket, struct admission_exit *way_out)
{
    ticket->exit = way_out;
}

struct admission_ticket *admission_next_to_leave(struct admission *admission,
                                                 struct admission_exit *way_out)
{
    struct admission_ticket *ticket = NULL;
    (void)pthread_mutex_lock(&admission->lock);
    way_out->posted = !list_empty(&way_out->tickets); /* no new mail until all tickets were taken */
    if (way_out->posted) {
        ticket = list_object(way_out->tickets.next, struct admission_ticket, to_leave);
        list_remove(&ticket->to_leave);
    }
    (void)pthread_mutex_unlock(&admission->lock);
    return ticket;
}

/* ---- inside ---------------------------------------------------------------------------------- */

/* Lets a connection that was told to leave stay if there is room again. With the lock held. */
static bool stay(struct admission *admission, struct admission_ticket *ticket)
{
    const struct address_group *group = &ticket->group;
    if (admission->count >= admission->max_connections)
        return false;
    ticket->address = tally_hold(&admission->addresses, group->bytes, group->size);
    list_remove(&ticket->to_leave);
    ticket->leaving = false;
    admission->leaving--;
    admission->count++;
    return true;
}

bool admission_authenticated(struct admission *admission, struct admission_ticket *ticket)
{
    bool welcome = true;
    (void)pthread_mutex_lock(&admission->lock);
    if (ticket->kind == ADMISSION_STRANGER) {
        crowd_leave(&admission->strangers, &ticket->place);
        ticket->kind = ADMISSION_KNOWN;
        welcome = !ticket->leaving || stay(admission, ticket);
    }
    (void)pthread_mutex_unlock(&admission->lock);
    return welcome;
}

bool admission_busy(struct admission *admission, struct admission_ticket *ticket)
{
    if (ticket->kind != ADMISSION_ANONYMOUS)
        return true;
    (void)pthread_mutex_lock(&admission->lock);
    bool welcome = !ticket->leaving || stay(admission, ticket);
    crowd_leave(&admission->idle, &ticket->place);
    (void)pthread_mutex_unlock(&admission->lock);
    return welcome;
}

void admission_idle(struct admission *admission, struct admission_ticket *ticket)
{
    if (ticket->kind != ADMISSION_ANONYMOUS)
        return;
    (void)pthread_mutex_lock(&admission->lock);
    /* Out of memory: then it is not made to leave, which does no harm. */
    if (ticket->inside && !ticket->leaving && ticket->place.group == NULL)
        (void)crowd_join(&admission->idle, &ticket->place, ticket->group.bytes, ticket->group.size,
                         clock_now_ms());
    (void)pthread_mutex_unlock(&admission->lock);
}

void admission_leave(struct admission *admission, struct admission_ticket *ticket)
{
    (void)pthread_mutex_lock(&admission->lock);
    crowd_leave(crowd_of(admission, ticket), &ticket->place);
    tally_drop(ticket->address);
    if (ticket->leaving) {
        list_remove(&ticket->to_leave);
        admission->leaving--;
    } else if (ticket->inside) {
        admission->count--;
    }
    if (ticket->refused)
        admission->refused--;
    (void)pthread_mutex_unlock(&admission->lock);
    *ticket = (struct admission_ticket){.kind = ADMISSION_KNOWN};
}

size_t admission_count(struct admission *admission)
{
    (void)pthread_mutex_lock(&admission->lock);
    size_t count = admission->count + admission->leaving;
    (void)pthread_mutex_unlock(&admission->lock);
    return count;
}

size_t admission_unauthenticated(struct admission *admission)
{
    (void)pthread_mutex_lock(&admission->lock);
    size_t count = admission->strangers.count;
    (void)pthread_mutex_unlock(&admission->lock);
    return count;
}
