/* Follows the frames between a client and its server, to know when no request is under way: then
 * another client can have the connection.
 *
 * Owns:    its decoders (track_close).
 * Threads: one.
 * Blocks:  never.
 * Limits:  none of its own; payloads are skipped, not stored. */
#ifndef AFAR_SHARE_TRACK_H
#define AFAR_SHARE_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

struct track {
    struct decoder from_client;
    struct decoder from_server;
    uint64_t open; /* requests without an answer yet */
    bool odd;      /* something was seen that another client must not inherit */
};

void track_init(struct track *track);
void track_close(struct track *track);

/* Takes the next `size` bytes of one direction. Returns how many may be passed on. The rest is an
 * incomplete header: give it again, with more after it. */
size_t track_from_client(struct track *track, const uint8_t *data, size_t size);
size_t track_from_server(struct track *track, const uint8_t *data, size_t size);

/* True if only complete frames have passed, and each request was answered. */
bool track_is_idle(const struct track *track);

#endif
