/* What the windows of all runs have grown by, together: beyond output_log_bytes of output and
 * stdin_bytes of input each. Everyone may have an equal share of window_total_bytes, and more while
 * nobody else wants it: who comes then makes those who have more shrink back.
 *
 * Owns:    nothing.
 * Threads: any; a share is its run's. Off the data path but for one load for each acknowledgement.
 * Blocks:  never.
 * Limits:  window_total_bytes. */
#ifndef SERVER_WINDOW_POOL_H
#define SERVER_WINDOW_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window_pool {
    atomic_size_t total_bytes;
    atomic_size_t used_bytes;
    atomic_uint shares;   /* that are not empty */
    atomic_bool short_of; /* somebody has wanted more than there was */
};

/* `configured` 0: what suits a machine or container of `memory_bytes`. Also while it is in use. */
void window_pool_set(struct window_pool *pool, uint64_t configured, uint64_t memory_bytes);

/* Sets *share, at first 0, to `wanted` bytes, or as near to that as there is; returns it. Less than it
 * was is always possible. *refused: it is less than was wanted. */
size_t window_pool_take(struct window_pool *pool, size_t *share, size_t wanted, bool *refused);

/* How much a share of so many bytes is to go down to, because others want some: itself, where it may
 * stay. */
size_t window_pool_fair(const struct window_pool *pool, size_t share);

/* In use, for figures. */
size_t window_pool_used(const struct window_pool *pool);

#endif
