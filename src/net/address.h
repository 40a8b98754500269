/* Socket addresses: resolving, printing and classifying them.
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

/* Resolves host and port of a tls, tcp or udp endpoint. The caller frees *list with freeaddrinfo.
 * `passive`: for bind(2); then an empty host means every address. "localhost" and names below it
 * resolve to the loopback addresses, as RFC 6761 requires; with `passive` only if the resolver does
 * not know them. AFAR_ESYSTEM: the resolver's message, with the host's name. AFAR_EINVAL: no host,
 * and not passive. AFAR_ENOMEM. AFAR_EBUG: a unix endpoint. */
enum afar_status address_resolve(const struct endpoint *endpoint, bool passive,
                                 struct addrinfo **list, struct afar_error *err);

/* True if address_resolve without `passive` asks a resolver about this host: it is neither a
 * numeric address nor localhost. */
bool address_needs_resolver(const char *host);

/* "127.0.0.1:7420", "[::1]:7420", "unix" or "unix:/path". */
void address_format(const struct sockaddr *address, socklen_t size, char *text, size_t text_size);

/* True for 127.0.0.0/8, ::1, their IPv4-mapped forms, and Unix sockets. */
bool address_is_loopback(const struct sockaddr *address);

/* By what connections are counted: an IPv4 address; the first 64 bits of an IPv6 address, because
 * one host controls such a network (RFC 6177); the user of a Unix socket. Size 0: not counted. */
enum { ADDRESS_GROUP_BYTES = 8 };
struct address_group {
    uint8_t bytes[ADDRESS_GROUP_BYTES];
    size_t size;
};
void address_group(const struct sockaddr *address, struct address_group *group);
void address_group_user(uid_t user, struct address_group *group);

/* Writes "192.0.2.1", "2001:db8:1:2::/64", "uid 1000"; "unix" if the size is 0. */
void address_group_format(const struct address_group *group, char *text, size_t size);

/* The port; 0 if the address family has none. */
uint16_t address_port(const struct sockaddr *address);

#endif
