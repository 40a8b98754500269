/* Bounded queue of encoded frames that the peer has not acknowledged: a job's output, and at the
 * end its receipt. It is the flow control: when it is full the command is no longer read.
 *
 *     reserve ─ read(2) into it ─ commit     →  peek ─ send ─ sent  →  ack
 *
 * Owns:    the frames, from commit until they are acknowledged.
 * Threads: one owner; no lock.
 * Blocks:  never; no system call in this layer.
 * Limits:  capacity_bytes on the wire (prefix, header, payload), fixed at creation. Room for the
 *          receipt is always kept besides. */
#ifndef WIRE_OUTPUT_LOG_H
#define WIRE_OUTPUT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/error.h"
#include "wire/message.h"

/* The largest payload of a frame: what a pipe(7) holds; and where the command fills that again and
 * again, more, up to a quarter of the capacity. */
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

/* Room for the next frame's payload: *room points to *size bytes (1 to
 * OUTPUT_LOG_CHUNK_MAX_BYTES), borrowed until output_log_commit, which must follow, with 0 for
 * nothing. AFAR_EAGAIN: full until an acknowledgement makes room. AFAR_ENOMEM. */
enum afar_status output_log_reserve(struct output_log *log, uint8_t **room, size_t *size,
                                    struct afar_error *err);

/* Makes a frame of the first `size` bytes of the room and gives it the next sequence number. */
void output_log_commit(struct output_log *log, enum stream stream, size_t size);

/* Adds the receipt. Nothing can be added after it. AFAR_ENOMEM: call again later. */
enum afar_status output_log_finish(struct output_log *log, const struct afar_receipt *receipt,
                                   bool digest, struct afar_error *err);

/* The next bytes to send, of one frame: false where everything has been sent. Borrowed until the
 * next call that is not const. */
bool output_log_peek(const struct output_log *log, const uint8_t **data, size_t *size);

/* True where the next byte to send is not the first of its frame: nothing else may be sent between.
 */
bool output_log_inside_frame(const struct output_log *log);

/* The first `size` bytes that peek showed have been sent. */
void output_log_sent(struct output_log *log, size_t size);

/* The peer has taken every frame below `next`. Going back is harmless. AFAR_EPEER: beyond what was
 * sent. */
enum afar_status output_log_ack(struct output_log *log, uint64_t next, struct afar_error *err);

/* Drops every unsent frame but the first, which may be under way: the request ends by an error
 * frame, after that one. Nothing may be added any more. */
void output_log_cut(struct output_log *log);

/* True once the receipt has been sent whole. */
bool output_log_finished(const struct output_log *log);

/* Bytes on the wire that are held now. */
size_t output_log_held(const struct output_log *log);

#endif
