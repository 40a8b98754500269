/* The tutorial's §12: each datagram comes back in upper case.
 *
 * Owns:    the listener that was given to it.
 * Threads: its worker's.
 * Blocks:  never.
 * Limits:  udp_rate_per_second answers; other datagrams are dropped. Source ports below 1024 and
 *          our own port are not answered, so that no one can make two servers echo to each other.
 */
#ifndef SERVER_PROTOCOL_UDP_UPPER_H
#define SERVER_PROTOCOL_UDP_UPPER_H

#include "net/listener.h"
#include "server/worker.h"

struct udp_upper;

/* Takes over `listener` (*moved*, also on failure); the worker's thread enters it in worker->udp
 * and serves it. From the acceptor. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status udp_upper_begin(struct worker *worker, struct listener *listener,
                                 struct afar_error *err);

/* Frees all of the list that begins with `first` (worker->udp). In the worker's thread. NULL is
 * fine. */
void udp_upper_free(struct udp_upper *first);

#endif
