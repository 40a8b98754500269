#include "server/watch/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/utf8.h"

enum {
    RETRY_MS = 100,          /* when the manager's queue is full */
    DRAIN_MS = 2000,         /* between two messages while draining … */
    DRAIN_EXTEND_MS = 15000, /* … each asks for so much time: some may be late */
    STUCK_LOOKS = 4          /* while a loop hangs: looks within watchdog_ms */
};

/* ---- sending --------------------------------------------------------------------------------- */

static void complain(struct service *service, const struct afar_error *err)
{
    if (!service->complained)
        log_write(service->shared->log, LOG_LEVEL_WARN, "service manager: %s", err->message);
    service->complained = true;
}

static enum afar_status try_send(struct service *service, const char *text)
{
    struct afar_error err;
    enum afar_status status = notify_send(&service->notify, text, &err);
    if (status != AFAR_OK && status != AFAR_EAGAIN)
        complain(service, &err);
    return status;
}

static void send_owed(struct timer *timer)
{
    struct service *service = list_object(timer, struct service, owed_timer);
    if (try_send(service, service->owed) == AFAR_EAGAIN)
        timer_arm(loop_timers(acceptor_loop(service->acceptor)), timer,
                  clock_deadline_ms(RETRY_MS));
}

/* Sends a state, which must arrive; it replaces an older one that could not be sent yet. */
static void send_state(struct service *service, const char *text)
{
    (void)snprintf(service->owed, sizeof service->owed, "%s", text);
    timer_arm(loop_timers(acceptor_loop(service->acceptor)), &service->owed_timer, DEADLINE_NEVER);
    send_owed(&service->owed_timer);
}

/* ---- the watchdog ---------------------------------------------------------------------------- */

/* A loop hangs if its turn has lasted since the last sign of life. The acceptor's own loop turns,
 * or this would not run. */
static void watch(struct timer *timer)
{
    struct service *service = list_object(timer, struct service, watchdog_timer);
    const int64_t turn_ms = acceptor_turn_ms(service->acceptor);
    int64_t next_ms = service->watchdog_ms;
    bool stuck = turn_ms >= service->watchdog_ms;
    if (stuck && !service->stuck)
        log_write(service->shared->log, LOG_LEVEL_ERROR,
                  "a worker hangs: one turn of its loop has lasted for %" PRId64
                  " ms; the watchdog is not fed until it ends",
                  turn_ms);
    if (!stuck && service->stuck)
        log_write(service->shared->log, LOG_LEVEL_WARN, "all workers go on");
    service->stuck = stuck;
    /* If it was not fed, look again before a whole interval has passed. */
    if (stuck || try_send(service, "WATCHDOG=1") == AFAR_EAGAIN)
        next_ms = next_ms / STUCK_LOOKS > 0 ? next_ms / STUCK_LOOKS : 1;
    timer_arm(loop_timers(acceptor_loop(service->acceptor)), timer, clock_deadline_ms(next_ms));
}

/* *every_ms: half of what the manager allows, as sd_watchdog_enabled(3) recommends; 0: no watchdog,
 * or not for this process. */
static enum afar_status read_watchdog(int64_t *every_ms, struct afar_error *err)
{
    const char *pid = getenv("WATCHDOG_PID");   // NOLINT(concurrency-mt-unsafe)
    const char *usec = getenv("WATCHDOG_USEC"); // NOLINT(concurrency-mt-unsafe)
    uint64_t number = 0;
    *every_ms = 0;
    if (usec == NULL)
        return AFAR_OK;
    if (pid != NULL) {
        if (number_parse(pid, 1, INT32_MAX, &number, err) != AFAR_OK)
            return afar_prefix(err, "WATCHDOG_PID in the environment");
        if (number != (uint64_t)getpid())
            return AFAR_OK;
    }
    if (number_parse(usec, 1, INT64_MAX, &number, err) != AFAR_OK)
        return afar_prefix(err, "WATCHDOG_USEC in the environment");
    *every_ms = (int64_t)(number / 2000);
    if (*every_ms == 0)
        *every_ms = 1;
    return AFAR_OK;
}

/* ---- the drain ------------------------------------------------------------------------------- */

/* Once the jobs have been killed, no more time is needed. */
static void tell_drain(struct timer *timer)
{
    struct service *service = list_object(timer, struct service, drain_timer);
    char text[SERVICE_TEXT_BYTES];
    if (acceptor_is_killing(service->acceptor))
        return;
    (void)snprintf(text, sizeof text,
                   "STOPPING=1\nEXTEND_TIMEOUT_USEC=%d000\nSTATUS=draining: %zu jobs",
                   DRAIN_EXTEND_MS, registry_count(service->shared->registry));
    send_state(service, text);
    timer_arm(loop_timers(acceptor_loop(service->acceptor)), timer, clock_deadline_ms(DRAIN_MS));
}

void service_draining(struct service *service)
{
    if (service->notify.fd >= 0)
        tell_drain(&service->drain_timer);
}

/* ---- starting and reloading ------------------------------------------------------------------ */

void service_ready(struct service *service, const char *text)
{
    char state[SERVICE_TEXT_BYTES];
    char line[SERVICE_TEXT_BYTES - 32];
    if (service->notify.fd < 0)
        return;
    utf8_copy(line, sizeof line, text); /* makes it one line, so that a file's name cannot add
                                           messages */
    (void)snprintf(state, sizeof state, "READY=1\nSTATUS=%s", line);
    send_state(service, state);
    if (service->watchdog_ms > 0)
        watch(&service->watchdog_timer);
}

void service_reloading(struct service *service)
{
    char state[SERVICE_TEXT_BYTES];
    if (service->notify.fd < 0)
        return;
    (void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=reloading",
                   clock_now_us());
    send_state(service, state);
}

enum afar_status service_open(struct service *service, struct acceptor *acceptor,
                              struct server_shared *shared, struct afar_error *err)
{
    struct timers *timers = loop_timers(acceptor_loop(acceptor));
    struct afar_error wrong;
    *service = (struct service){.notify.fd = -1, .acceptor = acceptor, .shared = shared};
    if (notify_open(&service->notify, &wrong) != AFAR_OK)
        complain(service, &wrong);
    if (read_watchdog(&service->watchdog_ms, &wrong) != AFAR_OK)
        complain(service, &wrong);
    (void)unsetenv("WATCHDOG_PID"); // NOLINT(concurrency-mt-unsafe)
    (void)unsetenv("WATCHDOG_USEC");
    if (service->notify.fd < 0)
        return AFAR_OK;
    struct timer *all[] = {&service->watchdog_timer, &service->drain_timer, &service->owed_timer};
    void (*const fire[])(struct timer *) = {watch, tell_drain, send_owed};
    enum afar_status status = AFAR_OK;
    size_t made = 0;
    while (made < sizeof all / sizeof all[0] && status == AFAR_OK) {
        status = timer_attach(timers, all[made], fire[made], err);
        if (status == AFAR_OK)
            made++;
    }
    service->attached = status == AFAR_OK;
    while (!service->attached && made > 0)
        timer_detach(timers, all[--made]);
    if (!service->attached)
        notify_close(&service->notify);
    return status;
}

void service_close(struct service *service)
{
    if (service->attached) {
        struct timers *timers = loop_timers(acceptor_loop(service->acceptor));
        timer_detach(timers, &service->watchdog_timer);
        timer_detach(timers, &service->drain_timer);
        timer_detach(timers, &service->owed_timer);
        notify_close(&service->notify);
    }
    service->attached = false;
}
