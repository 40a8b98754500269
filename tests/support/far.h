/* A network with long ways: a relay for any number of TCP connections in which each byte arrives so
 * much later than it was sent, and nothing else happens. It has room for all that is on its way, so it
 * does not slow a sender down.
 *
 * It counts round trips: what comes from the client after something of trip n has been given to it is
 * of trip n + 1, and so is the server's answer to that. So many round trips have been waited for, as
 * long as the rest takes no time; however slow a machine is, never more than the time allows.
 *
 * Owns:    its sockets and a thread with a poll loop.
 * Threads: one of its own; all calls from any.
 * Blocks:  far_stop, for that thread's last turn.
 * Limits:  FAR_LINKS_MAX connections at once; FAR_BYTES on their way each way. */
#ifndef SUPPORT_FAR_H
#define SUPPORT_FAR_H

#include <stddef.h>
#include <stdint.h>

enum { FAR_LINKS_MAX = 32, FAR_BYTES = 256 << 20 };

struct far;

/* Between clients and 127.0.0.1:`port`: `one_way_us` each way. NULL: it cannot, see errno. */
struct far *far_start(uint16_t port, int64_t one_way_us);
uint16_t far_port(const struct far *far);

/* Of the connection that has had the most; so far, from 0. */
unsigned far_trips(const struct far *far);

/* Cuts all connections that there are; what is on its way is lost. */
void far_cut(struct far *far);

void far_stop(struct far *far);

#endif
