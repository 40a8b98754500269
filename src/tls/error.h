/* From what OpenSSL knows of a failure to one clear line for a person.
 *
 * Owns:    nothing.
 * Threads: the error queue is the calling thread's: call right after the call that failed.
 * Blocks:  never.
 * Limits:  AFAR_ERROR_MESSAGE_BYTES. */
#ifndef TLS_ERROR_H
#define TLS_ERROR_H

#include "tls/internal.h"

/* `result` is what SSL_do_handshake, SSL_read_ex, … returned, and `sys_errno` errno after it.
 * AFAR_EAGAIN where the call only has to wait (SSL_want says for what). Otherwise AFAR_ETRUST,
 * AFAR_EPEER, AFAR_ECLOSED, AFAR_ESYSTEM, AFAR_ENOMEM or AFAR_EBUG. Empties the queue; marks the
 * transport as failed where OpenSSL allows no further call. */
enum afar_status tls_fail(struct transport_tls *transport, int result, int sys_errno,
                          struct afar_error *err);

/* The socket itself has failed, with that errno; 0: it has ended. AFAR_ECLOSED, AFAR_ESYSTEM. */
enum afar_status tls_fail_socket(const struct transport_tls *transport, int sys_errno,
                                 struct afar_error *err);

/* AFAR_EPEER where what has come so far cannot be TLS, else AFAR_OK. */
enum afar_status tls_check_first(struct transport_tls *transport, struct afar_error *err);

/* Whether what came first looks like HTTP. */
bool tls_first_is_http(const struct transport_tls *transport);

/* What the peer says by a TLS alert: AFAR_ETRUST where it refuses our certificate, name, protocol
 * or version, AFAR_EPEER otherwise. `alert` is its number (RFC 8446 §6). */
enum afar_status tls_fail_alert(const struct transport_tls *transport, int alert,
                                struct afar_error *err);

/* Fails with AFAR_ENOMEM or AFAR_EBUG for a call that cannot fail otherwise, and empties the
 * queue. `what` names the call. */
enum afar_status tls_fail_local(struct afar_error *err, const char *what);

/* OpenSSL's few words for a code of its queue; never NULL. Any thread. */
const char *tls_reason(unsigned long code);

#endif
