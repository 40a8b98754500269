#include "net/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/address.h"
#include "net/socket.h"

/* One attempt: what became of it, as an errno; 0: connected. */
static int wait_connected(int fd, int64_t deadline_ms)
{
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;

    for (;;) {
        int ready = poll(&waiting, 1, clock_poll_timeout(deadline_ms));
        if (ready > 0)
            break;
        if (ready < 0 && errno != EINTR)
            return errno;
        if (ready == 0 && clock_now_ms() >= deadline_ms)
            return ETIMEDOUT;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return errno;
    return error;
}

static int try_address(const struct addrinfo *address, int64_t deadline_ms, int *fd)
{
    int made = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0)
        return errno;

    int failure = 0;
    if (connect(made, address->ai_addr, address->ai_addrlen) != 0) {
        failure = errno;
        /* An interrupted connect goes on by itself, as one in progress does. */
        if (failure == EINPROGRESS || failure == EINTR)
            failure = wait_connected(made, deadline_ms);
    }
    if (failure != 0) {
        (void)close(made);
        return failure;
    }
    if (address->ai_socktype == SOCK_STREAM)
        socket_set_tcp_options(made, (sa_family_t)address->ai_family);
    *fd = made;
    return 0;
}

/* A Unix socket whose queue is full cannot be polled for room; connect(2) itself has to wait, as
 * long as SO_SNDTIMEO says. */
static int try_unix(const struct endpoint *endpoint, int64_t deadline_ms, int *fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {0};
    int failure = 0;

    memcpy(address.sun_path, endpoint->path, sizeof address.sun_path);
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0)
        return errno;
    for (;;) {
        int left_ms = clock_poll_timeout(deadline_ms);
        if (left_ms >= 0) {
            patience.tv_sec = left_ms / 1000;
            patience.tv_usec = left_ms % 1000 * 1000 + 1; /* 0 would mean for ever */
            (void)setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        }
        failure = connect(made, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
        if (failure != EINTR)
            break;
    }
    if (failure == EAGAIN)
        failure = ETIMEDOUT;
    if (failure == 0) {
        int flags = fcntl(made, F_GETFL);
        if (flags < 0 || fcntl(made, F_SETFL, flags | O_NONBLOCK) != 0)
            failure = errno;
    }
    if (failure != 0) {
        (void)close(made);
        return failure;
    }
    *fd = made;
    return 0;
}

/* What to look at, for the failures that a person meets. */
static const char *hint(int failure)
{
    switch (failure) {
    case ECONNREFUSED:
    case ENOENT:
        return "; is afard running there?";
    case ETIMEDOUT:
        return "; is the address right, and does a firewall let it through?";
    case EACCES:
    case EPERM:
        return "; is this user allowed to?";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "; is there a network to it?";
    default:
        return "";
    }
}

static enum afar_status fail(const struct endpoint *endpoint, const char *tried, int failure,
                             struct afar_error *err)
{
    char url[ENDPOINT_URL_BYTES];
    char reason[128];
    bool timed_out = failure == ETIMEDOUT;
    enum afar_status status = timed_out           ? AFAR_ETIMEDOUT
                              : failure == ENOMEM ? AFAR_ENOMEM
                                                  : AFAR_ESYSTEM;

    endpoint_format(endpoint, url, sizeof url);
    const char *text = timed_out ? "no answer in time" : strerror_r(failure, reason, sizeof reason);
    (void)afar_fail(err, status, "cannot connect to %s%s: %s%s", url, tried, text, hint(failure));
    if (err != NULL)
        err->sys_errno = failure;
    return status;
}

/* " (127.0.0.1:7420)", unless the URL says the same. */
static void describe(const struct endpoint *endpoint, const struct addrinfo *address, char *text,
                     size_t size)
{
    char shown[ADDRESS_TEXT_BYTES];
    size_t length = strlen(endpoint->host);

    address_format(address->ai_addr, address->ai_addrlen, shown, sizeof shown);
    const char *host = shown[0] == '[' ? shown + 1 : shown;
    text[0] = '\0';
    if (strncmp(host, endpoint->host, length) == 0 && (host[length] == ':' || host[length] == ']'))
        return;
    (void)snprintf(text, size, " (%s)", shown);
}

static enum afar_status dial_inet(const struct endpoint *endpoint, int64_t deadline_ms, int *fd,
                                  struct afar_error *err)
{
    struct addrinfo *list = NULL;
    char tried[ADDRESS_TEXT_BYTES + 4] = "";
    int failure = EADDRNOTAVAIL;
    int left = 0;

    enum afar_status status = address_resolve(endpoint, false, &list, err);
    if (status != AFAR_OK)
        return status;
    for (struct addrinfo *a = list; a != NULL; a = a->ai_next)
        left++;
    for (struct addrinfo *a = list; a != NULL; a = a->ai_next, left--) {
        /* An address that swallows packets must not use up the time of those after it. */
        int64_t now_ms = clock_now_ms();
        int64_t share_ms = deadline_ms;
        if (deadline_ms != DEADLINE_NEVER && deadline_ms > now_ms)
            share_ms = now_ms + (deadline_ms - now_ms) / left;
        failure = try_address(a, share_ms, fd);
        if (failure == 0)
            break;
        describe(endpoint, a, tried, sizeof tried);
    }
    freeaddrinfo(list);
    return failure == 0 ? AFAR_OK : fail(endpoint, tried, failure, err);
}

enum afar_status dial(const struct endpoint *endpoint, int64_t deadline_ms, int *fd,
                      struct afar_error *err)
{
    *fd = -1;
    if (endpoint->inherited)
        return afar_fail(err, AFAR_EINVAL, "a socket that was handed over is for listening only");
    if (endpoint->scheme != ENDPOINT_UNIX)
        return dial_inet(endpoint, deadline_ms, fd, err);
    int failure = try_unix(endpoint, deadline_ms, fd);
    return failure == 0 ? AFAR_OK : fail(endpoint, "", failure, err);
}
