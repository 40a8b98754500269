/* A network that is lost again and again: a proxy for any number of connections, one after another
 * or at once, that cuts them.
 *
 *     cutter = cutter_start(port, &plan);
 *     … clients connect to cutter_port(cutter) …
 *     cutter_stop(cutter, &result);
 *
 * Owns:    its sockets and a thread with a poll loop.
 * Threads: one of its own; cutter_cut and its like from any.
 * Blocks:  cutter_stop, for that thread's last turn.
 * Limits:  CUTTER_LINKS_MAX connections at once; 64 KiB under way each way. */
#ifndef SUPPORT_CUTTER_H
#define SUPPORT_CUTTER_H

#include <stdint.h>

enum { CUTTER_LINKS_MAX = 64 };

struct cutter_plan {
    unsigned cuts;       /* so many of the connections are cut, … */
    unsigned most_bytes; /* … each after 1 to so many bytes, both ways together */
    uint64_t seed;
};

struct cutter;

/* Between clients and 127.0.0.1:`port`. Fails the test where it cannot. */
struct cutter *cutter_start(uint16_t port, const struct cutter_plan *plan);
uint16_t cutter_port(const struct cutter *cutter);

/* Cuts all connections that there are. */
void cutter_cut(struct cutter *cutter);

/* Of the connections that there are nothing comes any more, to either side, not even an end. */
void cutter_silence(struct cutter *cutter);

/* The same of those to come too, which are accepted. */
void cutter_swallow(struct cutter *cutter);

/* From now on nobody is accepted, and nobody refused: packets that would open a connection are lost.
 * What there is goes on. For good. */
void cutter_deafen(struct cutter *cutter);

/* From now on connections are accepted and closed at once; or not any more. */
void cutter_refuse(struct cutter *cutter, int refuse);

/* So many connections have been accepted. */
unsigned cutter_count(const struct cutter *cutter);

struct cutter_result {
    unsigned connections;
    unsigned cuts; /* of the plan, carried out */
};

void cutter_stop(struct cutter *cutter, struct cutter_result *result);

#endif
