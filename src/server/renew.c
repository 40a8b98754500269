/* Certificates that are replaced are read anew without a SIGHUP: whoever renews them (Kubernetes, a
 * volume's sidecar, certbot) need not know of us. The rest of the configuration stays as it is. */
#include "server/server_internal.h"

#include "base/clock.h"

/* A look finds them changing: the next one comes sooner. */
enum { SETTLE_MS = 1000 };

static void look_again_in(struct server *server, int64_t after_ms)
{
    timer_arm(loop_timers(acceptor_loop(server->acceptor)), &server->watch_timer,
              clock_deadline_ms(after_ms));
}

static void renew(struct server *server)
{
    struct server_settings *settings = &server->shared.settings;
    struct tls_context *tls;
    struct afar_error err;
    if (server_open_tls(&tls, settings->config, &err) != AFAR_OK) {
        counters_count(&server->shared.counters, COUNTER_RELOADS_FAILED);
        server_note_reload(server, NULL);
        log_write(server->shared.log, LOG_LEVEL_ERROR,
                  "certificates: they were replaced, the old ones stay: %s", err.message);
        return;
    }
    server->old_tls = settings->tls;
    settings->tls = tls;
    server_note_reload(server, settings);
    server->renewed = true;
    server->settling = true;
    acceptor_settle(server->acceptor);
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
        renew(server);
    else if (news == FILE_WATCH_CHANGING && every_ms > SETTLE_MS)
        look_again_in(server, SETTLE_MS);
}

enum afar_status server_watch(struct server *server, struct afar_error *err)
{
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
