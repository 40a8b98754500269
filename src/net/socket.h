/* What listener, dial and the transports share about sockets. Private to src/net/.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <sys/socket.h>

#include "base/error.h"

/* Options of a connected TCP socket: TCP_NODELAY, because frames are written whole and an answer
 * must not wait for the next one; keep-alive, so that a peer whose machine has gone is noticed
 * although nobody writes. Nothing for other families. Best effort: a connection works without. */
void socket_set_tcp_options(int fd, sa_family_t family);

/* Fails with what a failed recv(2) or send(2) means: AFAR_ECLOSED, in words for a person, where the
 * connection has gone; AFAR_ESYSTEM or AFAR_ENOMEM otherwise. sys_errno is kept. */
enum afar_status socket_fail(struct afar_error *err, int sys_errno);

/* The same for the end of the stream. */
enum afar_status socket_fail_end(struct afar_error *err);

#endif
