#include "net/peer.h"
#include "net/transport_ops.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"

static enum afar_status plain_handshake(struct transport *transport, struct afar_error *err)
{
    (void)transport;
    (void)err;
    return AFAR_OK;
}

static enum afar_status plain_recv(struct transport *transport, void *data, size_t size,
                                   size_t *received, struct afar_error *err)
{
    ssize_t count = 0;
    do {
        count = recv(transport->fd, data, size, 0);
    } while (count < 0 && errno == EINTR);

    if (count == 0)
        return socket_fail_end(err);
    if (count < 0) {
        int saved = errno;
        if (saved == EAGAIN)
            return afar_fail(err, AFAR_EAGAIN, "nothing has come yet");
        return socket_fail(err, saved);
    }
    *received = (size_t)count;
    return AFAR_OK;
}

static enum afar_status plain_send(struct transport *transport, const void *data, size_t size,
                                   size_t *sent, struct afar_error *err)
{
    ssize_t count = 0;
    do {
        count = send(transport->fd, data, size, MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);

    if (count < 0) {
        int saved = errno;
        if (saved == EAGAIN)
            return afar_fail(err, AFAR_EAGAIN, "the peer takes nothing at the moment");
        return socket_fail(err, saved);
    }
    *sent = (size_t)count;
    return AFAR_OK;
}

static bool plain_pending(const struct transport *transport)
{
    (void)transport;
    return false;
}

static void plain_shutdown(struct transport *transport)
{
    (void)shutdown(transport->fd, SHUT_WR);
}

/* The kernel knows who opened the other end of a Unix socket; for TCP nothing proves it. */
static bool peer_credentials(const struct transport *transport, struct ucred *peer)
{
    socklen_t size = sizeof *peer;
    int family = AF_UNSPEC;
    socklen_t family_size = sizeof family;

    return getsockopt(transport->fd, SOL_SOCKET, SO_DOMAIN, &family, &family_size) == 0 &&
           family == AF_UNIX &&
           getsockopt(transport->fd, SOL_SOCKET, SO_PEERCRED, peer, &size) == 0;
}

static void plain_identity(const struct transport *transport, struct identity *identity)
{
    struct ucred peer;

    memset(identity, 0, sizeof *identity);
    identity->kind = IDENTITY_ANONYMOUS;
    (void)snprintf(identity->name, sizeof identity->name, "anonymous");
    (void)snprintf(identity->owner, sizeof identity->owner, "anonymous");
    if (!peer_credentials(transport, &peer))
        return;
    identity->kind = IDENTITY_UNIX;
    (void)snprintf(identity->name, sizeof identity->name, "uid:%u gid:%u", (unsigned)peer.uid,
                   (unsigned)peer.gid);
    (void)snprintf(identity->owner, sizeof identity->owner, "uid=%u", (unsigned)peer.uid);
}

static enum afar_status plain_peer(const struct transport *transport, struct peer *peer,
                                   struct afar_error *err)
{
    struct ucred credentials;
    char number[16];

    if (!peer_credentials(transport, &credentials)) {
        peer->kind = IDENTITY_ANONYMOUS;
        return peer_add(peer, "anonymous", "", err);
    }
    peer->kind = IDENTITY_UNIX;
    (void)snprintf(number, sizeof number, "%u", (unsigned)credentials.uid);
    enum afar_status status = peer_add(peer, "uid:", number, err);
    (void)snprintf(number, sizeof number, "%u", (unsigned)credentials.gid);
    return status == AFAR_OK ? peer_add(peer, "gid:", number, err) : status;
}

static const char *plain_alpn(const struct transport *transport)
{
    (void)transport;
    return "";
}

static bool plain_resumed(const struct transport *transport)
{
    (void)transport;
    return false;
}

static void plain_free(struct transport *transport)
{
    free(transport);
}

static const struct transport_ops plain_ops = {
    .handshake = plain_handshake,
    .recv = plain_recv,
    .send = plain_send,
    .pending = plain_pending,
    .shutdown = plain_shutdown,
    .identity = plain_identity,
    .peer = plain_peer,
    .alpn = plain_alpn,
    .resumed = plain_resumed,
    .free = plain_free,
};

enum afar_status transport_plain_new(struct transport **transport, int fd, struct afar_error *err)
{
    struct transport *made = calloc(1, sizeof *made);

    *transport = NULL;
    if (made == NULL) {
        (void)close(fd);
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    }
    made->ops = &plain_ops;
    made->fd = fd;
    made->recv_events = POLLIN;
    made->send_events = POLLOUT;
    *transport = made;
    return AFAR_OK;
}
