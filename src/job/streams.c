/* A job's three streams. */
#include "job/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    /* For a pipe that is full each time it is read: fewer turns, and larger frames. If the user's
     * quota (pipe(7)) is used up, the size does not change. */
    PIPE_BYTES = 1 << 18,
    FULL_BYTES = 1 << 16, /* the default capacity of a pipe */
    TURN_BYTES = 1 << 18, /* so that one job's output cannot occupy the loop */
    READS_PER_TURN = 4,   /* the same for many small reads */
    RETRY_MS = 50         /* after a lack of memory */
};

static void close_source(struct job *job, struct loop_source *source)
{
    int fd = source->fd;
    if (fd < 0)
        return;
    loop_remove(job->host->loop, source);
    (void)close(fd);
}

/* Memory is short, in this process or in the kernel: try again later. */
static void retry_later(struct job *job)
{
    job->deadlines.retry_at_ms = clock_deadline_ms(RETRY_MS);
    job_set_timer(job);
}

/* ---- output ---------------------------------------------------------------------------------- */

/* How many more bytes the rule lets it write. */
static uint64_t output_left(const struct job *job)
{
    const struct rule *rule = job->launch.decision.rule;
    uint64_t used = job->streams.output_bytes[0] + job->streams.output_bytes[1];
    if (rule == NULL || !rule->max_output.set)
        return UINT64_MAX;
    return used < rule->max_output.value ? rule->max_output.value - used : 0;
}

/* Output that has no reader is read and thrown away. */
static bool is_dropped(const struct job *job)
{
    return job->owner == NULL || job->streams.output_over || job_record_is_cut(job);
}

static enum afar_status reserve(struct job_pipe *pipe, uint8_t **room, size_t *size)
{
    struct job *job = pipe->job;
    if (job_record_is_full(job))
        return AFAR_EAGAIN;
    if (!is_dropped(job)) {
        enum afar_status status =
            job->owner->ops->reserve(job->owner, pipe->stream, room, size, NULL);
        /* No more than the recording has room for. */
        if (job->launch.recording != NULL && *size > JOB_SCRATCH_BYTES)
            *size = JOB_SCRATCH_BYTES;
        return status;
    }
    *room = job->host->scratch;
    *size = JOB_SCRATCH_BYTES;
    return AFAR_OK;
}

static void commit(struct job_pipe *pipe, const uint8_t *room, size_t size)
{
    struct job *job = pipe->job;
    if (job->streams.output_over || job_record_is_cut(job))
        return;
    size = job_record_output(job, room, size);
    job->streams.output_bytes[pipe->stream] += size;
    if (size > 0 && job->streams.digest[pipe->stream] != NULL)
        (void)digest_update(job->streams.digest[pipe->stream], room, size, NULL);
    if (job->owner != NULL)
        job->owner->ops->commit(job->owner, pipe->stream, size);
}

static void pause_pipe(struct job_pipe *pipe, enum afar_status why)
{
    struct job *job = pipe->job;
    pipe->paused = true;
    (void)loop_set_events(job->host->loop, &pipe->source, 0, NULL); /* removing cannot fail */
    if (why != AFAR_EAGAIN)
        retry_later(job);
}

/* Data in a pipe may come from elsewhere (splice), and reading it fails as reading there does. */
static void note_loss(struct job *job, int sys_errno)
{
    char text[128];
    job->streams.output_lost = true;
    log_write(job->host->log, LOG_LEVEL_ERROR, "%s: job %s: cannot read its output: %s", job->label,
              job->launch.id, strerror_r(sys_errno, text, sizeof text));
}

/* The rule's max_output was exceeded: ends the job, and drops the rest. */
static void end_output(struct job *job)
{
    if (job->streams.output_over)
        return;
    job->streams.output_over = true;
    if (job->state >= JOB_DRAINING && !job->stopping) { /* it has exited meanwhile */
        job->stopping = true;
        job->stop_outcome = AFAR_OUTCOME_OUTPUT_LIMIT;
    }
    counters_count(job->host->counters, COUNTER_RULE_MAX_OUTPUT);
    job_stop(job, AFAR_OUTCOME_OUTPUT_LIMIT);
    job_resume_output(job);
}

/* True: no process has the terminal open any more. Otherwise an EIO is a loss, as on a pipe. */
static bool is_over(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    int ready = 0;
    do {
        ready = poll(&look, 1, 0);
    } while (ready < 0 && errno == EINTR);
    return ready == 1 && (look.revents & POLLHUP) != 0;
}

/* A terminal returns at most 4,095 bytes for each read: collect what is there into one frame. When
 * no process has it open any more, its end is EIO. */
static ssize_t read_terminal(int fd, uint8_t *room, size_t size)
{
    size_t used = 0;
    ssize_t got = 0;
    do {
        got = read(fd, room + used, size - used);
        used += got > 0 ? (size_t)got : 0;
    } while (used < size && (got > 0 || (got < 0 && errno == EINTR)));
    if (used > 0)
        return (ssize_t)used;
    int failed = got < 0 ? errno : 0;
    if (failed == EIO && is_over(fd))
        return 0;
    errno = failed;
    return got;
}

/* Reads once. False: stop for now. */
static bool read_once(struct job_pipe *pipe)
{
    uint8_t *room = NULL;
    size_t size = 0;
    enum afar_status status = reserve(pipe, &room, &size);
    if (status != AFAR_OK) {
        pause_pipe(pipe, status);
        return false;
    }
    ssize_t got = job_is_on_terminal(pipe->job) ? read_terminal(pipe->source.fd, room, size)
                                                : read(pipe->source.fd, room, size);
    int failed = got < 0 ? errno : 0;
    uint64_t left = output_left(pipe->job);
    bool over = got > 0 && (uint64_t)got > left;
    commit(pipe, room, over ? (size_t)left : got > 0 ? (size_t)got : 0);
    if (over)
        end_output(pipe->job);
    if (got > 0) {
        if ((size_t)got == size && size >= FULL_BYTES && !pipe->grown) {
            pipe->grown = true;
            (void)fcntl(pipe->source.fd, F_SETPIPE_SZ, PIPE_BYTES);
        }
        /* While another process holds the pipe, the linger time restarts with each read. */
        if (pipe->job->deadlines.linger_at_ms != DEADLINE_NEVER)
            pipe->job->deadlines.linger_at_ms = job_linger_at_ms(pipe->job);
        /* A short read has emptied the pipe: wait for the next event. But if the command has ended,
         * its last bytes must be read now. */
        return (size_t)got == size || pipe->job->state >= JOB_DRAINING;
    }
    if (failed == EINTR)
        return true;
    if (failed == EAGAIN && !pipe->job->held_open)
        return false;
    if (failed != 0 && failed != EAGAIN)
        note_loss(pipe->job, failed);
    /* End of file; or nothing left, and the last holders have been killed. */
    close_source(pipe->job, &pipe->source);
    return false;
}

static void read_pipe(struct job_pipe *pipe)
{
    const uint64_t *count = &pipe->job->streams.output_bytes[pipe->stream];
    const uint64_t before = *count;
    int reads = 0;
    while (pipe->source.fd >= 0 && !pipe->paused && reads < READS_PER_TURN &&
           *count - before < TURN_BYTES && read_once(pipe))
        reads++;
}

static void output_ready(struct loop_source *source, uint32_t events)
{
    struct job_pipe *pipe = list_object(source, struct job_pipe, source);
    (void)events;
    read_pipe(pipe);
    job_advance(pipe->job);
}

void job_streams_read(struct job *job)
{
    for (int i = 0; i < 2; i++)
        read_pipe(&job->streams.output[i]);
}

bool job_streams_ended(const struct job *job)
{
    return job->streams.output[0].source.fd < 0 && job->streams.output[1].source.fd < 0;
}

bool job_streams_paused(const struct job *job)
{
    for (int i = 0; i < 2; i++) {
        if (job->streams.output[i].source.fd >= 0 && job->streams.output[i].paused)
            return true;
    }
    return false;
}

void job_resume_output(struct job *job)
{
    bool resumed = false;
    for (int i = 0; i < 2; i++) {
        struct job_pipe *pipe = &job->streams.output[i];
        if (pipe->source.fd < 0 || !pipe->paused)
            continue;
        if (loop_set_events(job->host->loop, &pipe->source, EPOLLIN, NULL) != AFAR_OK) {
            retry_later(job);
            continue;
        }
        pipe->paused = false;
        resumed = true;
    }
    /* Time in which we did not read does not count as linger time. */
    if (resumed && job->deadlines.linger_at_ms != DEADLINE_NEVER)
        job->deadlines.linger_at_ms = job_linger_at_ms(job);
}

void job_close_output(struct job *job, enum stream stream)
{
    if (job_is_on_terminal(job)) {
        job_hang_up(job);
        return;
    }
    job->streams.output[stream].unwanted = true;
    close_source(job, &job->streams.output[stream].source);
}

/* ---- standard input -------------------------------------------------------------------------- */

/* The input can no longer be read: what waits and what still comes counts as taken. */
static void discard_input(struct job *job)
{
    job->streams.stdin_taken += buffer_size(&job->streams.input);
    buffer_clear(&job->streams.input);
    close_source(job, &job->streams.stdin_source);
}

/* Writes once. False: the pipe is full or closed. */
static bool write_once(struct job *job, const uint8_t *data, size_t size, size_t *written)
{
    *written = 0;
    ssize_t sent = write(job->streams.stdin_source.fd, data, size);
    if (sent >= 0) {
        if (sent > 0)
            job->terminal.in_line = data[sent - 1] != '\n';
        *written = (size_t)sent;
        job->streams.stdin_taken += *written;
        job->streams.stdin_delivered += *written;
        return true;
    }
    if (errno == EINTR)
        return true;
    if (errno == EAGAIN && !job->streams.input_grown) {
        job->streams.input_grown = true;
        return fcntl(job->streams.stdin_source.fd, F_SETPIPE_SZ, PIPE_BYTES) > 0;
    }
    if (errno != EAGAIN) /* EPIPE: the command has closed its input */
        discard_input(job);
    return false;
}

static void drain_input(struct job *job)
{
    size_t written = 0;
    while (job->streams.stdin_source.fd >= 0 && buffer_size(&job->streams.input) > 0 &&
           write_once(job, buffer_head(&job->streams.input), buffer_size(&job->streams.input),
                      &written))
        buffer_consume(&job->streams.input, written);

    if (job->streams.stdin_source.fd < 0)
        return;
    bool waiting = buffer_size(&job->streams.input) > 0;
    if (!waiting && job->streams.input_eof && job_is_on_terminal(job))
        job_terminal_end_input(job);
    else if (!waiting && job->streams.input_eof)
        close_source(job, &job->streams.stdin_source);
    else if (loop_set_events(job->host->loop, &job->streams.stdin_source, waiting ? EPOLLOUT : 0,
                             NULL) != AFAR_OK)
        retry_later(job); /* closing it would mean end of file to the command */
}

static void stdin_ready(struct loop_source *source, uint32_t events)
{
    struct job *job = list_object(source, struct job, streams.stdin_source);
    (void)events;
    uint64_t before = job->streams.stdin_taken;
    drain_input(job);
    if (job->streams.stdin_taken != before && job->owner != NULL)
        job->owner->ops->stdin_taken(job->owner);
}

void job_streams_retry(struct job *job)
{
    job_resume_output(job);
    if (job->streams.stdin_source.fd >= 0 && buffer_size(&job->streams.input) > 0)
        stdin_ready(&job->streams.stdin_source, 0);
}

enum afar_status job_write_stdin(struct job *job, const void *data, size_t size,
                                 struct afar_error *err)
{
    const uint8_t *bytes = data;
    if (job_has_run(job) && job->streams.stdin_source.fd < 0) {
        job->streams.stdin_taken += size;
        return AFAR_OK;
    }
    /* Write directly while nothing is buffered. */
    while (job->streams.stdin_source.fd >= 0 && size > 0 && buffer_size(&job->streams.input) == 0) {
        size_t written = 0;
        if (!write_once(job, bytes, size, &written))
            break;
        bytes += written;
        size -= written;
    }
    if (job_has_run(job) && job->streams.stdin_source.fd < 0) {
        job->streams.stdin_taken += size;
        return AFAR_OK;
    }
    enum afar_status status = buffer_append(&job->streams.input, bytes, size, err);
    if (status == AFAR_OK && job_has_run(job))
        drain_input(job);
    return status;
}

void job_close_stdin(struct job *job)
{
    job->streams.input_eof = true;
    if (job_has_run(job))
        drain_input(job);
}

void job_allow_stdin(struct job *job, size_t bytes)
{
    if (job->streams.input.limit_bytes < bytes)
        job->streams.input.limit_bytes = bytes;
}

uint64_t job_stdin_taken(const struct job *job)
{
    return job->streams.stdin_taken;
}

/* ---- both ------------------------------------------------------------------------------------ */

enum afar_status job_streams_open(struct job *job, struct afar_error *err)
{
    struct loop *loop = job->host->loop;
    const int fds[2] = {job->launch.spawned.stdout_fd, job->launch.spawned.stderr_fd};
    enum afar_status status = AFAR_OK;
    for (int i = 0; i < 2; i++) {
        if (fds[i] < 0) /* on a terminal there is only one stream */
            continue;
        struct job_pipe *pipe = &job->streams.output[i];
        if (status == AFAR_OK && !pipe->unwanted)
            status = loop_add(loop, &pipe->source, fds[i], EPOLLIN, output_ready, err);
        if (status != AFAR_OK || pipe->unwanted)
            (void)close(fds[i]);
    }
    if (job->launch.spawned.stdin_fd >= 0)
        (void)loop_add(loop, &job->streams.stdin_source, job->launch.spawned.stdin_fd, 0,
                       stdin_ready, NULL);
    if (job_is_on_terminal(job)) {
        /* Pipes can be enlarged, terminals cannot. And the input must be ended even if none was to
         * come. */
        job->streams.output[0].grown = job->streams.input_grown = true;
        job->streams.input_eof = job->streams.input_eof || !job->launch.request->stdin_stream;
        job_terminal_opened(job);
    }
    drain_input(job);
    job_files_open(job);
    return status;
}

void job_streams_close(struct job *job)
{
    for (int i = 0; i < 2; i++)
        close_source(job, &job->streams.output[i].source);
    close_source(job, &job->streams.stdin_source);
    job_terminal_closed(job);
    job_files_close(job);
    buffer_clear(&job->streams.input);
}
