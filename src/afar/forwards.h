/* Ports here that lead to places which the server connects to: they are listened at, and each
 * connection becomes a channel (channel.h) in a process of its own, over a connection to the server
 * of its own. One that fails or hangs is no matter to the others.
 *
 *     client ──▶ listener ─ forwards_serve ─ fork ─▶ channel ── TLS ──▶ afard ──▶ target
 *
 * Owns:    the listeners, and the process that serves them (forwards_close).
 * Threads: one.
 * Blocks:  forwards_serve, until it is told to end; forwards_end, until the connections have ended.
 * Limits:  FORWARDS_MAX, and FORWARD_CHANNELS_MAX connections at a time. */
#ifndef AFAR_FORWARDS_H
#define AFAR_FORWARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "afar/forward_spec.h"
#include "afar/remote.h"

enum {
    FORWARDS_MAX = 64,
    FORWARD_LISTENERS_MAX = 2 * FORWARDS_MAX, /* IPv4 and IPv6 */
    FORWARD_CHANNELS_MAX = 512
};

struct forward_listener {
    int fd;
    const struct forward_spec *spec;
};

struct forwards {
    struct forward_spec specs[FORWARDS_MAX];
    size_t count;
    bool everywhere; /* those without an address listen at every one; else at the loopback's */
    const char *user;
    struct forward_listener listeners[FORWARD_LISTENERS_MAX];
    size_t listener_count;
    int control; /* to the process that serves; -1: none does */
    pid_t pid;
};

void forwards_init(struct forwards *forwards);

/* NULL: there are FORWARDS_MAX. Otherwise to be filled; forwards->count is for the caller. */
struct forward_spec *forwards_next(struct forwards *forwards);

/* Listens for all of them. False: some could not be had, which has been said of each; the others
 * are. `tell`: says of each where it listens. */
bool forwards_listen(struct forwards *forwards, bool tell);

/* Serves them in a child process, which has `remote` as it is, but its connection. False: it has been
 * said why not. */
bool forwards_start(struct forwards *forwards, struct remote *remote);

/* No more is taken, and what there is may end by itself; or, with forwards_close alone, all ends. */
void forwards_end(struct forwards *forwards);
void forwards_close(struct forwards *forwards);

/* Serves them here. `control` ends it: a byte there as forwards_end does, its end at once; -1: only
 * signals do. */
void forwards_serve(struct forwards *forwards, struct remote *remote, int control);

#endif
