/* All names of the peer of a transport, each with its kind in front:
 *
 *     uri:spiffe://prod/ci/7  dns:host.example  email:ann@example.com  cn:ann  pin:sha256:…
 *     uid:1000  gid:100
 *     anonymous
 *
 * Owns:    its names.
 * Threads: a value of one thread.
 * Blocks:  never.
 * Limits:  PEER_NAMES_MAX names; a peer with more is refused. */
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

/* Gets the names from the transport; its handshake must be done. The caller frees *peer with
 * peer_free. AFAR_ETRUST: the peer has too many names. AFAR_ENOMEM. */
enum afar_status transport_peer(const struct transport *transport, struct peer **peer,
                                struct afar_error *err);
void peer_free(struct peer *peer);

/* For transports: adds the name kind + value; `kind` includes the colon. AFAR_ETRUST: one name too
 * many. It must not be left out: a rule for it would not match, and a later rule would decide.
 * AFAR_ENOMEM. */
enum afar_status peer_add(struct peer *peer, const char *kind, const char *value,
                          struct afar_error *err);

#endif
