#include "net/socket.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>

/* A vanished peer is noticed after 60 + 4 * 15 seconds: well under the 5 minutes after which many
 * NATs forget a connection, and rarely enough to cost an idle fleet nothing. */
enum { KEEPALIVE_MS = 60000, KEEPALIVE_PROBES = 4 };

static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* tcp(7): whole seconds, 1 to 32767. */
static int seconds(uint64_t ms)
{
    uint64_t whole = (ms + 999) / 1000;
    if (whole < 1)
        return 1;
    return whole > 32767 ? 32767 : (int)whole;
}

static void set_keepalive(int fd, uint64_t ms)
{
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(ms));
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(ms / KEEPALIVE_PROBES));
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

void socket_set_tcp_options(int fd, sa_family_t family)
{
    if (family != AF_INET && family != AF_INET6)
        return;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_keepalive(fd, KEEPALIVE_MS);
}

static bool is_tcp(int fd)
{
    int protocol = 0;
    socklen_t size = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
           protocol == IPPROTO_TCP;
}

void socket_set_patience(int fd, uint64_t keepalive_ms, uint64_t user_timeout_ms)
{
    if (!is_tcp(fd))
        return;
    set(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive_ms > 0);
    if (keepalive_ms > 0)
        set_keepalive(fd, keepalive_ms);
    socket_set_user_timeout(fd, user_timeout_ms);
}

void socket_set_user_timeout(int fd, uint64_t user_timeout_ms)
{
    if (is_tcp(fd))
        set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
            user_timeout_ms < INT_MAX ? (int)user_timeout_ms : INT_MAX);
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
    case ECONNREFUSED: /* the answer to a datagram */
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
