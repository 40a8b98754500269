/* One command on a connection, with this program's own streams and signals: a loop over all of
 * them.
 *
 * Owns:    nothing after session_run.
 * Threads: one.
 * Blocks:  until the command has ended and its output is written, or until nothing is to be had any
 *          more.
 * Limits:  with --json, JSON_WAITING_BYTES of lines that standard output does not take yet. */
#ifndef AFAR_SESSION_H
#define AFAR_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "afar/remote.h"

struct channel;

struct session_options {
    bool json;
    bool print_job;  /* say which job it is, once it runs, and leave it */
    bool stays;      /* an interrupt leaves the job, which is another's */
    bool logs;       /* its end is of no account: 0, or STATUS_CUT */
    bool timestamps; /* of logs: each line after when it was written */
    int64_t wait_ms; /* then it is left, with STATUS_TIMED_OUT; 0: no limit */
    int escape;      /* of afar/escape.h; where the command has a terminal */
    bool retry;      /* connect again where the server had gone before the command was sent */
    /* The signal for which the request was taken back, before the command had begun; 0: none. May
     * be NULL. */
    int *taken_back;
    struct channel *channel; /* a forwarded connection, which has its standard error; NULL: not */
    /* What differs under ssh(1)'s rules; 0 and NULL: as `afar run`. */
    int failed_status;   /* afar itself failed */
    int stderr_fd;       /* where the command's standard error goes */
    int64_t patience_ms; /* a signal that ends programs ends this one too, so long after it has been
                            passed on; a second one at once */
    int (*status)(void *user, const struct afar_receipt *receipt); /* instead of report_receipt and
                                                                      afar_exit_status */
    /* A terminal was asked for, and is not to be had: nothing was said and nothing has run. May be
     * NULL: then it is a failure like others. */
    bool *no_terminal;
    void (*started)(void *user); /* the command runs; may go on in a child process */
    void *user;
};

/* Connects where that was not done yet. Returns the exit status; whatever else is to be said has
 * been said. A connection that is of no use afterwards is closed. */
int session_run(struct remote *remote, const struct afar_command *command,
                const struct session_options *options);

#endif
