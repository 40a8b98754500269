#include "afar/share/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "afar/remote.h"
#include "afar/share/place.h"
#include "afar/share/pool.h"
#include "afar/share/relay.h"
#include "base/clock.h"

enum {
    WARM = 2,               /* how many to open at first, and when there was none for a client */
    FIRST_FRAME_MS = 5000,  /* limit for a client's first frame */
    WAITING_MS = 800,       /* limit for waiting while a connection is checked */
    CHECK_MS = 10000,       /* how often to compare the key with the files */
    ACCEPTS_MAX = 16,       /* per turn */
    ACCEPT_PAUSE_MS = 1000, /* after an accept that failed for want of a descriptor */
    FIRST_IDLE = 3,         /* index in the poll list, after these … */
    FIRST_RELAY = FIRST_IDLE + POOL_IDLE_MAX
};

struct seat {
    struct relay relay;
    char version[POOL_VERSION_BYTES]; /* the server's */
    bool waits;                       /* it waits for a connection */
    uint64_t ping;
};

struct share {
    const struct options *options;
    struct share_key key;
    struct share_place place;
    struct pool pool;
    int signal_fd;
    struct seat *seat[SERVE_CLIENTS_MAX];
    size_t seats;
    bool leaving; /* no new clients; ends with the last one */
    bool ending;  /* end now */
    int64_t idle_since_ms;
    int64_t checked_ms;
    int64_t accept_at_ms; /* not before; 0: at any time */
};

/* ---- the key --------------------------------------------------------------------------------- */

static bool make_key(struct share_key *key, const struct options *options)
{
    struct remote remote;
    bool made = remote_open(&remote, options, NULL) && share_key_make(key, &remote);
    remote_close(&remote);
    return made;
}

/* If the key has changed (a certificate was renewed or removed, a server forgotten), takes no new
 * clients. */
static void check_key(struct share *share, int64_t now_ms)
{
    struct share_key now = {0};
    share->checked_ms = now_ms;
    if (!make_key(&now, share->options) || !share_key_equal(&now, &share->key))
        share->leaving = true;
    share_key_close(&now);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void add_client(struct share *share, int fd, int64_t now_ms)
{
    struct seat *seat = NULL;
    if (share_peer(fd, NULL) != geteuid() || share->seats == SERVE_CLIENTS_MAX ||
        (seat = calloc(1, sizeof *seat)) == NULL) {
        (void)close(fd);
        return;
    }
    relay_open(&seat->relay, fd, now_ms);
    share->seat[share->seats++] = seat;
}

static void accept_clients(struct share *share, int64_t now_ms)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(share->place.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        /* The client stays in the queue, so poll would return at once, again and again. */
        if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            share->accept_at_ms = now_ms + ACCEPT_PAUSE_MS;
        if (fd < 0)
            break;
        add_client(share, fd, now_ms);
    }
    check_key(share, now_ms);
}

/* Gives the client a connection, or turns it away; does nothing yet while one is being checked. */
static void seat_client(struct share *share, struct seat *seat, int64_t now_ms)
{
    struct pool_connection connection;
    struct relay *relay = &seat->relay;
    bool later = false;
    bool found = !share->leaving && pool_take(&share->pool, &connection, now_ms, &later);
    if (!found && later && now_ms - relay->since_ms < WAITING_MS && !share->leaving)
        return;
    seat->waits = false;
    relay->asked = true;
    if (!share->leaving && pool_is_empty(&share->pool))
        pool_want(&share->pool, found ? 1 : WARM);
    if (!found) {
        relay_turn_away(relay);
        return;
    }
    relay->server = connection.client;
    memcpy(seat->version, connection.version, sizeof seat->version);
    if (seat->ping != 0 &&
        !relay_say_pong(relay, seat->ping, seat->version, afar_features(connection.client)))
        relay->over = true;
}

static void look_at_first(struct seat *seat, int64_t now_ms)
{
    bool is_ping = false;
    uint64_t id = 0;
    if (!relay_first(&seat->relay, &is_ping, &id)) {
        if (now_ms - seat->relay.since_ms >= FIRST_FRAME_MS)
            seat->relay.over = true;
        return;
    }
    seat->waits = true;
    seat->ping = is_ping ? id : 0;
}

static void turn(struct share *share, struct seat *seat, int64_t now_ms)
{
    struct relay *relay = &seat->relay;
    relay_turn(relay, now_ms);
    if (!relay->asked && !seat->waits && !relay->over)
        look_at_first(seat, now_ms);
    if (seat->waits && !relay->over) {
        seat_client(share, seat, now_ms);
        if (relay->asked)
            relay_turn(relay, now_ms);
    }
}

/* Removes a client. Its connection goes back to the pool if it can serve another client. */
static void remove_client(struct share *share, size_t at, int64_t now_ms)
{
    struct seat *seat = share->seat[at];
    struct pool_connection connection = {.client = relay_give_back(&seat->relay)};
    if (connection.client != NULL) {
        memcpy(connection.version, seat->version, sizeof connection.version);
        pool_give_back(&share->pool, &connection, now_ms);
    }
    relay_close(&seat->relay);
    free(seat);
    share->seat[at] = share->seat[--share->seats];
    share->idle_since_ms = now_ms;
}

/* First the clients with a connection: what they give back is for the others. */
static void turn_all(struct share *share, int64_t now_ms)
{
    for (int with = 1; with >= 0; with--) {
        for (size_t i = share->seats; i-- > 0;) {
            if ((share->seat[i]->relay.server != NULL) != (with == 1))
                continue;
            turn(share, share->seat[i], now_ms);
            if (share->seat[i]->relay.over)
                remove_client(share, i, now_ms);
        }
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void take_signals(struct share *share)
{
    struct signalfd_siginfo info;
    while (read(share->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        share->leaving = true;
        share->ending = share->ending || info.ssi_signo != SIGUSR1;
    }
}

/* When the next timeout is due. */
static int64_t next_ms(const struct share *share)
{
    int64_t at_ms = share->checked_ms + CHECK_MS;
    if (share->accept_at_ms > 0 && share->accept_at_ms < at_ms)
        at_ms = share->accept_at_ms;
    if (share->seats == 0 && share->options->share_ms < INT64_MAX - share->idle_since_ms &&
        share->idle_since_ms + share->options->share_ms < at_ms)
        at_ms = share->idle_since_ms + share->options->share_ms;
    for (size_t i = 0; i < share->seats; i++) {
        const struct relay *relay = &share->seat[i]->relay;
        int64_t soon_ms = relay->since_ms + (share->seat[i]->waits ? WAITING_MS : FIRST_FRAME_MS);
        if ((!relay->asked || relay->client_ended || relay->server_ended) && soon_ms < at_ms)
            at_ms = soon_ms;
    }
    return at_ms;
}

static void wait_for_news(struct share *share)
{
    struct pollfd watched[FIRST_RELAY + 2 * SERVE_CLIENTS_MAX];
    bool at_once = false;
    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++)
        watched[i] = (struct pollfd){.fd = -1};
    if (share->accept_at_ms <= clock_now_ms())
        share->accept_at_ms = 0;
    if (share->accept_at_ms == 0)
        watched[0] = (struct pollfd){.fd = share->place.listen_fd, .events = POLLIN};
    watched[1] = (struct pollfd){.fd = pool_fd(&share->pool), .events = POLLIN};
    watched[2] = (struct pollfd){.fd = share->signal_fd, .events = POLLIN};
    pool_watch(&share->pool, watched + FIRST_IDLE);
    for (size_t i = 0; i < share->seats; i++)
        at_once = relay_watch(&share->seat[i]->relay, watched + FIRST_RELAY + 2 * i) || at_once;
    int timeout_ms = at_once ? 0 : clock_poll_timeout(next_ms(share));
    if (poll(watched, FIRST_RELAY + 2 * share->seats, timeout_ms) < 0)
        return; /* EINTR or ENOMEM: try again */
    int64_t now_ms = clock_now_ms();
    pool_check(&share->pool, watched + FIRST_IDLE);
    if (watched[1].revents != 0)
        pool_collect(&share->pool, now_ms);
    if (watched[2].revents != 0)
        take_signals(share);
    if (watched[0].revents != 0)
        accept_clients(share, now_ms);
}

/* Opens the socket as soon as there is a connection; decides whether to end. */
static void settle(struct share *share, int64_t now_ms)
{
    if (now_ms - share->checked_ms >= CHECK_MS)
        check_key(share, now_ms);
    if (share->place.listen_fd < 0 && !share->leaving) {
        if (share->pool.count > 0)
            share->leaving = !share_place_open(&share->place, &share->key);
        else
            share->leaving = share->pool.failed && share->pool.opening == 0;
    }
    const bool idle =
        share->seats == 0 && now_ms - share->idle_since_ms >= share->options->share_ms;
    if (share->pool.refused || idle)
        share->leaving = true;
    if (share->leaving)
        share_place_leave(&share->place);
}

static void serve(struct share *share)
{
    share->idle_since_ms = share->checked_ms = clock_now_ms();
    pool_want(&share->pool, WARM);
    for (;;) {
        wait_for_news(share);
        turn_all(share, clock_now_ms());
        settle(share, clock_now_ms());
        if (share->ending || (share->leaving && share->seats == 0))
            break;
    }
    share_place_leave(&share->place);
    while (share->seats > 0) {
        relay_close(&share->seat[share->seats - 1]->relay);
        free(share->seat[--share->seats]);
    }
}

static int open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int share_serve(const struct options *options)
{
    int status = STATUS_FAILED;
    struct share *share = calloc(1, sizeof *share);
    if (share == NULL)
        return status;
    share->options = options;
    share->place = (struct share_place){.lock_fd = -1, .listen_fd = -1};
    share->signal_fd = open_signals();
    if (share->signal_fd >= 0 && make_key(&share->key, share->options) &&
        share_place_take(&share->place, &share->key)) {
        afar_begin_program();
        if (pool_open(&share->pool, share->options, &share->key)) {
            serve(share);
            pool_close(&share->pool);
            status = 0;
        }
        share_place_leave(&share->place);
    }
    if (share->signal_fd >= 0)
        (void)close(share->signal_fd);
    share_key_close(&share->key);
    free(share);
    return status;
}
