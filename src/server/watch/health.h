/* The pages of `http`: whether the server is alive, whether it takes work, and its metrics.
 *
 *   /healthz  200 "ok", or 503 and the reason: a thread hangs
 *   /readyz   200 "ok", or 503: it is still starting, or draining
 *   /metrics  see metrics.h
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  as metrics.h does.
 * Limits:  none. */
#ifndef SERVER_WATCH_HEALTH_H
#define SERVER_WATCH_HEALTH_H

#include "server/watch/http.h"
#include "server/watch/metrics.h"

/* A turn of an event loop takes microseconds; if one takes this long, its thread hangs. */
enum { HEALTH_TURN_MAX_MS = 10000 };

/* An http_page (http.h); `user` is a struct metrics_source. */
unsigned health_page(void *user, const char *path, FILE *body, const char **type);

#endif
