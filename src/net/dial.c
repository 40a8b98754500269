#include "net/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/address.h"
#include "net/lookup.h"
#include "net/socket.h"

/* ---- several addresses at a time: RFC 8305, "Happy Eyeballs" --------------------------------- */

enum {
    /* §5: the time between the start of an attempt and the next one. */
    STAGGER_MS = 250,
    ATTEMPTS_MAX = 16, /* in progress at a time */
    ADDRESSES_MAX = 64 /* addresses of a name; more are not tried */
};

struct attempt {
    const struct addrinfo *address;
    int fd;
};

struct race {
    const struct addrinfo *addresses[ADDRESSES_MAX]; /* in the order in which they are tried */
    size_t count;
    size_t next;
    struct attempt under_way[ATTEMPTS_MAX]; /* in progress, oldest first */
    size_t attempts;
    int64_t next_at_ms;            /* when to try the next one */
    int stop_fd;                   /* -1: none */
    bool stopped;                  /* stop_fd is readable */
    int failure;                   /* errno of the last failed attempt */
    const struct addrinfo *failed; /* its address; NULL: none failed */
    const struct endpoint *endpoint;
};

static const struct addrinfo *next_of_family(const struct addrinfo *at, int family, bool same)
{
    while (at != NULL && (at->ai_family == family) != same)
        at = at->ai_next;
    return at;
}

/* §4: orders the addresses as the resolver did, but alternates between IPv6 and IPv4, so that a
 * broken family does not delay the other. */
static void put_in_order(struct race *race, const struct addrinfo *list)
{
    const int only = race->endpoint->family;
    if (only != 0) {
        for (; race->count < ADDRESSES_MAX && list != NULL; list = list->ai_next) {
            if (list->ai_family == only)
                race->addresses[race->count++] = list;
        }
        return;
    }
    int family = list->ai_family;
    const struct addrinfo *turn[2] = {list, next_of_family(list, family, false)};
    for (size_t i = 0; race->count < ADDRESSES_MAX && (turn[0] != NULL || turn[1] != NULL); i++) {
        const struct addrinfo **at = &turn[turn[i % 2] != NULL ? i % 2 : (i + 1) % 2];
        race->addresses[race->count++] = *at;
        *at = next_of_family((*at)->ai_next, family, at == &turn[0]);
    }
}

static void note_failure(struct race *race, const struct addrinfo *address, int failure)
{
    race->failure = failure;
    race->failed = address;
    race->next_at_ms = 0;
}

static bool won(const struct addrinfo *address, int made, int *fd)
{
    if (address->ai_socktype == SOCK_STREAM)
        socket_set_tcp_options(made, (sa_family_t)address->ai_family);
    *fd = made;
    return true;
}

/* The wait before the next attempt: shorter if the deadline must leave time for every address. */
static int64_t stagger_ms(const struct race *race, int64_t deadline_ms, int64_t now_ms)
{
    int64_t share_ms = (deadline_ms - now_ms) / (int64_t)(race->count - race->next + 1);
    return deadline_ms != DEADLINE_NEVER && share_ms < STAGGER_MS ? share_ms : STAGGER_MS;
}

/* Binds to the local address, if one is given. Returns 0 or an errno. */
static int bind_local(int fd, const struct addrinfo *address, const char *local)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    bool is_in6 = address->ai_family == AF_INET6;
    if (local[0] == '\0')
        return 0;
    if (inet_pton(address->ai_family, local,
                  is_in6 ? (void *)&in6.sin6_addr : (void *)&in.sin_addr) != 1)
        return EADDRNOTAVAIL; /* an address of the other family */
    int result = is_in6 ? bind(fd, (struct sockaddr *)&in6, sizeof in6)
                        : bind(fd, (struct sockaddr *)&in, sizeof in);
    return result == 0 ? 0 : errno;
}

/* Starts the next attempt. True: it succeeded immediately. */
static bool begin(struct race *race, int64_t deadline_ms, int *fd)
{
    int64_t now_ms = clock_now_ms();
    const struct addrinfo *address = race->addresses[race->next++];
    int made = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    race->next_at_ms = now_ms + stagger_ms(race, deadline_ms, now_ms);
    if (made < 0) {
        note_failure(race, address, errno);
        return false;
    }
    int failure = bind_local(made, address, race->endpoint->local);
    if (failure == 0 && connect(made, address->ai_addr, address->ai_addrlen) == 0)
        return won(address, made, fd);
    failure = failure != 0 ? failure : errno;
    /* An interrupted connect continues in the background, like one in progress. */
    if (failure == EINPROGRESS || failure == EINTR) {
        race->under_way[race->attempts++] = (struct attempt){.address = address, .fd = made};
        return false;
    }
    (void)close(made);
    note_failure(race, address, failure);
    return false;
}

/* Ends an attempt that poll(2) has reported. True: it succeeded. */
static bool settle(struct race *race, size_t index, int *fd)
{
    struct attempt attempt = race->under_way[index];
    int failure = 0;
    socklen_t size = sizeof failure;
    if (getsockopt(attempt.fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
        failure = errno;
    race->attempts--;
    memmove(&race->under_way[index], &race->under_way[index + 1],
            (race->attempts - index) * sizeof race->under_way[0]);
    if (failure == 0)
        return won(attempt.address, attempt.fd, fd);
    (void)close(attempt.fd);
    note_failure(race, attempt.address, failure);
    return false;
}

/* Waits for the attempts. True: one succeeded. */
static bool wait_for_one(struct race *race, int64_t until_ms, int *fd)
{
    struct pollfd waiting[ATTEMPTS_MAX + 1];
    size_t count = race->attempts;
    waiting[count] = (struct pollfd){.fd = race->stop_fd, .events = POLLIN};
    for (size_t i = 0; i < count; i++)
        waiting[i] = (struct pollfd){.fd = race->under_way[i].fd, .events = POLLOUT};
    if (poll(waiting, count + 1, clock_poll_timeout(until_ms)) <= 0)
        return false; /* EINTR, or the time is over */
    race->stopped = waiting[count].revents != 0;
    /* Backwards, because settle removes the attempt. */
    for (size_t i = count; i-- > 0;) {
        if (waiting[i].revents != 0 && settle(race, i, fd))
            return true;
    }
    return false;
}

/* Returns 0 if connected, otherwise an errno; race->failed is the address that it is about. */
static int run_race(struct race *race, int64_t deadline_ms, int *fd)
{
    for (;;) {
        bool more = race->next < race->count && race->attempts < ATTEMPTS_MAX;
        int64_t now_ms = clock_now_ms();
        if (more && (race->attempts == 0 || now_ms >= race->next_at_ms)) {
            if (begin(race, deadline_ms, fd))
                return 0;
            continue;
        }
        if (race->attempts == 0)
            return race->failure;
        if (race->stopped)
            return ECANCELED;
        if (now_ms >= deadline_ms) {
            race->failed = race->under_way[0].address;
            return ETIMEDOUT;
        }
        int64_t until_ms = more && race->next_at_ms < deadline_ms ? race->next_at_ms : deadline_ms;
        if (wait_for_one(race, until_ms, fd))
            return 0;
    }
}

/* ---- a Unix socket --------------------------------------------------------------------------- */

/* poll(2) cannot wait for room in the queue of a Unix socket: connect(2) itself must wait, for at
 * most SO_SNDTIMEO. */
static int try_unix(const struct endpoint *endpoint, int64_t deadline_ms, int *fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {0};
    int failure = 0;

    memcpy(address.sun_path, endpoint->path, sizeof address.sun_path);
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0)
        return errno;
    for (;;) {
        int left_ms = clock_poll_timeout(deadline_ms);
        if (left_ms >= 0) {
            patience.tv_sec = left_ms / 1000;
            patience.tv_usec = left_ms % 1000 * 1000 + 1; /* 0 would mean for ever */
            (void)setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        }
        failure = connect(made, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
        if (failure != EINTR)
            break;
    }
    if (failure == EAGAIN)
        failure = ETIMEDOUT;
    if (failure == 0) {
        int flags = fcntl(made, F_GETFL);
        if (flags < 0 || fcntl(made, F_SETFL, flags | O_NONBLOCK) != 0)
            failure = errno;
    }
    if (failure != 0) {
        (void)close(made);
        return failure;
    }
    *fd = made;
    return 0;
}

/* ---- error messages -------------------------------------------------------------------------- */

/* What to check after the common failures. */
static const char *hint(int failure)
{
    switch (failure) {
    case ECONNREFUSED:
    case ENOENT:
        return "; is afard running there?";
    case ETIMEDOUT:
        return "; is the address right, and does a firewall let it through?";
    case EACCES:
    case EPERM:
        return "; is this user allowed to?";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "; is there a network to it?";
    default:
        return "";
    }
}

static enum afar_status fail(const struct endpoint *endpoint, const char *tried, int failure,
                             struct afar_error *err)
{
    char url[ENDPOINT_URL_BYTES];
    char reason[128];
    bool timed_out = failure == ETIMEDOUT;
    if (failure == ECANCELED)
        return afar_fail(err, AFAR_EAGAIN, "connecting was stopped");
    enum afar_status status = timed_out           ? AFAR_ETIMEDOUT
                              : failure == ENOMEM ? AFAR_ENOMEM
                                                  : AFAR_ESYSTEM;

    endpoint_format(endpoint, url, sizeof url);
    const char *text = timed_out ? "no answer in time" : strerror_r(failure, reason, sizeof reason);
    (void)afar_fail(err, status, "cannot connect to %s%s: %s%s", url, tried, text, hint(failure));
    if (err != NULL)
        err->sys_errno = failure;
    return status;
}

/* Writes " (127.0.0.1:7420)", or "" if the URL has the same address. */
static void describe(const struct endpoint *endpoint, const struct addrinfo *address, char *text,
                     size_t size)
{
    char shown[ADDRESS_TEXT_BYTES];
    size_t length = strlen(endpoint->host);

    address_format(address->ai_addr, address->ai_addrlen, shown, sizeof shown);
    const char *host = shown[0] == '[' ? shown + 1 : shown;
    text[0] = '\0';
    if (strncmp(host, endpoint->host, length) == 0 && (host[length] == ':' || host[length] == ']'))
        return;
    (void)snprintf(text, size, " (%s)", shown);
}

static enum afar_status dial_inet(const struct endpoint *endpoint, int64_t deadline_ms, int stop_fd,
                                  int *fd, struct afar_error *err)
{
    struct addrinfo *list = NULL;
    char tried[ADDRESS_TEXT_BYTES + 4] = "";
    struct race race = {.failure = EADDRNOTAVAIL, .stop_fd = stop_fd, .endpoint = endpoint};

    enum afar_status status = lookup_addresses(endpoint, deadline_ms, stop_fd, &list, err);
    if (status != AFAR_OK)
        return status;
    put_in_order(&race, list);
    int failure = run_race(&race, deadline_ms, fd);
    while (race.attempts > 0)
        (void)close(race.under_way[--race.attempts].fd);
    if (failure != 0 && race.failed != NULL)
        describe(endpoint, race.failed, tried, sizeof tried);
    freeaddrinfo(list);
    return failure == 0 ? AFAR_OK : fail(endpoint, tried, failure, err);
}

enum afar_status dial(const struct endpoint *endpoint, int64_t deadline_ms, int *fd,
                      struct afar_error *err)
{
    return dial_unless(endpoint, deadline_ms, -1, fd, err);
}

enum afar_status dial_unless(const struct endpoint *endpoint, int64_t deadline_ms, int stop_fd,
                             int *fd, struct afar_error *err)
{
    *fd = -1;
    if (endpoint->inherited)
        return afar_fail(err, AFAR_EINVAL,
                         "an inherited (+fd) socket can only be used for listening");
    if (endpoint->scheme != ENDPOINT_UNIX)
        return dial_inet(endpoint, deadline_ms, stop_fd, fd, err);
    int failure = try_unix(endpoint, deadline_ms, fd);
    return failure == 0 ? AFAR_OK : fail(endpoint, "", failure, err);
}
