/* Gives memory back to the system after many connections have closed. The C library keeps freed
 * memory for the next crowd, which may never come: a flood of handshakes would leave a server of 10
 * MB at 100 MB for good.
 *
 *     giveback_open ─ giveback_note at each new connection … ─ giveback_close
 *
 * Owns:    its timer.
 * Threads: the acceptor's; giveback_trim_own from any.
 * Blocks:  for a few milliseconds, during which malloc(3) of other threads may wait, too; at most
 *          once in GIVEBACK_LOOK_MS.
 * Limits:  none. */
#ifndef SERVER_GIVEBACK_H
#define SERVER_GIVEBACK_H

#include <stddef.h>

#include "base/error.h"
#include "loop/timer.h"

enum {
    GIVEBACK_LOOK_MS = 5000,
    /* Connections that must have closed to be worth it: they leave some 3 MB. */
    GIVEBACK_MIN = 64
};

struct giveback {
    struct timers *timers;
    struct timer timer;
    size_t (*count)(void *user);    /* the number of connections now */
    void (*given_back)(void *user); /* has each worker call giveback_trim_own */
    void *user;
    size_t most; /* the most connections since memory was given back */
};

/* `count` and `given_back` are called with `user`. AFAR_ENOMEM. */
enum afar_status giveback_open(struct giveback *giveback, struct timers *timers,
                               size_t (*count)(void *user), void (*given_back)(void *user),
                               void *user, struct afar_error *err);
void giveback_close(struct giveback *giveback);

/* Gives back the free memory at the end of the calling thread's malloc arena, which no other thread
 * can do for it. Takes about a millisecond. */
void giveback_trim_own(void);

/* A connection has been opened; `count` includes it. */
void giveback_note(struct giveback *giveback, size_t count);

#endif
