/* The tutorial's §12: each datagram comes back in upper case.
 *
 * Owns:    the listener that it was given.
 * Threads: its worker's.
 * Blocks:  never.
 * Limits:  udp_rate_per_second answers; the rest is dropped. Not answered: source ports below 1024
 *          and our own, so that nobody can set two servers to echo at each other. */
#ifndef SERVER_PROTOCOL_UDP_UPPER_H
#define SERVER_PROTOCOL_UDP_UPPER_H

#include "net/listener.h"
#include "server/worker.h"

struct udp_upper;

/* Takes over `listener` (*moved*, also on failure) and hangs itself into worker->udp. From the
 * acceptor; the rest happens in the worker's thread. AFAR_ENOMEM. */
enum afar_status udp_upper_begin(struct worker *worker, struct listener *listener,
                                 struct afar_error *err);

/* All of them, `first` being worker->udp. In the worker's thread. */
void udp_upper_free(struct udp_upper *first);

#endif
