#include "server/admission.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct admission {
    pthread_mutex_t lock;
    struct tally addresses; /* all guarded by lock */
    size_t count;
    size_t unauthenticated;
    size_t refused;
};

struct admission *admission_new(void)
{
    struct admission *admission = calloc(1, sizeof *admission);
    if (admission == NULL)
        return NULL;
    (void)pthread_mutex_init(&admission->lock, NULL);
    tally_init(&admission->addresses);
    return admission;
}

void admission_free(struct admission *admission)
{
    if (admission == NULL)
        return;
    tally_close(&admission->addresses);
    (void)pthread_mutex_destroy(&admission->lock);
    free(admission);
}

/* Whether a limit is met, and which. */
static bool is_full(const struct admission *admission, const struct config *config,
                    const struct address_group *address, enum counter *limit)
{
    uint64_t per_address = config->max_connections_per_address;
    if (admission->count >= config->max_connections)
        *limit = COUNTER_MAX_CONNECTIONS;
    else if (admission->unauthenticated >= config->max_unauthenticated)
        *limit = COUNTER_MAX_UNAUTHENTICATED;
    else if (per_address > 0 && address->size > 0 &&
             tally_count(&admission->addresses, address->bytes, address->size) >= per_address)
        *limit = COUNTER_MAX_CONNECTIONS_PER_ADDRESS;
    else
        return false;
    return true;
}

static enum admission_verdict refuse(struct admission *admission, struct admission_ticket *ticket)
{
    if (admission->refused >= ADMISSION_REFUSED_MAX)
        return ADMISSION_DROPPED;
    admission->refused++;
    ticket->refused = true;
    return ADMISSION_REFUSED;
}

enum admission_verdict admission_enter(struct admission *admission, const struct config *config,
                                       const struct address_group *address,
                                       struct admission_ticket *ticket, enum counter *limit)
{
    enum admission_verdict verdict = ADMISSION_GRANTED;
    *ticket = (struct admission_ticket){0};
    (void)pthread_mutex_lock(&admission->lock);
    if (is_full(admission, config, address, limit)) {
        verdict = refuse(admission, ticket);
        goto out;
    }
    if (address->size > 0) {
        ticket->address = tally_hold(&admission->addresses, address->bytes, address->size);
        if (ticket->address == NULL) { /* no memory for its count is none for the connection */
            *limit = COUNTER_MAX_CONNECTIONS;
            verdict = ADMISSION_DROPPED;
            goto out;
        }
    }
    ticket->inside = ticket->unauthenticated = true;
    admission->count++;
    admission->unauthenticated++;
out:
    (void)pthread_mutex_unlock(&admission->lock);
    return verdict;
}

/* With the lock held. */
static void no_longer_unauthenticated(struct admission *admission, struct admission_ticket *ticket)
{
    if (!ticket->unauthenticated)
        return;
    assert(admission->unauthenticated > 0);
    ticket->unauthenticated = false;
    admission->unauthenticated--;
}

void admission_authenticated(struct admission *admission, struct admission_ticket *ticket)
{
    (void)pthread_mutex_lock(&admission->lock);
    no_longer_unauthenticated(admission, ticket);
    (void)pthread_mutex_unlock(&admission->lock);
}

void admission_leave(struct admission *admission, struct admission_ticket *ticket)
{
    (void)pthread_mutex_lock(&admission->lock);
    no_longer_unauthenticated(admission, ticket);
    tally_drop(ticket->address);
    if (ticket->inside)
        admission->count--;
    if (ticket->refused)
        admission->refused--;
    (void)pthread_mutex_unlock(&admission->lock);
    *ticket = (struct admission_ticket){0};
}

size_t admission_count(struct admission *admission)
{
    (void)pthread_mutex_lock(&admission->lock);
    size_t count = admission->count;
    (void)pthread_mutex_unlock(&admission->lock);
    return count;
}

size_t admission_unauthenticated(struct admission *admission)
{
    (void)pthread_mutex_lock(&admission->lock);
    size_t count = admission->unauthenticated;
    (void)pthread_mutex_unlock(&admission->lock);
    return count;
}
