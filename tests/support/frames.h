/* An output_log under test, and the wire that its frames go to. Each of these fails the test where
 * something is not as expected.
 *
 * Owns nothing. Threads: one. Blocks: never. Limits: none. */
#ifndef SUPPORT_FRAMES_H
#define SUPPORT_FRAMES_H

#include <stddef.h>

#include "base/buffer.h"
#include "wire/output_log.h"

/* reserve, copy, commit. */
enum afar_status frames_add(struct output_log *log, enum stream stream, const void *data,
                            size_t size);

/* Sends all there is, in pieces of at most `piece` bytes, to the end of `wire`. */
void frames_send_all(struct output_log *log, struct buffer *wire, size_t piece);

/* Sends all but the last `less` bytes of the next frame, to nowhere. Its size. */
size_t frames_send_most(struct output_log *log, size_t less);

/* All is sent, to nowhere, and all below `next` acknowledged. */
void frames_send_and_ack(struct output_log *log, uint64_t next);

/* Takes the first frame off the wire. Its payload, which must be shorter than `space`, goes to
 * `text` as a string. */
struct message frames_receive(struct buffer *wire, char *text, size_t space);

#endif
