#include "stats/counters.h"

#include <stdio.h>

static const char *const names[COUNTERS] = {
    [COUNTER_CONNECTIONS] = "connections",
    [COUNTER_HANDSHAKES] = "handshakes",
    [COUNTER_HANDSHAKES_FAILED] = "handshakes_failed",
    [COUNTER_JOBS] = "jobs",
    [COUNTER_JOBS_ENDED] = "jobs_ended",
    [COUNTER_JOBS_QUEUED] = "jobs_queued",
    [COUNTER_MAX_CONNECTIONS] = "max_connections",
    [COUNTER_MAX_CONNECTIONS_PER_ADDRESS] = "max_connections_per_address",
    [COUNTER_MAX_UNAUTHENTICATED] = "max_unauthenticated",
    [COUNTER_MAX_UNAUTHENTICATED_PER_ADDRESS] = "max_unauthenticated_per_address",
    [COUNTER_MAX_JOBS] = "max_jobs",
    [COUNTER_MAX_JOBS_PER_IDENTITY] = "max_jobs_per_identity",
    [COUNTER_MAX_QUEUED] = "max_queued",
    [COUNTER_START_WITHIN] = "start_within",
    [COUNTER_DENIED] = "denied",
    [COUNTER_AUDIT_LOST] = "audit_lost",
    [COUNTER_RULE_MAX_JOBS] = "rule_max_jobs",
    [COUNTER_RULE_MAX_OUTPUT] = "rule_max_output",
    [COUNTER_RECORD_ERRORS] = "record_errors",
    [COUNTER_HEADER_BYTES] = "header_bytes",
    [COUNTER_PAYLOAD_BYTES] = "payload_bytes",
    [COUNTER_ARGV_BYTES] = "argv_bytes",
    [COUNTER_ENV_BYTES] = "env_bytes",
    [COUNTER_REQUEST_BYTES] = "request_bytes",
    [COUNTER_COLLECT_MAX_BYTES] = "collect_max_bytes",
    [COUNTER_OUTPUT_LOG_FULL] = "output_log_bytes",
    [COUNTER_WINDOW_TOTAL_BYTES] = "window_total_bytes",
    [COUNTER_CONTROL_QUEUE_BYTES] = "control_queue_bytes",
    [COUNTER_HANDSHAKE_TIMEOUT] = "handshake_timeout_ms",
    [COUNTER_FIRST_REQUEST_TIMEOUT] = "first_request_timeout_ms",
    [COUNTER_FRAME_TIMEOUT] = "frame_timeout_ms",
    [COUNTER_IDLE_TIMEOUT] = "idle_timeout_ms",
    [COUNTER_WRITE_TIMEOUT] = "write_timeout_ms",
    [COUNTER_HEARTBEAT_TIMEOUT] = "heartbeat_timeout_ms",
    [COUNTER_JOB_TIMEOUT] = "job_timeout",
    [COUNTER_SPAWN_TIMEOUT] = "spawn_timeout_ms",
    [COUNTER_SPAWNS_PER_IDENTITY] = "spawns_per_identity",
    [COUNTER_SPAWNS_STUCK] = "spawns_stuck",
    [COUNTER_MAX_STUCK_SPAWNS] = "max_stuck_spawns",
    [COUNTER_LINGER] = "linger_ms",
    [COUNTER_LEFT_MAX] = "left_max",
    [COUNTER_LEFT_PER_IDENTITY] = "left_per_identity",
    [COUNTER_ACCEPT_PAUSES] = "accept_pauses",
    [COUNTER_AWAY] = "away",
    [COUNTER_ATTACHES] = "attaches",
    [COUNTER_RESUMES] = "resumes",
    [COUNTER_SUPERSEDED] = "superseded",
    [COUNTER_RESUME_MS] = "resume_ms",
    [COUNTER_WINDOWS_GROWN] = "windows_grown",
    [COUNTER_BULK_MOVES] = "bulk_moves",
    [COUNTER_BULK_STAYS] = "bulk_stays",
    [COUNTER_RELOADS] = "reloads",
    [COUNTER_RELOADS_FAILED] = "reloads_failed",
};

void counters_count(struct counters *counters, enum counter which)
{
    (void)atomic_fetch_add_explicit(&counters->value[which], 1, memory_order_relaxed);
}

unsigned long long counters_get(const struct counters *counters, enum counter which)
{
    return atomic_load_explicit(&counters->value[which], memory_order_relaxed);
}

const char *counter_name(enum counter which)
{
    return names[which];
}

void counters_format(const struct counters *counters, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < COUNTERS; i++) {
        unsigned long long value = counters_get(counters, (enum counter)i);
        if (value == 0)
            continue;
        int length =
            snprintf(text + used, size - used, "%s%s=%llu", used == 0 ? "" : " ", names[i], value);
        if (length < 0 || (size_t)length >= size - used) {
            text[used] = '\0';
            return;
        }
        used += (size_t)length;
    }
}
