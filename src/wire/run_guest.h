/* The client's side of one run: what was sent and not acknowledged, which frame is due, and what to
 * do when the connection is lost (PROTOCOL.md §10). The owner connects, sends, waits and delivers
 * output.
 *
 *     NEW ─ exec put (begin), first byte given to the transport (sent) ─▶ ASKED ─ started ─▶ RUN
 *     RUN ─ cut ─▶ AWAY ─ connect_now, connected ─▶ ATTACH ─ attached ─▶ RUN
 *     RUN ─ exit ─ finish ─▶ ENDED
 *
 *     each frame received:   run_guest_message; its event says what the owner is to do
 *     each frame delivered:  run_guest_taken      sometimes: run_guest_put_ack
 *     room in `out` again:   run_guest_push
 *     connection ended, or not established:  run_guest_lost, and then run_guest_deadline_ms
 *
 * The exec is never sent twice: after a byte of it was given to the transport, the guest only
 * attaches. All frames are put into `out`, the owner's buffer for the current connection. For a new
 * connection the owner starts with an empty buffer and a fresh decoder.
 *
 * Owns:    the standard input that has been sent and may have to be sent again.
 * Threads: one owner; no lock.
 * Blocks:  never; no system call, no clock, no random numbers: the owner passes the time (of a
 *          clock that runs while the machine sleeps) and random numbers.
 * Limits:  stdin_credit bytes of input, and RUN_GUEST_RING_MAX_BYTES; RUN_GUEST_SIGNALS_MAX waiting
 *          signals. */
#ifndef WIRE_RUN_GUEST_H
#define WIRE_RUN_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "wire/message.h"

enum {
    RUN_GUEST_SIGNALS_MAX = 16,
    RUN_GUEST_RING_MAX_BYTES = 64 << 20, /* even if a server grants more credit */
    /* The wait between two attempts: this, twice this, … up to the maximum; the first attempt is
     * immediate. */
    RUN_GUEST_RETRY_MS = 100,
    RUN_GUEST_RETRY_MAX_MS = 5000,
    /* For this long after an exec that may still be on its way, `not_found` is not believed. */
    RUN_GUEST_PATIENCE_MS = 2000
};

enum run_guest_state {
    RUN_GUEST_NEW,    /* no byte of the request has been given to a transport */
    RUN_GUEST_ASKED,  /* the exec has been sent and not answered */
    RUN_GUEST_RUN,    /* attached */
    RUN_GUEST_AWAY,   /* no connection */
    RUN_GUEST_ATTACH, /* the attach has been put and not answered */
    RUN_GUEST_ENDED
};

struct run_guest_setup {
    const char *holder; /* random, different for each run; may be NULL if resume_ms is 0 and job
                           is NULL */
    uint64_t resume_ms; /* time to ask for; 0: a lost connection ends the run */
    const char *job;    /* start with an attach to this job; NULL: with an exec */
    bool watch;         /* with a job: only read, do not become the holder … */
    bool no_output;     /* … and want only the end */
    bool no_follow;     /* … or only the output so far */
    bool times;         /* … and the time of each frame */
    uint64_t first;     /* with a job: from this frame on; 0: … */
    bool has_since;     /* … from a time on … */
    uint64_t since_ms; /* … output that is at most this old; without has_since: all that is kept */
    bool
        keep; /* the exec asks for a kept job, which an earlier one may have begun if it has a name */
    bool stdin_stream;
    /* The run may have received input from an earlier process, and this process provides the same
     * input again: skip what the server has. Otherwise this process's input follows it. */
    bool stdin_again;
    /* Likewise, but this process's input follows the earlier input even after an exec: keys. */
    bool stdin_behind;
    const struct screen_size *screen; /* size of the client's terminal; NULL: no terminal */
    uint64_t tail;                    /* with a screen: bytes of earlier output to show again */
    uint64_t stdin_credit; /* until `started` grants more; 0: MESSAGE_STDIN_CREDIT_BYTES */
    uint64_t window_max;   /* output that the owner is ready to hold; 0: not said */
};

/* The owner may read the members, but only these functions write them. */
struct run_guest {
    enum run_guest_state state;
    char job[MESSAGE_JOB_ID_BYTES];    /* "": not known yet */
    char server[MESSAGE_SERVER_BYTES]; /* the server that knew the job last; "": not known */
    uint64_t id;                       /* of the request on this connection */
    bool confirmed;                    /* started or attached at least once */
    bool running;                      /* `started` has come or is not needed any more */
    bool kept;
    uint64_t resume_ms;    /* granted */
    uint64_t next_seq;     /* of the next frame expected */
    uint64_t taken;        /* every frame below this is delivered */
    uint64_t acked;        /* as told to the server on this connection */
    uint64_t bytes[2];     /* of each stream before next_seq: received, cut, or before the first
                              frame */
    uint64_t cut_bytes[2]; /* of these, cut */
    bool exit_seen;

    char holder[MESSAGE_HOLDER_BYTES];
    uint64_t asked_resume_ms;
    uint64_t window_max;
    uint64_t attempt;
    uint64_t first; /* as in the setup, like the next eight */
    uint64_t since_ms;
    uint64_t tail;
    struct screen_size screen;
    bool watch;
    bool no_output;
    bool no_follow;
    bool times;
    bool has_since;
    bool has_screen;
    bool keep;
    bool takes_over; /* the guest started with an attach */
    bool connected;  /* there is a connection */
    bool heard;      /* a frame for this request has arrived, on any connection */
    bool progress;   /* … more than `attached`, on this connection */
    enum { RUN_GUEST_WELCOME, RUN_GUEST_NOT_NOW, RUN_GUEST_DENIED } door; /* of this connection */

    bool stdin_stream;
    bool stdin_again;
    bool stdin_behind;
    bool stdin_ended; /* by this guest */
    bool stdin_over;  /* the previous holder ended stdin: ours is not read */
    bool eof_put;     /* on this connection */
    uint64_t stdin_credit;
    uint64_t stdin_sent; /* offset: accepted from the owner up to here */
    uint64_t stdin_put;  /* offset: put on this connection up to here */
    uint64_t stdin_acked;
    uint64_t stdin_skip; /* the server already has this many of the owner's next bytes */
    struct buffer ring;  /* bytes that may have to be sent again: up to stdin_sent */
    bool closed[2];      /* run_guest_close_output was called */
    bool close_put[2];   /* on this connection */
    size_t signals;      /* number of waiting signals */
    char signal[RUN_GUEST_SIGNALS_MAX][AFAR_SIGNAL_NAME_BYTES]; /* oldest first */
    bool leaving;                                               /* run_guest_detach was called */
    bool leave_put;

    bool connecting;
    unsigned tries;        /* attempts since the last progress */
    int64_t try_at_ms;     /* AWAY */
    int64_t give_up_ms;    /* AWAY, ATTACH */
    int64_t believe_at_ms; /* from then on `not_found` is believed */
};

/* Initializes *guest; release it with run_guest_close, also after an error. AFAR_EINVAL: the holder
 * is missing or is not one as the protocol defines it. */
enum afar_status run_guest_open(struct run_guest *guest, const struct run_guest_setup *setup,
                                struct afar_error *err);

/* True if its command may be the work of an earlier request: that of an exec with a name. */
bool run_guest_is_named(const struct run_guest *guest);

/* Valid for a zeroed guest, too. */
void run_guest_close(struct run_guest *guest);

/* ---- the connection -------------------------------------------------------------------------- */

/* The owner has put its exec (with guest->holder and asked_resume_ms) as request `id`. In state
 * NEW. */
void run_guest_begin(struct run_guest *guest, uint64_t id);

/* The transport has taken the first byte of the exec: NEW becomes ASKED. Harmless in other
 * states. */
void run_guest_sent(struct run_guest *guest);

/* There is a connection: puts the attach as request `id`. Also for the first connection of a run
 * that starts with an attach. In state NEW or AWAY. AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status run_guest_connected(struct run_guest *guest, uint64_t id, struct buffer *out,
                                     struct afar_error *err);

enum run_guest_loss {
    RUN_GUEST_CUT, /* end of the connection, reset, silence, or no connection was possible */
    /* A TLS alert rejected our certificate: the server has read nothing. */
    RUN_GUEST_TURNED_AWAY
};

enum run_guest_after {
    RUN_GUEST_NOT_SENT, /* NEW: nothing ran; the owner may start again or fail */
    RUN_GUEST_RETRY,    /* AWAY: see run_guest_deadline_ms */
    RUN_GUEST_COMPLETE, /* ENDED: the receipt had arrived before */
    RUN_GUEST_OVER      /* ENDED: err (AFAR_ECLOSED) says what is not known about the command */
};

/* The connection has ended or could not be established. `random`: any number; it spreads the
 * attempts. */
enum run_guest_after run_guest_lost(struct run_guest *guest, enum run_guest_loss loss,
                                    int64_t now_ms, uint32_t random, struct afar_error *err);

/* AWAY: when run_guest_connect_now will return true; INT64_MAX: not waiting. */
int64_t run_guest_deadline_ms(const struct run_guest *guest);

/* Returns true once for each attempt: the owner connects (resolving names again), and then calls
 * run_guest_connected or run_guest_lost. */
bool run_guest_connect_now(struct run_guest *guest, int64_t now_ms);

/* Gives up at the latest `within_ms` from now. */
void run_guest_hurry(struct run_guest *guest, int64_t now_ms, int64_t within_ms);

/* ---- what comes ------------------------------------------------------------------------------ */

enum run_guest_event {
    RUN_GUEST_NOTHING,  /* not for this run, or nothing to do */
    RUN_GUEST_STARTED,  /* job, window and grant are known (message->window) */
    RUN_GUEST_ATTACHED, /* likewise; after AWAY: the run is back */
    RUN_GUEST_OUTPUT,   /* the payload continues the stream: deliver it, then run_guest_taken */
    RUN_GUEST_LACK,     /* `cut`: message->cut.lost bytes are missing here; then run_guest_taken */
    RUN_GUEST_ROOM,     /* more of stdin may be written */
    RUN_GUEST_EXIT,     /* the receipt; when all is delivered, run_guest_finish */
    RUN_GUEST_REFUSED,  /* ENDED by this error: the command never ran, or the server ended the
                           run */
    RUN_GUEST_LEFT,     /* ENDED: detached */
    RUN_GUEST_DROP,     /* close this connection, then run_guest_lost */
    RUN_GUEST_FAILED    /* ENDED: err says why. The command may still be running */
};

/* Handles a message of any request. Answers are put into `out`. AFAR_EPEER: the server violates the
 * protocol, and the run cannot be continued. AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status run_guest_message(struct run_guest *guest, const struct message *message,
                                   int64_t now_ms, struct buffer *out, enum run_guest_event *event,
                                   struct afar_error *err);

/* Every frame below `next` has been delivered. */
void run_guest_taken(struct run_guest *guest, uint64_t next);

/* Puts an ack if frames have been taken since the last one and the state is RUN. AFAR_ELIMIT,
 * AFAR_ENOMEM. */
enum afar_status run_guest_put_ack(struct run_guest *guest, struct buffer *out,
                                   struct afar_error *err);

/* The receipt and all frames before it have been taken: ENDED. Puts the last ack, for which the
 * server waits. `out` NULL: another exec follows immediately on this connection and implies the
 * ack. AFAR_ELIMIT, AFAR_ENOMEM: not ended. */
enum afar_status run_guest_finish(struct run_guest *guest, struct buffer *out,
                                  struct afar_error *err);

/* ---- what goes ------------------------------------------------------------------------------- */

/* Accepts as much of stdin as there is credit for. *taken 0: nothing now (also while away). If the
 * input will not be read any more, all of it is taken and dropped. AFAR_EINVAL: the run has no
 * stdin, or stdin was closed. AFAR_ELIMIT, AFAR_ENOMEM: nothing was taken. */
enum afar_status run_guest_write(struct run_guest *guest, struct buffer *out, const void *data,
                                 size_t size, size_t *taken, struct afar_error *err);

/* These may be called while the run is away; the server is told when it is back. Closing and the
 * end of stdin are sent again on each new connection. Of several waiting signals with one name only
 * the last is sent; a signal that was on its way when the connection was lost may get lost. What
 * does not fit in `out` waits for run_guest_push. */
void run_guest_close_stdin(struct run_guest *guest, struct buffer *out);
void run_guest_close_output(struct run_guest *guest, struct buffer *out, enum stream stream);
void run_guest_detach(struct run_guest *guest, struct buffer *out);

/* AFAR_ELIMIT: too many signals wait. AFAR_EINVAL: the name is empty, too long or not UTF-8. */
enum afar_status run_guest_signal(struct run_guest *guest, struct buffer *out, const char *name,
                                  struct afar_error *err);

/* Puts what waits, as far as it fits in `out`. Call it when some of `out` has been sent.
 * AFAR_ELIMIT, AFAR_ENOMEM: the rest still waits. */
enum afar_status run_guest_push(struct run_guest *guest, struct buffer *out,
                                struct afar_error *err);

#endif
