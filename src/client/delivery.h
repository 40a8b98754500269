/* A command's output, on its way from frames to the callbacks: in order within each stream, and
 * kept where a callback does not take it yet. Says which frames may be acknowledged.
 *
 * Owns:    the output that it keeps, and the digests.
 * Threads: one owner; no lock.
 * Blocks:  never (as little as the callbacks do).
 * Limits:  keeps at most the server's window, or what it may become, counted in bytes on the wire. */
#ifndef CLIENT_DELIVERY_H
#define CLIENT_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/afar.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "wire/message.h"

/* A frame in the receive buffer; borrowed. */
struct frame_view {
    const uint8_t *header;
    size_t header_size;
    const uint8_t *payload;
    size_t size;
    size_t wire_bytes; /* prefix, header and payload */
    uint64_t time_us;  /* when the payload was written; 0: not said */
};

struct kept_frame;

struct delivery {
    struct afar_callbacks callbacks;
    struct digest *digests[2]; /* of what the callbacks took; NULL where not asked for */
    struct kept_frame *first[2];
    struct kept_frame *last[2];
    size_t kept_bytes;    /* on the wire */
    size_t window;        /* the server's; 0 until the command has started */
    size_t window_max;    /* it may grow up to this, and nothing says so; 0: it does not */
    size_t unacked_bytes; /* on the wire, taken since the last acknowledgement */
    uint64_t received[2]; /* bytes of output that have come */
    bool closed[2];       /* the server was told that nobody reads it: what came is not all */
    bool cut;             /* some was missing, or lies before: the digests say nothing */
    uint64_t next_seq;    /* of the frame to come */
    uint64_t acked;       /* as last acknowledged */
    uint64_t progress;    /* grows whenever a callback takes something */
    struct buffer line;   /* of on_frame */
};

/* Also for one that was only zeroed. */
void delivery_close(struct delivery *delivery);

/* Starts afresh. `callbacks` NULL: none. AFAR_ENOMEM. */
enum afar_status delivery_begin(struct delivery *delivery, const struct afar_callbacks *callbacks,
                                bool with_digest, struct afar_error *err);

/* Checks the sequence number of a stdout, stderr or exit frame. AFAR_EPEER: a gap or a repeat. */
enum afar_status delivery_count(struct delivery *delivery, uint64_t seq, struct afar_error *err);

/* The command was attached to, and its output begins there: so many bytes lie before. */
void delivery_start_at(struct delivery *delivery, uint64_t seq, const uint64_t bytes[2]);

/* Frames seq to next - 1, so many bytes, are not there any more. AFAR_EPEER as above. */
enum afar_status delivery_cut(struct delivery *delivery, uint64_t seq, uint64_t next,
                              const uint64_t lost[2], struct afar_error *err);

/* Offers the frame that was counted last to the callback, and keeps what is not taken. AFAR_EPEER:
 * that is more than the window. AFAR_EINVAL: the callback says that it took more than there was.
 * AFAR_ENOMEM. */
enum afar_status delivery_add(struct delivery *delivery, enum stream stream,
                              const struct frame_view *frame, struct afar_error *err);

/* Offers again what is kept. AFAR_EINVAL, AFAR_ENOMEM. */
enum afar_status delivery_retry(struct delivery *delivery, struct afar_error *err);

/* True where nothing is kept. */
bool delivery_done(const struct delivery *delivery);

/* Every frame below this has been taken whole. */
uint64_t delivery_next(const struct delivery *delivery);

/* True where something can be acknowledged; `urgent`: so much that it must be. */
bool delivery_ack_due(const struct delivery *delivery, bool urgent);
void delivery_acked(struct delivery *delivery);

/* Calls on_frame, where there is one. AFAR_ENOMEM. */
enum afar_status delivery_show(struct delivery *delivery, const struct frame_view *frame,
                               struct afar_error *err);

/* Nobody reads this stream any more: how much of it comes is no longer of importance. */
void delivery_close_stream(struct delivery *delivery, enum stream stream);

/* Compares what the receipt says of the output with what has come: the bytes, and the digests where
 * they were asked for. AFAR_EPEER. */
enum afar_status delivery_verify(struct delivery *delivery, const struct afar_receipt *receipt,
                                 struct afar_error *err);

#endif
