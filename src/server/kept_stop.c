/* Ends kept jobs, or leaves them running, when the server stops (keep_on_stop). */
#include <unistd.h>

#include "base/clock.h"
#include "server/kept.h"
#include "server/server_internal.h"

enum { PAUSE_MS = 20 };

bool kept_end_with_server(const struct config *config)
{
    return config->keep_on_stop == KEEP_ON_STOP_END || getpid() == 1;
}

static bool ends_kept(const struct server *server)
{
    return kept_end_with_server(server->shared.settings.config);
}

void server_stop_kept(struct server *server)
{
    /* A drain_ms of 0 means: now. */
    server->kept_end_ms = clock_now_ms() + (int64_t)server->shared.settings.config->drain_ms;
    if (ends_kept(server))
        kept_stop(server->shared.kept, server->kept_end_ms);
}

static size_t live(struct server *server)
{
    size_t ended = 0;
    uint64_t bytes = 0;
    return kept_count(server->shared.kept, &ended, &bytes);
}

static void fired(struct timer *timer)
{
    (void)timer; /* only ends the turn of the loop */
}

void server_hurry_kept(struct server *server)
{
    const int64_t now_ms = clock_now_ms();
    if (!ends_kept(server) || server->kept_end_ms <= now_ms)
        return;
    server->kept_end_ms = now_ms;
    kept_stop(server->shared.kept, now_ms);
}

/* After drain_ms, kept jobs have the grace period and some time to write their receipts. The loop
 * goes on meanwhile, for signals and for the service manager. */
enum afar_status server_wait_for_kept(struct server *server, struct afar_error *err)
{
    struct loop *loop = acceptor_loop(server->acceptor);
    const struct config *config = server->shared.settings.config;
    const int64_t rest_ms = (int64_t)config->kill_grace_ms + (int64_t)config->last_words_ms;
    struct timer timer = {0};
    if (server->shared.kept == NULL || !ends_kept(server))
        return AFAR_OK;
    enum afar_status status = timer_attach(loop_timers(loop), &timer, fired, err);
    if (status != AFAR_OK)
        return status;
    while (status == AFAR_OK && live(server) > 0 &&
           clock_now_ms() < server->kept_end_ms + rest_ms) {
        timer_arm(loop_timers(loop), &timer, clock_now_ms() + PAUSE_MS);
        status = loop_turn(loop, err);
    }
    timer_detach(loop_timers(loop), &timer);
    if (live(server) > 0)
        log_write(server->shared.log, LOG_LEVEL_WARN,
                  "%zu kept jobs have not ended in time (keep_on_stop)", live(server));
    return status;
}
