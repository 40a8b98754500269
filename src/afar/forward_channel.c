#include "afar/forward_channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "afar/channel.h"
#include "afar/socks.h"
#include "base/clock.h"

enum { CHANNEL_FAILED = 255 };

static bool send_reply(const struct socks *socks)
{
    return send(STDOUT_FILENO, socks->reply, socks->reply_size, MSG_NOSIGNAL) ==
           (ssize_t)socks->reply_size;
}

/* Reads one more byte of the request. What follows the request is left for session_run. */
static bool receive(uint8_t *data, size_t *size, int64_t deadline_ms)
{
    struct pollfd waiting = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        if (*size >= SOCKS_REQUEST_BYTES || poll(&waiting, 1, clock_poll_timeout(deadline_ms)) <= 0)
            return false;
        /* One byte at a time, so that nothing after the request is taken. */
        ssize_t got = recv(STDIN_FILENO, data + *size, 1, MSG_DONTWAIT);
        if (got > 0) {
            *size += 1;
            return true;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return false;
    }
}

/* Reads the SOCKS request, and answers as needed. False: there is no valid request. */
static bool greet(struct socks *socks)
{
    uint8_t data[SOCKS_REQUEST_BYTES];
    size_t size = 0;
    const int64_t deadline_ms = clock_deadline_ms(SOCKS_PATIENCE_MS);
    for (;;) {
        size_t used = 0;
        enum socks_next next = socks_take(socks, data, size, &used);
        size -= used;
        memmove(data, data + used, size);
        if (next == SOCKS_CONNECT)
            return true;
        if (next == SOCKS_REFUSE && socks->reply_size > 0)
            (void)send_reply(socks);
        if (next == SOCKS_REFUSE || (next == SOCKS_ANSWER && !send_reply(socks)) ||
            (next == SOCKS_MORE && !receive(data, &size, deadline_ms)))
            return false;
    }
}

static void tell_connected(void *user)
{
    struct socks *socks = user;
    socks_answer(socks, FORWARD_ENDED);
    (void)send_reply(socks); /* if this fails, so will the next write */
}

int forward_channel(struct remote *remote, const char *target, const char *user)
{
    struct socks socks = {0};
    struct channel channel = {.connected = NULL};
    const int yes = 1;
    (void)setsockopt(STDIN_FILENO, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(STDIN_FILENO, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    if (target != NULL)
        return channel_run(remote, target, user, &channel);
    if (!greet(&socks))
        return CHANNEL_FAILED;
    channel.connected = tell_connected;
    channel.user = &socks;
    int status = channel_run(remote, socks.target, user, &channel);
    if (!channel.is_connected) {
        socks_answer(&socks, channel.end);
        (void)send_reply(&socks);
    }
    return status;
}
