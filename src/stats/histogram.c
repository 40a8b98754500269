#include "stats/histogram.h"

#define MS INT64_C(1000)
#define S (1000 * MS)

static const int64_t bounds_us[HISTOGRAM_CLASSES - 1] = {
    100,      500, MS,    5 * MS, 10 * MS, 50 * MS, 100 * MS,
    500 * MS, S,   5 * S, 30 * S, 300 * S, 3600 * S};

static void add(atomic_ullong *number, unsigned long long more)
{
    (void)atomic_fetch_add_explicit(number, more, memory_order_relaxed);
}

void histogram_add(struct histogram *histogram, int64_t took_us)
{
    size_t which = 0;
    if (took_us < 0)
        took_us = 0;
    while (which < HISTOGRAM_CLASSES - 1 && took_us > bounds_us[which])
        which++;
    add(&histogram->count[which], 1);
    add(&histogram->sum_us, (unsigned long long)took_us);
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    for (size_t i = 0; i < HISTOGRAM_CLASSES; i++)
        add(&histogram->count[i], atomic_load_explicit(&other->count[i], memory_order_relaxed));
    add(&histogram->sum_us, atomic_load_explicit(&other->sum_us, memory_order_relaxed));
}

int64_t histogram_bound_us(size_t which)
{
    return bounds_us[which];
}
