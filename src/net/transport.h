/* A byte stream to one peer, plain or TLS. Nothing above knows which, except to ask who the peer
 * is.
 *
 * How to use it:
 *   1. transport_plain_new, or transport_tls_server_new or transport_tls_client_new of tls/tls.h,
 *      takes over a connected, non-blocking descriptor.
 *   2. transport_handshake until it is no longer AFAR_EAGAIN (plain: AFAR_OK at once).
 *   3. transport_recv and transport_send move what they can; on AFAR_EAGAIN wait for the events
 *      that transport_recv_events or transport_send_events name: TLS may have to write before it
 *      can read.
 *   4. Before waiting, ask transport_pending: TLS may hold bytes that poll(2) never reports.
 *   5. transport_shutdown says goodbye; transport_free closes the descriptor in any case.
 *
 * Owns:    the descriptor, from creation to transport_free.
 * Threads: one at a time; OpenSSL requires it even for one reader and one writer.
 * Blocks:  only transport_sendall and transport_recvall, until their deadline.
 * Limits:  none of its own. */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct transport;
struct tls_context;

enum identity_kind { IDENTITY_ANONYMOUS, IDENTITY_UNIX, IDENTITY_CERTIFICATE };

enum { IDENTITY_NAME_BYTES = 256, IDENTITY_OWNER_BYTES = 80 };

struct identity {
    enum identity_kind kind;
    char name[IDENTITY_NAME_BYTES]; /* "anonymous", "uid:0 gid:0", "cn:build-7": one of the names of
                                       peer.h, for logs; printable UTF-8. Others may have it too
                                     */
    /* Whose jobs are whose: "uid=0"; "pin:sha256:…" of a key that no CA vouches for; else
     * "sha256:…" over the CA and all names, which a renewed certificate keeps. No two clients share
     * it, but those who are "anonymous". */
    char owner[IDENTITY_OWNER_BYTES];
    int64_t expires_at; /* Unix time at which the certificate (or its chain) expires; 0: never */
};

/* Takes over `fd` (*moved*; closed where this fails). AFAR_ENOMEM. */
enum afar_status transport_plain_new(struct transport **transport, int fd, struct afar_error *err);

void transport_free(struct transport *transport);

int transport_fd(const struct transport *transport);

/* How long a TCP peer may leave what was sent unacknowledged, or its window closed, before it has
 * gone; 0: the system's choice. Nothing elsewhere. Best effort. */
void transport_set_user_timeout(const struct transport *transport, uint64_t user_timeout_ms);

/* AFAR_OK: done (again and again). AFAR_EAGAIN: see transport_recv_events. AFAR_ETRUST: a
 * certificate, name, protocol or ALPN was not accepted, by us or by the peer; AFAR_EPEER: it does
 * not speak TLS; AFAR_ECLOSED. The message is for a person, never OpenSSL's own. */
enum afar_status transport_handshake(struct transport *transport, struct afar_error *err);

/* Reads at most `size` bytes (at least 1). AFAR_OK: *received is 1 or more. AFAR_EAGAIN.
 * AFAR_ECLOSED: FIN, close_notify, or a reset; a cut looks the same, so none of them means "end of
 * the data". AFAR_ETRUST: the peer refused our certificate (TLS 1.3 says so only now). AFAR_EPEER:
 * it broke TLS. AFAR_ESYSTEM. */
enum afar_status transport_recv(struct transport *transport, void *data, size_t size,
                                size_t *received, struct afar_error *err);

/* Sends what the socket takes of `size` bytes (at least 1). AFAR_OK: *sent is 1 or more;
 * AFAR_EAGAIN: nothing was taken, and the next call must start with the same bytes (TLS may have
 * encrypted them already). AFAR_ECLOSED, AFAR_ETRUST, AFAR_EPEER, AFAR_ESYSTEM as above. Never
 * raises SIGPIPE. */
enum afar_status transport_send(struct transport *transport, const void *data, size_t size,
                                size_t *sent, struct afar_error *err);

/* POLLIN and/or POLLOUT: what recv (or the handshake), respectively send, waited for when it last
 * said AFAR_EAGAIN. Before that: POLLIN for recv, POLLOUT for send. */
short transport_recv_events(const struct transport *transport);
short transport_send_events(const struct transport *transport);

/* True where transport_recv would give bytes although the descriptor has none. */
bool transport_pending(const struct transport *transport);

/* transport_recv again and again, while there is room and transport_pending: TLS gives one record
 * at a time. Also with any other status than AFAR_OK *received bytes have come before; AFAR_EAGAIN
 * only where that is 0. It takes a bounded time, whatever the peer sends: where less than `size`
 * has come and transport_pending is true, do something else before the next call. */
enum afar_status transport_fill(struct transport *transport, void *data, size_t size,
                                size_t *received, struct afar_error *err);

/* Moves everything or fails; `deadline_ms` is absolute (base/clock.h). AFAR_ETIMEDOUT leaves the
 * stream in an unknown place: only transport_free is of use then. */
enum afar_status transport_sendall(struct transport *transport, const void *data, size_t size,
                                   int64_t deadline_ms, struct afar_error *err);
enum afar_status transport_recvall(struct transport *transport, void *data, size_t size,
                                   int64_t deadline_ms, struct afar_error *err);

/* Ends our direction: close_notify, then FIN. Best effort, never waits. What the peer still sends
 * can be received. */
void transport_shutdown(struct transport *transport);

/* After transport_shutdown or a failure: reads at most `size` bytes past any TLS and forgets them,
 * because a socket that is closed with unread bytes answers with a reset, which can destroy our
 * last words before the peer has read them. `scratch` holds `size` bytes. AFAR_OK: there were some.
 * AFAR_EAGAIN: none now, wait for POLLIN. AFAR_ECLOSED: the peer has closed too, or there is
 * nothing to read from. */
enum afar_status transport_discard(struct transport *transport, void *scratch, size_t size);

/* Who the peer is; valid after the handshake. */
void transport_identity(const struct transport *transport, struct identity *identity);

/* Whether the peer would be accepted now, by `context` (NULL: by its own), which may have been made
 * after the handshake: nobody looks at an open connection's certificate otherwise. Plain transports
 * always are. AFAR_ETRUST says why not: expired, revoked, a CA that is trusted no more.
 * AFAR_ENOMEM. */
enum afar_status transport_judge(struct transport *transport, struct tls_context *context,
                                 struct afar_error *err);

/* The ALPN protocol that was agreed on, or "" (always for plain). Borrowed. */
const char *transport_alpn(const struct transport *transport);

/* True where the TLS session was resumed from an earlier connection. */
bool transport_resumed(const struct transport *transport);

#endif
