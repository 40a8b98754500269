#include "wire/output_log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "wire/frame.h"

/* One frame. The header is written in front of the payload once its size is known, so the payload
 * is read from the pipe to where it is sent from. */
struct entry {
    struct entry *next;
    uint64_t seq;
    size_t room_bytes; /* for a payload */
    size_t start;      /* the frame is bytes[start] … bytes[end - 1] */
    size_t end;
    uint8_t bytes[];
};

struct output_log {
    uint64_t id;
    size_t capacity_bytes;
    size_t held_bytes; /* on the wire, all entries, without the receipt */
    uint64_t next_seq;
    struct entry *first; /* oldest that is not acknowledged */
    struct entry *last;
    struct entry *unsent;   /* oldest that is not sent whole; NULL: all are */
    size_t sent_bytes;      /* of `unsent` */
    struct entry *reserved; /* between reserve and commit */
    bool has_receipt;
    /* While output comes fast: larger frames, and blocks that are used again, because a new one's
     * pages would cost more than what is read into them. */
    size_t chunk_bytes;
    struct entry *spare; /* each with room for chunk_bytes */
    size_t spare_bytes;  /* all of them; with what is held not more than the capacity */
};

struct output_log *output_log_new(uint64_t id, size_t capacity_bytes)
{
    struct output_log *log = calloc(1, sizeof *log);
    if (log != NULL) {
        log->id = id;
        log->capacity_bytes = capacity_bytes;
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

void output_log_free(struct output_log *log)
{
    if (log == NULL)
        return;
    struct entry *entry = log->first;
    while (entry != NULL) {
        struct entry *next = entry->next;
        free(entry);
        entry = next;
    }
    free(log->reserved);
    free_spares(log);
    free(log);
}

size_t output_log_capacity(const struct output_log *log)
{
    return log->capacity_bytes;
}

size_t output_log_held(const struct output_log *log)
{
    return log->held_bytes;
}

static size_t entry_size(const struct entry *entry)
{
    return entry->end - entry->start;
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

/* Learns from what came of what there was room for. */
static void set_pace(struct output_log *log, size_t room_bytes, size_t size)
{
    size_t most = log->capacity_bytes / 4;
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
    size_t free_bytes =
        log->held_bytes < log->capacity_bytes ? log->capacity_bytes - log->held_bytes : 0;
    if (free_bytes <= MESSAGE_OUTPUT_HEAD_BYTES)
        return AFAR_EAGAIN;
    size_t payload_bytes = free_bytes - MESSAGE_OUTPUT_HEAD_BYTES;
    if (payload_bytes > log->chunk_bytes)
        payload_bytes = log->chunk_bytes;

    log->reserved = take_entry(log, payload_bytes);
    if (log->reserved == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for %zu bytes of output", payload_bytes);
    *room = log->reserved->bytes + MESSAGE_OUTPUT_HEAD_BYTES;
    *size = payload_bytes;
    return AFAR_OK;
}

static void add_entry(struct output_log *log, struct entry *entry)
{
    entry->next = NULL;
    entry->seq = log->next_seq++;
    if (log->last == NULL)
        log->first = entry;
    else
        log->last->next = entry;
    log->last = entry;
    if (log->unsent == NULL)
        log->unsent = entry;
}

/* Gives back what a short read left over; where realloc cannot, the block stays as it is. */
static struct entry *shrink(struct entry *entry, size_t size)
{
    struct entry *smaller = realloc(entry, sizeof *entry + entry->end);
    if (smaller == NULL)
        return entry;
    smaller->room_bytes = size;
    return smaller;
}

void output_log_commit(struct output_log *log, enum stream stream, size_t size)
{
    struct entry *entry = log->reserved;
    assert(entry != NULL);
    log->reserved = NULL;
    if (size == 0) {
        give_entry(log, entry);
        return;
    }
    uint8_t head[MESSAGE_OUTPUT_HEAD_BYTES];
    size_t head_bytes = message_write_output_head(head, log->id, stream, log->next_seq, size);
    entry->start = MESSAGE_OUTPUT_HEAD_BYTES - head_bytes;
    entry->end = MESSAGE_OUTPUT_HEAD_BYTES + size;
    memcpy(entry->bytes + entry->start, head, head_bytes);
    set_pace(log, entry->room_bytes, size);
    if (!is_fast(log) || size < entry->room_bytes / 2)
        entry = shrink(entry, size);
    log->held_bytes += entry_size(entry);
    add_entry(log, entry);
}

enum afar_status output_log_finish(struct output_log *log, const struct afar_receipt *receipt,
                                   bool digest, struct afar_error *err)
{
    assert(log->reserved == NULL && !log->has_receipt);
    struct buffer frame;
    buffer_init(&frame, MESSAGE_EXIT_BYTES);
    enum afar_status status =
        message_put_exit(&frame, log->id, log->next_seq, receipt, digest, err);
    if (status != AFAR_OK)
        goto out;
    struct entry *entry = malloc(sizeof *entry + buffer_size(&frame));
    if (entry == NULL) {
        status = afar_fail(err, AFAR_ENOMEM, "out of memory for a receipt");
        goto out;
    }
    entry->room_bytes = 0;
    entry->start = 0;
    entry->end = buffer_size(&frame);
    memcpy(entry->bytes, buffer_head(&frame), entry->end);
    add_entry(log, entry);
    log->has_receipt = true;
out:
    buffer_close(&frame);
    return status;
}

bool output_log_peek(const struct output_log *log, const uint8_t **data, size_t *size)
{
    if (log->unsent == NULL)
        return false;
    *data = log->unsent->bytes + log->unsent->start + log->sent_bytes;
    *size = entry_size(log->unsent) - log->sent_bytes;
    return true;
}

bool output_log_inside_frame(const struct output_log *log)
{
    return log->sent_bytes > 0;
}

void output_log_sent(struct output_log *log, size_t size)
{
    assert(log->unsent != NULL && size <= entry_size(log->unsent) - log->sent_bytes);
    log->sent_bytes += size;
    if (log->sent_bytes == entry_size(log->unsent)) {
        log->unsent = log->unsent->next;
        log->sent_bytes = 0;
    }
}

enum afar_status output_log_ack(struct output_log *log, uint64_t next, struct afar_error *err)
{
    uint64_t sent = log->unsent == NULL ? log->next_seq : log->unsent->seq;
    if (next > sent)
        return afar_fail(err, AFAR_EPEER, "ack of frame %llu, only %llu were sent",
                         (unsigned long long)next, (unsigned long long)sent);
    while (log->first != NULL && log->first != log->unsent && log->first->seq < next) {
        struct entry *entry = log->first;
        bool receipt = log->has_receipt && entry == log->last;
        log->first = entry->next;
        if (log->first == NULL)
            log->last = NULL;
        if (!receipt)
            log->held_bytes -= entry_size(entry);
        give_entry(log, entry);
    }
    if (log->first == NULL)
        free_spares(log); /* nothing more may come for long */
    return AFAR_OK;
}

void output_log_cut(struct output_log *log)
{
    if (log->unsent == NULL)
        return;
    struct entry *entry = log->unsent->next;
    log->unsent->next = NULL;
    log->last = log->unsent;
    log->next_seq = log->unsent->seq + 1;
    while (entry != NULL) {
        struct entry *next = entry->next;
        bool receipt = log->has_receipt && next == NULL;
        if (receipt)
            log->has_receipt = false; /* or it would count as sent */
        else
            log->held_bytes -= entry_size(entry);
        free(entry);
        entry = next;
    }
}

bool output_log_finished(const struct output_log *log)
{
    return log->has_receipt && log->unsent == NULL;
}
