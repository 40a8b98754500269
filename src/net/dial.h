/* Connecting to an endpoint.
 *
 * Owns nothing; any thread.
 * Blocks:  until connected, failed or the deadline, which is the resolver's too.
 * Limits:  the deadline; lookup.h's. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdint.h>

#include "net/endpoint.h"

/* Tries the addresses that the host resolves to, in the resolver's order but IPv6 and IPv4 in turn,
 * one more beside the others whenever they take long; the first that answers is it. *fd is
 * non-blocking, close-on-exec, TCP_NODELAY where it is TCP, connected also for udp, and owned by
 * the caller. The error is a line for a person: which address, what happened, what to look at
 * ("cannot connect to tcp://127.0.0.1:7420: Connection refused; is afard running there?").
 * AFAR_ESYSTEM, AFAR_ETIMEDOUT, AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status dial(const struct endpoint *endpoint, int64_t deadline_ms, int *fd,
                      struct afar_error *err);

/* The same, but given up with AFAR_EAGAIN as soon as `stop_fd` can be read (-1: never), which may
 * take a moment while a name is looked up. A Unix socket is not given up. */
enum afar_status dial_unless(const struct endpoint *endpoint, int64_t deadline_ms, int stop_fd,
                             int *fd, struct afar_error *err);

#endif
