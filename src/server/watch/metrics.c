#include "server/watch/metrics.h"
#include "server/kept.h"
#include "server/left.h"

#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "server/watch/own_usage.h"
#include "wire/message.h"

#define US_PER_S 1e6

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(FILE *out, const char *name, const char *help, double value)
{
    head(out, name, "gauge", help);
    (void)fprintf(out, "%s %.15g\n", name, value);
}

static void counter(FILE *out, const char *name, const char *help, unsigned long long value)
{
    head(out, name, "counter", help);
    (void)fprintf(out, "%s %llu\n", name, value);
}

static unsigned long long load(const atomic_ullong *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

void metrics_write_histogram(FILE *out, const char *name, const char *help,
                             const struct histogram *histogram)
{
    unsigned long long count = 0;
    head(out, name, "histogram", help);
    for (size_t i = 0; i < HISTOGRAM_CLASSES; i++) {
        count += load(&histogram->count[i]); /* a class includes all smaller ones */
        if (i + 1 < HISTOGRAM_CLASSES)
            (void)fprintf(out, "%s_bucket{le=\"%g\"} %llu\n", name,
                          (double)histogram_bound_us(i) / US_PER_S, count);
        else
            (void)fprintf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, count);
    }
    (void)fprintf(out, "%s_sum %.6f\n%s_count %llu\n", name,
                  (double)load(&histogram->sum_us) / US_PER_S, name, count);
}

static void write_connections(FILE *out, struct server_shared *shared)
{
    struct figures *figures = &shared->figures;
    gauge(out, "afard_connections", "Connections that are open.",
          (double)admission_count(shared->admission));
    gauge(out, "afard_connections_unauthenticated", "Of these, those with an unfinished handshake.",
          (double)admission_unauthenticated(shared->admission));
    counter(out, "afard_connections_accepted_total", "Connections that were accepted.",
            counters_get(&shared->counters, COUNTER_CONNECTIONS));
    head(out, "afard_handshakes_total", "counter",
         "Handshakes by how they ended; plain: none was needed.");
    for (int i = 0; i < HANDSHAKE_RESULTS; i++)
        (void)fprintf(out, "afard_handshakes_total{result=\"%s\"} %llu\n",
                      figures_handshake_name((enum handshake_result)i),
                      load(&figures->handshakes[i]));
    head(out, "afard_bytes_total", "counter",
         "Bytes of the protocol, without TLS; in: from clients.");
    (void)fprintf(out,
                  "afard_bytes_total{direction=\"in\"} %llu\n"
                  "afard_bytes_total{direction=\"out\"} %llu\n",
                  load(&figures->received_bytes), load(&figures->sent_bytes));
}

static void write_jobs(FILE *out, struct server_shared *shared)
{
    struct figures *figures = &shared->figures;
    head(out, "afard_jobs", "gauge",
         "Jobs that there are, by state; away: whose client is waited for, in whichever state.");
    for (int i = JOB_NEW + 1; i < JOB_STATES; i++) {
        long long count = atomic_load_explicit(&figures->jobs[i], memory_order_relaxed);
        (void)fprintf(out, "afard_jobs{state=\"%s\"} %lld\n", figures_state_name((enum job_state)i),
                      count);
    }
    (void)fprintf(out, "afard_jobs{state=\"away\"} %lld\n",
                  atomic_load_explicit(&figures->away, memory_order_relaxed));
    head(out, "afard_kept_jobs", "gauge",
         "Kept commands, as far as it is known what has become of them.");
    size_t ended = 0;
    uint64_t bytes = 0;
    const size_t live = kept_count(shared->kept, &ended, &bytes);
    (void)fprintf(out, "afard_kept_jobs{state=\"live\"} %zu\n", live);
    (void)fprintf(out, "afard_kept_jobs{state=\"ended\"} %zu\n", ended);
    gauge(out, "afard_kept_output_bytes", "Their output on the disk, as it was seen last.",
          (double)bytes);
    counter(out, "afard_away_total",
            "Connections that were lost and whose command waited for them.",
            counters_get(&shared->counters, COUNTER_AWAY));
    counter(out, "afard_attaches_total", "Clients that were attached to a command.",
            counters_get(&shared->counters, COUNTER_ATTACHES));
    counter(out, "afard_resumes_total", "Of these, those that came back to their own.",
            counters_get(&shared->counters, COUNTER_RESUMES));
    counter(out, "afard_superseded_total", "Clients that have taken a command over from another.",
            counters_get(&shared->counters, COUNTER_SUPERSEDED));
    counter(out, "afard_record_errors_total", "Recordings that could not be made or written to.",
            counters_get(&shared->counters, COUNTER_RECORD_ERRORS));
    counter(out, "afard_jobs_started_total", "Commands that were started.",
            counters_get(&shared->counters, COUNTER_JOBS));
    head(out, "afard_jobs_ended_total", "counter",
         "Jobs by what their receipt says; refused: they have none.");
    for (int i = 0; i < FIGURES_OUTCOMES; i++)
        (void)fprintf(out, "afard_jobs_ended_total{outcome=\"%s\"} %llu\n",
                      message_outcome_name((enum afar_outcome)i), load(&figures->outcomes[i]));
    (void)fprintf(out, "afard_jobs_ended_total{outcome=\"refused\"} %llu\n",
                  load(&figures->refused));
    counter(out, "afard_files_sessions_total", "Of these, those that served files.",
            load(&figures->files_sessions));
    head(out, "afard_files_bytes_total", "counter",
         "What they took and gave, counted at their ends.");
    (void)fprintf(out,
                  "afard_files_bytes_total{direction=\"in\"} %llu\n"
                  "afard_files_bytes_total{direction=\"out\"} %llu\n",
                  load(&figures->files_in_bytes), load(&figures->files_out_bytes));
    gauge(out, "afard_windows_grown_bytes",
          "What the windows of commands have grown by, because their clients are far away.",
          (double)window_pool_used(&shared->windows));
    counter(out, "afard_windows_grown_total", "How often one has grown.",
            counters_get(&shared->counters, COUNTER_WINDOWS_GROWN));
    counter(out, "afard_bulk_moves_total",
            "Commands that were moved to a bulk worker, because they carry much.",
            counters_get(&shared->counters, COUNTER_BULK_MOVES));
    counter(out, "afard_bulk_stays_total", "The same that could not be moved, there or back.",
            counters_get(&shared->counters, COUNTER_BULK_STAYS));
    gauge(out, "afard_terminals", "Terminals that commands run on.",
          (double)atomic_load_explicit(&figures->terminals, memory_order_relaxed));
    gauge(out, "afard_left", "Processes that commands have left running (may = leave).",
          (double)left_count(shared->left));
    counter(out, "afard_spawns_stuck_total",
            "Commands that were given up because their start hangs beyond the reach of KILL.",
            counters_get(&shared->counters, COUNTER_SPAWNS_STUCK));
    gauge(out, "afard_stuck_spawns", "Of these, how many still hang.",
          (double)atomic_load_explicit(&figures->stuck, memory_order_relaxed));
    metrics_write_histogram(out, "afard_job_queue_seconds",
                            "From a request to the start of its command.", &figures->queued);
    metrics_write_histogram(out, "afard_job_run_seconds",
                            "From a command's start to its process's end.", &figures->ran);
}

/* Whether the counter counts how often a limit was reached. */
static bool is_limit(enum counter which)
{
    switch (which) {
    case COUNTER_CONNECTIONS:
    case COUNTER_HANDSHAKES:
    case COUNTER_HANDSHAKES_FAILED:
    case COUNTER_JOBS:
    case COUNTER_JOBS_ENDED:
    case COUNTER_JOBS_QUEUED:
    case COUNTER_SPAWNS_STUCK:
    case COUNTER_AUDIT_LOST:
    case COUNTER_ACCEPT_PAUSES:
    case COUNTER_AWAY:
    case COUNTER_ATTACHES:
    case COUNTER_RESUMES:
    case COUNTER_SUPERSEDED:
    case COUNTER_RECORD_ERRORS:
    case COUNTER_WINDOWS_GROWN:
    case COUNTER_BULK_MOVES:
    case COUNTER_BULK_STAYS:
    case COUNTER_RELOADS:
    case COUNTER_RELOADS_FAILED:
        return false;
    default:
        return true;
    }
}

static void write_limits(FILE *out, struct server_shared *shared)
{
    head(out, "afard_limit_reached_total", "counter",
         "How often a limit was met, by its name in afard.conf(5).");
    for (int i = 0; i < COUNTERS; i++) {
        if (is_limit((enum counter)i))
            (void)fprintf(out, "afard_limit_reached_total{limit=\"%s\"} %llu\n",
                          counter_name((enum counter)i),
                          counters_get(&shared->counters, (enum counter)i));
    }
    counter(out, "afard_accept_pauses_total",
            "How often accepting paused because descriptors or memory ran out.",
            counters_get(&shared->counters, COUNTER_ACCEPT_PAUSES));
    counter(out, "afard_audit_lost_total", "Lines that could not be written to the audit log.",
            counters_get(&shared->counters, COUNTER_AUDIT_LOST));
}

/* Whether `end` is less than tls_expiry_warning away, or has passed. */
static bool ends_soon(struct figures *figures, const atomic_llong *end)
{
    const long long at = atomic_load(end);
    const long long warning_s = atomic_load(&figures->expiry_warning_s);
    return at != 0 && warning_s != 0 && at - (long long)time(NULL) <= warning_s;
}

static void write_ends(FILE *out, struct figures *figures)
{
    const long long own_at = atomic_load(&figures->certificate_expires_at);
    const long long lists_at = atomic_load(&figures->lists_expire_at);
    if (own_at != 0)
        gauge(out, "afard_certificate_expiry_timestamp_seconds",
              "When the server's own certificate expires (Unix time).", (double)own_at);
    if (lists_at != 0)
        gauge(out, "afard_revocation_list_expiry_timestamp_seconds",
              "When the first revocation list of a CA ends (Unix time).", (double)lists_at);
    if (own_at != 0)
        gauge(out, "afard_tls_expiry_warning",
              "1 if one of these, or a certificate sent with the server's own, ends within "
              "tls_expiry_warning days, or has ended.",
              ends_soon(figures, &figures->certificate_expires_at) ||
                      ends_soon(figures, &figures->chain_expires_at) ||
                      ends_soon(figures, &figures->lists_expire_at)
                  ? 1
                  : 0);
}

static void write_settings(FILE *out, struct server_shared *shared)
{
    struct figures *figures = &shared->figures;
    head(out, "afard_reloads_total", "counter", "Reloads of configuration or certificates.");
    (void)fprintf(out,
                  "afard_reloads_total{result=\"ok\"} %llu\n"
                  "afard_reloads_total{result=\"failed\"} %llu\n",
                  counters_get(&shared->counters, COUNTER_RELOADS),
                  counters_get(&shared->counters, COUNTER_RELOADS_FAILED));
    gauge(out, "afard_reload_successful", "1 if the last reload was successful, or there was none.",
          atomic_load(&figures->reload_failed) ? 0 : 1);
    gauge(out, "afard_reload_success_timestamp_seconds",
          "When the current configuration was read (Unix time).",
          (double)atomic_load(&figures->reloaded_at));
    gauge(out, "afard_exposed_users",
          "Users of commands who can read or change the server's own files; the log names them.",
          (double)atomic_load(&figures->exposed_users));
    write_ends(out, figures);
}

static void write_workers(FILE *out, const struct metrics_source *source)
{
    struct histogram turns = {0};
    const int64_t now_ms = clock_now_ms();
    head(out, "afard_worker_connections", "gauge",
         "Connections of each worker; the last are the bulk workers.");
    for (unsigned i = 0; i < acceptor_worker_count(source->acceptor); i++) {
        const struct worker *worker = acceptor_worker(source->acceptor, i);
        (void)fprintf(out, "afard_worker_connections{worker=\"%u\"} %u\n", i,
                      worker_connections(worker));
    }
    head(out, "afard_worker_turn_age_seconds", "gauge",
         "How long a worker has been in its present turn; 0: it waits for events.");
    for (unsigned i = 0; i < acceptor_worker_count(source->acceptor); i++) {
        const struct worker *worker = acceptor_worker(source->acceptor, i);
        int64_t turn_ms = pulse_turn_ms(loop_pulse(worker->host.loop), now_ms);
        (void)fprintf(out, "afard_worker_turn_age_seconds{worker=\"%u\"} %g\n", i,
                      (double)turn_ms / 1000);
        histogram_merge(&turns, loop_turns(worker->host.loop));
    }
    metrics_write_histogram(out, "afard_worker_lag_seconds",
                            "How long one turn of a worker's loop lets other events wait.", &turns);
}

/* Leaves out a number that could not be read. */
static void gauge_if(FILE *out, const char *name, const char *help, double value)
{
    if (value >= 0)
        gauge(out, name, help, value);
}

/* Uses the names of Prometheus' own client libraries. */
static void write_process(FILE *out)
{
    struct own_usage usage;
    own_usage_read(&usage);
    if (usage.cpu_seconds >= 0) {
        head(out, "process_cpu_seconds_total", "counter", "Processor time of the server itself.");
        (void)fprintf(out, "process_cpu_seconds_total %.2f\n", usage.cpu_seconds);
    }
    gauge_if(out, "process_open_fds", "Open descriptors.", usage.open_descriptors);
    gauge_if(out, "process_max_fds", "Their limit.", usage.max_descriptors);
    gauge_if(out, "process_resident_memory_bytes", "Resident memory.", usage.resident_bytes);
    gauge_if(out, "process_virtual_memory_bytes", "Virtual memory.", usage.virtual_bytes);
    gauge_if(out, "process_threads", "Threads.", usage.threads);
    gauge_if(out, "process_start_time_seconds", "When it was started (Unix time).",
             usage.started_at);
}

void metrics_write(const struct metrics_source *source, FILE *out)
{
    struct server_shared *shared = source->shared;
    head(out, "afard_build_info", "gauge", "1; its version is the label.");
    (void)fprintf(out, "afard_build_info{version=\"" AFAR_VERSION "\"} 1\n");
    gauge(out, "afard_ready", "1 while new connections are taken.",
          atomic_load(&shared->figures.phase) == PHASE_READY ? 1 : 0);
    write_connections(out, shared);
    write_jobs(out, shared);
    write_limits(out, shared);
    write_settings(out, shared);
    write_workers(out, source);
    write_process(out);
}
