#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>

/* A peer that has gone is noticed after 60 + 4 * 15 seconds: well under the 5 minutes after which
 * many NATs forget a connection, and rare enough to cost an idle fleet nothing. */
enum { KEEPALIVE_IDLE_S = 60, KEEPALIVE_INTERVAL_S = 15, KEEPALIVE_PROBES = 4 };

static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

void socket_set_tcp_options(int fd, sa_family_t family)
{
    if (family != AF_INET && family != AF_INET6)
        return;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

static enum afar_status closed(struct afar_error *err, int sys_errno, const char *message)
{
    (void)afar_fail(err, AFAR_ECLOSED, "%s", message);
    if (err != NULL)
        err->sys_errno = sys_errno;
    return AFAR_ECLOSED;
}

enum afar_status socket_fail(struct afar_error *err, int sys_errno)
{
    switch (sys_errno) {
    case ECONNRESET:
        return closed(err, sys_errno, "the peer has reset the connection");
    case EPIPE:
    case ENOTCONN:
    case ESHUTDOWN:
        return closed(err, sys_errno, "the peer has closed the connection");
    case ECONNREFUSED: /* a datagram's answer */
        return closed(err, sys_errno, "nobody listens at the peer's port");
    case ETIMEDOUT:
        return closed(err, sys_errno, "the peer does not answer any more");
    case ECONNABORTED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENETUNREACH:
        return closed(err, sys_errno, "the network to the peer is down");
    default:
        return afar_fail_errno(err, sys_errno, "the connection failed");
    }
}

enum afar_status socket_fail_end(struct afar_error *err)
{
    return closed(err, 0, "the peer has closed the connection");
}
