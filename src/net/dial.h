/* Connecting to an endpoint.
 *
 * Owns nothing; any thread.
 * Blocks:  until connected, failed or the deadline (resolving a name is not bounded by it).
 * Limits:  the deadline. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdint.h>

#include "net/endpoint.h"

/* Tries each address that the host resolves to, in the resolver's order. *fd is non-blocking,
 * close-on-exec, TCP_NODELAY where it is TCP, connected also for udp, and owned by the caller.
 * The error is a line for a person: which address, what happened, what to look at
 * ("cannot connect to tcp://127.0.0.1:7420: Connection refused; is afard running there?").
 * AFAR_ESYSTEM, AFAR_ETIMEDOUT, AFAR_ENOMEM. */
enum afar_status dial(const struct endpoint *endpoint, int64_t deadline_ms, int *fd,
                      struct afar_error *err);

#endif
