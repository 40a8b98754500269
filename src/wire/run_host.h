/* One run on the server's side: who holds it, which session it is attached to, and how far its
 * input, its output and its receipt have come (PROTOCOL.md §10). It decides; what it decides about,
 * the job, the session and the clock, are its owner's.
 *
 *     exec:    run_host_open
 *     frames:  run_host_stdin, run_host_ack ─ job     run_host_peek ─ send ─ run_host_sent
 *     job:     output_log_reserve, _commit of host->log; run_host_stdin_taken; run_host_ended
 *     cut:     run_host_lost … run_host_attach …      or run_host_time says that nobody came
 *
 * What the owner is to do then is an enum run_host_after.
 *
 * A session is a pointer that is only compared. It is the fence: what comes from another session
 * than that which is attached now, also its end, is ignored. A session that is displaced by
 * run_host_attach, or was told RUN_HOST_FREE or RUN_HOST_RELEASE, has no run any more.
 *
 * A kept run is never released by this module, and waits for ever. Its frames lie in a spool that
 * the owner has; the log is the window through which the holder reads them, and the owner fills it:
 * from output_log_end(host->log) on, whenever it has room and after each attach, which may have
 * emptied it and set it to another frame. run_host_ended is then for when the log has been filled
 * up to the receipt.
 *
 * Owns:    the log.
 * Threads: one owner; no lock. No pointer to a thread or a loop.
 * Blocks:  never; no system call, no clock: the owner says what time it is (monotonic).
 * Limits:  window_bytes of output, stdin_credit bytes of input that the job has not taken; where the
 *          client knows of growing windows (window_max) and the owner lets them grow (window_most,
 *          run_host_clock, run_host_set_window, run_host_set_credit), up to the least of both. */
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

/* What a kept run's host asks of its owner, which must know it without reading from a disk. */
struct run_spool {
    /* How many bytes of each stream lie before frame `seq`. False: that is not known, because it
     * was among what is gone (which is never so of frame 0). */
    bool (*bytes_before)(const struct run_spool *spool, uint64_t seq, uint64_t bytes[2]);
};

struct run_host_setup {
    const char *holder; /* NULL or "": nobody can come back */
    uint64_t resume_ms; /* granted; 0: a disconnect is the end; of no account where it is kept */
    const struct run_spool *spool; /* kept until the host is closed; NULL: it is not a kept run */
    bool stdin_stream;
    uint64_t stdin_credit;
    size_t window_bytes;
    uint64_t window_max; /* of the client; 0: not said */
    size_t window_most;  /* of the owner; 0: it does not grow */
    const void *session; /* of the exec; NULL: it is still to be attached, as attempt 0 or higher */
    uint64_t id;         /* of the exec */
};

/* To be read by the owner; written only here. */
struct run_host {
    struct output_log *log;
    const void *session; /* which is attached; NULL: away */
    uint64_t id;         /* of the request there */
    uint64_t resume_ms;
    uint64_t window_max; /* the least that everyone who is attached will hold; 0: not said */
    size_t window_most;
    struct windows windows;
    bool kept;
    bool ended; /* the receipt is in the log */

    char holder[MESSAGE_HOLDER_BYTES];
    uint64_t next_attempt; /* the lowest that is not stale */
    int64_t away_until_ms; /* INT64_MAX: attached, kept, or the time is up already */
    bool expired;          /* nobody came in time, and the owner has been told to end the job */
    uint64_t spooled;      /* kept: one beyond the newest frame that there is */
    const struct run_spool *spool;

    bool stdin_stream;
    bool stdin_eof; /* received */
    uint64_t stdin_credit;
    uint64_t stdin_received; /* bytes, from the start, without a gap */
    uint64_t stdin_taken;    /* by the job */
    uint64_t stdin_acked;    /* as the client was told */
    uint64_t stdin_end;      /* it may send up to this */
    bool credit_changed;     /* since the beginning */
    int64_t stdin_ack_by_ms; /* INT64_MAX: nothing is to be said */
};

enum run_host_after {
    RUN_HOST_GOES_ON, /* nothing */
    RUN_HOST_STOP,   /* end the job, with the outcome `disconnected`; its receipt is still wanted */
    RUN_HOST_FREE,   /* the request has ended, the run (which is kept) has not */
    RUN_HOST_RELEASE /* the run is over: close it, abandon the job where there still is one */
};

/* AFAR_ENOMEM. Then it is as if closed. */
enum afar_status run_host_open(struct run_host *host, const struct run_host_setup *setup,
                               int64_t now_ms, struct afar_error *err);

/* Also for one that was only zeroed. */
void run_host_close(struct run_host *host);

/* ---- who holds it ---------------------------------------------------------------------------- */

enum run_host_verdict {
    RUN_HOST_ATTACHED,
    RUN_HOST_SUPERSEDED, /* resumes what another holder has */
    RUN_HOST_STALE,      /* a later attempt of the same holder was here already */
    RUN_HOST_GONE,       /* wants frames that are not held, or never were */
    RUN_HOST_WATCH       /* wants only to read: a reader of its own, which is no business of this */
};

/* Why the client is refused; REFUSAL_NONE for ATTACHED and WATCH. */
enum refusal_code run_host_refusal(enum run_host_verdict verdict);

/* The word for that; NULL for ATTACHED and WATCH. */
const char *run_host_code(enum run_host_verdict verdict);

/* Who was attached before: send it the error `code` where it is not inside a frame, and close its
 * connection. `session` NULL: nobody was. */
struct run_host_displaced {
    const void *session;
    const char *code; /* superseded, or stale where it was the same holder's */
};

/* `session` asks, by the request `id`. Only ATTACHED changes anything: then send `attached` with
 * what run_host_tell says, before any frame of the log. The attach may have acknowledged frames:
 * read the job's pipes again, and look at run_host_over.
 */
enum run_host_verdict run_host_attach(struct run_host *host, const void *session, uint64_t id,
                                      const struct message_attach *attach,
                                      struct run_host_displaced *displaced);

/* What `attached` says, but for the job's state; the client then knows what was taken. */
void run_host_tell(struct run_host *host, struct message_attached *attached);

/* The connection of `session` has ended, in whatever way. Nothing where it is not attached. */
enum run_host_after run_host_lost(struct run_host *host, const void *session, int64_t now_ms);

/* The client of `session` leaves for good. Not inside a frame. */
enum run_host_after run_host_detach(struct run_host *host, const void *session);

/* `session` begins another request: it has this one's receipt, where that was sent. GOES_ON: it
 * was not, and only one request at a time is allowed. */
enum run_host_after run_host_next(struct run_host *host, const void *session);

/* It has turned out that no more than so much is granted. RELEASE: it is away, and that is 0. */
enum run_host_after run_host_grant(struct run_host *host, uint64_t resume_ms, int64_t now_ms);

/* Who is away need not be waited for any longer: the server stops. */
void run_host_hurry(struct run_host *host, int64_t now_ms);

/* When run_host_time has something to say; INT64_MAX: never. */
int64_t run_host_deadline_ms(const struct run_host *host);
enum run_host_after run_host_time(struct run_host *host, int64_t now_ms);

/* What has come of the request: asked after run_host_sent, run_host_ack and run_host_attach. A run
 * that nobody can come back to ends when its receipt was sent, others when it was acknowledged. */
enum run_host_after run_host_over(struct run_host *host);

/* ---- input ----------------------------------------------------------------------------------- */

/* What of a stdin frame is new: give the job `size` bytes from `skip` on, and close its input where
 * `eof` says so. */
struct run_host_input {
    size_t skip;
    size_t size;
    bool eof;
};

/* AFAR_EPEER: the frame breaks the rules, and the request ends by an error. */
enum afar_status run_host_stdin(struct run_host *host, const void *session, uint64_t offset,
                                size_t size, bool eof, struct run_host_input *input,
                                struct afar_error *err);

/* The job has taken so many bytes, from the start. */
void run_host_stdin_taken(struct run_host *host, uint64_t taken);

/* True: an `ack` with stdin = *taken is due now; when it has been put, run_host_stdin_acked. Where
 * it can wait, *by_ms is until when (else INT64_MAX). False while nobody is attached. */
bool run_host_stdin_ack_due(struct run_host *host, int64_t now_ms, uint64_t *taken, int64_t *by_ms);
void run_host_stdin_acked(struct run_host *host, uint64_t taken);

/* What that ack says besides: the credit, where its client knows of growing ones and was told less or
 * more before; 0: nothing. */
uint64_t run_host_told_credit(const struct run_host *host);

/* ---- output ---------------------------------------------------------------------------------- */

/* output_log_peek and output_log_sent, for the session that is attached: to any other there is
 * nothing to send. */
bool run_host_peek(struct run_host *host, const void *session, const uint8_t **data, size_t *size);
void run_host_sent(struct run_host *host, const void *session, size_t size);

/* An `ack` with `next`. *resume: there is room again, and the job's pipes are to be read.
 * AFAR_EPEER as of output_log_ack. */
enum afar_status run_host_ack(struct run_host *host, const void *session, uint64_t next,
                              bool *resume, struct afar_error *err);

/* The job has ended (of a kept one: the log has been filled up to its receipt). *after may be
 * RELEASE: everyone who could want it is gone. AFAR_ENOMEM: call again. */
enum afar_status run_host_ended(struct run_host *host, const struct afar_receipt *receipt,
                                bool digest, enum run_host_after *after, struct afar_error *err);

/* ---- growing windows ------------------------------------------------------------------------- */

/* What time it is, in microseconds: before each of the calls above that tell of something sent or
 * received. An owner that never says it has windows that stay as they are. */
void run_host_clock(struct run_host *host, int64_t now_us);

/* True: time is needed; false: it would be of no account. */
static inline bool run_host_wants_clock(const struct run_host *host)
{
    return host->windows.grow;
}

/* `started` is put now, and says the credit. `far`: it seems that the client is far away. */
void run_host_started(struct run_host *host, bool far);

/* True: send the client a ping, behind what was sent so far. And when its pong has come. */
bool run_host_ask(struct run_host *host);
void run_host_answered(struct run_host *host);

/* How large the window for output, or the credit for input, should be; what it is now, where nothing is
 * to be changed. Each is said once. */
size_t run_host_wants_window(struct run_host *host);
size_t run_host_wants_credit(struct run_host *host);

/* They are so large from now on, at least as at the beginning. Of a credit the client hears with the
 * next ack, and what it was told before it may use. To a client that knows nothing of that they do not
 * become smaller. */
void run_host_set_window(struct run_host *host, size_t bytes);
void run_host_set_credit(struct run_host *host, size_t bytes);

/* The window that a client is told: of one that knows that it may grow it is what it will never be
 * less than, by which it acknowledges. */
size_t run_host_told_window(const struct run_host *host);

/* How much of these two may be used now, also where they have become smaller. */
size_t run_host_window_in_use(const struct run_host *host);
size_t run_host_credit_in_use(const struct run_host *host);

/* ---- kept ------------------------------------------------------------------------------------ */

/* The spool has every frame below `end`, the receipt included. */
void run_host_spooled(struct run_host *host, uint64_t end);

#endif
