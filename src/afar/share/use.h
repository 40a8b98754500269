/* A client's side of sharing: gets a connection from a share, and starts a share.
 *
 * A share costs at most a moment: if there is none, or it does not answer, or has no connection,
 * the server itself is dialled. The share answers a ping before it is given a request; after that,
 * a failure is the same as on any connection (PROTOCOL.md §10).
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  share_connect for SHARE_PATIENCE_MS; share_begin until the process is made.
 * Limits:  none of its own. */
#ifndef AFAR_SHARE_USE_H
#define AFAR_SHARE_USE_H

#include <stdbool.h>
#include <sys/types.h>

#include "afar/remote.h"

enum { SHARE_PATIENCE_MS = 1000 };

/* An idle time that never ends: 30 years. */
#define SHARE_FOREVER_MS (INT64_C(999999999) * 1000)

/* Tries to get a connection from a share. True: remote->client is it. Reports nothing. */
bool share_connect(struct remote *remote);

/* Starts a share, unless there is one, that connects as this remote does and ends when idle for
 * remote->share_ms. It is not our child, and inherits no descriptor. Reports nothing. */
void share_begin(const struct remote *remote);

/* True if a share can begin for this remote: there is a folder for it, and the server's protocol
 * can be shared. */
bool share_is_possible(const struct remote *remote);

/* The process of the share that this remote would use; 0: none. That share counts as used. */
pid_t share_find(const struct remote *remote);

/* The same, or the process that is becoming this share and cannot be used yet. */
pid_t share_find_any(const struct remote *remote);

#endif
