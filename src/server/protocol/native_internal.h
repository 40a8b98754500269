/* What native.c (the session), native_answer.c (its answers), native_command.c (the command that
 * runs), native_attach.c (coming back to one) and run.c share. For those only. */
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
    /* The header of a client that may run nothing: what such a one has to say is shorter. */
    NATIVE_HEADER_BYTES = 4096,
    /* So long `started` may wait for the command's first output or its end: longer than `true`
     * takes on a busy machine, shorter than a person notices. */
    NATIVE_STARTED_WITHIN_MS = 10
};

struct native {
    struct connection *connection;
    struct decoder decoder;
    struct run *run;     /* the request that is under way; NULL: none is, … */
    struct relay *relay; /* … unless this is, of a kept command */
    struct list errands; /* under way */
    unsigned errand_count;
    const uint8_t *raw; /* the frame that is being handled, with prefix and payload */
    size_t raw_bytes;
    uint64_t heartbeats;   /* pings sent */
    uint64_t window_ping;  /* of these, that of which the time is taken; 0: none */
    bool told_features;    /* in a `started` or `attached` */
    bool header_is_short;  /* until it is known that the client may run something */
    struct attach *attach; /* owned; an attach that is on its way to its run's worker; or NULL */
};

/* native_answer.c */

/* A reply has been put into connection->out, or what could not be: the client floods us and does
 * not read. */
void native_check_queued(struct native *native, enum afar_status status);

/* An error about a frame: nothing ends, so it carries no id. */
void native_complain(struct native *native, enum refusal_code code, const char *text);

/* An error that ends a request: the one place where refusals are answered. Those that may pass later
 * (busy, draining, internal) say when to ask again. It has been logged already. */
void native_answer(struct native *native, const struct message *message, enum refusal_code code,
                   const char *text);

/* The same, logged. */
void native_refuse(struct native *native, const struct message *message, enum refusal_code code,
                   const char *text);
void native_refuse_not_offered(struct native *native, const struct message *message,
                               const char *what);

/* The request that is under way ends here, whatever comes of its job; the run is gone. */
void native_end_request(struct native *native);

/* Likewise, and the client is told so by "detached". */
void native_end_detached(struct native *native);

/* True for a message of the request that is under way. */
bool native_is_current(const struct native *native, const struct message *message);

/* native_command.c */

/* Of enum feature: what this server understands, whatever it lets this client do. */
unsigned native_features(const struct native *native);

/* No request is under way, or only one whose receipt has been sent: the next one says that it has
 * come. native_take_free: that is so, and it ends. */
bool native_is_free(const struct native *native);
bool native_take_free(struct native *native);

/* The request that is under way has been sent, or acknowledged, to its end: then it is over. */
void native_end_if_over(struct native *native);

/* Whether any rule lets this client run anything, or use files. */
bool native_may_run(struct native *native);

/* Whether a payload that is on its way is of use: else it is not kept. */
bool native_wants(void *native, const struct message *message);

/* A request for which nothing is kept, as this client may run nothing: for the audit log, and in
 * *err what to say. */
void native_deny(struct native *native, struct afar_error *err);

void native_exec(struct native *native, struct message *message, const uint8_t *payload);
void native_stdin(struct native *native, const struct message *message, const uint8_t *payload);
void native_ack(struct native *native, const struct message *message);
void native_detach(struct native *native, const struct message *message);

/* What the run has to say. */
void native_tell_started(struct native *native);
void native_tell_refused(struct native *native, const struct refusal *refusal);

/* What `started` and `attached` both say of the run. */
struct message_started native_facts(struct native *native);

/* native_kept.c */

/* True: it is to be begun, and *entry is its place among the kept. */
bool native_claim_kept(struct native *native, const struct message *message,
                       const struct policy_client *client, struct kept_entry **entry);

/* A keeper has the command of the run, which is going to be freed. */
void native_follow_kept(struct native *native, struct run *run);

/* native_attach.c */

void native_attach(struct native *native, const struct message *message);

/* To a kept command: of the request `id`, by its job or ("") by its name. */
void native_attach_kept(struct native *native, uint64_t id, const char *job, const char *key,
                        const struct message_attach *attach);

/* The relay could not be had; it is gone. */
void native_end_relay(struct native *native);
void native_refuse_attach(struct native *native, uint64_t id, enum afar_status status,
                          const struct afar_error *why);

/* native_move.c */

extern const struct protocol_moves native_moves;

/* A request has come that is not to begin here, but where its connection belongs. */
bool native_goes_home(struct native *native);

/* It has been handed over, and its attach with it. */
void native_moved(struct connection *connection);

/* Whose jobs these verbs (enum policy_verb) are for, with this client; NULL: everybody's. */
const char *native_whose(const struct native *native, const struct policy_client *client,
                         unsigned verbs);

/* A line in the audit log about a job; `event` is a constant. */
void native_note(const struct native *native, const char *event, const char *job);

/* The connection ends, and its run waits for its client. */
void native_note_away(const struct native *native);

#endif
