/* Limits what the windows of all runs have grown by, in all: beyond output_log_bytes of output and
 * stdin_bytes of input for each. Each run is entitled to an equal share of window_total_bytes, and
 * may have more while no other run wants it: when another one does, those with more shrink.
 *
 * Each client of a kept command is such a run. When it goes, its share goes with it, though the
 * keeper still has the input that its command has not read: that counts again for the next one.
 *
 * Owns:    nothing.
 * Threads: any; a share belongs to its run. Off the data path, except one load for each
 *          acknowledgement.
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
    atomic_uint shares;   /* the shares that are not empty */
    atomic_bool short_of; /* a run that has less than its share was refused more */
};

/* Sets the total. `configured` 0: a default for a machine or container of `memory_bytes`. Also
 * while the pool is in use. */
void window_pool_set(struct window_pool *pool, uint64_t configured, uint64_t memory_bytes);

/* Sets *share (at first 0) to `wanted` bytes, or as near to that as there is room, and returns it.
 * Shrinking always succeeds. *refused: it is less than was wanted. */
size_t window_pool_take(struct window_pool *pool, size_t *share, size_t wanted, bool *refused);

/* The size that a share should shrink to because other runs want more: itself if it need not. */
size_t window_pool_fair(const struct window_pool *pool, size_t share);

/* The bytes in use, for figures. */
size_t window_pool_used(const struct window_pool *pool);

#endif
