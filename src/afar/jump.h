/* Reaches a server through jump hosts: afar connects to the jump host, which forwards a connection
 * to the server. TLS is spoken with the server itself, so a jump host cannot read what it carries.
 *
 *     us ── TLS ──▶ jump host ── forward ──▶ server
 *      └──────────────── TLS ─────────────────▲
 *
 * Owns:    the process that carries the connection, from jump_open to jump_close.
 * Threads: one.
 * Blocks:  jump_has_said, for half a second at most; the first jump_open for a server without TLS,
 *          for the time to connect; the rest never.
 * Limits:  JUMPS_MAX hosts in a row, both from the list and from the file of hosts. */
#ifndef AFAR_JUMP_H
#define AFAR_JUMP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/forward_target.h"

struct options;

enum { JUMPS_MAX = 8, JUMP_LIST_BYTES = 2048 };

struct jump {
    const struct options *options;   /* borrowed; for connecting to the jump host */
    char list[JUMP_LIST_BYTES];      /* [USER@]HOST[:PORT],…; the last one leads to the server */
    char target[FORWARD_TEXT_BYTES]; /* the server */
    int family;                      /* as struct remote_route's, for the first host */
    const char *local_address;       /* as there; borrowed */
    bool waits;                      /* jump_open waits until the server is connected */
    pid_t pid;                       /* 0: none runs */
};

/* `url` is the server's. False: the reason was reported. */
bool jump_init(struct jump *jump, const struct options *options, const char *list, const char *url);

/* For struct remote_route's `open`: starts the process and returns our end of its stream; -1: the
 * reason was reported. Ends an earlier process. `user` is the struct jump. */
int jump_open(void *user);

/* For `has_said`, after the stream has ended early: true if the process has failed, and so has
 * reported why. */
bool jump_has_said(void *user);

/* Ends the process, if one runs. */
void jump_close(struct jump *jump);

/* Makes "HOST:PORT" from a URL, with the default port if it has none. False: it is a Unix socket's,
 * or malformed. */
bool jump_target(const char *url, char target[FORWARD_TEXT_BYTES]);

#endif
