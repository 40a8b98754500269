#include "support/far.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE_BYTES = 262144, READS_PER_TURN = 16 };

/* The data of one read, and when it must arrive. Size 0: end of the stream. */
struct piece {
    struct piece *next;
    int64_t due_us;
    unsigned trip;
    size_t size;
    size_t sent;
    uint8_t bytes[];
};

struct flow {
    struct piece *first;
    struct piece *last;
    size_t bytes;
    bool ended;    /* no more data comes */
    bool stuck;    /* the receiver accepts no data now */
    unsigned trip; /* of the data delivered last */
};

enum { TO_SERVER, TO_CLIENT };

struct link {
    int fd[2]; /* the client's, the server's; -1: free */
    struct flow flow[2];
};

struct far {
    int64_t one_way_us;
    uint16_t server_port;
    uint16_t port;
    int listener;
    int wake;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool cut;
    atomic_uint trips;
    struct link links[FAR_LINKS_MAX]; /* used by the thread only */
};

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void drop(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        if (link->fd[i] >= 0)
            (void)close(link->fd[i]);
        while (link->flow[i].first != NULL) {
            struct piece *piece = link->flow[i].first;
            link->flow[i].first = piece->next;
            free(piece);
        }
    }
    *link = (struct link){.fd = {-1, -1}};
}

static void accept_one(struct far *far)
{
    const int one = 1;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(far->server_port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = accept4(far->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t at = 0;
    while (at < FAR_LINKS_MAX && far->links[at].fd[0] >= 0)
        at++;
    if (client < 0 || server < 0 || at == FAR_LINKS_MAX ||
        connect(server, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(client);
        (void)close(server);
        return;
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    far->links[at].fd[0] = client;
    far->links[at].fd[1] = server;
}

/* Data from the client belongs to the trip after the last one delivered to it; data from the server
 * to the last trip delivered to it. */
static unsigned trip_of(const struct link *link, int direction)
{
    return direction == TO_SERVER ? link->flow[TO_CLIENT].trip + 1 : link->flow[TO_SERVER].trip;
}

/* Reads once from the flow's source. False: there is nothing more now. */
static bool take(struct far *far, struct link *link, int direction)
{
    struct flow *flow = &link->flow[direction];
    if (flow->ended || flow->bytes >= FAR_BYTES)
        return false;
    struct piece *piece = malloc(sizeof *piece + PIECE_BYTES);
    if (piece == NULL)
        return false;
    ssize_t got =
        recv(link->fd[direction == TO_SERVER ? 0 : 1], piece->bytes, PIECE_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        free(piece);
        return false;
    }
    flow->ended = got <= 0;
    piece->next = NULL;
    piece->due_us = now_us() + far->one_way_us;
    piece->trip = trip_of(link, direction);
    piece->size = got > 0 ? (size_t)got : 0;
    piece->sent = 0;
    struct piece *smaller = realloc(piece, sizeof *piece + piece->size);
    piece = smaller != NULL ? smaller : piece;
    if (flow->last != NULL && flow->first != NULL)
        flow->last->next = piece;
    else
        flow->first = piece;
    flow->last = piece;
    flow->bytes += piece->size;
    return got > 0;
}

static void note_given(struct far *far, struct link *link, int direction, unsigned trip)
{
    link->flow[direction].trip = trip;
    if (direction == TO_CLIENT && atomic_load(&far->trips) < trip)
        atomic_store(&far->trips, trip);
}

/* Delivers data that is due. False: the link has ended. */
static bool give(struct far *far, struct link *link, int direction)
{
    struct flow *flow = &link->flow[direction];
    const int fd = link->fd[direction == TO_SERVER ? 1 : 0];
    const int64_t now = now_us();
    flow->stuck = false;
    while (flow->first != NULL && flow->first->due_us <= now) {
        struct piece *piece = flow->first;
        if (piece->size == 0) {
            (void)shutdown(fd, SHUT_WR);
        } else {
            ssize_t sent = send(fd, piece->bytes + piece->sent, piece->size - piece->sent,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
                flow->stuck = errno == EAGAIN;
                return true;
            }
            if (sent < 0)
                return false;
            note_given(far, link, direction, piece->trip);
            piece->sent += (size_t)sent;
            if (piece->sent < piece->size)
                continue;
        }
        flow->first = piece->next;
        flow->bytes -= piece->size;
        free(piece);
    }
    return !(link->flow[0].ended && link->flow[1].ended && link->flow[0].first == NULL &&
             link->flow[1].first == NULL);
}

static void serve(struct far *far, struct link *link, bool cut)
{
    for (int direction = 0; direction < 2; direction++) {
        for (int reads = 0; reads < READS_PER_TURN && take(far, link, direction); reads++)
            ;
    }
    if (cut || !give(far, link, TO_SERVER) || !give(far, link, TO_CLIENT))
        drop(link);
}

/* The poll events for one side: readable, and writable if the other flow is stuck there. */
static short events_of(const struct link *link, int side)
{
    const struct flow *from = &link->flow[side == 0 ? TO_SERVER : TO_CLIENT];
    const struct flow *to = &link->flow[side == 0 ? TO_CLIENT : TO_SERVER];
    short events = from->ended || from->bytes >= FAR_BYTES ? 0 : POLLIN;
    return (short)(events | (to->stuck ? POLLOUT : 0));
}

static int64_t next_due_us(const struct far *far)
{
    int64_t due_us = INT64_MAX;
    for (size_t i = 0; i < FAR_LINKS_MAX; i++) {
        for (int d = 0; d < 2; d++) {
            const struct flow *flow = &far->links[i].flow[d];
            if (flow->first != NULL && !flow->stuck && flow->first->due_us < due_us)
                due_us = flow->first->due_us;
        }
    }
    return due_us;
}

static void turn(struct far *far)
{
    struct pollfd fds[2 + 2 * FAR_LINKS_MAX];
    fds[0] = (struct pollfd){.fd = far->wake, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = far->listener, .events = POLLIN};
    for (size_t i = 0; i < FAR_LINKS_MAX; i++) {
        for (int side = 0; side < 2; side++) {
            const short events = events_of(&far->links[i], side);
            fds[2 + 2 * i + (size_t)side] =
                (struct pollfd){.fd = events != 0 ? far->links[i].fd[side] : -1, .events = events};
        }
    }
    const int64_t due_us = next_due_us(far);
    int64_t wait_us = due_us == INT64_MAX ? 1000000 : due_us - now_us();
    wait_us = wait_us < 0 ? 0 : wait_us;
    const struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    (void)ppoll(fds, 2 + 2 * FAR_LINKS_MAX, &wait, NULL);
    if ((fds[1].revents & POLLIN) != 0)
        accept_one(far);
    const bool cut = atomic_exchange(&far->cut, false);
    if (fds[0].revents != 0) {
        uint64_t count = 0;
        (void)!read(far->wake, &count, sizeof count);
    }
    for (size_t i = 0; i < FAR_LINKS_MAX; i++) {
        if (far->links[i].fd[0] >= 0)
            serve(far, &far->links[i], cut);
    }
}

static void *run(void *argument)
{
    struct far *far = argument;
    while (!atomic_load(&far->stop))
        turn(far);
    for (size_t i = 0; i < FAR_LINKS_MAX; i++)
        drop(&far->links[i]);
    return NULL;
}

static void wake_up(struct far *far)
{
    const uint64_t one = 1;
    (void)!write(far->wake, &one, sizeof one);
}

struct far *far_start(uint16_t port, int64_t one_way_us)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct far *far = calloc(1, sizeof *far);
    if (far == NULL)
        return NULL;
    far->one_way_us = one_way_us;
    far->server_port = port;
    for (size_t i = 0; i < FAR_LINKS_MAX; i++)
        far->links[i].fd[0] = far->links[i].fd[1] = -1;
    far->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    far->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (far->wake < 0 || far->listener < 0 ||
        bind(far->listener, (const struct sockaddr *)&address, size) != 0 ||
        listen(far->listener, FAR_LINKS_MAX) != 0 ||
        getsockname(far->listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&far->thread, NULL, run, far) != 0) {
        (void)close(far->wake);
        (void)close(far->listener);
        free(far);
        return NULL;
    }
    far->port = ntohs(address.sin_port);
    return far;
}

uint16_t far_port(const struct far *far)
{
    return far->port;
}

unsigned far_trips(const struct far *far)
{
    return atomic_load(&far->trips);
}

void far_cut(struct far *far)
{
    atomic_store(&far->cut, true);
    wake_up(far);
}

void far_stop(struct far *far)
{
    atomic_store(&far->stop, true);
    wake_up(far);
    (void)pthread_join(far->thread, NULL);
    (void)close(far->wake);
    (void)close(far->listener);
    free(far);
}
