/* TLS: contexts (certificates, trust, sessions) and the transport over them. Only src/tls,
 * base/digest.c and base/base64.c know OpenSSL.
 *
 * Owns:    a context owns OpenSSL's SSL_CTX and, for clients, the last session tickets. Transports
 *          hold a reference: a context may be freed before them.
 * Threads: a context may be shared by any number of threads once made; a transport may not.
 * Blocks:  making a context reads files; the rest never.
 * Limits:  TLS 1.3, or 1.2 where asked for; no renegotiation, no compression, no early data. A
 *          hello has at most 16 KiB, a client's certificates chain_bytes, a handshake 512 records;
 *          a session lasts for an hour from the full handshake on. What a peer can make one call
 *          cost is bounded: guard.c. */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/transport.h"

#define TLS_ALPN_AFAR "afar/1" /* required for the native protocol */

enum {
    TLS_PIN_BYTES = 65, /* 64 hex digits and a NUL */
    /* Of a client's certificates, in all. Four of RSA 4096 with many names are some 10 KB. */
    TLS_CHAIN_BYTES = 16 * 1024
};

struct tls_context;

struct tls_server_options {
    const char *cert_file; /* PEM, leaf first, then intermediates */
    const char *key_file;  /* PEM */
    const char
        *client_ca_file;  /* PEM; clients must show a certificate that leads to one of these */
    const char *crl_file; /* PEM; revocation lists of all CAs on clients' chains; NULL: none */
    bool allow_tls12;
    size_t chain_bytes; /* of a client's certificates; 0: TLS_CHAIN_BYTES */
    /* Keys whose owners are let in no matter who issued their certificate, as 64 hex digits each.
     * With some, client_ca_file may be NULL. Their certificates must be in date and made for
     * clients; of their names nobody but they themselves says that they are true: net/peer.h. */
    char *const *pins;
    size_t pin_count;
};

/* Asked during the handshake about a server that no CA vouches for, with its key's pin. Must not
 * take long: the server waits. True: it is the right one. */
typedef bool tls_trust(void *user, const char *server_name, const char *pin);

struct tls_client_options {
    const char *ca_file;   /* PEM; NULL: the system's store */
    const char *cert_file; /* PEM; NULL: no client certificate */
    const char *key_file;
    /* 64 hex digits: only the server with this key is accepted; CA, name and dates are not checked.
     * NULL: by CA. */
    const char *pin;
    tls_trust *trust; /* NULL: such a server is refused */
    void *trust_user;
    /* `trust` is asked about every server, and nothing else counts: neither CA nor name nor date.
     */
    bool trust_alone;
    /* The files are read when a handshake needs them: what is wrong with them is that handshake's
     * error.
     */
    bool defer;
};

/* Reads and checks the files whole. AFAR_EINVAL: a file cannot be read, is not PEM, or key and
 * certificate do not belong together; the message names the file. AFAR_ENOMEM.
 * Server: client certificates are required and must allow client use; session tickets carry the
 * certificate's earliest expiry, and a ticket whose certificate has expired means a full handshake.
 */
enum afar_status tls_context_server_new(struct tls_context **context,
                                        const struct tls_server_options *options,
                                        struct afar_error *err);
enum afar_status tls_context_client_new(struct tls_context **context,
                                        const struct tls_client_options *options,
                                        struct afar_error *err);
/* Until when (Unix time) what a server shows, and what it judges clients by, is of use; 0: there is
 * no such thing. */
struct tls_ends {
    int64_t own;   /* its own certificate */
    int64_t chain; /* the first of those that it sends with it. Clients may do without. */
    int64_t lists; /* the revocation lists: then no client of one of the CAs is let in */
};
void tls_context_ends(const struct tls_context *context, struct tls_ends *ends);

/* Whether clients can accept a server's own certificate now. AFAR_EAGAIN: not yet, it is not valid
 * before some time. AFAR_EINVAL: it has expired, is not made for servers, or has a critical
 * extension that is not known. The same for the certificate of its CA, if it is sent too. (A client
 * that knows the server by its key alone would accept it, but no other.) */
enum afar_status tls_context_check_own(const struct tls_context *context, struct afar_error *err);

/* False: a server's own certificate is for no host at all. Only clients that know the server by its
 * key accept it. */
bool tls_context_names_host(const struct tls_context *context);

/* One more reference; each wants its tls_context_free. */
void tls_context_keep(struct tls_context *context);
void tls_context_free(struct tls_context *context);

/* Takes over `fd` (*moved*; closed where this fails). `alpn`: the protocol that must be agreed on
 * (the handshake fails with AFAR_ETRUST otherwise), or NULL for none (the tutorial's protocols). */
enum afar_status transport_tls_server_new(struct transport **transport, struct tls_context *context,
                                          int fd, const char *alpn, struct afar_error *err);

/* `server_name`: verified against the certificate's SAN (DNS name or IP address); never NULL.
 * A session that an earlier connection through this context to the same server got is offered. */
enum afar_status transport_tls_client_new(struct transport **transport, struct tls_context *context,
                                          int fd, const char *server_name, const char *alpn,
                                          struct afar_error *err);

/* Before the handshake of a client: what ends it (in TLS 1.3 our certificate and Finished) is kept
 * until the first send and leaves with that, in one segment. The caller has something to send and
 * sends it soon: the server waits for both. A receive sends it, too. */
void transport_tls_await_request(struct transport *transport);

/* The session that the next connection to `server_name` would offer, for tls_context_import in
 * another process: anyone who has it can impersonate us until it ends. *data is the caller's
 * (OPENSSL_cleanse or not, free); NULL: there is none. AFAR_ENOMEM. */
enum afar_status tls_context_export(struct tls_context *context, const char *server_name,
                                    uint8_t **data, size_t *size, struct afar_error *err);

/* Offers it to the next connection. It must be one of a context with the same options: the server
 * is not asked again who it is. AFAR_EPEER: it is none, or has expired. */
enum afar_status tls_context_import(struct tls_context *context, const char *server_name,
                                    const uint8_t *data, size_t size, struct afar_error *err);

/* For a program that is OpenSSL's only user in its process and soon ends, before anything else of
 * TLS: OpenSSL reads its configuration only where OPENSSL_CONF names it, and does not clean up at
 * exit. One thread. */
void tls_program_begin(void);

/* An alert that turns a client away before any handshake: internal_error (RFC 8446 §6), as there is
 * none for "too busy". To be sent as it is. */
enum { TLS_REFUSAL_BYTES = 7 };
void tls_refusal(uint8_t alert[TLS_REFUSAL_BYTES]);

#endif
