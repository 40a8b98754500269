/* Timers: a binary heap of pointers into the objects that wait.
 *
 * Owns:    the heap's array; a struct timer lies inside its object.
 * Threads: one owner; no lock.
 * Blocks:  never.
 * Limits:  none. Room for a timer is made by timer_attach, so that arming it cannot fail. */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct timer {
    int64_t deadline_ms; /* DEADLINE_NEVER: not armed */
    size_t place;        /* in the heap; TIMER_NOWHERE: not in it */
    void (*fire)(struct timer *);
};

#define TIMER_NOWHERE SIZE_MAX

struct timers {
    struct timer **heap;
    size_t count;
    size_t attached;
    size_t kept; /* places beside these that timers_keep has made */
    size_t capacity;
};

void timers_init(struct timers *timers);
void timers_close(struct timers *timers);

/* Makes room for `timer` and remembers what it does. AFAR_ENOMEM. Each attached timer must be
 * detached before its memory goes. */
enum afar_status timer_attach(struct timers *timers, struct timer *timer,
                              void (*fire)(struct timer *), struct afar_error *err);
void timer_detach(struct timers *timers, struct timer *timer);

/* Makes room for `count` timers that are attached later, by timer_attach_kept, which cannot fail; each
 * uses up one of these places. For a timer that was attached elsewhere: it does what it did. AFAR_ENOMEM.
 */
enum afar_status timers_keep(struct timers *timers, size_t count, struct afar_error *err);
void timer_attach_kept(struct timers *timers, struct timer *timer);

/* Sets or changes the deadline; DEADLINE_NEVER disarms. */
void timer_arm(struct timers *timers, struct timer *timer, int64_t deadline_ms);

/* The earliest deadline, or DEADLINE_NEVER. */
int64_t timers_next(const struct timers *timers);

/* Disarms and fires every timer whose deadline is not later than now_ms. One that is armed again
 * for now_ms or earlier while this runs fires in the next call. */
void timers_fire(struct timers *timers, int64_t now_ms);

#endif
