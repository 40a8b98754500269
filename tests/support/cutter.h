/* A network that fails repeatedly: a proxy for any number of connections, one after another or at
 * the same time, that cuts them.
 *
 *     cutter = cutter_start(port, &plan);
 *     … clients connect to cutter_port(cutter) …
 *     cutter_stop(cutter, &result);
 *
 * Owns:    its sockets, and a thread with a poll loop.
 * Threads: its own; cutter_cut and the like may be called from any.
 * Blocks:  cutter_stop, for that thread's last turn.
 * Limits:  CUTTER_LINKS_MAX connections at a time; 64 KiB buffered in each direction. */
#ifndef SUPPORT_CUTTER_H
#define SUPPORT_CUTTER_H

#include <stdint.h>

enum { CUTTER_LINKS_MAX = 64 };

struct cutter_plan {
    unsigned cuts;       /* the first connections, this many, are cut */
    unsigned most_bytes; /* each after 1 to this many bytes of both directions */
    uint64_t seed;
};

struct cutter;

/* Proxies to 127.0.0.1:`port`. Fails the test if it cannot. */
struct cutter *cutter_start(uint16_t port, const struct cutter_plan *plan);
uint16_t cutter_port(const struct cutter *cutter);

/* Cuts all existing connections. */
void cutter_cut(struct cutter *cutter);

/* Stops forwarding on all existing connections: neither side gets data or an end any more. */
void cutter_silence(struct cutter *cutter);

/* The same also for new connections, which are accepted. */
void cutter_swallow(struct cutter *cutter);

/* Neither accepts nor refuses new connections: their SYN packets are lost. Existing connections
 * continue. Cannot be undone. */
void cutter_deafen(struct cutter *cutter);

/* Resets new connections immediately; `refuse` 0: accepts them again. */
void cutter_refuse(struct cutter *cutter, int refuse);

/* How many connections have been accepted. */
unsigned cutter_count(const struct cutter *cutter);

struct cutter_result {
    unsigned connections;
    unsigned cuts; /* cuts that were made */
};

void cutter_stop(struct cutter *cutter, struct cutter_result *result);

#endif
