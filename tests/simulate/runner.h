/* Many schedules, in several processes: until one does not hold, or all have been run.
 *
 * Owns nothing. Threads: one; the processes are waited for. Blocks: as long as it takes.
 * Limits:  RUNNER_PROCESSES_MAX. */
#ifndef SIMULATE_RUNNER_H
#define SIMULATE_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "simulate/fault.h"

enum { RUNNER_PROCESSES_MAX = 64 };

struct runner_options {
    uint64_t first; /* seed */
    uint64_t schedules;
    unsigned processes;
    enum fault fault;
};

struct runner_result {
    uint64_t done; /* schedules that held */
    bool failed;
    uint64_t seed; /* the first of those that did not */
    char problem[400];
};

void runner_run(const struct runner_options *options, struct runner_result *result);

/* Runs this one seed here and prints what happens. True: it holds. */
bool runner_trace(uint64_t seed, enum fault fault);

#endif
