/* What the files of libafar know of a client. Private to src/client/ and its unit tests.
 *
 *   client.c       connecting, closing, what to poll for
 *   context.c      certificates
 *   relay.c        a connection as bytes, for one who passes it on
 *   sized.c        structs of programs that know another version
 *   session_file.c TLS sessions that outlive the process
 *   keygen.c       new ones
 *   pump.c         bytes in and out, without waiting
 *   inbound.c      what a frame from the server does
 *   command.c      the command: request, standard input, signals
 *   process.c      the pump and the command together; waiting
 *   resume.c       the connection is lost, and had again
 *   delivery.c     output to the callbacks
 *   pty.c          its terminal
 *   control.c      ping and kill
 *   heartbeat.c    signs of life while a command runs in silence
 *   shell.c        the tutorial's sized and headed
 *   upper.c        the tutorial's upper
 *   health.c       what the server's health page says
 *   duplex.c       a request and its reply, for these two
 *   json_line.c    a frame as a line of JSON
 *   exit_status.c  a receipt as a shell would see it
 *   escape.c       text that a terminal does not obey
 *
 * The functions of afar/afar.h take an `err` that may be NULL, and write to it only if they fail:
 * client_tell. All others are given one, except afar_client_new_on_transport.
 *
 * Owns:    see the structs.
 * Threads: a client belongs to one thread at a time.
 * Blocks:  see afar/afar.h.
 * Limits:  CLIENT_IN_MAX_BYTES, CLIENT_OUT_MAX_BYTES, CLIENT_WINDOW_MAX_BYTES. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/afar.h>

#include "base/buffer.h"
#include "client/delivery.h"
#include "client/session_file.h"
#include "net/endpoint.h"
#include "tls/tls.h"
#include "net/transport.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/run_guest.h"

enum {
    CLIENT_IN_MAX_BYTES = FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES + FRAME_PAYLOAD_MAX_BYTES +
                          BUFFER_PACE_MAX_BYTES,
    /* The largest request, all of stdin's credit with a small frame for each byte or so, and
     * answers to a server that asks much and reads little. */
    CLIENT_OUT_MAX_BYTES = 4 << 20,
    /* A server may not make us keep more than this of a command's output. */
    CLIENT_WINDOW_MAX_BYTES = 1 << 30,
    /* And what it may let a window grow to: as much as a server can be set to. It is used where
     * the network needs it and our own reader stops. */
    CLIENT_WINDOW_GROWN_BYTES = RUN_GUEST_RING_MAX_BYTES
};

struct afar_context {
    struct tls_context *tls; /* owned; NULL: no credentials were given */
    struct session_files sessions;
};

struct command {
    /* What was sent and came, and what to do when the connection is lost. A command that nobody
     * wants to come back to has one too. */
    struct run_guest guest;
    bool running;  /* from afar_start until the receipt or refusal has been handed out */
    bool answered; /* some frame of it has come: the server has read the request */
    bool queued;
    bool started;
    bool ended;       /* exit, error or detached has come; what it said is in the next three */
    bool refused;     /* it was no exit */
    bool detaching;   /* we have given it up */
    bool has_receipt; /* handed out */
    bool attached;    /* it has come back at least once */
    bool on_pty;      /* asked for in the request */
    struct afar_error refusal;
    struct afar_receipt receipt;
    struct buffer last_header; /* of exit or error, for on_frame */
    struct delivery delivery;
    int64_t ack_by_ms; /* DEADLINE_NEVER: nothing is to be acknowledged */
};

/* A ping or kill that is under way. */
struct control {
    uint64_t id; /* 0: none */
    bool answered;
    enum message_type answer;
    struct afar_error refusal;
    char version[MESSAGE_WORD_BYTES];
    void (*on_job)(void *user, const struct afar_job *job); /* jobs */
    void *user;
    char last_job[MESSAGE_JOB_ID_BYTES];
    bool more;
};

/* See heartbeat.c. */
struct heartbeat {
    bool chosen;        /* the next two are as the program has said */
    int64_t beat_ms;    /* 0: none */
    int64_t silence_ms; /* 0: for ever */
    int64_t heard_ms;   /* when something came last */
    int64_t beaten_ms;  /* likewise, or when a ping was sent */
    /* Besides: the server is given up then, unless something comes. DEADLINE_NEVER: it is not. */
    int64_t answer_by_ms;
    bool paused;       /* until we send something again, silence is not held against anybody */
    int64_t ask_at_ms; /* for that, a ping is sent then; DEADLINE_NEVER: it was */
};

struct afar_client {
    struct transport *transport;   /* owned; NULL: away */
    struct endpoint *endpoint;     /* owned; where to connect again; NULL: not known */
    struct session_keeper *keeper; /* owned; NULL: no session is kept */
    enum endpoint_scheme scheme;
    enum endpoint_protocol protocol;
    char name[ENDPOINT_URL_BYTES]; /* for messages */
    struct buffer in;
    struct buffer out;
    struct decoder decoder;
    bool fresh;              /* the end of TLS's handshake waits for the first request */
    bool by_another;         /* another program passes on what is said */
    bool heard;              /* something has come from the server */
    bool met;                /* … or had come on an earlier connection */
    uint64_t received_bytes; /* so much */
    bool send_failed;
    struct afar_error send_error; /* told only when there is nothing left to read */
    bool farewell;                /* we have given up, which is told in `out` */
    bool broken;                  /* the connection is of no use; why: */
    struct afar_error failure;
    struct afar_error lost;            /* why it is away */
    struct afar_error complaint;       /* the last error frame without an id; AFAR_OK: none */
    char features[MESSAGE_TEXT_BYTES]; /* what the server offers, as words; "": it has not said */
    char closing[MESSAGE_WORD_BYTES];  /* the reason in the server's "closing", or "" */
    uint64_t last_id;
    struct command command;
    struct control control;
    struct heartbeat heartbeat;
    int64_t patience_ms; /* for the server's first answer: as long as for connecting. 0: no limit */
};

/* A client of the native protocol over a transport whose handshake is done (*moved*, also where
 * this fails). `name` is for messages. AFAR_ENOMEM. */
enum afar_status afar_client_new_on_transport(struct afar_client **client,
                                              struct transport *transport, const char *name,
                                              struct afar_error *err);

/* Where ids begin that were chosen by chance: below are those that count up from 1. */
#define CLIENT_CHANCE_ID (UINT64_C(1) << 32)

/* err->reason where the server has surely not begun the command. */
#define CLIENT_NOT_SENT "not_sent"

/* For the functions of afar/afar.h, the last step: the caller hears why, if it failed. */
static inline enum afar_status client_tell(enum afar_status status, const struct afar_error *why,
                                           struct afar_error *err)
{
    if (status != AFAR_OK && err != NULL)
        *err = *why;
    return status;
}

/* ---- client.c -------------------------------------------------------------------------------- */

/* Marks the connection as of no use, and why. Copies that to `err` (may be NULL), and returns its
 * code. */
enum afar_status client_break(struct afar_client *client, const struct afar_error *why,
                              struct afar_error *err);

/* The server waits for us where the connection ends. */
bool client_is_waited_for(const struct afar_client *client);

/* AFAR_OK, or why the connection is of no use, or AFAR_EINVAL where it speaks another protocol. */
enum afar_status client_check(const struct afar_client *client, enum endpoint_protocol protocol,
                              struct afar_error *err);

/* Waits until the descriptor is ready for one of `events`. AFAR_ETIMEDOUT, AFAR_ESYSTEM. */
enum afar_status client_wait_ready(const struct afar_client *client, short events,
                                   int64_t deadline_ms, struct afar_error *err);

/* Connects and shakes hands. `stream` is a socket that is connected already, and is closed in any
 * case; 0: the endpoint is dialled. `request_follows` as in struct afar_route. `stop_fd` -1: none. As afar_connect, and AFAR_EAGAIN: stop_fd can be
 * read. */
enum afar_status client_open_transport(struct transport **transport,
                                       const struct afar_context *context,
                                       const struct endpoint *endpoint, int stream,
                                       bool request_follows, int64_t deadline_ms, int stop_fd,
                                       struct afar_error *err);

/* The same as client_check, or that there is no command. */
enum afar_status client_check_running(const struct afar_client *client, struct afar_error *err);

/* ---- resume.c -------------------------------------------------------------------------------- */

/* Whether a connection that ends now may be had again. */
bool resume_is_possible(const struct afar_client *client);

/* The connection has ended while a command runs, for the reason `why`. True: that is AWAY now, and
 * may come back. False: it may not; what is not known of the command has been added to *why. */
bool resume_may_follow(struct afar_client *client, struct afar_error *why);

/* A transport whose handshake is done (*moved*): asks for the command there. AFAR_ENOMEM. */
enum afar_status resume_on_transport(struct afar_client *client, struct transport *transport,
                                     int64_t patience_ms, struct afar_error *err);

/* For how long to wait, where it is away. */
int resume_timeout(const struct afar_client *client);

/* ---- pump.c ---------------------------------------------------------------------------------- */

/* Sends what the socket takes of `out`. A failure is only noted: what the server said before is
 * worth more, and is told by pump_receive. */
void pump_send(struct afar_client *client);

/* Receives and acts on what is there. AFAR_OK: all of it, or enough for this turn. Other results
 * are the connection's end, in words for a person. */
enum afar_status pump_receive(struct afar_client *client, struct afar_error *err);

/* Adds an acknowledgement where one is due: at a quarter of the window, or some time after the
 * first frame of less. */
enum afar_status pump_ack(struct afar_client *client, struct afar_error *err);

/* When pump_ack has something to do although nothing comes, or DEADLINE_NEVER. */
int64_t pump_deadline_ms(const struct afar_client *client);

/* ---- heartbeat.c ----------------------------------------------------------------------------- */

void heartbeat_init(struct heartbeat *heartbeat);

/* The connection can be had again: a shorter silence will do, unless the program has said how long.
 */
void heartbeat_be_quick(struct heartbeat *heartbeat);

/* Something has come from the server, or a command begins. */
void heartbeat_heard(struct heartbeat *heartbeat);

/* Unless something comes within `within_ms`, the server is given up. It is asked for a sign of life
 * in the middle of that time. */
void heartbeat_want_answer(struct heartbeat *heartbeat, int64_t within_ms);

/* Something is sent again after afar_pause. */
void client_unpause(struct afar_client *client);

/* When heartbeat_beat has something to do, or DEADLINE_NEVER. */
int64_t heartbeat_deadline_ms(const struct afar_client *client);

/* Sends a ping where one is due. AFAR_ECLOSED: the server has been silent for too long.
 * AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status heartbeat_beat(struct afar_client *client, struct afar_error *err);

/* ---- inbound.c ------------------------------------------------------------------------------- */

/* AFAR_ECLOSED (it takes no more requests), AFAR_EPEER, AFAR_EINVAL (a callback), AFAR_ENOMEM: the
 * connection is of no use. */
enum afar_status inbound_message(struct afar_client *client, const struct message *message,
                                 const struct frame_view *frame, struct afar_error *err);

/* ---- control.c -------------------------------------------------------------------------------- */

/* An answer to `jobs`. */
void control_take_jobs(struct afar_client *client, const struct message *message);

/* ---- exit_status.c --------------------------------------------------------------------------- */

/* The number of a signal's name, without SIG; a signal that has none goes by its digits. 0: no
 * signal. */
int client_signal_number(const char *name);

/* ---- pty.c ----------------------------------------------------------------------------------- */

/* What a program has said about a terminal, as it is asked for. AFAR_EINVAL. */
enum afar_status client_take_pty(struct pty_request *request, const struct afar_pty *given,
                                 struct afar_error *err);

/* ---- duplex.c -------------------------------------------------------------------------------- */

/* Sends `size` bytes and receives until `take`, which gets what has come, says AFAR_OK instead of
 * AFAR_EAGAIN. Any failure makes the connection one of no use. */
enum afar_status duplex_exchange(struct afar_client *client, const void *data, size_t size,
                                 enum afar_status (*take)(void *user, const uint8_t *data,
                                                          size_t size, struct afar_error *err),
                                 void *user, int64_t deadline_ms, struct afar_error *err);

#endif
