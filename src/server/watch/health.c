#include "server/watch/health.h"

#include <string.h>

enum { OK = 200, NOT_FOUND = 404, UNAVAILABLE = 503 };

static unsigned alive(const struct metrics_source *source, FILE *body)
{
    int64_t turn_ms = acceptor_turn_ms(source->acceptor);
    if (turn_ms <= HEALTH_TURN_MAX_MS) {
        (void)fputs("ok\n", body);
        return OK;
    }
    (void)fprintf(body, "a thread has not answered for %lld s\n", (long long)turn_ms / 1000);
    return UNAVAILABLE;
}

static unsigned ready(const struct metrics_source *source, FILE *body)
{
    int phase = atomic_load(&source->shared->figures.phase);
    if (phase == PHASE_READY) {
        (void)fputs("ok\n", body);
        return OK;
    }
    (void)fputs(phase == PHASE_DRAINING ? "draining\n" : "starting\n", body);
    return UNAVAILABLE;
}

unsigned health_page(void *user, const char *path, FILE *body, const char **type)
{
    const struct metrics_source *source = user;
    if (strcmp(path, "/healthz") == 0)
        return alive(source, body);
    if (strcmp(path, "/readyz") == 0)
        return ready(source, body);
    if (strcmp(path, "/metrics") != 0)
        return NOT_FOUND;
    *type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(source, body);
    return OK;
}
