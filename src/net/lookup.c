#include "net/lookup.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "net/address.h"

enum { STOP_LOOK_MS = 100 };

/* Shared by the caller and the thread; the last to finish frees it. */
struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;      /* guarded by `lock`, like all members … */
    bool abandoned; /* by the caller */
    enum afar_status status;
    struct afar_error err;
    struct addrinfo *list;
    struct endpoint endpoint; /* … except this, which never changes */
};

/* One for the whole process: it limits the threads for which no caller waits any more. */
static atomic_int lookups;

static struct lookup *lookup_new(const struct endpoint *endpoint)
{
    pthread_condattr_t attributes;
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    lookup->endpoint = *endpoint;
    (void)pthread_mutex_init(&lookup->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&lookup->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return lookup;
}

static void lookup_free(struct lookup *lookup)
{
    if (lookup->list != NULL)
        freeaddrinfo(lookup->list);
    (void)pthread_cond_destroy(&lookup->changed);
    (void)pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *look_up(void *argument)
{
    struct lookup *lookup = argument;
    struct addrinfo *list = NULL;
    struct afar_error err = {0};
    enum afar_status status = address_resolve(&lookup->endpoint, false, &list, &err);

    (void)pthread_mutex_lock(&lookup->lock);
    lookup->list = list;
    lookup->status = status;
    lookup->err = err;
    lookup->done = true;
    bool last = lookup->abandoned;
    (void)pthread_cond_signal(&lookup->changed);
    (void)pthread_mutex_unlock(&lookup->lock);
    if (last)
        lookup_free(lookup);
    (void)atomic_fetch_sub(&lookups, 1);
    return NULL;
}

/* The thread blocks all signals: other threads handle them. */
static int start_thread(struct lookup *lookup)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    int failure = pthread_attr_init(&attributes);
    if (failure != 0)
        return failure;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&thread, &attributes, look_up, lookup);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return failure;
}

static bool can_be_read(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&waiting, 1, 0) > 0;
}

/* False: not done by the deadline, or *stopped; then the thread owns the lookup. */
static bool wait_until_done(struct lookup *lookup, int64_t deadline_ms, int stop_fd, bool *stopped)
{
    (void)pthread_mutex_lock(&lookup->lock);
    while (!lookup->done && !*stopped) {
        const int64_t look_ms = clock_now_ms() + STOP_LOOK_MS;
        const int64_t until_ms = stop_fd >= 0 && look_ms < deadline_ms ? look_ms : deadline_ms;
        const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                       .tv_nsec = (long)(until_ms % 1000) * 1000000};
        int failure = pthread_cond_timedwait(&lookup->changed, &lookup->lock, &until);
        if (failure == ETIMEDOUT && until_ms == deadline_ms)
            break;
        *stopped = can_be_read(stop_fd);
    }
    bool done = lookup->done;
    lookup->abandoned = !done;
    (void)pthread_mutex_unlock(&lookup->lock);
    return done;
}

static enum afar_status look_up_in_time(const struct endpoint *endpoint, int64_t deadline_ms,
                                        int stop_fd, struct addrinfo **list, struct afar_error *err)
{
    bool stopped = false;
    struct lookup *lookup = lookup_new(endpoint);
    int failure = lookup == NULL ? ENOMEM : start_thread(lookup);
    if (failure != 0) {
        (void)atomic_fetch_sub(&lookups, 1);
        if (lookup != NULL)
            lookup_free(lookup);
        return afar_fail_errno(err, failure, "cannot resolve '%s': cannot start a thread",
                               endpoint->host);
    }
    bool done = wait_until_done(lookup, deadline_ms, stop_fd, &stopped);
    if (!done && stopped)
        return afar_fail(err, AFAR_EAGAIN, "connecting was stopped");
    if (!done)
        return afar_fail(err, AFAR_ETIMEDOUT,
                         "cannot resolve '%s': no answer in time; do the name servers of "
                         "/etc/resolv.conf answer?",
                         endpoint->host);
    enum afar_status status = lookup->status;
    if (status != AFAR_OK && err != NULL)
        *err = lookup->err;
    *list = lookup->list;
    lookup->list = NULL;
    lookup_free(lookup);
    return status;
}

enum afar_status lookup_addresses(const struct endpoint *endpoint, int64_t deadline_ms, int stop_fd,
                                  struct addrinfo **list, struct afar_error *err)
{
    *list = NULL;
    if (deadline_ms == DEADLINE_NEVER || !address_needs_resolver(endpoint->host))
        return address_resolve(endpoint, false, list, err);
    if (atomic_fetch_add(&lookups, 1) >= LOOKUPS_MAX) {
        (void)atomic_fetch_sub(&lookups, 1);
        return afar_fail(err, AFAR_ELIMIT,
                         "cannot resolve '%s': %d names are being looked up, and no name server "
                         "answers",
                         endpoint->host, LOOKUPS_MAX);
    }
    return look_up_in_time(endpoint, deadline_ms, stop_fd, list, err);
}
