/* A listening socket: stream (tls, tcp, unix) or datagram (udp).
 *
 * Owns:    the descriptor and, for unix, the socket's file, which listener_free removes; but not
 *          the file of an adopted socket.
 * Threads: one owner.
 * Blocks:  listener_open, while a host name is resolved, or, for at most a second, while another
 *          process holds a lock on a unix socket's folder; the rest never.
 * Limits:  `backlog`. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>

#include "net/address.h"
#include "net/endpoint.h"

struct listener;

/* Binds and listens; at [::] and without a host for IPv4, too, unless the endpoint is ipv6_only.
 * The socket is non-blocking and close-on-exec. SO_REUSEADDR is set (tutorial §8), so that
 * TIME_WAIT does not prevent a restart.
 *
 * A unix socket's file has mode 0600 before anyone can connect. An existing socket file is replaced
 * if nothing listens there and no other process has locked its folder (flock(2)), as servers do that
 * start; otherwise it gives "address already in use". A file that is not a socket is never removed.
 *
 * After an error err names the URL. AFAR_ESYSTEM (port in use, no permission, …), AFAR_ENOMEM. */
enum afar_status listener_open(struct listener **listener, const struct endpoint *endpoint,
                               int backlog, struct afar_error *err);

/* Makes a listener of a socket that another process opened, bound and told to listen. `fd` is
 * *moved*, also on failure. AFAR_EINVAL: the socket does not fit the endpoint's scheme (not a
 * socket, not listening, wrong family or type); err says how. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status listener_adopt(struct listener **listener, int fd, const struct endpoint *endpoint,
                                struct afar_error *err);
void listener_free(struct listener *listener);

int listener_fd(const struct listener *listener);

/* The endpoint as opened, but with the port that the kernel chose. For an adopted socket, its real
 * address instead of the name under which it was passed; a unix socket without a file keeps the
 * name. Borrowed until listener_free. */
const struct endpoint *listener_endpoint(const struct listener *listener);

/* True if only this machine can reach it: bound to loopback, or unix. */
bool listener_is_local(const struct listener *listener);

/* True for a unix socket to which only the owner of its file and root can connect. */
bool listener_is_private(const struct listener *listener);

/* Sets the time-outs of TCP peers, as socket_set_patience does, for connections accepted from now
 * on. By default those of socket.h. */
void listener_set_patience(struct listener *listener, uint64_t keepalive_ms,
                           uint64_t user_timeout_ms);

/* Accepts one connection: non-blocking, close-on-exec, TCP_NODELAY if it is TCP. The caller owns
 * *fd. `peer` gets the peer's address as text, `group` (may be NULL) by what to count it.
 *
 * AFAR_EAGAIN: none is waiting (also if the waiting one has vanished: ECONNABORTED and the network
 * errors of accept(2)). AFAR_ESYSTEM: if sys_errno is EMFILE, ENFILE, ENOBUFS or ENOMEM,
 * descriptors or memory have run out: pause before the next try. AFAR_EBUG: a udp listener. */
enum afar_status listener_accept(struct listener *listener, int *fd, char peer[ADDRESS_TEXT_BYTES],
                                 struct address_group *group, struct afar_error *err);

#endif
