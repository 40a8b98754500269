/* A byte stream to one peer, plain or TLS. Its users do not see the difference, except in who the
 * peer is.
 *
 * How to use it:
 *   1. transport_plain_new, or transport_tls_server_new or transport_tls_client_new of tls/tls.h,
 *      takes over a connected, non-blocking descriptor.
 *   2. Call transport_handshake until it does not return AFAR_EAGAIN (plain: immediately AFAR_OK).
 *   3. transport_recv and transport_send move what they can; on AFAR_EAGAIN wait for the events
 *      of transport_recv_events or transport_send_events: TLS may have to write before it can read.
 *   4. Before waiting, check transport_pending: TLS may hold bytes that poll(2) never reports.
 *   5. transport_shutdown says goodbye; transport_free closes the descriptor in any case.
 *
 * Owns:    the descriptor, from creation to transport_free.
 * Threads: one at a time; OpenSSL requires it even for one reader and one writer.
 * Blocks:  only transport_sendall and transport_recvall, until their deadline.
 * Limits:  none. */
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
    char name[IDENTITY_NAME_BYTES]; /* for logs: "anonymous", "uid:0 gid:0", or one of the names
                                       of peer.h, such as "cn:build-7"; printable UTF-8; not
                                       unique */
    /* Who owns the client's jobs: "uid=0"; "sha256:…" over the CA and all names of a certificate,
     * which a renewed certificate keeps; "pin:sha256:…" of the key if no CA vouches for it or it
     * has no names. No two clients share an owner, except those that are "anonymous". */
    char owner[IDENTITY_OWNER_BYTES];
    int64_t expires_at; /* Unix time at which the certificate (or its chain) expires; 0: never */
};

/* Takes over `fd` (*moved*; closed on failure). AFAR_ENOMEM. */
enum afar_status transport_plain_new(struct transport **transport, int fd, struct afar_error *err);

void transport_free(struct transport *transport);

int transport_fd(const struct transport *transport);

/* Sets how long a TCP peer may leave sent data unacknowledged, or its window closed, before it
 * counts as gone; 0: the system's default. Does nothing for other sockets. Best effort. */
void transport_set_user_timeout(const struct transport *transport, uint64_t user_timeout_ms);

/* AFAR_OK: done; also on later calls. AFAR_EAGAIN: wait for transport_recv_events. AFAR_ETRUST: a
 * certificate, name, protocol version or ALPN was not accepted, by us or by the peer. AFAR_EPEER:
 * the peer does not speak TLS. AFAR_ECLOSED. The message is for people, never OpenSSL's own. */
enum afar_status transport_handshake(struct transport *transport, struct afar_error *err);

/* Reads at most `size` bytes (at least 1). AFAR_OK: *received is 1 or more. AFAR_EAGAIN: nothing
 * has arrived. AFAR_ECLOSED: FIN, close_notify or a reset; a cut connection looks the same, so none
 * of these means "end of the data". AFAR_ETRUST: the peer refused our certificate (TLS 1.3 reports
 * it only here). AFAR_EPEER: the peer violated TLS. AFAR_ESYSTEM. */
enum afar_status transport_recv(struct transport *transport, void *data, size_t size,
                                size_t *received, struct afar_error *err);

/* Sends as many of `size` bytes (at least 1) as the socket takes. AFAR_OK: *sent is 1 or more.
 * AFAR_EAGAIN: nothing was taken, and the next call must start with the same bytes (TLS may have
 * encrypted them already). AFAR_ECLOSED, AFAR_ETRUST, AFAR_EPEER, AFAR_ESYSTEM as above. Never
 * raises SIGPIPE. */
enum afar_status transport_send(struct transport *transport, const void *data, size_t size,
                                size_t *sent, struct afar_error *err);

/* POLLIN and/or POLLOUT: what transport_recv (or the handshake), or transport_send, waited for when
 * it last returned AFAR_EAGAIN. Before that: POLLIN for receiving, POLLOUT for sending. */
short transport_recv_events(const struct transport *transport);
short transport_send_events(const struct transport *transport);

/* True if transport_recv would return bytes although the descriptor has none. */
bool transport_pending(const struct transport *transport);

/* Repeats transport_recv while there is room and transport_pending is true: TLS returns one record
 * at a time. *received bytes have arrived whatever the status is; AFAR_EAGAIN only if that is 0.
 * The time is bounded, whatever the peer sends: if less than `size` bytes have arrived and
 * transport_pending is true, do other work before the next call. */
enum afar_status transport_fill(struct transport *transport, void *data, size_t size,
                                size_t *received, struct afar_error *err);

/* Sends or receives all `size` bytes or fails; `deadline_ms` is absolute (base/clock.h). After
 * AFAR_ETIMEDOUT the position in the stream is unknown: only transport_free is useful then. Other
 * errors as of transport_send and transport_recv. */
enum afar_status transport_sendall(struct transport *transport, const void *data, size_t size,
                                   int64_t deadline_ms, struct afar_error *err);
enum afar_status transport_recvall(struct transport *transport, void *data, size_t size,
                                   int64_t deadline_ms, struct afar_error *err);

/* Ends our direction: close_notify, then FIN. Best effort, never waits. What the peer still sends
 * can be received. */
void transport_shutdown(struct transport *transport);

/* After transport_shutdown or a failure: reads at most `size` bytes, bypassing TLS, into `scratch`
 * and drops them. A socket closed with unread bytes sends a reset, which can destroy our last bytes
 * before the peer has read them. AFAR_OK: there were some. AFAR_EAGAIN: none now, wait for POLLIN.
 * AFAR_ECLOSED: the peer has closed too, or there is nothing to read from. */
enum afar_status transport_discard(struct transport *transport, void *scratch, size_t size);

/* Who the peer is; valid after the handshake. */
void transport_identity(const struct transport *transport, struct identity *identity);

/* Checks again whether the peer would be accepted, by `context` (NULL: its own), which may have
 * been made after the handshake: otherwise the certificate of an open connection is never checked
 * again. Plain transports always pass. AFAR_ETRUST: no; err says why: expired, revoked, a CA that
 * is no longer trusted. AFAR_ENOMEM. */
enum afar_status transport_judge(struct transport *transport, struct tls_context *context,
                                 struct afar_error *err);

/* The negotiated ALPN protocol; "" if none (always for plain). Borrowed. */
const char *transport_alpn(const struct transport *transport);

/* True if the TLS session was resumed from an earlier connection. */
bool transport_resumed(const struct transport *transport);

#endif
