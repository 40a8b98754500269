/* Warns before certificates and revocation lists expire: in the log days before, once a day, and in
 * the metrics all the time (server/watch/metrics.c). And of a certificate that is for no host: when
 * it is loaded. */
#include "server/server_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

/* Expiry is by the wall clock, which may be set at any time: so look often. */
enum { LOOK_MS = 60 * 60 * 1000, DAY_S = 24 * 60 * 60, TIME_BYTES = 32 };

static void time_text(int64_t at, char text[TIME_BYTES])
{
    const time_t time = (time_t)at;
    struct tm parts;
    if (gmtime_r(&time, &parts) == NULL || strftime(text, TIME_BYTES, "%F %T UTC", &parts) == 0)
        text[0] = '\0';
}

enum { ENDINGS = 3, LINE_BYTES = 320 };

struct ending {
    const char *what;
    const char *so; /* the consequence, and what to do */
    int64_t at;     /* Unix time; 0: it does not end */
};

static void list(const struct tls_context *tls, struct ending endings[ENDINGS])
{
    struct tls_ends ends;
    tls_context_ends(tls, &ends);
    endings[0] = (struct ending){.what = "the server's certificate (tls_cert)",
                                 .so = "no client accepts it; renew it",
                                 .at = ends.own};
    endings[1] =
        (struct ending){.what = "a certificate that is sent with the server's own (tls_cert)",
                        .so = "clients that need it do not accept the server's; renew them",
                        .at = ends.chain};
    endings[2] = (struct ending){.what = "a revocation list (tls_crl)",
                                 .so = "no client of its CA is let in; fetch it anew",
                                 .at = ends.lists};
}

/* Writes the warning that is due now. False: none is. */
static bool describe(const struct ending *ending, const struct config *config, int64_t now,
                     char line[LINE_BYTES])
{
    const int64_t days = (int64_t)config->tls_expiry_warning;
    char when[TIME_BYTES];
    if (ending->at == 0 || days == 0 || ending->at - now > days * DAY_S)
        return false;
    time_text(ending->at, when);
    if (ending->at <= now)
        (void)snprintf(line, LINE_BYTES, "%s ended on %s: %s", ending->what, when, ending->so);
    else
        (void)snprintf(line, LINE_BYTES,
                       "%s ends on %s, in %lld days (tls_expiry_warning): then %s", ending->what,
                       when, (long long)((ending->at - now) / DAY_S), ending->so);
    return true;
}

static const char nameless[] =
    "the server's certificate (tls_cert) is for no host name and no address: clients that know the "
    "server by its key (--pin) accept it, others do not; renew it with subject alternative names "
    "(DNS:, IP:) for what clients connect to";

static void tell_all(struct server *server)
{
    const struct server_settings *settings = &server->shared.settings;
    const int64_t now = (int64_t)time(NULL);
    struct ending endings[ENDINGS];
    char line[LINE_BYTES];
    if (settings->tls == NULL)
        return;
    list(settings->tls, endings);
    for (int i = 0; i < ENDINGS; i++) {
        if (!describe(&endings[i], settings->config, now, line))
            continue;
        log_write(server->shared.log, endings[i].at <= now ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "%s",
                  line);
        server->ends_told_at = now;
    }
}

enum afar_status server_warn_of_ends(const struct tls_context *tls, const struct config *config,
                                     struct words *warnings, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    struct ending endings[ENDINGS];
    char line[LINE_BYTES];
    list(tls, endings);
    for (int i = 0; i < ENDINGS && status == AFAR_OK; i++) {
        if (describe(&endings[i], config, (int64_t)time(NULL), line))
            status = words_add(warnings, line, strlen(line), err);
    }
    if (status == AFAR_OK && !tls_context_names_host(tls))
        status = words_add(warnings, nameless, sizeof nameless - 1, err);
    return status;
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
    if (settings->tls != NULL && !tls_context_names_host(settings->tls))
        log_write(server->shared.log, LOG_LEVEL_WARN, "%s", nameless);
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
