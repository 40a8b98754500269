#include "net/transport.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket.h"
#include "net/transport_ops.h"

void transport_free(struct transport *transport)
{
    if (transport == NULL)
        return;
    int fd = transport->fd;
    transport->ops->free(transport);
    if (fd >= 0)
        (void)close(fd);
}

int transport_fd(const struct transport *transport)
{
    return transport->fd;
}

void transport_set_user_timeout(const struct transport *transport, uint64_t user_timeout_ms)
{
    socket_set_user_timeout(transport_fd(transport), user_timeout_ms);
}

static void begin(struct transport *transport)
{
    if (transport->ops->begin != NULL)
        transport->ops->begin(transport);
}

enum afar_status transport_handshake(struct transport *transport, struct afar_error *err)
{
    begin(transport);
    return transport->ops->handshake(transport, err);
}

enum afar_status transport_recv(struct transport *transport, void *data, size_t size,
                                size_t *received, struct afar_error *err)
{
    *received = 0;
    if (size == 0)
        return afar_fail(err, AFAR_EBUG, "a receive of no bytes");
    begin(transport);
    return transport->ops->recv(transport, data, size, received, err);
}

enum afar_status transport_send(struct transport *transport, const void *data, size_t size,
                                size_t *sent, struct afar_error *err)
{
    *sent = 0;
    if (size == 0)
        return afar_fail(err, AFAR_EBUG, "a send of no bytes");
    return transport->ops->send(transport, data, size, sent, err);
}

enum afar_status transport_discard(struct transport *transport, void *scratch, size_t size)
{
    if (transport->fd < 0)
        return AFAR_ECLOSED;
    transport->recv_events = POLLIN; /* even if TLS waited for POLLOUT */
    ssize_t got = recv(transport->fd, scratch, size, MSG_DONTWAIT);
    if (got > 0)
        return AFAR_OK;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? AFAR_EAGAIN : AFAR_ECLOSED;
}

short transport_recv_events(const struct transport *transport)
{
    return transport->recv_events;
}

short transport_send_events(const struct transport *transport)
{
    return transport->send_events;
}

bool transport_pending(const struct transport *transport)
{
    return transport->ops->pending(transport);
}

enum afar_status transport_fill(struct transport *transport, void *data, size_t size,
                                size_t *received, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    size_t total = 0;
    *received = 0;
    if (size == 0)
        return afar_fail(err, AFAR_EBUG, "a receive of no bytes");
    begin(transport);
    do {
        size_t count = 0;
        status = transport->ops->recv(transport, (char *)data + total, size - total, &count, err);
        total += count;
    } while (status == AFAR_OK && total < size && transport_pending(transport));
    *received = total;
    return status == AFAR_EAGAIN && total > 0 ? AFAR_OK : status;
}

/* Waits until the descriptor is ready or the deadline has passed. A transport in memory has no
 * descriptor to wait for: the caller just tries again. */
static enum afar_status wait_ready(const struct transport *transport, short events,
                                   int64_t deadline_ms, struct afar_error *err)
{
    struct pollfd waiting = {.fd = transport->fd, .events = events};

    if (clock_now_ms() >= deadline_ms)
        return afar_fail(err, AFAR_ETIMEDOUT, "the peer was not ready in time");
    if (transport->fd < 0)
        return AFAR_OK;
    if (poll(&waiting, 1, clock_poll_timeout(deadline_ms)) < 0 && errno != EINTR)
        return afar_fail_errno(err, errno, "poll");
    return AFAR_OK; /* the next recv or send reports errors of the descriptor */
}

enum afar_status transport_sendall(struct transport *transport, const void *data, size_t size,
                                   int64_t deadline_ms, struct afar_error *err)
{
    const char *at = data;

    while (size > 0) {
        size_t sent = 0;
        enum afar_status status = transport_send(transport, at, size, &sent, err);
        if (status == AFAR_EAGAIN)
            status = wait_ready(transport, transport->send_events, deadline_ms, err);
        if (status != AFAR_OK)
            return status;
        at += sent;
        size -= sent;
    }
    return AFAR_OK;
}

enum afar_status transport_recvall(struct transport *transport, void *data, size_t size,
                                   int64_t deadline_ms, struct afar_error *err)
{
    char *at = data;

    while (size > 0) {
        size_t received = 0;
        enum afar_status status = transport_recv(transport, at, size, &received, err);
        if (status == AFAR_EAGAIN)
            status = wait_ready(transport, transport->recv_events, deadline_ms, err);
        if (status != AFAR_OK)
            return status;
        at += received;
        size -= received;
    }
    return AFAR_OK;
}

void transport_shutdown(struct transport *transport)
{
    transport->ops->shutdown(transport);
}

void transport_identity(const struct transport *transport, struct identity *identity)
{
    transport->ops->identity(transport, identity);
}

const char *transport_alpn(const struct transport *transport)
{
    return transport->ops->alpn(transport);
}

bool transport_resumed(const struct transport *transport)
{
    return transport->ops->resumed(transport);
}

enum afar_status transport_judge(struct transport *transport, struct tls_context *context,
                                 struct afar_error *err)
{
    return transport->ops->judge == NULL ? AFAR_OK : transport->ops->judge(transport, context, err);
}
