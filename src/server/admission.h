/* Which connections may come in: counts them in all, by source address, and those whose peer has
 * not yet authenticated. When no place is left, a newcomer gets the place of an unauthenticated
 * connection, so that peers without a name cannot lock out those that have one.
 *
 * There are three kinds of connections; only the first two are ever made to leave:
 *   strangers  in the middle of their handshake
 *   anonymous  plain TCP, whose peers never authenticate: only while no request is under way
 *   known      authenticated by a certificate, or by their uid
 *
 * Among the strangers, the oldest leaves if it has had ADMISSION_FAIR_MS; otherwise the oldest of
 * the address that has the most. So a handshake that takes less time than that is left alone unless
 * max_unauthenticated newcomers arrive meanwhile, from at least as many addresses as there are
 * places.
 *
 * Owns:    its counts. A struct admission_ticket lies inside its connection and must not move.
 * Threads: any; one mutex, off the data path, held while a mail is posted, never across a callback.
 *          admission_enter from the acceptor; admission_ticket_at from the thread that owns the
 *          connection.
 * Blocks:  never.
 * Limits:  those of the configuration given to each admission_enter, so that a reload takes effect
 *          immediately; and at most ADMISSION_LEAVING_MAX connections that were told to leave and
 *          have not left yet. */
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
    /* Refused connections that may exist at a time to be told why; more are just closed. */
    ADMISSION_REFUSED_MAX = 64,
    /* When so many have been told to leave and are still there, no more are told. */
    ADMISSION_LEAVING_MAX = 1024,
    /* What a handshake takes over a bad line: five round trips of 200 ms. */
    ADMISSION_FAIR_MS = 1000
};

struct admission;

enum admission_kind { ADMISSION_STRANGER, ADMISSION_ANONYMOUS, ADMISSION_KNOWN };

/* Tells a worker which of its connections must leave. The worker owns it. */
struct admission_exit {
    struct list tickets; /* guarded by the admission's mutex, as is … */
    bool posted;         /* … whether the mail is under way */
    struct mailbox *mailbox;
    struct mail mail; /* to the worker, which then calls admission_next_to_leave */
};

struct admission_ticket {
    struct address_group group;  /* the address that it is counted by; fixed */
    enum admission_kind kind;    /* guarded by the mutex, like all that follows */
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
    ADMISSION_REFUSED, /* one of the ADMISSION_REFUSED_MAX: tell it why, then close */
    ADMISSION_DROPPED  /* just close */
};

/* NULL: out of memory. */
struct admission *admission_new(void);
void admission_free(struct admission *admission);

void admission_exit_init(struct admission_exit *way_out, struct mailbox *mailbox,
                         void (*deliver)(struct mail *));

/* Asks for a place for a connection of that kind from that address, and fills in *ticket. *limit:
 * the limit that was reached, also if another connection leaves for this one; COUNTERS: none. A
 * ticket that was granted or refused must be given back with admission_leave. */
enum admission_verdict admission_enter(struct admission *admission, const struct config *config,
                                       const struct address_group *address,
                                       enum admission_kind kind, struct admission_ticket *ticket,
                                       enum counter *limit);

/* The connection now belongs to the worker of `way_out`. Before it is posted there. */
void admission_ticket_at(struct admission_ticket *ticket, struct admission_exit *way_out);

/* For the worker, when the mail has come: its next connection that must leave. Call it until it
 * returns NULL. */
struct admission_ticket *admission_next_to_leave(struct admission *admission,
                                                 struct admission_exit *way_out);

/* A stranger has authenticated. False: its place was given to another connection, and no other is
 * free. */
bool admission_authenticated(struct admission *admission, struct admission_ticket *ticket);

/* A request begins, or has ended; only anonymous connections are affected. False: the connection
 * was told to leave before, and the request must not begin. */
bool admission_busy(struct admission *admission, struct admission_ticket *ticket);
void admission_idle(struct admission *admission, struct admission_ticket *ticket);

/* Gives the ticket back. Doing so twice, or for one that was not granted, does no harm. */
void admission_leave(struct admission *admission, struct admission_ticket *ticket);

/* Connections that are open now; and those of them in their handshake. */
size_t admission_count(struct admission *admission);
size_t admission_unauthenticated(struct admission *admission);

#endif
