/* The functions that a kind of transport implements. `judge` may be NULL: every peer is accepted.
 * `begin` may be NULL: a receive costs no more than the bytes it returns. For src/net/, src/tls/
 * and the tests' in-memory transport; others use transport.h, whose contracts these functions
 * fulfil.
 *
 * An implementation embeds `struct transport` as its first member. */
#ifndef NET_TRANSPORT_OPS_H
#define NET_TRANSPORT_OPS_H

#include "net/transport.h"

struct peer;

struct transport_ops {
    enum afar_status (*handshake)(struct transport *, struct afar_error *);
    /* Called before a step of the handshake, a receive, or several receives that fill one buffer:
     * the cost that the peer can cause is counted from here on. */
    void (*begin)(struct transport *);
    enum afar_status (*recv)(struct transport *, void *, size_t, size_t *, struct afar_error *);
    enum afar_status (*send)(struct transport *, const void *, size_t, size_t *,
                             struct afar_error *);
    bool (*pending)(const struct transport *);
    void (*shutdown)(struct transport *);
    void (*identity)(const struct transport *, struct identity *);
    /* Sets peer->kind and adds all names: peer.h. */
    enum afar_status (*peer)(const struct transport *, struct peer *, struct afar_error *);
    const char *(*alpn)(const struct transport *);
    bool (*resumed)(const struct transport *);
    enum afar_status (*judge)(struct transport *, struct tls_context *, struct afar_error *);
    void (*free)(struct transport *); /* frees the implementation; transport_free closes the
                                         descriptor afterwards */
};

struct transport {
    const struct transport_ops *ops;
    int fd;            /* -1: none (in memory) */
    short recv_events; /* set by the implementation: POLLIN, POLLOUT */
    short send_events;
};

#endif
