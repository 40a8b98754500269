/* Lines that a peer can cause without end are summed up: of each kind the first few of a peer in a
 * minute are written when they come, the others are counted, and at the minute's end one line says
 * how many there were. The same counts slow down a client that has very many requests refused.
 *
 * Owns:    its counts.
 * Threads: any, but summary_at, summary_leave and summary_end: see there. One mutex, off the data
 *          path, never held while a line is written.
 * Blocks:  never, but summary_end, which may wait for the audit log's disk.
 * Limits:  SUMMARY_WHO_MAX peers are told apart within SUMMARY_PERIOD_MS; what all others cause is
 *          one line for each kind. So many lines a minute: see summary.c's table. */
#ifndef SERVER_SUMMARY_H
#define SERVER_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/address.h"

struct server_shared;
struct worker;

enum {
    SUMMARY_PERIOD_MS = 60000,
    SUMMARY_WHO_MAX = 256,
    SUMMARY_WHO_BYTES = 384, /* a name, and an address */
    /* How far apart refusals of one client are beyond those that are free. */
    SUMMARY_PACE_MS = 100,
    SUMMARY_PACE_MAX_MS = 10000
};

enum summary_kind {
    SUMMARY_HANDSHAKE_FAILED, /* also to the audit log, as is … */
    SUMMARY_REFUSED,          /* … a connection for which there was no room */
    SUMMARY_OPENED,           /* a connection, as are the next two */
    SUMMARY_CLOSED,
    SUMMARY_PAUSED,     /* not accepting */
    SUMMARY_COMPLAINT,  /* a request that is wrong, or refused */
    SUMMARY_AUDIT_LOST, /* a line of the audit log */
    SUMMARY_KINDS
};

struct summary;

/* NULL: out of memory. */
struct summary *summary_new(void);
void summary_free(struct summary *summary);

/* The worker that writes the sums; before its thread starts. Of another one's end nothing is made.
 */
enum afar_status summary_at(struct summary *summary, struct worker *worker, struct afar_error *err);
void summary_leave(struct summary *summary, const struct worker *worker);

/* Writes what is left, when no other thread uses it any more. NULL is fine. */
void summary_end(struct summary *summary, struct server_shared *shared);

/* By whom lines are summed up: "CN=build-7 from 192.0.2.1", or, without a name (NULL), the address
 * alone. */
void summary_who(char who[SUMMARY_WHO_BYTES], const char *identity,
                 const struct address_group *group);

/* `who` has caused a line of that kind. True: write it. */
bool summary_count(struct summary *summary, enum summary_kind kind, const char *who);

/* The same, but it will not be written in any case. */
void summary_add(struct summary *summary, enum summary_kind kind, const char *who);

/* A request of `who` was refused: for how long, in ms, its connection is not to be read. The first
 * `free` within a minute cost nothing; 0: none does. */
int64_t summary_pace(struct summary *summary, const char *who, uint64_t free);

/* The same for a new connection of a peer: a tenth, as it may belong to another program there. */
int64_t summary_pace_now(struct summary *summary, const char *who, uint64_t free);

#endif
