/* Socket addresses: resolving, showing, and judging them.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  address_resolve, as long as getaddrinfo(3) does; the rest never.
 * Limits:  ADDRESS_TEXT_BYTES. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "net/endpoint.h"

enum { ADDRESS_TEXT_BYTES = 128 };

/* Resolves host and port of a tls, tcp or udp endpoint. *list is owned by the caller:
 * freeaddrinfo. `passive`: for bind(2), where an empty host means every address. "localhost" and
 * names below it are the loopback's addresses, as RFC 6761 wants it; for bind(2) only where the
 * resolver does not know them. AFAR_ESYSTEM: the resolver's own words, with the host's name. */
enum afar_status address_resolve(const struct endpoint *endpoint, bool passive,
                                 struct addrinfo **list, struct afar_error *err);

/* False: address_resolve asks no resolver about this host, for connecting: an address, or
 * localhost. */
bool address_needs_resolver(const char *host);

/* "127.0.0.1:7420", "[::1]:7420", "unix" or "unix:/path". */
void address_format(const struct sockaddr *address, socklen_t size, char *text, size_t text_size);

/* True for 127.0.0.0/8, ::1, their IPv4-mapped forms, and Unix sockets. */
bool address_is_loopback(const struct sockaddr *address);

/* Whom connections are counted by: an IPv4 address, or the first 64 bits of an IPv6 one, because a
 * single host commands all of such a network (RFC 6177); a user, of a Unix socket. Size 0: none. */
enum { ADDRESS_GROUP_BYTES = 8 };
struct address_group {
    uint8_t bytes[ADDRESS_GROUP_BYTES];
    size_t size;
};
void address_group(const struct sockaddr *address, struct address_group *group);
void address_group_user(uid_t user, struct address_group *group);

/* "192.0.2.1", "2001:db8:1:2::/64", "uid 1000"; "unix" of none. */
void address_group_format(const struct address_group *group, char *text, size_t size);

/* The port, or 0 where the family has none. */
uint16_t address_port(const struct sockaddr *address);

#endif
