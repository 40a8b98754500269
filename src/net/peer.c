#include "net/peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/transport_ops.h"

enum afar_status peer_add(struct peer *peer, const char *kind, const char *value,
                          struct afar_error *err)
{
    char *name = NULL;
    if (peer->name_count >= PEER_NAMES_MAX)
        return afar_fail(err, AFAR_ETRUST, "the client's certificate has more than %d names",
                         PEER_NAMES_MAX);
    char **longer = realloc(peer->names, (peer->name_count + 2) * sizeof *longer);
    if (longer == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a name");
    peer->names = longer;
    longer[peer->name_count] = NULL;
    if (asprintf(&name, "%s%s", kind, value) < 0)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a name");
    longer[peer->name_count++] = name;
    longer[peer->name_count] = NULL;
    return AFAR_OK;
}

void peer_free(struct peer *peer)
{
    if (peer == NULL)
        return;
    for (size_t i = 0; i < peer->name_count; i++)
        free(peer->names[i]);
    free(peer->names);
    free(peer);
}

enum afar_status transport_peer(const struct transport *transport, struct peer **peer,
                                struct afar_error *err)
{
    *peer = NULL;
    struct peer *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a peer");
    enum afar_status status = transport->ops->peer(transport, made, err);
    if (status != AFAR_OK) {
        peer_free(made);
        return status;
    }
    *peer = made;
    return AFAR_OK;
}
