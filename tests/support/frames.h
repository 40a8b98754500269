/* An output_log under test, and the wire to which its frames go. Each function fails the test if
 * something is not as expected.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  never.
 * Limits:  none. */
#ifndef SUPPORT_FRAMES_H
#define SUPPORT_FRAMES_H

#include <stddef.h>

#include "base/buffer.h"
#include "wire/output_log.h"

/* Reserves room, copies the data, and commits it. */
enum afar_status frames_add(struct output_log *log, enum stream stream, const void *data,
                            size_t size);

/* Sends all frames, in pieces of at most `piece` bytes, to the end of `wire`. */
void frames_send_all(struct output_log *log, struct buffer *wire, size_t piece);

/* Sends all but the last `less` bytes of the next frame, and drops them. Returns its size. */
size_t frames_send_most(struct output_log *log, size_t less);

/* Sends all frames, drops them, and acknowledges those below `next`. */
void frames_send_and_ack(struct output_log *log, uint64_t next);

/* Takes the first frame off the wire. Its payload, shorter than `space`, is copied to `text` as a
 * string. */
struct message frames_receive(struct buffer *wire, char *text, size_t space);

#endif
