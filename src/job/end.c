/* How a job ends: its receipt or its refusal, and freeing it. */
#include "job/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "exec/environment.h"
#include "exec/signal_name.h"

enum {
    /* The kernel's count of memory is off by some pages for each processor. */
    PEAK_MARGIN_BYTES = 4 << 20
};

void job_free(struct job *job)
{
    figures_job(job->host->figures, job->state, JOB_NEW);
    if (job->given_up)
        (void)atomic_fetch_sub(&job->host->figures->stuck, 1);
    if (job->deadlines.timer.fire != NULL)
        timer_detach(loop_timers(job->host->loop), &job->deadlines.timer);
    list_remove(&job->link);
    policy_decision_close(&job->launch.decision); /* before the request, whose words it uses */
    exec_request_free(job->launch.request);
    environment_free(job->launch.environment);
    digest_free(job->streams.digest[0]);
    digest_free(job->streams.digest[1]);
    buffer_close(&job->streams.input);
    job_tree_close(job);
    free(job->left.members);
    job_record_close(job);
    spawn_control_close(&job->launch.control);
    free(job);
}

/* ", 3 left behind and ended: sleep (pid 4711), …"; "" if there are none. */
static void describe_left(const struct afar_processes *processes, const char *what, char *text,
                          size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    if (processes->count == 0)
        return;
    used = (size_t)snprintf(text, size, ", %llu %s:", (unsigned long long)processes->count, what);
    for (size_t i = 0; i < AFAR_PROCESSES_NAMED && i < processes->count && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s %s (pid %llu)", i == 0 ? "" : ",",
                             processes->first[i].name, (unsigned long long)processes->first[i].pid);
    if (processes->count > AFAR_PROCESSES_NAMED && used < size)
        (void)snprintf(text + used, size - used, ", …");
}

/* ", limit timeout of the rule"; "" if no limit was met. */
static void describe_limit(const struct afar_receipt *receipt, char *text, size_t size)
{
    const char *by = message_limit_owner_name(receipt->limit.by);
    text[0] = '\0';
    if (receipt->limit.name[0] != '\0')
        (void)snprintf(text, size, ", limit %s of the %s", receipt->limit.name, by);
}

static void log_end(const struct job *job, const struct afar_receipt *receipt)
{
    struct log *log = job->host->log;
    const char *outcome = message_outcome_name(receipt->outcome);
    char how[64];
    char limit[64];
    char ended[256];
    char left[256];
    if (receipt->outcome == AFAR_OUTCOME_SPAWN_FAILED) {
        log_write(log, LOG_LEVEL_INFO, "%s: job %s: %s: %s", job->label, job->launch.id, outcome,
                  receipt->message);
        return;
    }
    describe_limit(receipt, limit, sizeof limit);
    describe_left(&receipt->ended, "left behind and ended", ended, sizeof ended);
    describe_left(&receipt->left, "left running", left, sizeof left);
    if (receipt->signal[0] != '\0')
        (void)snprintf(how, sizeof how, "by signal %s", receipt->signal);
    else
        (void)snprintf(how, sizeof how, "status %d", receipt->code);
    log_write(log, LOG_LEVEL_INFO, "%s: job %s: '%.200s' %s, %s, after %llu ms%s%s%s", job->label,
              job->launch.id, job->launch.request->argv[0], outcome, how,
              (unsigned long long)receipt->run_us / 1000, limit, ended, left);
}

static void set_limit(struct afar_receipt *receipt, const char *name, enum afar_limit_owner by)
{
    (void)snprintf(receipt->limit.name, sizeof receipt->limit.name, "%s", name);
    receipt->limit.by = by;
}

/* The kernel's limit on processor time sends XCPU, and a second later KILL, which looks like any
 * other. (The kernel counts clock ticks; the usage in `end` is more exact.) */
static bool is_out_of_cpu(const struct rule *rule, const struct process_end *end)
{
    uint64_t used_us = end->user_us + end->system_us;
    if (!rule->cpu_s.set || end->exited)
        return false;
    return end->signal == SIGXCPU ||
           (end->signal == SIGKILL && used_us >= rule->cpu_s.value * 1000000);
}

static void set_spawn_limit(const struct job *job, struct afar_receipt *receipt)
{
    set_limit(receipt, "spawn_timeout", AFAR_BY_SERVER);
    receipt->limit.ms = (uint64_t)job->spawning.timeout_ms;
}

/* Which limit ended the job or a part of it, and who set it. */
static void explain_limit(const struct job *job, const struct process_end *end,
                          struct afar_receipt *receipt)
{
    const struct rule *rule = job->launch.decision.rule;
    const struct cgroup_events *events = &job->tree.result.events;
    struct afar_limit *limit = &receipt->limit;
    if (job->spawning.timed_out) {
        set_spawn_limit(job, receipt);
    } else if (receipt->outcome == AFAR_OUTCOME_TIMED_OUT) {
        set_limit(receipt, "timeout", job->deadlines.timeout_by);
        limit->ms = job->deadlines.timeout_ms;
    } else if (receipt->outcome == AFAR_OUTCOME_OUTPUT_LIMIT) {
        bool by_rule = job->streams.output_over && rule != NULL;
        set_limit(receipt, "output", by_rule ? AFAR_BY_RULE : AFAR_BY_SERVER);
        limit->bytes = by_rule ? rule->max_output.value : job->host->limits.collect_max_bytes;
    } else if (rule != NULL && events->memory_kills > 0) {
        set_limit(receipt, "memory", AFAR_BY_RULE);
        limit->bytes = rule->memory_bytes.value;
    } else if (rule != NULL && is_out_of_cpu(rule, end)) {
        set_limit(receipt, "cpu", AFAR_BY_RULE);
        limit->ms = rule->cpu_s.value * 1000;
    } else if (rule != NULL && events->pids_refused > 0) {
        set_limit(receipt, "pids", AFAR_BY_RULE);
        limit->count = rule->pids.value;
    }
}

static void note_for_audit(const struct job *job, const struct afar_receipt *receipt)
{
    bool none = job->state == JOB_SPAWNING && job->spawning.cancelled; /* none that is known */
    job->place->ops->note_end(job->place, &job->launch, none ? 0 : job->launch.spawned.pid,
                              receipt);
}

/* Reports the end to figures, log, audit log and place, but not to the owner. Skips what
 * job_end_given_up has done. */
static void note_end(struct job *job, const struct afar_receipt *receipt)
{
    if (!job->given_up) {
        figures_ended(job->host->figures, receipt);
        if (job->launch.request->subsystem != NULL)
            figures_files(job->host->figures, receipt);
        log_end(job, receipt);
    }
    if (job->launch.audited && !job->end_noted)
        note_for_audit(job, receipt);
    job->end_noted = job->launch.audited;
    job_left_note(job);
}

/* Ends and frees the job; calls the owner last, when the job is freed. */
static void end_job(struct job *job, const struct afar_receipt *receipt)
{
    struct job_host *host = job->host;
    struct job_owner *owner = job->owner;
    job_files_close(job); /* the last notes must come before the end */
    note_end(job, receipt);
    job->place->ops->gone(job->place);
    job_streams_close(job);
    job_free(job);
    if (owner != NULL)
        owner->ops->ended(owner, receipt);
    host->left(host);
}

/* A receipt that says why nothing was started. */
static void fill_not_spawned(struct job *job, int sys_errno, const char *stage, const char *message,
                             struct afar_receipt *receipt)
{
    char space[24];
    *receipt = (struct afar_receipt){
        .outcome = job->stopping ? job->stop_outcome : AFAR_OUTCOME_SPAWN_FAILED, .code = -1};
    (void)snprintf(receipt->error_name, sizeof receipt->error_name, "%s",
                   errno_name(sys_errno, space));
    (void)snprintf(receipt->error_stage, sizeof receipt->error_stage, "%s", stage);
    utf8_copy(receipt->message, sizeof receipt->message, message);
    if (receipt->outcome == AFAR_OUTCOME_KILLED)
        receipt->killed_by = AFAR_KILLED_BY_SHUTDOWN;
    if (job->spawning.timed_out)
        set_spawn_limit(job, receipt);
    for (int i = 0; i < 2 && job->streams.digest[i] != NULL; i++)
        (void)digest_finish(job->streams.digest[i],
                            i == 0 ? receipt->stdout_sha256 : receipt->stderr_sha256, NULL);
}

void job_end_not_spawned(struct job *job)
{
    struct afar_receipt receipt;
    fill_not_spawned(job, job->launch.error.sys_errno, job->launch.spawned.stage,
                     job->launch.error.message, &receipt);
    receipt.queued_us = (uint64_t)(job->launch.begin_us - job->launch.created_us);
    receipt.spawn_us = (uint64_t)(job->launch.end_us - job->launch.begin_us);
    end_job(job, &receipt);
}

/* Must not read what the companion writes unless the companion has said that it is done. */
static void fill_given_up(struct job *job, struct afar_receipt *receipt)
{
    if (job_has_run(job)) {
        *receipt = (struct afar_receipt){.outcome = AFAR_OUTCOME_SERVER_LOST, .code = -1};
        utf8_copy(receipt->message, sizeof receipt->message,
                  "the server ends but may not signal its processes: they go on");
        return;
    }
    fill_not_spawned(job, job->spawning.timed_out ? ETIMEDOUT : ECANCELED, "spawn",
                     "its directory or its program does not respond, and its process cannot be "
                     "ended before they do",
                     receipt);
    receipt->spawn_us = (uint64_t)(clock_now_us() - job->launch.created_us);
}

void job_end_given_up(struct job *job)
{
    struct job_host *host = job->host;
    struct job_owner *owner = job->owner;
    struct afar_receipt receipt;
    fill_given_up(job, &receipt);
    figures_ended(host->figures, &receipt);
    log_end(job, &receipt);
    if (atomic_load(&job->launch.starting) && job->launch.audited) {
        note_for_audit(job, &receipt);
        job->end_noted = true;
    }
    job->given_up = true;
    job->owner = NULL;
    (void)atomic_fetch_add(&host->figures->stuck, 1);
    list_remove(&job->link);
    list_append(&host->stuck, &job->link);
    if (owner != NULL)
        owner->ops->ended(owner, &receipt);
    host->left(host);
}

void job_end_quietly(struct job *job)
{
    struct job_host *host = job->host;
    struct afar_receipt receipt;
    fill_given_up(job, &receipt);
    note_end(job, &receipt);
    job->place->ops->gone(job->place);
    job_free(job);
    host->left(host);
}

void job_end_kept(struct job *job)
{
    struct job_host *host = job->host;
    struct job_owner *owner = job->owner;
    char id[MESSAGE_JOB_ID_BYTES];
    memcpy(id, job->launch.id, sizeof id);
    job->place->ops->gone(job->place);
    job_free(job);
    if (owner != NULL)
        owner->ops->kept(owner, id);
    host->left(host);
}

void job_end_refused(struct job *job)
{
    struct job_host *host = job->host;
    struct job_owner *owner = job->owner;
    struct refusal refusal;
    job->place->ops->explain(job->place, &job->launch, job->stopping ? &job->stop_outcome : NULL,
                             &refusal);
    figures_add(&host->figures->refused, 1);
    job->place->ops->gone(job->place);
    job_free(job);
    if (owner != NULL)
        owner->ops->refused(owner, &refusal);
    host->left(host);
}

/* If we have ended the job ourselves, its processes need not be named. */
static void name_left(const struct job *job, struct afar_receipt *receipt)
{
    if (!job->stopping)
        receipt->ended = job->tree.result.found;
    if (job->lingered)
        receipt->held_by = job->held_by;
}

/* The kernel carries the peak memory of the process that calls execve over to the new program,
 * and a command is started in the server's own memory (vfork). So a value that is not above the
 * server's peak may be the server's. Our peak only grows: an old value is good enough to answer
 * no. */
static uint64_t own_peak(struct job_host *host, uint64_t max_rss_bytes)
{
    struct rusage usage;
    if (max_rss_bytes <= host->peak_bytes + PEAK_MARGIN_BYTES)
        return 0;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        host->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    return max_rss_bytes > host->peak_bytes + PEAK_MARGIN_BYTES ? max_rss_bytes : 0;
}

static void fill_receipt(struct job *job, const struct process_end *end, bool killed,
                         struct afar_receipt *receipt)
{
    int64_t now_us = clock_now_us();
    *receipt = (struct afar_receipt){
        .outcome = end->exited ? AFAR_OUTCOME_EXITED : AFAR_OUTCOME_SIGNALED,
        .code = end->exited ? end->code : -1,
        .core_dumped = end->core_dumped,
        .stdin_bytes = job->streams.stdin_delivered,
        .stdout_bytes = job->streams.output_bytes[STREAM_STDOUT],
        .stderr_bytes = job->streams.output_bytes[STREAM_STDERR],
        .user_us = end->user_us,
        .system_us = end->system_us,
        .max_rss_bytes = own_peak(job->host, end->max_rss_bytes),
        .queued_us = (uint64_t)(job->launch.begin_us - job->launch.created_us),
        .spawn_us = (uint64_t)(job->launch.end_us - job->launch.begin_us),
        .run_us = (uint64_t)(job->exited_us - job->launch.end_us),
        .drain_us = (uint64_t)(now_us - job->exited_us),
        .stdio_held_open = job->lingered,
    };
    if (!end->exited)
        signal_name(end->signal, receipt->signal, sizeof receipt->signal);
    if (job->stopping)
        receipt->outcome = job->stop_outcome;
    else if (killed && !end->exited)
        receipt->outcome = AFAR_OUTCOME_KILLED;
    if (receipt->outcome == AFAR_OUTCOME_KILLED)
        receipt->killed_by = job->stopping ? AFAR_KILLED_BY_SHUTDOWN : AFAR_KILLED_BY_REQUEST;
    explain_limit(job, end, receipt);
    name_left(job, receipt);
    if (job->streams.digest[0] != NULL) {
        (void)digest_finish(job->streams.digest[0], receipt->stdout_sha256, NULL);
        (void)digest_finish(job->streams.digest[1], receipt->stderr_sha256, NULL);
    }
}

void job_end_finished(struct job *job)
{
    struct process_end end = {0};
    struct afar_error err = {0};
    struct afar_receipt receipt;
    bool killed = job->place->ops->ends(job->place);
    enum afar_status status = process_reap(&job->process, &end, &err);
    /* The pidfd was readable and no other code reaps: any failure is a defect, and must not look
     * like success. */
    if (status != AFAR_OK) {
        log_write(job->host->log, LOG_LEVEL_ERROR, "%s: job %s: %s", job->label, job->launch.id,
                  status == AFAR_EAGAIN ? "its process could not be reaped" : err.message);
        (void)close(job->process.pidfd);
    }
    if (job->unwatched) {
        job_end_not_spawned(job);
        return;
    }
    if (status != AFAR_OK || job->streams.output_lost) {
        job->stopping = true;
        job->stop_outcome = AFAR_OUTCOME_SERVER_LOST;
    }
    fill_receipt(job, &end, killed, &receipt);
    if (job->streams.output_over)
        utf8_copy(receipt.message, sizeof receipt.message,
                  "its output was cut: its rule allows no more (max_output)");
    if (job->record.message[0] != '\0') {
        utf8_copy(receipt.message, sizeof receipt.message, job->record.message);
        if (receipt.killed_by == AFAR_KILLED_BY_SHUTDOWN)
            receipt.killed_by = AFAR_KILLED_BY_RECORD;
    }
    if (job->stop_failed)
        (void)snprintf(
            receipt.message, sizeof receipt.message,
            "it should have been ended (%s), but the server may not signal its processes",
            message_outcome_name(job->stop_outcome));
    job_left_describe(job, &receipt);
    if (job->streams.output_lost)
        utf8_copy(receipt.message, sizeof receipt.message, "its output could not be read");
    counters_count(job->host->counters, COUNTER_JOBS_ENDED);
    end_job(job, &receipt);
}
