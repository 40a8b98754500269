/* libafar: run commands on another machine.
 *
 *   1. afar_connect to a URL: tls://, tcp:// or unix://, or host[:port], which means tls.
 *   2. afar_start a command, with callbacks for what comes back.
 *   3. Either afar_wait, which drives everything until the receipt is there (and takes standard
 *      input from afar_write_stdin calls made before it), or your own loop: poll(2) afar_fd for
 *      afar_events, then afar_process; feed afar_write_stdin whenever it takes something.
 *   4. afar_receipt says how the command ended. Without a receipt nothing is known, and nothing
 *      here ever reports success.
 *   5. Any number of commands, one after another; then afar_close.
 *
 * Owns:    a client owns its connection. Strings that are passed in are copied if they are needed
 *          after the call. A context may be freed before its clients.
 *
 * Threads: a client belongs to one thread at a time; a context may be shared.
 *
 * Blocks:  afar_connect, afar_resume, afar_wait, afar_ping, afar_kill, afar_health, afar_shell_run and
 *          afar_upper, until done or their timeout; the rest never (except for files of
 *          certificates and sessions).
 *
 * Limits:  output that a callback does not take is kept up to the server's window (2 MiB by
 *          default); then the command is no longer read. Standard input: as much under way as the
 *          server allows (1 MiB by default). Where the server is far away and both ends are fast it
 *          may let either grow (to 16 MiB by default, 64 MiB at most).
 *
 * Every function that can fail returns enum afar_status; *err (which may be NULL) is filled in if
 * it fails, and left alone if not.
 *
 * ABI: a program works with the library that it was linked with and with every later one of the
 * same soname (libafar.so.1), without being compiled again. For that
 *
 *   - a struct that a program passes in begins with `size`, which says how much of the struct the
 *     program knows. Start each one with its AFAR_..._INIT(); a size of 0 is AFAR_EINVAL.
 *   - members are only appended, where the struct ended before (never in its padding); 0 means what
 *     the library did before there was the member. A library that is older than the program refuses
 *     members that it does not know and that are not 0: AFAR_EINVAL.
 *   - an enum may get new values: treat a status that you do not know as a failure, and an outcome
 *     that you do not know as no success.
 *   - struct afar_error has no size, and stays as it is.
 *
 * tests/integration/test_abi.c holds the layout and the symbols, and fails when one changes. */
#ifndef AFAR_AFAR_H
#define AFAR_AFAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/error.h>
#include <afar/receipt.h>

#define AFAR_API __attribute__((visibility("default")))

/* Private to these headers. AFAR_SIZED is the first member of a struct that a program passes in,
 * AFAR_INIT what such a struct starts as. In C++ the member has a default, so {} is right too. */
#ifdef __cplusplus
#define AFAR_SIZED(type) size_t size = sizeof(struct type)
#define AFAR_INIT(type, ...) \
    {                        \
        __VA_ARGS__          \
    }
#else
#define AFAR_SIZED(type) size_t size
#define AFAR_INIT(type, ...)                     \
    {                                            \
        .size = sizeof(struct type), __VA_ARGS__ \
    }
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
AFAR_API const char *afar_version(void);

/* For a program that connects, does one thing and ends, and uses OpenSSL only by this library: TLS
 * is ready sooner, because OpenSSL reads its configuration only where OPENSSL_CONF names it, and
 * does not clean up at exit. Before anything else here, while there is one thread. Not for a
 * library. */
AFAR_API void afar_begin_program(void);

/* ---- Contexts: certificates and TLS sessions ------------------------------------------------- */

struct afar_context;

struct afar_credentials {
    AFAR_SIZED(afar_credentials);
    const char *ca_file;   /* PEM; NULL: the system's certificate store */
    const char *cert_file; /* PEM; NULL: none */
    const char *key_file;  /* PEM; NULL: none; only you (and your group) may be able to read it */
    /* The SHA-256 of the server's public key (of its SubjectPublicKeyInfo), as 64 lower-case hex
     * digits: only the server with that key is accepted; CA, name and dates are not checked. NULL:
     * the CA decides. */
    const char *pin;
    /* Called during afar_connect for a server that no CA vouches for, with its pin. Must not take
     * long: the server waits (10 s by default). True: accept it. NULL: never. */
    bool (*trust)(void *user, const char *server_name, const char *pin);
    void *trust_user;
    /* A folder of yours where TLS sessions are kept for an hour, so that the next process resumes
     * instead of shaking hands in full: much faster. It is made if it is missing. Everyone who can
     * read the files in it (mode 0600) can impersonate you to the server, as with the key file.
     * With it the three files above are read when a connection needs them; if one is wrong, that
     * connection fails with AFAR_EINVAL. NULL: none are kept. */
    const char *session_folder;
    /* Instead of `trust`, and with the same trust_user: called for every server, and alone decides;
     * CA, name and dates are not checked. For a server whose keys you know. NULL: as above. */
    bool (*trust_alone)(void *user, const char *server_name, const char *pin);
};

/* Initialises a struct afar_credentials. Arguments are members, in the order of the struct:
 * AFAR_CREDENTIALS_INIT(.ca_file = "ca.pem"). (C++ has such arguments since C++20; before that,
 * start with AFAR_CREDENTIALS_INIT() and assign.) The same holds for the other AFAR_..._INIT. */
#define AFAR_CREDENTIALS_INIT(...) AFAR_INIT(afar_credentials, __VA_ARGS__)

/* Reads the files. `credentials` NULL: none, enough for tcp and unix. AFAR_EINVAL names a file that
 * cannot be used. AFAR_ENOMEM. */
AFAR_API enum afar_status afar_context_new(struct afar_context **context,
                                           const struct afar_credentials *credentials,
                                           struct afar_error *err);
AFAR_API void afar_context_free(struct afar_context *context);

/* ---- Connections ----------------------------------------------------------------------------- */

struct afar_client;

/* Resolves the host's name, connects and, for TLS, shakes hands and verifies the server's name.
 * `timeout_ms` 0: none, for all of that. (With one, a name is resolved by a thread that the library
 * starts; after a timeout that thread goes on for a while: do not unload the library then.) Without
 * credentials (`context` NULL, or made of none) TLS trusts the system's CAs and shows no
 * certificate. AFAR_EINVAL (URL), AFAR_ESYSTEM, AFAR_ETIMEDOUT, AFAR_ETRUST, AFAR_EPEER,
 * AFAR_ECLOSED, AFAR_ENOMEM; the message says what happened, to which host, and what to do. */
AFAR_API enum afar_status afar_connect(struct afar_client **client, struct afar_context *context,
                                       const char *url, int64_t timeout_ms, struct afar_error *err);

/* How to reach a server otherwise than by dialling its URL. */
struct afar_route {
    AFAR_SIZED(afar_route);
    int64_t timeout_ms;        /* as afar_connect's */
    const char *local_address; /* connect from this address; NULL: any */
    int family;                /* 4 or 6: by this one of IPv4 and IPv6 only; 0: either */
    /* A connected stream socket that leads to the server, by which it is spoken to; nothing is
     * dialled, and the URL says what is spoken and whose certificate is expected. It is closed in
     * any case. 0: none. */
    int stream;
    /* At the other end of `stream` is a connection to the server that is open and trusted already,
     * and maybe not new, as `afar share` hands them out: the URL's protocol is spoken at once, without
     * TLS. Where it is lost, afar_resume dials the URL. */
    bool ready;
    /* A request follows at once: what ends TLS's handshake waits for it and leaves with it. Until
     * then, or until afar_process, the server counts it as one that shakes hands. */
    bool request_follows;
};
#define AFAR_ROUTE_INIT(...) AFAR_INIT(afar_route, __VA_ARGS__)

/* As afar_connect. AFAR_EINVAL besides: an address or a family that is none. */
AFAR_API enum afar_status afar_connect_by(struct afar_client **client, struct afar_context *context,
                                          const char *url, const struct afar_route *route,
                                          struct afar_error *err);

/* Ends the connection; a command that still runs is ended by the server, also one with resume_ms
 * (unless it is away just now): that this has been said to a server that would wait is itself waited
 * for, for a second at most. NULL is fine. */
AFAR_API void afar_close(struct afar_client *client);

/* Saves the TLS session now, and not in afar_close: for a moment in which there is nothing else to
 * do. Does nothing until the server has sent one (mostly while the first command starts), and after
 * it was saved. Writes a small file. */
AFAR_API void afar_keep_session(struct afar_client *client);

/* True if TLS resumed an earlier session of the context. */
AFAR_API bool afar_resumed(const struct afar_client *client);

/* ---- Commands -------------------------------------------------------------------------------- */

/* A terminal for a command. Text in it has at most 64 letters, digits, and . _ + - (in the values
 * of color and locale also @). */
struct afar_pty {
    AFAR_SIZED(afar_pty);
    const char *term;          /* TERM, such as "xterm-256color"; NULL: "dumb" */
    const char *color;         /* COLORTERM; NULL: none */
    const char *const *locale; /* NULL-terminated "LANG=…" and "LC_…=…", at most 16. What the server
                                  does not have it leaves out, or takes C.UTF-8. NULL: none */
    uint16_t rows;             /* 0, or cols 0: 24 x 80 */
    uint16_t cols;
    uint16_t xpixel; /* 0: not known */
    uint16_t ypixel;
    bool no_utf8; /* the terminal does not show UTF-8: what erases a character erases a byte */
};
#define AFAR_PTY_INIT(...) AFAR_INIT(afar_pty, __VA_ARGS__)

struct afar_command {
    AFAR_SIZED(afar_command);
    const char *const *argv; /* NULL-terminated, any bytes; or */
    const char *shell;       /* a line for /bin/sh -c; or `login` */
    const char *const *env;  /* NULL-terminated "NAME=value", added to the server's; NULL: none */
    const char *cwd;         /* NULL: the server's */
    int64_t timeout_ms;      /* 0: none; then TERM, a grace period, KILL */
    int64_t start_within_ms; /* if no place is free: how long to wait for one. 0: not at all */
    bool with_stdin;  /* afar_write_stdin will follow; otherwise the command reads /dev/null */
    bool with_digest; /* SHA-256 of both streams, compared with what arrived */
    bool with_pty;    /* on a terminal as in AFAR_PTY_INIT(), or as `pty` says */
    /* Instead of argv and shell: a service of the server's own. "sftp": standard input and output
     * are those of an SFTP server. Needs with_stdin. A server that does not know of this refuses
     * with "unsupported", or an older one with "bad_request". */
    const char *subsystem;
    /* Where the connection is lost, the command shall wait so long for us to come back
     * (afar_resume); a server may grant less, or, as one that does not offer "resume", nothing. 0:
     * the command ends with its connection. */
    int64_t resume_ms;
    const char *user; /* whom to run as; the server refuses where that is not allowed. NULL: as the
                         server chooses */
    /* As `env`, but what the server's rules do not allow is left out, and so is what is not UTF-8,
     * or beyond 8 KiB in all. */
    const char *const *env_if_allowed;
    /* The command runs on a terminal: all of its output is on_stdout's; the end of standard input
     * is what Ctrl-D is; afar_signal reaches the group in the foreground (INT, QUIT, TSTP).
     * NULL: as with_pty says. */
    const struct afar_pty *pty;
    bool home;  /* begin in the home directory, with HOME, USER, SHELL and the like; no cwd then */
    bool login; /* the user's login shell, instead of argv and shell */
    bool leave; /* what it leaves running may stay, where the server allows that */
    bool shell_of_user; /* `shell` is a line for the user's own shell, where that is allowed */
    /* The command outlives its connections and the server, until afar_forget or for as long as the
     * server's owner has said; a server that does not offer "keep" refuses. Its output is kept up to
     * a bound (on_cut). */
    bool keep;
    bool watch;     /* with job: only read it, and take nothing over; and of that … */
    bool no_output; /* … only its end, … */
    bool no_follow; /* … or what there is now: then AFAR_EREFUSED, "detached", where it runs */
    /* The command's name, 1 to 128 bytes; implies keep. With one name the same client starts one
     * command at most once, and attaches to it from then on; another command under it is refused
     * ("conflict"). NULL: none. */
    const char *key;
    /* Attaches to this job, which argv and shell must not be given with; NULL: none. With `pty`: from
     * a terminal, to a job that is on one; see on_screen. */
    const char *job;
    /* With job, from where on its output is wanted: from frame `first` (the "seq" of on_frame); or
     * where that is 0, what was written within the last since_ms, 0: all that is kept; -1: only what
     * comes from now on. Counts and digests are then not compared for what lies before. */
    uint64_t first;
    int64_t since_ms;
    /* Instead of argv and shell: a connection from the server to "host:port", which standard input
     * and output lead to. Needs with_stdin; neither env, cwd, home nor a terminal. Standard error has
     * the lines "connected ADDRESS" when it is made, "eof N" when the other side has ended after N
     * bytes, and others for people; the exit code says how it went (PROTOCOL.md). A server that does
     * not offer "forward" refuses. NULL: none. */
    const char *forward;
    bool times; /* with watch: when output was written, too (on_time, and "time_us" of on_frame) */
};
#define AFAR_COMMAND_INIT(...) AFAR_INIT(afar_command, __VA_ARGS__)

/* Called from afar_process, afar_wait and afar_start. They must not call back into the client,
 * except afar_signal. Any may be NULL. */
struct afar_callbacks {
    AFAR_SIZED(afar_callbacks);
    /* Takes output and returns how many bytes it took; fewer than `size`: call afar_process again
     * when it can take more, the rest comes again then. NULL: output is dropped. */
    size_t (*on_stdout)(void *user, const void *data, size_t size);
    size_t (*on_stderr)(void *user, const void *data, size_t size);
    /* The command runs; `job` is its id on the server. */
    void (*on_started)(void *user, const char *job);
    /* One line of JSON (no newline) for each frame from the server that belongs to the command, its
     * payload as "data" if it is UTF-8, else as "data_base64". */
    void (*on_frame)(void *user, const char *json);
    void *user;
    /* So many bytes of each stream are not kept any more, in this place. */
    void (*on_cut)(void *user, uint64_t stdout_bytes, uint64_t stderr_bytes);
    /* The command was on a terminal before this one, which has seen nothing of it: the next `replay`
     * bytes of stdout have been shown before; after them, or behind the escape sequence in the
     * middle of which they end, write `modes` (escape sequences), and have the command draw its
     * screen by a change of its size. Of a kept command. */
    void (*on_screen)(void *user, const char *modes, uint64_t replay);
    /* With `times`, before the first call of on_stdout (stream 1) or on_stderr (2) for each frame:
     * the command has written it so many microseconds after 1970, by the server's clock. 0: the
     * server does not tell it; an older one. */
    void (*on_time)(void *user, int stream, uint64_t time_us);
};
#define AFAR_CALLBACKS_INIT(...) AFAR_INIT(afar_callbacks, __VA_ARGS__)

/* Sends the request. AFAR_EINVAL: not one of argv, shell, subsystem and forward, an empty argv, a
 * malformed environment, a command is still running. AFAR_ELIMIT: argv and environment exceed 1 MiB.
 * AFAR_ENOMEM. After any other error the connection cannot be used, and the request was not sent:
 * err->reason is "not_sent". The same holds for AFAR_ECLOSED, when the server has gone or shuts
 * down. After a start that fails there is neither a command to wait for nor a receipt. */
AFAR_API enum afar_status afar_start(struct afar_client *client, const struct afar_command *command,
                                     const struct afar_callbacks *callbacks,
                                     struct afar_error *err);

/* Takes what can be sent or kept of `size` bytes; *taken says how many. AFAR_EAGAIN: none now; wait
 * by afar_process. AFAR_OK with everything taken once the command has ended or closed its
 * input: the data is dropped. */
AFAR_API enum afar_status afar_write_stdin(struct afar_client *client, const void *data,
                                           size_t size, size_t *taken, struct afar_error *err);

/* End of file for the command, after what was written before. */
AFAR_API enum afar_status afar_close_stdin(struct afar_client *client, struct afar_error *err);

/* Closes this stream of the command like a pipe whose reader has gone: the command's next write
 * gets SIGPIPE or EPIPE. `fd` is 1 or 2. */
AFAR_API enum afar_status afar_close_output(struct afar_client *client, int fd,
                                            struct afar_error *err);

/* Signals the command's process group. `name` without SIG: "INT", "TERM", …, or digits for a signal
 * without a name. AFAR_EINVAL: no command runs, or there is no such signal. */
AFAR_API enum afar_status afar_signal(struct afar_client *client, const char *name,
                                      struct afar_error *err);

/* The terminal has another size: `rows`, `cols` and the pixels of `pty`, the rest of which does not
 * matter. May be called as soon as the command was started; what comes too late does nothing.
 * AFAR_EINVAL: no command runs on a terminal. */
AFAR_API enum afar_status afar_resize(struct afar_client *client, const struct afar_pty *pty,
                                      struct afar_error *err);

/* This process is going to be stopped, on purpose: until it sends something again, its silence does
 * not count, here and at the server (for a day, by default). Send it by afar_process. As
 * afar_resize. */
AFAR_API enum afar_status afar_pause(struct afar_client *client, struct afar_error *err);

/* Withdraws the command: if it has not started, it never will; if it runs, it is ended. Then
 * afar_process until it returns AFAR_EREFUSED with the reason "detached" (err->message says
 * whether it had started), or until the receipt or refusal that was on its way. AFAR_EINVAL: no
 * command runs. (An old server may not know this request and not answer; afar_close has the same
 * effect.) */
AFAR_API enum afar_status afar_detach(struct afar_client *client, struct afar_error *err);

/* The descriptor to poll, and for what: POLLIN, POLLOUT or both. The descriptor is -1 once the
 * connection cannot be used any more. */
AFAR_API int afar_fd(const struct afar_client *client);
AFAR_API short afar_events(const struct afar_client *client);

/* For how many milliseconds to poll at most, as poll(2) wants it (-1: for ever): then afar_process
 * has something to send (a heartbeat, or that it has taken what came), or more to receive that
 * poll(2) does not know of. */
AFAR_API int afar_timeout(const struct afar_client *client);

/* While a command runs and the server is silent, it is sent a ping every `beat_ms` (default 30,000;
 * 0: never), and the connection ends after `silence_ms` (default 120,000; 0: never) with
 * AFAR_ECLOSED. Before the server's first message, it ends after afar_connect's timeout. */
AFAR_API void afar_set_heartbeat(struct afar_client *client, int64_t beat_ms, int64_t silence_ms);

/* ---- A lost connection ----
 *
 * For a command with resume_ms. When its connection is lost, afar_process says AFAR_OK and afar_away
 * says true; afar_fd is -1, and the command goes on at the server until its output finds no room.
 * Nothing is lost and nothing comes twice. Whenever afar_timeout has passed, call afar_resume, until
 * the command is back or given up:
 *
 *     for (;;) {
 *         status = afar_wait(client, 0, &err);
 *         if (status != AFAR_ECLOSED || !afar_away(client))
 *             break;
 *         do {
 *             (void)poll(NULL, 0, afar_timeout(client));
 *             status = afar_resume(client, &how, &err);
 *         } while (status == AFAR_EAGAIN);
 *     }
 *
 * afar_signal, afar_close_stdin, afar_close_output and afar_detach may be called meanwhile, and are
 * carried out when it is back; afar_write_stdin says AFAR_EAGAIN. The command is never started
 * twice. Without a connection afar_close leaves it to wait in vain until resume_ms are over. With
 * on_frame there is a line {"type":"away"} when it is lost, and an "attached" when it is back. */

struct afar_resume_options {
    AFAR_SIZED(afar_resume_options);
    struct afar_context *context; /* as for afar_connect; a new one reads its files anew */
    int64_t timeout_ms;           /* for this attempt; 0: none */
    int stop_fd;                  /* the attempt is given up when this can be read; 0: it is not */
    /* As afar_route's: closed in any case. 0: the URL is dialled. Below 0: there is none, and the
     * attempt fails. (As wide as this because older programs have padding behind stop_fd.) */
    int64_t stream;
};
#define AFAR_RESUME_OPTIONS_INIT(...) AFAR_INIT(afar_resume_options, __VA_ARGS__)

/* True while there is no connection, but may be one again. */
AFAR_API bool afar_away(const struct afar_client *client);

/* From the moment in which it was lost until the command is back: why, or why the last attempt has
 * failed; otherwise "". Borrowed until the next call. */
AFAR_API const char *afar_why_away(const struct afar_client *client);

/* Tries once to connect again and asks for the command. AFAR_OK: go on with afar_process, which says
 * how that goes on. AFAR_EAGAIN: not now; again after afar_timeout. AFAR_EINVAL: it is not away, or
 * TLS without a context. All else: given up, and afar_process says the same. */
AFAR_API enum afar_status afar_resume(struct afar_client *client,
                                      const struct afar_resume_options *how,
                                      struct afar_error *err);

/* Asks the server for a sign of life: unless something comes within `within_ms`, afar_process
 * returns AFAR_ECLOSED. AFAR_EINVAL: no command runs. */
AFAR_API enum afar_status afar_probe(struct afar_client *client, int64_t within_ms,
                                     struct afar_error *err);

/* Does all that can be done without waiting: sends, receives, calls back. AFAR_OK also if there
 * was nothing to do. AFAR_EREFUSED: the server refused the command, err->reason is the code
 * ("denied", "busy", "unsupported", …), or, of a command that was away, that it is not to be had
 * again ("not_found", "superseded", "gone"); the connection is still good. AFAR_ECLOSED, AFAR_EPEER,
 * AFAR_ETRUST, AFAR_ESYSTEM: the connection is of no use, and the command's fate unknown; but with
 * the err->reason "not_sent", "busy", "draining" or "denied" the server has not begun it and will
 * not, so that it may be started again on another connection. */
AFAR_API enum afar_status afar_process(struct afar_client *client, struct afar_error *err);

/* The receipt, or NULL while there is none. All output has been taken by the callbacks before it
 * appears. One that contradicts what has come (another number of bytes, the end of a command that
 * never started) does not appear: afar_process returns AFAR_EPEER. Borrowed until the next
 * afar_start or afar_close. */
AFAR_API const struct afar_receipt *afar_receipt(const struct afar_client *client);

/* afar_process until the receipt is there. Closes standard input first unless that was done.
 * `timeout_ms` 0: none; AFAR_ETIMEDOUT leaves the command running and may be followed by another
 * afar_wait. A callback that takes nothing makes it fail with AFAR_EAGAIN. AFAR_ECLOSED while
 * afar_away is true: see above. */
AFAR_API enum afar_status afar_wait(struct afar_client *client, int64_t timeout_ms,
                                    struct afar_error *err);

/* What a shell would give in $?: the command's own; 128+N for signal N; 124 timed out; 125 if it
 * was ended in another way (output limit, killed, disconnected); 126 cannot be
 * executed; 127 not found. */
AFAR_API int afar_exit_status(const struct afar_receipt *receipt);

/* "exited", "signaled", "timed_out", … */
AFAR_API const char *afar_outcome_name(enum afar_outcome outcome);

/* ---- Text for people ------------------------------------------------------------------------- */

enum afar_escape {
    AFAR_ESCAPE_TERMINAL, /* control characters and marks of direction as \u001b, bytes that are not
                             UTF-8 as \xff */
    AFAR_ESCAPE_STRING    /* what may stand in a string of JSON, which a terminal does not obey */
};

/* Error messages and receipts have the server's text as it was sent, which may contain control
 * sequences for a terminal. Copies `text` to `out` (of `size` bytes, at least 1) without these, cut
 * to fit between two characters. */
AFAR_API void afar_escape(char *out, size_t size, const char *text, enum afar_escape how);

/* ---- Other requests -------------------------------------------------------------------------- */

struct afar_pong {
    AFAR_SIZED(afar_pong);
    uint64_t round_trip_us;
    char server_version[32];
};
#define AFAR_PONG_INIT(...) AFAR_INIT(afar_pong, __VA_ARGS__)

/* Not while a command runs (AFAR_EINVAL). */
AFAR_API enum afar_status afar_ping(struct afar_client *client, int64_t timeout_ms,
                                    struct afar_pong *pong, struct afar_error *err);

/* The optional features that the server offers, as words separated by blanks, such as "digest kill
 * user": names of fields and messages in PROTOCOL.md. "" until the server has sent them, which it
 * does with afar_ping and when the first command starts. Whether this
 * client may use it is another matter. Borrowed until the next call. */
AFAR_API const char *afar_features(const struct afar_client *client);

/* True if afar_features has the word. */
AFAR_API bool afar_offers(const struct afar_client *client, const char *feature);

struct afar_health {
    AFAR_SIZED(afar_health);
    uint64_t round_trip_us;
    char words[128]; /* the first line of what it says, as "ok" */
};
#define AFAR_HEALTH_INIT(...) AFAR_INIT(afar_health, __VA_ARGS__)

/* Asks a server's health page, "http://host[:port][/path]" (port 7421 and path /healthz by
 * default): AFAR_OK: 200. AFAR_EREFUSED: another status, with its words. Else as afar_connect. */
AFAR_API enum afar_status afar_health(const char *url, int64_t timeout_ms,
                                      struct afar_health *health, struct afar_error *err);

/* Signals a job by its id, also one of another connection. AFAR_EREFUSED: "not_found", "denied".
 * Not while a command runs on this connection. */
AFAR_API enum afar_status afar_kill(struct afar_client *client, const char *job, const char *name,
                                    int64_t timeout_ms, struct afar_error *err);

struct afar_job {
    AFAR_SIZED(afar_job);
    char job[33];
    char state[16];        /* "starting", "running", "ended", "unreachable" */
    char key[129];         /* "": none */
    char owner[512];       /* "": this client */
    char command[256];     /* for people */
    uint64_t age_ms;       /* since its request */
    uint64_t ended_ms;     /* since its end; 0: it has not ended */
    uint64_t stdout_bytes; /* so far */
    uint64_t stderr_bytes;
    bool kept;
    bool attached;
    bool has_outcome;
    enum afar_outcome outcome;
    int code; /* -1: none */
    char signal[20];
    bool pty; /* it is on a terminal */
};
#define AFAR_JOB_INIT(...) AFAR_INIT(afar_job, __VA_ARGS__)

/* Lists the kept jobs that this client may see, in the order of their ids; `all`: also those that
 * have ended. `on_job` is called for each, from within. Not while a command runs. AFAR_EREFUSED:
 * "unsupported", "denied". */
AFAR_API enum afar_status afar_jobs(struct afar_client *client, bool all,
                                    void (*on_job)(void *user, const struct afar_job *job),
                                    void *user, int64_t timeout_ms, struct afar_error *err);

/* Removes a kept job that has ended, and its name. AFAR_EREFUSED: "not_found", "running", "denied".
 */
AFAR_API enum afar_status afar_forget(struct afar_client *client, const char *job,
                                      int64_t timeout_ms, struct afar_error *err);

/* ---- The tutorial's protocols: a URL with ?protocol=sized, headed or upper ------------------- */

struct afar_shell_reply {
    AFAR_SIZED(afar_shell_reply);
    uint64_t output_bytes; /* standard output and then standard error */
    char md5[33];          /* headed: as in the server's header; "" if it is not an MD5 */
    bool md5_verified;     /* headed: it is the MD5 of what arrived */
};
#define AFAR_SHELL_REPLY_INIT(...) AFAR_INIT(afar_shell_reply, __VA_ARGS__)

/* Sends one line and gives the output to `on_output` (which must take everything). The protocol
 * tells neither stream nor exit status. AFAR_EINVAL: the URL's protocol is neither sized nor
 * headed. */
AFAR_API enum afar_status
afar_shell_run(struct afar_client *client, const char *line,
               void (*on_output)(void *user, const void *data, size_t size), void *user,
               int64_t timeout_ms, struct afar_shell_reply *reply, struct afar_error *err);

/* Sends `size` bytes (1 to 65,507) and reads the same number back; udp: one datagram each way, sent
 * again every 500 ms until `timeout_ms` (0: 5 s). `out` must hold `size` bytes. */
AFAR_API enum afar_status afar_upper(struct afar_client *client, const void *data, size_t size,
                                     void *out, int64_t timeout_ms, struct afar_error *err);

#ifdef __cplusplus
}
#endif

#endif
