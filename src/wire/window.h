/* Decides whether a run waits because of its window, and how large the window should be: for
 * output, and for the credit of input. On a network with long round trips a window that is too
 * small costs a round trip each time it is full.
 *
 * A window grows if
 *   - it was full and all of it had been sent: the peer had all that it may have;
 *   - and it came back within twice the shortest round trip ever seen (it was acknowledged; or, for
 *     input, the credit was used up while the command had nothing to read).
 *
 * The second condition fails for a slow peer: in one round trip it takes less than half of its
 * window, so a larger one would only hold waiting data. If a peer becomes slow the window shrinks
 * again.
 *
 * The shortest round trip is the minimum of all measured times, each of which is somewhat too long:
 * a ping is answered whatever the client's consumer does, but may be queued behind other data; and
 * the client may delay the acknowledgement of a frame. Without a ping nothing grows: by
 * acknowledgements alone, a client that pauses and then takes everything looks like one that is far
 * away.
 *
 * Owns:    nothing.
 * Threads: one owner; no lock.
 * Blocks:  never; no clock: the owner passes the time (monotonic, in microseconds, not 0).
 * Limits:  most_bytes of each window. */
#ifndef WIRE_WINDOW_H
#define WIRE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Below this round trip nothing grows: the initial windows allow hundreds of megabytes per
     * second there, and on a busy machine the delay is that of the processor. */
    WINDOW_NEAR_US = 5000,
    /* A client acknowledges after this many bytes, or after a quarter of the window if that is
     * less; otherwise a window that has grown would come back in a few large pieces. */
    WINDOW_ACK_BYTES = 524288
};

struct window {
    size_t bytes;       /* present size */
    size_t least_bytes; /* initial size; it never shrinks below */
    size_t most_bytes;
    bool marked;     /* a full window is on its way; … */
    uint64_t target; /* … it has come back when this count is reached */
    int64_t since_us;
    int64_t gap_us;  /* part of that time in which nothing came and was waited for */
    int64_t took_us; /* round trip of the last full window, not yet judged; 0: none */
    bool slow;       /* the window is far larger than its peer takes */
};

struct windows {
    bool grow;        /* the peer supports growing windows, and they may grow */
    int64_t now_us;   /* as the owner set it last; 0: never */
    int64_t best_us;  /* the shortest round trip on this connection; 0: not known */
    int64_t asked_us; /* when the ping was sent */
    enum { WINDOWS_SILENT, WINDOWS_WANT_PING, WINDOWS_ASKED, WINDOWS_ANSWERED } path;
    bool probing; /* a frame's round trip is measured, until … */
    uint64_t probe;
    int64_t probe_us;
    uint64_t in_end;     /* the highest offset up to which the client was told it may send */
    int64_t received_us; /* when input arrived last, … */
    int64_t waited_us;   /* … and when the command was last seen waiting for input */
    struct window out;
    struct window in;
};

/* If `most_bytes` is less than the initial size of a window, that window does not grow. */
void windows_open(struct windows *windows, size_t out_bytes, size_t in_bytes, size_t most_bytes);

/* A connection begins; its round trip is not known. */
void windows_begin(struct windows *windows, bool grow);

/* ---- output: counted from the start, in bytes on the wire ------------------------------------ */

/* Something was sent: `acked` bytes have been acknowledged since the start, and `on_way` bytes are
 * on their way. `full`: that is all there is, and there is no room for more. */
void windows_sent(struct windows *windows, uint64_t acked, uint64_t on_way, bool full);

/* `acked` bytes have been acknowledged since the start. */
void windows_acked(struct windows *windows, uint64_t acked);

/* ---- input: counted from the start, in bytes of input ---------------------------------------- */

/* The client is told now that it may send up to `end`. `waits`: the command has taken all input
 * that has arrived. `taken`: bytes that it has taken since the start. */
void windows_granted(struct windows *windows, uint64_t taken, bool waits, uint64_t end);

/* Input has arrived. `waits`: the command had taken all that arrived before. */
void windows_received(struct windows *windows, bool waits);

/* The command has taken `taken` bytes since the start. */
void windows_taken(struct windows *windows, uint64_t taken);

/* ---- both ------------------------------------------------------------------------------------ */

/* The client is probably far away, so a ping is useful before much has been sent. */
void windows_expect_far(struct windows *windows);

/* True, once on each connection: send a ping behind all that was sent. windows_answered: the pong
 * has arrived. */
bool windows_ask(struct windows *windows);
void windows_answered(struct windows *windows);

/* True if the round trip is known to be long, so acknowledgements should not be delayed. */
bool windows_are_far(const struct windows *windows);

/* The size that the window should have; its present size if nothing is to change. Each answer is
 * given once. */
size_t window_wants(const struct windows *windows, struct window *window);

/* Sets the window's present size. */
void window_set(struct window *window, size_t bytes);

#endif
