/* The requests of the keeper's clients. */
#include "keep/reader.h"

#include <string.h>

#include "base/clock.h"
#include "exec/signal_name.h"

/* Ends the connection of the reader that drove the job before. `torn`: a frame was sent to it in
 * part, so nothing can be sent after that. */
static void displace(struct keeper *keeper, const void *session, const char *code, bool torn)
{
    for (struct list *link = keeper->readers.next; link != &keeper->readers; link = link->next) {
        struct reader *reader = list_object(link, struct reader, link);
        if ((const void *)reader != session)
            continue;
        reader->drives = false;
        if (torn)
            buffer_clear(&reader->out);
        else
            reader_refuse(reader, reader->id, code, "another client has the command now");
        reader_leave(reader);
    }
}

static struct message_started facts_of(const struct keeper *keeper, const struct run_host *host)
{
    const bool more = host->stdin_credit > MESSAGE_STDIN_CREDIT_BYTES;
    const bool named = keeper->job != NULL && keeper->started && kept_job_on_terminal(keeper);
    return (struct message_started){.job = keeper->request.job,
                                    .window = run_host_told_window(host),
                                    .credit = more ? host->stdin_credit : 0,
                                    .resume_ms = keeper->request.resume_ms,
                                    .kept = true,
                                    .tty = named ? job_terminal_name(keeper->job) : NULL};
}

/* `is_new`: the client has a terminal that has seen nothing. */
static void tell_attached(struct reader *reader, struct run_host *host, bool is_new)
{
    struct keeper *keeper = reader->keeper;
    struct message_attached attached;
    const struct message_started facts = facts_of(keeper, host);
    run_host_tell(host, &attached);
    kept_job_tell_screen(keeper, is_new, &attached);
    attached.state = kept_job_state(keeper);
    reader->starting = attached.state == MESSAGE_JOB_STARTING;
    reader_check(reader, message_put_attached(&reader->out, reader->id, &facts, &attached, NULL));
}

void readers_tell_started(struct keeper *keeper)
{
    for (struct list *link = keeper->readers.next; link != &keeper->readers; link = link->next) {
        struct reader *reader = list_object(link, struct reader, link);
        const struct run_host *host = reader_host(reader);
        if (!reader->starting || host == NULL)
            continue;
        const struct message_started facts = facts_of(keeper, host);
        reader->starting = false;
        reader_check(reader, message_put_started(&reader->out, reader->id, &facts, NULL));
    }
    loop_defer(keeper->host.loop, &keeper->pump);
}

/* If it wants output since a time, sets the frame to begin with. */
static struct message_attach find_since(const struct keeper *keeper,
                                        const struct message_attach *wanted)
{
    struct message_attach attach = *wanted;
    if (!attach.has_since)
        return attach;
    const uint64_t now_us = jobdir_now_us();
    const uint64_t since_us = attach.since_ms < now_us / 1000 ? now_us - attach.since_ms * 1000 : 0;
    const bool later = attach.since_ms == 0 || (keeper->ended && keeper->end.ended_us < since_us);
    attach.has_next = true;
    attach.next = later ? spool_end(keeper->spool) : spool_since(keeper->spool, since_us);
    attach.ack = attach.next;
    return attach;
}

/* If the frame that it begins with is within a gap: it is told of the whole gap instead. */
static void find_gap(const struct keeper *keeper, struct message_attach *attach)
{
    uint64_t bytes[2];
    if (!attach->has_next || attach->has_next_bytes || attach->next > spool_end(keeper->spool) ||
        spool_bytes_before(keeper->spool, attach->next, bytes))
        return;
    attach->has_next_bytes = true;
    memcpy(attach->next_bytes, bytes, sizeof attach->next_bytes);
}

/* The readers that get output: each of them reads the disk. */
static size_t count_output(const struct keeper *keeper)
{
    size_t count = 0;
    for (struct list *link = keeper->readers.next; link != &keeper->readers; link = link->next) {
        const struct reader *reader = list_object(link, struct reader, link);
        count += reader->watches && reader->output ? 1 : 0;
    }
    return count;
}

/* Adds a reader that does not drive the job; it has a window of its own. */
static void watch(struct reader *reader, const struct message *message)
{
    struct keeper *keeper = reader->keeper;
    struct message_attach attach = find_since(keeper, &message->attach);
    struct run_host_displaced displaced;
    struct run_host_setup setup = {.holder = attach.holder,
                                   .spool = &keeper->run_spool,
                                   .window_bytes = keeper->request.window_bytes,
                                   .window_max = attach.window_max,
                                   .window_most = KEEPER_WINDOW_MOST_BYTES,
                                   .id = message->id};
    if (attach.output && count_output(keeper) >= KEEPER_READERS_MAX) {
        reader_refuse(reader, message->id, "busy", "too many clients read this job");
        return;
    }
    if (run_host_open(&reader->own, &setup, 0, NULL) != AFAR_OK) {
        reader_refuse(reader, message->id, "internal", "out of memory for a reader");
        return;
    }
    run_host_clock(&reader->own, clock_now_us());
    run_host_spooled(&reader->own, spool_end(keeper->spool) + (keeper->ended ? 1 : 0));
    if (!attach.output && !attach.has_next) {
        attach.has_next = true;
        attach.next = attach.ack = spool_end(keeper->spool);
    }
    attach.watch = false;
    find_gap(keeper, &attach);
    /* Behind the receipt nothing comes any more: such a reader would wait for ever. */
    const bool behind = keeper->ended && attach.has_next && attach.next > spool_end(keeper->spool);
    enum run_host_verdict verdict =
        behind ? RUN_HOST_GONE
               : run_host_attach(&reader->own, reader, message->id, &attach, &displaced);
    if (verdict != RUN_HOST_ATTACHED) {
        run_host_close(&reader->own);
        reader_refuse(reader, message->id, run_host_code(verdict), "those frames are not held");
        return;
    }
    reader->watches = true;
    reader->output = attach.output;
    reader->follow = attach.follow;
    reader->times = attach.times;
    reader->until = spool_end(keeper->spool);
    tell_attached(reader, &reader->own, false);
    room_begin(reader);
}

static void attach(struct reader *reader, const struct message *message)
{
    struct keeper *keeper = reader->keeper;
    struct run_host_displaced displaced;
    if (reader->drives || reader->watches || reader->leaving) {
        reader_refuse(reader, message->id, "bad_request", "it is attached already");
        return;
    }
    reader->id = message->id;
    if (message->attach.watch) {
        watch(reader, message);
        return;
    }
    struct message_attach wanted = find_since(keeper, &message->attach);
    const bool is_new = kept_job_on_terminal(keeper) && wanted.has_pty && !message->attach.has_next;
    if (is_new)
        kept_job_find_screen(keeper, &wanted);
    run_host_clock(&keeper->run, clock_now_us());
    const bool torn = keeper->run.session != NULL && output_log_inside_frame(keeper->run.log);
    enum run_host_verdict verdict =
        run_host_attach(&keeper->run, reader, message->id, &wanted, &displaced);
    if (verdict != RUN_HOST_ATTACHED) {
        const char *code = run_host_code(verdict);
        reader_refuse(reader, message->id, code != NULL ? code : "internal",
                      verdict == RUN_HOST_GONE ? "that part of the output is no longer stored"
                                               : "another client has the command");
        return;
    }
    if (displaced.session != NULL)
        displace(keeper, displaced.session, displaced.code, torn);
    reader->drives = reader->output = reader->follow = true;
    if (keeper->job != NULL)
        job_record_mark(keeper->job, displaced.session != NULL ? "takeover" : "attach");
    if (keeper->job != NULL && wanted.has_pty && wanted.screen.rows > 0 && wanted.screen.cols > 0)
        job_resize(keeper->job, &wanted.screen);
    tell_attached(reader, &keeper->run, is_new);
    room_begin(reader);
}

static void take_stdin(struct reader *reader, const struct message *message, const uint8_t *payload)
{
    struct keeper *keeper = reader->keeper;
    struct run_host_input input;
    struct afar_error err;
    if (!reader->drives || keeper->job == NULL)
        return;
    room_clock(reader);
    if (run_host_stdin(&keeper->run, reader, message->offset, message->size, message->eof, &input,
                       &err) != AFAR_OK) {
        reader_refuse(reader, reader->id, "bad_request", err.message);
        reader_leave(reader);
        return;
    }
    if (input.size > 0 &&
        job_write_stdin(keeper->job, payload + input.skip, input.size, NULL) != AFAR_OK)
        reader_leave(reader); /* the client sends it again */
    else if (input.eof)
        job_close_stdin(keeper->job);
}

static void take_ack(struct reader *reader, const struct message *message)
{
    struct run_host *host = reader_host(reader);
    struct afar_error err;
    bool resume = false;
    if (host == NULL || !message->has_next)
        return;
    room_clock(reader);
    if (run_host_ack(host, reader, message->next, &resume, &err) != AFAR_OK) {
        reader_refuse(reader, reader->id, "bad_request", err.message);
        reader_leave(reader);
        return;
    }
    room_settle(reader);
    if (reader->drives)
        kept_job_resume(reader->keeper);
}

static void take_signal(struct reader *reader, const struct message *message)
{
    struct keeper *keeper = reader->keeper;
    int number = signal_by_name(message->name);
    if (reader->drives && keeper->job != NULL && number != 0)
        job_signal(keeper->job, number);
}

static void take_kill(struct reader *reader, const struct message *message)
{
    struct keeper *keeper = reader->keeper;
    int number = signal_by_name(message->name);
    if (number == 0) {
        reader_refuse(reader, message->id, "bad_request",
                      "a signal name that this system does not know");
    } else if (keeper->job == NULL) {
        reader_refuse(reader, message->id, "not_found", "the job has ended");
    } else {
        keeper->killed = !message->shutdown;
        if (message->shutdown)
            job_stop(keeper->job, AFAR_OUTCOME_KILLED);
        else
            job_signal(keeper->job, number);
        reader_check(reader, message_put_done(&reader->out, message->id, NULL));
    }
}

/* The server sends this request when a client lists its jobs. */
static void take_jobs(struct reader *reader, const struct message *message)
{
    const struct keeper *keeper = reader->keeper;
    size_t put = 0;
    struct message_job job = {.kept = true,
                              .state = kept_job_state(keeper),
                              .attached = keeper->run.session != NULL,
                              .code = -1};
    memcpy(job.job, keeper->request.job, sizeof job.job);
    spool_bytes(keeper->spool, job.bytes);
    reader_check(reader,
                 message_put_jobs_answer(&reader->out, message->id, &job, 1, false, &put, NULL));
}

static void take_detach(struct reader *reader, const struct message *message)
{
    struct run_host *host = reader_host(reader);
    if (host == NULL || reader_inside(reader)) {
        reader_leave(
            reader); /* the rest of a frame cannot be sent: closing the connection says the same */
        return;
    }
    (void)run_host_detach(host, reader);
    reader->drives = reader->watches = false;
    reader_check(reader, message_put_detached(&reader->out, message->id, NULL));
    reader_leave(reader);
}

void reader_take(struct reader *reader, const struct message *message, const uint8_t *payload)
{
    struct keeper *keeper = reader->keeper;
    const bool mine = message->has_id && message->id == reader->id;
    if (message->type == MESSAGE_ATTACH)
        attach(reader, message);
    else if (message->type == MESSAGE_KILL)
        take_kill(reader, message);
    else if (message->type == MESSAGE_JOBS)
        take_jobs(reader, message);
    else if (message->type == MESSAGE_PING)
        reader_check(reader, message_put_pong(&reader->out, message->id, AFAR_VERSION, 0, NULL));
    else if (message->type == MESSAGE_BAD || message->type == MESSAGE_UNKNOWN)
        reader_refuse(reader, message->id, "bad_request", "a keeper does not know this request");
    else if (message->type == MESSAGE_PONG)
        room_answered(reader, message);
    else if (!mine)
        return;
    else if (message->type == MESSAGE_STDIN)
        take_stdin(reader, message, payload);
    else if (message->type == MESSAGE_ACK)
        take_ack(reader, message);
    else if (message->type == MESSAGE_ROOM)
        room_take(reader, message);
    else if (message->type == MESSAGE_SIGNAL)
        take_signal(reader, message);
    else if (message->type == MESSAGE_DETACH)
        take_detach(reader, message);
    else if (message->type == MESSAGE_RESIZE && reader->drives && keeper->job != NULL)
        job_resize(keeper->job, &message->screen);
    else if (message->type == MESSAGE_CLOSE && reader->drives && keeper->job != NULL)
        job_close_output(keeper->job, message->stream);
}
