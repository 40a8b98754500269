/* The server's side of SOCKS, up to the request to connect: versions 5 (RFC 1928, without
 * authentication) and 4 with 4a. Clients are not authenticated: by default they are programs on
 * this machine.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  SOCKS_REQUEST_BYTES for all that a client sends before its data. */
#ifndef AFAR_SOCKS_H
#define AFAR_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/forward_target.h"

enum { SOCKS_REQUEST_BYTES = 600, SOCKS_REPLY_BYTES = 16 };

enum socks_next {
    SOCKS_MORE,    /* the request is incomplete */
    SOCKS_ANSWER,  /* send the reply, and go on */
    SOCKS_CONNECT, /* connect to `target` */
    SOCKS_REFUSE   /* send the reply, if there is one, and hang up */
};

struct socks {
    uint8_t version; /* 0: not known yet */
    bool greeted;
    char target[FORWARD_TEXT_BYTES];
    uint8_t reply[SOCKS_REPLY_BYTES];
    size_t reply_size;
};

/* `socks` is zeroed at first. *used: how many bytes were taken; give the rest again, with more. */
enum socks_next socks_take(struct socks *socks, const uint8_t *data, size_t size, size_t *used);

/* After SOCKS_CONNECT: makes the reply from how connecting went; FORWARD_ENDED: the connection was
 * made. */
void socks_answer(struct socks *socks, enum forward_end end);

#endif
