/* Local ports that are forwarded to targets to which the server connects. Each accepted connection
 * is carried by a channel (channel.h) in its own process, over its own connection to the server, so
 * one that fails or hangs does not affect the others.
 *
 *     client ──▶ listener ─ forwards_serve ─ fork ─▶ channel ── TLS ──▶ afard ──▶ target
 *
 * Owns:    the listeners, the names of the Unix sockets among them, and the process that serves
 *          them (forwards_close). Signals that end programs wait while there are such names.
 * Threads: one.
 * Blocks:  forwards_serve, until it is told to end; forwards_end, until the connections have ended.
 * Limits:  FORWARDS_MAX, and FORWARD_CHANNELS_MAX connections at a time. */
#ifndef AFAR_FORWARDS_H
#define AFAR_FORWARDS_H

#include <signal.h>
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
    bool everywhere; /* without BIND: listen at every address, not only the loopback's */
    const char *user;
    bool is_silent; /* the serving process reports nothing, and does not hold standard error */
    struct forward_listener listeners[FORWARD_LISTENERS_MAX];
    size_t listener_count;
    int control; /* ends the serving process; -1: there is none */
    pid_t pid;
    bool holds_signals; /* `ends` are blocked, until our Unix sockets are removed */
    sigset_t ends;
    sigset_t before; /* the signal mask before that */
};

void forwards_init(struct forwards *forwards);

/* The next spec to fill; then the caller increments forwards->count. NULL: there are
 * FORWARDS_MAX. */
struct forward_spec *forwards_next(struct forwards *forwards);

/* Listens for all specs. False: some failed, and each failure was reported; the others listen.
 * `tell`: reports where each one listens. */
bool forwards_listen(struct forwards *forwards, bool tell);

/* Serves in a child process, with a copy of `remote` but without its connection. False: the reason
 * was reported. */
bool forwards_start(struct forwards *forwards, struct remote *remote);

/* forwards_end accepts no more and waits until the connections have ended. forwards_close frees
 * everything, and removes the Unix sockets that forwards_listen has made; without forwards_end
 * first, it also ends the connections. */
void forwards_end(struct forwards *forwards);
void forwards_close(struct forwards *forwards);

/* Serves in this process. A byte on `control` ends it as forwards_end does, its end of file ends it
 * immediately; -1: only signals end it. Such a signal has its usual effect in forwards_close. */
void forwards_serve(struct forwards *forwards, struct remote *remote, int control);

#endif
