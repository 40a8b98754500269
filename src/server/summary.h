/* Sums up log lines that a peer could cause without end: in each minute the first few lines of each
 * kind and peer are written when they come, the others are counted, and at the minute's end one
 * line says how many there were. The same counts slow down a client that has very many requests
 * refused.
 *
 * Owns:    its counts.
 * Threads: any, except summary_at, summary_leave and summary_end: see there. One mutex, off the
 *          data path, never held while a line is written.
 * Blocks:  never, but summary_end, which may wait for the audit log's disk.
 * Limits:  SUMMARY_WHO_MAX peers are told apart within SUMMARY_PERIOD_MS; all others share one sum
 *          for each kind. How many lines a minute: see the table in summary.c. */
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
    SUMMARY_WHO_BYTES = 384, /* an identity and an address */
    /* Beyond the free ones, refusals of one client are spread this far apart; at most so much is
     * waited. */
    SUMMARY_PACE_MS = 100,
    SUMMARY_PACE_MAX_MS = 10000
};

enum summary_kind {
    SUMMARY_HANDSHAKE_FAILED, /* logged in the audit log, too, as is … */
    SUMMARY_REFUSED,          /* … a connection for which there was no room */
    SUMMARY_OPENED,           /* a connection, as are the next two */
    SUMMARY_CLOSED,
    SUMMARY_PAUSED,     /* the acceptor has paused */
    SUMMARY_COMPLAINT,  /* a request that is wrong, or refused */
    SUMMARY_AUDIT_LOST, /* a lost line of the audit log */
    SUMMARY_KINDS
};

struct summary;

/* Free with summary_free. NULL: out of memory. */
struct summary *summary_new(void);
void summary_free(struct summary *summary);

/* Sets the worker that writes the sums; before its thread starts. AFAR_ENOMEM. summary_leave: when
 * that worker is freed; does nothing for another one. */
enum afar_status summary_at(struct summary *summary, struct worker *worker, struct afar_error *err);
void summary_leave(struct summary *summary, const struct worker *worker);

/* Writes the sums that are left, after all other threads have ended. NULL is fine. */
void summary_end(struct summary *summary, struct server_shared *shared);

/* Makes the text by which a peer's lines are summed up: "CN=build-7 from 192.0.2.1", or, without an
 * identity (NULL), the address alone. */
void summary_who(char who[SUMMARY_WHO_BYTES], const char *identity,
                 const struct address_group *group);

/* Counts a line of that kind that `who` has caused. True: write it; false: it is summed up. */
bool summary_count(struct summary *summary, enum summary_kind kind, const char *who);

/* The same for a line that is only summed up. */
void summary_add(struct summary *summary, enum summary_kind kind, const char *who);

/* Counts a refused request of `who`, and returns for how many ms its connection must not be read.
 * The first `free` in a minute cost nothing (`free` 0: none ever does). */
int64_t summary_pace(struct summary *summary, const char *who, uint64_t free);

/* The same for a new connection of `who`, without counting one: a tenth, as the connection may
 * belong to another program there. */
int64_t summary_pace_now(struct summary *summary, const char *who, uint64_t free);

#endif
