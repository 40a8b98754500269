/* A connection that was accepted here, until its end.
 *
 * Owns:    nothing; it is standard input and output.
 * Threads: one.
 * Blocks:  until it has ended; for SOCKS_PATIENCE_MS at most until a SOCKS client has said where to.
 * Limits:  those of socks.h. */
#ifndef AFAR_FORWARD_CHANNEL_H
#define AFAR_FORWARD_CHANNEL_H

#include "afar/remote.h"

enum { SOCKS_PATIENCE_MS = 30000 };

/* `target` NULL: the client says it, by SOCKS. Returns an exit status. */
int forward_channel(struct remote *remote, const char *target, const char *user);

#endif
