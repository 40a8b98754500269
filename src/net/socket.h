/* Shared by listener, dial and the transports. Private to src/net/.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

/* Sets the options of a TCP socket: TCP_NODELAY, because frames are written whole and an answer
 * must not wait for the next one; keep-alive, so that a vanished peer is noticed although nothing
 * is written. Does nothing for other families. Best effort: a connection works without them. */
void socket_set_tcp_options(int fd, sa_family_t family);

/* Sets the time-outs of a TCP socket. keepalive_ms: a peer that is silent for so long gets
 * keep-alive probes, a quarter of that time apart; after four without an answer it counts as gone
 * (0: no probes). user_timeout_ms: how long a peer may leave sent data unacknowledged, or its
 * window closed, before it counts as gone (TCP_USER_TIMEOUT of tcp(7); 0: the system's default).
 * Does nothing for other families. Best effort. */
void socket_set_patience(int fd, uint64_t keepalive_ms, uint64_t user_timeout_ms);

/* Sets only the second time-out. */
void socket_set_user_timeout(int fd, uint64_t user_timeout_ms);

/* Fills in err for a failed recv(2) or send(2) and returns the status: AFAR_ECLOSED, in words for
 * people, if the connection is gone; AFAR_ESYSTEM or AFAR_ENOMEM otherwise. Keeps sys_errno. */
enum afar_status socket_fail(struct afar_error *err, int sys_errno);

/* The same for the end of the stream: AFAR_ECLOSED. */
enum afar_status socket_fail_end(struct afar_error *err);

#endif
