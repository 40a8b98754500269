/* A network with long delays: a relay for any number of TCP connections in which each byte arrives
 * a fixed time after it was sent. It can hold all data on the way, so it does not slow a sender
 * down.
 *
 * It counts round trips: what the client sends after it has received something of trip n belongs to
 * trip n + 1, and so does the server's answer to that. The count is the number of round trips that
 * were waited for if everything else takes no time; on a slow machine it is never more than the
 * time allows.
 *
 * Owns:    its sockets, and a thread with a poll loop.
 * Threads: its own; all functions may be called from any.
 * Blocks:  far_stop, for that thread's last turn.
 * Limits:  FAR_LINKS_MAX connections at a time; FAR_BYTES on the way in each direction. */
#ifndef SUPPORT_FAR_H
#define SUPPORT_FAR_H

#include <stddef.h>
#include <stdint.h>

enum { FAR_LINKS_MAX = 32, FAR_BYTES = 256 << 20 };

struct far;

/* Relays to 127.0.0.1:`port`, with a delay of `one_way_us` in each direction. NULL: see errno. */
struct far *far_start(uint16_t port, int64_t one_way_us);
uint16_t far_port(const struct far *far);

/* The round trips so far of the connection with the most. */
unsigned far_trips(const struct far *far);

/* Cuts all existing connections; data on the way is lost. */
void far_cut(struct far *far);

void far_stop(struct far *far);

#endif
