/* A thread that is connected to every keeper and notices when it ends.
 *
 * An end releases the job's place, is written to the audit log, and ends the processes that a
 * killed keeper has left: immediately, not when somebody asks for the job. In between, the thread
 * removes what is too old. Companions look at folders, too; the result does not depend on which
 * comes first. */
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
    ROUND_MS = 60000, /* how often running jobs are measured and old ones removed */
    RETRY_MS = 1000,  /* a keeper that runs but closed the connection, or cannot be reached */
    RETRY_UNREADABLE_MS = 60000,
    SCRATCH_BYTES = 65536,
    TURN_READS = 16 /* reads of one connection in a turn */
};

struct watch {
    struct list link;
    char job[MESSAGE_JOB_ID_BYTES];
    int fd; /* -1: to be opened at retry_at_ms */
    int64_t retry_at_ms;
};

struct kept_watch {
    struct kept *kept;
    pthread_t thread;
    int epoll_fd;
    int wake_fd;
    atomic_bool ending;
    struct list watches; /* used by the thread only */
    int64_t round_at_ms;
    unsigned round;
};

/* ---- one of them ----------------------------------------------------------------------------- */

/* A cloned child may hold a copy of the descriptor until its execve. Then close(2) alone does not
 * end its events, which would point to a freed watch. */
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

static bool is_known(struct kept *kept, const char *job)
{
    (void)pthread_mutex_lock(&kept->lock);
    const bool known = kept_entry_locked(kept, job) != NULL;
    (void)pthread_mutex_unlock(&kept->lock);
    return known;
}

/* Looks at the job's folder. If the job is over, frees the watch. */
static void look(struct kept_watch *all, struct watch *watch)
{
    switch (kept_look(all->kept, watch->job)) {
    case KEPT_IS_LIVE:
        return;
    case KEPT_UNREADABLE:
        watch->retry_at_ms = clock_deadline_ms(RETRY_UNREADABLE_MS);
        if (is_known(all->kept, watch->job))
            return;
        break;
    case KEPT_HAS_ENDED:
    case KEPT_NEVER_RAN:
    case KEPT_IS_GONE:
        break;
    }
    kept_measure(all->kept, watch->job);
    free_watch(all, watch);
    kept_evict(all->kept);
}

/* A keeper has sent something or closed the connection: its content does not matter. */
static void heard(struct kept_watch *all, struct watch *watch, void *scratch)
{
    ssize_t got = 1;
    for (int i = 0; i < TURN_READS && got > 0; i++)
        got = recv(watch->fd, scratch, SCRATCH_BYTES, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        close_watch(all, watch);
        watch->retry_at_ms = clock_deadline_ms(RETRY_MS);
    }
    look(all, watch);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Begins to watch one running job that is not watched yet. False: there is none. */
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
        if ((entry->state == KEPT_LIVE || entry->by_word) && !entry->watched)
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
        look(all, watch);
    return true;
}

static void retry(struct kept_watch *all)
{
    const int64_t now_ms =
        atomic_exchange(&all->kept->looks_again, false) ? INT64_MAX : clock_now_ms();
    struct list *link = all->watches.next;
    while (link != &all->watches) {
        struct watch *watch = list_object(link, struct watch, link);
        link = link->next;
        if (watch->fd >= 0 || now_ms < watch->retry_at_ms)
            continue;
        try_open(all, watch);
        if (watch->fd < 0)
            look(all, watch);
    }
}

/* If it is time to stop: tells one job, which was not told before, to end. False: there is none. */
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
        if (entry->state == KEPT_LIVE && !entry->told && !entry->unreadable)
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
    /* After that time all have been told. */
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
            /* Nothing to read: no harm. */
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
        /* The counter is full, so the thread is awake. */
    }
}
