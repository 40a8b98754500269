/* The server's side of SOCKS, as far as a connection begins: versions 5 (RFC 1928, without
 * authentication) and 4 with 4a. What a client sends is its own affair: it is another program of the
 * same machine, by default.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  SOCKS_REQUEST_BYTES for all that a client says before its data. */
#ifndef AFAR_SOCKS_H
#define AFAR_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/forward_target.h"

enum { SOCKS_REQUEST_BYTES = 600, SOCKS_REPLY_BYTES = 16 };

enum socks_next {
    SOCKS_MORE,    /* it has not said all */
    SOCKS_ANSWER,  /* send the reply, and go on */
    SOCKS_CONNECT, /* it wants to `target` */
    SOCKS_REFUSE   /* send the reply, if there is one, and hang up */
};

struct socks {
    uint8_t version; /* 0: not known yet */
    bool greeted;
    char target[FORWARD_TEXT_BYTES];
    uint8_t reply[SOCKS_REPLY_BYTES];
    size_t reply_size;
};

/* `socks` of zeros at first. *used: so many bytes were taken; the rest comes again. */
enum socks_next socks_take(struct socks *socks, const uint8_t *data, size_t size, size_t *used);

/* After SOCKS_CONNECT: makes the reply, by how the connection went; FORWARD_ENDED: it was made. */
void socks_answer(struct socks *socks, enum forward_end end);

#endif
