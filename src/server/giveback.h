/* Gives memory back to the system after a crowd of connections has gone. The C library keeps what
 * was freed for the next one, which may never come: a flood of handshakes would leave a server of
 * 10 MB with 100 MB for good.
 *
 *     giveback_open ─ giveback_note at each new connection … ─ giveback_close
 *
 * Owns:    its timer.
 * Threads: one: the acceptor's, since it takes milliseconds and locks, for as long, what other
 *          threads allocate from.
 * Blocks:  for the milliseconds that it takes; at most once in GIVEBACK_LOOK_MS.
 * Limits:  none. */
#ifndef SERVER_GIVEBACK_H
#define SERVER_GIVEBACK_H

#include <stddef.h>

#include "base/error.h"
#include "loop/timer.h"

enum {
    GIVEBACK_LOOK_MS = 5000,
    /* Fewer that have gone are not worth it: they leave some 3 MB. */
    GIVEBACK_MIN = 64
};

struct giveback {
    struct timers *timers;
    struct timer timer;
    size_t (*count)(void *user);    /* connections that there are */
    void (*given_back)(void *user); /* now each thread that has freed some: giveback_trim_own */
    void *user;
    size_t most; /* since memory was given back */
};

/* AFAR_ENOMEM. */
enum afar_status giveback_open(struct giveback *giveback, struct timers *timers,
                               size_t (*count)(void *user), void (*given_back)(void *user),
                               void *user, struct afar_error *err);
void giveback_close(struct giveback *giveback);

/* Any thread: gives back the free memory at the end of its own part of the heap, which no other
 * thread can do for it. Takes about a millisecond. */
void giveback_trim_own(void);

/* There is another connection; `count` with it. */
void giveback_note(struct giveback *giveback, size_t count);

#endif
