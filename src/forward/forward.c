#include "forward/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/address.h"
#include "net/dial.h"

/* One direction of the copy. */
struct way {
    int from; /* -1: the source has ended */
    int to;   /* -1: the sink does not accept more, or all is written */
    size_t start;
    size_t end;
    uint64_t bytes; /* written so far */
    char data[FORWARD_BUFFER_BYTES];
};

struct relay {
    struct way up;   /* to the target */
    struct way down; /* from the target */
    int socket;
    int tell_fd;
    int failure; /* errno with which the socket failed; 0: none */
};

static void tell(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes a line in one write(2), which a pipe takes whole (pipe(7), PIPE_BUF). */
static void tell(int fd, const char *format, ...)
{
    char line[AFAR_ERROR_MESSAGE_BYTES + 64];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (size < 0)
        return;
    size_t used = (size_t)size < sizeof line - 1 ? (size_t)size : sizeof line - 2;
    line[used] = '\n';
    ssize_t written = write(fd, line, used + 1);
    (void)written; /* a reader that has gone does not need the line */
}

/* ---- connecting ------------------------------------------------------------------------------ */

static enum forward_end judge(enum afar_status status, int sys_errno)
{
    if (status == AFAR_ETIMEDOUT || sys_errno == ETIMEDOUT)
        return FORWARD_TIMED_OUT;
    switch (sys_errno) {
    case ECONNREFUSED:
        return FORWARD_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
        return FORWARD_UNREACHABLE;
    default:
        return FORWARD_FAILED;
    }
}

static enum forward_end open_socket(const char *text, int *fd, int tell_fd)
{
    struct forward_target target;
    struct afar_error err = {0};
    struct endpoint endpoint = {.scheme = ENDPOINT_TCP};
    enum afar_status status = forward_target_parse(&target, text, &err);
    if (status != AFAR_OK) {
        tell(tell_fd, "%s", err.message);
        return FORWARD_FAILED;
    }
    memcpy(endpoint.host, target.host, sizeof target.host);
    endpoint.port = target.port;
    status = dial(&endpoint, clock_deadline_ms(FORWARD_CONNECT_TIMEOUT_MS), fd, &err);
    if (status == AFAR_OK)
        return FORWARD_ENDED;
    if (status == AFAR_ESYSTEM && err.sys_errno == 0) { /* the resolver's message has the name */
        tell(tell_fd, "%s", err.message);
        return FORWARD_NOT_FOUND;
    }
    enum forward_end end = judge(status, err.sys_errno);
    tell(tell_fd, "cannot connect to %s: %s", text,
         end == FORWARD_TIMED_OUT ? strerror(ETIMEDOUT)
         : err.sys_errno != 0     ? strerror(err.sys_errno)
                                  : err.message);
    return end;
}

static void tell_connected(int fd, int tell_fd)
{
    char text[ADDRESS_TEXT_BYTES] = "";
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &size) == 0)
        address_format((struct sockaddr *)&address, size, text, sizeof text);
    tell(tell_fd, FORWARD_CONNECTED "%s", text);
}

/* ---- copying --------------------------------------------------------------------------------- */

static void close_pipe(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* The source of this direction has ended. */
static void end_source(struct relay *relay, struct way *way)
{
    if (way == &relay->up)
        close_pipe(&way->from);
    way->from = -1;
}

/* The sink of this direction accepts no more, so its source is ended, too. */
static void end_sink(struct relay *relay, struct way *way)
{
    way->start = way->end = 0;
    if (way == &relay->down) {
        close_pipe(&way->to);
        (void)shutdown(relay->socket, SHUT_RD);
    }
    way->to = -1;
    end_source(relay, way);
}

static bool is_again(int failure)
{
    return failure == EAGAIN || failure == EINTR;
}

static void fill(struct relay *relay, struct way *way)
{
    if (way->from < 0 || way->end > 0)
        return;
    ssize_t got = read(way->from, way->data, sizeof way->data);
    if (got > 0) {
        way->end = (size_t)got;
        return;
    }
    if (got < 0 && is_again(errno))
        return;
    if (got < 0 && way == &relay->down)
        relay->failure = errno;
    end_source(relay, way);
}

static void drain(struct relay *relay, struct way *way)
{
    while (way->to >= 0 && way->start < way->end) {
        ssize_t sent = write(way->to, way->data + way->start, way->end - way->start);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0) { /* the connection is lost, or the reader has gone */
            if (way == &relay->up && errno != EPIPE) {
                relay->failure = errno; /* the kernel reports it only once */
                end_source(relay, &relay->down);
            }
            end_sink(relay, way);
            return;
        }
        way->start += (size_t)sent;
        way->bytes += (uint64_t)sent;
    }
    way->start = way->end = 0;
}

/* If the source has ended and all is written, signals the end to the other side. */
static void finish(struct relay *relay, struct way *way)
{
    if (way->from >= 0 || way->to < 0 || way->start < way->end)
        return;
    if (way == &relay->up)
        (void)shutdown(relay->socket, SHUT_WR);
    else
        close_pipe(&way->to);
    way->to = -1;
    if (way == &relay->down && relay->failure == 0)
        tell(relay->tell_fd, FORWARD_EOF "%llu", (unsigned long long)way->bytes);
}

static void wait_ready(struct relay *relay)
{
    struct way *up = &relay->up;
    struct way *down = &relay->down;
    struct pollfd waiting[] = {
        {.fd = up->end == 0 ? up->from : -1, .events = POLLIN},
        /* Sinks are always polled, to notice that their reader has gone: POLLERR (poll(2)). */
        {.fd = up->to, .events = up->end > 0 ? POLLOUT : 0},
        {.fd = down->end == 0 ? down->from : -1, .events = POLLIN},
        {.fd = down->to, .events = down->end > 0 ? POLLOUT : 0},
    };
    (void)poll(waiting, sizeof waiting / sizeof waiting[0], -1);
    if ((waiting[3].revents & POLLERR) != 0)
        end_sink(relay, down);
    /* While there is room to read, the read tells how it was lost. Otherwise that has to wait, and
     * poll(2) would return at once until then. */
    if ((waiting[1].revents & (POLLERR | POLLHUP)) != 0 && (down->from < 0 || down->end > 0))
        end_sink(relay, up);
}

static enum forward_end carry(struct relay *relay)
{
    struct way *const ways[] = {&relay->up, &relay->down};
    for (;;) {
        for (size_t i = 0; i < 2; i++) {
            fill(relay, ways[i]);
            drain(relay, ways[i]);
            finish(relay, ways[i]);
        }
        const bool lost = relay->failure != 0 && relay->down.to < 0;
        if (lost || (relay->up.to < 0 && relay->down.to < 0))
            break;
        wait_ready(relay);
    }
    close_pipe(&relay->up.from);
    if (relay->failure == 0)
        return FORWARD_ENDED;
    tell(relay->tell_fd, "the connection was lost: %s", strerror(relay->failure));
    return FORWARD_BROKEN;
}

static bool set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

int forward_serve(const char *target, int in_fd, int out_fd, int tell_fd)
{
    static struct relay relay; /* too large for a stack that a limit may have made small */
    int fd = -1;
    (void)signal(SIGPIPE, SIG_IGN);
    if (!set_nonblocking(in_fd) || !set_nonblocking(out_fd)) {
        tell(tell_fd, "fcntl: %s", strerror(errno));
        return FORWARD_FAILED;
    }
    enum forward_end end = open_socket(target, &fd, tell_fd);
    if (end != FORWARD_ENDED)
        return (int)end;
    tell_connected(fd, tell_fd);
    relay.socket = fd;
    relay.tell_fd = tell_fd;
    relay.up = (struct way){.from = in_fd, .to = fd};
    relay.down = (struct way){.from = fd, .to = out_fd};
    end = carry(&relay);
    (void)close(fd);
    return (int)end;
}
