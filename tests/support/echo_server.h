/* Servers for tests of forwarded connections. Each connection has a process, which sends back what
 * it gets and ends at the end of its input.
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
    ECHO_GREETING, /* sends "hello\n" and shuts down its side, but continues to read */
    ECHO_DEAF,     /* never reads */
    ECHO_FLOOD,    /* sends without end, and never reads */
    ECHO_RESET     /* reads a byte, then resets */
};

struct echo_server {
    pid_t pid;
    uint16_t port;
};

/* Listens on the loopback address of IPv4 or IPv6. False: there is no IPv6 here. */
bool echo_server_start(struct echo_server *server, enum echo_kind kind, bool ipv6);
void echo_server_stop(struct echo_server *server);

#endif
