/* Counts events since the start: for the metrics, and written to the log on SIGUSR1.
 *
 * Owns:    nothing.
 * Threads: any; each counter is a separate atomic.
 * Blocks:  never.
 * Limits:  none; 64 bits do not overflow. */
#ifndef STATS_COUNTERS_H
#define STATS_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>

/* Each limit of the configuration has a counter: how often it was reached. */
enum counter {
    COUNTER_CONNECTIONS,
    COUNTER_HANDSHAKES,
    COUNTER_HANDSHAKES_FAILED,
    COUNTER_JOBS,
    COUNTER_JOBS_ENDED,
    COUNTER_JOBS_QUEUED,
    COUNTER_MAX_CONNECTIONS,
    COUNTER_MAX_CONNECTIONS_PER_ADDRESS,
    COUNTER_MAX_UNAUTHENTICATED,
    COUNTER_MAX_UNAUTHENTICATED_PER_ADDRESS,
    COUNTER_MAX_JOBS,
    COUNTER_MAX_JOBS_PER_IDENTITY,
    COUNTER_MAX_QUEUED,
    COUNTER_START_WITHIN,
    COUNTER_DENIED,
    COUNTER_AUDIT_LOST,
    COUNTER_RULE_MAX_JOBS,
    COUNTER_RULE_MAX_OUTPUT,
    COUNTER_RECORD_ERRORS,
    COUNTER_HEADER_BYTES,
    COUNTER_PAYLOAD_BYTES,
    COUNTER_ARGV_BYTES,
    COUNTER_ENV_BYTES,
    COUNTER_REQUEST_BYTES,
    COUNTER_COLLECT_MAX_BYTES,
    COUNTER_OUTPUT_LOG_FULL,
    COUNTER_WINDOW_TOTAL_BYTES,
    COUNTER_CONTROL_QUEUE_BYTES,
    COUNTER_HANDSHAKE_TIMEOUT,
    COUNTER_FIRST_REQUEST_TIMEOUT,
    COUNTER_FRAME_TIMEOUT,
    COUNTER_IDLE_TIMEOUT,
    COUNTER_WRITE_TIMEOUT,
    COUNTER_HEARTBEAT_TIMEOUT,
    COUNTER_JOB_TIMEOUT,
    COUNTER_SPAWN_TIMEOUT,
    COUNTER_SPAWNS_PER_IDENTITY,
    COUNTER_SPAWNS_STUCK,
    COUNTER_MAX_STUCK_SPAWNS,
    COUNTER_LINGER,
    COUNTER_LEFT_MAX,
    COUNTER_LEFT_PER_IDENTITY,
    COUNTER_ACCEPT_PAUSES,
    COUNTER_AWAY,
    COUNTER_ATTACHES,
    COUNTER_RESUMES,
    COUNTER_SUPERSEDED,
    COUNTER_RESUME_MS,
    COUNTER_WINDOWS_GROWN,
    COUNTER_BULK_MOVES,
    COUNTER_BULK_STAYS,
    COUNTER_RELOADS,
    COUNTER_RELOADS_FAILED,
    COUNTERS
};

struct counters {
    atomic_ullong value[COUNTERS];
};

void counters_count(struct counters *counters, enum counter which);
unsigned long long counters_get(const struct counters *counters, enum counter which);

/* "connections", "max_connections", …; counters of limits are named like the option. */
const char *counter_name(enum counter which);

/* Writes "connections=12 jobs=3": the counters that are not 0, as many as fit. */
void counters_format(const struct counters *counters, char *text, size_t size);

#endif
