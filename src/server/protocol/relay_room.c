#include "server/protocol/relay_room.h"

#include "server/worker.h"
#include "wire/message.h"

uint64_t relay_room_most(const struct worker *worker, uint64_t window_max)
{
    const uint64_t most = worker->config->window_max_bytes;
    const uint64_t least = window_max < most ? window_max : most;
    return least >= MESSAGE_WINDOW_MIN_BYTES ? least : 0;
}

static bool take(struct worker *worker, size_t *share, uint64_t wanted)
{
    struct server_shared *shared = worker->shared;
    const uint64_t most = worker->config->window_max_bytes;
    const size_t before = *share;
    bool refused = false;
    (void)window_pool_take(&shared->windows, share, (size_t)(wanted < most ? wanted : most),
                           &refused);
    if (refused)
        counters_count(&shared->counters, COUNTER_WINDOW_TOTAL_BYTES);
    if (*share > before)
        counters_count(&shared->counters, COUNTER_WINDOWS_GROWN);
    return wanted > before;
}

bool relay_room_take(struct relay_room *room, struct worker *worker, uint64_t window,
                     uint64_t credit)
{
    const bool more_window = take(worker, &room->window, window);
    const bool more_credit = take(worker, &room->credit, credit);
    return more_window || more_credit;
}

bool relay_room_is_unfair(const struct relay_room *room, const struct worker *worker,
                          struct relay_room *fair)
{
    const struct window_pool *pool = &worker->shared->windows;
    fair->window = window_pool_fair(pool, room->window);
    fair->credit = window_pool_fair(pool, room->credit);
    return fair->window < room->window || fair->credit < room->credit;
}

void relay_room_end(struct relay_room *room, struct worker *worker)
{
    bool refused = false;
    (void)window_pool_take(&worker->shared->windows, &room->window, 0, &refused);
    (void)window_pool_take(&worker->shared->windows, &room->credit, 0, &refused);
}
