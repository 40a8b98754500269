/* Durations counted in classes: what Prometheus calls a histogram.
 *
 * Owns:    its counts; all zero is an empty one.
 * Threads: any; each number is a separate atomic, so a reader may see a sum that lacks the newest
 *          entries of the classes.
 * Blocks:  never.
 * Limits:  HISTOGRAM_CLASSES, from 100 µs to an hour. */
#ifndef STATS_HISTOGRAM_H
#define STATS_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_CLASSES = 14 }; /* the last one has no upper bound */

struct histogram {
    atomic_ullong count[HISTOGRAM_CLASSES]; /* per class, not cumulative */
    atomic_ullong sum_us;
};

/* Adds one duration; a negative one (as after a clock's error) counts as 0. */
void histogram_add(struct histogram *histogram, int64_t took_us);

/* Adds the present counts of `other`. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The upper bound (inclusive) of a class in microseconds; not for the last class. */
int64_t histogram_bound_us(size_t which);

#endif
