/* All figures and counters in Prometheus' text format 0.0.4, as its documentation describes it
 * ("Exposition formats"). afard(8) lists them for users.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  while it reads /proc; and for the mutexes of registry and admission, which nobody holds
 *          for long.
 * Limits:  the labels' values are a fixed set: nothing that a client sends becomes one. */
#ifndef SERVER_WATCH_METRICS_H
#define SERVER_WATCH_METRICS_H

#include <stdio.h>

#include "server/acceptor.h"

/* What they are of. */
struct metrics_source {
    struct server_shared *shared;
    const struct acceptor *acceptor; /* its workers have been started */
};

/* Writes them. Whether that went well, the stream knows (ferror). */
void metrics_write(const struct metrics_source *source, FILE *out);

/* The same for one histogram: its classes, sum and count. */
void metrics_write_histogram(FILE *out, const char *name, const char *help,
                             const struct histogram *histogram);

#endif
