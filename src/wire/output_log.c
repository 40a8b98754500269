#include "wire/output_log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "wire/frame.h"

enum kind { KIND_STDOUT = STREAM_STDOUT, KIND_STDERR = STREAM_STDERR, KIND_CUT, KIND_EXIT };

/* One frame. Its head is written in front of the content when it is sent, so the payload is sent
 * from where it was read into. The content is the payload; for a frame without payload, the rest of
 * the header, which is the same for every request. */
struct entry {
    struct entry *next;
    uint64_t seq;
    size_t room_bytes; /* for a payload */
    size_t start;      /* the frame is bytes[start] … bytes[end - 1], once its head is written */
    size_t end;
    uint64_t time_us; /* 0: not said */
    uint32_t counted; /* bytes counted against the capacity */
    enum kind kind;
    uint8_t bytes[]; /* room for the head, then the content; for a cut, then lost[2] */
};

struct output_log {
    uint64_t id;
    size_t capacity_bytes;
    size_t first_bytes;  /* the first capacity */
    size_t held_bytes;   /* `counted` of all entries; the receipt counts 0 */
    size_t on_way_bytes; /* of these, sent completely */
    uint64_t released_count;
    uint64_t next_seq;
    uint64_t acked;
    uint64_t ever_sent;
    uint64_t gate;              /* nothing is sent until all below it is acknowledged */
    uint64_t released_bytes[2]; /* payload that is no longer held, by stream */
    struct entry *first;        /* oldest that is held */
    struct entry *last;
    struct entry *unsent;   /* oldest not completely sent; NULL: none */
    size_t sent_bytes;      /* of `unsent` */
    bool head_made;         /* of `unsent` */
    struct entry *reserved; /* between reserve and commit */
    bool has_receipt;
    /* While output arrives fast, frames are larger and blocks are reused: the page faults of a new
     * block would cost more than reading into it. */
    size_t chunk_bytes;
    struct entry *spare; /* each with room for chunk_bytes */
    size_t spare_bytes;  /* of all spares; with held_bytes at most the capacity */
};

struct output_log *output_log_new(uint64_t id, size_t capacity_bytes)
{
    struct output_log *log = calloc(1, sizeof *log);
    if (log != NULL) {
        log->id = id;
        log->capacity_bytes = log->first_bytes = capacity_bytes;
        log->chunk_bytes = OUTPUT_LOG_CHUNK_BYTES;
    }
    return log;
}

static void free_spares(struct output_log *log)
{
    while (log->spare != NULL) {
        struct entry *entry = log->spare;
        log->spare = entry->next;
        free(entry);
    }
    log->spare_bytes = 0;
}

static void free_entries(struct output_log *log)
{
    while (log->first != NULL) {
        struct entry *entry = log->first;
        log->first = entry->next;
        free(entry);
    }
}

void output_log_free(struct output_log *log)
{
    if (log == NULL)
        return;
    free_entries(log);
    free(log->reserved);
    free_spares(log);
    free(log);
}

size_t output_log_capacity(const struct output_log *log)
{
    return log->capacity_bytes;
}

void output_log_resize(struct output_log *log, size_t capacity_bytes)
{
    log->capacity_bytes = capacity_bytes > log->first_bytes ? capacity_bytes : log->first_bytes;
    if (log->held_bytes + log->spare_bytes > log->capacity_bytes)
        free_spares(log);
}

static size_t free_bytes(const struct output_log *log)
{
    return log->held_bytes < log->capacity_bytes ? log->capacity_bytes - log->held_bytes : 0;
}

bool output_log_is_full(const struct output_log *log)
{
    return free_bytes(log) <= MESSAGE_OUTPUT_HEAD_BYTES;
}

size_t output_log_held(const struct output_log *log)
{
    return log->held_bytes;
}

size_t output_log_on_way(const struct output_log *log)
{
    return log->on_way_bytes;
}

uint64_t output_log_released(const struct output_log *log)
{
    return log->released_count;
}

static size_t entry_size(const struct entry *entry)
{
    return entry->end - entry->start;
}

/* One beyond the last frame that the entry stands for. */
static uint64_t entry_beyond(const struct output_log *log, const struct entry *entry)
{
    return entry->next != NULL ? entry->next->seq : log->next_seq;
}

static struct entry *take_entry(struct output_log *log, size_t room_bytes)
{
    struct entry *entry = log->spare;
    if (entry == NULL || room_bytes != log->chunk_bytes) {
        entry = malloc(sizeof *entry + MESSAGE_OUTPUT_HEAD_BYTES + room_bytes);
        if (entry != NULL)
            entry->room_bytes = room_bytes;
        return entry;
    }
    log->spare = entry->next;
    log->spare_bytes -= room_bytes;
    return entry;
}

static bool is_fast(const struct output_log *log)
{
    return log->chunk_bytes > OUTPUT_LOG_CHUNK_BYTES;
}

static void give_entry(struct output_log *log, struct entry *entry)
{
    size_t kept_bytes = log->held_bytes + log->spare_bytes + entry->room_bytes;
    if (!is_fast(log) || entry->room_bytes != log->chunk_bytes ||
        kept_bytes > log->capacity_bytes) {
        free(entry);
        return;
    }
    entry->next = log->spare;
    log->spare = entry;
    log->spare_bytes += entry->room_bytes;
}

/* Adapts the chunk size to how full the last read was. */
static void set_pace(struct output_log *log, size_t room_bytes, size_t size)
{
    size_t most = log->first_bytes / 4;
    if (most > OUTPUT_LOG_CHUNK_MAX_BYTES)
        most = OUTPUT_LOG_CHUNK_MAX_BYTES;
    size_t next = log->chunk_bytes;
    if (size == next && next < most)
        next = next * 2 < most ? next * 2 : most;
    else if (room_bytes >= next && size < OUTPUT_LOG_CHUNK_BYTES / 2)
        next = OUTPUT_LOG_CHUNK_BYTES;
    if (next != log->chunk_bytes)
        free_spares(log);
    log->chunk_bytes = next;
}

enum afar_status output_log_reserve(struct output_log *log, uint8_t **room, size_t *size,
                                    struct afar_error *err)
{
    assert(log->reserved == NULL && !log->has_receipt);
    if (output_log_is_full(log))
        return AFAR_EAGAIN;
    size_t payload_bytes = free_bytes(log) - MESSAGE_OUTPUT_HEAD_BYTES;
    if (payload_bytes > log->chunk_bytes)
        payload_bytes = log->chunk_bytes;

    log->reserved = take_entry(log, payload_bytes);
    if (log->reserved == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for %zu bytes of output", payload_bytes);
    *room = log->reserved->bytes + MESSAGE_OUTPUT_HEAD_BYTES;
    *size = payload_bytes;
    return AFAR_OK;
}

static void add_entry(struct output_log *log, struct entry *entry, uint64_t beyond)
{
    entry->next = NULL;
    entry->seq = log->next_seq;
    log->next_seq = beyond;
    if (log->last == NULL)
        log->first = entry;
    else
        log->last->next = entry;
    log->last = entry;
    if (log->unsent == NULL)
        log->unsent = entry;
}

/* Gives back what a short read did not use. If realloc fails the block stays as it is. */
static struct entry *shrink(struct entry *entry, size_t size)
{
    struct entry *smaller = realloc(entry, sizeof *entry + entry->end);
    if (smaller == NULL)
        return entry;
    smaller->room_bytes = size;
    return smaller;
}

void output_log_commit_at(struct output_log *log, enum stream stream, size_t size, uint64_t time_us)
{
    struct entry *entry = log->reserved;
    assert(entry != NULL);
    log->reserved = NULL;
    if (size == 0) {
        give_entry(log, entry);
        return;
    }
    entry->kind = (enum kind)stream;
    entry->end = MESSAGE_OUTPUT_HEAD_BYTES + size;
    entry->counted = (uint32_t)(size + message_output_head_most(log->next_seq, size, time_us));
    entry->time_us = time_us;
    set_pace(log, entry->room_bytes, size);
    if (!is_fast(log) || size < entry->room_bytes / 2)
        entry = shrink(entry, size);
    log->held_bytes += entry->counted;
    add_entry(log, entry, log->next_seq + 1);
}

void output_log_commit(struct output_log *log, enum stream stream, size_t size)
{
    output_log_commit_at(log, stream, size, 0);
}

/* Makes an entry whose content is `rest`, the header but for its beginning, with room for `more`
 * bytes behind it. NULL: out of memory. */
static struct entry *new_header(enum kind kind, const void *rest, size_t rest_bytes, size_t more)
{
    struct entry *entry = malloc(sizeof *entry + MESSAGE_OUTPUT_HEAD_BYTES + rest_bytes + more);
    if (entry == NULL)
        return NULL;
    entry->kind = kind;
    entry->room_bytes = 0;
    entry->end = MESSAGE_OUTPUT_HEAD_BYTES + rest_bytes;
    memcpy(entry->bytes + MESSAGE_OUTPUT_HEAD_BYTES, rest, rest_bytes);
    return entry;
}

enum afar_status output_log_finish(struct output_log *log, const struct afar_receipt *receipt,
                                   bool digest, struct afar_error *err)
{
    assert(log->reserved == NULL && !log->has_receipt);
    struct buffer rest;
    buffer_init(&rest, MESSAGE_EXIT_BYTES);
    enum afar_status status = message_put_exit_rest(&rest, log->next_seq, receipt, digest, err);
    if (status != AFAR_OK)
        goto out;
    struct entry *entry = new_header(KIND_EXIT, buffer_head(&rest), buffer_size(&rest), 0);
    if (entry == NULL) {
        status = afar_fail(err, AFAR_ENOMEM, "out of memory for a receipt");
        goto out;
    }
    entry->counted = 0; /* the receipt has its own room */
    add_entry(log, entry, log->next_seq + 1);
    log->has_receipt = true;
out:
    buffer_close(&rest);
    return status;
}

/* The last entry, if it is a cut that is not known to anybody: one that was sent cannot change any
 * more, and of one that is being sent the beginning is out. NULL: it is not. */
static struct entry *open_cut(const struct output_log *log)
{
    struct entry *last = log->last;
    if (last == NULL || last->kind != KIND_CUT || last->seq < log->ever_sent)
        return NULL;
    return log->unsent == last && log->head_made ? NULL : last;
}

/* Makes the cut `entry` stand for so many bytes more, up to frame next - 1. False: there is no room,
 * or the numbers would become too large for a message. */
static bool extend_cut(struct output_log *log, struct entry *entry, uint64_t next,
                       const uint64_t lost[2])
{
    char rest[MESSAGE_CUT_REST_BYTES];
    uint64_t all[2];
    memcpy(all, entry->bytes + entry->end, sizeof all);
    for (int s = 0; s < 2; s++) {
        if (lost[s] > MESSAGE_INTEGER_MAX - all[s])
            return false;
        all[s] += lost[s];
    }
    const size_t rest_bytes = message_write_cut_rest(rest, entry->seq, next, all);
    const size_t counted = MESSAGE_OUTPUT_HEAD_BYTES + rest_bytes;
    if (log->held_bytes - entry->counted + counted > log->capacity_bytes)
        return false;
    memcpy(entry->bytes + MESSAGE_OUTPUT_HEAD_BYTES, rest, rest_bytes);
    entry->end = MESSAGE_OUTPUT_HEAD_BYTES + rest_bytes;
    memcpy(entry->bytes + entry->end, all, sizeof all);
    log->held_bytes += counted - entry->counted;
    entry->counted = (uint32_t)counted;
    log->next_seq = next;
    return true;
}

enum afar_status output_log_add_cut(struct output_log *log, uint64_t next, const uint64_t lost[2],
                                    struct afar_error *err)
{
    assert(log->reserved == NULL && !log->has_receipt && next > log->next_seq);
    struct entry *before = open_cut(log);
    if (before != NULL && extend_cut(log, before, next, lost))
        return AFAR_OK;
    char rest[MESSAGE_CUT_REST_BYTES];
    size_t rest_bytes = message_write_cut_rest(rest, log->next_seq, next, lost);
    size_t counted = MESSAGE_OUTPUT_HEAD_BYTES + rest_bytes;
    if (log->held_bytes + counted > log->capacity_bytes)
        return AFAR_EAGAIN;
    struct entry *entry =
        new_header(KIND_CUT, rest, rest_bytes, sizeof rest - rest_bytes + 2 * sizeof lost[0]);
    if (entry == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a cut");
    memcpy(entry->bytes + entry->end, lost, 2 * sizeof lost[0]);
    entry->counted = (uint32_t)counted;
    log->held_bytes += counted;
    add_entry(log, entry, next);
    return AFAR_OK;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void make_head(struct output_log *log, struct entry *entry)
{
    uint8_t head[MESSAGE_OUTPUT_HEAD_BYTES];
    size_t content = entry->end - MESSAGE_OUTPUT_HEAD_BYTES;
    size_t head_bytes = 0;
    if (entry->kind == KIND_EXIT || entry->kind == KIND_CUT)
        head_bytes =
            message_write_head(head, entry->kind == KIND_EXIT ? "exit" : "cut", log->id, content);
    else
        head_bytes = message_write_output_head(head, log->id, (enum stream)entry->kind, entry->seq,
                                               content, entry->time_us);
    entry->start = MESSAGE_OUTPUT_HEAD_BYTES - head_bytes;
    memcpy(entry->bytes + entry->start, head, head_bytes);
    log->head_made = true;
}

bool output_log_peek(struct output_log *log, const uint8_t **data, size_t *size)
{
    struct entry *entry = log->unsent;
    if (entry == NULL || log->acked < log->gate)
        return false;
    if (log->sent_bytes == 0 && log->on_way_bytes > 0 &&
        log->on_way_bytes + entry->counted > log->capacity_bytes)
        return false; /* the capacity has become smaller than what is held */
    if (!log->head_made)
        make_head(log, entry);
    *data = entry->bytes + entry->start + log->sent_bytes;
    *size = entry_size(entry) - log->sent_bytes;
    return true;
}

bool output_log_inside_frame(const struct output_log *log)
{
    return log->sent_bytes > 0;
}

static void set_cursor(struct output_log *log, struct entry *entry)
{
    log->unsent = entry;
    log->sent_bytes = 0;
    log->head_made = false;
}

/* Adds the bytes of each stream that the entry stands for. */
static void add_bytes(const struct entry *entry, uint64_t bytes[2])
{
    uint64_t lost[2];
    if (entry->kind == KIND_CUT) {
        memcpy(lost, entry->bytes + entry->end, sizeof lost);
        bytes[STREAM_STDOUT] += lost[STREAM_STDOUT];
        bytes[STREAM_STDERR] += lost[STREAM_STDERR];
    } else if (entry->kind != KIND_EXIT) {
        bytes[entry->kind] += entry->end - MESSAGE_OUTPUT_HEAD_BYTES;
    }
}

/* Frees the entries that are acknowledged, except those that are to be sent again. */
static void release(struct output_log *log)
{
    while (log->first != NULL && log->first != log->unsent &&
           entry_beyond(log, log->first) <= log->acked) {
        struct entry *entry = log->first;
        log->first = entry->next;
        if (log->first == NULL)
            log->last = NULL;
        log->held_bytes -= entry->counted;
        log->on_way_bytes -= entry->counted;
        log->released_count += entry->counted;
        add_bytes(entry, log->released_bytes);
        give_entry(log, entry);
    }
    if (log->first == NULL)
        free_spares(log); /* there may be no output for long */
}

void output_log_sent(struct output_log *log, size_t size)
{
    struct entry *entry = log->unsent;
    assert(entry != NULL && log->head_made && size <= entry_size(entry) - log->sent_bytes);
    log->sent_bytes += size;
    if (log->sent_bytes < entry_size(entry))
        return;
    uint64_t beyond = entry_beyond(log, entry);
    log->on_way_bytes += entry->counted;
    set_cursor(log, entry->next);
    if (beyond > log->ever_sent)
        log->ever_sent = beyond;
    if (beyond <= log->acked)
        release(log);
}

enum afar_status output_log_ack(struct output_log *log, uint64_t next, struct afar_error *err)
{
    if (next > log->ever_sent)
        return afar_fail(err, AFAR_EPEER, "ack of frame %llu, only %llu were sent",
                         (unsigned long long)next, (unsigned long long)log->ever_sent);
    if (next > log->acked)
        log->acked = next;
    release(log);
    return AFAR_OK;
}

/* Finds the entry that begins with frame `next`; *found is NULL if `next` will be added next.
 * False: the frame is not held, or was never sent. */
static bool find_entry(const struct output_log *log, uint64_t next, struct entry **found)
{
    struct entry *entry = log->first;
    while (entry != NULL && entry->seq < next)
        entry = entry->next;
    *found = entry;
    return next <= log->ever_sent && next == (entry != NULL ? entry->seq : log->next_seq);
}

bool output_log_has(const struct output_log *log, uint64_t next)
{
    struct entry *entry = NULL;
    return find_entry(log, next, &entry);
}

enum afar_status output_log_rewind(struct output_log *log, uint64_t id, uint64_t next,
                                   struct afar_error *err)
{
    struct entry *entry = NULL;
    if (!find_entry(log, next, &entry))
        return afar_fail(err, AFAR_EPEER, "frame %llu is not held: %llu to %llu were sent and are",
                         (unsigned long long)next, (unsigned long long)output_log_first(log),
                         (unsigned long long)log->ever_sent);
    log->id = id;
    set_cursor(log, entry);
    log->on_way_bytes = 0;
    for (const struct entry *sent = log->first; sent != entry; sent = sent->next)
        log->on_way_bytes += sent->counted;
    return AFAR_OK;
}

void output_log_restart(struct output_log *log, uint64_t id, uint64_t next, uint64_t acked,
                        const uint64_t bytes_before[2])
{
    assert(log->reserved == NULL && acked <= next);
    free_entries(log);
    free_spares(log);
    log->last = NULL;
    set_cursor(log, NULL);
    log->id = id;
    log->held_bytes = log->on_way_bytes = 0;
    log->has_receipt = false;
    log->next_seq = log->ever_sent = log->gate = next;
    log->acked = acked;
    for (int s = 0; s < 2; s++)
        log->released_bytes[s] = bytes_before[s];
}

void output_log_cut(struct output_log *log)
{
    if (log->unsent == NULL)
        return;
    struct entry *entry = log->unsent->next;
    log->next_seq = entry_beyond(log, log->unsent);
    log->unsent->next = NULL;
    log->last = log->unsent;
    if (log->ever_sent > log->next_seq)
        log->ever_sent = log->next_seq;
    while (entry != NULL) {
        struct entry *next = entry->next;
        if (entry->kind == KIND_EXIT)
            log->has_receipt = false; /* or the receipt would count as sent */
        log->held_bytes -= entry->counted;
        free(entry);
        entry = next;
    }
}

/* ---- what is known of it --------------------------------------------------------------------- */

bool output_log_finished(const struct output_log *log)
{
    return log->has_receipt && log->unsent == NULL;
}

bool output_log_acknowledged(const struct output_log *log)
{
    return log->has_receipt && log->acked == log->next_seq;
}

uint64_t output_log_first(const struct output_log *log)
{
    return log->first != NULL ? log->first->seq : log->next_seq;
}

uint64_t output_log_end(const struct output_log *log)
{
    return log->next_seq;
}

uint64_t output_log_cursor(const struct output_log *log)
{
    return log->unsent != NULL ? log->unsent->seq : log->next_seq;
}

uint64_t output_log_ever_sent(const struct output_log *log)
{
    return log->ever_sent;
}

void output_log_bytes_before(const struct output_log *log, uint64_t next, uint64_t bytes[2])
{
    for (int s = 0; s < 2; s++)
        bytes[s] = log->released_bytes[s];
    for (const struct entry *entry = log->first; entry != NULL && entry->seq < next;
         entry = entry->next)
        add_bytes(entry, bytes);
}
