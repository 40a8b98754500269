/* The keeper's connections: one reader that drives the job, and others that only read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "keep/reader.h"

enum {
    TOKEN_BYTES = JOBDIR_TOKEN_BYTES - 1,
    IN_BYTES = FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES + FRAME_PAYLOAD_MAX_BYTES + 65536,
    OUT_BYTES = 1 << 16, /* answers only; output is sent from the log */
    RECEIVE_BYTES = 65536,
    TURN_BYTES = 1 << 18 /* sent to one reader before the others get their turn */
};

static void reader_free(struct reader *reader)
{
    struct keeper *keeper = reader->keeper;
    if (reader->drives)
        (void)run_host_lost(&keeper->run, reader, clock_now_ms());
    if (reader->drives && keeper->job != NULL)
        job_record_mark(keeper->job, "away");
    int fd = reader->source.fd;
    loop_remove(keeper->host.loop, &reader->source);
    if (fd >= 0)
        (void)close(fd);
    run_host_close(&reader->own);
    spool_cursor_close(&reader->cursor);
    decoder_close(&reader->decoder);
    buffer_close(&reader->in);
    buffer_close(&reader->out);
    list_remove(&reader->link);
    keeper->reader_count--;
    free(reader);
}

void reader_leave(struct reader *reader)
{
    reader->leaving = true;
}

void reader_check(struct reader *reader, enum afar_status status)
{
    if (status != AFAR_OK)
        reader_leave(reader);
}

void reader_refuse(struct reader *reader, uint64_t id, const char *code, const char *text)
{
    reader_check(reader, message_put_error(&reader->out, true, id, code, text, 0, NULL));
}

/* ---- output ---------------------------------------------------------------------------------- */

struct run_host *reader_host(struct reader *reader)
{
    if (reader->drives)
        return &reader->keeper->run;
    return reader->watches ? &reader->own : NULL;
}

/* The cursor must be where the log ends; after an attach it is elsewhere. */
static void follow_log(const struct run_host *host, struct spool_cursor *cursor)
{
    uint64_t end = output_log_end(host->log);
    if (cursor->seq == end)
        return;
    spool_cursor_close(cursor);
    cursor->seq = end;
    output_log_bytes_before(host->log, end, cursor->bytes);
}

/* Copies one frame or gap from the spool into the log. False: *full, or nothing more. */
static bool fill_one(struct reader *reader, struct run_host *host, struct spool_cursor *cursor,
                     bool *full)
{
    struct keeper *keeper = reader->keeper;
    struct spool_record record;
    uint8_t *room = NULL;
    size_t size = 0;
    *full = output_log_reserve(host->log, &room, &size, NULL) == AFAR_EAGAIN;
    if (room == NULL)
        return false;
    enum spool_got got = spool_next(keeper->spool, cursor, room, size, &record);
    output_log_commit_at(host->log, record.stream, got == SPOOL_FRAME ? record.size : 0,
                         reader->times ? record.wall_us : 0);
    *full = got == SPOOL_ROOM;
    if (got == SPOOL_GAP)
        return output_log_add_cut(host->log, record.next, record.lost, NULL) == AFAR_OK;
    return got == SPOOL_FRAME;
}

/* The reader wants no output: all of it becomes a gap in its log. */
static bool skip(struct keeper *keeper, struct run_host *host, struct spool_cursor *cursor)
{
    uint64_t bytes[2];
    uint64_t end = spool_end(keeper->spool);
    spool_bytes(keeper->spool, bytes);
    const uint64_t lost[2] = {bytes[0] - cursor->bytes[0], bytes[1] - cursor->bytes[1]};
    return cursor->seq == end || output_log_add_cut(host->log, end, lost, NULL) == AFAR_OK;
}

/* Fills the log as far as it has room; adds the receipt at the end. */
static void fill(struct reader *reader, struct run_host *host, struct spool_cursor *cursor)
{
    struct keeper *keeper = reader->keeper;
    enum run_host_after after = RUN_HOST_GOES_ON;
    bool more = true;
    bool full = false;
    run_host_spool_waits(host, false);
    if (host->ended)
        return;
    while (more) {
        follow_log(host, cursor);
        if (cursor->seq >= spool_end(keeper->spool))
            break;
        if (!reader->output && !keeper->ended)
            return;
        more = reader->output ? fill_one(reader, host, cursor, &full) : skip(keeper, host, cursor);
    }
    run_host_spool_waits(host, full);
    if (keeper->ended && output_log_end(host->log) == keeper->end.seq)
        (void)run_host_ended(host, &keeper->end.receipt, keeper->end.digest, &after, NULL);
}

/* A reader that does not follow has got all that was there when it attached. */
static void check_until(struct reader *reader)
{
    if (!reader->watches || reader->follow || reader->leaving ||
        output_log_cursor(reader->own.log) < reader->until ||
        output_log_inside_frame(reader->own.log) || reader->keeper->ended)
        return;
    reader_check(reader, message_put_detached(&reader->out, reader->id, NULL));
    reader_leave(reader);
}

/* *sent: how much was sent. False: the connection is broken. */
static bool send_some(struct reader *reader, const uint8_t *data, size_t size, size_t *sent)
{
    ssize_t count = 0;
    *sent = 0;
    do {
        count = send(reader->source.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN)
        reader->blocked = true;
    else if (count <= 0)
        return false;
    *sent = count > 0 ? (size_t)count : 0;
    return true;
}

bool reader_inside(struct reader *reader)
{
    const struct run_host *host = reader_host(reader);
    return host != NULL && output_log_inside_frame(host->log);
}

/* False: the connection is broken. */
static bool send_all(struct reader *reader)
{
    size_t budget = TURN_BYTES;
    size_t sent = 0;
    while (!reader->blocked && budget > 0) {
        const uint8_t *data = NULL;
        size_t size = 0;
        struct run_host *host = reader_host(reader);
        if (!reader_inside(reader) && buffer_size(&reader->out) > 0) {
            if (!send_some(reader, buffer_head(&reader->out), buffer_size(&reader->out), &sent))
                return false;
            buffer_consume(&reader->out, sent);
        } else if (host != NULL && !reader->leaving && run_host_peek(host, reader, &data, &size)) {
            if (!send_some(reader, data, size, &sent))
                return false;
            room_clock(reader);
            run_host_sent(host, reader, sent);
            room_ask(reader);
        } else {
            break;
        }
        budget = sent < budget ? budget - sent : 0;
    }
    if (budget == 0)
        loop_defer(reader->keeper->host.loop, &reader->keeper->pump);
    return true;
}

/* Acknowledges stdin that the command has read. */
static void put_stdin_ack(struct reader *reader)
{
    struct keeper *keeper = reader->keeper;
    struct run_host *run = &keeper->run;
    uint64_t taken = 0;
    int64_t by_ms = INT64_MAX;
    if (!reader->drives || keeper->job == NULL || !run->stdin_stream)
        return;
    room_clock(reader);
    run_host_stdin_taken(run, job_stdin_taken(keeper->job));
    room_settle(reader);
    if (run_host_stdin_ack_due(run, clock_now_ms(), &taken, &by_ms)) {
        if (message_put_stdin_ack(&reader->out, run->id, taken, run_host_told_credit(run), NULL) ==
            AFAR_OK)
            run_host_stdin_acked(run, taken);
        room_ask(reader);
    } else if (by_ms < keeper->timer.deadline_ms) {
        timer_arm(loop_timers(keeper->host.loop), &keeper->timer, by_ms);
    }
}

/* A reader that waits only for the end has got it. */
static bool has_end(const struct reader *reader)
{
    return reader->watches && !reader->output && reader->own.ended &&
           output_log_cursor(reader->own.log) == output_log_end(reader->own.log);
}

static bool is_over(struct reader *reader)
{
    if (has_end(reader) && !reader_inside(reader))
        reader_leave(reader);
    if (reader->drives && run_host_over(&reader->keeper->run) == RUN_HOST_FREE) {
        reader->drives = false;
        reader_leave(reader);
    }
    if (reader->watches && run_host_over(&reader->own) == RUN_HOST_FREE) {
        reader->watches = false;
        reader_leave(reader);
    }
    return reader->leaving && buffer_size(&reader->out) == 0;
}

/* False: the reader was freed. */
static bool pump(struct reader *reader)
{
    struct keeper *keeper = reader->keeper;
    put_stdin_ack(reader);
    if (!reader->leaving && reader->drives)
        fill(reader, &keeper->run, &keeper->cursor);
    if (!reader->leaving && reader->watches)
        fill(reader, &reader->own, &reader->cursor);
    bool sound = send_all(reader);
    check_until(reader);
    if (sound && reader->leaving && !reader_inside(reader))
        sound = send_all(reader);
    if (!sound || is_over(reader) || (reader->leaving && reader_inside(reader))) {
        reader_free(reader);
        return false;
    }
    uint32_t events = (uint32_t)EPOLLIN | (reader->blocked ? (uint32_t)EPOLLOUT : 0);
    if (loop_set_events(keeper->host.loop, &reader->source, events, NULL) != AFAR_OK) {
        reader_free(reader);
        return false;
    }
    return true;
}

void readers_pump(struct keeper *keeper)
{
    struct list *link = keeper->readers.next;
    while (link != &keeper->readers) {
        struct list *next = link->next;
        (void)pump(list_object(link, struct reader, link));
        link = next;
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Takes the same time wherever they differ. */
static bool same_token(const uint8_t *shown, const char *token)
{
    unsigned different = 0;
    for (size_t i = 0; i < TOKEN_BYTES; i++)
        different |= (unsigned)(shown[i] ^ (uint8_t)token[i]);
    return different == 0;
}

/* False: the connection must be closed. */
static bool take_all(struct reader *reader)
{
    if (!reader->known) {
        if (buffer_size(&reader->in) < TOKEN_BYTES)
            return true;
        reader->known = same_token(buffer_head(&reader->in), reader->keeper->token);
        if (!reader->known)
            return false;
        buffer_consume(&reader->in, TOKEN_BYTES);
    }
    while (!reader->leaving && buffer_size(&reader->in) > 0) {
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        enum afar_status status =
            decoder_next(&reader->decoder, buffer_head(&reader->in), buffer_size(&reader->in),
                         &message, &payload, &used, NULL);
        if (status == AFAR_EAGAIN)
            return true;
        if (status != AFAR_OK)
            return false;
        reader_take(reader, &message, payload);
        message_close(&message);
        buffer_consume(&reader->in, used);
    }
    return true;
}

static bool receive(struct reader *reader)
{
    uint8_t *room = NULL;
    ssize_t got = 0;
    if (buffer_reserve(&reader->in, RECEIVE_BYTES, &room, NULL) != AFAR_OK)
        return false;
    do {
        got = recv(reader->source.fd, room, RECEIVE_BYTES, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    buffer_commit(&reader->in, got > 0 ? (size_t)got : 0);
    if (got < 0)
        return errno == EAGAIN;
    return got > 0 && take_all(reader);
}

static void ready(struct loop_source *source, uint32_t events)
{
    struct reader *reader = list_object(source, struct reader, source);
    struct keeper *keeper = reader->keeper;
    if ((events & (uint32_t)EPOLLOUT) != 0)
        reader->blocked = false;
    if ((events & ~(uint32_t)EPOLLOUT) != 0 && !receive(reader)) {
        reader_free(reader);
        timer_arm(loop_timers(keeper->host.loop), &keeper->timer, 0);
        return;
    }
    loop_defer(keeper->host.loop, &keeper->pump);
}

/* The connection stays in the queue of those that wait, so the listener would be ready for ever. */
static bool is_out_of_something(int failed)
{
    return failed == EMFILE || failed == ENFILE || failed == ENOBUFS || failed == ENOMEM;
}

static void rest(struct keeper *keeper)
{
    keeper->resting = loop_set_events(keeper->host.loop, &keeper->listener, 0, NULL) == AFAR_OK;
    int64_t again_ms = clock_now_ms() + KEEPER_AGAIN_MS;
    if (again_ms < keeper->timer.deadline_ms)
        timer_arm(loop_timers(keeper->host.loop), &keeper->timer, again_ms);
}

void readers_accept_again(struct keeper *keeper)
{
    keeper->resting =
        loop_set_events(keeper->host.loop, &keeper->listener, EPOLLIN, NULL) != AFAR_OK;
}

static void accept_one(struct loop_source *source, uint32_t events)
{
    struct keeper *keeper = list_object(source, struct keeper, listener);
    (void)events;
    int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && is_out_of_something(errno))
        rest(keeper);
    if (fd < 0)
        return;
    struct reader *reader =
        keeper->reader_count < KEEPER_CONNECTIONS_MAX ? calloc(1, sizeof *reader) : NULL;
    if (reader == NULL) { /* `busy` would need a request's id: the client must try again */
        (void)close(fd);
        return;
    }
    reader->keeper = keeper;
    reader->cursor.fd = -1;
    decoder_init(&reader->decoder);
    buffer_init(&reader->in, IN_BYTES);
    buffer_init(&reader->out, OUT_BYTES);
    loop_source_init(&reader->source);
    list_append(&keeper->readers, &reader->link);
    keeper->reader_count++;
    if (loop_add(keeper->host.loop, &reader->source, fd, EPOLLIN, ready, NULL) != AFAR_OK) {
        (void)close(fd);
        reader_free(reader);
    }
}

enum afar_status readers_open(struct keeper *keeper, int listener_fd, struct afar_error *err)
{
    list_init(&keeper->readers);
    loop_source_init(&keeper->listener);
    return loop_add(keeper->host.loop, &keeper->listener, listener_fd, EPOLLIN, accept_one, err);
}
