/* A server that is reached through others: afar to the jump host, which forwards a connection to the
 * server, over which it is spoken to as if it had been dialled. TLS goes through to the server: a
 * jump host carries bytes that it cannot read.
 *
 *     us ── TLS ──▶ jump host ── forward ──▶ server
 *      └──────────────── TLS ─────────────────▲
 *
 * Owns:    the process that carries, from jump_open to jump_close.
 * Threads: one.
 * Blocks:  never; the process does.
 * Limits:  JUMPS_MAX hosts in a row, whether the list or the file of hosts names them. */
#ifndef AFAR_JUMP_H
#define AFAR_JUMP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/forward_target.h"

struct options;

enum { JUMPS_MAX = 8, JUMP_LIST_BYTES = 2048 };

struct jump {
    const struct options *options;   /* kept; for connecting to the jump host */
    char list[JUMP_LIST_BYTES];      /* [USER@]HOST[:PORT],…; the last one leads to the server */
    char target[FORWARD_TEXT_BYTES]; /* the server */
    int family;                      /* as struct remote_route's, for the first host */
    const char *local_address;       /* likewise; kept */
    pid_t pid;                       /* 0: none runs */
};

/* `url` is the server's. False: it has been said why it cannot be reached so. */
bool jump_init(struct jump *jump, const struct options *options, const char *list, const char *url);

/* For struct remote_route: starts the process and returns our end of its stream; -1: it has been
 * said why not. One that ran before is ended. `user` is the struct jump. */
int jump_open(void *user);

/* Likewise: after its stream has ended early. It has failed, and said why. */
bool jump_has_said(void *user);

/* Hangs up, if one runs. */
void jump_close(struct jump *jump);

/* "HOST:PORT" of a URL, with the usual port where it names none. False: it is a Unix socket's. */
bool jump_target(const char *url, char target[FORWARD_TEXT_BYTES]);

#endif
