/* Shared by native.c (the conversation), native_answer.c (its answers), native_command.c (the
 * command that runs), native_attach.c (coming back to one), native_kept.c, native_move.c, relay.c,
 * errand.c, run.c and run_window.c. For those only. */
#ifndef SERVER_PROTOCOL_NATIVE_INTERNAL_H
#define SERVER_PROTOCOL_NATIVE_INTERNAL_H

#include "server/audit_note.h"
#include "server/connection/connection.h"
#include "server/kept.h"
#include "server/protocol/errand.h"
#include "server/protocol/native.h"
#include "server/protocol/relay.h"
#include "server/protocol/run.h"
#include "wire/frame.h"

enum {
    NATIVE_BUSY_RETRY_MS = 1000,
    /* Longest header from a client that may run nothing: all that it may send is shorter. */
    NATIVE_HEADER_BYTES = 4096,
    /* How long `started` may wait for the command's first output or its end, to leave with it:
     * longer than `true` takes on a busy machine, too short for a person to notice. */
    NATIVE_STARTED_WITHIN_MS = 10
};

struct native {
    struct connection *connection;
    struct decoder decoder;
    struct run *run;     /* the request under way; NULL: none … */
    struct relay *relay; /* … unless it is this one, of a kept command */
    struct list errands; /* under way */
    unsigned errand_count;
    const uint8_t *raw; /* the frame that is being handled, with prefix and payload */
    size_t raw_bytes;
    uint64_t heartbeats;   /* pings sent */
    uint64_t window_ping;  /* of these, the one whose round trip is timed; 0: none */
    bool told_features;    /* in a `started` or `attached`, once */
    bool header_is_short;  /* the limit is NATIVE_HEADER_BYTES, until it is known that the client
                              may run something */
    struct attach *attach; /* owned; an attach on its way to its run's worker; or NULL */
};

/* native_answer.c */

/* A reply was put into connection->out with this status. On failure (the client floods us and does
 * not read, or out of memory) the connection is closed. */
void native_check_queued(struct native *native, enum afar_status status);

/* Answers with an error about a frame. It ends no request, so it has no id. */
void native_complain(struct native *native, enum refusal_code code, const char *text);

/* Answers with an error that ends a request: the one place where refusals are answered. Those that
 * may pass later (busy, draining, internal) say when to ask again. The caller has logged it. */
void native_answer(struct native *native, const struct message *message, enum refusal_code code,
                   const char *text);

/* The same, and logs it. */
void native_refuse(struct native *native, const struct message *message, enum refusal_code code,
                   const char *text);
void native_refuse_not_offered(struct native *native, const struct message *message,
                               const char *what);

/* Ends the request that is under way and frees the run; its job is abandoned. */
void native_end_request(struct native *native);

/* The same, and sends `detached`. */
void native_end_detached(struct native *native);

/* Whether the message belongs to the request that is under way. */
bool native_is_current(const struct native *native, const struct message *message);

/* native_command.c */

/* Of enum feature: what this server supports, whatever this client may do. */
unsigned native_features(const struct native *native);

/* Whether a new request may begin: none is under way, or only one whose receipt has been sent,
 * which a new request acknowledges. native_take_free also ends that one. */
bool native_is_free(const struct native *native);
bool native_take_free(struct native *native);

/* Ends the request that is under way if all of it has been sent or acknowledged as far as it must
 * be. */
void native_end_if_over(struct native *native);

/* Whether any rule lets this client run anything, use files, or forward. */
bool native_may_run(struct native *native);

/* The decoder's question whether a payload that is coming is wanted; otherwise it is dropped. */
bool native_wants(void *native, const struct message *message);

/* A request of a client that may run nothing, whose payload was dropped: writes the audit line, and
 * sets *err to the answer. */
void native_deny(struct native *native, struct afar_error *err);

void native_exec(struct native *native, struct message *message, const uint8_t *payload);
void native_stdin(struct native *native, const struct message *message, const uint8_t *payload);
void native_ack(struct native *native, const struct message *message);
void native_detach(struct native *native, const struct message *message);

/* The run has started, or was refused: tells the client. */
void native_tell_started(struct native *native);
void native_tell_refused(struct native *native, const struct refusal *refusal);

/* The fields of the run that `started` and `attached` share. */
struct message_started native_facts(struct native *native);

/* native_kept.c */

/* Claims the name of a command to be kept. True: begin it, with *entry. False: it was answered, or
 * is attached to. */
bool native_claim_kept(struct native *native, const struct message *message,
                       const struct policy_client *client, struct kept_entry **entry);

/* A keeper has taken over the command of the run: frees the run and attaches to the keeper. */
void native_follow_kept(struct native *native, struct run *run);

/* native_attach.c */

void native_attach(struct native *native, const struct message *message);

/* Attaches request `id` to a kept command: `job`, or, if that is "", the client's own one under
 * `key`. */
void native_attach_kept(struct native *native, uint64_t id, const char *job, const char *key,
                        const struct message_attach *attach);

/* The relay could not be opened: frees it. native_refuse_attach: answers request `id` with the
 * error. */
void native_end_relay(struct native *native);
void native_refuse_attach(struct native *native, uint64_t id, enum afar_status status,
                          const struct afar_error *why);

/* run_window.c */

/* Sends the client a ping behind all that was sent; its pong goes to run_window_answered or
 * relay_answered. */
void native_time_way(struct native *native);

/* native_move.c */

extern const struct protocol_moves native_moves;

/* True: this is a bulk worker, and the connection goes home to begin its next request there. */
bool native_goes_home(struct native *native);

/* protocol->moved: the connection has come to the run's worker, with its attach. */
void native_moved(struct connection *connection);

/* Whose jobs this client may use these verbs (enum policy_verb) on: its own owner's; NULL:
 * everybody's. */
const char *native_whose(const struct native *native, const struct policy_client *client,
                         unsigned verbs);

/* Writes a line about a job to the audit log; `event` is a constant. */
void native_note(const struct native *native, const char *event, const char *job);

/* The connection ends, and its run waits for its client: logs that. */
void native_note_away(const struct native *native);

#endif
