/* Records what a job's terminal shows. The loop formats lines, and the host's companion writes
 * them; new lines are collected meanwhile. If too many wait, the terminal is not read. */
#include "job/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Limit of waiting lines; the last read adds at most six times its size. */
enum { WAITING_BYTES = 262144, LINES_BYTES = WAITING_BYTES + 8 * JOB_SCRATCH_BYTES };
/* The line that says why recording stops, or that the terminal has; always has room. */
enum { MARK_BYTES = 512 };

static struct recording *recording_of(const struct job *job)
{
    return job->launch.recording;
}

static bool is_on(const struct job *job)
{
    const struct job_record *record = &job->record;
    return recording_of(job) != NULL && record->open && !record->over && !record->lost;
}

bool job_record_is_cut(const struct job *job)
{
    const struct job_record *record = &job->record;
    return recording_of(job) != NULL && !record->goes_on && (record->over || record->lost != 0);
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

/* Puts the mark that says why nothing is recorded from here. */
static void put_end_mark(const struct job_record *record, struct cast *cast, struct buffer *lines,
                         int failed)
{
    const size_t before = buffer_size(lines);
    char why[128];
    char text[MARK_BYTES / 2];
    (void)snprintf(text, sizeof text, "not recorded from here: %s",
                   reason(failed, why, sizeof why));
    if (cast_put_event(cast, lines, since_us(record), 'm', text) != AFAR_OK)
        buffer_take_back(lines, buffer_size(lines) - before);
}

static int write_lines(const struct job_record *record, const struct buffer *lines)
{
    const size_t size = buffer_size(lines);
    return size == 0 ? 0 : recording_write(record->file, buffer_head(lines), size);
}

/* Writing has failed: says so in the recording, if there is room. */
static void mark_end(const struct job_record *record)
{
    struct buffer line;
    struct cast cast = {.held_size = 0};
    buffer_init(&line, MARK_BYTES);
    put_end_mark(record, &cast, &line, record->failed);
    if (record->file->bytes + buffer_size(&line) <= record->max_bytes)
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
    if (record->failed == 0)
        record->failed = record->gap;
    if (record->failed != 0 && record->failed != EFBIG && !failed_before) /* EFBIG: the loop has */
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
    if (record->cut && job->state >= JOB_DRAINING && !job->stopping) { /* it has exited meanwhile */
        job->stopping = true;
        job->stop_outcome = AFAR_OUTCOME_KILLED;
    }
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

/* Nothing more is recorded; `front` has all that comes before. */
static void lose(struct job *job, int why)
{
    struct job_record *record = &job->record;
    record->lost = why;
    if (why == EFBIG && record->bytes + MARK_BYTES <= record->max_bytes)
        put_end_mark(record, &record->cast, &record->front, why);
}

/* Keeps `front` free of partial lines: `before` is its size without the new lines. */
static void check(struct job *job, size_t before, enum afar_status status)
{
    struct job_record *record = &job->record;
    const size_t added = buffer_size(&record->front) - before;
    if (status == AFAR_OK) {
        record->bytes += added;
    } else {
        buffer_take_back(&record->front, added);
        lose(job, ENOMEM);
    }
    post(job);
}

/* How many more bytes the rule allows, without those of the last line. */
static uint64_t room_left(const struct job_record *record)
{
    const uint64_t used = record->bytes + MARK_BYTES;
    return used < record->max_bytes ? record->max_bytes - used : 0;
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
    record->bytes = record->file->bytes;
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

static void put_output(struct job *job, const void *data, size_t size)
{
    struct job_record *record = &job->record;
    const size_t before = buffer_size(&record->front);
    check(job, before,
          cast_put_output(&record->cast, &record->front, since_us(record), data, size));
}

size_t job_record_output(struct job *job, const void *data, size_t size)
{
    struct job_record *record = &job->record;
    if (!is_on(job) || size == 0)
        return job_record_is_cut(job) ? 0 : size;
    const size_t fits = cast_fit(data, size, room_left(record));
    put_output(job, data, fits);
    if (fits < size && record->lost == 0) {
        lose(job, EFBIG);
        post(job);
    }
    const size_t shown = !job_record_is_cut(job) ? size : record->lost == EFBIG ? fits : 0;
    record->cut = record->cut || shown < size;
    return shown;
}

/* `last`: nothing follows it, so that it may use the room of the last line. */
static void put_event(struct job *job, char code, const char *text, bool last)
{
    struct job_record *record = &job->record;
    const size_t before = buffer_size(&record->front);
    if (!is_on(job))
        return;
    if (!last && room_left(record) < MARK_BYTES) { /* more than any of them has */
        lose(job, EFBIG);
        post(job);
        return;
    }
    check(job, before, cast_put_event(&record->cast, &record->front, since_us(record), code, text));
}

void job_record_size(struct job *job, const struct screen_size *size)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%ux%u", size->cols, size->rows);
    put_event(job, 'r', text, false);
}

void job_record_mark(struct job *job, const char *what)
{
    put_event(job, 'm', what, false);
}

bool job_record_ended(struct job *job)
{
    struct job_record *record = &job->record;
    if (recording_of(job) == NULL || !record->open || record->done)
        return true;
    if (!record->ending)
        put_event(job, 'm', "end", true);
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
