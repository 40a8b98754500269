/* Reads replaced certificates without a SIGHUP, so that the program that renews them (Kubernetes, a
 * volume's sidecar, certbot) need not know of this server. The rest of the configuration stays as
 * it is. */
#include "server/server_internal.h"

#include <string.h>

#include "base/clock.h"

enum {
    SETTLE_MS = 1000, /* the next look, if the files are changing now */
    /* If they could not be used, perhaps for a reason that passes (no descriptors, a date still to
     * come): tried again after this, then after twice as long, … */
    RETRY_MS = 1000,
    RETRY_MAX_MS = 5 * 60 * 1000
};

static void look_again_in(struct server *server, int64_t after_ms)
{
    timer_arm(loop_timers(acceptor_loop(server->acceptor)), &server->watch_timer,
              clock_deadline_ms(after_ms));
}

/* Logs a failure, unless the last one had the same text, and sets when to try again. */
static void note_failure(struct server *server, const struct afar_error *err)
{
    server->renew_wait_ms = server->renew_wait_ms == 0 ? RETRY_MS : server->renew_wait_ms * 2;
    if (server->renew_wait_ms > RETRY_MAX_MS)
        server->renew_wait_ms = RETRY_MAX_MS;
    server->renew_at_ms = clock_deadline_ms(server->renew_wait_ms);
    counters_count(&server->shared.counters, COUNTER_RELOADS_FAILED);
    server_note_reload(server, NULL);
    if (strcmp(server->renew_trouble.message, err->message) == 0)
        return;
    server->renew_trouble = *err;
    log_write(server->shared.log, LOG_LEVEL_ERROR,
              "the new certificates cannot be used, keeping the old ones: %s; will retry",
              err->message);
}

static void renew(struct server *server)
{
    struct server_settings *settings = &server->shared.settings;
    struct tls_context *tls;
    struct afar_error err;
    if (server_open_good_tls(&tls, settings->config, &err) != AFAR_OK) {
        note_failure(server, &err);
        return;
    }
    server->renew_at_ms = DEADLINE_NEVER;
    server->old_tls = settings->tls;
    settings->tls = tls;
    server_note_reload(server, settings);
    server->renewed = true;
    server->settling = true;
    acceptor_settle(server->acceptor);
}

/* The files are new: forget the failures of the old ones. */
static void renew_first(struct server *server)
{
    server->renew_wait_ms = 0;
    server->renew_trouble = (struct afar_error){.code = AFAR_OK};
    renew(server);
}

static void look(struct timer *timer)
{
    struct server *server = list_object(timer, struct server, watch_timer);
    const struct config *config = server->shared.settings.config;
    const int64_t every_ms = (int64_t)config->tls_watch_ms;
    const char *files[FILE_WATCH_MAX];
    if (acceptor_is_draining(server->acceptor))
        return;
    look_again_in(server, every_ms);
    if (server->settling)
        return;
    server_tls_files(config, files);
    enum file_watch_news news = file_watch_look(&server->watch, files);
    if (news == FILE_WATCH_CHANGED)
        renew_first(server);
    else if (news == FILE_WATCH_SAME && clock_now_ms() >= server->renew_at_ms)
        renew(server);
    int64_t retry_ms = server->renew_at_ms - clock_now_ms();
    if (news == FILE_WATCH_CHANGING && every_ms > SETTLE_MS)
        look_again_in(server, SETTLE_MS);
    else if (server->renew_at_ms != DEADLINE_NEVER && retry_ms < every_ms)
        look_again_in(server, retry_ms > 0 ? retry_ms : 1);
}

enum afar_status server_watch(struct server *server, struct afar_error *err)
{
    server->renew_at_ms = DEADLINE_NEVER;
    enum afar_status status =
        timer_attach(loop_timers(acceptor_loop(server->acceptor)), &server->watch_timer, look, err);
    server->watching = status == AFAR_OK;
    if (server->watching)
        server_watch_again(server);
    return status;
}

void server_watch_again(struct server *server)
{
    const struct server_settings *settings = &server->shared.settings;
    if (settings->tls != NULL && settings->config->tls_watch_ms > 0)
        look_again_in(server, (int64_t)settings->config->tls_watch_ms);
    else
        timer_arm(loop_timers(acceptor_loop(server->acceptor)), &server->watch_timer,
                  DEADLINE_NEVER);
}

void server_unwatch(struct server *server)
{
    if (server->watching)
        timer_detach(loop_timers(acceptor_loop(server->acceptor)), &server->watch_timer);
}
