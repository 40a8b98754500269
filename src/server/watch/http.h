/* Serves a few pages over HTTP/1.1, for probes and monitoring, with libmicrohttpd in a thread of
 * its own.
 *
 * Owns:    its thread and its connections.
 * Threads: http_start and http_stop from one; pages are made in its own thread.
 * Blocks:  http_stop, until its thread has ended.
 * Limits:  GET and HEAD, no bodies; HTTP_GUESTS_MAX connections, of these HTTP_PER_ADDRESS_MAX from
 *          one address, each silent for at most HTTP_TIMEOUT_S; requests of 8 KiB. When there is no
 *          place, the oldest connection of the same address, or else of the address with the most,
 *          is closed. Each connection is closed after one answer. */
#ifndef SERVER_WATCH_HTTP_H
#define SERVER_WATCH_HTTP_H

#include <stdio.h>

#include "base/log.h"
#include "net/listener.h"

enum {
    HTTP_GUESTS_MAX = 48,
    HTTP_PER_ADDRESS_MAX = 8,
    HTTP_TIMEOUT_S = 5,
    /* The limit of libmicrohttpd: higher, as it notices a connection that we shut down only after
     * it has accepted a few more. */
    HTTP_CONNECTIONS_MAX = 64
};

struct http;

/* Writes the page at `path` ("/…", without the query) to `body` and returns the status: 200 or 503;
 * 404 if there is no such page. *type is the Content-Type, preset to "text/plain; charset=utf-8".
 * Called in the thread of http. */
typedef unsigned http_page(void *user, const char *path, FILE *body, const char **type);

/* Serves at `listener`, which is *borrowed* until http_stop. `user` and `log` are *kept*. Signals
 * must be blocked in the calling thread, as the new one inherits that. If the listener can be
 * reached from this machine only, requests for another host's name are refused: a web page could
 * make its own name resolve to this address (DNS rebinding). AFAR_ENOMEM; AFAR_ESYSTEM: no
 * libmicrohttpd, no thread or no descriptor. */
enum afar_status http_start(struct http **http, const struct listener *listener, http_page *page,
                            void *user, struct log *log, struct afar_error *err);

/* Closes all connections, waits for the thread, and frees. NULL is fine. */
void http_stop(struct http *http);

/* Whether a Host header (RFC 9110 §7.2) names this machine in a way that no DNS name can: an IP
 * address, localhost, or nothing at all (NULL). */
bool http_host_is_here(const char *host);

#endif
