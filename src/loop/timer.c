#include "loop/timer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

void timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void timers_close(struct timers *timers)
{
    assert(timers->attached == 0);
    free(timers->heap);
    timers->heap = NULL;
}

/* Makes room for `count` timers more than are attached or kept. */
static enum afar_status make_room(struct timers *timers, size_t count, struct afar_error *err)
{
    const size_t wanted = timers->attached + timers->kept + count;
    size_t capacity = timers->capacity == 0 ? 16 : timers->capacity;
    if (wanted <= timers->capacity)
        return AFAR_OK;
    while (capacity < wanted)
        capacity *= 2;
    struct timer **heap = realloc(timers->heap, capacity * sizeof(struct timer *));
    if (heap == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a timer");
    timers->heap = heap;
    timers->capacity = capacity;
    return AFAR_OK;
}

enum afar_status timers_keep(struct timers *timers, size_t count, struct afar_error *err)
{
    enum afar_status status = make_room(timers, count, err);
    if (status == AFAR_OK)
        timers->kept += count;
    return status;
}

void timer_attach_kept(struct timers *timers, struct timer *timer)
{
    assert(timers->kept > 0);
    timers->kept--;
    timers->attached++;
    timer->deadline_ms = DEADLINE_NEVER;
    timer->place = TIMER_NOWHERE;
}

enum afar_status timer_attach(struct timers *timers, struct timer *timer,
                              void (*fire)(struct timer *), struct afar_error *err)
{
    enum afar_status status = make_room(timers, 1, err);
    if (status != AFAR_OK)
        return status;
    timers->attached++;
    *timer = (struct timer){.deadline_ms = DEADLINE_NEVER, .place = TIMER_NOWHERE, .fire = fire};
    return AFAR_OK;
}

static void put(struct timers *timers, size_t place, struct timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct timers *timers, size_t place, struct timer *timer)
{
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (timers->heap[parent]->deadline_ms <= timer->deadline_ms)
            break;
        put(timers, place, timers->heap[parent]);
        place = parent;
    }
    put(timers, place, timer);
}

static void sift_down(struct timers *timers, size_t place, struct timer *timer)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= timers->count)
            break;
        if (child + 1 < timers->count &&
            timers->heap[child + 1]->deadline_ms < timers->heap[child]->deadline_ms)
            child++;
        if (timers->heap[child]->deadline_ms >= timer->deadline_ms)
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

static void take_out(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    timer->place = TIMER_NOWHERE;
    timer->deadline_ms = DEADLINE_NEVER;
    struct timer *last = timers->heap[--timers->count];
    if (last == timer)
        return;
    /* The last timer fills the gap; it may belong above or below it. */
    sift_up(timers, place, last);
    sift_down(timers, last->place, last);
}

void timer_detach(struct timers *timers, struct timer *timer)
{
    timer_arm(timers, timer, DEADLINE_NEVER);
    timers->attached--;
}

void timer_arm(struct timers *timers, struct timer *timer, int64_t deadline_ms)
{
    if (timer->deadline_ms == deadline_ms)
        return;
    if (timer->place != TIMER_NOWHERE)
        take_out(timers, timer);
    if (deadline_ms == DEADLINE_NEVER)
        return;
    timer->deadline_ms = deadline_ms;
    sift_up(timers, timers->count++, timer);
}

int64_t timers_next(const struct timers *timers)
{
    return timers->count == 0 ? DEADLINE_NEVER : timers->heap[0]->deadline_ms;
}

void timers_fire(struct timers *timers, int64_t now_ms)
{
    /* At most as many as are armed now, so that a timer that keeps arming itself cannot block the
     * loop. */
    for (size_t left = timers->count; left > 0 && timers->count > 0; left--) {
        struct timer *first = timers->heap[0];
        if (first->deadline_ms > now_ms)
            break;
        take_out(timers, first);
        first->fire(first);
    }
}
