/* One client of a share, and the connection that it was handed: bytes between the two.
 *
 * Owns:    the client's socket, and the connection until relay_close or relay_give_back.
 * Threads: one.
 * Blocks:  never.
 * Limits:  RELAY_HELD_BYTES each way; a header of FRAME_HEADER_MAX_BYTES fits. */
#ifndef AFAR_SHARE_RELAY_H
#define AFAR_SHARE_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include <afar/afar.h>

#include "afar/share/track.h"
#include "base/buffer.h"

enum { RELAY_HELD_BYTES = 512 * 1024 };

/* One way: what waits, and how much of that may be sent. */
struct relay_way {
    struct buffer held;
    size_t passed;
};

struct relay {
    int fd;                     /* the client's */
    struct afar_client *server; /* NULL: it has none yet */
    struct relay_way up;        /* to the server */
    struct relay_way down;      /* to the client */
    struct track track;
    bool asked;        /* the client's first frame has been looked at */
    bool sent;         /* a byte of the client's has been given to the server */
    bool client_ended; /* nothing comes from it any more */
    bool server_ended;
    bool over;
    int64_t since_ms; /* when it came, or when one of the two ended */
};

/* `fd` is *moved*. */
void relay_open(struct relay *relay, int fd, int64_t now_ms);
void relay_close(struct relay *relay);

/* What to poll: [0] the client, [1] the server. True: do not wait. */
bool relay_watch(const struct relay *relay, struct pollfd watched[2]);

/* All that can be done without waiting. */
void relay_turn(struct relay *relay, int64_t now_ms);

/* The first frame, where it has come whole: true. *is_ping: it is a ping, which was taken off, and
 * has this id. */
bool relay_first(struct relay *relay, bool *is_ping, uint64_t *id);

/* Adds a frame for the client. False: out of memory. */
bool relay_say_pong(struct relay *relay, uint64_t id, const char *version, const char *features);

/* Says that nothing of its request was given to the server, and ends. */
void relay_turn_away(struct relay *relay);

/* Where it is over, and has left a connection that another client may have: that, *moved*. NULL: it
 * has not. */
struct afar_client *relay_give_back(struct relay *relay);

#endif
