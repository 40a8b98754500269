#include "server/window_pool.h"

/* The default: an eighth of the memory that the server may use, so a container of 32 MiB has 4 MiB
 * for all windows; at most MOST_BYTES, as no machine needs more. */
enum { PART_OF_MEMORY = 8, MOST_BYTES = 256 << 20 };

void window_pool_set(struct window_pool *pool, uint64_t configured, uint64_t memory_bytes)
{
    uint64_t bytes = configured;
    if (configured == 0)
        bytes =
            memory_bytes / PART_OF_MEMORY < MOST_BYTES ? memory_bytes / PART_OF_MEMORY : MOST_BYTES;
    atomic_store(&pool->total_bytes, (size_t)bytes);
}

/* What one run is entitled to. `newcomer`: one that has no share yet counts, too. */
static size_t share_bytes(const struct window_pool *pool, bool newcomer)
{
    unsigned shares = atomic_load(&pool->shares) + (newcomer ? 1 : 0);
    return atomic_load(&pool->total_bytes) / (shares > 0 ? shares : 1);
}

static void give_back(struct window_pool *pool, size_t *share, size_t left)
{
    (void)atomic_fetch_sub(&pool->used_bytes, *share - left);
    if (*share > 0 && left == 0)
        (void)atomic_fetch_sub(&pool->shares, 1);
    *share = left;
}

size_t window_pool_take(struct window_pool *pool, size_t *share, size_t wanted, bool *refused)
{
    size_t used = atomic_load(&pool->used_bytes);
    size_t more = 0;
    *refused = false;
    if (wanted <= *share) {
        give_back(pool, share, wanted);
        return *share;
    }
    do {
        const size_t total = atomic_load(&pool->total_bytes);
        const size_t room = used < total ? total - used : 0;
        more = wanted - *share;
        if (more > room)
            more = room;
    } while (!atomic_compare_exchange_weak(&pool->used_bytes, &used, used + more));
    if (*share == 0 && more > 0)
        (void)atomic_fetch_add(&pool->shares, 1);
    *share += more;
    *refused = *share < wanted;
    /* A run that has its fair share waits; for others, runs with more have to shrink. */
    if (*refused && *share < share_bytes(pool, *share == 0))
        atomic_store(&pool->short_of, true);
    else if (!*refused)
        atomic_store(&pool->short_of, false);
    return *share;
}

size_t window_pool_fair(const struct window_pool *pool, size_t share)
{
    if (share == 0 || !atomic_load_explicit(&pool->short_of, memory_order_relaxed))
        return share;
    const size_t fair = share_bytes(pool, true);
    return share < fair ? share : fair;
}

size_t window_pool_used(const struct window_pool *pool)
{
    return atomic_load(&pool->used_bytes);
}
