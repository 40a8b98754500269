#include "server/protocol/relay_room.h"

#include "server/worker.h"
#include "wire/message.h"

uint64_t relay_room_most(const struct worker *worker, uint64_t window_max)
{
    const uint64_t most = worker->config->window_max_bytes;
    const uint64_t least = window_max < most ? window_max : most;
    return least >= MESSAGE_WINDOW_MIN_BYTES ? least : 0;
}

static void take(struct worker *worker, size_t *share, uint64_t wanted)
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
}

void relay_room_take(struct relay_room *room, struct worker *worker, uint64_t window,
                     uint64_t credit)
{
    take(worker, &room->window, window);
    take(worker, &room->credit, credit);
}

struct relay_room relay_room_fair(const struct relay_room *room, const struct worker *worker)
{
    const struct window_pool *pool = &worker->shared->windows;
    return (struct relay_room){.window = window_pool_fair(pool, room->window),
                               .credit = window_pool_fair(pool, room->credit)};
}

void relay_room_end(struct relay_room *room, struct worker *worker)
{
    bool refused = false;
    (void)window_pool_take(&worker->shared->windows, &room->window, 0, &refused);
    (void)window_pool_take(&worker->shared->windows, &room->credit, 0, &refused);
}
