/* Records what a job's terminal shows. The loop formats lines, and the host's companion writes
 * them; new lines are collected meanwhile. If too many wait, the terminal is not read. */
#include "job/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Limit of waiting lines; the last read adds at most six times its size. */
enum { WAITING_BYTES = 262144, LINES_BYTES = WAITING_BYTES + 8 * JOB_SCRATCH_BYTES };
enum { MARK_BYTES = 512 }; /* the line that says why recording stops */

static struct recording *recording_of(const struct job *job)
{
    return job->launch.recording;
}

static bool is_on(const struct job *job)
{
    const struct job_record *record = &job->record;
    return recording_of(job) != NULL && record->open && !record->over && !record->lost;
}

static int64_t since_us(const struct job_record *record)
{
    return clock_now_us() - record->start_us;
}

/* Why writing failed, in words. */
static const char *reason(int failed, char *text, size_t size)
{
    return failed == EFBIG ? "it is as long as its rule allows (record_max)"
                           : strerror_r(failed, text, size);
}

/* ---- in the companion ------------------------------------------------------------------------ */

static int write_lines(const struct job_record *record, const struct buffer *lines)
{
    const size_t size = buffer_size(lines);
    if (size == 0)
        return 0;
    return record->file->bytes + size > record->max_bytes
               ? EFBIG
               : recording_write(record->file, buffer_head(lines), size);
}

/* The command continues without being recorded: says so in the recording, if there is room. */
static void mark_end(const struct job_record *record)
{
    struct buffer line;
    struct cast cast = {.held_size = 0};
    char why[128];
    char text[MARK_BYTES / 2];
    (void)snprintf(text, sizeof text, "not recorded from here: %s",
                   reason(record->failed, why, sizeof why));
    buffer_init(&line, MARK_BYTES);
    if (cast_put_event(&cast, &line, since_us(record), 'm', text) == AFAR_OK)
        (void)write_lines(record, &line);
    buffer_close(&line);
}

static void work(struct task *task)
{
    struct job_record *record = list_object(task, struct job_record, task);
    struct recording *recording = record->file;
    const bool failed_before = record->failed != 0;
    if (!failed_before)
        record->failed = write_lines(record, &record->back);
    if (record->failed == 0 && record->gap)
        record->failed = ENOMEM;
    if (record->failed != 0 && !failed_before && record->goes_on)
        mark_end(record);
    if (record->last) {
        int failed = recording_finish(recording);
        record->failed = record->failed != 0 ? record->failed : failed;
    }
}

/* ---- in the loop ----------------------------------------------------------------------------- */

static void post(struct job *job)
{
    struct job_record *record = &job->record;
    if (record->busy || record->done ||
        (buffer_size(&record->front) == 0 && !record->ending && record->lost == record->gap))
        return;
    const struct buffer full = record->front;
    record->front = record->back;
    record->back = full;
    record->busy = true;
    record->gap = record->lost;
    record->last = record->ending;
    companion_post(job->host->sweeper, &record->task);
}

static void tell_failure(struct job *job)
{
    struct job_record *record = &job->record;
    char text[128];
    const char *why = reason(record->failed, text, sizeof text);
    record->over = true;
    (void)snprintf(record->file->why, sizeof record->file->why, "%s", why);
    buffer_clear(&record->front);
    counters_count(job->host->counters, COUNTER_RECORD_ERRORS);
    log_write(job->host->log, LOG_LEVEL_ERROR, "%s: job %s: its recording cannot be written: %s",
              job->label, job->launch.id, why);
    if (record->goes_on)
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

/* Keeps `front` free of partial lines: `before` is its size without the new line. */
static void check(struct job *job, size_t before, enum afar_status status)
{
    struct job_record *record = &job->record;
    if (status != AFAR_OK) {
        buffer_take_back(&record->front, buffer_size(&record->front) - before);
        record->lost = true;
    }
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
    record->goes_on = rule != NULL && rule->record_go_on;
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
    struct job_record *record = &job->record;
    const size_t before = buffer_size(&record->front);
    if (is_on(job) && size > 0)
        check(job, before,
              cast_put_output(&record->cast, &record->front, since_us(record), data, size));
}

static void put_event(struct job *job, char code, const char *text)
{
    struct job_record *record = &job->record;
    const size_t before = buffer_size(&record->front);
    if (is_on(job))
        check(job, before,
              cast_put_event(&record->cast, &record->front, since_us(record), code, text));
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
