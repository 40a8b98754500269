/* A connection: a transport, input that is not yet understood, output that waits to be sent, and
 * the conversation of the protocol that is spoken on it.
 *
 *     HANDSHAKE ─────▶ OPEN ─────▶ CLOSING ─────▶ gone
 *                  conversation     all is sent, FIN; reads on for a moment,
 *                                   so that no reset destroys the last bytes
 *
 * Owns:    the transport, the buffers, the conversation. It frees itself at the end of a turn of
 *          the loop.
 * Threads: made by the acceptor, then moved to its worker with its mail; only that worker's thread
 *          may touch it then, until the worker hands it on to another one in the same way.
 * Blocks:  never.
 * Limits:  input: `input_limit_bytes` of the protocol. Output: control_queue_bytes and the
 *          conversation's own limits. Time: handshake_timeout_ms, first_request_timeout_ms,
 *          frame_timeout_ms, idle_timeout_ms, write_timeout_ms, heartbeat_timeout_ms. */
#ifndef SERVER_CONNECTION_CONNECTION_H
#define SERVER_CONNECTION_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "net/address.h"
#include "tls/tls.h"
#include "net/peer.h"
#include "net/transport.h"
#include "policy/decide.h"
#include "server/worker.h"

struct connection;

/* What a protocol does when a connection that carries much moves to a bulk worker with its run, or
 * home from there without one: see move.c. */
struct protocol_moves {
    /* True: it may move now, as nothing is under way that would not find it. */
    bool (*may_move)(struct connection *);
    /* Does all that can fail for what the conversation owns; on failure nothing has changed.
     * unoffer takes it back. */
    enum afar_status (*offer)(struct connection *, struct worker *to, struct afar_error *);
    void (*unoffer)(struct connection *, struct worker *to);
    /* Detaches what the conversation owns from this worker, and posts connection->mail to `to`. */
    void (*depart)(struct connection *, struct worker *to);
    /* At the new worker: attaches that again, and returns the number of attached timers. */
    unsigned (*arrive)(struct connection *);
};

/* A protocol, as the connection sees it. */
struct protocol_ops {
    size_t input_limit_bytes;
    const char *alpn; /* required on TLS; NULL: none */
    /* The handshake is done: makes the conversation, connection->session, which belongs to the
     * protocol. */
    enum afar_status (*open)(struct connection *, struct afar_error *);
    /* connection->in has grown, or was not all taken. Calls connection_may_take before each
     * request, so that one turn costs the others little, however many requests there are. */
    void (*input)(struct connection *);
    /* Before sending: puts what is due into connection->out. May be NULL. */
    void (*prepare)(struct connection *);
    /* The next bytes to send after connection->out; false: there are none. sent: so many were sent.
     * May be NULL, as may inside. */
    bool (*peek)(struct connection *, const uint8_t **data, size_t *size);
    void (*sent)(struct connection *, size_t size);
    /* True if what peek shows continues a frame that was sent in part: then connection->out must
     * wait. */
    bool (*inside)(struct connection *);
    /* Puts the message for a connection that is refused because of `limit`. NULL: none is sent. */
    enum afar_status (*refuse)(struct buffer *out, const char *limit);
    /* The client has been silent for heartbeat_ms while busy: asks it for a sign of life. NULL: the
     * protocol has no such message. */
    void (*heartbeat)(struct connection *);
    /* A job runs or a reply is on its way: the connection is not idle. */
    bool (*busy)(struct connection *);
    /* The server drains, or needs the place: closes the connection; if a command runs on it here,
     * when that has ended. */
    void (*drain)(struct connection *);
    /* Called at the new worker after connection_hand_on. May be NULL. */
    void (*moved)(struct connection *);
    /* NULL: its connections never move to bulk workers. */
    const struct protocol_moves *moves;
    /* The connection ends: gives up the job or leaves its run away, and frees the conversation. */
    void (*close)(struct connection *);
};

enum connection_state {
    CONNECTION_HANDSHAKE,
    CONNECTION_OPEN,
    CONNECTION_CLOSING,
    CONNECTION_GONE
};

struct connection {
    struct list link; /* in worker->connections */
    struct mail mail; /* carries it to a worker */
    struct worker *worker;
    struct worker *next_worker; /* it is about to move there; NULL: it stays */
    struct worker *home;        /* while at a bulk worker: the worker to return to; or NULL */
    unsigned long long number;
    char *peer; /* owned; the client's address */
    struct admission_ticket ticket;
    const char *refusal;     /* the limit that it is refused for; NULL: it is let in */
    bool note_refusal;       /* the refusal must be logged */
    int fd;                  /* until the transport has it */
    struct tls_context *tls; /* NULL: plain; a reference, until the transport has its own */
    const struct protocol_ops *protocol;
    enum endpoint_protocol kind;

    enum connection_state state;
    bool moved_in;  /* its first mail has come: its worker has begun with it */
    bool make_room; /* another connection gets its place */
    struct transport *transport;
    char *identity;     /* owned; the client's name (transport_identity); NULL: not yet known */
    char *owner;        /* owned; the owner of its jobs, likewise; NULL: not needed yet */
    struct peer *who;   /* owned; all its names, for rules and audit log; NULL: not needed yet */
    const void *who_by; /* the TLS context that judged both; only compared */
    struct loop_source source;
    struct loop_deferred flush; /* sends at the end of the turn, once for the whole turn */
    struct loop_deferred gone;
    struct loop_deferred hand_on;
    struct loop_deferred move; /* to a bulk worker, or home */
    struct timer timer;
    struct buffer in;
    struct buffer out;
    void *session;
    bool input_paused;     /* the protocol cannot take more input now */
    bool input_left;       /* it has left some input for the next turn */
    unsigned input_taken;  /* requests taken in this turn */
    bool send_blocked;     /* the socket took nothing: wait for transport_send_events */
    bool blocked_inside;   /* … of bytes from peek, which must be sent next, as TLS requires */
    bool send_more;        /* this turn's share is used up, and there may be more to send */
    bool read_more;        /* the transport holds bytes that epoll will not report: next turn */
    bool finishing;        /* closes once everything is sent */
    bool asked;            /* there was a request; set by the protocol */
    bool stays;            /* it could not move, and is not moved before a request has ended */
    uint64_t bulk_bytes;   /* bytes sent and received … */
    int64_t bulk_since_ms; /* … since then */
    int64_t last_heartbeat_ms;
    int64_t opened_ms;    /* when it was accepted; later, when it was opened */
    int64_t handshake_ms; /* the time between these two */
    int64_t last_input_ms;
    int64_t last_output_ms;
    int64_t frame_since_ms;  /* since when part of a request is there; 0: none is */
    int64_t give_up_at_ms;   /* DEADLINE_NEVER unless the server is going down */
    int64_t closing_at_ms;   /* when CLOSING ends at the latest */
    int64_t flush_at_ms;     /* when output that may wait is sent; DEADLINE_NEVER: none waits */
    int64_t paused_until_ms; /* until when its client may be silent (`pause`); 0: it may not */
    int64_t held_until_ms;   /* not read until then, after many refusals; 0: it is read */
};

/* What the acceptor knows of a new connection. */
struct connection_origin {
    int fd;
    const char *peer;
    struct tls_context *tls; /* NULL: plain; the connection takes a reference of its own */
    const struct protocol_ops *protocol;
    enum endpoint_protocol kind;
};

/* For the acceptor: takes over fd (*moved*, also on failure). NULL: out of memory. Then the
 * acceptor asks admission for a place, and calls connection_drop or connection_hand_over. */
struct connection *connection_new(const struct connection_origin *origin,
                                  struct server_shared *shared);

/* For the acceptor: closes and frees a connection without a message. */
void connection_drop(struct connection *connection);

/* For the acceptor: hands the connection to its worker. */
void connection_hand_over(struct connection *connection, struct worker *worker);

/* Hands an open connection on to another worker at the end of this turn: nothing is read or sent
 * until it is there, where protocol->moved is called. connection_begin_request has been called, but
 * no request is under way; and the connection has been counted at `worker`. It is closed if it
 * cannot be registered there. */
void connection_hand_on(struct connection *connection, struct worker *worker);

/* For a protocol whose next request has come, before it takes it. True: the connection is at a bulk
 * worker, where no request begins, and goes home: leave the request in connection->in, where it is
 * offered again. */
bool connection_goes_home(struct connection *connection);

/* Sends what waits at the end of this turn. */
void connection_want_flush(struct connection *connection);

/* The same after `within_ms` at the latest, so that what comes meanwhile leaves in the same write.
 */
void connection_want_flush_within(struct connection *connection, int64_t within_ms);

/* The protocol cannot take more input (`paused`), or can again. */
void connection_pause_input(struct connection *connection, bool paused);

/* To be asked before each request that the protocol takes. False: no more in this turn; `input` is
 * called again in the next. */
bool connection_may_take(struct connection *connection);

/* Sends what waits, then closes. */
void connection_finish(struct connection *connection);

/* Closes at the end of this turn, and drops unsent bytes. Logs "…: <why>". */
void connection_fail(struct connection *connection, enum log_level level, const char *why);

/* False once the connection has failed or ended; protocols ask in each round of a loop. */
bool connection_alive(const struct connection *connection);

/* Drain: closes it, in HANDSHAKE immediately, later as protocol->drain does. */
void connection_drain(struct connection *connection);

/* Another connection gets its place: in HANDSHAKE it is closed immediately, an idle one with its
 * protocol's message. */
void connection_make_room(struct connection *connection);

/* Before a request begins. False: it must make room, and the request is refused.
 * connection_end_request: after a request has ended. */
bool connection_begin_request(struct connection *connection);
void connection_end_request(struct connection *connection);

/* Gives it a second to send what waits; then it is closed. */
void connection_hurry(struct connection *connection);

/* Before anything that the client asks for: checks that it would still be let in (transport_judge),
 * and fills in *who, with names only if there are rules or an audit log; borrowed until the next
 * call. connection->owner is set from then on. AFAR_ETRUST, AFAR_ENOMEM. */
enum afar_status connection_judge(struct connection *connection, struct policy_client *who,
                                  struct afar_error *err);

/* "connection 7 from 127.0.0.1:5050 (cn:build-7)" */
void connection_label(const struct connection *connection, char *label, size_t size);

/* Counts a log line of that kind; true: it must be written. */
bool connection_count_line(const struct connection *connection, enum summary_kind kind);

/* Logs "connection 7 …: code: text", unless its client has caused too many such lines. */
void connection_complain(const struct connection *connection, const char *code, const char *text);

/* A request was refused, or a job signalled: if that happens too often, nothing is read for a while
 * (server/summary.h). */
void connection_slow_down(struct connection *connection);

#endif
