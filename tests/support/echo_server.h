/* Servers that are connected to through others: each connection has a process, which sends back what
 * comes, and ends when that ends.
 *
 * Owns:    a process group, until echo_server_stop.
 * Threads: one.
 * Blocks:  never.
 * Limits:  none. */
#ifndef SUPPORT_ECHO_SERVER_H
#define SUPPORT_ECHO_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum echo_kind {
    ECHO_PLAIN,
    ECHO_GREETING, /* says "hello\n" and ends its own direction, but reads on */
    ECHO_DEAF,     /* never reads */
    ECHO_FLOOD,    /* sends without end, and never reads */
    ECHO_RESET     /* reads a byte, and is gone */
};

struct echo_server {
    pid_t pid;
    uint16_t port;
};

/* At the loopback's address of IPv4, or IPv6. False: there is no IPv6 here. */
bool echo_server_start(struct echo_server *server, enum echo_kind kind, bool ipv6);
void echo_server_stop(struct echo_server *server);

#endif
