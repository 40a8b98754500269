/* A connection: a transport, what has arrived and not been understood, what waits to be sent, and
 * the session of the protocol that is spoken on it.
 *
 *     HANDSHAKE ─────▶ OPEN ─────▶ CLOSING ─────▶ gone
 *                       session     all is sent, FIN; reads on for a moment,
 *                                   so that no reset destroys the last words
 *
 * Owns:    the transport, the buffers, the session. It frees itself at the end of a turn of the
 *          loop.
 * Threads: made by the acceptor, then moved to its worker by its own mail; the worker's from then
 *          on, until that hands it on to another in the same way.
 * Blocks:  never.
 * Limits:  what arrives: `input_limit_bytes` of the protocol. What waits to be sent:
 *          control_queue_bytes and the session's own. Time: handshake_timeout_ms,
 *          first_request_timeout_ms, frame_timeout_ms, idle_timeout_ms, write_timeout_ms,
 *          heartbeat_timeout_ms. */
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

/* What a protocol does where a connection that carries much is moved to another worker, with its run;
 * or, from such a worker, home without one: see move.c. */
struct protocol_moves {
    /* Nothing is under way that could miss it. */
    bool (*may_move)(struct connection *);
    /* All that can fail, for what is the session's; then nothing has changed. And taking it back. */
    enum afar_status (*offer)(struct connection *, struct worker *to, struct afar_error *);
    void (*unoffer)(struct connection *, struct worker *to);
    /* Lets go of what is the session's, and posts connection->mail to `to`. */
    void (*depart)(struct connection *, struct worker *to);
    /* Takes it up there, and says how many timers it has attached. */
    unsigned (*arrive)(struct connection *);
};

/* A protocol, as the connection sees it. */
struct protocol_ops {
    size_t input_limit_bytes;
    const char *alpn; /* required on TLS; NULL: none */
    /* The handshake is done. The session, kept in connection->session, is the protocol's. */
    enum afar_status (*open)(struct connection *, struct afar_error *);
    /* connection->in has grown, or some was left in it. One turn is to cost others little, however
     * many requests there are: see connection_may_take. */
    void (*input)(struct connection *);
    /* Before sending: put what is due into connection->out. May be NULL. */
    void (*prepare)(struct connection *);
    /* The next bytes to send after connection->out; false: none. May be NULL, as the next two. */
    bool (*peek)(struct connection *, const uint8_t **data, size_t *size);
    void (*sent)(struct connection *, size_t size);
    /* True where what peek shows continues what was sent last: connection->out must wait. */
    bool (*inside)(struct connection *);
    /* The words for a connection that is refused for want of room. NULL: none. */
    enum afar_status (*refuse)(struct buffer *out, const char *limit);
    /* The client has been silent for heartbeat_ms while busy: ask for a sign of life. NULL: the
     * protocol cannot. */
    void (*heartbeat)(struct connection *);
    /* A job runs or a reply is on its way: not idle, and worth waiting for in a drain. */
    bool (*busy)(struct connection *);
    /* The server is going away; close when not busy. */
    void (*drain)(struct connection *);
    /* It has been handed on to the worker that it is at now. May be NULL. */
    void (*moved)(struct connection *);
    /* NULL: its connections stay, however much they carry. */
    const struct protocol_moves *moves;
    /* The connection is going away: abandon the job, free the session. */
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
    struct mail mail; /* from the acceptor to the worker */
    struct worker *worker;
    struct worker *next_worker; /* it is on its way there; NULL: it stays */
    struct worker *home;        /* while it is at a bulk worker: whose it is else, or NULL */
    unsigned long long number;
    char *peer; /* owned; its address */
    struct admission_ticket ticket;
    const char *refusal;     /* NULL: it is welcome */
    bool note_refusal;       /* … and a line of it is to be written */
    int fd;                  /* until the transport has it */
    struct tls_context *tls; /* NULL: plain; a reference, until the transport has its own */
    const struct protocol_ops *protocol;
    enum endpoint_protocol kind;

    enum connection_state state;
    bool moved_in;  /* its mail has come: before that the worker has not begun with it … */
    bool make_room; /* … and need not: somebody else gets its place */
    struct transport *transport;
    char *identity;   /* owned; whom we speak with, as transport_identity names it; NULL: not yet */
    char *owner;      /* owned; whose its jobs are, likewise; NULL: nobody has asked yet */
    struct peer *who; /* owned; all its names, for the rules and the audit log; NULL: likewise */
    const void *who_by; /* both as judged by this context; only compared */
    struct loop_source source;
    struct loop_deferred flush; /* send at the end of the turn, once for all that came up in it */
    struct loop_deferred gone;
    struct loop_deferred hand_on;
    struct loop_deferred move; /* to a bulk worker, or home */
    struct timer timer;
    struct buffer in;
    struct buffer out;
    void *session;
    bool input_paused;     /* the protocol cannot take more now */
    bool input_left;       /* it has left some for the next turn */
    unsigned input_taken;  /* requests, in this turn */
    bool send_blocked;     /* the socket took nothing; wait for transport_send_events */
    bool blocked_inside;   /* … of the session's bytes, which must come next: TLS requires it */
    bool send_more;        /* this turn's share is used up, and perhaps there is more */
    bool read_more;        /* the transport holds bytes that epoll will not report: next turn */
    bool finishing;        /* close once everything is sent */
    bool asked;            /* there has been a request; the protocol sets it */
    bool stays;            /* it could not go home, and waits for the end of another request */
    uint64_t bulk_bytes;   /* sent and received … */
    int64_t bulk_since_ms; /* … since then */
    int64_t last_heartbeat_ms;
    int64_t opened_ms;    /* accepted; once open, since then */
    int64_t handshake_ms; /* from there to there */
    int64_t last_input_ms;
    int64_t last_output_ms;
    int64_t frame_since_ms;  /* part of a request has come, the rest has not; 0: none */
    int64_t give_up_at_ms;   /* DEADLINE_NEVER unless the server is going down */
    int64_t closing_at_ms;   /* when CLOSING ends in any case */
    int64_t flush_at_ms;     /* what is held back goes then; DEADLINE_NEVER: nothing is */
    int64_t paused_until_ms; /* its client is stopped on purpose; 0: it is not */
    int64_t held_until_ms;   /* not read until then: too much was refused; 0: it is read */
};

/* What the acceptor knows of one. */
struct connection_origin {
    int fd;
    const char *peer;
    struct tls_context *tls; /* NULL: plain; the connection takes a reference of its own */
    const struct protocol_ops *protocol;
    enum endpoint_protocol kind;
};

/* For the acceptor: takes over fd (*moved*, also on failure). NULL: out of memory. It has asked for
 * no place yet: that is the acceptor's to do, before either of the next two. */
struct connection *connection_new(const struct connection_origin *origin,
                                  struct server_shared *shared);

/* For the acceptor: it may not even be refused, but is closed at once. */
void connection_drop(struct connection *connection);

/* For the acceptor: hands it to the worker. */
void connection_hand_over(struct connection *connection, struct worker *worker);

/* Hands an open one on to another worker, at the end of this turn: nothing is read or sent until it
 * is there, and protocol->moved is called. No request is under way on it, though one has begun; it
 * has been counted there. Where it cannot go on there, it is closed. */
void connection_hand_on(struct connection *connection, struct worker *worker);

/* For a protocol whose next request has come, before it is taken. True: the connection is at a bulk
 * worker, where none begins; the request is to be left in connection->in, and comes again. */
bool connection_goes_home(struct connection *connection);

/* Something waits to be sent: do so at the end of this turn. */
void connection_want_flush(struct connection *connection);

/* Likewise, but it may wait for what comes next, so that both leave in one write. */
void connection_want_flush_within(struct connection *connection, int64_t within_ms);

/* The protocol can, or cannot, take more input. */
void connection_pause_input(struct connection *connection, bool paused);

/* For each request that the protocol is about to take. False: no more in this turn, others come
 * first; `input` is called again in the next. */
bool connection_may_take(struct connection *connection);

/* Send what waits, then close politely. */
void connection_finish(struct connection *connection);

/* Close at the end of this turn, unsent bytes and all. Logs "…: <why>". */
void connection_fail(struct connection *connection, enum log_level level, const char *why);

/* True until connection_fail or the end; sessions ask before they go on in a loop. */
bool connection_alive(const struct connection *connection);

/* Drain: closes it now if it is not busy, else when it no longer is. */
void connection_drain(struct connection *connection);

/* Somebody else gets its place: what has shown nothing is closed at once, an idle one politely. */
void connection_make_room(struct connection *connection);

/* Before a request begins; false: it is to make room, and the request is refused. And when one has
 * ended. */
bool connection_begin_request(struct connection *connection);
void connection_end_request(struct connection *connection);

/* It has a second to send what waits; then it is closed in any case. */
void connection_hurry(struct connection *connection);

/* Before anything that the client asks for: whether it would still be let in, as transport_judge
 * says; and where there are rules or an audit log, fills in *who for them. connection->owner is
 * there from then on. AFAR_ETRUST, AFAR_ENOMEM. */
enum afar_status connection_judge(struct connection *connection, struct policy_client *who,
                                  struct afar_error *err);

/* "connection 7 from 127.0.0.1:5050 (cn:build-7)" */
void connection_label(const struct connection *connection, char *label, size_t size);

/* Counts a line of that kind; true: it is to be written. */
bool connection_count_line(const struct connection *connection, enum summary_kind kind);

/* Logs "connection 7 …: code: text", as far as its client has not caused too many such lines. */
void connection_complain(const struct connection *connection, const char *code, const char *text);

/* A request was refused, or a job signalled: where that happens too often, the next is not read at
 * once (server/summary.h). */
void connection_slow_down(struct connection *connection);

#endif
