/* Messages of the native protocol: what a frame's JSON header says, checked, as a struct; and back.
 *
 * Owns:    a struct message owns its exec request and its list of jobs (message_close).
 * Threads: a value of one thread.
 * Blocks:  never; no system call in this layer.
 * Limits:  integers 0 … 2^53-1; nesting 8 deep; 4,096 words of argv or environment in JSON; no
 *          duplicate keys, no escaped NUL, UTF-8 only (bytes that are not travel in the payload).
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/buffer.h"
#include "base/error.h"
#include "wire/features.h"
#include "wire/pty_request.h"
#include "wire/term_modes.h"

#define MESSAGE_INTEGER_MAX \
    UINT64_C(9007199254740991) /* 2^53-1: what every JSON reader keeps exact */

enum {
    MESSAGE_VERSION = 1,
    /* Unacknowledged stdin that a client may send where `started` does not say more, or has not
     * come yet; and what a server that says more takes in one frame. */
    MESSAGE_STDIN_CREDIT_BYTES = 256 * 1024,
    MESSAGE_STDIN_FRAME_BYTES = 256 * 1024,
    /* What a client says that it will hold of the output is at least this. */
    MESSAGE_WINDOW_MIN_BYTES = 256 * 1024,
    MESSAGE_JOB_ID_BYTES = 33, /* 128 random bits in hex and a NUL */
    MESSAGE_HOLDER_MIN_BYTES = 16,
    MESSAGE_HOLDER_BYTES = 64 + 1,
    MESSAGE_KEY_BYTES = 128 + 1,
    MESSAGE_SERVER_BYTES = 64 + 1,
    MESSAGE_TTY_BYTES = 64,
    MESSAGE_COMMAND_BYTES = 256, /* of a command, in a list of jobs */
    MESSAGE_JOBS_MAX = 256,      /* in one answer, … */
    MESSAGE_JOBS_BYTES = 32768,  /* … which are so many bytes */
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
    MESSAGE_PAUSE,
    MESSAGE_DETACH,
    MESSAGE_ATTACH,
    MESSAGE_KILL,
    MESSAGE_JOBS, /* both ways: the answer has `jobs` */
    MESSAGE_FORGET,
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
    MESSAGE_ATTACHED,
    MESSAGE_CUT,
    MESSAGE_DETACHED,
    MESSAGE_UNKNOWN /* a type of a later version; clients ignore it, the server answers bad_request
                     */
};

enum stream { STREAM_STDOUT, STREAM_STDERR };
enum when_full { WHEN_FULL_BLOCK, WHEN_FULL_CUT };

/* What has become of a command, in `attached` and `jobs`. */
enum message_job_state {
    MESSAGE_JOB_QUEUED,
    MESSAGE_JOB_STARTING,
    MESSAGE_JOB_RUNNING,
    MESSAGE_JOB_ENDED,
    MESSAGE_JOB_UNREACHABLE /* it may run: its keeper does not answer */
};

/* A list and its strings are one block of memory each: argv and env are freed by a single free().
 */
struct exec_request {
    char **argv;     /* NULL-terminated, at least one word; or */
    char *shell;     /* for /bin/sh -c; or */
    char *subsystem; /* a service of the server's own; has stdin_stream; or */
    char *forward; /* "host:port" that standard input and output lead to; likewise; or `login`. One
                        of the five is given, the others are NULL */
    char **env;    /* NULL-terminated "NAME=value"; NULL: none */
    char *
        *env_if_allowed; /* likewise; of these the server leaves out what its rules do not allow */
    char *cwd;           /* NULL: the server's choice */
    char *user;          /* NULL: the server's choice */
    char *key;           /* the command's name, started at most once; implies `keep`; NULL: none */
    bool stdin_stream;
    struct pty_request *pty; /* on a terminal; NULL: pipes */
    bool digest;
    uint64_t timeout_ms;      /* 0: none */
    uint64_t start_within_ms; /* 0: any time */
    enum when_full when_full;
    bool keep;                         /* the command outlives its connection and its server */
    bool leave;                        /* what it leaves running at its end may stay */
    bool must_leave;                   /* … else it is not to be run */
    bool home;                         /* begins in the user's home, with his environment */
    bool login;                        /* the user's login shell; then neither argv nor shell */
    bool shell_of_user;                /* `shell` is for the user's own shell */
    char holder[MESSAGE_HOLDER_BYTES]; /* who may come back to it; "": nobody */
    uint64_t resume_ms;                /* so long after a disconnect; needs a holder; 0: no */
    uint64_t window_max;               /* of output, that the client will hold; 0: not said */
    size_t payload_argc;               /* so many words of argv, … */
    size_t payload_envc;               /* … then of env, … */
    bool payload_cwd;                  /* … then cwd, … */
    bool payload_shell; /* … then shell stand in the payload, each with a NUL at its end */
    char unknown_must[MESSAGE_WORD_BYTES]; /* a field named in "must" that this version lacks, or ""
                                            */
};

/* attach: the client asks for a run that is there. */
struct message_attach {
    char holder[MESSAGE_HOLDER_BYTES];
    uint64_t attempt;
    uint64_t next;          /* has_next: the first frame that it wants */
    uint64_t ack;           /* every frame below this has been taken; not above `next` */
    uint64_t next_bytes[2]; /* has_next_bytes: of each stream, before `next`, as it has counted */
    uint64_t since_ms;      /* has_since: what was written so long ago, or later; 0: from now on */
    uint64_t window_max;    /* 0: not said */
    bool resume;   /* it has been attached, or has sent the exec; else it takes the run over */
    bool has_next; /* and `ack` is said; otherwise from the first frame that is held, or … */
    bool has_next_bytes;
    bool has_since;            /* … from a time on */
    bool watch;                /* it only reads, and takes nothing over */
    bool output;               /* it wants output; with `watch`, otherwise true */
    bool follow;               /* also what is still to come; likewise */
    bool times;                /* and when it was written; likewise, otherwise false */
    bool has_pty;              /* it comes from a terminal, which has … */
    struct screen_size screen; /* … this size */
    uint64_t tail; /* so many bytes of what was shown it wants again, with a screen that is whole */
};

/* attached: what the host knows of the run. */
struct message_attached {
    enum message_job_state state;
    uint64_t first;          /* the frame that is sent next */
    uint64_t end;            /* one beyond the newest */
    uint64_t first_bytes[2]; /* of each stream, before `first` */
    uint64_t stdin_received;
    uint64_t stdin_taken;
    bool stdin_eof;                    /* has been received too */
    uint64_t window_max;               /* 0: not said */
    bool has_pty;                      /* it is on a terminal, which has … */
    struct screen_size screen;         /* … this size */
    bool has_modes;                    /* the next two are said */
    uint64_t replay;                   /* so many bytes of its output come again, and then … */
    char modes[TERM_MODES_TEXT_BYTES]; /* … these are to be written to the terminal */
};

/* cut: frames seq to next - 1 are not there any more. */
struct message_cut {
    uint64_t next;
    uint64_t lost[2]; /* bytes of each stream */
};

/* An entry of `jobs`. */
struct message_job {
    char job[MESSAGE_JOB_ID_BYTES];
    enum message_job_state state;
    bool kept;
    bool attached;                       /* a client reads it */
    bool pty;                            /* it is on a terminal */
    char key[MESSAGE_KEY_BYTES];         /* "": none */
    char owner[MESSAGE_TEXT_BYTES];      /* "": the one who asks */
    char command[MESSAGE_COMMAND_BYTES]; /* for people, not whole where it is long */
    uint64_t age_ms;                     /* since its request */
    uint64_t ended_ms;                   /* since its end; 0: it has not ended */
    uint64_t bytes[2];                   /* of output, so far */
    bool has_outcome;
    enum afar_outcome outcome;
    int code; /* -1: none */
    char signal[AFAR_SIGNAL_NAME_BYTES];
};

struct message_jobs {
    bool more; /* ask again, with the last one's id as `after` */
    size_t count;
    struct message_job job[];
};

struct message {
    enum message_type type;
    bool has_id;
    uint64_t id;
    size_t size; /* payload bytes */

    uint64_t seq;     /* stdout, stderr, exit, cut */
    uint64_t time_us; /* stdout, stderr: written then, by the wall clock; 0: not said */
    uint64_t offset;  /* stdin */
    bool eof;         /* stdin */
    bool has_next;    /* ack: cumulative, output */
    uint64_t next;
    bool has_stdin_acked; /* ack: cumulative, stdin */
    uint64_t stdin_acked;
    uint64_t position;                 /* queued */
    uint64_t window;                   /* started, attached */
    uint64_t credit;                   /* started, attached, ack; 0: not said */
    uint64_t resume_ms;                /* started, attached; 0: none is granted */
    bool kept;                         /* started, attached */
    bool all;                          /* jobs: also those that have ended */
    bool shutdown;                     /* kill: the server stops, and the job is ended in order */
    uint64_t retry_after_ms;           /* error; 0: not said */
    enum stream stream;                /* close */
    char name[AFAR_SIGNAL_NAME_BYTES]; /* signal, kill */
    char job[MESSAGE_JOB_ID_BYTES];    /* started, attached, kill, attach, forget; jobs: after */
    struct screen_size screen;         /* resize */
    char tty[MESSAGE_TTY_BYTES];       /* started: its terminal's name; "": not said */
    char server[MESSAGE_SERVER_BYTES]; /* started, attached, error: which one; "": not said */
    char word[MESSAGE_WORD_BYTES];     /* error: code; closing: reason; pong: server version;
                                          unknown: its type */
    char text[MESSAGE_TEXT_BYTES];     /* error: message; pong, started: features as words */
    struct exec_request *exec;         /* exec; owned */
    struct message_jobs *jobs;         /* jobs, the answer; owned */
    union {
        struct afar_receipt receipt;      /* exit */
        struct message_attach attach;     /* attach */
        struct message_attached attached; /* attached */
        struct message_cut cut;           /* cut; `seq` is the first that is gone */
    };
    struct afar_error problem; /* bad; its reason is the code for the answer, "": bad_request */
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
 * that is not UTF-8, where only the header can carry it (exec's user, key and holder, a signal's
 * name).
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
enum afar_status message_put_resize(struct buffer *out, uint64_t id, const struct screen_size *size,
                                    struct afar_error *err);
enum afar_status message_put_pause(struct buffer *out, uint64_t id, struct afar_error *err);
enum afar_status message_put_detach(struct buffer *out, uint64_t id, struct afar_error *err);
enum afar_status message_put_detached(struct buffer *out, uint64_t id, struct afar_error *err);
enum afar_status message_put_kill(struct buffer *out, uint64_t id, const char *job,
                                  const char *name, struct afar_error *err);
/* To a keeper, by the server that stops: TERM, the grace period, KILL. */
enum afar_status message_put_shutdown(struct buffer *out, uint64_t id, const char *job,
                                      struct afar_error *err);
enum afar_status message_put_ack(struct buffer *out, uint64_t id, uint64_t next,
                                 struct afar_error *err);
/* `credit` 0: not said. */
enum afar_status message_put_stdin_ack(struct buffer *out, uint64_t id, uint64_t stdin_acked,
                                       uint64_t credit, struct afar_error *err);
enum afar_status message_put_ping(struct buffer *out, uint64_t id, struct afar_error *err);
/* `features`: of enum feature; 0: not said, as a client's. */
enum afar_status message_put_pong(struct buffer *out, uint64_t id, const char *version,
                                  unsigned features, struct afar_error *err);
enum afar_status message_put_queued(struct buffer *out, uint64_t id, uint64_t position,
                                    struct afar_error *err);

/* What `started` and `attached` both say. */
struct message_started {
    const char *job;
    uint64_t window;
    uint64_t credit;    /* 0: not said */
    uint64_t resume_ms; /* 0: none */
    bool kept;
    unsigned features;  /* of enum feature; 0: not said */
    const char *server; /* letters, digits, and what JSON need not escape; NULL: not said */
    const char *tty;    /* likewise; its terminal's name */
};
enum afar_status message_put_started(struct buffer *out, uint64_t id,
                                     const struct message_started *started, struct afar_error *err);
enum afar_status message_put_attached(struct buffer *out, uint64_t id,
                                      const struct message_started *started,
                                      const struct message_attached *attached,
                                      struct afar_error *err);
/* `job` NULL: the run whose exec had this holder. */
enum afar_status message_put_attach(struct buffer *out, uint64_t id, const char *job,
                                    const struct message_attach *attach, struct afar_error *err);
enum afar_status message_put_forget(struct buffer *out, uint64_t id, const char *job,
                                    struct afar_error *err);
/* `after` NULL: from the first. */
enum afar_status message_put_jobs(struct buffer *out, uint64_t id, const char *after, bool all,
                                  struct afar_error *err);
/* The answer: as many of the `count` entries as one answer holds, at least one where there is one;
 * *put says how many. `more`: there are more than `count`. Text that is not UTF-8 is made so. */
enum afar_status message_put_jobs_answer(struct buffer *out, uint64_t id,
                                         const struct message_job *jobs, size_t count, bool more,
                                         size_t *put, struct afar_error *err);
enum afar_status message_put_exit(struct buffer *out, uint64_t id, uint64_t seq,
                                  const struct afar_receipt *receipt, bool digest,
                                  struct afar_error *err);
enum afar_status message_put_done(struct buffer *out, uint64_t id, struct afar_error *err);
/* `has_id` false: the error belongs to no request. retry_after_ms 0: not said. Text that is not
 * UTF-8 is made so. */
enum afar_status message_put_error(struct buffer *out, bool has_id, uint64_t id, const char *code,
                                   const char *text, uint64_t retry_after_ms,
                                   struct afar_error *err);
/* The error `not_found`, which says which server does not know the job. */
enum afar_status message_put_not_found(struct buffer *out, uint64_t id, const char *text,
                                       const char *server, struct afar_error *err);
enum afar_status message_put_closing(struct buffer *out, const char *reason,
                                     struct afar_error *err);

/* ---- frames that are sent more than once, each time for another request: output_log ----
 *
 * Those that write cannot fail: nothing is allocated. */

/* Writes prefix and header of a stdout or stderr frame to `out`; time_us 0: not said. Returns their
 * length. */
enum { MESSAGE_OUTPUT_HEAD_BYTES = 128 };
size_t message_write_output_head(uint8_t out[MESSAGE_OUTPUT_HEAD_BYTES], uint64_t id,
                                 enum stream stream, uint64_t seq, size_t size, uint64_t time_us);

/* The longest that this can be, whatever the id. */
size_t message_output_head_most(uint64_t seq, size_t size, uint64_t time_us);

/* Writes the prefix and the beginning of a header, with type and id, of which `rest_bytes` more
 * follow. Returns its length. */
size_t message_write_head(uint8_t out[MESSAGE_OUTPUT_HEAD_BYTES], const char *type, uint64_t id,
                          size_t rest_bytes);

/* That rest, of an exit. Errors as of message_put_exit. */
enum afar_status message_put_exit_rest(struct buffer *out, uint64_t seq,
                                       const struct afar_receipt *receipt, bool digest,
                                       struct afar_error *err);

/* That rest, of a cut: frames seq to next - 1, so many bytes of stdout and stderr. Returns its
 * length. */
enum { MESSAGE_CUT_REST_BYTES = 128 };
size_t message_write_cut_rest(char out[MESSAGE_CUT_REST_BYTES], uint64_t seq, uint64_t next,
                              const uint64_t lost[2]);

/* "queued", "starting", … */
const char *message_job_state_name(enum message_job_state state);

/* Whether it is what PROTOCOL.md says that a holder is. */
bool message_is_holder(const char *holder);

/* "exited", "signaled", …; and back (false: unknown). */
const char *message_outcome_name(enum afar_outcome outcome);
bool message_outcome_parse(const char *name, enum afar_outcome *outcome);

/* "request", "rule", "server"; "request", "shutdown"; "" where it is not known. */
const char *message_limit_owner_name(enum afar_limit_owner owner);
const char *message_killer_name(enum afar_killer killer);

#endif
