/* One thread's event loop over epoll(7): descriptors, timers, and work put off to the end of a
 * turn.
 *
 * Owns:    the epoll descriptor; sources, timers and deferred work lie inside their objects.
 * Threads: everything from the loop's own thread, but for asking its pulse, and offering it
 *          something.
 * Blocks:  loop_turn, until there is something to do.
 * Limits:  64 events a turn; what is left is reported in the next (level-triggered). */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "stats/histogram.h"
#include "stats/pulse.h"
#include "loop/timer.h"

struct loop;

struct loop_source {
    int fd;          /* -1: not in the loop */
    uint32_t events; /* EPOLLIN, EPOLLOUT; 0: not waited for */
    void (*ready)(struct loop_source *, uint32_t events);
};

struct loop_deferred {
    struct list link;
    void (*run)(struct loop_deferred *);
};

enum afar_status loop_new(struct loop **loop, struct afar_error *err);
void loop_free(struct loop *loop);

struct timers *loop_timers(struct loop *loop);

/* Whether it turns: for any thread, as long as the loop lives. */
const struct pulse *loop_pulse(const struct loop *loop);

/* How long its turns took so far, without their waiting: for any thread, likewise. */
const struct histogram *loop_turns(const struct loop *loop);

/* An empty source, so that it may be removed before it was added. */
void loop_source_init(struct loop_source *source);

/* Starts watching `fd`, which stays the caller's and must be removed before it is closed.
 * AFAR_ESYSTEM (ENOSPC, ENOMEM: the kernel's limits on watches). */
enum afar_status loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events,
                          void (*ready)(struct loop_source *, uint32_t), struct afar_error *err);

/* Changes what is waited for. With 0 nothing is reported, not even a hang-up, which would otherwise
 * make a level-triggered loop spin. AFAR_ESYSTEM as above. */
enum afar_status loop_set_events(struct loop *loop, struct loop_source *source, uint32_t events,
                                 struct afar_error *err);

/* Stops watching. Events of this turn that were not yet handed out are dropped, so the source's
 * memory may go at once, except from within its own callback. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* A source goes to another thread's loop, in three steps of which only the first can fail:
 *
 *     here:  loop_offer, or else nothing has changed ─ loop_leave ─ a mail     there: loop_take
 *
 * loop_offer makes the kernel watch the descriptor for `to` too, and reports nothing there yet.
 * AFAR_ESYSTEM as loop_add. loop_unoffer takes it back. After loop_leave this loop has forgotten it,
 * as after loop_remove, but that its descriptor and what it waits for stand in it.
 * loop_take: at the thread of `loop`, to which it was offered. Where even that fails (which the
 * kernel never does) it is not waited for, as with events 0. */
enum afar_status loop_offer(struct loop *to, const struct loop_source *source,
                            struct afar_error *err);
void loop_unoffer(struct loop *to, const struct loop_source *source);
void loop_leave(struct loop *loop, struct loop_source *source);
enum afar_status loop_take(struct loop *loop, struct loop_source *source, struct afar_error *err);

/* Runs `deferred` at the end of this turn, once; deferring it twice is the same as once. */
void loop_deferred_init(struct loop_deferred *deferred, void (*run)(struct loop_deferred *));
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
void loop_deferred_cancel(struct loop_deferred *deferred);

/* Waits for events and handles them, then timers, then deferred work. AFAR_ESYSTEM: epoll_wait
 * failed for a reason other than EINTR, which cannot be while the descriptor is sound. */
enum afar_status loop_turn(struct loop *loop, struct afar_error *err);

#endif
