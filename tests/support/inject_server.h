/* A server in a forked child, in which calls can be made to fail (support/inject.h).
 *
 * Owns:    the child and its log.
 * Threads: one, in the parent.
 * Blocks:  until the server listens or is refused, until it has ended; at most until
 *          test_deadline_ms.
 * Limits:  INJECT_URLS_MAX listeners. */
#ifndef SUPPORT_INJECT_SERVER_H
#define SUPPORT_INJECT_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

enum { INJECT_URLS_MAX = 4, INJECT_URL_BYTES = 256, INJECT_REPORT_BYTES = 4096 };

struct inject_server {
    pid_t pid; /* 0: none */
    int log_fd;
    char url[INJECT_URLS_MAX][INJECT_URL_BYTES]; /* in the configuration's order */
    bool refused;                                /* it did not start, and printed the reason */
    char report[INJECT_REPORT_BYTES];            /* the endpoints, or the reason */
    unsigned descriptors;                        /* open when it began to listen */
};

/* The child's exit status. */
enum inject_end {
    INJECT_END_OK,
    INJECT_END_REFUSED,
    INJECT_END_RUN,         /* server_run failed */
    INJECT_END_ALLOCATIONS, /* an allocation was not freed */
    INJECT_END_DESCRIPTORS, /* a descriptor was not closed */
    INJECT_END_HUNG         /* set by the parent: not ended by the deadline */
};

/* Starts a server with the configuration in `path`. What is armed applies from its first call on.
 * Returns NULL, or what went wrong; a refusal is not an error. */
const char *inject_server_start(struct inject_server *server, const char *path);

/* Waits until it has as many descriptors as at its start, and no child. False: not by the
 * deadline. */
bool inject_server_calm(const struct inject_server *server);

/* Sends TERM, unless it was refused, and waits. Returns an enum inject_end, 128 + N for a signal,
 * or a sanitizer's exit status. */
int inject_server_stop(struct inject_server *server);

/* Prints the log on stderr. */
void inject_server_show_log(const struct inject_server *server);

/* True if `text` is in the log. */
bool inject_server_logged(const struct inject_server *server, const char *text);

/* Kills the child if it still runs, and closes the log. */
void inject_server_close(struct inject_server *server);

#endif
