/* ProxyCommand: a program whose standard input and output lead to the server.
 *
 * Owns:    the process, from proxy_open to proxy_close.
 * Threads: one.
 * Blocks:  never.
 * Limits:  a line of PROXY_LINE_BYTES. */
#ifndef AFAR_SSH_PROXY_H
#define AFAR_SSH_PROXY_H

#include <stdbool.h>
#include <sys/types.h>

enum { PROXY_LINE_BYTES = 4096 };

struct proxy {
    const char *command; /* kept, as are the next four */
    const char *host;    /* %h */
    const char *port;    /* %p */
    const char *user;    /* %r */
    const char *name;    /* %n: the host as it was given */
    pid_t pid;           /* 0: none runs */
};

/* Replaces %h, %p, %r, %n and %%. False: too long, or another letter. */
bool proxy_expand(const struct proxy *proxy, char line[PROXY_LINE_BYTES]);

/* For struct remote_route: starts the program by a shell, and returns our end of its streams; -1:
 * it has been said why not. One that ran before is ended. `user` is the struct proxy. */
int proxy_open(void *user);

/* Hangs up, if one runs. */
void proxy_close(struct proxy *proxy);

#endif
