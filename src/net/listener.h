/* A listening socket: stream (tls, tcp, unix) or datagram (udp).
 *
 * Owns:    the descriptor and, for unix, the socket's file, removed by listener_free; not the file
 *          of a socket that was adopted.
 * Threads: one owner.
 * Blocks:  listener_open, while a host name is resolved; the rest never.
 * Limits:  `backlog`. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>

#include "net/address.h"
#include "net/endpoint.h"

struct listener;

/* Binds and listens, at [::] and without a host for IPv4 too, unless the endpoint is ipv6_only; the
 * socket is non-blocking and close-on-exec. SO_REUSEADDR is set (tutorial §8), so that a restart
 * does not meet its own TIME_WAIT. A unix socket's file gets mode 0600 before anyone can connect; a
 * stale one (nobody listens) is replaced, one that is served is "address already in use", and a
 * file that is not a socket is never removed. Errors name the URL: AFAR_ESYSTEM (taken port, no
 * permission, …), AFAR_ENOMEM. */
enum afar_status listener_open(struct listener **listener, const struct endpoint *endpoint,
                               int backlog, struct afar_error *err);

/* The same with a socket that somebody else has opened, bound and told to listen: `fd` is *moved*,
 * also on failure. AFAR_EINVAL says how it is not what the endpoint's scheme wants: no socket, not
 * listening, of another family or kind. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status listener_adopt(struct listener **listener, int fd, const struct endpoint *endpoint,
                                struct afar_error *err);
void listener_free(struct listener *listener);

int listener_fd(const struct listener *listener);

/* As opened, but with the port that the kernel chose; where it was adopted, its own address instead
 * of the name that it was handed over by (a unix socket without a file keeps that). Borrowed until
 * listener_free. */
const struct endpoint *listener_endpoint(const struct listener *listener);

/* True where only this machine can reach it: bound to loopback, or unix. */
bool listener_is_local(const struct listener *listener);

/* True for a unix socket that only the user who owns its file, and root, can connect to. */
bool listener_is_private(const struct listener *listener);

/* How long TCP peers may be silent, or leave what was sent unacknowledged: as socket_set_patience
 * says, for connections that are accepted from now on. Without it, the defaults of socket.h. */
void listener_set_patience(struct listener *listener, uint64_t keepalive_ms,
                           uint64_t user_timeout_ms);

/* Takes one connection: non-blocking, close-on-exec, TCP_NODELAY where it is TCP. The caller owns
 * *fd. `peer` gets its address in text, `group` (NULL: not wanted) whom to count it by.
 * AFAR_EAGAIN: none is waiting (also when the one that was there has vanished: ECONNABORTED and the
 * network errors of accept(2)). AFAR_ESYSTEM with sys_errno EMFILE, ENFILE, ENOBUFS or ENOMEM: out
 * of descriptors or memory; pause before the next try. */
enum afar_status listener_accept(struct listener *listener, int *fd, char peer[ADDRESS_TEXT_BYTES],
                                 struct address_group *group, struct afar_error *err);

#endif
