/* Connecting to an endpoint.
 *
 * Owns nothing; any thread.
 * Blocks:  until connected, failed or the deadline, which includes resolving the name.
 * Limits:  the deadline; lookup.h's. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdint.h>

#include "net/endpoint.h"

/* Connects to an address of the endpoint's host (RFC 8305). Tries those of endpoint->family, from
 * endpoint->local, in the resolver's order but alternating between IPv6 and IPv4; starts another
 * attempt in parallel whenever the earlier ones take long, and uses the first that succeeds. The
 * caller owns *fd: non-blocking, close-on-exec, TCP_NODELAY if it is TCP, and connected for udp,
 * too.
 *
 * After an error err has one line for people: which address, what happened, what to check ("cannot
 * connect to tcp://127.0.0.1:7420: Connection refused; is afard running there?"). AFAR_ESYSTEM,
 * AFAR_ETIMEDOUT, AFAR_ELIMIT, AFAR_ENOMEM. AFAR_EINVAL: the endpoint is inherited or has no
 * host. */
enum afar_status dial(const struct endpoint *endpoint, int64_t deadline_ms, int *fd,
                      struct afar_error *err);

/* The same, but fails with AFAR_EAGAIN soon after `stop_fd` becomes readable (-1: never).
 * Connecting to a Unix socket, and a look-up without a deadline, are not interrupted. */
enum afar_status dial_unless(const struct endpoint *endpoint, int64_t deadline_ms, int stop_fd,
                             int *fd, struct afar_error *err);

#endif
