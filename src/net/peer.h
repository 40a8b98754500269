/* All that is known of who is at the other end of a transport, each name with its kind before it:
 *
 *     uri:spiffe://prod/ci/7  dns:host.example  email:ann@example.com  cn:ann  pin:sha256:…
 *     uid:1000  gid:100
 *     anonymous
 *
 * Owns:    its names.
 * Threads: a value of one thread.
 * Blocks:  never.
 * Limits:  PEER_NAMES_MAX names; who has more is refused. */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "net/transport.h"

enum { PEER_NAMES_MAX = 256 };

struct peer {
    enum identity_kind kind;
    char **names; /* NULL-terminated */
    size_t name_count;
};

/* Asks the transport, whose handshake must be done. *peer is the caller's. AFAR_ETRUST: it has too
 * many names. AFAR_ENOMEM. */
enum afar_status transport_peer(const struct transport *transport, struct peer **peer,
                                struct afar_error *err);
void peer_free(struct peer *peer);

/* For transports. Adds "kind:value". AFAR_ETRUST: one too many; were it left out, a rule for it
 * would be passed over and a later one decide. AFAR_ENOMEM. */
enum afar_status peer_add(struct peer *peer, const char *kind, const char *value,
                          struct afar_error *err);

#endif
