/* A server in a mount namespace of its own with a folder that hangs: FUSE without answers. It
 * stands for a dead network file system.
 *
 * Owns:    the server and the folder, until hung_stop.
 * Threads: one.
 * Blocks:  as support/program.h.
 * Limits:  needs root or equivalent privileges; hung_start says whether they suffice. */
#ifndef SUPPORT_HUNG_H
#define SUPPORT_HUNG_H

#include <stdbool.h>
#include <stdint.h>

#include "support/program.h"

enum hung_kind {
    HUNG_KILLABLE,   /* requests are not read: a process that waits for them can be killed */
    HUNG_BEYOND_KILL /* requests are read but not answered: a process waits for ever */
};

struct hung {
    struct program server;
    char folder[64];
    uint16_t port;
    pid_t daemon; /* with HUNG_BEYOND_KILL: if it is killed, all waiting ends */
    size_t heard; /* offset in the server's output up to which it was read */
};

/* Call first in main: the test program runs itself again in the namespace. True: this is that
 * process, and *status is its exit status. False: this is the test. */
bool hung_main(int argc, char **argv, int *status);

/* Starts `afard --listen tcp://127.0.0.1:0 --workers 1 ARGS…`. False: not possible on this machine;
 * the reason was printed. */
bool hung_start(struct hung *hung, enum hung_kind kind, const char *const *args);

/* With HUNG_BEYOND_KILL: waits until one more request hangs. */
void hung_expect(struct hung *hung);

/* Sends TERM; the server must end with status 0. */
void hung_stop(struct hung *hung);

#endif
