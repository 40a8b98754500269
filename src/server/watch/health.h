/* The pages of `http`: is the server alive, does it take work, how is it doing.
 *
 *   /healthz  200 "ok", or 503 with what is wrong: a thread that hangs
 *   /readyz   200 "ok", or 503: not yet, or no more, as it drains
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

/* A turn of an event loop takes microseconds; one of this length is a thread that hangs. */
enum { HEALTH_TURN_MAX_MS = 10000 };

/* An http_page; `user` is a struct metrics_source. */
unsigned health_page(void *user, const char *path, FILE *body, const char **type);

#endif
