/* libafar: run commands on another machine.
 *
 *   1. afar_connect to a URL: tls://, tcp:// or unix://, or host[:port], which means tls.
 *   2. afar_start a command, with callbacks for what comes back.
 *   3. Either afar_wait, which drives everything until the receipt is there (standard input is what
 *      was written by afar_write_stdin before), or your own loop: poll(2) afar_fd for
 *      afar_events, then afar_process; call afar_write_stdin whenever it takes something.
 *   4. afar_receipt says how the command ended. Without a receipt nothing is known, and nothing
 *      here ever reports success.
 *   5. Any number of commands, one after another; then afar_close.
 *
 * Owns:    a client owns its connection. Strings that are passed in are copied if they are needed
 *          after the call. A context may be freed before its clients.
 *
 * Threads: a client belongs to one thread at a time; a context may be shared. After fork(2) only
 *          one of the two processes may go on with a client. In the other call nothing with it, and
 *          not afar_close either: that ends the connection, and so the command, for both. (Its
 *          descriptor, afar_fd, may be closed there.)
 *
 * Blocks:  afar_connect, afar_connect_by, afar_resume, afar_wait, afar_ping, afar_kill, afar_jobs,
 *          afar_forget, afar_health, afar_shell_run and afar_upper, until done or their time-out;
 *          afar_close for a second at most; the rest never (except for files of certificates and
 *          sessions).
 *
 * Limits:  output that a callback does not take is kept up to the server's window (2 MiB by
 *          default); then the command's output is no longer read. Standard input: as much
 *          unacknowledged as the server allows (1 MiB by default). If the server is far away and
 *          both ends are fast, the server may let both grow (to 16 MiB by default, 64 MiB at most).
 *
 * Every function that can fail returns enum afar_status. On failure it fills in *err (`err` may be
 * NULL), otherwise it leaves *err alone. AFAR_EINVAL: a client that is NULL, as afar_connect leaves
 * it when it fails, or a string that is NULL where nothing else is said. Functions that cannot fail
 * do nothing then, and return false, NULL, "", 0, or -1 from afar_fd and afar_timeout.
 *
 * ABI: a program works with the library that it was linked with and with every later one of the
 * same soname (libafar.so.1), without being recompiled. For that
 *
 *   - a struct that a program passes in begins with `size`, which says how much of the struct the
 *     program knows. Initialise each one with its AFAR_..._INIT(); a size of 0 is AFAR_EINVAL.
 *   - members are only appended, after the former end of the struct (never in its padding); 0 means
 *     what the library did before the member existed. A library that is older than the program
 *     refuses members that it does not know and that are not 0: AFAR_EINVAL.
 *   - an enum may get new values: treat an unknown status as a failure, and an unknown outcome as
 *     not successful.
 *   - struct afar_error has no size, and never changes.
 *
 * tests/integration/test_abi.c checks the layout and the symbols, and fails if one changes. */
#ifndef AFAR_AFAR_H
#define AFAR_AFAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/error.h>
#include <afar/receipt.h>

#define AFAR_API __attribute__((visibility("default")))

/* Private to these headers. AFAR_SIZED is the first member of a struct that a program passes in,
 * AFAR_INIT its initial value. In C++ the member has a default, so {} is right, too. */
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

/* For a program that connects, does one thing and ends, and uses OpenSSL only through this library:
 * TLS is ready sooner, because OpenSSL reads its configuration only if OPENSSL_CONF names it, and
 * does not clean up at exit. Call it before anything else here, while there is only one thread. Not
 * for a library. */
AFAR_API void afar_begin_program(void);

/* ---- Contexts: certificates and TLS sessions ------------------------------------------------- */

struct afar_context;

struct afar_credentials {
    AFAR_SIZED(afar_credentials);
    const char *ca_file;   /* PEM; NULL: the system's certificate store */
    const char *cert_file; /* PEM; NULL: none */
    const char *key_file;  /* PEM; NULL: none; must be readable only for you (and your group) */
    /* The SHA-256 of the server's public key (SubjectPublicKeyInfo), as 64 lower-case hex digits:
     * only the server with this key is accepted; CA, name and dates are not checked. NULL: the CA
     * decides. */
    const char *pin;
    /* Called during afar_connect, with its pin, for a server that no CA vouches for. Must return
     * soon: the server waits (10 s by default). True: accept the server. NULL: never accept. */
    bool (*trust)(void *user, const char *server_name, const char *pin);
    void *trust_user;
    /* A folder of yours where TLS sessions are kept for an hour, so that the next process resumes
     * instead of doing a full handshake, which is much slower. It is created if it is missing.
     * Everyone who can read its files (mode 0600) can impersonate you to the server, as with the
     * key file. With a folder the three files above are read only when a connection needs them; if
     * one is wrong, that connection fails with AFAR_EINVAL. NULL: sessions are not kept. */
    const char *session_folder;
    /* Replaces `trust`, with the same trust_user: called for every server, and decides alone; CA,
     * name and dates are not checked. For a server whose keys you know. NULL: as above. */
    bool (*trust_alone)(void *user, const char *server_name, const char *pin);
};

/* Initialises a struct afar_credentials. Arguments are members, in the order of the struct:
 * AFAR_CREDENTIALS_INIT(.ca_file = "ca.pem"). (C++ has such arguments since C++20; before that,
 * start with AFAR_CREDENTIALS_INIT() and assign.) The same holds for the other AFAR_..._INIT. */
#define AFAR_CREDENTIALS_INIT(...) AFAR_INIT(afar_credentials, __VA_ARGS__)

/* Creates a context and reads the files; free it with afar_context_free. `credentials` NULL: none,
 * which is enough for tcp and unix. AFAR_EINVAL: a file cannot be used; err names it.
 * AFAR_ENOMEM. */
AFAR_API enum afar_status afar_context_new(struct afar_context **context,
                                           const struct afar_credentials *credentials,
                                           struct afar_error *err);
AFAR_API void afar_context_free(struct afar_context *context);

/* ---- Connections ----------------------------------------------------------------------------- */

struct afar_client;

/* Resolves the host's name, connects and, for TLS, does the handshake and verifies the server's
 * name; end with afar_close. `timeout_ms` is for all of that, and for the server's first answer to
 * a command that is started; 0: none. (With a time-out the name is resolved by a thread of the
 * library, which may go on for a while after the time-out: do not unload the library then.) Without credentials (`context` NULL, or without any) TLS trusts the
 * system's CAs and presents no certificate. AFAR_EINVAL (URL), AFAR_ESYSTEM, AFAR_ETIMEDOUT,
 * AFAR_ELIMIT, AFAR_ETRUST, AFAR_EPEER, AFAR_ECLOSED, AFAR_ENOMEM; the message says what happened,
 * to which host, and what to do. */
AFAR_API enum afar_status afar_connect(struct afar_client **client, struct afar_context *context,
                                       const char *url, int64_t timeout_ms, struct afar_error *err);

/* Other ways to reach a server than dialling its URL. */
struct afar_route {
    AFAR_SIZED(afar_route);
    int64_t timeout_ms;        /* as of afar_connect */
    const char *local_address; /* connect from this address; NULL: any */
    int family;                /* 4 or 6: use only IPv4 or IPv6; 0: either */
    /* A connected stream socket that leads to the server. Nothing is dialled; the URL says which
     * protocol is spoken and whose certificate is expected. Closed in any case. 0: none. */
    int stream;
    /* The other end of `stream` is an open and trusted connection to the server, maybe one that was
     * used before, as `afar share` provides: the URL's protocol is spoken immediately, without TLS.
     * If it is lost, afar_resume dials the URL. */
    bool ready;
    /* A request follows immediately: the last message of the TLS handshake is sent together with
     * it. Until then, or until afar_process, the server counts the connection as one in its
     * handshake. */
    bool request_follows;
    /* sized, headed, upper: how long a reply may take to begin, if the call has no timeout_ms. For
     * the first, what connecting took is subtracted. 0: no limit. */
    int64_t reply_timeout_ms;
};
#define AFAR_ROUTE_INIT(...) AFAR_INIT(afar_route, __VA_ARGS__)

/* As afar_connect. AFAR_EINVAL also for an invalid address or family, or `ready` without a
 * stream. */
AFAR_API enum afar_status afar_connect_by(struct afar_client **client, struct afar_context *context,
                                          const char *url, const struct afar_route *route,
                                          struct afar_error *err);

/* Ends the connection and frees the client. The server ends a command that still runs, even one
 * with resume_ms (but not while it is away): to tell a server that would wait, this function waits
 * for up to a second. NULL is allowed. */
AFAR_API void afar_close(struct afar_client *client);

/* Saves the TLS session now instead of in afar_close: for a moment in which there is nothing else
 * to do. Writes a small file. Does nothing until the server has sent a session (mostly while the
 * first command starts), and after it was saved. */
AFAR_API void afar_keep_session(struct afar_client *client);

/* True if TLS resumed an earlier session of the context. */
AFAR_API bool afar_resumed(const struct afar_client *client);

/* ---- Commands -------------------------------------------------------------------------------- */

/* A terminal for a command. Each text has at most 64 characters: letters, digits, and . _ + - (in
 * the values of color and locale also @). */
struct afar_pty {
    AFAR_SIZED(afar_pty);
    const char *term;          /* TERM, such as "xterm-256color"; NULL: "dumb" */
    const char *color;         /* COLORTERM; NULL: none */
    const char *const *locale; /* NULL-terminated "LANG=…" and "LC_…=…", at most 16. If the
                                  server does not have one, it omits it or uses C.UTF-8. NULL:
                                  none */
    uint16_t rows;             /* rows or cols 0: 24 x 80 */
    uint16_t cols;
    uint16_t xpixel; /* 0: not known */
    uint16_t ypixel;
    bool no_utf8; /* the terminal does not show UTF-8: erasing a character erases a byte */
};
#define AFAR_PTY_INIT(...) AFAR_INIT(afar_pty, __VA_ARGS__)

struct afar_command {
    AFAR_SIZED(afar_command);
    const char *const *argv; /* NULL-terminated, any bytes; or */
    const char *shell;       /* a line for /bin/sh -c; or `login` */
    const char *const *env;  /* NULL-terminated "NAME=value", added to the server's; NULL: none */
    const char *cwd;         /* NULL: the server's */
    int64_t timeout_ms;      /* 0: none; then TERM, a grace period, KILL */
    int64_t start_within_ms; /* if no slot is free: how long to wait for one. 0: not at all */
    bool with_stdin; /* afar_write_stdin will follow; otherwise the command reads /dev/null */
    /* SHA-256 of both streams, compared with what arrived. They are not compared if output is
     * missing (on_cut), or if the receipt has none (stdout_sha256 is ""): `key` or `job` led to a
     * command that was begun without. */
    bool with_digest;
    bool with_pty; /* on a terminal as of AFAR_PTY_INIT(), or as `pty` says */
    /* Instead of argv and shell: a service of the server. "sftp": standard input and output are
     * those of an SFTP server. Needs with_stdin. A server that does not know this refuses with
     * "unsupported", or an older one with "bad_request". */
    const char *subsystem;
    /* If the connection is lost, the command waits this long for the client to come back
     * (afar_resume). A server may grant less, or, if it does not offer "resume", nothing. 0: the
     * command ends with its connection. */
    int64_t resume_ms;
    const char *user; /* the user to run as; the server refuses if that is not allowed. NULL: the
                         server chooses */
    /* As `env`, but entries that the server's rules do not allow are left out, and so are entries
     * that are not UTF-8, and those beyond 8 KiB in all. */
    const char *const *env_if_allowed;
    /* The command runs on a terminal: on_stdout gets all of its output; the end of standard input
     * acts like Ctrl-D; afar_signal reaches the group in the foreground (INT, QUIT, TSTP). NULL: as
     * with_pty says. */
    const struct afar_pty *pty;
    bool home;  /* start in the home directory, with HOME, USER, SHELL and the like; without cwd */
    bool login; /* the user's login shell, instead of argv and shell */
    bool leave; /* processes that it leaves running may stay, if the server allows that */
    bool shell_of_user; /* `shell` is a line for the user's own shell, if that is allowed */
    /* The command outlives its connections and the server, until afar_forget or for as long as the
     * server is configured to keep it; a server that does not offer "keep" refuses. Its output is
     * kept up to a limit (on_cut). */
    bool keep;
    bool watch;     /* with job: only read, do not take the job over; and of that … */
    bool no_output; /* … only the end, … */
    bool no_follow; /* … or the output so far: then AFAR_EREFUSED, "detached", if it still runs */
    /* The command's name, 1 to 128 bytes; implies keep. The same client starts a command under one
     * name at most once, and later attaches to it; a different command under that name is refused
     * ("conflict"). NULL: none. */
    const char *key;
    /* Attaches to this job, without argv and shell; NULL: none. With `pty`: from a terminal, to a
     * job that has one; see on_screen. */
    const char *job;
    /* With job: where its output is to start. `first`: at this frame (the "seq" of on_frame). If
     * that is 0, since_ms: with what was written in the last since_ms; 0: with all that is kept;
     * -1: with new output only. Counts and digests of what lies before are then not compared. */
    uint64_t first;
    int64_t since_ms;
    /* Instead of argv and shell: a connection from the server to "host:port", to which standard
     * input and output are connected. Needs with_stdin; without env, cwd, home and a terminal.
     * Standard error has the line "connected ADDRESS" when it is connected, "eof N" when the other
     * side has ended after N bytes, and others for people; the exit code says how it ended
     * (PROTOCOL.md). A server that does not offer "forward" refuses. NULL: none. */
    const char *forward;
    bool times; /* with watch: also when output was written (on_time, and "time_us" of on_frame) */
};
#define AFAR_COMMAND_INIT(...) AFAR_INIT(afar_command, __VA_ARGS__)

/* Called from afar_process, afar_wait and afar_start. They must not call functions of this client,
 * except afar_signal. Each may be NULL. */
struct afar_callbacks {
    AFAR_SIZED(afar_callbacks);
    /* Takes output and returns how many bytes it took. If that is fewer than `size`, call
     * afar_process again when it can take more; it gets the rest then. NULL: output is dropped. */
    size_t (*on_stdout)(void *user, const void *data, size_t size);
    size_t (*on_stderr)(void *user, const void *data, size_t size);
    /* The command runs; `job` is its id on the server. */
    void (*on_started)(void *user, const char *job);
    /* Gets one line of JSON (no newline) for each frame of the command from the server, with its
     * payload as "data" if it is UTF-8, otherwise as "data_base64". */
    void (*on_frame)(void *user, const char *json);
    void *user;
    /* At this point, this many bytes of each stream are missing: they are no longer kept. Called
     * when all output from before it is taken, and before any output from after it. */
    void (*on_cut)(void *user, uint64_t stdout_bytes, uint64_t stderr_bytes);
    /* For a kept command with a terminal: this terminal has not seen its earlier output. The next
     * `replay` bytes of stdout were shown before. After them (if they end inside an escape
     * sequence, after that sequence) write `modes` (escape sequences), and make the command redraw
     * its screen by changing the terminal's size. */
    void (*on_screen)(void *user, const char *modes, uint64_t replay);
    /* With `times`: called before the first call of on_stdout (stream 1) or on_stderr (2) for each
     * frame. time_us: when the command wrote it, in microseconds since 1970 by the server's clock;
     * 0: an older server does not tell. */
    void (*on_time)(void *user, int stream, uint64_t time_us);
};
#define AFAR_CALLBACKS_INIT(...) AFAR_INIT(afar_callbacks, __VA_ARGS__)

/* Sends the request. AFAR_EINVAL: not exactly one of argv, shell, login, subsystem and forward, an
 * empty argv, a malformed environment, `watch` without `job`, or a command is still running. AFAR_ELIMIT: argv and
 * environment exceed 1 MiB. AFAR_ENOMEM. After any other error the connection cannot be used, and
 * the request was not sent: err->reason is "not_sent". The same holds for AFAR_ECLOSED, when the
 * server is gone or shuts down. After an error there is neither a command to wait for nor a
 * receipt. */
AFAR_API enum afar_status afar_start(struct afar_client *client, const struct afar_command *command,
                                     const struct afar_callbacks *callbacks,
                                     struct afar_error *err);

/* Takes as many of `size` bytes as can be sent or kept; *taken is their number. AFAR_EAGAIN: none
 * now; call afar_process and try again. If the command has ended or closed its input: AFAR_OK, all
 * is taken, and the data is dropped. */
AFAR_API enum afar_status afar_write_stdin(struct afar_client *client, const void *data,
                                           size_t size, size_t *taken, struct afar_error *err);

/* Signals end of file to the command, after all that was written before. */
AFAR_API enum afar_status afar_close_stdin(struct afar_client *client, struct afar_error *err);

/* Closes this stream of the command like a pipe whose reader is gone: the command's next write gets
 * SIGPIPE or EPIPE. `fd` is 1 or 2, otherwise AFAR_EINVAL. */
AFAR_API enum afar_status afar_close_output(struct afar_client *client, int fd,
                                            struct afar_error *err);

/* Sends a signal to the command's process group. `name` is without SIG: "INT", "TERM", …, or digits
 * for a signal without a name. AFAR_EINVAL: no command runs, or there is no such signal. */
AFAR_API enum afar_status afar_signal(struct afar_client *client, const char *name,
                                      struct afar_error *err);

/* Changes the terminal's size to `rows`, `cols` and the pixels of `pty`; its other members are
 * ignored. May be called as soon as the command was started; after its end it does nothing.
 * AFAR_EINVAL: there was no command, or it has no terminal. */
AFAR_API enum afar_status afar_resize(struct afar_client *client, const struct afar_pty *pty,
                                      struct afar_error *err);

/* Announces that this process is going to be stopped on purpose: until it sends something again,
 * its silence does not count, here and at the server (for a day, by default). Call afar_process to
 * send it. Errors as of afar_resize. */
AFAR_API enum afar_status afar_pause(struct afar_client *client, struct afar_error *err);

/* Withdraws the command: if it has not started, it never will; if it runs, it is ended. Then call
 * afar_process until it returns AFAR_EREFUSED with the reason "detached" (err->message says whether
 * it had started), or until the receipt or refusal that was on its way. AFAR_EINVAL: no command
 * runs. (An old server may not know this request and not answer; afar_close has the same
 * effect.) */
AFAR_API enum afar_status afar_detach(struct afar_client *client, struct afar_error *err);

/* The descriptor to poll, and for what: POLLIN, POLLOUT or both. The descriptor is -1 once the
 * connection cannot be used any more. */
AFAR_API int afar_fd(const struct afar_client *client);
AFAR_API short afar_events(const struct afar_client *client);

/* The longest time to poll, in milliseconds as for poll(2) (-1: for ever). After that afar_process
 * has something to send (a heartbeat or an acknowledgement), or to receive that poll(2) does not
 * report. */
AFAR_API int afar_timeout(const struct afar_client *client);

/* While a command runs and the server is silent, a ping is sent every `beat_ms` (default 30,000; 0:
 * never), and after `silence_ms` (default 120,000; 0: never) the connection ends with AFAR_ECLOSED.
 * Until the server's first message, it ends after afar_connect's time-out. */
AFAR_API void afar_set_heartbeat(struct afar_client *client, int64_t beat_ms, int64_t silence_ms);

/* ---- A lost connection ----
 *
 * For a command with resume_ms. When its connection is lost, afar_process returns AFAR_OK and
 * afar_away true; afar_fd is -1. The command continues at the server until its output has no more
 * room. Nothing is lost, and nothing arrives twice. Whenever afar_timeout has passed, call
 * afar_resume, until the command is back or given up:
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
 * afar_signal, afar_close_stdin, afar_close_output and afar_detach may be called meanwhile, and
 * take effect when the command is back; afar_write_stdin returns AFAR_EAGAIN. The command is never
 * started twice. Without a connection afar_close cannot tell the server, which then waits in vain
 * until resume_ms are over. on_frame gets a line {"type":"away"} when the connection is lost, and
 * an "attached" when the command is back. */

struct afar_resume_options {
    AFAR_SIZED(afar_resume_options);
    struct afar_context *context; /* as for afar_connect; a new one reads its files again */
    int64_t timeout_ms;           /* for this attempt; 0: none */
    int stop_fd;                  /* gives up the attempt when this becomes readable; 0: none */
    /* As of afar_route: closed in any case. 0: dials the URL. Below 0: there is no stream, and the
     * attempt fails. (64 bits wide because older programs have padding after stop_fd.) */
    int64_t stream;
};
#define AFAR_RESUME_OPTIONS_INIT(...) AFAR_INIT(afar_resume_options, __VA_ARGS__)

/* True while the connection is lost but may be restored. */
AFAR_API bool afar_away(const struct afar_client *client);

/* From the loss of the connection until the command is back: why it was lost, or why the last
 * attempt failed; otherwise "". Borrowed until the next call. */
AFAR_API const char *afar_why_away(const struct afar_client *client);

/* Tries once to connect again and asks for the command. AFAR_OK: continue with afar_process, which
 * reports the outcome. AFAR_EAGAIN: not now; try again after afar_timeout. AFAR_EINVAL: the command
 * is not away, or TLS without a context. Other errors: given up, and afar_process returns the
 * same. */
AFAR_API enum afar_status afar_resume(struct afar_client *client,
                                      const struct afar_resume_options *how,
                                      struct afar_error *err);

/* How long the server waits for a lost connection of this command, in milliseconds: what it has
 * granted of resume_ms. 0: not at all, or the command has not started. */
AFAR_API int64_t afar_resume_granted(const struct afar_client *client);

/* Asks the server for a sign of life: if nothing arrives within `within_ms`, afar_process returns
 * AFAR_ECLOSED. AFAR_EINVAL: no command runs. */
AFAR_API enum afar_status afar_probe(struct afar_client *client, int64_t within_ms,
                                     struct afar_error *err);

/* Does all that can be done without waiting: sends, receives, calls back. AFAR_OK also if there was
 * nothing to do. AFAR_EREFUSED: the server refused the command, and err->reason is the code
 * ("denied", "busy", "unsupported", …); or a command that was away cannot be resumed ("not_found",
 * "superseded", "gone"). The connection is still good. AFAR_ECLOSED, AFAR_EPEER, AFAR_ETRUST,
 * AFAR_ESYSTEM: the connection cannot be used any more, and the command's fate is unknown; but if
 * err->reason is "not_sent", "busy", "draining" or "denied", the server has not started the command
 * and will not, so it may be started again on another connection. */
AFAR_API enum afar_status afar_process(struct afar_client *client, struct afar_error *err);

/* The receipt, or NULL while there is none. It appears only after the callbacks have taken all
 * output. A receipt that contradicts what has arrived (another number of bytes, the end of a
 * command that never started) does not appear: afar_process returns AFAR_EPEER. Borrowed until the
 * next afar_start or afar_close. */
AFAR_API const struct afar_receipt *afar_receipt(const struct afar_client *client);

/* Calls afar_process until the receipt is there. First closes standard input if it is open.
 * `timeout_ms` 0: none; after AFAR_ETIMEDOUT the command still runs, and afar_wait may be called
 * again. AFAR_EAGAIN: a callback takes nothing. AFAR_ECLOSED while afar_away is true: see above. */
AFAR_API enum afar_status afar_wait(struct afar_client *client, int64_t timeout_ms,
                                    struct afar_error *err);

/* The exit status as in a shell's $?: the command's own; 128+N for signal N; 124 timed out; 125
 * ended in another way (output limit, killed, disconnected); 126 cannot be executed; 127 not
 * found. */
AFAR_API int afar_exit_status(const struct afar_receipt *receipt);

/* "exited", "signaled", "timed_out", … */
AFAR_API const char *afar_outcome_name(enum afar_outcome outcome);

/* ---- Text for people ------------------------------------------------------------------------- */

enum afar_escape {
    AFAR_ESCAPE_TERMINAL, /* control characters and others that cannot be seen as \u001b (above
                             U+FFFF: \U000e0001), bytes that are not UTF-8 as \xff */
    AFAR_ESCAPE_STRING    /* valid in a JSON string, and harmless on a terminal */
};

/* Error messages and receipts contain the server's text as it was sent, which may have control
 * sequences for a terminal. Copies `text` to `out` (of `size` bytes, at least 1) with these
 * escaped, cut between two characters if necessary. */
AFAR_API void afar_escape(char *out, size_t size, const char *text, enum afar_escape how);

/* ---- Other requests -------------------------------------------------------------------------- */

struct afar_pong {
    AFAR_SIZED(afar_pong);
    uint64_t round_trip_us;
    char server_version[32];
};
#define AFAR_PONG_INIT(...) AFAR_INIT(afar_pong, __VA_ARGS__)

/* Sends a ping and waits for the answer. AFAR_EINVAL: a command is running. AFAR_ETIMEDOUT. */
AFAR_API enum afar_status afar_ping(struct afar_client *client, int64_t timeout_ms,
                                    struct afar_pong *pong, struct afar_error *err);

/* The optional features that the server offers, as words separated by blanks, such as "digest kill
 * user": names of fields and messages in PROTOCOL.md. Whether this client is allowed to use them is
 * another matter. "" until the server has sent them, which it does in answer to afar_ping and when
 * the first command starts. Borrowed until the next call. */
AFAR_API const char *afar_features(const struct afar_client *client);

/* True if afar_features has the word. */
AFAR_API bool afar_offers(const struct afar_client *client, const char *feature);

struct afar_health {
    AFAR_SIZED(afar_health);
    uint64_t round_trip_us;
    char words[128]; /* the first line of the answer, such as "ok" */
};
#define AFAR_HEALTH_INIT(...) AFAR_INIT(afar_health, __VA_ARGS__)

/* Asks a server's health page, "http://host[:port][/path]" (by default port 7421 and path
 * /healthz). AFAR_OK: status 200. AFAR_EREFUSED: another status; the message has its text. Other
 * errors as of afar_connect. */
AFAR_API enum afar_status afar_health(const char *url, int64_t timeout_ms,
                                      struct afar_health *health, struct afar_error *err);

/* Sends a signal to a job by its id, also to a job of another connection. AFAR_EREFUSED:
 * "not_found", "denied". AFAR_EINVAL: a command is running on this connection. */
AFAR_API enum afar_status afar_kill(struct afar_client *client, const char *job, const char *name,
                                    int64_t timeout_ms, struct afar_error *err);

struct afar_job {
    AFAR_SIZED(afar_job);
    char job[33];
    char state[16];        /* "starting", "running", "ended", "unreachable", "unreadable" */
    char key[129];         /* "": none */
    char owner[512];       /* "": this client */
    char command[256];     /* for people */
    uint64_t age_ms;       /* time since its request */
    uint64_t ended_ms;     /* time since its end; 0: it has not ended */
    uint64_t stdout_bytes; /* so far */
    uint64_t stderr_bytes;
    bool kept;
    bool attached;
    bool has_outcome;
    enum afar_outcome outcome;
    int code; /* -1: none */
    char signal[20];
    bool pty; /* the job has a terminal */
};
#define AFAR_JOB_INIT(...) AFAR_INIT(afar_job, __VA_ARGS__)

/* Lists the kept jobs that this client may see, in the order of their ids; `all`: also those that
 * have ended. Calls `on_job` for each before it returns. AFAR_EREFUSED: "unsupported", "denied".
 * AFAR_EINVAL: a command is running on this connection. */
AFAR_API enum afar_status afar_jobs(struct afar_client *client, bool all,
                                    void (*on_job)(void *user, const struct afar_job *job),
                                    void *user, int64_t timeout_ms, struct afar_error *err);

/* Removes a kept job that has ended, and its name. AFAR_EREFUSED: "not_found", "running",
 * "denied". */
AFAR_API enum afar_status afar_forget(struct afar_client *client, const char *job,
                                      int64_t timeout_ms, struct afar_error *err);

/* ---- The tutorial's protocols: a URL with ?protocol=sized, headed or upper ------------------- */

struct afar_shell_reply {
    AFAR_SIZED(afar_shell_reply);
    uint64_t output_bytes; /* standard output followed by standard error */
    char md5[33];          /* headed: as in the server's header; "": none, or OpenSSL has no MD5 */
    bool md5_verified;     /* headed: `md5` is the MD5 of what arrived */
};
#define AFAR_SHELL_REPLY_INIT(...) AFAR_INIT(afar_shell_reply, __VA_ARGS__)

/* Sends one line and passes the output to `on_output` (which must take everything). The protocol
 * tells neither stream nor exit status. AFAR_EINVAL: the URL's protocol is neither sized nor
 * headed. */
AFAR_API enum afar_status
afar_shell_run(struct afar_client *client, const char *line,
               void (*on_output)(void *user, const void *data, size_t size), void *user,
               int64_t timeout_ms, struct afar_shell_reply *reply, struct afar_error *err);

/* Sends `size` bytes (1 to 65,507) and reads the same number back; udp: one datagram each way, sent
 * again every 500 ms until `timeout_ms` (0: the route's limit, 5 s at most). `out` must hold `size`
 * bytes. */
AFAR_API enum afar_status afar_upper(struct afar_client *client, const void *data, size_t size,
                                     void *out, int64_t timeout_ms, struct afar_error *err);

#ifdef __cplusplus
}
#endif

#endif
