/* Resolves a host name within a deadline, which getaddrinfo(3) does not offer.
 *
 * Owns:    the caller owns the list.
 * Threads: any. A name that needs the resolver is looked up by a separate thread. An abandoned
 *          look-up goes on until the resolver gives up; it uses nothing of its caller.
 * Blocks:  until the deadline at most; without one, as long as getaddrinfo does.
 * Limits:  LOOKUPS_MAX such threads in a process at a time. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>
#include <stdint.h>

#include "base/error.h"
#include "net/endpoint.h"

/* The resolver gives up after about 10 s for each server in resolv.conf(5). */
enum { LOOKUPS_MAX = 32 };

/* As address_resolve without `passive`. AFAR_ETIMEDOUT: no answer by the deadline. AFAR_EAGAIN:
 * `stop_fd` (-1: none) became readable, which is checked ten times a second, but not without a
 * deadline. AFAR_ELIMIT: too many names are being looked up. AFAR_ESYSTEM: no thread could be
 * started. */
enum afar_status lookup_addresses(const struct endpoint *endpoint, int64_t deadline_ms, int stop_fd,
                                  struct addrinfo **list, struct afar_error *err);

#endif
