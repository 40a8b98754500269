#include "server/acceptor.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/connection/connection.h"
#include "server/giveback.h"
#include "server/protocol/native.h"
#include "server/reaper.h"
#include "server/protocol/shell.h"
#include "server/protocol/udp_upper.h"
#include "server/protocol/upper.h"

enum {
    ACCEPTS_PER_TURN = 32,
    PAUSE_MS = 100 /* when descriptors run out: long enough not to spin, too short to be noticed */
};

/* One stream listener. */
struct door {
    struct list link;
    struct acceptor *acceptor;
    struct listener *listener;
    struct tls_context *tls;
    const struct protocol_ops *protocol;
    struct loop_source source;
};

struct acceptor {
    struct server_shared *shared;
    struct loop *loop;
    struct mailbox mailbox;
    struct list doors;
    struct acceptor_hooks hooks;
    struct worker **workers;
    unsigned worker_count; /* all of them; the last … */
    unsigned bulk_count;   /* … so many are bulk workers */
    unsigned workers_ended;
    unsigned workers_settled; /* use the settings that were posted last */
    bool settling;            /* some workers do not use them yet */
    struct loop_source signals;
    struct reaper reaper;
    struct timer pause_timer;
    struct timer drain_timer;
    struct giveback giveback;
    bool attached; /* pause_timer and drain_timer are attached */
    bool draining; /* the first signal has come */
    bool ending;   /* drain_ms have passed */
    bool killed;   /* the grace period has passed, or a second signal has come */
};

/* ---- connections ----------------------------------------------------------------------------- */

static struct worker *least_loaded(const struct acceptor *acceptor)
{
    struct worker *best = acceptor->workers[0];
    unsigned best_count = worker_connections(best);
    for (unsigned i = 1; i < acceptor->worker_count - acceptor->bulk_count; i++) {
        unsigned count = worker_connections(acceptor->workers[i]);
        if (count < best_count) {
            best = acceptor->workers[i];
            best_count = count;
        }
    }
    return best;
}

static size_t count_connections(void *user)
{
    const struct acceptor *acceptor = user;
    size_t count = 0;
    for (unsigned i = 0; i < acceptor->worker_count; i++)
        count += worker_connections(acceptor->workers[i]);
    return count;
}

static void give_back(void *user)
{
    const struct acceptor *acceptor = user;
    for (unsigned i = 0; i < acceptor->worker_count; i++)
        worker_post_give_back(acceptor->workers[i]);
}

/* Counts a refused connection. `told`: the client is told why. True: its worker logs it. */
static bool count_refusal(struct server_shared *shared, const struct address_group *group,
                          enum counter limit, bool told)
{
    char who[ADDRESS_TEXT_BYTES];
    address_group_format(group, who, sizeof who);
    counters_count(&shared->counters, limit);
    if (told)
        return summary_count(shared->summary, SUMMARY_REFUSED, who);
    summary_add(shared->summary, SUMMARY_REFUSED, who);
    return false;
}

/* What is known of a peer before it has sent anything. */
static enum admission_kind kind_at(const struct door *door)
{
    if (door->tls != NULL)
        return ADMISSION_STRANGER;
    return listener_endpoint(door->listener)->scheme == ENDPOINT_UNIX ? ADMISSION_KNOWN
                                                                      : ADMISSION_ANONYMOUS;
}

static void take_connection(struct door *door, int fd, const char *peer,
                            const struct address_group *group)
{
    struct server_shared *shared = door->acceptor->shared;
    const struct connection_origin origin = {.fd = fd,
                                             .peer = peer,
                                             .tls = door->tls,
                                             .protocol = door->protocol,
                                             .kind = listener_endpoint(door->listener)->protocol};
    enum counter limit = COUNTERS;
    struct connection *connection = connection_new(&origin, shared);
    if (connection == NULL) {
        if (summary_count(shared->summary, SUMMARY_REFUSED, "out of memory"))
            log_write(shared->log, LOG_LEVEL_ERROR, "connection from %s refused: out of memory",
                      peer);
        return;
    }
    enum admission_verdict verdict =
        admission_enter(shared->admission, shared->settings.config, group, kind_at(door),
                        &connection->ticket, &limit);
    if (verdict != ADMISSION_GRANTED)
        connection->note_refusal =
            count_refusal(shared, group, limit, verdict == ADMISSION_REFUSED);
    else if (limit != COUNTERS)
        counters_count(&shared->counters, limit);
    if (verdict == ADMISSION_DROPPED) {
        connection_drop(connection);
        return;
    }
    connection->refusal = verdict == ADMISSION_REFUSED ? counter_name(limit) : NULL;
    counters_count(&shared->counters, COUNTER_CONNECTIONS);
    connection_hand_over(connection, least_loaded(door->acceptor));
    giveback_note(&door->acceptor->giveback, count_connections(door->acceptor));
}

static void watch_doors(struct acceptor *acceptor, uint32_t events)
{
    for (struct list *link = acceptor->doors.next; link != &acceptor->doors; link = link->next) {
        struct door *door = list_object(link, struct door, link);
        if (loop_set_events(acceptor->loop, &door->source, events, NULL) != AFAR_OK)
            timer_arm(loop_timers(acceptor->loop), &acceptor->pause_timer,
                      clock_deadline_ms(PAUSE_MS));
    }
}

/* Out of descriptors or memory: connections in the backlog keep the listener readable, so the loop
 * would spin if it were watched. */
static void pause_accepting(struct acceptor *acceptor, const struct afar_error *err)
{
    if (summary_count(acceptor->shared->summary, SUMMARY_PAUSED, ""))
        log_write(acceptor->shared->log, LOG_LEVEL_ERROR, "%s; not accepting for %d ms",
                  err->message, PAUSE_MS);
    counters_count(&acceptor->shared->counters, COUNTER_ACCEPT_PAUSES);
    watch_doors(acceptor, 0);
    timer_arm(loop_timers(acceptor->loop), &acceptor->pause_timer, clock_deadline_ms(PAUSE_MS));
}

static void pause_over(struct timer *timer)
{
    watch_doors(list_object(timer, struct acceptor, pause_timer), EPOLLIN);
}

static void door_ready(struct loop_source *source, uint32_t events)
{
    struct door *door = list_object(source, struct door, source);
    struct afar_error err;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = -1;
        char peer[ADDRESS_TEXT_BYTES];
        struct address_group group = {.size = 0};
        enum afar_status status = listener_accept(door->listener, &fd, peer, &group, &err);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK) {
            pause_accepting(door->acceptor, &err);
            return;
        }
        take_connection(door, fd, peer, &group);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

void acceptor_remove(struct door *door)
{
    list_remove(&door->link);
    loop_remove(door->acceptor->loop, &door->source);
    listener_free(door->listener);
    tls_context_free(door->tls);
    free(door);
}

static void close_doors(struct acceptor *acceptor)
{
    struct list *next = NULL;
    for (struct list *link = acceptor->doors.next; link != &acceptor->doors; link = next) {
        next = link->next;
        acceptor_remove(list_object(link, struct door, link));
    }
}

static void begin_drain(struct acceptor *acceptor)
{
    const struct config *config = acceptor->shared->settings.config;
    acceptor->draining = true;
    close_doors(acceptor);
    log_write(acceptor->shared->log, LOG_LEVEL_INFO,
              "draining: %zu jobs may go on for %llu ms; another signal ends them now",
              registry_count(acceptor->shared->registry), (unsigned long long)config->drain_ms);
    for (unsigned i = 0; i < acceptor->worker_count; i++)
        worker_post_drain(acceptor->workers[i]);
    timer_arm(loop_timers(acceptor->loop), &acceptor->drain_timer,
              clock_now_ms() + (int64_t)config->drain_ms);
    if (acceptor->hooks.draining != NULL)
        acceptor->hooks.draining(acceptor->hooks.user);
}

static void kill_now(struct acceptor *acceptor)
{
    if (acceptor->killed)
        return;
    acceptor->killed = true;
    timer_arm(loop_timers(acceptor->loop), &acceptor->drain_timer, DEADLINE_NEVER);
    for (unsigned i = 0; i < acceptor->worker_count; i++)
        worker_post_kill(acceptor->workers[i]);
    if (acceptor->hooks.killing != NULL)
        acceptor->hooks.killing(acceptor->hooks.user);
}

/* drain_ms have passed: ends the jobs. When this fires again, after their grace period and the time
 * for clients to read receipts: kills and closes what is left. */
static void drain_over(struct timer *timer)
{
    struct acceptor *acceptor = list_object(timer, struct acceptor, drain_timer);
    const struct config *config = acceptor->shared->settings.config;
    if (acceptor->ending) {
        kill_now(acceptor);
        return;
    }
    acceptor->ending = true;
    log_write(acceptor->shared->log, LOG_LEVEL_WARN, "drain_ms are over: ending the jobs");
    for (unsigned i = 0; i < acceptor->worker_count; i++)
        worker_post_end_jobs(acceptor->workers[i]);
    timer_arm(loop_timers(acceptor->loop), &acceptor->drain_timer,
              clock_now_ms() + (int64_t)config->kill_grace_ms + (int64_t)config->last_words_ms);
}

static void stop(struct acceptor *acceptor)
{
    if (!acceptor->draining) {
        begin_drain(acceptor);
        return;
    }
    log_write(acceptor->shared->log, LOG_LEVEL_WARN, "second signal: killing the jobs");
    kill_now(acceptor);
}

static void worker_settled(struct mail *mail)
{
    const struct worker *worker = list_object(mail, struct worker, settled_mail);
    struct acceptor *acceptor = list_object(worker->boss, struct acceptor, mailbox);
    acceptor->workers_settled++;
    if (acceptor->workers_settled < acceptor->worker_count)
        return;
    acceptor->settling = false;
    acceptor->hooks.settled(acceptor->hooks.user);
}

static void worker_ended(struct mail *mail)
{
    const struct worker *worker = list_object(mail, struct worker, ended_mail);
    struct acceptor *acceptor = list_object(worker->boss, struct acceptor, mailbox);
    acceptor->workers_ended++;
}

/* ---- signals --------------------------------------------------------------------------------- */

static void log_counters(struct server_shared *shared)
{
    char text[1200];
    counters_format(&shared->counters, text, sizeof text);
    log_write(shared->log, LOG_LEVEL_INFO,
              "now: connections=%zu unauthenticated=%zu jobs=%zu queued=%zu",
              admission_count(shared->admission), admission_unauthenticated(shared->admission),
              registry_count(shared->registry), registry_queued(shared->registry));
    log_write(shared->log, LOG_LEVEL_INFO, "since the start: %s", text);
}

static void hang_up(struct acceptor *acceptor)
{
    if (acceptor->draining || acceptor->hooks.hang_up == NULL)
        log_write(acceptor->shared->log, LOG_LEVEL_WARN,
                  "SIGHUP: not now, the server is going down");
    else
        acceptor->hooks.hang_up(acceptor->hooks.user);
}

static void signals_ready(struct loop_source *source, uint32_t events)
{
    struct acceptor *acceptor = list_object(source, struct acceptor, signals);
    struct signalfd_siginfo info;
    (void)events;
    while (read(source->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            hang_up(acceptor);
        else if (info.ssi_signo == SIGUSR1)
            log_counters(acceptor->shared);
        else
            stop(acceptor);
    }
}

static void own_signals(sigset_t *signals)
{
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, SIGHUP);
    (void)sigaddset(signals, SIGUSR1);
}

void acceptor_signals(sigset_t *signals)
{
    own_signals(signals);
    (void)sigaddset(signals, SIGCHLD); /* the reaper's */
}

static enum afar_status watch_signals(struct acceptor *acceptor, struct afar_error *err)
{
    sigset_t signals;
    own_signals(&signals);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot make a signalfd");
    enum afar_status status =
        loop_add(acceptor->loop, &acceptor->signals, fd, EPOLLIN, signals_ready, err);
    if (status != AFAR_OK)
        (void)close(fd);
    return status;
}

/* ---- making and running ---------------------------------------------------------------------- */

enum afar_status acceptor_new(struct acceptor **acceptor, struct server_shared *shared,
                              const struct acceptor_hooks *hooks, struct afar_error *err)
{
    *acceptor = NULL;
    struct acceptor *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the acceptor");
    made->shared = shared;
    made->hooks = *hooks;
    list_init(&made->doors);
    loop_source_init(&made->signals);
    loop_source_init(&made->mailbox.source);
    enum afar_status status = loop_new(&made->loop, err);
    if (status == AFAR_OK)
        status = mailbox_open(&made->mailbox, made->loop, err);
    if (status == AFAR_OK)
        status = watch_signals(made, err);
    if (status == AFAR_OK)
        status = reaper_open(&made->reaper, made->loop, shared->orphans, err);
    if (status == AFAR_OK)
        status = timer_attach(loop_timers(made->loop), &made->pause_timer, pause_over, err);
    if (status == AFAR_OK) {
        status = timer_attach(loop_timers(made->loop), &made->drain_timer, drain_over, err);
        if (status != AFAR_OK)
            timer_detach(loop_timers(made->loop), &made->pause_timer);
        made->attached = status == AFAR_OK;
    }
    if (status == AFAR_OK)
        status = giveback_open(&made->giveback, loop_timers(made->loop), count_connections,
                               give_back, made, err);
    if (status != AFAR_OK) {
        acceptor_free(made);
        return status;
    }
    *acceptor = made;
    return AFAR_OK;
}

/* Joins and frees the workers. They are drained first if the server did not start completely. */
static void end_workers(struct acceptor *acceptor)
{
    for (unsigned i = 0; !acceptor->draining && i < acceptor->worker_count; i++)
        worker_post_drain(acceptor->workers[i]);
    for (unsigned i = 0; i < acceptor->worker_count; i++)
        worker_join(acceptor->workers[i]);
    for (unsigned i = 0; i < acceptor->worker_count; i++)
        worker_free(acceptor->workers[i]);
    free(acceptor->workers);
}

void acceptor_free(struct acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    end_workers(acceptor);
    if (acceptor->loop != NULL) {
        close_doors(acceptor);
        int fd = acceptor->signals.fd;
        loop_remove(acceptor->loop, &acceptor->signals);
        if (fd >= 0)
            (void)close(fd);
        reaper_close(&acceptor->reaper);
        mailbox_close(&acceptor->mailbox);
        giveback_close(&acceptor->giveback);
        if (acceptor->attached) {
            timer_detach(loop_timers(acceptor->loop), &acceptor->pause_timer);
            timer_detach(loop_timers(acceptor->loop), &acceptor->drain_timer);
        }
    }
    loop_free(acceptor->loop);
    free(acceptor);
}

enum afar_status acceptor_start_workers(struct acceptor *acceptor, unsigned ordinary, unsigned bulk,
                                        struct afar_error *err)
{
    struct server_shared *shared = acceptor->shared;
    const unsigned count = ordinary + bulk;
    acceptor->workers = calloc(count, sizeof *acceptor->workers);
    if (acceptor->workers == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for %u workers", count);
    const struct worker_boss boss = {
        .mailbox = &acceptor->mailbox, .ended = worker_ended, .settled = worker_settled};
    enum afar_status status = AFAR_OK;
    while (status == AFAR_OK && acceptor->worker_count < count) {
        const unsigned number = acceptor->worker_count;
        status = worker_start(&acceptor->workers[number], number, number >= ordinary, shared, &boss,
                              err);
        if (status == AFAR_OK)
            acceptor->worker_count++;
    }
    if (status != AFAR_OK)
        return status;
    acceptor->bulk_count = bulk;
    shared->bulk = acceptor->workers + ordinary;
    atomic_store(&shared->bulk_count, bulk);
    return AFAR_OK;
}

static const struct protocol_ops *protocol_for(enum endpoint_protocol protocol)
{
    switch (protocol) {
    case PROTOCOL_AFAR:
        return &native_protocol;
    case PROTOCOL_HEADED:
    case PROTOCOL_SIZED:
        return &shell_protocol;
    case PROTOCOL_UPPER:
        return &upper_protocol;
    }
    return NULL;
}

static void set_patience(const struct door *door)
{
    const struct config *config = door->acceptor->shared->settings.config;
    listener_set_patience(door->listener, config->keepalive_ms, config->tcp_user_timeout_ms);
}

static void set_tls(struct door *door, struct tls_context *tls)
{
    if (tls != NULL)
        tls_context_keep(tls);
    tls_context_free(door->tls);
    door->tls = tls;
}

enum afar_status acceptor_add(struct acceptor *acceptor, struct listener *listener,
                              struct tls_context *tls, struct door **door, struct afar_error *err)
{
    const struct endpoint *endpoint = listener_endpoint(listener);
    *door = NULL;
    if (endpoint->scheme == ENDPOINT_UDP)
        return udp_upper_begin(acceptor->workers[0], listener, err);

    struct door *made = calloc(1, sizeof *made);
    if (made == NULL) {
        listener_free(listener);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a listener");
    }
    made->acceptor = acceptor;
    made->listener = listener;
    made->protocol = protocol_for(endpoint->protocol);
    enum afar_status status =
        loop_add(acceptor->loop, &made->source, listener_fd(listener), EPOLLIN, door_ready, err);
    if (status != AFAR_OK) {
        listener_free(listener);
        free(made);
        return status;
    }
    list_append(&acceptor->doors, &made->link);
    set_tls(made, endpoint->scheme == ENDPOINT_TLS ? tls : NULL);
    set_patience(made);
    *door = made;
    return AFAR_OK;
}

int64_t acceptor_turn_ms(const struct acceptor *acceptor)
{
    const int64_t now_ms = clock_now_ms();
    int64_t slowest_ms = pulse_turn_ms(loop_pulse(acceptor->loop), now_ms);
    for (unsigned i = 0; i < acceptor->worker_count; i++) {
        int64_t turn_ms = pulse_turn_ms(loop_pulse(acceptor->workers[i]->host.loop), now_ms);
        slowest_ms = turn_ms > slowest_ms ? turn_ms : slowest_ms;
    }
    return slowest_ms;
}

unsigned acceptor_worker_count(const struct acceptor *acceptor)
{
    return acceptor->worker_count;
}

const struct worker *acceptor_worker(const struct acceptor *acceptor, unsigned number)
{
    return acceptor->workers[number];
}

struct loop *acceptor_loop(struct acceptor *acceptor)
{
    return acceptor->loop;
}

bool acceptor_is_draining(const struct acceptor *acceptor)
{
    return acceptor->draining;
}

bool acceptor_is_killing(const struct acceptor *acceptor)
{
    return acceptor->killed;
}

void acceptor_settle(struct acceptor *acceptor)
{
    const struct server_settings *settings = &acceptor->shared->settings;
    assert(!acceptor->settling && !acceptor->draining);
    acceptor->settling = true;
    acceptor->workers_settled = 0;
    for (struct list *link = acceptor->doors.next; link != &acceptor->doors; link = link->next) {
        struct door *door = list_object(link, struct door, link);
        set_tls(door, door->tls != NULL ? settings->tls : NULL);
        set_patience(door);
    }
    for (unsigned i = 0; i < acceptor->worker_count; i++)
        worker_post_settings(acceptor->workers[i], settings);
}

enum afar_status acceptor_run(struct acceptor *acceptor, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    while (status == AFAR_OK && acceptor->workers_ended < acceptor->worker_count)
        status = loop_turn(acceptor->loop, err);
    return status;
}
