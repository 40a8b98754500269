/* What the files of this folder know of each other. Nobody else includes this,
 * except their unit tests.
 *
 *   context.c      contexts: options, verification, references
 *   credentials.c  certificates and keys from PEM files
 *   keygen.c       new keys and certificates
 *   certificate.c  what a certificate says, in words; its key's pin
 *   names.c        which hosts it is for
 *   verify.c       why a certificate was not accepted
 *   own.c          what clients will think of our own
 *   lists.c        for how long revocation lists answer for it
 *   judge.c        the same once more, of an open connection
 *   peer.c         all its names
 *   pins.c         peers that are accepted for their key's sake
 *   deferred.c     a client's files, read when they are needed
 *   export.c       a session for another process
 *   release.c      what an open connection can do without
 *   ticket.c       a server's session tickets
 *   session.c      a client's sessions to offer again
 *   alpn.c         agreeing on a protocol
 *   bio.c          the socket under an SSL
 *   guard.c        limits on what a peer can make OpenSSL do
 *   error.c        one line for a person from what OpenSSL says
 *   alert.c        the same for what the peer says by an alert
 *   program.c      for programs that soon end
 *   transport.c    the transport itself
 *
 * Owns:    see the structs.
 * Threads: see tls.h.
 * Blocks:  never, except reading files.
 * Limits:  TLS_SESSIONS_MAX. */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "net/peer.h"
#include "tls/tls.h"
#include "net/transport_ops.h"

enum {
    TLS_NOTE_BYTES = 384,
    /* A full handshake is needed again after this, however often the session was resumed meanwhile.
     * OpenSSL's default is 2 hours, from the last time; an hour is the usual choice. What a
     * certificate's short life ends earlier ends earlier. */
    TLS_SESSION_LIFE_S = 3600,
    /* Of a send. */
    TLS_BATCH_RECORDS = 16,
    TLS_BATCH_BYTES = TLS_BATCH_RECORDS * SSL3_RT_MAX_PLAIN_LENGTH,
    TLS_READ_AHEAD_BYTES = 4 * (SSL3_RT_MAX_PLAIN_LENGTH + 64),
    TLS_FIRST_BYTES = 8, /* a TLS record's header has 5; "OPTIONS " has 8 */
    /* Servers whose last session a client context remembers, and the longest name it does so for:
     * a client program talks to a few. The oldest makes room. */
    TLS_SESSIONS_MAX = 64
};

/* ---- Contexts -------------------------------------------------------------------------------- */

/* A session that may be offered to the server of that name, once: TLS 1.3 tickets are single use,
 * so that connections cannot be linked by them (RFC 8446, appendix C.4). */
struct tls_saved_session {
    SSL_SESSION *session; /* owned; NULL: an empty place */
    char *server_name;    /* owned */
    char *peer_name;      /* owned; whom the server was known by; NULL: its certificate says */
    int64_t expires_at;   /* of the server's chain: resuming does not look at it again */
    int64_t since;        /* Unix time of the full handshake */
    uint64_t age;         /* for finding the oldest */
};

struct tls_context {
    SSL_CTX *ssl_ctx;          /* owned */
    BIO_METHOD *socket_method; /* owned; see bio.c */
    bool is_server;
    int64_t lists_until;    /* a server's revocation lists; Unix time, 0: there are none */
    atomic_uint references; /* the maker's and each transport's */
    pthread_mutex_t lock;   /* guards the three below */
    struct tls_saved_session saved[TLS_SESSIONS_MAX];
    size_t saved_count;
    uint64_t saved_age;
    /* Owned, sorted: a server's clients that need no CA; a client's one server. */
    char (*pins)[TLS_PIN_BYTES];
    size_t pin_count;
    tls_trust *trust; /* client: asked about a server that no CA vouches for; NULL: refused */
    void *trust_user;
    bool by_key; /* client: a pin, or `trust` alone, decides; the trusted CAs are not read */
    struct tls_deferred *deferred; /* owned; client: files that are still to be read; NULL: none */
};

/* ---- Transports ------------------------------------------------------------------------------ */

/* What a peer has made OpenSSL do: guard.c. */
struct tls_guard {
    bool hello_wanted; /* the next message of a handshake is a hello */
    uint8_t record_size;
    uint8_t message_size;
    uint8_t record[SSL3_RT_HEADER_LENGTH];  /* of the record, as far as it has come */
    uint8_t message[SSL3_HM_HEADER_LENGTH]; /* of the hello */
    size_t record_left;                     /* bytes of the record that are still to come */
    unsigned handshake_records;
    unsigned handshake_messages;
    unsigned turn_records; /* of the present receive */
    size_t turn_bytes;
    unsigned later_count; /* messages after the handshake, and their records, since … */
    int64_t later_since_ms;
    const char *broken_by; /* what the peer does that ends the connection; NULL: nothing */
};

/* What the callbacks, which OpenSSL gives no more than the SSL, leave behind for tls_fail. It is
 * the SSL's app data. */
enum { TLS_OWNER_BYTES = 32 };

struct tls_owner {
    bool is_pin; /* the hash of the client's key; else of its CA and its names */
    uint8_t hash[TLS_OWNER_BYTES];
};

struct transport_tls {
    struct transport base;       /* first, as net/transport_ops.h wants it */
    struct tls_context *context; /* a reference */
    SSL *ssl;                    /* owned */
    char *server_name;           /* owned; NULL for servers */
    char *alpn;                  /* owned; what must be agreed on; NULL: nothing */
    bool established;            /* the handshake is complete and everything was accepted */
    bool failed;                 /* a fatal error: OpenSSL allows no further call */
    bool send_failed;            /* the same for sending; an alert may still be there to be read */
    bool vouched;                /* server: a CA vouches for the client's names */
    struct tls_owner owner;      /* server: whose jobs the client's are */
    bool offers;                 /* client: a session is offered, files may not be needed */
    bool known;                  /* peer_name, and a server's chain, are this peer's */
    bool more;                   /* the last receive gave bytes, and there are others behind them */
    bool heard;                  /* something has been received since the handshake */
    size_t retry_bytes;          /* of a send that has to be repeated; 0: none */
    size_t begun_bytes;          /* of a record behind it that has to be repeated next */
    bool held;                   /* it lies in the BIO and waits for the socket */
    bool awaits_request;         /* client: what ends the handshake waits for what is sent next */
    bool waiting;                /* it does so: it lies in the BIO, too */
    char *peer_name;             /* owned; of the certificate; NULL: not established */
    int64_t expires_at;          /* Unix time; of the peer's chain, 0: no peer certificate */
    int64_t since;               /* Unix time of the full handshake with this peer */
    bool by_list;   /* a revocation list ends sooner than the chain: that is expires_at */
    uint8_t *chain; /* owned; server: the client's certificates, DER, leaf first */
    size_t chain_bytes;
    struct tls_context *judged_by; /* a reference; who accepted them last, NULL: the handshake */
    /* What the peer sent first: tells those who do not speak TLS. */
    uint8_t first[TLS_FIRST_BYTES];
    size_t first_size;
    struct tls_guard guard;
    /* Owned; TLS_NOTE_BYTES: why we did not accept a certificate or protocol, "" where we did.
     * NULL once established. */
    char *note;
};

struct transport_tls *transport_tls_of(const SSL *ssl);

/* ---- owner.c --------------------------------------------------------------------------------- */

/* Of the client whose certificate is `leaf`, by the chain that was verified, from that to the
 * configured CA; NULL: it is accepted for its key alone. False: out of memory. */
bool tls_owner(X509 *leaf, const STACK_OF(X509) * chain, struct tls_owner *owner);

/* As struct identity has it. */
void tls_owner_text(const struct tls_owner *owner, char text[IDENTITY_OWNER_BYTES]);

/* ---- transport.c ----------------------------------------------------------------------------- */

/* Sees to the peer's name and, on the server, chain, once there is a certificate or a ticket that
 * told them. AFAR_ENOMEM. */
enum afar_status tls_know_peer(struct transport_tls *transport, struct afar_error *err);

/* The constructor that both of tls.h's share, over any BIOs (*moved*, also where this fails;
 * both may be the same one, counted once). `fd` is -1 or what to poll and close. `server_name` NULL
 * makes it the server. */
enum afar_status transport_tls_over(struct transport **transport, struct tls_context *context,
                                    int fd, BIO *from_peer, BIO *to_peer, const char *server_name,
                                    const char *alpn, struct afar_error *err);

/* ---- credentials.c --------------------------------------------------------------------------- */

/* A certificate, what else its file sends, and its key. Close it. */
struct tls_credential {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

/* AFAR_EINVAL and a line that names the file, or AFAR_ENOMEM. */
enum afar_status tls_credential_read(struct tls_credential *credential, const char *cert_file,
                                     const char *key_file, struct afar_error *err);
/* For one connection. The same. */
enum afar_status tls_credential_use(const struct tls_credential *credential, SSL *ssl,
                                    const char *cert_file, struct afar_error *err);
void tls_credential_close(struct tls_credential *credential);

/* Each fills `ctx` and fails with AFAR_EINVAL and a line that names the file, or AFAR_ENOMEM. */
enum afar_status tls_load_identity(SSL_CTX *ctx, const char *cert_file, const char *key_file,
                                   struct afar_error *err);
enum afar_status tls_load_trust(SSL_CTX *ctx, const char *ca_file, bool announce,
                                struct afar_error *err);
enum afar_status tls_load_revoked(SSL_CTX *ctx, const char *crl_file, struct afar_error *err);

/* ---- deferred.c ------------------------------------------------------------------------------ */

/* Has the files of `options` read when they are needed. AFAR_ENOMEM. */
enum afar_status tls_deferred_new(struct tls_context *context,
                                  const struct tls_client_options *options, struct afar_error *err);
void tls_deferred_free(struct tls_deferred *deferred);

/* Reads them where there are some, and that has not been done. As tls_context_client_new. */
enum afar_status tls_deferred_load(struct tls_context *context, struct afar_error *err);

/* What was wrong with them, if they have been read. */
enum afar_status tls_deferred_failure(struct tls_context *context, struct afar_error *err);

/* ---- certificate.c --------------------------------------------------------------------------- */

/* Writes the SHA-256 of the certificate's public key (its SubjectPublicKeyInfo, RFC 5280 §4.1), in
 * lower-case hex. False: it cannot be computed. */
bool tls_pin(const X509 *certificate, char pin[TLS_PIN_BYTES]);
bool tls_pin_hash(const X509 *certificate, uint8_t hash[TLS_OWNER_BYTES]);

int64_t tls_time_unix(const ASN1_TIME *time);

/* Takes a name only as it is: one with a NUL, a control character or broken UTF-8, or one that is
 * too long, could be shown as another's. */
bool tls_copy_name(char *out, size_t size, const char *prefix, const unsigned char *name,
                   int length);

/* "2026-11-23 05:12:01 UTC" */
void tls_time_text(const ASN1_TIME *time, char *text, size_t size);

/* "CN=build-7", or the whole subject where it has no CN, or "without a name". */
void tls_subject_text(const X509_NAME *name, char *text, size_t size);

/* Fills in the name by which logs know the peer: of the certificate, where a CA vouches for what it
 * says, else the pin of its key. */
void tls_identity_name(X509 *certificate, bool vouched, char name[IDENTITY_NAME_BYTES]);

/* The earliest notAfter of a chain, 0 where it is NULL or empty. */
int64_t tls_chain_expiry(const STACK_OF(X509) * chain);

/* ---- names.c --------------------------------------------------------------------------------- */

/* "localhost, 127.0.0.1, ::1" (cut with "…"), or "no name at all". */
void tls_names_text(X509 *certificate, char *text, size_t size);

/* Whether there is a name or an address for which a client could accept it. */
bool tls_names_host(const X509 *certificate);

/* Why it is not for that name or address although it looks as if it were; NULL: it does not. */
const char *tls_names_reason(X509 *certificate, const char *wanted);

/* ---- lists.c --------------------------------------------------------------------------------- */

/* Until when what was found of a chain holds: until a certificate in it expires, or, with
 * revocation lists, until there is none of one of its issuers any more that has not expired
 * (*by_list: that is sooner). The chain is the verified one of `store`. */
int64_t tls_valid_until(const X509_STORE_CTX *store, bool *by_list);

/* Until when there is a list of each issuer of which there is one; 0: there are none, or they do
 * not end. */
int64_t tls_lists_until(const SSL_CTX *ctx);

/* ---- verify.c -------------------------------------------------------------------------------- */

/* Makes `ctx` verify its peers: what is found goes to the transport's expires_at, or else to its
 * note. */
void tls_verify_init(SSL_CTX *ctx, int mode);

/* Writes why the certificate was not accepted. */
void tls_note_refusal(const struct transport_tls *transport, X509_STORE_CTX *store,
                      char note[TLS_NOTE_BYTES]);

/* Sets whose certificate the server of a client's transport must show. Addresses are verified but
 * not sent: RFC 6066 §3 has names only. AFAR_EINVAL: no name that could be verified. */
enum afar_status tls_expect_server(struct transport_tls *transport, struct afar_error *err);

/* ---- release.c ------------------------------------------------------------------------------- */

/* Lets go of what only the handshake needed, of a server's connection that is established. */
void tls_release(SSL *ssl);

/* ---- judge.c --------------------------------------------------------------------------------- */

/* Keeps what transport_judge needs of the client's certificates. AFAR_ENOMEM. */
enum afar_status tls_keep_chain(struct transport_tls *transport, struct afar_error *err);
enum afar_status tls_judge(struct transport *base, struct tls_context *context,
                           struct afar_error *err);

/* ---- peer.c ---------------------------------------------------------------------------------- */

/* Adds the names of an established connection's client: net/peer.h. */
enum afar_status tls_peer(const struct transport *base, struct peer *peer, struct afar_error *err);

/* ---- pins.c ---------------------------------------------------------------------------------- */

/* AFAR_EINVAL: one is not 64 hex digits. AFAR_ENOMEM. */
enum afar_status tls_pins_set(struct tls_context *context, char *const *pins, size_t count,
                              struct afar_error *err);

/* Whether a certificate that was not verified, for the reason that `store` or `error` has
 * (X509_V_ERR_…), is accepted for its key's sake. Where it is not, the note says more than it did.
 */
bool tls_pins_accept_client(const struct tls_context *context, X509_STORE_CTX *store,
                            char note[TLS_NOTE_BYTES]);
bool tls_pins_accept_server(const struct transport_tls *transport, X509 *leaf, int error,
                            char note[TLS_NOTE_BYTES]);

/* ---- ticket.c -------------------------------------------------------------------------------- */

/* What a ticket says of its client. Pointers are into what it was read from. */
struct tls_ticket {
    int64_t expires_at; /* Unix time; of the client's chain, or of a revocation list */
    int64_t since;      /* Unix time of the full handshake */
    bool vouched;
    struct tls_owner owner;
    bool by_list;
    const char *name; /* not terminated */
    size_t name_bytes;
    const uint8_t *chain; /* DER, leaf first */
    size_t chain_bytes;
};

/* False: these are not such data. */
bool tls_ticket_read(struct tls_ticket *ticket, const void *data, size_t size);
/* Says how many bytes it has written: 51, the name's and the chain's. */
size_t tls_ticket_write(const struct tls_ticket *ticket, uint8_t *data);

/* A server's sessions travel in tickets of this kind; it keeps none itself. */
void tls_ticket_server_init(SSL_CTX *ctx);

/* ---- export.c -------------------------------------------------------------------------------- */

/* Takes the peer's certificate out of a session's DER, in place. False: it is none. */
bool tls_session_strip(uint8_t *der, size_t *size);

/* ---- session.c ------------------------------------------------------------------------------- */

void tls_session_client_init(SSL_CTX *ctx);

/* Offers the last session of the transport's server, where there is one, and forgets it. */
void tls_session_offer(struct transport_tls *transport);

/* Whether the session may still be offered. */
bool tls_session_is_fresh(const struct tls_saved_session *saved);

/* The place of that server, or NULL. The context is locked. */
struct tls_saved_session *tls_session_find(struct tls_context *context, const char *server_name);
/* Takes `saved` over (*moved*), in place of an earlier one. */
void tls_session_keep(struct tls_context *context, const struct tls_saved_session *saved);
void tls_session_clear(struct tls_saved_session *place);
void tls_session_forget_all(struct tls_context *context);

/* ---- alpn.c ---------------------------------------------------------------------------------- */

void tls_alpn_server_init(SSL_CTX *ctx);

/* Sets what a client offers. AFAR_ENOMEM. */
enum afar_status tls_alpn_offer(struct transport_tls *transport, struct afar_error *err);

/* Compares what was agreed on with what must be. AFAR_ETRUST. */
enum afar_status tls_alpn_check(const struct transport_tls *transport, struct afar_error *err);

/* ---- bio.c ----------------------------------------------------------------------------------- */

/* A socket BIO like OpenSSL's own, but by recv(2) and send(2): write(2) would raise SIGPIPE. */
BIO_METHOD *tls_bio_method_new(void);
BIO *tls_bio_new(const BIO_METHOD *method, int fd);

/* Until tls_bio_release what is written is held back, up to TLS_BATCH_BYTES in TLS_BATCH_RECORDS
 * records; more than there is room for sends what is held. False: it is not held, for want of memory,
 * or as the BIO is none of ours. */
bool tls_bio_hold(BIO *bio);
/* The same for some messages of a handshake, and a request: with less room. */
bool tls_bio_hold_flight(BIO *bio);
/* Sends what is held. AFAR_OK: all of it, or there was nothing. AFAR_EAGAIN: call again when the
 * socket is writable; nothing else may be written before. AFAR_ESYSTEM: errno says why not. */
enum afar_status tls_bio_release(BIO *bio);

/* What is read counts as `guard` has it (*kept*), and stops where that is spent. False: it does
 * not, as the BIO is none of ours. */
bool tls_bio_guard(BIO *bio, struct tls_guard *guard);

/* ---- guard.c --------------------------------------------------------------------------------- */

/* Watches over what comes from the peer; once the transport's BIOs are set. Until the handshake is
 * complete it also notes in the transport what came first. */
void tls_guard_watch(struct transport_tls *transport);

/* The handshake is complete: what was only about that is looked at no more. */
void tls_guard_settle(struct transport_tls *transport);

/* Whether the hello, which OpenSSL has received and not looked at yet, is within limits; else the
 * note says what is not. */
bool tls_guard_takes_hello(SSL *ssl, char note[TLS_NOTE_BYTES]);

/* A receive (or a step of the handshake) begins: what it may cost is counted anew. */
void tls_guard_begin(struct tls_guard *guard);

/* It has cost enough: there may be more to read, later. */
bool tls_guard_spent(const struct tls_guard *guard);

#endif
