#include "server/protocol/udp_upper.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "wire/tutorial.h"

enum { DATAGRAMS_PER_TURN = 64, PRIVILEGED_PORTS = 1024 };

struct udp_upper {
    struct udp_upper *next;
    struct mail mail;
    struct worker *worker;
    struct listener *listener;
    struct loop_source source;
    uint64_t tokens;     /* answers that may still be given … */
    int64_t refilled_ms; /* … since this moment */
};

/* A token bucket that holds the answers of one second. */
static bool take_token(struct udp_upper *udp)
{
    uint64_t rate = udp->worker->config->udp_rate_per_second;
    int64_t now_ms = clock_now_ms();
    uint64_t earned = (uint64_t)(now_ms - udp->refilled_ms) * rate / 1000;
    if (earned > 0) {
        udp->tokens = earned > rate || udp->tokens + earned > rate ? rate : udp->tokens + earned;
        udp->refilled_ms = now_ms;
    }
    if (udp->tokens == 0)
        return false;
    udp->tokens--;
    return true;
}

static bool answerable(const struct udp_upper *udp, const struct sockaddr_storage *from)
{
    uint16_t port = address_port((const struct sockaddr *)from);
    return port >= PRIVILEGED_PORTS && port != listener_endpoint(udp->listener)->port;
}

static void udp_ready(struct loop_source *source, uint32_t events)
{
    struct udp_upper *udp = list_object(source, struct udp_upper, source);
    uint8_t *data = udp->worker->host.scratch; /* holds the largest datagram, 65,507 bytes */
    (void)events;
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t from_size = sizeof from;
        ssize_t size =
            recvfrom(source->fd, data, JOB_SCRATCH_BYTES, 0, (struct sockaddr *)&from, &from_size);
        if (size < 0)
            return;
        if (!answerable(udp, &from) || !take_token(udp))
            continue;
        tutorial_upper(data, (size_t)size);
        /* A datagram that cannot be sent is lost, as datagrams may be. */
        (void)sendto(source->fd, data, (size_t)size, 0, (struct sockaddr *)&from, from_size);
    }
}

static void free_one(struct udp_upper *udp)
{
    loop_remove(udp->worker->host.loop, &udp->source);
    listener_free(udp->listener);
    free(udp);
}

void udp_upper_free(struct udp_upper *first)
{
    while (first != NULL) {
        struct udp_upper *next = first->next;
        free_one(first);
        first = next;
    }
}

static void moved_in(struct mail *mail)
{
    struct udp_upper *udp = list_object(mail, struct udp_upper, mail);
    udp->next = udp->worker->udp;
    udp->worker->udp = udp;
}

enum afar_status udp_upper_begin(struct worker *worker, struct listener *listener,
                                 struct afar_error *err)
{
    struct udp_upper *udp = calloc(1, sizeof *udp);
    if (udp == NULL) {
        listener_free(listener);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a listener");
    }
    udp->worker = worker;
    udp->listener = listener;
    udp->mail.deliver = moved_in;
    udp->tokens = worker->config->udp_rate_per_second;
    udp->refilled_ms = clock_now_ms();
    /* Registered from the acceptor's thread, so that a failure can be returned: epoll_ctl(2) may be
     * called from any thread, and the worker needs no list to handle its events. */
    enum afar_status status =
        loop_add(worker->host.loop, &udp->source, listener_fd(listener), EPOLLIN, udp_ready, err);
    if (status != AFAR_OK) {
        listener_free(listener);
        free(udp);
        return status;
    }
    mailbox_post(&worker->mailbox, &udp->mail);
    return AFAR_OK;
}
