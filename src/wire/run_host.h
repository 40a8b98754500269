/* The server's side of one run: which client holds it, to which connection it is attached, and how
 * far its input, output and receipt have come (PROTOCOL.md §10). This module decides; the owner has
 * the job, the connection and the clock.
 *
 *     exec:    run_host_open
 *     frames:  run_host_stdin, run_host_ack ─ job     run_host_peek ─ send ─ run_host_sent
 *     job:     output_log_reserve, _commit of host->log; run_host_stdin_taken; run_host_ended
 *     cut:     run_host_lost … run_host_attach …      or run_host_time: no client came back
 *
 * An enum run_host_after says what the owner is to do next.
 *
 * `session` is a pointer that stands for a connection and is only compared. It is the fence: frames
 * from any other than the attached one, and its end, are ignored. A session that run_host_attach
 * displaced, or that got RUN_HOST_FREE or RUN_HOST_RELEASE, has no run any more.
 *
 * This module never releases a kept run; such a run waits for ever. Its frames are in the owner's
 * spool, and the log is the window through which the holder reads them. The owner fills the log,
 * from output_log_end(host->log) on, whenever it has room and after each attach, which may have
 * emptied it and set it to another frame. Call run_host_ended when the log has been filled up to
 * the receipt. Its windows are at their initial sizes while nobody is attached.
 *
 * Owns:    the log.
 * Threads: one owner; no lock. No pointer to a thread or a loop.
 * Blocks:  never; no system call, no clock: the owner passes the time (monotonic).
 * Limits:  window_bytes of output, stdin_credit bytes of input that the job has not taken. If the
 *          client supports growing windows (window_max) and the owner lets them grow (window_most,
 *          run_host_clock, run_host_set_window, run_host_set_credit), both up to the smaller of
 *          window_max and window_most. */
#ifndef WIRE_RUN_HOST_H
#define WIRE_RUN_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/error.h"
#include "wire/message.h"
#include "wire/output_log.h"
#include "wire/refusal.h"
#include "wire/window.h"

/* What the owner of a kept run provides. The owner must know it without reading from a disk. */
struct run_spool {
    /* Returns the bytes of each stream before frame `seq`. False: not known, because `seq` is among
     * the frames that are gone (never so for frame 0). */
    bool (*bytes_before)(const struct run_spool *spool, uint64_t seq, uint64_t bytes[2]);
};

struct run_host_setup {
    const char *holder; /* NULL or "": no client can come back, except to a kept job: the first */
    uint64_t resume_ms; /* granted; 0: a disconnect ends the run; ignored for a kept run */
    const struct run_spool *spool; /* must outlive the host; NULL: not a kept run */
    bool stdin_stream;
    uint64_t stdin_credit;
    size_t window_bytes;
    uint64_t window_max; /* the client's limit; 0: not said */
    size_t window_most;  /* the owner's limit; 0: windows do not grow */
    const void *session; /* of the exec; NULL: to be attached later, by an attempt ≥ 0 */
    uint64_t id;         /* of the exec */
};

/* The owner may read the members, but only these functions write them. */
enum { RUN_HOST_PASTS = 4 };

/* A holder that another client has displaced. */
struct run_host_past {
    char holder[MESSAGE_HOLDER_BYTES]; /* "": none */
    uint64_t next_attempt;
};

struct run_host {
    struct output_log *log;
    const void *session; /* the attached one; NULL: away */
    uint64_t id;         /* of the request on its connection */
    uint64_t resume_ms;
    uint64_t window_max; /* the least of all clients attached so far; kept: of the last; 0: not
                            said */
    size_t window_most;
    struct windows windows;
    bool kept;
    bool ended; /* the receipt is in the log */

    char holder[MESSAGE_HOLDER_BYTES];
    uint64_t next_attempt;                     /* the lowest attempt that is not stale */
    struct run_host_past past[RUN_HOST_PASTS]; /* the last that were displaced */
    unsigned past_at;                          /* the next to be replaced */
    int64_t away_until_ms;                     /* INT64_MAX: attached, kept, or already expired */
    bool expired;     /* no client came in time, and the owner was told to end the job */
    uint64_t spooled; /* kept: one beyond the newest frame in the spool */
    const struct run_spool *spool;
    bool spool_waits; /* kept: the spool has a frame for which the log has no room */

    bool stdin_stream;
    bool stdin_eof; /* the end has been received */
    uint64_t stdin_credit;
    uint64_t stdin_received; /* bytes from the start, without a gap */
    uint64_t stdin_taken;    /* by the job */
    uint64_t stdin_acked;    /* as told to the client */
    uint64_t stdin_end;      /* the client may send up to this offset */
    bool credit_changed;     /* since the start */
    int64_t stdin_ack_by_ms; /* when the ack is due; INT64_MAX: none */
};

enum run_host_after {
    RUN_HOST_GOES_ON, /* nothing to do */
    RUN_HOST_STOP,    /* end the job with the outcome `disconnected`; its receipt is still wanted */
    RUN_HOST_FREE,    /* the request has ended; the run is kept and goes on */
    RUN_HOST_RELEASE  /* the run is over: close it, and abandon the job if there still is one */
};

/* Initializes *host; release it with run_host_close. AFAR_ENOMEM: the host is as if closed. */
enum afar_status run_host_open(struct run_host *host, const struct run_host_setup *setup,
                               int64_t now_ms, struct afar_error *err);

/* Valid for a zeroed host, too. */
void run_host_close(struct run_host *host);

/* ---- who holds it ---------------------------------------------------------------------------- */

enum run_host_verdict {
    RUN_HOST_ATTACHED,
    RUN_HOST_SUPERSEDED, /* wants to resume a run that another holder has taken over */
    RUN_HOST_STALE,      /* the same holder has already made a later attempt */
    RUN_HOST_GONE,       /* wants frames that are no longer held or never existed */
    RUN_HOST_WATCH       /* wants only to read: the owner needs a separate reader */
};

/* Why the client is refused; REFUSAL_NONE for ATTACHED and WATCH. */
enum refusal_code run_host_refusal(enum run_host_verdict verdict);

/* The word of that code; NULL for ATTACHED and WATCH. */
const char *run_host_code(enum run_host_verdict verdict);

/* The session that was attached before: unless it is inside a frame, send it the error `code`; then
 * close its connection. `session` NULL: none was attached. */
struct run_host_displaced {
    const void *session;
    const char *code; /* superseded, or stale if the holder is the same */
};

/* Handles an attach from `session`, request `id`. Only ATTACHED changes anything: then send
 * `attached` with what run_host_tell says, before any frame of the log. The attach may have
 * acknowledged frames: read the job's pipes again and call run_host_over. */
enum run_host_verdict run_host_attach(struct run_host *host, const void *session, uint64_t id,
                                      const struct message_attach *attach,
                                      struct run_host_displaced *displaced);

/* Fills in `attached` except for the job's state. Sending it acknowledges the stdin taken so
 * far. */
void run_host_tell(struct run_host *host, struct message_attached *attached);

/* The connection of `session` has ended, for any reason. Does nothing if `session` is not
 * attached. */
enum run_host_after run_host_lost(struct run_host *host, const void *session, int64_t now_ms);

/* The client of `session` detaches for good. Must not be called inside a frame. */
enum run_host_after run_host_detach(struct run_host *host, const void *session);

/* `session` starts another request, which implies that it has this one's receipt. GOES_ON: the
 * receipt was not sent yet, and only one request at a time is allowed. */
enum run_host_after run_host_next(struct run_host *host, const void *session);

/* Lowers the granted resume time. RELEASE: it is 0 now and no session is attached. */
enum run_host_after run_host_grant(struct run_host *host, uint64_t resume_ms, int64_t now_ms);

/* The server stops: a client that is away is not waited for any longer. */
void run_host_hurry(struct run_host *host, int64_t now_ms);

/* When run_host_time is to be called; INT64_MAX: never. */
int64_t run_host_deadline_ms(const struct run_host *host);
enum run_host_after run_host_time(struct run_host *host, int64_t now_ms);

/* Whether the request has ended; to be called after run_host_sent, run_host_ack and
 * run_host_attach. A run to which no client can come back ends when its receipt was sent, other
 * runs when it was acknowledged. */
enum run_host_after run_host_over(struct run_host *host);

/* ---- input ----------------------------------------------------------------------------------- */

/* The new part of a stdin frame: give the job `size` bytes from `skip` on, and close its input if
 * `eof`. */
struct run_host_input {
    size_t skip;
    size_t size;
    bool eof;
};

/* Checks a stdin frame. Frames of other sessions and frames after the job's end give *input empty.
 * AFAR_EPEER: the frame violates the protocol; end the request by an error. */
enum afar_status run_host_stdin(struct run_host *host, const void *session, uint64_t offset,
                                size_t size, bool eof, struct run_host_input *input,
                                struct afar_error *err);

/* The job has taken `taken` bytes since the start. */
void run_host_stdin_taken(struct run_host *host, uint64_t taken);

/* True: an `ack` with stdin = *taken is due now; after putting it call run_host_stdin_acked. False:
 * if the ack can wait, *by_ms is until when, otherwise INT64_MAX (also while no session is
 * attached). */
bool run_host_stdin_ack_due(struct run_host *host, int64_t now_ms, uint64_t *taken, int64_t *by_ms);
void run_host_stdin_acked(struct run_host *host, uint64_t taken);

/* The credit that this ack must contain; 0: none. It is needed if the client supports growing
 * windows and the credit has changed since the start. */
uint64_t run_host_told_credit(const struct run_host *host);

/* ---- output ---------------------------------------------------------------------------------- */

/* output_log_peek and output_log_sent for the attached session; for any other there is nothing to
 * send. */
bool run_host_peek(struct run_host *host, const void *session, const uint8_t **data, size_t *size);
void run_host_sent(struct run_host *host, const void *session, size_t size);

/* Handles an `ack` with `next`. *resume: there is room again, so read the job's pipes. AFAR_EPEER
 * as of output_log_ack. */
enum afar_status run_host_ack(struct run_host *host, const void *session, uint64_t next,
                              bool *resume, struct afar_error *err);

/* The job has ended (kept run: the log has been filled up to the receipt). *after may be RELEASE:
 * the client did not come back in time. AFAR_ENOMEM: call again later. */
enum afar_status run_host_ended(struct run_host *host, const struct afar_receipt *receipt,
                                bool digest, enum run_host_after *after, struct afar_error *err);

/* ---- growing windows ------------------------------------------------------------------------- */

/* Sets the time, in microseconds. Call it before each function above that reports something sent or
 * received. Without it windows never change. */
void run_host_clock(struct run_host *host, int64_t now_us);

/* False: run_host_clock would have no effect. */
static inline bool run_host_wants_clock(const struct run_host *host)
{
    return host->windows.grow;
}

/* `started` with the credit is being put. `far`: the client is probably far away. */
void run_host_started(struct run_host *host, bool far);

/* True: send the client a ping behind all that was sent so far. run_host_answered: its pong has
 * arrived. */
bool run_host_ask(struct run_host *host);
void run_host_answered(struct run_host *host);

/* The size that the output window, or the input credit, should have; the present size if nothing is
 * to change. Each proposal is returned once. */
size_t run_host_wants_window(struct run_host *host);
size_t run_host_wants_credit(struct run_host *host);

/* Set the sizes, but never below the initial ones. The client learns a new credit with the next
 * ack, and may use what it was told before. For a client that does not support growing windows they
 * never shrink. */
void run_host_set_window(struct run_host *host, size_t bytes);
void run_host_set_credit(struct run_host *host, size_t bytes);

/* The window to announce to the client. A client that supports growing windows is told the least
 * size, by which it acknowledges. */
size_t run_host_told_window(const struct run_host *host);

/* How much of each may be in use now, which is more than its size after it has shrunk. */
size_t run_host_window_in_use(const struct run_host *host);
size_t run_host_credit_in_use(const struct run_host *host);

/* ---- kept ------------------------------------------------------------------------------------ */

/* The spool has every frame below `end`, which may include the receipt. */
void run_host_spooled(struct run_host *host, uint64_t end);

/* The log was filled as far as possible. `waits`: the next frame had no room. */
void run_host_spool_waits(struct run_host *host, bool waits);

#endif
