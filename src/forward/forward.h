/* One forwarded connection: copies bytes between a socket to the client's target and standard input
 * and output.
 *
 * Owns:    the socket.
 * Threads: one, which does nothing else (net/lookup.h starts another to resolve a name).
 * Blocks:  until both directions have ended.
 * Limits:  FORWARD_CONNECT_TIMEOUT_MS to connect; FORWARD_BUFFER_BYTES each way. */
#ifndef FORWARD_FORWARD_H
#define FORWARD_FORWARD_H

#include "base/forward_target.h"

enum {
    /* As long as a person waits. Linux alone would try for two minutes. */
    FORWARD_CONNECT_TIMEOUT_MS = 30000,
    FORWARD_BUFFER_BYTES = 65536 /* the capacity of a pipe: pipe(7) */
};

/* Connects to `target`, "host:port", and copies until both directions have ended. Writes the lines
 * FORWARD_CONNECTED and FORWARD_EOF to `tell_fd`, and the reason of a failure. Once connected,
 * closes `in_fd` and `out_fd` as soon as their direction has ended. Ignores SIGPIPE from then on.
 * Returns an exit code, enum forward_end. */
int forward_serve(const char *target, int in_fd, int out_fd, int tell_fd);

#endif
