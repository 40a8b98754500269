/* What native.c (the session), native_answer.c (its answers) and
 * native_command.c (the command that runs) share. For those three only. */
#ifndef SERVER_PROTOCOL_NATIVE_INTERNAL_H
#define SERVER_PROTOCOL_NATIVE_INTERNAL_H

#include "job/job.h"
#include "server/protocol/native.h"
#include "wire/frame.h"
#include "wire/output_log.h"

enum {
    NATIVE_BUSY_RETRY_MS = 1000,
    /* The header of a client that may run nothing: what such a one has to say is shorter. */
    NATIVE_HEADER_BYTES = 4096,
    /* So long `started` may wait for the command's first output or its end: longer than `true`
     * takes on a busy machine, shorter than a person notices. */
    NATIVE_STARTED_WITHIN_MS = 10,
    /* An acknowledgement of stdin for each frame would cost as much as the frame. While less than
     * this is not acknowledged a client has credit, also one that knows of no larger one, and the
     * rest can wait. */
    NATIVE_STDIN_ACK_BYTES = MESSAGE_STDIN_CREDIT_BYTES / 2,
    NATIVE_STDIN_ACK_WITHIN_MS = 20
};

struct native {
    struct job_owner owner;
    struct connection *connection;
    struct decoder decoder;
    uint64_t heartbeats;  /* pings sent */
    uint64_t id;          /* of the request that is under way … */
    bool attached;        /* … if there is one: job or at least its log is there */
    bool told_features;   /* in a `started` */
    bool header_is_short; /* until it is known that the client may run something */
    struct job *job;
    struct output_log *log;
    bool cut;       /* ended by an error; only the frame under way is still to be sent */
    bool detaching; /* its client has given it up, and is told once it is known whether it began */
    bool digest;
    bool stdin_stream;
    bool stdin_eof;
    uint64_t stdin_credit;
    uint64_t stdin_received;
    uint64_t stdin_acked;    /* as last sent */
    int64_t stdin_ack_by_ms; /* DEADLINE_NEVER: nothing is to be acknowledged */
    bool receipt_waits;      /* for memory */
    /* Owned; room for it from the start of the command to the end of the request, so that an idle
     * connection holds none and a command that has begun cannot lack it. */
    struct afar_receipt *receipt;
};

/* native_answer.c */

/* A reply has been put into connection->out, or what could not be: the client floods us and does
 * not read. */
void native_check_queued(struct native *native, enum afar_status status);

/* An error about a frame: nothing ends, so it carries no id. */
void native_complain(struct native *native, const char *code, const char *text);

/* An error that ends a request. retry_after_ms is left out of what is final, such as "denied". */
void native_answer(struct native *native, const struct message *message, const char *code,
                   const char *text, uint64_t retry_after_ms);

/* The same, logged. */
void native_refuse(struct native *native, const struct message *message, const char *code,
                   const char *text, uint64_t retry_after_ms);
void native_refuse_not_offered(struct native *native, const struct message *message,
                               const char *what);

/* The request that is under way ends here, whatever comes of its job. */
void native_end_request(struct native *native);

/* Likewise, and the client is told so by "detached". */
void native_end_detached(struct native *native);

/* True for a message of the request that is under way. */
bool native_is_current(const struct native *native, const struct message *message);

/* native_command.c */

/* Of enum feature: what this server understands, whatever it lets this client do. */
unsigned native_features(void);

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
void native_add_receipt(struct native *native);

/* What job calls. */
extern const struct job_owner_ops native_owner_ops;

#endif
