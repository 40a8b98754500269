/* What a kind of transport implements; `judge` may be NULL: no peer is ever refused. So may
 * `begin`: a receive costs what it gives, and no more. For src/net/ and for the tests' in-memory
 * transport; everyone else uses transport.h, whose contracts these functions fulfil.
 *
 * An implementation embeds `struct transport` as its first member. */
#ifndef NET_TRANSPORT_OPS_H
#define NET_TRANSPORT_OPS_H

#include "net/transport.h"

struct peer;

struct transport_ops {
    enum afar_status (*handshake)(struct transport *, struct afar_error *);
    /* Before a handshake's step, a receive, or several that fill one buffer: what the peer can make
     * them cost is counted from here on. */
    void (*begin)(struct transport *);
    enum afar_status (*recv)(struct transport *, void *, size_t, size_t *, struct afar_error *);
    enum afar_status (*send)(struct transport *, const void *, size_t, size_t *,
                             struct afar_error *);
    bool (*pending)(const struct transport *);
    void (*shutdown)(struct transport *);
    void (*identity)(const struct transport *, struct identity *);
    /* Sets the kind and adds all names: peer.h. */
    enum afar_status (*peer)(const struct transport *, struct peer *, struct afar_error *);
    const char *(*alpn)(const struct transport *);
    bool (*resumed)(const struct transport *);
    enum afar_status (*judge)(struct transport *, struct tls_context *, struct afar_error *);
    void (*free)(struct transport *); /* frees the implementation; the descriptor is closed after */
};

struct transport {
    const struct transport_ops *ops;
    int fd;            /* -1: none (in memory) */
    short recv_events; /* kept by the implementation: POLLIN, POLLOUT */
    short send_events;
};

#endif
