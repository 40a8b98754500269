#include "support/cutter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "support/raw.h"

enum {
    FLOW_BYTES = 65536,
    NO_CUT = UINT32_MAX,
    CALLERS = 4,   /* so many fill a queue of length 0; */
    CALL_MS = 200, /* it is full if a connection is not made in this time */
};

/* Data that was read from one side and not yet sent to the other. */
struct flow {
    uint8_t bytes[FLOW_BYTES];
    size_t start;
    size_t end;
    bool ended; /* no more data comes */
    bool told;  /* and the other side has been told */
};

struct link {
    int fd[2];           /* the client's, the server's; -1: free */
    struct flow flow[2]; /* from fd[0], from fd[1] */
    unsigned left;       /* bytes until the cut; NO_CUT: none */
    bool silent;
};

struct cutter {
    struct cutter_plan plan;
    uint16_t server_port;
    uint16_t port;
    int listener;
    int wake;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool cut;
    atomic_bool silence;
    atomic_bool swallow;
    atomic_bool refuse;
    atomic_bool deaf;
    int callers[CALLERS]; /* of cutter_deafen; -1: none */
    atomic_uint count;
    struct cutter_result result; /* used by the thread until it has ended, as are all below */
    uint64_t random;
    struct link *links[CUTTER_LINKS_MAX];
};

/* xorshift64*: the same cuts for the same seed. */
static uint64_t next_random(struct cutter *cutter)
{
    uint64_t x = cutter->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    cutter->random = x;
    return x * UINT64_C(2685821657736338717);
}

/* Cuts by a reset with a probability of one half: that also loses data in the kernel. */
static void close_link(struct cutter *cutter, size_t at, bool cut)
{
    struct link *link = cutter->links[at];
    for (int side = 0; side < 2; side++) {
        if (cut && next_random(cutter) % 2 == 0)
            raw_reset(link->fd[side]);
        else
            (void)close(link->fd[side]);
    }
    free(link);
    cutter->links[at] = NULL;
}

static void accept_one(struct cutter *cutter)
{
    int client = accept4(cutter->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    size_t at = 0;
    if (client < 0)
        return;
    unsigned number = atomic_fetch_add(&cutter->count, 1);
    while (at < CUTTER_LINKS_MAX && cutter->links[at] != NULL)
        at++;
    struct link *link = at < CUTTER_LINKS_MAX ? calloc(1, sizeof *link) : NULL;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(cutter->server_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (atomic_load(&cutter->refuse) || link == NULL ||
        connect(server, (const struct sockaddr *)&address, sizeof address) != 0) {
        raw_reset(client);
        (void)close(server);
        free(link);
        return;
    }
    *link = (struct link){
        .fd = {client, server}, .left = NO_CUT, .silent = atomic_load(&cutter->swallow)};
    if (number < cutter->plan.cuts)
        link->left = (unsigned)(1 + next_random(cutter) % cutter->plan.most_bytes);
    cutter->links[at] = link;
}

/* Moves data from one side to the other. False: cut the link. */
static bool move(struct link *link, int from)
{
    struct flow *flow = &link->flow[from];
    if (flow->end < FLOW_BYTES && !flow->ended) {
        ssize_t got =
            recv(link->fd[from], flow->bytes + flow->end, FLOW_BYTES - flow->end, MSG_DONTWAIT);
        if (got > 0)
            flow->end += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            flow->ended = true;
    }
    size_t size = flow->end - flow->start;
    if (size > link->left)
        size = link->left;
    if (size > 0) {
        ssize_t sent =
            send(link->fd[1 - from], flow->bytes + flow->start, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            flow->start += (size_t)sent;
            link->left -= link->left == NO_CUT ? 0 : (unsigned)sent;
        } else if (errno != EAGAIN && errno != EINTR) {
            flow->start = flow->end;
        }
    }
    if (flow->start == flow->end)
        flow->start = flow->end = 0;
    if (flow->ended && flow->end == 0 && !flow->told) {
        flow->told = true;
        (void)shutdown(link->fd[1 - from], SHUT_WR);
    }
    return link->left > 0;
}

static void serve(struct cutter *cutter, size_t at, bool cut)
{
    struct link *link = cutter->links[at];
    if (link->silent)
        return;
    bool goes_on = !cut && move(link, 0) && move(link, 1);
    if (!goes_on) {
        cutter->result.cuts++;
        close_link(cutter, at, true);
    } else if (link->flow[0].told && link->flow[1].told) {
        close_link(cutter, at, false);
    }
}

static void wait_for_more(const struct cutter *cutter)
{
    struct pollfd waiting[2 + 2 * CUTTER_LINKS_MAX] = {{.fd = cutter->wake, .events = POLLIN},
                                                       {.fd = cutter->listener, .events = POLLIN}};
    if (atomic_load(&cutter->deaf))
        waiting[1].fd = -1;
    nfds_t count = 2;
    for (size_t i = 0; i < CUTTER_LINKS_MAX; i++) {
        const struct link *link = cutter->links[i];
        for (int side = 0; link != NULL && !link->silent && side < 2; side++) {
            const struct flow *in = &link->flow[side];
            const struct flow *out = &link->flow[1 - side];
            short events = 0;
            if (in->end < FLOW_BYTES && !in->ended)
                events |= POLLIN;
            if (out->end > out->start)
                events |= POLLOUT;
            if (events != 0)
                waiting[count++] = (struct pollfd){.fd = link->fd[side], .events = events};
        }
    }
    (void)poll(waiting, count, -1);
}

static void *run(void *argument)
{
    struct cutter *cutter = argument;
    uint64_t woken = 0;
    while (!atomic_load(&cutter->stop)) {
        bool cut = atomic_exchange(&cutter->cut, false);
        bool silence = atomic_exchange(&cutter->silence, false);
        for (size_t i = 0; i < CUTTER_LINKS_MAX; i++) {
            if (cutter->links[i] != NULL && silence)
                cutter->links[i]->silent = true;
            if (cutter->links[i] != NULL)
                serve(cutter, i, cut);
        }
        if (!atomic_load(&cutter->deaf))
            accept_one(cutter);
        wait_for_more(cutter);
        (void)!read(cutter->wake, &woken, sizeof woken);
    }
    for (size_t i = 0; i < CUTTER_LINKS_MAX; i++) {
        if (cutter->links[i] != NULL)
            close_link(cutter, i, false);
    }
    cutter->result.connections = atomic_load(&cutter->count);
    return NULL;
}

struct cutter *cutter_start(uint16_t port, const struct cutter_plan *plan)
{
    struct cutter *cutter = calloc(1, sizeof *cutter);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_non_null(cutter);
    cutter->plan = *plan;
    cutter->server_port = port;
    cutter->random = plan->seed * 2 + 1;
    for (int i = 0; i < CALLERS; i++)
        cutter->callers[i] = -1;
    cutter->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cutter->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(cutter->listener >= 0 && cutter->wake >= 0);
    assert_int_equal(bind(cutter->listener, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(cutter->listener, CUTTER_LINKS_MAX), 0);
    assert_int_equal(getsockname(cutter->listener, (struct sockaddr *)&address, &size), 0);
    cutter->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&cutter->thread, NULL, run, cutter), 0);
    return cutter;
}

uint16_t cutter_port(const struct cutter *cutter)
{
    return cutter->port;
}

static void wake(struct cutter *cutter)
{
    const uint64_t one = 1;
    (void)!write(cutter->wake, &one, sizeof one);
}

void cutter_cut(struct cutter *cutter)
{
    atomic_store(&cutter->cut, true);
    wake(cutter);
}

void cutter_silence(struct cutter *cutter)
{
    atomic_store(&cutter->silence, true);
    wake(cutter);
}

void cutter_swallow(struct cutter *cutter)
{
    atomic_store(&cutter->swallow, true);
    cutter_silence(cutter);
}

/* The kernel drops SYN packets if the queue is full. */
void cutter_deafen(struct cutter *cutter)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(cutter->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool full = false;
    atomic_store(&cutter->deaf, true);
    wake(cutter);
    assert_int_equal(listen(cutter->listener, 0), 0);
    for (int i = 0; i < CALLERS && !full; i++) {
        cutter->callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(cutter->callers[i] >= 0);
        (void)connect(cutter->callers[i], (const struct sockaddr *)&address, sizeof address);
        struct pollfd waiting = {.fd = cutter->callers[i], .events = POLLOUT};
        full = poll(&waiting, 1, CALL_MS) == 0;
    }
    assert_true(full);
}

void cutter_refuse(struct cutter *cutter, int refuse)
{
    atomic_store(&cutter->refuse, refuse != 0);
}

unsigned cutter_count(const struct cutter *cutter)
{
    return atomic_load(&cutter->count);
}

void cutter_stop(struct cutter *cutter, struct cutter_result *result)
{
    atomic_store(&cutter->stop, true);
    wake(cutter);
    (void)pthread_join(cutter->thread, NULL);
    (void)close(cutter->listener);
    (void)close(cutter->wake);
    for (int i = 0; i < CALLERS; i++) {
        if (cutter->callers[i] >= 0)
            (void)close(cutter->callers[i]);
    }
    if (result != NULL)
        *result = cutter->result;
    free(cutter);
}
