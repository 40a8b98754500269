/* What the windows of a kept command's client have grown by. Its keeper, a process of its own,
 * sizes them and asks for each growth (`room`); the server counts them, as it counts those of its
 * own commands.
 *
 * Owns:    a share of the pool (server/window_pool.h) for each window.
 * Threads: its worker's.
 * Blocks:  never.
 * Limits:  window_max_bytes for each, window_total_bytes for all. */
#ifndef SERVER_PROTOCOL_RELAY_ROOM_H
#define SERVER_PROTOCOL_RELAY_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* At first zeroed. */
struct relay_room {
    size_t window; /* beyond the initial sizes */
    size_t credit;
};

/* How far the windows of such a client may grow, if it has said `window_max`; 0: not at all. */
uint64_t relay_room_most(const struct worker *worker, uint64_t window_max);

/* The keeper says what it has or wants: counts that, as far as there is room. */
void relay_room_take(struct relay_room *room, struct worker *worker, uint64_t window,
                     uint64_t credit);

/* What it may have; less than what is counted if other commands want some of it: then the keeper
 * shrinks, and says when it has. */
struct relay_room relay_room_fair(const struct relay_room *room, const struct worker *worker);

/* The client has gone: gives everything back. */
void relay_room_end(struct relay_room *room, struct worker *worker);

#endif
