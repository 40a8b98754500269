#include "client/delivery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/json_line.h"
#include "wire/window.h"

/* A frame that the callback has not taken completely, or a cut with such a frame before it. */
struct kept_frame {
    struct kept_frame *next;
    uint64_t seq;
    size_t wire_bytes;
    size_t header_size;
    size_t size;
    size_t taken; /* bytes of the payload */
    uint64_t time_us;
    uint64_t lost[2]; /* a cut: bytes of each stream, … */
    uint64_t beyond;  /* … and the frame after it */
    bool offered;     /* to the callback, at least once */
    uint8_t bytes[];  /* header, payload */
};

/* The queues: those of the streams by their numbers, and that of cuts. */
enum { CUTS = 2, QUEUES };

/* PROTOCOL.md §8: acknowledge at the latest after a quarter of the window. */
enum { URGENT_PART = 4 };

static void drop_first(struct delivery *delivery, int queue)
{
    struct kept_frame *frame = delivery->first[queue];
    delivery->first[queue] = frame->next;
    if (frame->next == NULL)
        delivery->last[queue] = NULL;
    delivery->kept_bytes -= frame->wire_bytes;
    free(frame);
}

void delivery_close(struct delivery *delivery)
{
    for (int queue = 0; queue < QUEUES; queue++) {
        while (delivery->first[queue] != NULL)
            drop_first(delivery, queue);
    }
    for (int s = STREAM_STDOUT; s <= STREAM_STDERR; s++) {
        digest_free(delivery->digests[s]);
        delivery->digests[s] = NULL;
    }
    buffer_close(&delivery->line);
}

enum afar_status delivery_begin(struct delivery *delivery, const struct afar_callbacks *callbacks,
                                bool with_digest, struct afar_error *err)
{
    delivery_close(delivery);
    *delivery = (struct delivery){0};
    buffer_init(&delivery->line, JSON_LINE_MAX_BYTES);
    if (callbacks != NULL)
        delivery->callbacks = *callbacks;
    enum afar_status status = AFAR_OK;
    for (int s = 0; s < 2 && with_digest && status == AFAR_OK; s++)
        status = digest_new(&delivery->digests[s], "sha256", err);
    return status;
}

enum afar_status delivery_count(struct delivery *delivery, uint64_t seq, struct afar_error *err)
{
    if (seq != delivery->next_seq)
        return afar_fail(err, AFAR_EPEER,
                         "frame %" PRIu64 " arrived instead of %" PRIu64 ": output is lost", seq,
                         delivery->next_seq);
    delivery->next_seq++;
    return AFAR_OK;
}

void delivery_start_at(struct delivery *delivery, uint64_t seq, const uint64_t bytes[2])
{
    delivery->next_seq = delivery->acked = seq;
    for (int s = 0; s < 2; s++)
        delivery->received[s] = bytes[s];
    delivery->cut = seq > 0;
}

/* Calls the callback once. *taken: how many of `size` (at least 1) bytes it took. */
static enum afar_status offer(struct delivery *delivery, enum stream stream, const uint8_t *data,
                              size_t size, size_t *taken, struct afar_error *err)
{
    const struct afar_callbacks *callbacks = &delivery->callbacks;
    size_t (*callback)(void *, const void *, size_t) =
        stream == STREAM_STDOUT ? callbacks->on_stdout : callbacks->on_stderr;
    *taken = callback == NULL ? size : callback(callbacks->user, data, size);
    if (*taken > size) {
        *taken = 0;
        return afar_fail(err, AFAR_EINVAL, "an output callback took more than it was given");
    }
    delivery->progress += *taken;
    if (*taken == 0 || delivery->digests[stream] == NULL)
        return AFAR_OK;
    return digest_update(delivery->digests[stream], data, *taken, err);
}

static void tell_time(struct delivery *delivery, enum stream stream, uint64_t time_us)
{
    const struct afar_callbacks *callbacks = &delivery->callbacks;
    if (callbacks->on_time != NULL)
        callbacks->on_time(callbacks->user, stream == STREAM_STDOUT ? 1 : 2, time_us);
}

static enum afar_status finish_frame(struct delivery *delivery, const struct frame_view *frame,
                                     struct afar_error *err)
{
    delivery->unacked_bytes += frame->wire_bytes;
    return delivery_show(delivery, frame, err);
}

static enum afar_status keep(struct delivery *delivery, int queue, const struct frame_view *frame,
                             struct kept_frame **added, struct afar_error *err)
{
    const size_t most =
        delivery->window > delivery->window_max ? delivery->window : delivery->window_max;
    if (delivery->kept_bytes + frame->wire_bytes > most)
        return afar_fail(err, AFAR_EPEER, "more output than the window of %zu bytes allows", most);
    struct kept_frame *kept = malloc(sizeof *kept + frame->header_size + frame->size);
    if (kept == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for output");
    *kept = (struct kept_frame){.wire_bytes = frame->wire_bytes,
                                .header_size = frame->header_size,
                                .size = frame->size,
                                .time_us = frame->time_us};
    memcpy(kept->bytes, frame->header, frame->header_size);
    if (frame->size > 0)
        memcpy(kept->bytes + frame->header_size, frame->payload, frame->size);
    if (delivery->last[queue] != NULL)
        delivery->last[queue]->next = kept;
    else
        delivery->first[queue] = kept;
    delivery->last[queue] = kept;
    delivery->kept_bytes += kept->wire_bytes;
    *added = kept;
    return AFAR_OK;
}

enum afar_status delivery_add(struct delivery *delivery, enum stream stream,
                              const struct frame_view *frame, struct afar_error *err)
{
    const bool next = delivery->first[stream] == NULL && delivery->first[CUTS] == NULL;
    struct kept_frame *kept = NULL;
    size_t taken = 0;
    enum afar_status status = AFAR_OK;
    delivery->received[stream] += frame->size;
    if (next && frame->size > 0) {
        tell_time(delivery, stream, frame->time_us);
        status = offer(delivery, stream, frame->payload, frame->size, &taken, err);
    }
    if (status != AFAR_OK)
        return status;
    if (next && taken == frame->size)
        return finish_frame(delivery, frame, err);
    status = keep(delivery, stream, frame, &kept, err);
    if (status != AFAR_OK)
        return status;
    kept->seq = delivery->next_seq - 1;
    kept->taken = taken;
    kept->offered = next;
    return AFAR_OK;
}

/* All before it is taken. */
static void tell_cut(struct delivery *delivery, const uint64_t lost[2])
{
    const struct afar_callbacks *callbacks = &delivery->callbacks;
    if (callbacks->on_cut != NULL)
        callbacks->on_cut(callbacks->user, lost[STREAM_STDOUT], lost[STREAM_STDERR]);
    delivery->progress++;
}

enum afar_status delivery_cut(struct delivery *delivery, uint64_t seq, uint64_t next,
                              const uint64_t lost[2], const struct frame_view *frame,
                              struct afar_error *err)
{
    struct kept_frame *kept = NULL;
    enum afar_status status = delivery_count(delivery, seq, err);
    if (status != AFAR_OK)
        return status;
    delivery->next_seq = next;
    for (int s = 0; s < 2; s++)
        delivery->received[s] += lost[s];
    delivery->cut = true;
    if (delivery_done(delivery)) {
        tell_cut(delivery, lost);
        return finish_frame(delivery, frame, err);
    }
    status = keep(delivery, CUTS, frame, &kept, err);
    if (status != AFAR_OK)
        return status;
    kept->seq = seq;
    kept->beyond = next;
    memcpy(kept->lost, lost, sizeof kept->lost);
    return AFAR_OK;
}

static struct frame_view view_of(const struct kept_frame *kept)
{
    return (struct frame_view){.header = kept->bytes,
                               .header_size = kept->header_size,
                               .payload = kept->bytes + kept->header_size,
                               .size = kept->size,
                               .wire_bytes = kept->wire_bytes};
}

/* Offers the rest of the stream's first frame. *blocked: some of it is still left. */
static enum afar_status retry_first(struct delivery *delivery, enum stream stream, bool *blocked,
                                    struct afar_error *err)
{
    struct kept_frame *kept = delivery->first[stream];
    const uint8_t *payload = kept->bytes + kept->header_size;
    size_t taken = 0;
    enum afar_status status = AFAR_OK;
    if (!kept->offered)
        tell_time(delivery, stream, kept->time_us);
    kept->offered = true;
    if (kept->taken < kept->size)
        status =
            offer(delivery, stream, payload + kept->taken, kept->size - kept->taken, &taken, err);
    if (status != AFAR_OK)
        return status;
    kept->taken += taken;
    *blocked = kept->taken < kept->size;
    if (*blocked)
        return AFAR_OK;
    const struct frame_view frame = view_of(kept);
    status = finish_frame(delivery, &frame, err);
    drop_first(delivery, stream);
    return status;
}

static bool is_joined(const struct kept_frame *cut)
{
    return cut->next != NULL && cut->next->seq == cut->beyond;
}

/* Those that became one gap while they waited are told as one. */
static enum afar_status tell_first_cuts(struct delivery *delivery, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    uint64_t lost[2] = {0};
    bool more = true;
    for (const struct kept_frame *cut = delivery->first[CUTS]; more; cut = cut->next) {
        lost[STREAM_STDOUT] += cut->lost[STREAM_STDOUT];
        lost[STREAM_STDERR] += cut->lost[STREAM_STDERR];
        more = is_joined(cut);
    }
    tell_cut(delivery, lost);
    for (more = true; more && status == AFAR_OK;) {
        const struct kept_frame *cut = delivery->first[CUTS];
        const struct frame_view frame = view_of(cut);
        more = is_joined(cut);
        status = finish_frame(delivery, &frame, err);
        drop_first(delivery, CUTS);
    }
    return status;
}

/* The queue whose first frame is the oldest, of those that are not blocked; -1: none, or a cut that
 * has to wait for one that is. */
static int oldest(const struct delivery *delivery, const bool blocked[QUEUES])
{
    int found = -1;
    for (int queue = 0; queue < QUEUES; queue++) {
        if (blocked[queue] || delivery->first[queue] == NULL)
            continue;
        if (found < 0 || delivery->first[queue]->seq < delivery->first[found]->seq)
            found = queue;
    }
    for (int queue = 0; queue < QUEUES && found == CUTS; queue++) {
        if (blocked[queue] && delivery->first[queue]->seq < delivery->first[CUTS]->seq)
            return -1;
    }
    return found;
}

enum afar_status delivery_retry(struct delivery *delivery, struct afar_error *err)
{
    bool blocked[QUEUES] = {false};
    for (;;) {
        int queue = oldest(delivery, blocked);
        if (queue < 0)
            return AFAR_OK;
        enum afar_status status =
            queue == CUTS ? tell_first_cuts(delivery, err)
                          : retry_first(delivery, (enum stream)queue, &blocked[queue], err);
        if (status != AFAR_OK)
            return status;
    }
}

bool delivery_done(const struct delivery *delivery)
{
    for (int queue = 0; queue < QUEUES; queue++) {
        if (delivery->first[queue] != NULL)
            return false;
    }
    return true;
}

uint64_t delivery_next(const struct delivery *delivery)
{
    uint64_t next = delivery->next_seq;
    for (int queue = 0; queue < QUEUES; queue++) {
        if (delivery->first[queue] != NULL && delivery->first[queue]->seq < next)
            next = delivery->first[queue]->seq;
    }
    return next;
}

bool delivery_ack_due(const struct delivery *delivery, bool urgent)
{
    if (delivery_next(delivery) == delivery->acked)
        return false;
    size_t much = delivery->window / URGENT_PART;
    if (much > WINDOW_ACK_BYTES) /* the window may have grown without our knowledge */
        much = WINDOW_ACK_BYTES;
    return !urgent || delivery->unacked_bytes >= much;
}

void delivery_acked(struct delivery *delivery)
{
    delivery->acked = delivery_next(delivery);
    delivery->unacked_bytes = 0;
}

enum afar_status delivery_show(struct delivery *delivery, const struct frame_view *frame,
                               struct afar_error *err)
{
    if (delivery->callbacks.on_frame == NULL)
        return AFAR_OK;
    enum afar_status status = json_line_render(&delivery->line, frame->header, frame->header_size,
                                               frame->payload, frame->size, err);
    if (status == AFAR_OK)
        delivery->callbacks.on_frame(delivery->callbacks.user,
                                     (const char *)buffer_head(&delivery->line));
    buffer_clear(&delivery->line);
    return status;
}

void delivery_close_stream(struct delivery *delivery, enum stream stream)
{
    delivery->closed[stream] = true;
}

static enum afar_status verify_bytes(const struct delivery *delivery, enum stream stream,
                                     uint64_t said, struct afar_error *err)
{
    uint64_t received = delivery->received[stream];
    if (received == said || delivery->closed[stream])
        return AFAR_OK;
    return afar_fail(err, AFAR_EPEER,
                     "the receipt counts %" PRIu64 " bytes of %s, but %" PRIu64
                     " have come: do not trust the output, nor the receipt",
                     said, stream == STREAM_STDOUT ? "stdout" : "stderr", received);
}

static enum afar_status verify_digests(struct delivery *delivery,
                                       const struct afar_receipt *receipt, struct afar_error *err)
{
    const char *const said[2] = {receipt->stdout_sha256, receipt->stderr_sha256};
    for (int s = 0; s < 2; s++) {
        if (delivery->digests[s] == NULL || delivery->cut || delivery->closed[s])
            continue;
        if (delivery->begun_before && said[s][0] == '\0')
            continue;
        char hex[DIGEST_HEX_BYTES];
        enum afar_status status = digest_finish(delivery->digests[s], hex, err);
        if (status != AFAR_OK)
            return status;
        if (strcmp(hex, said[s]) != 0)
            return afar_fail(err, AFAR_EPEER,
                             "the receipt's SHA-256 of %s is not that of what arrived: do not "
                             "trust the output",
                             s == STREAM_STDOUT ? "stdout" : "stderr");
    }
    return AFAR_OK;
}

enum afar_status delivery_verify(struct delivery *delivery, const struct afar_receipt *receipt,
                                 struct afar_error *err)
{
    /* A server that has lost the command may have lost the counts too. */
    if (receipt->outcome == AFAR_OUTCOME_SERVER_LOST)
        return AFAR_OK;
    enum afar_status status = verify_bytes(delivery, STREAM_STDOUT, receipt->stdout_bytes, err);
    if (status == AFAR_OK)
        status = verify_bytes(delivery, STREAM_STDERR, receipt->stderr_bytes, err);
    return status == AFAR_OK ? verify_digests(delivery, receipt, err) : status;
}
