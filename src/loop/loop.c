#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

enum { EVENTS_PER_TURN = 64 };

struct loop {
    int epoll_fd;
    struct timers timers;
    struct pulse pulse;
    struct histogram turns;
    struct list deferred;
    struct loop_source offered; /* reported for sources offered to this loop */
    struct epoll_event events[EVENTS_PER_TURN];
    int event_count; /* of this turn; those before `event_next` are delivered */
    int event_next;
};

/* An offered descriptor hung up or failed: reported again after loop_take. */
static void ignore(struct loop_source *source, uint32_t events)
{
    (void)source;
    (void)events;
}

enum afar_status loop_new(struct loop **loop, struct afar_error *err)
{
    *loop = NULL;
    struct loop *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for an event loop");
    made->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (made->epoll_fd < 0) {
        enum afar_status status = afar_fail_errno(err, errno, "cannot make an event loop");
        free(made);
        return status;
    }
    timers_init(&made->timers);
    pulse_init(&made->pulse);
    list_init(&made->deferred);
    made->offered = (struct loop_source){.fd = -1, .ready = ignore};
    *loop = made;
    return AFAR_OK;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    (void)close(loop->epoll_fd);
    timers_close(&loop->timers);
    free(loop);
}

struct timers *loop_timers(struct loop *loop)
{
    return &loop->timers;
}

const struct pulse *loop_pulse(const struct loop *loop)
{
    return &loop->pulse;
}

const struct histogram *loop_turns(const struct loop *loop)
{
    return &loop->turns;
}

void loop_source_init(struct loop_source *source)
{
    *source = (struct loop_source){.fd = -1};
}

static enum afar_status control(struct loop *loop, int operation, struct loop_source *source,
                                uint32_t events, struct afar_error *err)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, operation, source->fd, &event) < 0)
        return afar_fail_errno(err, errno, "cannot watch a descriptor");
    source->events = events;
    return AFAR_OK;
}

enum afar_status loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events,
                          void (*ready)(struct loop_source *, uint32_t), struct afar_error *err)
{
    *source = (struct loop_source){.fd = fd, .ready = ready};
    if (events == 0)
        return AFAR_OK;
    enum afar_status status = control(loop, EPOLL_CTL_ADD, source, events, err);
    if (status != AFAR_OK)
        source->fd = -1;
    return status;
}

enum afar_status loop_set_events(struct loop *loop, struct loop_source *source, uint32_t events,
                                 struct afar_error *err)
{
    if (events == source->events)
        return AFAR_OK;
    if (events == 0)
        return control(loop, EPOLL_CTL_DEL, source, 0, err);
    return control(loop, source->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, source, events, err);
}

/* Drops this turn's events for the source that were not yet delivered. */
static void forget(struct loop *loop, const struct loop_source *source)
{
    for (int i = loop->event_next; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == source)
            loop->events[i].data.ptr = NULL;
    }
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
    if (source->fd < 0)
        return;
    if (source->events != 0)
        (void)control(loop, EPOLL_CTL_DEL, source, 0, NULL);
    source->fd = -1;
    forget(loop, source);
}

/* The kernel reports a hang-up whatever the events are; here only once, and to `offered`. */
enum afar_status loop_offer(struct loop *to, const struct loop_source *source,
                            struct afar_error *err)
{
    struct epoll_event event = {.events = (uint32_t)EPOLLONESHOT, .data.ptr = &to->offered};
    if (source->fd < 0 || source->events == 0)
        return AFAR_OK;
    if (epoll_ctl(to->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
        return afar_fail_errno(err, errno, "cannot watch a descriptor in another thread");
    return AFAR_OK;
}

void loop_unoffer(struct loop *to, const struct loop_source *source)
{
    if (source->fd >= 0 && source->events != 0)
        (void)epoll_ctl(to->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}

void loop_leave(struct loop *loop, struct loop_source *source)
{
    if (source->fd < 0)
        return;
    loop_unoffer(loop, source);
    forget(loop, source);
}

enum afar_status loop_take(struct loop *loop, struct loop_source *source, struct afar_error *err)
{
    if (source->fd < 0 || source->events == 0)
        return AFAR_OK;
    enum afar_status status = control(loop, EPOLL_CTL_MOD, source, source->events, err);
    if (status != AFAR_OK) {
        loop_unoffer(loop, source);
        source->events = 0;
    }
    return status;
}

void loop_deferred_init(struct loop_deferred *deferred, void (*run)(struct loop_deferred *))
{
    list_init(&deferred->link);
    deferred->run = run;
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
    if (list_empty(&deferred->link))
        list_append(&loop->deferred, &deferred->link);
}

void loop_deferred_cancel(struct loop_deferred *deferred)
{
    list_remove(&deferred->link);
}

static void hand_out(struct loop *loop)
{
    for (loop->event_next = 0; loop->event_next < loop->event_count;) {
        struct epoll_event *event = &loop->events[loop->event_next++];
        struct loop_source *source = event->data.ptr;
        if (source != NULL)
            source->ready(source, event->events);
    }
    loop->event_count = loop->event_next = 0;
}

static void run_deferred(struct loop *loop)
{
    while (!list_empty(&loop->deferred)) {
        struct list *link = loop->deferred.next;
        list_remove(link);
        struct loop_deferred *deferred = list_object(link, struct loop_deferred, link);
        deferred->run(deferred);
    }
}

enum afar_status loop_turn(struct loop *loop, struct afar_error *err)
{
    int timeout_ms = clock_poll_timeout(timers_next(&loop->timers));
    int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN, timeout_ms);
    if (count < 0 && errno != EINTR)
        return afar_fail_errno(err, errno, "cannot wait for events");
    const int64_t begun_us = clock_now_us();
    pulse_begin(&loop->pulse, begun_us / 1000);
    loop->event_count = count > 0 ? count : 0;
    hand_out(loop);
    timers_fire(&loop->timers, clock_now_ms());
    run_deferred(loop);
    pulse_end(&loop->pulse);
    histogram_add(&loop->turns, clock_now_us() - begun_us);
    return AFAR_OK;
}
