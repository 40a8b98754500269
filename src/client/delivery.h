/* Passes a command's output from frames to the callbacks: in order within each stream, and kept
 * while a callback does not take it. A cut has its place among the frames of both streams. Says
 * which frames may be acknowledged.
 *
 * Owns:    the output that it keeps, and the digests.
 * Threads: one owner; no lock.
 * Blocks:  never, unless a callback does.
 * Limits:  keeps at most the server's window, or what that may grow to, in bytes on the wire. */
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
    uint64_t time_us;  /* when the payload was written (since 1970); 0: not said */
};

struct kept_frame;

struct delivery {
    struct afar_callbacks callbacks;
    struct digest *digests[2];   /* of what the callbacks took; NULL: not asked for */
    struct kept_frame *first[3]; /* of each stream, and of cuts */
    struct kept_frame *last[3];
    size_t kept_bytes;    /* on the wire */
    size_t window;        /* the server's; 0 until the command has started */
    size_t window_max;    /* it may grow to this without notice; 0: it does not grow */
    size_t unacked_bytes; /* on the wire, taken since the last acknowledgement */
    uint64_t received[2]; /* bytes of output received or skipped */
    bool closed[2];       /* we asked the server to close it: output may be missing */
    bool cut;             /* output was skipped, so the digests cannot match */
    bool begun_before;    /* by an earlier request, perhaps without digests */
    uint64_t next_seq;    /* of the next frame */
    uint64_t acked;       /* every frame below this was acknowledged */
    uint64_t progress;    /* grows whenever a callback takes something */
    struct buffer line;   /* scratch for on_frame */
};

/* Frees everything. Also for a zeroed struct. */
void delivery_close(struct delivery *delivery);

/* Resets for a new command. `callbacks` NULL: none. `with_digest`: compute SHA-256 of both streams.
 * AFAR_ENOMEM. */
enum afar_status delivery_begin(struct delivery *delivery, const struct afar_callbacks *callbacks,
                                bool with_digest, struct afar_error *err);

/* Checks the sequence number of a stdout, stderr or exit frame. AFAR_EPEER: a gap or a repeat. */
enum afar_status delivery_count(struct delivery *delivery, uint64_t seq, struct afar_error *err);

/* After attaching: output begins with frame `seq`, after `bytes` of each stream. */
void delivery_start_at(struct delivery *delivery, uint64_t seq, const uint64_t bytes[2]);

/* Frames seq to next - 1 are no longer kept by the server, as `frame` says; they had `lost` bytes of
 * each stream. The callbacks hear of it when they have taken all that was before. Errors as of
 * delivery_count and delivery_add. */
enum afar_status delivery_cut(struct delivery *delivery, uint64_t seq, uint64_t next,
                              const uint64_t lost[2], const struct frame_view *frame,
                              struct afar_error *err);

/* Offers the last counted frame's payload to the callback, and keeps what it does not take.
 * AFAR_EPEER: more than the window allows. AFAR_EINVAL: the callback took more than it was given.
 * AFAR_ENOMEM. */
enum afar_status delivery_add(struct delivery *delivery, enum stream stream,
                              const struct frame_view *frame, struct afar_error *err);

/* Offers again what is kept, the oldest frame first. AFAR_EINVAL, AFAR_ENOMEM. */
enum afar_status delivery_retry(struct delivery *delivery, struct afar_error *err);

/* True if nothing is kept. */
bool delivery_done(const struct delivery *delivery);

/* Every frame below this has been taken completely. */
uint64_t delivery_next(const struct delivery *delivery);

/* True if something can be acknowledged; with `urgent`: so much that it must be. delivery_acked: it
 * was. */
bool delivery_ack_due(const struct delivery *delivery, bool urgent);
void delivery_acked(struct delivery *delivery);

/* Calls on_frame, if there is one. AFAR_ENOMEM. */
enum afar_status delivery_show(struct delivery *delivery, const struct frame_view *frame,
                               struct afar_error *err);

/* This stream is closed: delivery_verify no longer compares its byte count. */
void delivery_close_stream(struct delivery *delivery, enum stream stream);

/* Compares the receipt with what has come: the byte counts, and the digests if asked for. Digests are
 * not compared if output was cut, for a closed stream, or if the receipt has none and an earlier
 * request began the command. AFAR_EPEER: they differ. Not if the server has lost the command
 * (AFAR_OUTCOME_SERVER_LOST). */
enum afar_status delivery_verify(struct delivery *delivery, const struct afar_receipt *receipt,
                                 struct afar_error *err);

#endif
