/* Hearing of the ends of keepers: a thread that is connected to each of them.
 *
 * An end gives the job's place back, is told to the audit log, and ends what a keeper that was
 * killed has left; all of that at once, and not when somebody asks for the job. In between it
 * removes what is too old. A folder is looked at here and in companions: it tells all the same. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/kept_internal.h"

enum {
    EVENTS = 64,
    ROUND_MS = 60000, /* then all that run are measured, and the old are removed */
    RETRY_MS = 1000,  /* a keeper that lives and has closed the connection, or cannot be reached */
    RETRY_UNREADABLE_MS = 60000,
    SCRATCH_BYTES = 65536,
    TURN_READS = 16 /* of one connection before the others get their turn */
};

struct watch {
    struct list link;
    char job[MESSAGE_JOB_ID_BYTES];
    int fd; /* -1: to be tried again */
    int64_t retry_at_ms;
};

struct kept_watch {
    struct kept *kept;
    pthread_t thread;
    int epoll_fd;
    int wake_fd;
    atomic_bool ending;
    struct list watches; /* the thread's alone */
    int64_t round_at_ms;
    unsigned round;
};

/* ---- one of them ----------------------------------------------------------------------------- */

/* A child that has not come to its execve may hold a copy of the descriptor: then its close alone
 * does not end the events, and they would be about what is not there any more. */
static void close_watch(const struct kept_watch *all, struct watch *watch)
{
    if (watch->fd >= 0) {
        (void)epoll_ctl(all->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
        (void)close(watch->fd);
    }
    watch->fd = -1;
}

static void free_watch(const struct kept_watch *all, struct watch *watch)
{
    close_watch(all, watch);
    list_remove(&watch->link);
    free(watch);
}

static void try_open(struct kept_watch *all, struct watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    watch->retry_at_ms = clock_deadline_ms(RETRY_MS);
    if (kept_listen(all->kept, watch->job, &watch->fd, NULL) != AFAR_OK)
        return;
    if (epoll_ctl(all->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) != 0)
        close_watch(all, watch);
}

/* Sees what its folder says. False: it is over. */
static bool look(struct kept_watch *all, struct watch *watch)
{
    switch (kept_look(all->kept, watch->job)) {
    case KEPT_IS_LIVE:
        return true;
    case KEPT_UNREADABLE:
        watch->retry_at_ms = clock_deadline_ms(RETRY_UNREADABLE_MS);
        (void)pthread_mutex_lock(&all->kept->lock);
        bool known = kept_entry_locked(all->kept, watch->job) != NULL;
        (void)pthread_mutex_unlock(&all->kept->lock);
        return known;
    case KEPT_HAS_ENDED:
    case KEPT_NEVER_RAN:
        break;
    }
    kept_measure(all->kept, watch->job);
    free_watch(all, watch);
    kept_evict(all->kept);
    return false;
}

/* What it says does not matter: that it says something does. */
static void heard(struct kept_watch *all, struct watch *watch, void *scratch)
{
    ssize_t got = 1;
    for (int i = 0; i < TURN_READS && got > 0; i++)
        got = recv(watch->fd, scratch, SCRATCH_BYTES, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        close_watch(all, watch);
        watch->retry_at_ms = clock_deadline_ms(RETRY_MS);
    }
    (void)look(all, watch);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Takes one that nobody watches. False: there is none. */
static bool adopt(struct kept_watch *all)
{
    struct kept *kept = all->kept;
    struct kept_entry *found = NULL;
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return false; /* in the next round */
    (void)pthread_mutex_lock(&kept->lock);
    for (struct list *link = kept->entries.next; link != &kept->entries && found == NULL;
         link = link->next) {
        struct kept_entry *entry = list_object(link, struct kept_entry, link);
        if (entry->state == KEPT_LIVE && !entry->watched)
            found = entry;
    }
    if (found != NULL) {
        found->watched = true;
        memcpy(watch->job, found->request.job, sizeof watch->job);
    }
    (void)pthread_mutex_unlock(&kept->lock);
    if (found == NULL) {
        free(watch);
        return false;
    }
    watch->fd = -1;
    list_append(&all->watches, &watch->link);
    try_open(all, watch);
    if (watch->fd < 0)
        (void)look(all, watch);
    return true;
}

static void retry(struct kept_watch *all)
{
    const int64_t now_ms = clock_now_ms();
    struct list *link = all->watches.next;
    while (link != &all->watches) {
        struct watch *watch = list_object(link, struct watch, link);
        link = link->next;
        if (watch->fd >= 0 || now_ms < watch->retry_at_ms)
            continue;
        try_open(all, watch);
        if (watch->fd < 0)
            (void)look(all, watch);
    }
}

/* The server stops: one that has not been told. False: none, or not yet. */
static bool tell_one(struct kept_watch *all)
{
    struct kept *kept = all->kept;
    char job[MESSAGE_JOB_ID_BYTES];
    struct kept_entry *found = NULL;
    struct afar_error err = {0};
    (void)pthread_mutex_lock(&kept->lock);
    for (struct list *link = kept->entries.next;
         clock_now_ms() >= kept->stop_at_ms && link != &kept->entries && found == NULL;
         link = link->next) {
        struct kept_entry *entry = list_object(link, struct kept_entry, link);
        if (entry->state == KEPT_LIVE && !entry->told)
            found = entry;
    }
    if (found != NULL) {
        found->told = true;
        memcpy(job, found->request.job, sizeof job);
    }
    (void)pthread_mutex_unlock(&kept->lock);
    if (found != NULL && kept_end(kept, job, &err) != AFAR_OK)
        log_write(kept->log, LOG_LEVEL_WARN, "kept job %s: cannot be ended: %s", job, err.message);
    return found != NULL;
}

static int wait_ms(struct kept_watch *all)
{
    int64_t until_ms = all->round_at_ms;
    for (struct list *link = all->watches.next; link != &all->watches; link = link->next) {
        const struct watch *watch = list_object(link, struct watch, link);
        if (watch->fd < 0 && watch->retry_at_ms < until_ms)
            until_ms = watch->retry_at_ms;
    }
    (void)pthread_mutex_lock(&all->kept->lock);
    /* Once it has come, all are told. */
    if (clock_now_ms() < all->kept->stop_at_ms && all->kept->stop_at_ms < until_ms)
        until_ms = all->kept->stop_at_ms;
    (void)pthread_mutex_unlock(&all->kept->lock);
    return clock_poll_timeout(until_ms);
}

static void turn(struct kept_watch *all, void *scratch)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(all->epoll_fd, events, EVENTS, wait_ms(all));
    for (int i = 0; i < count; i++) {
        uint64_t woken = 0;
        if (events[i].data.ptr != NULL)
            heard(all, events[i].data.ptr, scratch);
        else if (read(all->wake_fd, &woken, sizeof woken) < 0) {
            /* Somebody else has read it, which is all the same. */
        }
    }
    while (adopt(all))
        ;
    retry(all);
    while (tell_one(all))
        ;
    if (atomic_exchange(&all->kept->makes_room, false))
        kept_evict(all->kept);
    if (clock_now_ms() < all->round_at_ms)
        return;
    all->round_at_ms = clock_deadline_ms(ROUND_MS);
    kept_measure_all(all->kept, ++all->round);
    kept_evict(all->kept);
}

static void *run(void *argument)
{
    struct kept_watch *all = argument;
    void *scratch = malloc(SCRATCH_BYTES);
    while (scratch != NULL && !atomic_load(&all->ending))
        turn(all, scratch);
    free(scratch);
    return NULL;
}

/* ---- its life -------------------------------------------------------------------------------- */

static void free_all(struct kept_watch *all)
{
    struct list *link = all->watches.next;
    while (link != &all->watches) {
        struct watch *watch = list_object(link, struct watch, link);
        link = link->next;
        free_watch(all, watch);
    }
    if (all->epoll_fd >= 0)
        (void)close(all->epoll_fd);
    if (all->wake_fd >= 0)
        (void)close(all->wake_fd);
    free(all);
}

enum afar_status kept_watch_start(struct kept *kept, struct afar_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    struct kept_watch *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the watch over keepers");
    made->kept = kept;
    list_init(&made->watches);
    made->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    made->wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = made->epoll_fd < 0 || made->wake_fd < 0 ||
                         epoll_ctl(made->epoll_fd, EPOLL_CTL_ADD, made->wake_fd, &event) != 0
                     ? errno
                     : pthread_create(&made->thread, NULL, run, made);
    if (failed != 0) {
        free_all(made);
        return afar_fail_errno(err, failed, "cannot watch over keepers");
    }
    kept->watch = made;
    return AFAR_OK;
}

void kept_watch_end(struct kept *kept)
{
    struct kept_watch *all = kept->watch;
    if (all == NULL)
        return;
    atomic_store(&all->ending, true);
    kept_watch_wake(kept);
    (void)pthread_join(all->thread, NULL);
    kept->watch = NULL;
    free_all(all);
}

void kept_watch_wake(struct kept *kept)
{
    const uint64_t one = 1;
    if (kept->watch != NULL && write(kept->watch->wake_fd, &one, sizeof one) < 0) {
        /* It is full, so it is awake. */
    }
}
