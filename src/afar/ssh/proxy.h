/* ProxyCommand: a program whose standard input and output lead to the server. */
#ifndef AFAR_SSH_PROXY_H
#define AFAR_SSH_PROXY_H

#include <stdbool.h>
#include <sys/types.h>

enum { PROXY_LINE_BYTES = 4096 };

struct proxy {
    const char *command; /* borrowed, like the next four */
    const char *host;    /* %h */
    const char *port;    /* %p */
    const char *user;    /* %r */
    const char *name;    /* %n: the host as the user wrote it */
    pid_t pid;           /* 0: none runs */
};

/* Makes the shell line: replaces %h, %p, %r, %n and %%. False: too long, another letter after '%',
 * or a host or user that a shell would not take as a word; then `line` is the message. */
bool proxy_expand(const struct proxy *proxy, char line[PROXY_LINE_BYTES]);

/* For struct remote_route's `open`: starts the program by a shell, and returns our end of its
 * streams; -1: the reason was reported. Ends an earlier program. `user` is the struct proxy. */
int proxy_open(void *user);

/* Sends the program a HUP, if one runs. */
void proxy_close(struct proxy *proxy);

#endif
