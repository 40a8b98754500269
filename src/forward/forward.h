/* One forwarded connection: a socket to where a client wants to, between standard input and output.
 *
 * Owns:    the socket.
 * Threads: one, which does nothing else (net/lookup.h starts another for a name).
 * Blocks:  until both directions have ended.
 * Limits:  FORWARD_CONNECT_TIMEOUT_MS to connect; FORWARD_BUFFER_BYTES each way. */
#ifndef FORWARD_FORWARD_H
#define FORWARD_FORWARD_H

#include "base/forward_target.h"

enum {
    /* As long as a person waits. Linux by itself would try for two minutes. */
    FORWARD_CONNECT_TIMEOUT_MS = 30000,
    FORWARD_BUFFER_BYTES = 65536 /* what a pipe takes and gives at once: pipe(7) */
};

/* Connects to `target`, "host:port". Writes FORWARD_CONNECTED and FORWARD_EOF lines to `tell_fd`,
 * and says there why it has failed. `in_fd` and `out_fd` are closed as soon as they have ended.
 * Returns an exit code, enum forward_end. */
int forward_serve(const char *target, int in_fd, int out_fd, int tell_fd);

#endif
