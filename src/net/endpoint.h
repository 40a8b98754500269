/* Endpoint URLs: where to listen or connect, and what to speak there.
 *
 *     tls://host:port  tcp://host:port  unix:///path  udp://host:port    ?protocol=NAME
 *
 * To listen at every address: no host (tls://:7420), or [::] or 0.0.0.0 as the host. The first two
 * serve IPv4 too; [::] with ?ipv6only=yes serves IPv6 alone, as 0.0.0.0 does IPv4.
 *
 * To listen only: the same with +fd, at a socket that the service manager has opened and hands over
 * by that name (inherited.h). The scheme says what is spoken there all the same.
 *
 *     tls+fd://name  tcp+fd://name  unix+fd://name  udp+fd://name        name:2 is the second of it
 *
 * Owns:    nothing; a plain value.
 * Threads: a value, copied freely.
 * Blocks:  never; names are resolved by listener and dial.
 * Limits:  a host of 255 bytes (RFC 1035 §2.3.4), a path of 107 (unix(7), sun_path). */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum endpoint_scheme { ENDPOINT_TLS, ENDPOINT_TCP, ENDPOINT_UNIX, ENDPOINT_UDP };

/* `afar` is the native protocol (src/wire/PROTOCOL.md); the others are the tutorial's. */
enum endpoint_protocol { PROTOCOL_AFAR, PROTOCOL_HEADED, PROTOCOL_SIZED, PROTOCOL_UPPER };

enum {
    ENDPOINT_DEFAULT_PORT = 7420,
    ENDPOINT_HOST_BYTES = 256,
    ENDPOINT_PATH_BYTES = 108,
    ENDPOINT_LOCAL_BYTES = 64,
    ENDPOINT_INHERITED_MAX = 64, /* twice as many sockets as there may be listeners */
    ENDPOINT_URL_BYTES = 400     /* any endpoint written out, and a NUL */
};

struct endpoint {
    enum endpoint_scheme scheme;
    enum endpoint_protocol protocol;
    bool inherited; /* +fd: host is the socket's name, port which one of it, from 1 */
    bool ipv6_only; /* every address of IPv6 and none of IPv4 (listening only) */
    uint16_t port;  /* 0: the kernel chooses (listening only) */
    char host[ENDPOINT_HOST_BYTES]; /* name or address without brackets; "" for unix */
    char path[ENDPOINT_PATH_BYTES]; /* "" unless unix */
    /* No part of the URL, and for connecting only: */
    int family;                       /* AF_INET or AF_INET6: by this one only; 0: either */
    char local[ENDPOINT_LOCAL_BYTES]; /* from this address; "": any */
};

/* Reads a URL. Without a scheme, `host` or `host:port` (or `[v6]:port`) means tls. Port 7420 where
 * none is given; protocol afar where none is given, upper for udp. AFAR_EINVAL says what is wrong
 * and what was expected; among others: udp with another protocol than upper, a port beyond 65535,
 * an IPv6 address without brackets, an unknown parameter, a relative unix path. */
enum afar_status endpoint_parse(struct endpoint *endpoint, const char *url, struct afar_error *err);

/* Writes the URL; parsing it gives the same endpoint. The protocol is left out where it is what
 * parsing would assume, the port never. `size` of ENDPOINT_URL_BYTES always suffices. */
void endpoint_format(const struct endpoint *endpoint, char *url, size_t size);

/* True for a host that is every address of IPv6: [::], however it is written. */
bool endpoint_is_any6(const struct endpoint *endpoint);

/* "afar", "headed", "sized", "upper". */
const char *endpoint_protocol_name(enum endpoint_protocol protocol);
enum afar_status endpoint_protocol_parse(const char *name, enum endpoint_protocol *protocol,
                                         struct afar_error *err);

#endif
