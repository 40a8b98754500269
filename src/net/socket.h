/* What listener, dial and the transports share about sockets. Private to src/net/.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

/* Options of a connected TCP socket: TCP_NODELAY, because frames are written whole and an answer
 * must not wait for the next one; keep-alive, so that a peer whose machine has gone is noticed
 * although nobody writes. Nothing for other families. Best effort: a connection works without. */
void socket_set_tcp_options(int fd, sa_family_t family);

/* How long a TCP peer may be silent before it is asked whether it is there (keepalive_ms; after
 * four unanswered questions, a quarter of that time apart, it has gone; 0: it is never asked), and
 * how long it may leave what was sent unacknowledged, or its window closed, before it has gone
 * (TCP_USER_TIMEOUT of tcp(7); 0: the system's choice). Nothing for other families. Best effort. */
void socket_set_patience(int fd, uint64_t keepalive_ms, uint64_t user_timeout_ms);

/* The second of these alone. */
void socket_set_user_timeout(int fd, uint64_t user_timeout_ms);

/* Fails with what a failed recv(2) or send(2) means: AFAR_ECLOSED, in words for a person, where the
 * connection has gone; AFAR_ESYSTEM or AFAR_ENOMEM otherwise. sys_errno is kept. */
enum afar_status socket_fail(struct afar_error *err, int sys_errno);

/* The same for the end of the stream. */
enum afar_status socket_fail_end(struct afar_error *err);

#endif
