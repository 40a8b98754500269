/* What a job's terminal has shown, on its way to a file. The loop makes lines of it, and the host's
 * companion writes them: while it does, new ones gather. Where these are too many the terminal is
 * not read. */
#include "job/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Of lines: so many may wait, and the last read makes six times its size of them at most. */
enum { WAITING_BYTES = 262144, LINES_BYTES = WAITING_BYTES + 8 * JOB_SCRATCH_BYTES };

static struct recording *recording_of(const struct job *job)
{
    return job->launch.recording;
}

static bool is_on(const struct job *job)
{
    return recording_of(job) != NULL && job->record.open && !job->record.over;
}

static int64_t since_us(const struct job *job)
{
    return clock_now_us() - job->record.start_us;
}

/* ---- in the companion ------------------------------------------------------------------------ */

static void work(struct task *task)
{
    struct job_record *record = list_object(task, struct job_record, task);
    struct recording *recording = record->file;
    const size_t size = buffer_size(&record->back);
    if (record->failed == 0 && size > 0 && recording->bytes + size > record->max_bytes)
        record->failed = EFBIG;
    if (record->failed == 0 && size > 0)
        record->failed = recording_write(recording, buffer_head(&record->back), size);
    if (record->last) {
        int failed = recording_finish(recording);
        record->failed = record->failed != 0 ? record->failed : failed;
    }
}

/* ---- in the loop ----------------------------------------------------------------------------- */

static void post(struct job *job)
{
    struct job_record *record = &job->record;
    if (record->busy || record->done || (buffer_size(&record->front) == 0 && !record->ending))
        return;
    const struct buffer full = record->front;
    record->front = record->back;
    record->back = full;
    record->busy = true;
    record->last = record->ending;
    companion_post(job->host->sweeper, &record->task);
}

static void tell_failure(struct job *job)
{
    struct job_record *record = &job->record;
    const struct rule *rule = job->launch.decision.rule;
    char text[128];
    const char *why = record->failed == EFBIG ? "it is as long as its rule allows (record_max)"
                                              : strerror_r(record->failed, text, sizeof text);
    record->over = true;
    buffer_clear(&record->front);
    counters_count(job->host->counters, COUNTER_RECORD_ERRORS);
    log_write(job->host->log, LOG_LEVEL_ERROR, "%s: job %s: its recording cannot be written: %s",
              job->label, job->launch.id, why);
    if (rule != NULL && rule->record_go_on)
        return;
    (void)snprintf(record->message, sizeof record->message, "its recording cannot be written: %s",
                   why);
    job_stop(job, AFAR_OUTCOME_KILLED);
}

static void written(struct mail *mail)
{
    struct job_record *record = list_object(mail, struct job_record, task.done);
    struct job *job = list_object(record, struct job, record);
    record->busy = false;
    record->done = record->last;
    buffer_clear(&record->back);
    if (record->failed != 0 && !record->over)
        tell_failure(job);
    post(job);
    job_resume_output(job);
    job_advance(job);
}

static void check(struct job *job, enum afar_status status)
{
    struct job_record *record = &job->record;
    if (status != AFAR_OK && !record->busy)
        record->failed = ENOMEM;
    post(job);
}

void job_record_open(struct job *job)
{
    struct job_record *record = &job->record;
    const struct rule *rule = job->launch.decision.rule;
    if (recording_of(job) == NULL)
        return;
    record->file = recording_of(job);
    record->max_bytes =
        rule != NULL && rule->record_max.set ? rule->record_max.value : RULE_RECORD_MAX_BYTES;
    record->start_us = clock_now_us();
    record->task.work = work;
    record->task.done.deliver = written;
    buffer_init(&record->front, LINES_BYTES);
    buffer_init(&record->back, LINES_BYTES);
    record->open = true;
}

bool job_record_is_full(const struct job *job)
{
    return is_on(job) && buffer_size(&job->record.front) >= WAITING_BYTES;
}

void job_record_output(struct job *job, const void *data, size_t size)
{
    if (is_on(job) && size > 0)
        check(job,
              cast_put_output(&job->record.cast, &job->record.front, since_us(job), data, size));
}

static void put_event(struct job *job, char code, const char *text)
{
    if (is_on(job))
        check(job,
              cast_put_event(&job->record.cast, &job->record.front, since_us(job), code, text));
}

void job_record_size(struct job *job, const struct screen_size *size)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%ux%u", size->cols, size->rows);
    put_event(job, 'r', text);
}

void job_record_mark(struct job *job, const char *what)
{
    put_event(job, 'm', what);
}

bool job_record_ended(struct job *job)
{
    struct job_record *record = &job->record;
    if (recording_of(job) == NULL || !record->open || record->done)
        return true;
    if (!record->ending)
        put_event(job, 'm', "end");
    record->ending = true;
    post(job);
    return false;
}

void job_record_close(struct job *job)
{
    buffer_close(&job->record.front);
    buffer_close(&job->record.back);
    recording_free(recording_of(job));
    job->launch.recording = NULL;
}
