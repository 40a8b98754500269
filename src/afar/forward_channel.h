/* Serves one accepted connection until it ends.
 *
 * Owns:    nothing; the connection is standard input and output.
 * Threads: one.
 * Blocks:  until the connection has ended; at most SOCKS_PATIENCE_MS for a SOCKS client's request.
 * Limits:  those of socks.h. */
#ifndef AFAR_FORWARD_CHANNEL_H
#define AFAR_FORWARD_CHANNEL_H

#include "afar/remote.h"

enum { SOCKS_PATIENCE_MS = 30000 };

/* `target` NULL: the client names it by SOCKS. Returns an exit status. */
int forward_channel(struct remote *remote, const char *target, const char *user);

#endif
