/* Follows the frames that pass between a client and its server, to know when nothing is under way:
 * then the connection may be another client's next.
 *
 * Owns:    its decoders (track_close).
 * Threads: one.
 * Blocks:  never.
 * Limits:  none of its own; payloads are skipped, never held. */
#ifndef AFAR_SHARE_TRACK_H
#define AFAR_SHARE_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

struct track {
    struct decoder from_client;
    struct decoder from_server;
    uint64_t open; /* requests that are not answered */
    bool odd;      /* something that another client must not inherit */
};

void track_init(struct track *track);
void track_close(struct track *track);

/* Of the `size` bytes that come next on one of the ways, which follow those passed before: how many
 * may be passed on. The rest is the beginning of a header, and comes again with more behind it. */
size_t track_from_client(struct track *track, const uint8_t *data, size_t size);
size_t track_from_server(struct track *track, const uint8_t *data, size_t size);

/* All that has come was passed, in whole frames, and each request was answered. */
bool track_is_idle(const struct track *track);

#endif
