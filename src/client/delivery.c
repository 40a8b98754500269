#include "client/delivery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/json_line.h"
#include "wire/window.h"

/* A frame that the callback has not taken completely. */
struct kept_frame {
    struct kept_frame *next;
    uint64_t seq;
    size_t wire_bytes;
    size_t header_size;
    size_t size;
    size_t taken; /* bytes of the payload */
    uint64_t time_us;
    bool offered;    /* to the callback, at least once */
    uint8_t bytes[]; /* header, payload */
};

/* PROTOCOL.md §8: acknowledge at the latest after a quarter of the window. */
enum { URGENT_PART = 4 };

static void drop_first(struct delivery *delivery, enum stream stream)
{
    struct kept_frame *frame = delivery->first[stream];
    delivery->first[stream] = frame->next;
    if (frame->next == NULL)
        delivery->last[stream] = NULL;
    delivery->kept_bytes -= frame->wire_bytes;
    free(frame);
}

void delivery_close(struct delivery *delivery)
{
    for (int s = STREAM_STDOUT; s <= STREAM_STDERR; s++) {
        while (delivery->first[s] != NULL)
            drop_first(delivery, (enum stream)s);
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

enum afar_status delivery_cut(struct delivery *delivery, uint64_t seq, uint64_t next,
                              const uint64_t lost[2], struct afar_error *err)
{
    const struct afar_callbacks *callbacks = &delivery->callbacks;
    enum afar_status status = delivery_count(delivery, seq, err);
    if (status != AFAR_OK)
        return status;
    delivery->next_seq = next;
    for (int s = 0; s < 2; s++)
        delivery->received[s] += lost[s];
    delivery->cut = true;
    if (callbacks->on_cut != NULL)
        callbacks->on_cut(callbacks->user, lost[STREAM_STDOUT], lost[STREAM_STDERR]);
    return AFAR_OK;
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

static enum afar_status keep(struct delivery *delivery, enum stream stream,
                             const struct frame_view *frame, size_t taken, struct afar_error *err)
{
    const size_t most =
        delivery->window > delivery->window_max ? delivery->window : delivery->window_max;
    if (delivery->kept_bytes + frame->wire_bytes > most)
        return afar_fail(err, AFAR_EPEER, "more output than the window of %zu bytes allows", most);
    struct kept_frame *kept = malloc(sizeof *kept + frame->header_size + frame->size);
    if (kept == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for output");
    *kept = (struct kept_frame){.seq = delivery->next_seq - 1,
                                .wire_bytes = frame->wire_bytes,
                                .header_size = frame->header_size,
                                .size = frame->size,
                                .taken = taken,
                                .time_us = frame->time_us,
                                .offered = delivery->first[stream] == NULL};
    memcpy(kept->bytes, frame->header, frame->header_size);
    memcpy(kept->bytes + frame->header_size, frame->payload, frame->size);
    if (delivery->last[stream] != NULL)
        delivery->last[stream]->next = kept;
    else
        delivery->first[stream] = kept;
    delivery->last[stream] = kept;
    delivery->kept_bytes += kept->wire_bytes;
    return AFAR_OK;
}

enum afar_status delivery_add(struct delivery *delivery, enum stream stream,
                              const struct frame_view *frame, struct afar_error *err)
{
    size_t taken = 0;
    enum afar_status status = AFAR_OK;
    delivery->received[stream] += frame->size;
    if (delivery->first[stream] == NULL && frame->size > 0) {
        tell_time(delivery, stream, frame->time_us);
        status = offer(delivery, stream, frame->payload, frame->size, &taken, err);
    }
    if (status != AFAR_OK)
        return status;
    if (taken == frame->size && delivery->first[stream] == NULL)
        return finish_frame(delivery, frame, err);
    return keep(delivery, stream, frame, taken, err);
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
    const struct frame_view frame = {.header = kept->bytes,
                                     .header_size = kept->header_size,
                                     .payload = payload,
                                     .size = kept->size,
                                     .wire_bytes = kept->wire_bytes};
    status = finish_frame(delivery, &frame, err);
    drop_first(delivery, stream);
    return status;
}

/* The stream with the oldest first frame, among those that are not blocked; -1: none. */
static int oldest(const struct delivery *delivery, const bool blocked[2])
{
    int found = -1;
    for (int s = 0; s < 2; s++) {
        if (blocked[s] || delivery->first[s] == NULL)
            continue;
        if (found < 0 || delivery->first[s]->seq < delivery->first[found]->seq)
            found = s;
    }
    return found;
}

enum afar_status delivery_retry(struct delivery *delivery, struct afar_error *err)
{
    bool blocked[2] = {false, false};
    for (;;) {
        int stream = oldest(delivery, blocked);
        if (stream < 0)
            return AFAR_OK;
        enum afar_status status = retry_first(delivery, (enum stream)stream, &blocked[stream], err);
        if (status != AFAR_OK)
            return status;
    }
}

bool delivery_done(const struct delivery *delivery)
{
    return delivery->first[STREAM_STDOUT] == NULL && delivery->first[STREAM_STDERR] == NULL;
}

uint64_t delivery_next(const struct delivery *delivery)
{
    uint64_t next = delivery->next_seq;
    for (int s = 0; s < 2; s++) {
        if (delivery->first[s] != NULL && delivery->first[s]->seq < next)
            next = delivery->first[s]->seq;
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
