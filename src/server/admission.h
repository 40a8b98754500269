/* Who may come in: counts the connections in all, by source address, and those whose peer has not
 * yet shown who it is. Where there is no place left, a newcomer gets that of somebody who has shown
 * nothing, so that peers without a name cannot lock out those who have one.
 *
 * There are three kinds of connections, and only the first two are ever made to leave:
 *   strangers  in the middle of their handshake
 *   anonymous  plain TCP, whose peers never show who they are: while they have no request under way
 *   known      by their certificate, or by their uid
 *
 * Of the strangers the oldest leaves, if it has had ADMISSION_FAIR_MS; sooner than that, the oldest
 * of the address that has the most. So a handshake that takes less time than that is not disturbed
 * as long as fewer than max_unauthenticated newcomers come within it, or they come from fewer
 * addresses than there are places.
 *
 * Owns:    its counts. A struct admission_ticket lies inside its connection, and is not moved.
 * Threads: any; one mutex, off the data path, held while a mail is posted, never across a callback.
 *          admission_enter and admission_ticket_at from the acceptor's thread.
 * Blocks:  never.
 * Limits:  those that it is given at each call, so that a reload takes effect at once; besides,
 *          ADMISSION_LEAVING_MAX that have been told to leave and are still there. */
#ifndef SERVER_ADMISSION_H
#define SERVER_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>

#include "net/address.h"
#include "policy/config.h"
#include "stats/counters.h"
#include "server/crowd.h"
#include "loop/mailbox.h"

enum {
    /* Refused connections that may be told so at once; more are closed without a word. */
    ADMISSION_REFUSED_MAX = 64,
    /* The workers are so many behind: more room is not made. */
    ADMISSION_LEAVING_MAX = 1024,
    /* What a handshake takes over a bad line: five round trips of 200 ms. */
    ADMISSION_FAIR_MS = 1000
};

struct admission;

enum admission_kind { ADMISSION_STRANGER, ADMISSION_ANONYMOUS, ADMISSION_KNOWN };

/* Where a worker hears which of its connections are to leave; it owns it. */
struct admission_exit {
    struct list tickets; /* guarded by the admission, as is … */
    bool posted;         /* … whether the mail is under way */
    struct mailbox *mailbox;
    struct mail mail; /* deliver: set by the worker, which then asks admission_next_to_leave */
};

struct admission_ticket {
    struct address_group group;  /* whom it is counted by; fixed */
    enum admission_kind kind;    /* guarded by the admission, like all that follows */
    struct crowd_member place;   /* among those that can be made to leave */
    struct tally_entry *address; /* NULL: not counted by address */
    struct admission_exit *exit; /* NULL: its worker is not yet known */
    struct list to_leave;
    bool inside;
    bool refused;
    bool leaving;
};

enum admission_verdict {
    ADMISSION_GRANTED,
    ADMISSION_REFUSED, /* the ticket is one of the ADMISSION_REFUSED_MAX: say a word, then close */
    ADMISSION_DROPPED  /* just close */
};

/* NULL: out of memory. */
struct admission *admission_new(void);
void admission_free(struct admission *admission);

void admission_exit_init(struct admission_exit *way_out, struct mailbox *mailbox,
                         void (*deliver)(struct mail *));

/* Asks for a place for a connection of that kind, from that address. *limit: the limit that was
 * met, also where somebody else has to leave for it; COUNTERS: none. A ticket that is granted or
 * refused must be given back by admission_leave. */
enum admission_verdict admission_enter(struct admission *admission, const struct config *config,
                                       const struct address_group *address,
                                       enum admission_kind kind, struct admission_ticket *ticket,
                                       enum counter *limit);

/* The ticket's connection is its worker's from now on. */
void admission_ticket_at(struct admission_ticket *ticket, struct admission_exit *way_out);

/* For the worker, when the mail has come, until there is none (NULL): the next of its tickets that
 * is to leave. */
struct admission_ticket *admission_next_to_leave(struct admission *admission,
                                                 struct admission_exit *way_out);

/* A stranger is known now. False: its place has been given to somebody else, and there is no other.
 */
bool admission_authenticated(struct admission *admission, struct admission_ticket *ticket);

/* A request begins or has ended; of interest for the anonymous only. False: it was told to leave
 * before, and no request may begin. */
bool admission_busy(struct admission *admission, struct admission_ticket *ticket);
void admission_idle(struct admission *admission, struct admission_ticket *ticket);

/* Once is enough; a ticket that was never granted may be given back too. */
void admission_leave(struct admission *admission, struct admission_ticket *ticket);

/* Connections that are open now, and of these those whose peer is not yet known. */
size_t admission_count(struct admission *admission);
size_t admission_unauthenticated(struct admission *admission);

#endif
