/* A TLS client and a TLS server in one thread, connected in memory: no port, no waiting, and
 * buffers of any size, so that all want-read and want-write paths are taken.
 *
 * Owns:    the two transports, until tls_pair_close; contexts stay the caller's.
 * Threads: one.
 * Blocks:  never.
 * Limits:  TLS_PAIR_STEPS attempts; if a pair needs more it is stuck, and both statuses stay
 *          AFAR_EAGAIN. */
#ifndef SUPPORT_TLS_PAIR_H
#define SUPPORT_TLS_PAIR_H

#include "tls/internal.h"
#include "support/test_certs.h"

enum { TLS_PAIR_STEPS = 200000 };

struct tls_pair {
    struct transport *client;
    struct transport *server;
    enum afar_status client_status; /* of the handshake, or of the first receive after it */
    enum afar_status server_status;
    struct afar_error client_err;
    struct afar_error server_err;
};

/* Make contexts with these certificates; fail the test on an error. TLS_PAIR_NONE: a client without
 * a certificate. */
enum { TLS_PAIR_NONE = -1 };
struct tls_context *tls_pair_server_context(const struct test_certs *certs, enum test_cert cert,
                                            enum test_cert client_ca);
struct tls_context *tls_pair_client_context(const struct test_certs *certs, int cert,
                                            enum test_cert ca);

/* Fails the test unless the message contains `expected`, is one line without OpenSSL jargon, and
 * OpenSSL's error queue is empty. */
void tls_pair_assert_line(const struct afar_error *err, const char *expected);

/* `buffer_bytes`: limit of data in transit, in each direction. */
void tls_pair_open(struct tls_pair *pair, struct tls_context *client, struct tls_context *server,
                   const char *server_name, const char *client_alpn, const char *server_alpn,
                   size_t buffer_bytes);

/* Over a socketpair, for the host localhost and with afar's ALPN. */
void tls_pair_open_sockets(struct tls_pair *pair, struct tls_context *client,
                           struct tls_context *server);

/* Handshakes until both sides are done or have failed. A side that fails closes its end, as a
 * server does. A client that is done then receives: with TLS 1.3 it learns only there that it was
 * refused. */
void tls_pair_handshake(struct tls_pair *pair);

/* Sends `size` bytes from one to the other and compares them; also processes session tickets. */
void tls_pair_exchange(struct transport *from, struct transport *to, size_t size);

/* What a peer sees after close(2): FIN without close_notify. */
void tls_pair_cut(struct transport *transport);

void tls_pair_close(struct tls_pair *pair);

#endif
