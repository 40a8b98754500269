/* Writes all figures and counters in Prometheus' text format 0.0.4, as its documentation describes
 * it ("Exposition formats"). afard(8) lists them for users.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  while it reads /proc, also for each process that commands have left running; and for the
 *          mutexes of registry, admission, kept and left, which are never held for long.
 * Limits:  the values of labels are a fixed set: nothing that a client sends becomes one. */
#ifndef SERVER_WATCH_METRICS_H
#define SERVER_WATCH_METRICS_H

#include <stdio.h>

#include "server/acceptor.h"

/* What the metrics are read from. */
struct metrics_source {
    struct server_shared *shared;
    const struct acceptor *acceptor; /* its workers have been started */
};

/* Writes all metrics. Check ferror(3) of `out` for errors. */
void metrics_write(const struct metrics_source *source, FILE *out);

/* Writes one histogram: its classes, sum and count. */
void metrics_write_histogram(FILE *out, const char *name, const char *help,
                             const struct histogram *histogram);

#endif
