/* A server in a mount namespace of its own in which a folder hangs: FUSE that nobody answers. It is
 * the stand-in for a dead network file system.
 *
 * Owns:    the server, and the folder, until hung_stop.
 * Threads: one.
 * Blocks:  as support/program.h.
 * Limits:  needs root, or what a user namespace would give; hung_start says whether it has it. */
#ifndef SUPPORT_HUNG_H
#define SUPPORT_HUNG_H

#include <stdbool.h>
#include <stdint.h>

#include "support/program.h"

enum hung_kind {
    HUNG_KILLABLE,   /* requests are not even read: what waits for them can be killed */
    HUNG_BEYOND_KILL /* they are read and never answered: that waits for ever */
};

struct hung {
    struct program server;
    char folder[64];
    uint16_t port;
    pid_t daemon; /* with HUNG_BEYOND_KILL: its death ends all that hangs */
    size_t heard; /* so far in the server's output */
};

/* The test program is run again, in the namespace: to be called first in main. False: it is the
 * test itself; otherwise *status is its exit status. */
bool hung_main(int argc, char **argv, int *status);

/* Starts `afard --listen tcp://127.0.0.1:0 --workers 1 ARGS…`. False: this machine does not let us,
 * and that was said. */
bool hung_start(struct hung *hung, enum hung_kind kind, const char *const *args);

/* With HUNG_BEYOND_KILL: waits until one more process has begun to hang. */
void hung_expect(struct hung *hung);

/* TERM; it must end well. */
void hung_stop(struct hung *hung);

#endif
