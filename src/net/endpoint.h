/* Endpoint URLs: where to listen or connect, and which protocol is spoken there.
 *
 *     tls://host:port  tcp://host:port  unix:///path  udp://host:port    ?protocol=NAME
 *
 * To listen at every address: no host (tls://:7420), or the host [::] or 0.0.0.0. The first two
 * serve IPv4, too; [::] with ?ipv6only=yes serves only IPv6, as 0.0.0.0 serves only IPv4.
 *
 * Only for listening, with +fd: at a socket that the service manager has opened and passes under
 * that name (inherited.h). The scheme still says what is spoken there.
 *
 *     tls+fd://name  tcp+fd://name  unix+fd://name  udp+fd://name        name:2 is the second of it
 *
 * Owns:    nothing; a plain value.
 * Threads: a value, copied freely.
 * Blocks:  never; listener and dial resolve names.
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
    ENDPOINT_INHERITED_MAX = 64, /* twice the number of listeners allowed */
    ENDPOINT_URL_BYTES = 400     /* enough for any endpoint's URL and its NUL */
};

struct endpoint {
    enum endpoint_scheme scheme;
    enum endpoint_protocol protocol;
    bool inherited; /* +fd: host is the socket's name, port its number under that name, from 1 */
    bool ipv6_only; /* listen at every IPv6 address, but at none of IPv4 */
    uint16_t port;  /* 0: the kernel chooses (listening only) */
    char host[ENDPOINT_HOST_BYTES]; /* name or address without brackets; "" for unix */
    char path[ENDPOINT_PATH_BYTES]; /* "" unless unix */
    /* Not part of the URL, and for connecting only: */
    int family;                       /* AF_INET or AF_INET6: use only this; 0: either */
    char local[ENDPOINT_LOCAL_BYTES]; /* connect from this address; "": any */
};

/* Parses a URL. Without a scheme, `host` or `host:port` (or `[v6]:port`) means tls. Defaults: port
 * 7420, protocol afar, but upper for udp. AFAR_EINVAL: err says what is wrong and what was
 * expected; among others: udp with a protocol other than upper, a port above 65535, an IPv6 address
 * without brackets, an unknown parameter, a relative unix path. */
enum afar_status endpoint_parse(struct endpoint *endpoint, const char *url, struct afar_error *err);

/* Writes the URL; parsing it gives the same endpoint. Omits the protocol if it is the default,
 * never the port. `size` of ENDPOINT_URL_BYTES always suffices. */
void endpoint_format(const struct endpoint *endpoint, char *url, size_t size);

/* True if the host is the unspecified IPv6 address [::], in any notation. */
bool endpoint_is_any6(const struct endpoint *endpoint);

/* "afar", "headed", "sized", "upper"; and back. AFAR_EINVAL: the name is not one of these. */
const char *endpoint_protocol_name(enum endpoint_protocol protocol);
enum afar_status endpoint_protocol_parse(const char *name, enum endpoint_protocol *protocol,
                                         struct afar_error *err);

#endif
