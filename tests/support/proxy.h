/* A network that behaves as badly as a network may: a proxy for one connection that delays, splits,
 * stops and cuts data as its plan says. Nothing is reordered, changed or invented.
 *
 *     proxy_plan_random(&plan, seed);
 *     struct proxy *proxy = proxy_start(server_url, &plan);
 *     … a client connects to proxy_url(proxy), and ends …
 *     proxy_stop(proxy, &result);
 *
 * Owns:    its listening socket, both connections, and a thread with a poll loop.
 * Threads: each proxy has its own, which shares nothing with the caller until proxy_stop.
 * Blocks:  proxy_stop, for that thread's last turn.
 * Limits:  one connection; PROXY_STEPS_MAX steps; 64 KiB buffered in each direction. */
#ifndef SUPPORT_PROXY_H
#define SUPPORT_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROXY_STEPS_MAX = 16 };

enum proxy_direction { PROXY_TO_SERVER, PROXY_TO_CLIENT };

enum proxy_action {
    PROXY_FORWARD,   /* forward `amount` bytes as they come */
    PROXY_SINGLE,    /* forward `amount` bytes, one at a time */
    PROXY_HOLD,      /* nothing for `amount` ms, or until the other direction moves */
    PROXY_STOP,      /* nothing for `amount` ms, not even reading */
    PROXY_FIN,       /* both peers see the end of the stream; buffered data is lost */
    PROXY_RESET,     /* both peers see a reset (on a Unix socket: the end) */
    PROXY_HALF_CLOSE /* this direction ends, the other goes on */
};

struct proxy_step {
    enum proxy_action action;
    unsigned amount;
};

/* The steps of each direction in order; after the last step everything is forwarded. */
struct proxy_plan {
    struct proxy_step steps[2][PROXY_STEPS_MAX];
    unsigned count[2];
    bool narrow; /* sockets with small buffers: both peers often send only in part */
};

/* Every second plan cuts once, at any place; the others only delay and split. Every second plan is
 * narrow. */
void proxy_plan_random(struct proxy_plan *plan, uint64_t seed);

/* One `action` (a cut) after exactly `after` bytes of that direction. */
void proxy_plan_cut(struct proxy_plan *plan, enum proxy_direction direction, unsigned after,
                    enum proxy_action action);

/* "to server: forward 10, fin; to client: hold 3" */
void proxy_plan_format(const struct proxy_plan *plan, char *text, size_t size);

struct proxy;

/* `server_url`: tcp://127.0.0.1:N, tls://127.0.0.1:N or unix:///path; the proxy's URL is of the
 * same kind (a path beside the server's). The plan is copied. Fails the test on an error. */
struct proxy *proxy_start(const char *server_url, const struct proxy_plan *plan);

/* Borrowed until proxy_stop. */
const char *proxy_url(const struct proxy *proxy);

struct proxy_result {
    uint64_t passed[2]; /* bytes forwarded to the server, to the client */
    bool cut;           /* a cut of the plan was made */
    bool failed;        /* the proxy itself could not connect or poll */
};

/* Closes what is still open, and ends the thread. */
void proxy_stop(struct proxy *proxy, struct proxy_result *result);

#endif
