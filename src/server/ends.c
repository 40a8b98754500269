/* Certificates and revocation lists end. The log says so days before, once a day, and the metrics
 * all the time (server/metrics.c). */
#include "server/server_internal.h"

#include <time.h>

#include "base/clock.h"

/* By the wall clock, which may be set: so it is looked at often. */
enum { LOOK_MS = 60 * 60 * 1000, DAY_S = 24 * 60 * 60, TIME_BYTES = 32 };

static void time_text(int64_t at, char text[TIME_BYTES])
{
    const time_t time = (time_t)at;
    struct tm parts;
    if (gmtime_r(&time, &parts) == NULL || strftime(text, TIME_BYTES, "%F %T UTC", &parts) == 0)
        text[0] = '\0';
}

/* One of them; `ends_at` 0: it does not end. `so` is what follows from its end. True: there was
 * something to say. */
static bool tell(struct server *server, const char *what, int64_t ends_at, const char *so)
{
    const int64_t now = (int64_t)time(NULL);
    const int64_t days = (int64_t)server->shared.settings.config->tls_expiry_warning;
    char when[TIME_BYTES];
    if (ends_at == 0 || days == 0 || ends_at - now > days * DAY_S)
        return false;
    time_text(ends_at, when);
    if (ends_at <= now)
        log_write(server->shared.log, LOG_LEVEL_ERROR, "%s ended on %s: %s", what, when, so);
    else
        log_write(server->shared.log, LOG_LEVEL_WARN,
                  "%s ends on %s, in %lld days (tls_expiry_warning): then %s", what, when,
                  (long long)((ends_at - now) / DAY_S), so);
    return true;
}

static void tell_all(struct server *server)
{
    const struct tls_context *tls = server->shared.settings.tls;
    struct tls_ends ends;
    if (tls == NULL)
        return;
    tls_context_ends(tls, &ends);
    bool told = tell(server, "the server's certificate (tls_cert)", ends.own,
                     "no client accepts it; renew it");
    told |= tell(server, "a certificate that is sent with the server's own (tls_cert)", ends.chain,
                 "clients that need it do not accept the server's; renew them");
    told |= tell(server, "a revocation list (tls_crl)", ends.lists,
                 "no client of its CA is let in; fetch it anew");
    if (told)
        server->ends_told_at = (int64_t)time(NULL);
}

static void look(struct timer *timer)
{
    struct server *server = list_object(timer, struct server, ends_timer);
    const int64_t now = (int64_t)time(NULL);
    if (server->ends_told_at == 0 || now < server->ends_told_at ||
        now - server->ends_told_at >= DAY_S)
        tell_all(server);
    timer_arm(loop_timers(acceptor_loop(server->acceptor)), timer, clock_deadline_ms(LOOK_MS));
}

void server_note_ends(struct server *server)
{
    struct figures *figures = &server->shared.figures;
    const struct server_settings *settings = &server->shared.settings;
    struct tls_ends ends = {0};
    if (settings->tls != NULL)
        tls_context_ends(settings->tls, &ends);
    atomic_store(&figures->certificate_expires_at, (long long)ends.own);
    atomic_store(&figures->chain_expires_at, (long long)ends.chain);
    atomic_store(&figures->lists_expire_at, (long long)ends.lists);
    atomic_store(&figures->expiry_warning_s,
                 (long long)settings->config->tls_expiry_warning * DAY_S);
    tell_all(server);
}

enum afar_status server_watch_ends(struct server *server, struct afar_error *err)
{
    struct timers *timers = loop_timers(acceptor_loop(server->acceptor));
    enum afar_status status = timer_attach(timers, &server->ends_timer, look, err);
    server->watching_ends = status == AFAR_OK;
    if (server->watching_ends)
        timer_arm(timers, &server->ends_timer, clock_deadline_ms(LOOK_MS));
    return status;
}

void server_unwatch_ends(struct server *server)
{
    if (server->watching_ends)
        timer_detach(loop_timers(acceptor_loop(server->acceptor)), &server->ends_timer);
}
