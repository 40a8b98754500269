/* Messages to the service manager that started us: the datagrams of sd_notify(3). A few lines of
 * our own, as there is no libsystemd to link statically, and as that manual says that the protocol
 * is stable and free to be implemented anew.
 *
 * Owns:    a socket.
 * Threads: one; notify_open while there is but one: it changes the environment.
 * Blocks:  never.
 * Limits:  the manager's queue. */
#ifndef SERVER_WATCH_NOTIFY_H
#define SERVER_WATCH_NOTIFY_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

struct notify {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un address;
    socklen_t address_size;
};

/* Reads NOTIFY_SOCKET, a path or, after an '@', an abstract name, and takes it out of the
 * environment. Where there is none all is well, and nothing will be sent. AFAR_EINVAL: some other
 * kind of address; AFAR_ESYSTEM. Nothing will be sent then, either. */
enum afar_status notify_open(struct notify *notify, struct afar_error *err);
void notify_close(struct notify *notify);

/* Sends lines "NAME=value". AFAR_EAGAIN: the manager has not read those before; later.
 * AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status notify_send(const struct notify *notify, const char *text, struct afar_error *err);

#endif
