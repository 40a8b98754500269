/* Messages to the service manager that started us: the datagrams of sd_notify(3). Written here, as
 * there is no libsystemd to link statically, and as that manual declares the protocol stable and
 * free to be reimplemented.
 *
 * Owns:    a socket.
 * Threads: one; notify_open while there is no other, as it changes the environment.
 * Blocks:  never.
 * Limits:  the manager's queue. */
#ifndef SERVER_WATCH_NOTIFY_H
#define SERVER_WATCH_NOTIFY_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

struct notify {
    int fd; /* -1: no service manager listens */
    struct sockaddr_un address;
    socklen_t address_size;
};

/* Reads NOTIFY_SOCKET, a path or, after an '@', an abstract name, and removes it from the
 * environment. Without it, returns AFAR_OK, and notify_send sends nothing; nor does it after a
 * failure. AFAR_EINVAL: another kind of address. AFAR_ESYSTEM. notify_close in any case. */
enum afar_status notify_open(struct notify *notify, struct afar_error *err);
void notify_close(struct notify *notify);

/* Sends lines "NAME=value". AFAR_EAGAIN: the manager's queue is full; try again later.
 * AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status notify_send(const struct notify *notify, const char *text, struct afar_error *err);

#endif
