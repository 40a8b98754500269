/* The addresses of a host's name, within a deadline: getaddrinfo(3) has none.
 *
 * Owns:    the list is the caller's.
 * Threads: any. A name that needs the resolver is looked up by a thread of its own. One that is
 *          given up goes on until the resolver gives up too; it needs nothing of its caller's.
 * Blocks:  until the deadline at most; without one, as long as getaddrinfo does.
 * Limits:  LOOKUPS_MAX such threads in a process at a time. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>
#include <stdint.h>

#include "base/error.h"
#include "net/endpoint.h"

/* Each ends when the resolver gives up: after some 10 s for each server that resolv.conf(5) names.
 */
enum { LOOKUPS_MAX = 32 };

/* As address_resolve for connecting. AFAR_ETIMEDOUT: no answer by the deadline. AFAR_EAGAIN:
 * `stop_fd` (-1: none) can be read, which is looked at ten times a second. AFAR_ELIMIT: too many
 * names are being looked up. */
enum afar_status lookup_addresses(const struct endpoint *endpoint, int64_t deadline_ms, int stop_fd,
                                  struct addrinfo **list, struct afar_error *err);

#endif
