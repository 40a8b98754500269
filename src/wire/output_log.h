/* Bounded queue of frames that the peer has not acknowledged: a job's output, and at the end its
 * receipt. It is the flow control: when it is full the command is no longer read.
 *
 *     reserve ─ read(2) into it ─ commit     →  peek ─ send ─ sent  →  ack
 *                                                 ↑ rewind: again, on another connection
 *
 * A frame's head is made when it is sent, because it names the request, and the request that it is
 * sent for again has another id.
 *
 * Owns:    the frames, from commit until they are acknowledged.
 * Threads: one owner; no lock.
 * Blocks:  never; no system call in this layer.
 * Limits:  capacity_bytes on the wire (prefix, header, payload), each frame counted with the
 *          longest id that there is, so that it is enough for every id; changed by
 *          output_log_resize. Room for the receipt is always kept besides. */
#ifndef WIRE_OUTPUT_LOG_H
#define WIRE_OUTPUT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/error.h"
#include "wire/message.h"

/* The largest payload of a frame: what a pipe(7) holds; and where the command fills that again and
 * again, more, up to a quarter of the first capacity. */
enum {
    OUTPUT_LOG_CHUNK_BYTES = 65536,
    OUTPUT_LOG_CHUNK_MAX_BYTES = 262144,
    OUTPUT_LOG_CAPACITY_MIN = 4 * 65536
};

struct output_log;

/* For the request `id`. NULL: out of memory. */
struct output_log *output_log_new(uint64_t id, size_t capacity_bytes);
void output_log_free(struct output_log *log);

size_t output_log_capacity(const struct output_log *log);

/* It is another from now on, at least the first. Where it holds more already, nothing is added, and
 * nothing more is sent while as much as this is on its way, until acknowledgements have made room. */
void output_log_resize(struct output_log *log, size_t capacity_bytes);

/* True: output_log_reserve would say AFAR_EAGAIN. */
bool output_log_is_full(const struct output_log *log);

/* Room for the next frame's payload: *room points to *size bytes (1 to
 * OUTPUT_LOG_CHUNK_MAX_BYTES), borrowed until output_log_commit, which must follow, with 0 for
 * nothing. AFAR_EAGAIN: full until an acknowledgement makes room. AFAR_ENOMEM. */
enum afar_status output_log_reserve(struct output_log *log, uint8_t **room, size_t *size,
                                    struct afar_error *err);

/* Makes a frame of the first `size` bytes of the room and gives it the next sequence number. */
void output_log_commit(struct output_log *log, enum stream stream, size_t size);

/* The same, of what was written at that time of the wall clock; 0: it is not said. */
void output_log_commit_at(struct output_log *log, enum stream stream, size_t size,
                          uint64_t time_us);

/* Adds the receipt. Nothing can be added after it. AFAR_ENOMEM: call again later. */
enum afar_status output_log_finish(struct output_log *log, const struct afar_receipt *receipt,
                                   bool digest, struct afar_error *err);

/* Adds, in the place of frames that the owner does not have any more, the message that says so:
 * those from the next sequence number to next - 1, with so many bytes of stdout and stderr. For
 * logs that are filled from elsewhere. AFAR_EAGAIN: full. AFAR_ENOMEM. */
enum afar_status output_log_add_cut(struct output_log *log, uint64_t next, const uint64_t lost[2],
                                    struct afar_error *err);

/* The next bytes to send, of one frame: false where everything has been sent. Borrowed until the
 * next call that is not const; until then, and after a send that would block, the same bytes. */
bool output_log_peek(struct output_log *log, const uint8_t **data, size_t *size);

/* True where the next byte to send is not the first of its frame: nothing else may be sent between.
 */
bool output_log_inside_frame(const struct output_log *log);

/* The first `size` bytes that peek showed have been sent. */
void output_log_sent(struct output_log *log, size_t size);

/* The peer has taken every frame below `next`. Going back is harmless. AFAR_EPEER: beyond what was
 * ever sent. */
enum afar_status output_log_ack(struct output_log *log, uint64_t next, struct afar_error *err);

/* Sends again from frame `next` on, for the request `id` of another connection. What was sent of a
 * frame in part is forgotten: the connection that it went to must be gone. AFAR_EPEER: that frame
 * is not held any more, or was never due; nothing has changed. */
enum afar_status output_log_rewind(struct output_log *log, uint64_t id, uint64_t next,
                                   struct afar_error *err);

/* Whether that can be done. */
bool output_log_has(const struct output_log *log, uint64_t next);

/* Forgets everything, and goes on with frame `next` as the next to be added, for the request `id`;
 * so many bytes of stdout and stderr lie before it. The peer has taken every frame below `acked`
 * (at most `next`), and what it holds of the rest is not known here: so nothing is sent until it
 * has acknowledged that too. For logs that are filled from elsewhere. */
void output_log_restart(struct output_log *log, uint64_t id, uint64_t next, uint64_t acked,
                        const uint64_t bytes_before[2]);

/* Drops every unsent frame but the first, which may be under way: the request ends by an error
 * frame, after that one. Nothing may be added any more, nor sent again. */
void output_log_cut(struct output_log *log);

/* True once the receipt has been sent whole, and no rewind has made it unsent again. */
bool output_log_finished(const struct output_log *log);

/* True once the receipt has been acknowledged. */
bool output_log_acknowledged(const struct output_log *log);

/* The oldest frame that is held; where there is none, that which will be added next. */
uint64_t output_log_first(const struct output_log *log);

/* The frame that will be added next: one beyond the newest. */
uint64_t output_log_end(const struct output_log *log);

/* The frame that is sent next, or is being sent; where all are sent, output_log_end. */
uint64_t output_log_cursor(const struct output_log *log);

/* One beyond the newest frame that was ever sent whole. */
uint64_t output_log_ever_sent(const struct output_log *log);

/* How many bytes of stdout and stderr lie before frame `next` (from output_log_first to
 * output_log_end). Takes as long as there are frames. */
void output_log_bytes_before(const struct output_log *log, uint64_t next, uint64_t bytes[2]);

/* Bytes on the wire that are held now, as counted against the capacity. */
size_t output_log_held(const struct output_log *log);

/* Of these, what has been sent whole; and so many were acknowledged, since the start. */
size_t output_log_on_way(const struct output_log *log);
uint64_t output_log_released(const struct output_log *log);

#endif
