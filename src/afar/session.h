/* Runs one command on a connection, with this program's streams and signals: a loop over all of
 * them.
 *
 * Owns:    nothing after session_run.
 * Threads: one; and while a raw terminal's connection is lost, one that watches keys and signals.
 * Blocks:  until the command has ended and its output is written, or the run is given up.
 * Limits:  with --json, JSON_WAITING_BYTES of lines that standard output does not take yet. */
#ifndef AFAR_SESSION_H
#define AFAR_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "afar/remote.h"

struct channel;

struct session_options {
    bool json;
    bool print_job;  /* print the job's id once it runs, and leave it */
    bool stays;      /* an interrupt leaves the job, which runs on */
    bool logs;       /* the exit status is 0 or STATUS_CUT, not the job's */
    bool timestamps; /* for logs: each line begins with its time */
    int64_t wait_ms; /* after this, leave the job with STATUS_TIMED_OUT; 0: no limit */
    int escape;      /* see escape.h; if the command has a terminal */
    bool retry;      /* connect again, once, if the server had gone before the command was sent */
    /* Output: the signal that withdrew the request before the command had begun; 0: none. May be
     * NULL. */
    int *taken_back;
    struct channel *channel; /* a forwarded connection; gets the standard error. NULL: none */
    /* For ssh(1)'s rules; 0 and NULL: as `afar run`. */
    int failed_status; /* exit status if afar itself fails */
    int stderr_fd;     /* where to write the command's standard error */
    /* How long after a signal that ends programs this one ends too; after a second signal it ends
     * immediately. */
    int64_t patience_ms;
    /* Instead of report_receipt and afar_exit_status. */
    int (*status)(void *user, const struct afar_receipt *receipt);
    /* Output: the server offers or allows no terminal; nothing was reported and nothing has run.
     * NULL: that is a failure like others. */
    bool *no_terminal;
    void (*started)(void *user); /* the command runs; may fork and return in the child */
    void *user;
};

/* Connects, unless connected. Returns the exit status; errors were reported. If the connection is
 * unusable afterwards, it is closed. */
int session_run(struct remote *remote, const struct afar_command *command,
                const struct session_options *options);

#endif
