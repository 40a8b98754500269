/* Timers: a binary heap of pointers into the objects that wait.
 *
 * Owns:    the heap's array; a struct timer lies inside its object.
 * Threads: one owner; no lock.
 * Blocks:  never.
 * Limits:  none. timer_attach makes room for a timer, so that arming it cannot fail. */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct timer {
    int64_t deadline_ms; /* DEADLINE_NEVER: not armed */
    size_t place;        /* index in the heap; TIMER_NOWHERE: not in it */
    void (*fire)(struct timer *);
};

#define TIMER_NOWHERE SIZE_MAX

struct timers {
    struct timer **heap;
    size_t count;
    size_t attached;
    size_t kept; /* places in addition to these, made by timers_keep */
    size_t capacity;
};

void timers_init(struct timers *timers);
void timers_close(struct timers *timers);

/* Makes room for `timer` and sets its callback. Each attached timer must be detached before its
 * memory is freed. AFAR_ENOMEM. */
enum afar_status timer_attach(struct timers *timers, struct timer *timer,
                              void (*fire)(struct timer *), struct afar_error *err);
void timer_detach(struct timers *timers, struct timer *timer);

/* Makes room for `count` timers that timer_attach_kept, which cannot fail, attaches later; each
 * uses one of these places. For a timer that was attached elsewhere: it keeps its callback.
 * AFAR_ENOMEM. */
enum afar_status timers_keep(struct timers *timers, size_t count, struct afar_error *err);
void timer_attach_kept(struct timers *timers, struct timer *timer);

/* Sets or changes the deadline; DEADLINE_NEVER disarms. */
void timer_arm(struct timers *timers, struct timer *timer, int64_t deadline_ms);

/* The earliest deadline, or DEADLINE_NEVER. */
int64_t timers_next(const struct timers *timers);

/* Disarms and fires every timer whose deadline is not after now_ms. At most as many as are armed at
 * the start: a timer that is armed again meanwhile may fire only in the next call. */
void timers_fire(struct timers *timers, int64_t now_ms);

#endif
