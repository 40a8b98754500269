/* One run on the client's side: what was sent and not acknowledged, which frame is due, and what to
 * do when the connection is lost (PROTOCOL.md §10). Connecting, sending, waiting and delivering the
 * output are its owner's.
 *
 *     NEW ─ exec put (begin), its first byte given to the transport (sent) ─▶ ASKED ─ started ─▶ RUN
 *     RUN ─ cut ─▶ AWAY ─ connect_now, connected ─▶ ATTACH ─ attached ─▶ RUN
 *     RUN ─ exit ─ finish ─▶ ENDED
 *
 *     each frame that comes: run_guest_message, which says by an event what the owner is to do
 *     each frame delivered:  run_guest_taken      sometimes: run_guest_put_ack
 *     room in `out` again:   run_guest_push
 *     connection ended, or could not be had:  run_guest_lost, and then run_guest_deadline_ms
 *
 * The exec is never sent twice: once a byte of it was given to the transport, the guest only
 * attaches. All frames are put into `out`, the owner's buffer for the connection that is there now;
 * on a new connection the owner begins with an empty one, and a decoder that knows nothing of the
 * old.
 *
 * Owns:    the standard input that has been sent and may have to be sent again.
 * Threads: one owner; no lock.
 * Blocks:  never; no system call, no clock and no chance: the owner says what time it is (of a
 *          clock that goes on while the machine sleeps), and brings random numbers.
 * Limits:  stdin_credit bytes of input, and RUN_GUEST_RING_MAX_BYTES; RUN_GUEST_SIGNALS_MAX signals
 *          that wait. */
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
    RUN_GUEST_RING_MAX_BYTES = 64 << 20, /* whatever credit a server gives */
    /* Between two attempts: this, twice this, … and at most this; the first is made at once. */
    RUN_GUEST_RETRY_MS = 100,
    RUN_GUEST_RETRY_MAX_MS = 5000,
    /* So long after an exec that may still be on its way `not_found` is not believed. */
    RUN_GUEST_PATIENCE_MS = 2000
};

enum run_guest_state {
    RUN_GUEST_NEW,    /* no byte of its request has been given to a transport */
    RUN_GUEST_ASKED,  /* the exec has been, and is not answered */
    RUN_GUEST_RUN,    /* attached */
    RUN_GUEST_AWAY,   /* no connection */
    RUN_GUEST_ATTACH, /* the attach has been put, and is not answered */
    RUN_GUEST_ENDED
};

struct run_guest_setup {
    const char *holder; /* random, another for each run; NULL where resume_ms is 0 and job NULL */
    uint64_t resume_ms; /* asked for; 0: where the connection is lost, so is the run */
    const char *job;    /* it begins with an attach to that; NULL: with an exec */
    bool watch;         /* with a job: it only reads, and takes nothing over … */
    bool no_output;     /* … and only the end */
    bool no_follow;     /* … or what there is now */
    bool times;         /* … and when it was written */
    uint64_t first;     /* with a job: from that frame on; 0: … */
    bool has_since;     /* … or what was written … */
    uint64_t since_ms;  /* … so long ago, or later; otherwise all that is kept */
    bool stdin_stream;
    /* The run may have had input of an earlier process, and this one brings the same again: what
     * the server has is skipped. Otherwise this one's input comes behind it. */
    bool stdin_again;
    /* It may likewise, and this one's comes behind it also after an exec: keys. */
    bool stdin_behind;
    const struct screen_size
        *screen;   /* the attach comes from a terminal of this size, to which … */
    uint64_t tail; /* … so much of what was shown is to be shown again; NULL: it does not */
    uint64_t stdin_credit; /* until `started` says more; 0: MESSAGE_STDIN_CREDIT_BYTES */
    uint64_t window_max;   /* of output, that the owner will hold; 0: not said */
};

/* To be read by the owner; written only here. */
struct run_guest {
    enum run_guest_state state;
    char job[MESSAGE_JOB_ID_BYTES];    /* "": not known yet */
    char server[MESSAGE_SERVER_BYTES]; /* the instance that knew it last; "": not known */
    uint64_t id;                       /* of the request on this connection */
    bool confirmed;                    /* started, or attached, at least once */
    bool running;                      /* `started` has come, or need not come any more */
    bool kept;
    uint64_t resume_ms;    /* granted */
    uint64_t next_seq;     /* of the frame that is due */
    uint64_t taken;        /* every frame below is delivered */
    uint64_t acked;        /* as the server was told on this connection */
    uint64_t bytes[2];     /* of each stream, before next_seq: what came, was cut, or lay before */
    uint64_t cut_bytes[2]; /* of these so many were cut */
    bool exit_seen;

    char holder[MESSAGE_HOLDER_BYTES];
    uint64_t asked_resume_ms;
    uint64_t window_max;
    uint64_t attempt;
    uint64_t first; /* as in the setup, as the next eight */
    uint64_t since_ms;
    uint64_t tail;
    struct screen_size screen;
    bool watch;
    bool no_output;
    bool no_follow;
    bool times;
    bool has_since;
    bool has_screen;
    bool takes_over; /* it has begun with an attach */
    bool connected;  /* frames may be put */
    bool heard;      /* something of our request has come, on any connection */
    bool progress;   /* … beyond `attached`, on this one */
    enum { RUN_GUEST_WELCOME, RUN_GUEST_NOT_NOW, RUN_GUEST_DENIED } door; /* of this connection */

    bool stdin_stream;
    bool stdin_again;
    bool stdin_behind;
    bool stdin_ended; /* by us */
    bool stdin_over;  /* it was ended by whoever had the run before: nobody reads ours */
    bool eof_put;     /* on this connection */
    uint64_t stdin_credit;
    uint64_t stdin_sent; /* the end of what was accepted from the owner */
    uint64_t stdin_put;  /* of that, as far as it was put on this connection */
    uint64_t stdin_acked;
    uint64_t stdin_skip; /* so many of the owner's next bytes the server has already */
    struct buffer ring;  /* what may have to be sent again: up to stdin_sent */
    bool closed[2];      /* run_guest_close_output was called */
    bool close_put[2];   /* on this connection */
    size_t signals;      /* that wait */
    char signal[RUN_GUEST_SIGNALS_MAX][AFAR_SIGNAL_NAME_BYTES]; /* oldest first */
    bool leaving;                                               /* run_guest_detach was called */
    bool leave_put;

    bool connecting;
    unsigned tries;        /* since there was last progress */
    int64_t try_at_ms;     /* AWAY */
    int64_t give_up_ms;    /* AWAY, ATTACH */
    int64_t believe_at_ms; /* when `not_found` is believed */
};

/* AFAR_EINVAL: not such a holder as the protocol wants. */
enum afar_status run_guest_open(struct run_guest *guest, const struct run_guest_setup *setup,
                                struct afar_error *err);

/* Also for one that was only zeroed. */
void run_guest_close(struct run_guest *guest);

/* ---- the connection -------------------------------------------------------------------------- */

/* The owner has put its exec (with guest->holder and asked_resume_ms) as request `id`. NEW. */
void run_guest_begin(struct run_guest *guest, uint64_t id);

/* The transport has taken the first byte of it: NEW becomes ASKED. Harmless otherwise. */
void run_guest_sent(struct run_guest *guest);

/* A connection is there for it, also the first one of a run that begins with an attach: puts the
 * attach as request `id`. NEW, AWAY. AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status run_guest_connected(struct run_guest *guest, uint64_t id, struct buffer *out,
                                     struct afar_error *err);

enum run_guest_loss {
    RUN_GUEST_CUT, /* the end, a reset, silence, or no connection could be had */
    /* An alert of TLS that refuses our certificate: nothing has been read. */
    RUN_GUEST_TURNED_AWAY
};

enum run_guest_after {
    RUN_GUEST_NOT_SENT, /* NEW: nothing ran; it may begin again, or fail */
    RUN_GUEST_RETRY,    /* AWAY: see run_guest_deadline_ms */
    RUN_GUEST_COMPLETE, /* ENDED: the receipt was there already */
    RUN_GUEST_OVER      /* ENDED: err (AFAR_ECLOSED) says what is not known */
};

/* The connection has ended, or there could not be one. `random`: any number. */
enum run_guest_after run_guest_lost(struct run_guest *guest, enum run_guest_loss loss,
                                    int64_t now_ms, uint32_t random, struct afar_error *err);

/* AWAY: when run_guest_connect_now will say yes; INT64_MAX: it waits for nothing. */
int64_t run_guest_deadline_ms(const struct run_guest *guest);

/* True, once for each attempt: connect (looking everything up anew), and then run_guest_connected
 * or run_guest_lost. */
bool run_guest_connect_now(struct run_guest *guest, int64_t now_ms);

/* It shall be given up at the latest so long from now. */
void run_guest_hurry(struct run_guest *guest, int64_t now_ms, int64_t within_ms);

/* ---- what comes ------------------------------------------------------------------------------ */

enum run_guest_event {
    RUN_GUEST_NOTHING,  /* not for this run, or nothing to do */
    RUN_GUEST_STARTED,  /* job, window and grant are known (message->window) */
    RUN_GUEST_ATTACHED, /* likewise; where it was away: it is back */
    RUN_GUEST_OUTPUT,   /* the payload is the stream's next: deliver it, then run_guest_taken */
    RUN_GUEST_LACK,     /* `cut`: so much is missing here (message->cut.lost): likewise */
    RUN_GUEST_ROOM,     /* more of stdin may be written */
    RUN_GUEST_EXIT,     /* the receipt; when all is delivered, run_guest_finish */
    RUN_GUEST_REFUSED,  /* ENDED by this error: it never ran, or the server has given it up */
    RUN_GUEST_LEFT,     /* ENDED: detached */
    RUN_GUEST_DROP,     /* give this connection up: close it, then run_guest_lost */
    RUN_GUEST_FAILED    /* ENDED: err says why. The command may run on */
};

/* Acts on a message, of whatever request. What is put goes to `out`. AFAR_EPEER: the server breaks
 * the protocol, and the run is of no use any more. AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status run_guest_message(struct run_guest *guest, const struct message *message,
                                   int64_t now_ms, struct buffer *out, enum run_guest_event *event,
                                   struct afar_error *err);

/* Every frame below `next` has been delivered. */
void run_guest_taken(struct run_guest *guest, uint64_t next);

/* Acknowledges what was taken, where something is new and the guest is in RUN. */
enum afar_status run_guest_put_ack(struct run_guest *guest, struct buffer *out,
                                   struct afar_error *err);

/* The receipt and all before it have been taken: ENDED. Puts the last ack, which the server waits
 * for; `out` NULL: another exec follows at once on this connection, and says the same. */
enum afar_status run_guest_finish(struct run_guest *guest, struct buffer *out,
                                  struct afar_error *err);

/* ---- what goes ------------------------------------------------------------------------------- */

/* Accepts as much of stdin as there is credit for. *taken 0: none now (also while it is away);
 * where nobody will read it any more, all of it is taken. AFAR_EINVAL: no stdin, or it was closed.
 * AFAR_ENOMEM: nothing was taken. */
enum afar_status run_guest_write(struct run_guest *guest, struct buffer *out, const void *data,
                                 size_t size, size_t *taken, struct afar_error *err);

/* These hold also while it is away, and are told when it is back: close and the end of stdin as
 * often as it takes, a signal (of each name the last that was raised) once or not at all, where it
 * was on its way when the connection was lost. What `out` has no room for waits for
 * run_guest_push. */
void run_guest_close_stdin(struct run_guest *guest, struct buffer *out);
void run_guest_close_output(struct run_guest *guest, struct buffer *out, enum stream stream);
void run_guest_detach(struct run_guest *guest, struct buffer *out);

/* AFAR_ELIMIT: too many wait. AFAR_EINVAL: no such name can be sent. */
enum afar_status run_guest_signal(struct run_guest *guest, struct buffer *out, const char *name,
                                  struct afar_error *err);

/* Puts what waits, as far as `out` has room for it. To be called when some of `out` has been sent.
 * AFAR_ELIMIT, AFAR_ENOMEM: the rest still waits. */
enum afar_status run_guest_push(struct run_guest *guest, struct buffer *out,
                                struct afar_error *err);

#endif
