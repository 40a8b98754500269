/* A server in a forked child, in which calls can be made to fail (support/inject.h).
 *
 * Owns:    the child, its log, its configuration's file.
 * Threads: one, in the parent.
 * Blocks:  until it listens or is refused, until it has ended.
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
    bool refused;                                /* it did not start, and said why */
    char report[INJECT_REPORT_BYTES];            /* what it has said */
    unsigned descriptors;                        /* open when it began to listen */
};

/* How the child ends. */
enum inject_end {
    INJECT_END_OK,
    INJECT_END_REFUSED,
    INJECT_END_RUN,         /* server_run has failed */
    INJECT_END_ALLOCATIONS, /* something allocated was not freed */
    INJECT_END_DESCRIPTORS, /* … or not closed */
    INJECT_END_HUNG         /* the parent's word: not within the deadline */
};

/* Starts one with the configuration in `path`. What is armed applies to it from its first call on.
 * NULL, or what went wrong (a refusal is not). */
const char *inject_server_start(struct inject_server *server, const char *path);

/* Waits until as many descriptors are open as were at its start, and no child is left. */
bool inject_server_calm(const struct inject_server *server);

/* TERM, unless it was refused, and its end: an enum inject_end, or 128 + N, or a sanitizer's. */
int inject_server_stop(struct inject_server *server);

/* Prints the log on stderr, a line each. */
void inject_server_show_log(const struct inject_server *server);

/* Whether `text` is in the log. */
bool inject_server_logged(const struct inject_server *server, const char *text);

/* Kills what is still there, and closes. */
void inject_server_close(struct inject_server *server);

#endif
