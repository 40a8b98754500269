/* A few pages over HTTP/1.1, for probes and monitoring, by libmicrohttpd in a thread of its own.
 *
 * Owns:    its thread and its connections.
 * Threads: http_start and http_stop from one; pages are made in its own thread.
 * Blocks:  http_stop, until its thread has ended.
 * Limits:  GET and HEAD, no bodies; HTTP_GUESTS_MAX connections, of these HTTP_PER_ADDRESS_MAX from
 *          one address, each silent for at most HTTP_TIMEOUT_S; a request of 8 KiB. Where there is
 *          no place, the oldest connection makes room: of the same address, or else of the address
 *          that has the most. Each is closed after one answer. */
#ifndef SERVER_WATCH_HTTP_H
#define SERVER_WATCH_HTTP_H

#include <stdio.h>

#include "base/log.h"
#include "net/listener.h"

enum {
    HTTP_GUESTS_MAX = 48,
    HTTP_PER_ADDRESS_MAX = 8,
    HTTP_TIMEOUT_S = 5,
    /* For libmicrohttpd, which sees an end that was made for it only after it has accepted a few.
     */
    HTTP_CONNECTIONS_MAX = 64
};

struct http;

/* Writes what is at `path` ("/…", without what follows a '?') to `body` and returns the status: 200
 * or 503; 404 where there is nothing. *type is the Content-Type, at first "text/plain;
 * charset=utf-8". In the thread of http. */
typedef unsigned http_page(void *user, const char *path, FILE *body, const char **type);

/* Serves at `listener`, which is *borrowed* until http_stop. `user`, `log` are *kept*. Signals must
 * be blocked in the calling thread, as the new one inherits that. Where the listener is for this
 * machine alone, requests to another host's name are refused: a page in somebody's browser could
 * have had its name resolve to here. AFAR_ENOMEM; AFAR_ESYSTEM: no libmicrohttpd, no
 * thread or no descriptor for it. */
enum afar_status http_start(struct http **http, const struct listener *listener, http_page *page,
                            void *user, struct log *log, struct afar_error *err);

/* NULL is fine. */
void http_stop(struct http *http);

/* Whether a Host header (RFC 9110 §7.2) names this machine by what cannot be somebody else's name:
 * an IP address, localhost, or nothing at all (NULL). */
bool http_host_is_here(const char *host);

#endif
