/* A client's side of sharing: to be handed a connection, and to begin a share.
 *
 * A share costs at most a moment: where there is none, or it does not answer, or has nothing to give,
 * the server itself is dialled. It has answered a ping before any request is given to it; what
 * becomes of one then is what becomes of it on any connection (PROTOCOL.md §10).
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  share_connect for SHARE_PATIENCE_MS; share_begin until a process was made.
 * Limits:  none of its own. */
#ifndef AFAR_SHARE_USE_H
#define AFAR_SHARE_USE_H

#include <stdbool.h>
#include <sys/types.h>

#include "afar/remote.h"

enum { SHARE_PATIENCE_MS = 1000 };

/* Never idle for too long: 30 years. */
#define SHARE_FOREVER_MS (INT64_C(999999999) * 1000)

/* True: remote->client is such a connection. */
bool share_connect(struct remote *remote);

/* Begins a share as this remote would connect, which ends when idle for remote->share_ms; unless
 * there is one. It is no child of ours, and holds nothing of ours. Says nothing. */
void share_begin(const struct remote *remote);

/* The process of the share that this remote would use; 0: there is none. */
pid_t share_find(const struct remote *remote);

#endif
