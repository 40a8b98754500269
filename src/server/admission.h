/* Who may come in: counts the connections in all, by source address, and those whose peer has not
 * yet shown who it is.
 *
 * Owns:    its counts. A struct admission_ticket lies inside its connection.
 * Threads: any; one mutex, off the data path, never held across a callback.
 * Blocks:  never.
 * Limits:  those that it is given at each call, so that a reload takes effect at once. */
#ifndef SERVER_ADMISSION_H
#define SERVER_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>

#include "net/address.h"
#include "policy/config.h"
#include "server/counters.h"
#include "server/tally.h"

/* Refused connections that may be told so at once; more are closed without a word. */
enum { ADMISSION_REFUSED_MAX = 64 };

struct admission;

struct admission_ticket {
    struct tally_entry *address; /* NULL: not counted by address */
    bool inside;
    bool unauthenticated;
    bool refused;
};

enum admission_verdict {
    ADMISSION_GRANTED,
    ADMISSION_REFUSED, /* the ticket is one of the ADMISSION_REFUSED_MAX: say a word, then close */
    ADMISSION_DROPPED  /* just close */
};

/* NULL: out of memory. */
struct admission *admission_new(void);
void admission_free(struct admission *admission);

/* Asks for a place for a connection from `address`. Where it is not granted, *limit is the limit
 * that was met. A ticket that is granted or refused must be given back by admission_leave. */
enum admission_verdict admission_enter(struct admission *admission, const struct config *config,
                                       const struct address_group *address,
                                       struct admission_ticket *ticket, enum counter *limit);

/* The peer is known now. */
void admission_authenticated(struct admission *admission, struct admission_ticket *ticket);

/* Once is enough; a ticket that was never granted may be given back too. */
void admission_leave(struct admission *admission, struct admission_ticket *ticket);

/* Connections that are open now, and of these those whose peer is not yet known. */
size_t admission_count(struct admission *admission);
size_t admission_unauthenticated(struct admission *admission);

#endif
