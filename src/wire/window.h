/* Whether it is the window that keeps a run waiting, and how large it should be: for output, and for
 * the credit of its input. On a network with long ways a window that is too small costs a round trip
 * each time that it is full.
 *
 * It grows where
 *   - it was full, and all of it had been sent: what the peer has is all that it may have;
 *   - and it came back (was acknowledged; or, of input, the credit was used up while the command had
 *     nothing to read) within twice the shortest time that anything took there and back.
 * The second is not so of a peer that is slow: what it takes in one round trip is less than half of
 * its window, and more would only lie there. Where that has become so it shrinks again.
 *
 * The shortest time is the least of all times that were seen, each of which is too long by something:
 * a ping's, which the client answers whatever its consumer does, but which may stand behind much
 * else; and that of a frame and its acknowledgement, which the client may hold back. Without a ping
 * nothing grows: to acknowledgements alone a client that pauses and then takes everything at once
 * looks like one that is far away.
 *
 * Owns:    nothing.
 * Threads: one owner; no lock.
 * Blocks:  never; no clock: the owner says what time it is (monotonic, in microseconds, not 0).
 * Limits:  most_bytes of each. */
#ifndef WIRE_WINDOW_H
#define WIRE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Nearer than this nothing grows: the windows that there are to begin with allow hundreds of
     * megabytes a second there; and on a machine that is busy it is a processor that is waited for. */
    WINDOW_NEAR_US = 5000,
    /* A client acknowledges after so much, whatever the window, and a quarter of that if it is less;
     * else what has grown would come back in a few large pieces. */
    WINDOW_ACK_BYTES = 524288
};

struct window {
    size_t bytes;       /* now */
    size_t least_bytes; /* where it has begun, or where it goes back to */
    size_t most_bytes;
    bool marked;     /* a full one is on its way; … */
    uint64_t target; /* … it has come back when this is reached */
    int64_t since_us;
    int64_t gap_us;  /* of that, so long nothing came, and was waited for */
    int64_t took_us; /* one that has come back, and has not been judged; 0: none */
    bool slow;       /* it is far more than its peer takes */
};

struct windows {
    bool grow;        /* the peer on this connection knows of growing windows, and they may */
    int64_t now_us;   /* as the owner said last; 0: never */
    int64_t best_us;  /* the shortest time there and back on this connection; 0: not known */
    int64_t asked_us; /* when a ping was sent */
    enum { WINDOWS_SILENT, WINDOWS_WANT_PING, WINDOWS_ASKED, WINDOWS_ANSWERED } path;
    bool probing; /* a frame's time is taken, until … */
    uint64_t probe;
    int64_t probe_us;
    uint64_t in_end;     /* the most that a client was told that it may send up to */
    int64_t received_us; /* when input came last, … */
    int64_t waited_us;   /* … and when the command was last seen to wait for more */
    struct window out;
    struct window in;
};

/* `most_bytes` less than one of the others: that one does not grow. */
void windows_open(struct windows *windows, size_t out_bytes, size_t in_bytes, size_t most_bytes);

/* A connection begins; nothing of the way is known. */
void windows_begin(struct windows *windows, bool grow);

/* ---- output: counted from the start, in bytes on the wire ---------------------------------------- */

/* Something was sent: of it so much has been acknowledged since the start, and so much is on its way.
 * `full`: that is all that there is, and there is room for no more. */
void windows_sent(struct windows *windows, uint64_t acked, uint64_t on_way, bool full);

/* More has been acknowledged. */
void windows_acked(struct windows *windows, uint64_t acked);

/* ---- input: likewise, in bytes of it -------------------------------------------------------------- */

/* The client is told now that it may send up to `end`. `waits`: the command has taken all that has
 * come. `taken`: so much, from the start. */
void windows_granted(struct windows *windows, uint64_t taken, bool waits, uint64_t end);

/* Something has come. `waits`: the command had taken all that had come before. */
void windows_received(struct windows *windows, bool waits);

/* The command has taken so much, from the start. */
void windows_taken(struct windows *windows, uint64_t taken);

/* ---- both ----------------------------------------------------------------------------------------- */

/* What is known besides makes it likely that the way is long: a ping is worth its while, before much
 * has been sent. */
void windows_expect_far(struct windows *windows);

/* True, once on each connection: a ping is to be sent behind all that was sent. And its answer. */
bool windows_ask(struct windows *windows);
void windows_answered(struct windows *windows);

/* The way is known and far: what can be said at once should be. */
bool windows_are_far(const struct windows *windows);

/* How large it should be; what it is, where there is nothing to change. An answer is given once. */
size_t window_wants(const struct windows *windows, struct window *window);

/* It is so large now. */
void window_set(struct window *window, size_t bytes);

#endif
