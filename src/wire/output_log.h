/* Bounded queue of frames that the peer has not acknowledged: a job's output, and at the end its
 * receipt. This queue is the flow control: while it is full, the command's output is not read.
 *
 *     reserve ─ read(2) into it ─ commit     →  peek ─ send ─ sent  →  ack
 *                                                 ↑ rewind: again, on another connection
 *
 * A frame's head is written when the frame is sent, because it names the request, and after a
 * rewind the frame is sent for a request with another id.
 *
 * Owns:    the frames, from commit until they are acknowledged.
 * Threads: one owner; no lock.
 * Blocks:  never; no system call in this layer.
 * Limits:  capacity_bytes on the wire (prefix, header, payload), each frame counted with the
 *          longest possible id, so that the capacity suffices for every id; output_log_resize
 *          changes it. Room for the receipt is always kept in addition. */
#ifndef WIRE_OUTPUT_LOG_H
#define WIRE_OUTPUT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/error.h"
#include "wire/message.h"

/* The largest payload of a frame: the capacity of a pipe(7); more, up to a quarter of the first
 * capacity, while the command fills whole frames. */
enum {
    OUTPUT_LOG_CHUNK_BYTES = 65536,
    OUTPUT_LOG_CHUNK_MAX_BYTES = 262144,
    OUTPUT_LOG_CAPACITY_MIN = 4 * 65536
};

struct output_log;

/* Creates a log for the request `id`; free it with output_log_free. NULL: out of memory. */
struct output_log *output_log_new(uint64_t id, size_t capacity_bytes);
void output_log_free(struct output_log *log);

size_t output_log_capacity(const struct output_log *log);

/* Changes the capacity, but never below the first one. If the log holds more than that, nothing is
 * added until acknowledgements have made room, and nothing is sent while that much is
 * unacknowledged. */
void output_log_resize(struct output_log *log, size_t capacity_bytes);

/* True if output_log_reserve would return AFAR_EAGAIN. */
bool output_log_is_full(const struct output_log *log);

/* Provides room for the next frame's payload: *room points to *size bytes (1 to
 * OUTPUT_LOG_CHUNK_MAX_BYTES), borrowed until output_log_commit, which must follow, with size 0 if
 * there is nothing to add. AFAR_EAGAIN: the log is full until an acknowledgement makes room.
 * AFAR_ENOMEM. */
enum afar_status output_log_reserve(struct output_log *log, uint8_t **room, size_t *size,
                                    struct afar_error *err);

/* Makes a frame of the first `size` bytes of the reserved room and gives it the next sequence
 * number. */
void output_log_commit(struct output_log *log, enum stream stream, size_t size);

/* The same, for output written at this time of the wall clock; 0: time not known. */
void output_log_commit_at(struct output_log *log, enum stream stream, size_t size,
                          uint64_t time_us);

/* Adds the receipt. Nothing can be added after it. AFAR_ENOMEM: call again later. */
enum afar_status output_log_finish(struct output_log *log, const struct afar_receipt *receipt,
                                   bool digest, struct afar_error *err);

/* Adds a `cut` message in place of frames that the owner no longer has: those from the next
 * sequence number to next - 1, with lost[] bytes of stdout and stderr. Extends a `cut` right before
 * it of which nothing was sent yet. For logs filled from a spool. AFAR_EAGAIN: full. AFAR_ENOMEM. */
enum afar_status output_log_add_cut(struct output_log *log, uint64_t next, const uint64_t lost[2],
                                    struct afar_error *err);

/* Shows the next bytes to send, all of one frame. They are borrowed until the next call that is not
 * const; until output_log_sent the same bytes are shown again. False: nothing can be sent now. */
bool output_log_peek(struct output_log *log, const uint8_t **data, size_t *size);

/* True if a frame has been sent in part: the connection must not carry anything else before its
 * rest. */
bool output_log_inside_frame(const struct output_log *log);

/* The first `size` bytes that output_log_peek showed have been sent. */
void output_log_sent(struct output_log *log, size_t size);

/* The peer has taken every frame below `next`. A lower `next` than before is harmless. AFAR_EPEER:
 * `next` is beyond what was ever sent. */
enum afar_status output_log_ack(struct output_log *log, uint64_t next, struct afar_error *err);

/* Sends again from frame `next` on, for the request `id` of another connection. Forgets that a
 * frame was sent in part: its connection must be gone. AFAR_EPEER: the frame is no longer held, or
 * was never sent; nothing has changed. */
enum afar_status output_log_rewind(struct output_log *log, uint64_t id, uint64_t next,
                                   struct afar_error *err);

/* True if output_log_rewind would succeed. */
bool output_log_has(const struct output_log *log, uint64_t next);

/* Drops all frames and continues with `next` as the number of the frame to be added next, for the
 * request `id`; bytes_before[] are the bytes of stdout and stderr before it. The peer has taken
 * every frame below `acked` (at most `next`). Which of the others it holds is not known here, so
 * nothing is sent until it has acknowledged all below `next`. For logs filled from a spool. */
void output_log_restart(struct output_log *log, uint64_t id, uint64_t next, uint64_t acked,
                        const uint64_t bytes_before[2]);

/* Drops every unsent frame but the first, which may be partly sent: after that one the request ends
 * by an error frame. Nothing may be added or sent again afterwards. */
void output_log_cut(struct output_log *log);

/* True if the receipt has been sent completely, and no rewind has made it unsent again. */
bool output_log_finished(const struct output_log *log);

/* True if the receipt has been acknowledged. */
bool output_log_acknowledged(const struct output_log *log);

/* The oldest frame that is held; if there is none, the frame that will be added next. */
uint64_t output_log_first(const struct output_log *log);

/* The frame that will be added next: one beyond the newest. */
uint64_t output_log_end(const struct output_log *log);

/* The frame that is sent next or is being sent; if all are sent, output_log_end. */
uint64_t output_log_cursor(const struct output_log *log);

/* One beyond the newest frame that was ever sent completely. */
uint64_t output_log_ever_sent(const struct output_log *log);

/* The number of bytes of stdout and stderr before frame `next` (output_log_first to
 * output_log_end). Takes time proportional to the number of frames held. */
void output_log_bytes_before(const struct output_log *log, uint64_t next, uint64_t bytes[2]);

/* Bytes that are held now, as counted against the capacity. */
size_t output_log_held(const struct output_log *log);

/* Of these, the bytes that have been sent completely; and the bytes acknowledged so far. */
size_t output_log_on_way(const struct output_log *log);
uint64_t output_log_released(const struct output_log *log);

#endif
