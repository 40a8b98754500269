/* Passes bytes between one client of a share and the connection that it was given.
 *
 * Owns:    the client's socket, and the connection until relay_close or relay_give_back.
 * Threads: one.
 * Blocks:  never.
 * Limits:  RELAY_HELD_BYTES in each direction; a header of FRAME_HEADER_MAX_BYTES fits. */
#ifndef AFAR_SHARE_RELAY_H
#define AFAR_SHARE_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include <afar/afar.h>

#include "afar/share/track.h"
#include "base/buffer.h"

enum { RELAY_HELD_BYTES = 512 * 1024 };

/* One direction: what waits, and how many bytes of that may be sent. */
struct relay_way {
    struct buffer held;
    size_t passed;
};

struct relay {
    int fd;                     /* the client's */
    struct afar_client *server; /* NULL: none yet */
    struct relay_way up;        /* to the server */
    struct relay_way down;      /* to the client */
    struct track track;
    bool asked;        /* the client's first frame was looked at */
    bool sent;         /* bytes of the client were given to the server */
    bool client_ended; /* nothing more comes from it */
    bool server_ended;
    bool over;
    int64_t since_ms; /* when the client came, or when one side ended */
};

/* Takes `fd` over. */
void relay_open(struct relay *relay, int fd, int64_t now_ms);
void relay_close(struct relay *relay);

/* What to poll: [0] the client, [1] the server. True: do not wait, there is work. */
bool relay_watch(const struct relay *relay, struct pollfd watched[2]);

/* Does what can be done without waiting, within limits. */
void relay_turn(struct relay *relay, int64_t now_ms);

/* True if the client's first frame can be judged. *is_ping: it is a ping with this id, and was
 * removed. */
bool relay_first(struct relay *relay, bool *is_ping, uint64_t *id);

/* Puts a pong for the client. False: out of memory. */
bool relay_say_pong(struct relay *relay, uint64_t id, const char *version, const char *features);

/* Tells the client (`closing`) that nothing of its request was given to the server, and ends. */
void relay_turn_away(struct relay *relay);

/* If the relay is over, and its connection can serve another client: returns that, which the caller
 * closes. NULL: it cannot. */
struct afar_client *relay_give_back(struct relay *relay);

#endif
