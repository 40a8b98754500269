#include "support/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"

enum {
    FLOW_BYTES = 65536,
    PATH_BYTES = 100,
    NARROW_BYTES = 16384 /* the kernel doubles it; with much less, TCP waits for its timers */
};

/* One direction. */
struct flow {
    int from; /* both are the proxy's client_fd and server_fd */
    int to;
    uint8_t bytes[FLOW_BYTES]; /* read but not yet sent: start to end */
    size_t start;
    size_t end;
    unsigned at;           /* index of the step */
    unsigned done;         /* bytes of that step so far */
    int64_t until_ms;      /* end of a delay; 0: not begun */
    uint64_t other_passed; /* at the start of the delay */
    uint64_t passed;
    bool ended; /* no more data comes */
    bool shut;  /* closed for sending: data is dropped */
};

struct proxy {
    struct proxy_plan plan;
    char url[128];
    char path[PATH_BYTES]; /* of a Unix socket, else "" */
    struct sockaddr_storage server;
    socklen_t server_size;
    int listen_fd;
    int stop_fd;
    pthread_t thread;
    /* Used by the thread until it has ended. */
    int client_fd;
    int server_fd;
    struct flow flows[2];
    bool over;
    struct proxy_result result;
};

/* ---- the plan -------------------------------------------------------------------------------- */

static const struct proxy_step *step_of(const struct proxy *proxy, int d)
{
    unsigned at = proxy->flows[d].at;
    return at < proxy->plan.count[d] ? &proxy->plan.steps[d][at] : NULL;
}

static void shut(struct flow *flow)
{
    flow->shut = true;
    flow->start = flow->end = 0;
    (void)shutdown(flow->to, SHUT_WR);
}

static void cut(struct proxy *proxy, int d, enum proxy_action action)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    proxy->result.cut = true;
    if (action == PROXY_RESET) {
        (void)setsockopt(proxy->client_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        (void)setsockopt(proxy->server_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        proxy->over = true;
        return;
    }
    /* Not closed yet: closing with unread data would be a reset. */
    shut(&proxy->flows[d]);
    if (action == PROXY_FIN)
        shut(&proxy->flows[1 - d]);
}

/* True if the delay is over; otherwise lowers *deadline_ms to its end. */
static bool delay_over(struct proxy *proxy, int d, const struct proxy_step *step,
                       int64_t *deadline_ms)
{
    struct flow *flow = &proxy->flows[d];
    const struct flow *other = &proxy->flows[1 - d];
    int64_t now_ms = clock_now_ms();
    if (flow->until_ms == 0) {
        flow->until_ms = now_ms + step->amount;
        flow->other_passed = other->passed;
    }
    bool moved = step->action == PROXY_HOLD && other->passed != flow->other_passed;
    if (moved || now_ms >= flow->until_ms)
        return true;
    if (flow->until_ms < *deadline_ms)
        *deadline_ms = flow->until_ms;
    return false;
}

/* Advances to the step that has something left to do. */
static void advance(struct proxy *proxy, int d, int64_t *deadline_ms)
{
    struct flow *flow = &proxy->flows[d];
    while (!proxy->over && !flow->shut) {
        const struct proxy_step *step = step_of(proxy, d);
        if (step == NULL)
            return;
        bool finished = true;
        if (step->action == PROXY_FORWARD || step->action == PROXY_SINGLE)
            finished = flow->done >= step->amount;
        else if (step->action == PROXY_HOLD || step->action == PROXY_STOP)
            finished = delay_over(proxy, d, step, deadline_ms);
        else
            cut(proxy, d, step->action);
        if (!finished)
            return;
        flow->at++;
        flow->done = 0;
        flow->until_ms = 0;
    }
}

/* How many bytes may be sent now. */
static size_t allowance(const struct proxy *proxy, int d)
{
    const struct proxy_step *step = step_of(proxy, d);
    if (step == NULL)
        return FLOW_BYTES;
    if (step->action == PROXY_FORWARD)
        return step->amount - proxy->flows[d].done;
    return step->action == PROXY_SINGLE ? 1 : 0;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static bool wants_read(const struct proxy *proxy, int d)
{
    const struct flow *flow = &proxy->flows[d];
    const struct proxy_step *step = step_of(proxy, d);
    if (flow->ended)
        return false;
    bool stopped = step != NULL && step->action == PROXY_STOP;
    return flow->shut || (flow->end < FLOW_BYTES && !stopped);
}

static bool wants_write(const struct proxy *proxy, int d)
{
    const struct flow *flow = &proxy->flows[d];
    return !flow->shut && flow->end > flow->start && allowance(proxy, d) > 0;
}

static void take(struct flow *flow)
{
    ssize_t got = recv(flow->from, flow->bytes + flow->end, FLOW_BYTES - flow->end, MSG_DONTWAIT);
    if (got > 0 && !flow->shut)
        flow->end += (size_t)got;
    else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        flow->ended = true;
}

static void give(struct proxy *proxy, int d)
{
    struct flow *flow = &proxy->flows[d];
    size_t size = flow->end - flow->start;
    size_t most = allowance(proxy, d);
    ssize_t sent = send(flow->to, flow->bytes + flow->start, size < most ? size : most,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        /* The peer has closed: closing the other connection tells the other peer. */
        proxy->over = errno != EAGAIN && errno != EINTR;
        return;
    }
    flow->start += (size_t)sent;
    flow->done += (unsigned)sent;
    flow->passed += (uint64_t)sent;
    if (flow->start == flow->end)
        flow->start = flow->end = 0;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static short events_of(bool in, bool out)
{
    return (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
}

static void turn(struct proxy *proxy)
{
    int64_t deadline_ms = DEADLINE_NEVER;
    for (int d = 0; d < 2; d++) {
        struct flow *flow = &proxy->flows[d];
        advance(proxy, d, &deadline_ms);
        if (flow->ended && flow->start == flow->end && !flow->shut)
            shut(flow);
    }
    const struct flow *flows = proxy->flows;
    if (flows[0].ended && flows[1].ended && flows[0].shut && flows[1].shut)
        proxy->over = true;
    if (proxy->over)
        return;
    short client =
        events_of(wants_read(proxy, PROXY_TO_SERVER), wants_write(proxy, PROXY_TO_CLIENT));
    short server =
        events_of(wants_read(proxy, PROXY_TO_CLIENT), wants_write(proxy, PROXY_TO_SERVER));
    /* -1: a peer that has closed must not wake us while there is nothing to do for it. */
    struct pollfd polls[3] = {{.fd = proxy->stop_fd, .events = POLLIN},
                              {.fd = client != 0 ? proxy->client_fd : -1, .events = client},
                              {.fd = server != 0 ? proxy->server_fd : -1, .events = server}};
    if (poll(polls, 3, clock_poll_timeout(deadline_ms)) < 0 && errno != EINTR) {
        proxy->result.failed = proxy->over = true;
        return;
    }
    proxy->over = polls[0].revents != 0;
    for (int d = 0; d < 2 && !proxy->over; d++) {
        if (polls[1 + d].revents != 0 && wants_read(proxy, d))
            take(&proxy->flows[d]);
        if (polls[2 - d].revents != 0 && wants_write(proxy, d))
            give(proxy, d);
    }
}

/* Must be called before the connection is made. On Unix sockets only the sender's buffer counts:
 * there only the proxy's own sends are partial. */
static void narrow(int fd)
{
    const int bytes = NARROW_BYTES;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

/* False: stopped before a client came, or the server cannot be reached. */
static bool connect_both(struct proxy *proxy)
{
    struct pollfd polls[2] = {{.fd = proxy->stop_fd, .events = POLLIN},
                              {.fd = proxy->listen_fd, .events = POLLIN}};
    (void)poll(polls, 2, -1);
    if (polls[1].revents == 0)
        return false;
    proxy->client_fd = accept4(proxy->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    proxy->server_fd = socket(proxy->server.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (proxy->plan.narrow)
        narrow(proxy->server_fd);
    proxy->result.failed =
        proxy->client_fd < 0 || proxy->server_fd < 0 ||
        connect(proxy->server_fd, (const struct sockaddr *)&proxy->server, proxy->server_size) != 0;
    int on = 1; /* on Unix sockets both fail, and are not needed */
    (void)setsockopt(proxy->client_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(proxy->server_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return !proxy->result.failed;
}

static void *run(void *argument)
{
    struct proxy *proxy = argument;
    if (connect_both(proxy)) {
        struct flow *flows = proxy->flows;
        flows[PROXY_TO_SERVER].from = flows[PROXY_TO_CLIENT].to = proxy->client_fd;
        flows[PROXY_TO_SERVER].to = flows[PROXY_TO_CLIENT].from = proxy->server_fd;
        while (!proxy->over)
            turn(proxy);
    }
    if (proxy->client_fd >= 0)
        (void)close(proxy->client_fd);
    if (proxy->server_fd >= 0)
        (void)close(proxy->server_fd);
    return NULL;
}

/* ---- start and stop -------------------------------------------------------------------------- */

static void listen_unix(struct proxy *proxy, const char *server_path)
{
    struct sockaddr_un *server = (struct sockaddr_un *)&proxy->server;
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    server->sun_family = AF_UNIX;
    (void)snprintf(server->sun_path, sizeof server->sun_path, "%s", server_path);
    proxy->server_size = sizeof *server;
    (void)snprintf(proxy->path, sizeof proxy->path, "%.70s.%p", server_path, (void *)proxy);
    memcpy(own.sun_path, proxy->path, sizeof proxy->path);
    proxy->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy->listen_fd, (const struct sockaddr *)&own, sizeof own), 0);
    (void)snprintf(proxy->url, sizeof proxy->url, "unix://%s", proxy->path);
}

static void listen_tcp(struct proxy *proxy, const char *server_url)
{
    struct sockaddr_in *server = (struct sockaddr_in *)&proxy->server;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof own;
    *server = own;
    server->sin_port = htons((uint16_t)atoi(strrchr(server_url, ':') + 1));
    proxy->server_size = sizeof *server;
    proxy->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy->listen_fd, (const struct sockaddr *)&own, size), 0);
    assert_int_equal(getsockname(proxy->listen_fd, (struct sockaddr *)&own, &size), 0);
    (void)snprintf(proxy->url, sizeof proxy->url, "%.3s://127.0.0.1:%u", server_url,
                   (unsigned)ntohs(own.sin_port));
}

struct proxy *proxy_start(const char *server_url, const struct proxy_plan *plan)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    assert_non_null(proxy);
    proxy->plan = *plan;
    proxy->client_fd = proxy->server_fd = -1;
    if (strncmp(server_url, "unix://", 7) == 0)
        listen_unix(proxy, server_url + 7);
    else
        listen_tcp(proxy, server_url);
    if (plan->narrow)
        narrow(proxy->listen_fd); /* accepted sockets inherit it */
    assert_int_equal(listen(proxy->listen_fd, 1), 0);
    proxy->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(proxy->stop_fd >= 0);
    assert_int_equal(pthread_create(&proxy->thread, NULL, run, proxy), 0);
    return proxy;
}

const char *proxy_url(const struct proxy *proxy)
{
    return proxy->url;
}

void proxy_stop(struct proxy *proxy, struct proxy_result *result)
{
    const uint64_t one = 1;
    assert_int_equal(write(proxy->stop_fd, &one, sizeof one), sizeof one);
    assert_int_equal(pthread_join(proxy->thread, NULL), 0);
    *result = proxy->result;
    for (int d = 0; d < 2; d++)
        result->passed[d] = proxy->flows[d].passed;
    (void)close(proxy->stop_fd);
    (void)close(proxy->listen_fd);
    if (proxy->path[0] != '\0')
        (void)unlink(proxy->path);
    free(proxy);
}
