/* Messages of the native protocol: decodes a frame's JSON header into a checked struct, and encodes
 * messages into frames.
 *
 * Owns:    a struct message owns its exec request and its list of jobs (message_close).
 * Threads: a value of one thread.
 * Blocks:  never; no system call in this layer.
 * Limits:  integers 0 … 2^53-1; nesting 8 deep; 4,096 words each of argv and environment in JSON;
 *          no duplicate keys, no escaped NUL, UTF-8 only (other bytes travel in the payload). */
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
    /* Unacknowledged stdin that a client may send until `started` grants more; and the largest
     * stdin frame that a server accepts which grants more. */
    MESSAGE_STDIN_CREDIT_BYTES = 256 * 1024,
    MESSAGE_STDIN_FRAME_BYTES = 256 * 1024,
    /* The least value of window_max: output that a client is ready to hold. */
    MESSAGE_WINDOW_MIN_BYTES = 256 * 1024,
    MESSAGE_JOB_ID_BYTES = 33, /* 128 random bits in hex and a NUL */
    MESSAGE_HOLDER_MIN_BYTES = 16,
    MESSAGE_HOLDER_BYTES = 64 + 1,
    MESSAGE_KEY_BYTES = 128 + 1,
    MESSAGE_SERVER_BYTES = 64 + 1,
    MESSAGE_TTY_BYTES = 64,
    MESSAGE_COMMAND_BYTES = 256, /* of a command's text in a list of jobs */
    MESSAGE_JOBS_MAX = 256,      /* entries in one answer, … */
    MESSAGE_JOBS_BYTES = 32768,  /* … and their size */
    MESSAGE_TEXT_BYTES = 512,
    MESSAGE_WORD_BYTES = 32,
    MESSAGE_EXIT_BYTES = 3072 /* no exit frame is larger, whatever the receipt holds */
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
    MESSAGE_JOBS, /* request and answer; the answer has `jobs` */
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
    MESSAGE_ROOM,   /* between a server and a keeper only */
    MESSAGE_UNKNOWN /* type of a later version; clients ignore it, servers answer bad_request */
};

enum stream { STREAM_STDOUT, STREAM_STDERR };
enum when_full { WHEN_FULL_BLOCK, WHEN_FULL_CUT };

/* The state of a job, in `attached` and `jobs`. */
enum message_job_state {
    MESSAGE_JOB_QUEUED,
    MESSAGE_JOB_STARTING,
    MESSAGE_JOB_RUNNING,
    MESSAGE_JOB_ENDED,
    MESSAGE_JOB_UNREACHABLE, /* its keeper does not answer; the job may be running */
    MESSAGE_JOB_UNREADABLE   /* its folder cannot be read; the job may be running */
};

/* Each list is one block of memory together with its strings: argv and env are freed by a single
 * free(). Exactly one of argv, shell, subsystem, forward and `login` is given. */
struct exec_request {
    char **argv;     /* NULL-terminated, at least one word */
    char *shell;     /* for /bin/sh -c */
    char *subsystem; /* a service of the server; needs stdin_stream */
    char *forward;   /* "host:port" to connect standard input and output to; needs stdin_stream */
    char **env;      /* NULL-terminated "NAME=value"; NULL: none */
    char *
        *env_if_allowed; /* likewise; the server leaves out the items that its rules do not allow */
    char *cwd;           /* NULL: the server chooses */
    char *user;          /* NULL: the server chooses */
    char *key;           /* name under which the command is started at most once; implies `keep`;
                            NULL: none */
    bool stdin_stream;
    struct pty_request *pty; /* the command gets a terminal; NULL: pipes */
    bool digest;
    uint64_t timeout_ms;      /* 0: none */
    uint64_t start_within_ms; /* 0: no limit */
    enum when_full when_full;
    bool keep;                         /* the command outlives its connection and its server */
    bool leave;                        /* processes left at the command's end may stay */
    bool must_leave;                   /* "must" names leave: refuse the run if they may not */
    bool home;                         /* starts in the user's home, with the user's environment */
    bool login;                        /* runs the user's login shell */
    bool shell_of_user;                /* `shell` is run by the user's own shell */
    char holder[MESSAGE_HOLDER_BYTES]; /* secret of the client that may come back; "": none */
    uint64_t resume_ms;                /* how long the run survives a disconnect; needs a holder;
                                          0: not at all */
    uint64_t window_max;               /* output that the client is ready to hold; 0: not said */
    size_t payload_argc;               /* number of words of argv, … */
    size_t payload_envc;               /* … then of env … */
    bool payload_cwd;                  /* … then cwd … */
    bool payload_shell;                /* … then shell in the payload, each string with its NUL */
    char unknown_must[MESSAGE_WORD_BYTES]; /* a name in "must" that is not known; "": all are
                                              known */
};

/* attach: the client asks for an existing run. */
struct message_attach {
    char holder[MESSAGE_HOLDER_BYTES];
    uint64_t attempt;
    uint64_t next;          /* if has_next: the first frame that the client wants */
    uint64_t ack;           /* the client has taken every frame below this; at most `next` */
    uint64_t next_bytes[2]; /* if has_next_bytes: bytes of each stream before `next`, as the
                               client counted */
    uint64_t since_ms;      /* if has_since: wants output that is at most this old; 0: only new
                               output */
    uint64_t window_max;    /* 0: not said */
    bool resume;   /* the client started the run or was attached; false: it takes the run over */
    bool has_next; /* `next` and `ack` are given. Otherwise the client wants all frames that are
                      held, or … */
    bool has_next_bytes;
    bool has_since;            /* … those from a time on */
    bool watch;                /* only reads; does not become the holder */
    bool output;               /* wants output; true unless `watch` */
    bool follow;               /* also wants future output; true unless `watch` */
    bool times;                /* wants the time of each frame; false unless `watch` */
    bool has_pty;              /* the client has a terminal … */
    struct screen_size screen; /* … of this size */
    uint64_t tail;             /* bytes of earlier output wanted again, to show a complete screen */
};

/* attached: the server's view of the run. */
struct message_attached {
    enum message_job_state state;
    uint64_t first;          /* the frame that the server sends next */
    uint64_t end;            /* one beyond the newest frame */
    uint64_t first_bytes[2]; /* bytes of each stream before `first` */
    uint64_t stdin_received;
    uint64_t stdin_taken;
    bool stdin_eof;            /* the end of stdin has been received */
    uint64_t window_max;       /* 0: not said */
    bool has_pty;              /* the job has a terminal … */
    struct screen_size screen; /* … of this size */
    bool has_modes;            /* the next two fields are given */
    uint64_t replay;           /* this many bytes of output are sent again; after them … */
    char modes[TERM_MODES_TEXT_BYTES]; /* … the client writes this to its terminal */
};

/* cut: frames seq to next - 1 are no longer available. */
struct message_cut {
    uint64_t next;
    uint64_t lost[2]; /* bytes of each stream */
};

/* An entry of `jobs`. */
struct message_job {
    char job[MESSAGE_JOB_ID_BYTES];
    enum message_job_state state;
    bool kept;
    bool attached;                       /* a client is attached */
    bool pty;                            /* it has a terminal */
    char key[MESSAGE_KEY_BYTES];         /* "": none */
    char owner[MESSAGE_TEXT_BYTES];      /* "": the client that asks */
    char command[MESSAGE_COMMAND_BYTES]; /* for people; cut if it is long */
    uint64_t age_ms;                     /* time since its request */
    uint64_t ended_ms;                   /* time since its end; 0: it has not ended */
    uint64_t bytes[2];                   /* of output so far */
    bool has_outcome;
    enum afar_outcome outcome;
    int code; /* -1: none */
    char signal[AFAR_SIGNAL_NAME_BYTES];
};

struct message_jobs {
    bool more; /* there are more: ask again, with the id of the last job as `after` */
    size_t count;
    struct message_job job[];
};

struct message {
    enum message_type type;
    bool has_id;
    uint64_t id;
    size_t size; /* payload bytes */

    uint64_t seq;     /* stdout, stderr, exit, cut */
    uint64_t time_us; /* stdout, stderr: time of writing, wall clock; 0: not said */
    uint64_t offset;  /* stdin */
    bool eof;         /* stdin */
    bool has_next;    /* ack: output is acknowledged, cumulatively */
    uint64_t next;
    bool has_stdin_acked; /* ack: stdin is acknowledged, cumulatively */
    uint64_t stdin_acked;
    uint64_t position;                 /* queued */
    uint64_t window;                   /* started, attached, room */
    uint64_t credit;                   /* started, attached, ack, room; 0: not said */
    uint64_t resume_ms;                /* started, attached; 0: not granted */
    bool kept;                         /* started, attached */
    bool all;                          /* jobs: also list jobs that have ended */
    bool shutdown;                     /* kill: the server stops; end the job gracefully */
    uint64_t retry_after_ms;           /* error; 0: not said */
    enum stream stream;                /* close */
    char name[AFAR_SIGNAL_NAME_BYTES]; /* signal, kill */
    char job[MESSAGE_JOB_ID_BYTES];    /* started, attached, kill, attach, forget; jobs: after */
    struct screen_size screen;         /* resize */
    char tty[MESSAGE_TTY_BYTES];       /* started: the terminal's name; "": not said */
    char server[MESSAGE_SERVER_BYTES]; /* started, attached, error: which server; "": not said */
    char word[MESSAGE_WORD_BYTES];     /* error: code; closing: reason; pong: server version;
                                          unknown: its type */
    char text[MESSAGE_TEXT_BYTES];     /* error: message; pong, started: features as words */
    struct exec_request *exec;         /* exec; owned */
    struct message_jobs *jobs;         /* jobs, the answer; owned */
    union {
        struct afar_receipt receipt;      /* exit */
        struct message_attach attach;     /* attach */
        struct message_attached attached; /* attached */
        struct message_cut cut;           /* cut; `seq` is the first lost frame */
    };
    struct afar_error problem; /* bad; `reason` is the code for the answer, "": bad_request */
};

/* Decodes a header. AFAR_OK: *message is set, and the caller frees its contents (message_close).
 * Its type is MESSAGE_BAD if a field is missing, of the wrong type or out of range; id and size are
 * right nevertheless. AFAR_EPEER: the header is not valid JSON, or its "size" cannot be trusted.
 * AFAR_ENOMEM. */
enum afar_status message_decode(struct message *message, const uint8_t *header, size_t size,
                                struct afar_error *err);
void message_close(struct message *message);

/* Moves the exec request out of the message; the caller frees it (exec_request_free). */
struct exec_request *message_take_exec(struct message *message);

/* Copies argv, env, cwd and shell out of the payload as the request's counts say. Needed only if
 * there is a payload: otherwise the decoded request is complete. AFAR_EPEER: counts and payload do
 * not match, or an entry of env is not NAME=value. AFAR_ENOMEM. After an error the only valid call
 * is exec_request_free. */
enum afar_status exec_request_take_payload(struct exec_request *request, const uint8_t *payload,
                                           size_t size, struct afar_error *err);
void exec_request_free(struct exec_request *request);

/* Each function appends one whole frame with its payload. AFAR_ELIMIT: the buffer is full, the
 * payload exceeds FRAME_PAYLOAD_MAX_BYTES, or the header FRAME_HEADER_MAX_BYTES (exec only).
 * AFAR_EINVAL: a string that only the header can carry is not UTF-8 (such as exec's user, key and
 * holder, a signal's name). AFAR_ENOMEM. After an error nothing has been appended.
 *
 * exec: argv, env and cwd go into the payload if they are not UTF-8 or too long for the header.
 * Such a `shell` goes into the payload too if `home` is set; otherwise it is sent as the equivalent
 * argv {"/bin/sh", "-c", shell}, because old servers do not know a shell line in the payload. */
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
/* Sent by a stopping server to a keeper: TERM, the grace period, KILL. */
enum afar_status message_put_shutdown(struct buffer *out, uint64_t id, const char *job,
                                      struct afar_error *err);
enum afar_status message_put_ack(struct buffer *out, uint64_t id, uint64_t next,
                                 struct afar_error *err);
/* `credit` 0: not said. */
enum afar_status message_put_stdin_ack(struct buffer *out, uint64_t id, uint64_t stdin_acked,
                                       uint64_t credit, struct afar_error *err);
/* What the windows of a kept job's client have, or may have, beyond their initial sizes. */
enum afar_status message_put_room(struct buffer *out, uint64_t id, uint64_t window, uint64_t credit,
                                  struct afar_error *err);
enum afar_status message_put_ping(struct buffer *out, uint64_t id, struct afar_error *err);
/* `features`: a set of enum feature; 0: not sent, as by a client. */
enum afar_status message_put_pong(struct buffer *out, uint64_t id, const char *version,
                                  unsigned features, struct afar_error *err);
enum afar_status message_put_queued(struct buffer *out, uint64_t id, uint64_t position,
                                    struct afar_error *err);

/* Fields that `started` and `attached` share. */
struct message_started {
    const char *job;
    uint64_t window;
    uint64_t credit;    /* 0: not said */
    uint64_t resume_ms; /* 0: none */
    bool kept;
    unsigned features;  /* a set of enum feature; 0: not said */
    const char *server; /* without characters that JSON must escape; NULL: not said */
    const char *tty;    /* likewise; the terminal's name */
};
enum afar_status message_put_started(struct buffer *out, uint64_t id,
                                     const struct message_started *started, struct afar_error *err);
enum afar_status message_put_attached(struct buffer *out, uint64_t id,
                                      const struct message_started *started,
                                      const struct message_attached *attached,
                                      struct afar_error *err);
/* `job` NULL: asks for the run whose exec had this holder. */
enum afar_status message_put_attach(struct buffer *out, uint64_t id, const char *job,
                                    const struct message_attach *attach, struct afar_error *err);
enum afar_status message_put_forget(struct buffer *out, uint64_t id, const char *job,
                                    struct afar_error *err);
/* `after` NULL: from the first job. */
enum afar_status message_put_jobs(struct buffer *out, uint64_t id, const char *after, bool all,
                                  struct afar_error *err);
/* Appends the answer with as many of the `count` entries as fit in one answer, at least one if
 * there is one; *put is their number. `more`: there are more than `count`. Invalid UTF-8 is
 * replaced. */
enum afar_status message_put_jobs_answer(struct buffer *out, uint64_t id,
                                         const struct message_job *jobs, size_t count, bool more,
                                         size_t *put, struct afar_error *err);
enum afar_status message_put_exit(struct buffer *out, uint64_t id, uint64_t seq,
                                  const struct afar_receipt *receipt, bool digest,
                                  struct afar_error *err);
enum afar_status message_put_done(struct buffer *out, uint64_t id, struct afar_error *err);
/* `has_id` false: the error belongs to no request. retry_after_ms 0: not sent. Invalid UTF-8 is
 * replaced. */
enum afar_status message_put_error(struct buffer *out, bool has_id, uint64_t id, const char *code,
                                   const char *text, uint64_t retry_after_ms,
                                   struct afar_error *err);
/* The error `not_found`, with the name of the server that does not know the job. */
enum afar_status message_put_not_found(struct buffer *out, uint64_t id, const char *text,
                                       const char *server, struct afar_error *err);
enum afar_status message_put_closing(struct buffer *out, const char *reason,
                                     struct afar_error *err);

/* ---- frames that are sent more than once, each time for another request: output_log ----
 *
 * The message_write_… functions cannot fail: they allocate nothing. */

/* Writes the prefix and the header of a stdout or stderr frame to `out` and returns their length.
 * time_us 0: not sent. */
enum { MESSAGE_OUTPUT_HEAD_BYTES = 128 };
size_t message_write_output_head(uint8_t out[MESSAGE_OUTPUT_HEAD_BYTES], uint64_t id,
                                 enum stream stream, uint64_t seq, size_t size, uint64_t time_us);

/* The largest length that message_write_output_head returns for these values, for any id. */
size_t message_output_head_most(uint64_t seq, size_t size, uint64_t time_us);

/* Writes the prefix and the beginning of a header, with type and id; `rest_bytes` more bytes of the
 * header follow. Returns the length written. */
size_t message_write_head(uint8_t out[MESSAGE_OUTPUT_HEAD_BYTES], const char *type, uint64_t id,
                          size_t rest_bytes);

/* Appends the rest of an exit's header. Errors as of message_put_exit. */
enum afar_status message_put_exit_rest(struct buffer *out, uint64_t seq,
                                       const struct afar_receipt *receipt, bool digest,
                                       struct afar_error *err);

/* Writes the rest of a cut's header: frames seq to next - 1 are gone, with lost[] bytes of stdout
 * and stderr. Returns its length. */
enum { MESSAGE_CUT_REST_BYTES = 128 };
size_t message_write_cut_rest(char out[MESSAGE_CUT_REST_BYTES], uint64_t seq, uint64_t next,
                              const uint64_t lost[2]);

/* "queued", "starting", … */
const char *message_job_state_name(enum message_job_state state);

/* True if the text is a holder as PROTOCOL.md defines it. */
bool message_is_holder(const char *holder);

/* "exited", "signaled", …; "unknown" for other values. The second function is the reverse; false:
 * the name is not known. */
const char *message_outcome_name(enum afar_outcome outcome);
bool message_outcome_parse(const char *name, enum afar_outcome *outcome);

/* "request", "rule" or "server"; and "request", "shutdown" or "record". "": not known. */
const char *message_limit_owner_name(enum afar_limit_owner owner);
const char *message_killer_name(enum afar_killer killer);

#endif
