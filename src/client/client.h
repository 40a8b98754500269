/* Shared by the files of src/client/ and their unit tests only: the client and its parts.
 *
 *   client.c       connecting, closing, what to poll for
 *   context.c      credentials and trust
 *   relay.c        a connection as bytes, for a program that passes them on
 *   sized.c        structs of programs compiled with another version's headers
 *   session_file.c TLS sessions in files, for the next process
 *   keygen.c       new keys
 *   pump.c         bytes in and out, without waiting
 *   inbound.c      what each received frame does
 *   command.c      the command: request, standard input, signals
 *   process.c      drives the pump and the command; waiting
 *   resume.c       reconnects after a lost connection while a command runs
 *   delivery.c     output to the callbacks
 *   pty.c          the command's terminal
 *   control.c      ping, kill, and kept jobs
 *   heartbeat.c    pings a silent server while a command runs
 *   shell.c        the tutorial's protocols sized and headed
 *   upper.c        the tutorial's protocol upper
 *   duplex.c       one request and its reply, for shell.c and upper.c
 *   health.c       reads the server's health page
 *   json_line.c    a frame as a line of JSON
 *   exit_status.c  a receipt as an exit status
 *   escape.c       text that is safe to print on a terminal
 *
 * The functions of afar/afar.h take an `err` that may be NULL, and write to it only if they fail:
 * see client_tell. All other functions need an `err`, except afar_client_new_on_transport.
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
    /* The largest request; all of stdin's credit, even in frames of about one byte; and our answers
     * to a server that asks much and reads little. */
    CLIENT_OUT_MAX_BYTES = 4 << 20,
    /* The largest window that a server may announce: it bounds how much output we must keep. */
    CLIENT_WINDOW_MAX_BYTES = 1 << 30,
    /* The window may grow to this, the most that a server can be configured to. That much memory is
     * used only if the network needs it and our own reader stops. */
    CLIENT_WINDOW_GROWN_BYTES = RUN_GUEST_RING_MAX_BYTES
};

struct afar_context {
    struct tls_context *tls; /* owned; NULL: without credentials */
    struct session_files sessions;
};

struct command {
    /* The protocol's state: what was sent and received, and what to do when the connection is lost.
     * Also used if resuming was not asked for. */
    struct run_guest guest;
    bool running;  /* from afar_start until the receipt or refusal is handed out */
    bool answered; /* a frame of it has come, so the server has read the request */
    bool queued;
    bool started;
    bool ended;       /* exit, error or detached has come; the next three say what */
    bool refused;     /* by error or detached, not by exit */
    bool detaching;   /* afar_detach was called */
    bool has_receipt; /* handed out */
    bool attached;    /* `attached` has come at least once */
    bool on_pty;      /* asked for in the request */
    struct afar_error refusal;
    struct afar_receipt receipt;
    struct buffer last_header; /* of exit or error, for on_frame */
    struct delivery delivery;
    int64_t ack_by_ms; /* when to acknowledge; DEADLINE_NEVER: nothing to acknowledge */
};

/* A ping, kill, jobs or forget that waits for its answer. */
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
    bool chosen;        /* the program has set the next two */
    int64_t beat_ms;    /* 0: none */
    int64_t silence_ms; /* 0: for ever */
    int64_t heard_ms;   /* when something last came */
    int64_t beaten_ms;  /* the same, or when the last ping was sent */
    /* If nothing comes until then, the server is given up as well. DEADLINE_NEVER: not set. */
    int64_t answer_by_ms;
    bool by_message;   /* only a whole message is an answer, as this server is not known yet */
    bool paused;       /* silence does not count until we send something */
    int64_t ask_at_ms; /* when to ping for answer_by_ms; DEADLINE_NEVER: already done */
};

struct afar_client {
    struct transport *transport;   /* owned; NULL: no connection now (away) */
    struct endpoint *endpoint;     /* owned; where to reconnect; NULL: not known */
    struct session_keeper *keeper; /* owned; NULL: no session is kept */
    enum endpoint_scheme scheme;
    enum endpoint_protocol protocol;
    char name[ENDPOINT_URL_BYTES]; /* for messages */
    struct buffer in;
    struct buffer out;
    struct decoder decoder;
    bool fresh;              /* the end of the TLS handshake waits for the first request */
    bool by_another;         /* another program relays this connection */
    bool heard;              /* a frame has come on this connection */
    bool met;                /* a frame has come on this connection or an earlier one */
    uint64_t received_bytes; /* bytes that the transport has given us */
    bool send_failed;
    struct afar_error send_error; /* reported only when nothing is left to read */
    bool farewell;                /* we have given up the command; `out` tells the server */
    bool broken;                  /* the connection is unusable; the next field says why */
    struct afar_error failure;
    struct afar_error lost;            /* why it is away */
    struct afar_error complaint;       /* the last error frame without an id; code AFAR_OK: none */
    char features[MESSAGE_TEXT_BYTES]; /* what the server offers: words; "": not said */
    char closing[MESSAGE_WORD_BYTES];  /* the reason in the server's "closing", or "" */
    uint64_t last_id;
    struct command command;
    struct control control;
    struct heartbeat heartbeat;
    int64_t patience_ms; /* limit for the server's first answer, as for connecting; 0: none */
    int64_t reply_ms;    /* limit for the begin of a reply (duplex.c); 0: none */
    int64_t spent_ms;    /* what connecting has used of the first of these limits */
    int64_t meet_by_ms;  /* if not `met` by then, do not come back; DEADLINE_NEVER: no limit */
};

/* Makes a client of the native protocol over a transport whose handshake is done. Takes the
 * transport over, and frees it on failure. `name` is for messages. The caller frees *client by
 * afar_close. AFAR_ENOMEM. */
enum afar_status afar_client_new_on_transport(struct afar_client **client,
                                              struct transport *transport, const char *name,
                                              struct afar_error *err);

/* Randomly chosen ids start here; ids that count up from 1 stay below. */
#define CLIENT_CHANCE_ID (UINT64_C(1) << 32)

/* err->reason if the server has certainly not begun the command. */
#define CLIENT_NOT_SENT "not_sent"

/* The last step of the functions of afar/afar.h: on failure, copies *why to `err` unless that is
 * NULL. */
static inline enum afar_status client_tell(enum afar_status status, const struct afar_error *why,
                                           struct afar_error *err)
{
    if (status != AFAR_OK && err != NULL)
        *err = *why;
    return status;
}

/* ---- client.c -------------------------------------------------------------------------------- */

/* Marks the connection as unusable, because of *why. Copies *why to `err` (may be NULL), and
 * returns its code. */
enum afar_status client_break(struct afar_client *client, const struct afar_error *why,
                              struct afar_error *err);

/* What is left of a limit for the server's first answer after connecting; later the whole limit.
 * More than 0. */
int64_t client_left_ms(struct afar_client *client, int64_t limit_ms);

/* What to ask of a server that has not answered. */
const char *client_doubt(const struct afar_client *client);

/* True if the server waits for us to come back when the connection ends. */
bool client_is_waited_for(const struct afar_client *client);

/* AFAR_OK; AFAR_EINVAL if there is no client, or the connection speaks another protocol; or the
 * error that made it unusable. */
enum afar_status client_check(const struct afar_client *client, enum endpoint_protocol protocol,
                              struct afar_error *err);

/* Waits until the descriptor is ready for one of `events`, or a signal or the deadline has come:
 * then it may return AFAR_OK, and the caller tries and calls again. AFAR_ETIMEDOUT: the deadline
 * had passed before the call. AFAR_ESYSTEM. */
enum afar_status client_wait_ready(const struct afar_client *client, short events,
                                   int64_t deadline_ms, struct afar_error *err);

/* Makes a stream that the program has given non-blocking. On failure the caller closes it. */
enum afar_status client_prepare_stream(int stream, struct afar_error *err);

/* Connects and shakes hands. `stream`: a socket that is connected already and prepared, which is
 * closed in any case; 0: dial the endpoint. `request_follows`: see struct afar_route. `stop_fd`: stops connecting
 * when it can be read; -1: none. The caller frees *transport, which is NULL on failure. Errors: as
 * afar_connect; and AFAR_EAGAIN: stopped by stop_fd. */
enum afar_status client_open_transport(struct transport **transport,
                                       const struct afar_context *context,
                                       const struct endpoint *endpoint, int stream,
                                       bool request_follows, int64_t deadline_ms, int stop_fd,
                                       struct afar_error *err);

/* As client_check for the native protocol; and AFAR_EINVAL if no command runs. */
enum afar_status client_check_running(const struct afar_client *client, struct afar_error *err);

/* ---- resume.c -------------------------------------------------------------------------------- */

/* True if the command could be resumed if the connection ended now. */
bool resume_is_possible(const struct afar_client *client);

/* Call when the connection has ended, because of *why. True: a command runs that may be resumed,
 * and the client is away now. False: it may not; the message and reason in *why may have been
 * replaced by what is known of the command. */
bool resume_may_follow(struct afar_client *client, struct afar_error *why);

/* Attaches to the command on a new transport, whose handshake is done; takes the transport over.
 * `patience_ms`: limit for the server's answer; 0: none. AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status resume_on_transport(struct afar_client *client, struct transport *transport,
                                     int64_t patience_ms, struct afar_error *err);

/* While away: how long to wait before the next attempt, in milliseconds for poll(2); -1: no
 * limit. */
int resume_timeout(const struct afar_client *client);

/* ---- pump.c ---------------------------------------------------------------------------------- */

/* Sends as much of `out` as the socket takes. Only notes a failure: pump_receive reports it, after
 * what the server may have said before. */
void pump_send(struct afar_client *client);

/* Receives and acts on what is there. AFAR_OK: everything, or enough for this turn. AFAR_ECLOSED:
 * the connection has ended. Other errors end it too; all messages are for people. */
enum afar_status pump_receive(struct afar_client *client, struct afar_error *err);

/* Puts an acknowledgement into `out` if one is due: at a quarter of the window, or a short time
 * after the first frame of less. AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status pump_ack(struct afar_client *client, struct afar_error *err);

/* When to call pump_ack even if nothing comes; DEADLINE_NEVER: no need. */
int64_t pump_deadline_ms(const struct afar_client *client);

/* ---- heartbeat.c ----------------------------------------------------------------------------- */

void heartbeat_init(struct heartbeat *heartbeat);

/* The command can be resumed, so a shorter silence ends the connection, unless the program has set
 * the times. */
void heartbeat_be_quick(struct heartbeat *heartbeat);

/* Call when a message has come from the server, or a command begins; and when bytes have come,
 * which may be a part of a message. */
void heartbeat_heard(struct heartbeat *heartbeat);
void heartbeat_received(struct heartbeat *heartbeat);

/* Gives the server up unless something comes within `within_ms`. Pings it after half of that
 * time. */
void heartbeat_want_answer(struct heartbeat *heartbeat, int64_t within_ms);

/* The same, but nothing less than a message counts: for the first one of a connection. */
void heartbeat_want_message(struct heartbeat *heartbeat, int64_t within_ms);

/* Call when something is sent: ends what afar_pause began. */
void client_unpause(struct afar_client *client);

/* When to call heartbeat_beat; DEADLINE_NEVER: no need. */
int64_t heartbeat_deadline_ms(const struct afar_client *client);

/* Puts a ping into `out` if one is due. AFAR_ECLOSED: the server has been silent for too long.
 * AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status heartbeat_beat(struct afar_client *client, struct afar_error *err);

/* ---- inbound.c ------------------------------------------------------------------------------- */

/* Acts on one frame. Any error makes the connection unusable. AFAR_ECLOSED: the server takes no new
 * command, or has no place for one that came back. AFAR_EPEER. AFAR_EINVAL: a callback took more
 * than it was given. AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status inbound_message(struct afar_client *client, const struct message *message,
                                 const struct frame_view *frame, struct afar_error *err);

/* ---- control.c -------------------------------------------------------------------------------- */

/* Gives each job of an answer to `jobs` to the callback. */
void control_take_jobs(struct afar_client *client, const struct message *message);

/* ---- exit_status.c --------------------------------------------------------------------------- */

/* The number of a signal. `name` is without SIG, or digits for a signal that has no name. 0: no
 * such signal. */
int client_signal_number(const char *name);

/* ---- pty.c ----------------------------------------------------------------------------------- */

/* Fills *request from the program's struct. AFAR_EINVAL: a value that a terminal cannot have. */
enum afar_status client_take_pty(struct pty_request *request, const struct afar_pty *given,
                                 struct afar_error *err);

/* ---- duplex.c -------------------------------------------------------------------------------- */

/* Sends `size` bytes while receiving. `take` gets each piece that comes, and returns AFAR_EAGAIN
 * for more, AFAR_OK when the reply is complete, or an error. Without a deadline, client->reply_ms
 * is the limit for the first piece. Any failure makes the connection unusable. AFAR_EPEER (also:
 * something came before it was asked for), AFAR_ECLOSED, AFAR_ETIMEDOUT, AFAR_ESYSTEM, and what
 * `take` returns. */
enum afar_status duplex_exchange(struct afar_client *client, const void *data, size_t size,
                                 enum afar_status (*take)(void *user, const uint8_t *data,
                                                          size_t size, struct afar_error *err),
                                 void *user, int64_t deadline_ms, struct afar_error *err);

#endif
