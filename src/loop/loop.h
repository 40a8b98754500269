/* One thread's event loop over epoll(7): descriptors, timers, and work deferred to the end of a
 * turn.
 *
 * Owns:    the epoll descriptor; sources, timers and deferred work lie inside their objects.
 * Threads: everything from the loop's own thread, except loop_pulse, loop_turns, loop_offer and
 *          loop_unoffer.
 * Blocks:  loop_turn, until there is something to do.
 * Limits:  64 events per turn; the rest is reported in the next (level-triggered). */
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

/* Shows whether the loop turns. From any thread; borrowed, as long as the loop lives. */
const struct pulse *loop_pulse(const struct loop *loop);

/* How long the turns took, without the waiting. From any thread, likewise. */
const struct histogram *loop_turns(const struct loop *loop);

/* Makes an empty source, which may be removed without having been added. */
void loop_source_init(struct loop_source *source);

/* Starts watching `fd`, which stays the caller's; the source must be removed before `fd` is closed.
 * AFAR_ESYSTEM, AFAR_ENOMEM: the kernel's limits on watches are reached. */
enum afar_status loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events,
                          void (*ready)(struct loop_source *, uint32_t), struct afar_error *err);

/* Changes the events to wait for. With 0 nothing is reported, not even a hang-up, which would
 * otherwise make a level-triggered loop spin. Errors as of loop_add. */
enum afar_status loop_set_events(struct loop *loop, struct loop_source *source, uint32_t events,
                                 struct afar_error *err);

/* Stops watching. Drops this turn's events that were not yet delivered, so the source's memory may
 * be freed immediately, except from within its own callback. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Moves a source to another thread's loop, in three steps of which only the first can fail:
 *
 *     here:  loop_offer (on failure nothing changes) ─ loop_leave ─ a mail     there: loop_take
 *
 * loop_offer makes the kernel watch the descriptor for `to`, too, without reporting anything there
 * yet. Errors as of loop_add. loop_unoffer undoes it. loop_leave is like loop_remove, but the
 * source keeps its descriptor and events. loop_take is called in the thread of `loop`, the loop
 * offered to. If it fails (which the kernel never does), the source is not waited for, as with
 * events 0. */
enum afar_status loop_offer(struct loop *to, const struct loop_source *source,
                            struct afar_error *err);
void loop_unoffer(struct loop *to, const struct loop_source *source);
void loop_leave(struct loop *loop, struct loop_source *source);
enum afar_status loop_take(struct loop *loop, struct loop_source *source, struct afar_error *err);

/* loop_defer runs `deferred` at the end of this turn, once; deferring it twice is the same as
 * once. */
void loop_deferred_init(struct loop_deferred *deferred, void (*run)(struct loop_deferred *));
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
void loop_deferred_cancel(struct loop_deferred *deferred);

/* Waits for events and handles them, then timers, then deferred work. AFAR_ESYSTEM: epoll_wait
 * failed for a reason other than EINTR, which cannot happen while the descriptor is valid. */
enum afar_status loop_turn(struct loop *loop, struct afar_error *err);

#endif
