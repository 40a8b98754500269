/* How long something took, counted in classes: what Prometheus calls a histogram.
 *
 * Owns:    its counts; all zero is an empty one.
 * Threads: any; each number is an atomic of its own, so that a reader may see a sum that lacks the
 *          last of what the classes have.
 * Blocks:  never.
 * Limits:  HISTOGRAM_CLASSES, from 100 µs to an hour. */
#ifndef STATS_HISTOGRAM_H
#define STATS_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_CLASSES = 14 }; /* the last one has no upper bound */

struct histogram {
    atomic_ullong count[HISTOGRAM_CLASSES]; /* of each class alone */
    atomic_ullong sum_us;
};

/* Adds one that took `took_us`; less than 0, as after a clock's mistake, is 0. */
void histogram_add(struct histogram *histogram, int64_t took_us);

/* Adds what `other` has by now. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* Up to how many microseconds a class reaches (inclusive); not for the last one. */
int64_t histogram_bound_us(size_t which);

#endif
