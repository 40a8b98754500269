/* Messages of the native protocol: what a frame's JSON header says, checked, as a struct; and back.
 *
 * Owns:    a struct message owns its exec request and its list of jobs (message_close).
 * Threads: a value of one thread.
 * Blocks:  never; no system call in this layer.
 * Limits:  integers 0 … 2^53-1; nesting 8 deep; 4,096 words of argv or environment in JSON; no
 * duplicate keys, no escaped NUL, UTF-8 only (bytes that are not travel in the payload). */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/buffer.h"
#include "base/error.h"
#include "wire/features.h"

#define MESSAGE_INTEGER_MAX \
    UINT64_C(9007199254740991) /* 2^53-1: what every JSON reader keeps exact */

enum {
    MESSAGE_VERSION = 1,
    /* Unacknowledged stdin that a client may send where `started` does not say more, or has not
     * come yet; and what a server that says more takes in one frame. */
    MESSAGE_STDIN_CREDIT_BYTES = 256 * 1024,
    MESSAGE_STDIN_FRAME_BYTES = 256 * 1024,
    MESSAGE_JOB_ID_BYTES = 33, /* 128 random bits in hex and a NUL */
    MESSAGE_TEXT_BYTES = 512,
    MESSAGE_WORD_BYTES = 32,
    MESSAGE_EXIT_BYTES = 3072 /* an exit frame has no more, whatever is in the receipt */
};

enum message_type {
    MESSAGE_BAD, /* sound framing, unacceptable content: see `problem` */
    MESSAGE_EXEC,
    MESSAGE_STDIN,
    MESSAGE_CLOSE,
    MESSAGE_SIGNAL,
    MESSAGE_RESIZE,
    MESSAGE_DETACH,
    MESSAGE_ATTACH,
    MESSAGE_KILL,
    MESSAGE_JOBS,
    MESSAGE_PING,
    MESSAGE_PONG,
    MESSAGE_ACK,
    MESSAGE_QUEUED,
    MESSAGE_STARTED,
    MESSAGE_STDOUT,
    MESSAGE_STDERR,
    MESSAGE_EXIT,
    MESSAGE_ERROR,
    MESSAGE_CLOSING,
    MESSAGE_DONE,
    MESSAGE_DETACHED,
    MESSAGE_UNKNOWN /* a type of a later version; clients ignore it, the server answers bad_request
                     */
};

enum stream { STREAM_STDOUT, STREAM_STDERR };
enum on_disconnect { ON_DISCONNECT_KILL, ON_DISCONNECT_GRACE, ON_DISCONNECT_DETACH };
enum when_full { WHEN_FULL_BLOCK, WHEN_FULL_CUT };

/* A list and its strings are one block of memory each: argv and env are freed by a single free().
 */
struct exec_request {
    char **argv; /* NULL-terminated, at least one word; NULL where `shell` is given */
    char *shell; /* for /bin/sh -c; NULL where `argv` is given */
    char **env;  /* NULL-terminated "NAME=value"; NULL: none */
    char *cwd;   /* NULL: the server's choice */
    char *user;  /* NULL: the server's choice */
    char *key;   /* idempotency key; NULL: none */
    bool stdin_stream;
    bool pty;
    bool digest;
    uint64_t timeout_ms;      /* 0: none */
    uint64_t start_within_ms; /* 0: any time */
    enum on_disconnect on_disconnect;
    enum when_full when_full;
    size_t payload_argc; /* so many words of argv, … */
    size_t payload_envc; /* … then of env, … */
    bool payload_cwd;    /* … then cwd stand in the payload, each with a NUL at its end */
    char unknown_must[MESSAGE_WORD_BYTES]; /* a field named in "must" that this version lacks, or ""
                                            */
};

struct message {
    enum message_type type;
    bool has_id;
    uint64_t id;
    size_t size; /* payload bytes */

    uint64_t seq;    /* stdout, stderr, exit */
    uint64_t offset; /* stdin */
    bool eof;        /* stdin */
    bool has_next;   /* ack: cumulative, output */
    uint64_t next;
    bool has_stdin_acked; /* ack: cumulative, stdin */
    uint64_t stdin_acked;
    uint64_t position;                 /* queued */
    uint64_t window;                   /* started */
    uint64_t credit;                   /* started; 0: not said */
    uint64_t retry_after_ms;           /* error; 0: not said */
    enum stream stream;                /* close */
    char name[AFAR_SIGNAL_NAME_BYTES]; /* signal, kill */
    char job[MESSAGE_JOB_ID_BYTES];    /* started, kill */
    char word[MESSAGE_WORD_BYTES];     /* error: code; closing: reason; pong: server version;
                                          unknown: its type */
    char text[MESSAGE_TEXT_BYTES];     /* error: message; pong, started: features as words */
    struct exec_request *exec;         /* exec; owned */
    struct afar_receipt receipt;       /* exit */
    struct afar_error problem;         /* bad; its reason is the code for the answer, "":
                                          bad_request */
};

/* Reads a header. AFAR_OK: *message is filled in; its type is MESSAGE_BAD where a field is missing,
 * of the wrong type or out of range (id and size are right nevertheless). AFAR_EPEER: not such JSON
 * that its "size" can be trusted. AFAR_ENOMEM. */
enum afar_status message_decode(struct message *message, const uint8_t *header, size_t size,
                                struct afar_error *err);
void message_close(struct message *message);

/* Moves the exec request out of the message. */
struct exec_request *message_take_exec(struct message *message);

/* Takes argv, env and cwd out of the payload as the counts say. Needed only where there is a
 * payload: a decoded request without one is complete. AFAR_EPEER: they do not add up. AFAR_ENOMEM.
 * In both cases the request is good for nothing but exec_request_free. */
enum afar_status exec_request_take_payload(struct exec_request *request, const uint8_t *payload,
                                           size_t size, struct afar_error *err);
void exec_request_free(struct exec_request *request);

/* Each adds one whole frame with its payload. AFAR_ELIMIT: the buffer is full, the payload exceeds
 * FRAME_PAYLOAD_MAX_BYTES, or the header FRAME_HEADER_MAX_BYTES (exec only). AFAR_EINVAL: a string
 * that is not UTF-8, where only the header can carry it (exec's user and key, a signal's name).
 * AFAR_ENOMEM. In each case nothing was added.
 *
 * exec: argv, env and cwd that are no UTF-8 or too long for the header go into the payload; a
 * `shell` of that kind becomes the argv {"/bin/sh", "-c", shell} there, which is the same command.
 */
enum afar_status message_put_exec(struct buffer *out, uint64_t id,
                                  const struct exec_request *request, struct afar_error *err);
enum afar_status message_put_stdin(struct buffer *out, uint64_t id, uint64_t offset,
                                   const void *data, size_t size, bool eof, struct afar_error *err);
enum afar_status message_put_close(struct buffer *out, uint64_t id, enum stream stream,
                                   struct afar_error *err);
enum afar_status message_put_signal(struct buffer *out, uint64_t id, const char *name,
                                    struct afar_error *err);
enum afar_status message_put_detach(struct buffer *out, uint64_t id, struct afar_error *err);
enum afar_status message_put_detached(struct buffer *out, uint64_t id, struct afar_error *err);
enum afar_status message_put_kill(struct buffer *out, uint64_t id, const char *job,
                                  const char *name, struct afar_error *err);
enum afar_status message_put_ack(struct buffer *out, uint64_t id, uint64_t next,
                                 struct afar_error *err);
enum afar_status message_put_stdin_ack(struct buffer *out, uint64_t id, uint64_t stdin_acked,
                                       struct afar_error *err);
enum afar_status message_put_ping(struct buffer *out, uint64_t id, struct afar_error *err);
/* `features`: of enum feature; 0: not said, as a client's. */
enum afar_status message_put_pong(struct buffer *out, uint64_t id, const char *version,
                                  unsigned features, struct afar_error *err);
enum afar_status message_put_queued(struct buffer *out, uint64_t id, uint64_t position,
                                    struct afar_error *err);
/* `credit` or `features` 0: not said. */
enum afar_status message_put_started(struct buffer *out, uint64_t id, const char *job,
                                     uint64_t window, uint64_t credit, unsigned features,
                                     struct afar_error *err);
enum afar_status message_put_exit(struct buffer *out, uint64_t id, uint64_t seq,
                                  const struct afar_receipt *receipt, bool digest,
                                  struct afar_error *err);
enum afar_status message_put_done(struct buffer *out, uint64_t id, struct afar_error *err);
/* `has_id` false: the error belongs to no request. retry_after_ms 0: not said. Text that is not
 * UTF-8 is made so. */
enum afar_status message_put_error(struct buffer *out, bool has_id, uint64_t id, const char *code,
                                   const char *text, uint64_t retry_after_ms,
                                   struct afar_error *err);
enum afar_status message_put_closing(struct buffer *out, const char *reason,
                                     struct afar_error *err);

/* Writes prefix and header of a stdout or stderr frame to `out`, which must hold
 * MESSAGE_OUTPUT_HEAD_BYTES. Returns their length. Cannot fail: nothing is allocated. */
enum { MESSAGE_OUTPUT_HEAD_BYTES = 128 };
size_t message_write_output_head(uint8_t out[MESSAGE_OUTPUT_HEAD_BYTES], uint64_t id,
                                 enum stream stream, uint64_t seq, size_t size);

/* "exited", "signaled", …; and back (false: unknown). */
const char *message_outcome_name(enum afar_outcome outcome);
bool message_outcome_parse(const char *name, enum afar_outcome *outcome);

/* "request", "rule", "server"; "request", "shutdown"; "" where it is not known. */
const char *message_limit_owner_name(enum afar_limit_owner owner);
const char *message_killer_name(enum afar_killer killer);

#endif
