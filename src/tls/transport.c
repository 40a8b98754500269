#include "tls/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "tls/error.h"

static struct transport_tls *tls_of(struct transport *transport)
{
    return (struct transport_tls *)(void *)transport;
}

static const struct transport_tls *tls_of_const(const struct transport *transport)
{
    return (const struct transport_tls *)(const void *)transport;
}

struct transport_tls *transport_tls_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

/* What the call that has just said AFAR_EAGAIN waits for. */
static short wanted_events(const SSL *ssl)
{
    return SSL_want_write(ssl) ? POLLOUT : POLLIN;
}

static enum afar_status fail_again(struct afar_error *err)
{
    return afar_fail(err, AFAR_ECLOSED, "the TLS connection has failed before");
}

/* ---- Handshake ------------------------------------------------------------------------------- */

/* Tells a peer that does not speak TLS, or whose hello was not read, what it has met, as far as one
 * can: our own plain client knows an alert when it sees one. Best effort, once. */
static void answer_stranger(struct transport_tls *transport)
{
    static const char http[] = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"
                               "This port speaks TLS, and not HTTP.\n";
    bool speaks_tls = transport->guard.broken_by != NULL;
    /* Alert, version 3.3, 2 bytes: fatal, and why. */
    const unsigned char alert[] = {0x15,
                                   0x03,
                                   0x03,
                                   0,
                                   2,
                                   SSL3_AL_FATAL,
                                   speaks_tls ? SSL3_AD_ILLEGAL_PARAMETER
                                              : TLS1_AD_PROTOCOL_VERSION};
    BIO *bio = SSL_get_wbio(transport->ssl);

    if (BIO_number_written(bio) > 0) /* OpenSSL has sent an alert, or a hello, of its own */
        return;
    if (!speaks_tls && tls_first_is_http(transport))
        (void)BIO_write(bio, http, sizeof http - 1);
    else
        (void)BIO_write(bio, alert, sizeof alert);
    ERR_clear_error();
}

/* A resumed session comes without the certificate: what that said has come with the ticket or the
 * session (ticket.c, export.c). A ticket's making takes it out of this connection's
 * session, too. */
enum afar_status tls_know_peer(struct transport_tls *transport, struct afar_error *err)
{
    bool is_server = transport->context->is_server;
    bool told = transport->peer_name != NULL && (!is_server || transport->chain != NULL);
    char name[IDENTITY_NAME_BYTES];

    if (transport->known)
        return AFAR_OK;
    if (!told || SSL_session_reused(transport->ssl) != 1) {
        X509 *certificate = SSL_get0_peer_certificate(transport->ssl);
        if (certificate == NULL)
            return afar_fail(err, AFAR_ETRUST, "the %s has shown no certificate",
                             is_server ? "client" : "server");
        tls_identity_name(certificate, transport->vouched, name);
        ERR_clear_error();
        free(transport->peer_name);
        transport->peer_name = strndup(name, sizeof name - 1);
        if (transport->peer_name == NULL)
            return afar_fail(err, AFAR_ENOMEM, "out of memory");
        enum afar_status status = is_server ? tls_keep_chain(transport, err) : AFAR_OK;
        if (status != AFAR_OK)
            return status;
        transport->since = (int64_t)time(NULL);
    }
    transport->known = true;
    return AFAR_OK;
}

static enum afar_status handshake_done(struct transport_tls *transport, struct afar_error *err)
{
    bool is_server = transport->context->is_server;

    enum afar_status status = tls_alpn_check(transport, err);
    if (status != AFAR_OK)
        return status;
    /* OpenSSL has made sure of both; a mistake in its set-up must not let a stranger in. */
    if (SSL_get_verify_result(transport->ssl) != X509_V_OK)
        return afar_fail(err, AFAR_ETRUST, "the %s's certificate was not verified",
                         is_server ? "client" : "server");
    status = tls_know_peer(transport, err);
    if (status != AFAR_OK)
        return status;
    tls_guard_settle(transport);
    if (is_server)
        tls_release(transport->ssl);
    free(transport->note);
    transport->note = NULL;
    /* Only now: what is at stake before is the memory of who knows how many strangers. */
    SSL_set_read_ahead(transport->ssl, 1);
    SSL_set_default_read_buffer_len(transport->ssl, TLS_READ_AHEAD_BYTES);
    transport->established = true;
    transport->waiting = transport->awaits_request;
    /* Who polls before there is something to send is woken up to receive, which sends it. */
    transport->base.recv_events = transport->waiting ? POLLIN | POLLOUT : POLLIN;
    transport->base.send_events = POLLOUT;
    return AFAR_OK;
}

/* More of the handshake is to come, or it has failed: what we had to say of it leaves. */
static enum afar_status send_flight(struct transport_tls *transport, enum afar_status status,
                                    struct afar_error *err)
{
    enum afar_status sent =
        transport->awaits_request ? tls_bio_release(SSL_get_wbio(transport->ssl)) : AFAR_OK;
    if (status != AFAR_EAGAIN || sent == AFAR_OK)
        return status;
    if (sent != AFAR_EAGAIN)
        return tls_fail_socket(transport, errno, err);
    transport->base.recv_events = transport->base.send_events = POLLOUT;
    return AFAR_EAGAIN;
}

/* It waits, or has failed: SSL_do_handshake has returned `result`. */
static enum afar_status handshake_stopped(struct transport_tls *transport, int result,
                                          int saved_errno, struct afar_error *err)
{
    struct transport *base = &transport->base;
    enum afar_status status = tls_fail(transport, result, saved_errno, err);
    base->recv_events = base->send_events = wanted_events(transport->ssl);
    status = send_flight(transport, status, err);
    if (status != AFAR_EAGAIN) {
        enum afar_status files = tls_deferred_failure(transport->context, err);
        return files != AFAR_OK ? files : status;
    }
    /* Do not wait for more of what will never be TLS. */
    if (tls_check_first(transport, err) != AFAR_OK)
        return AFAR_EPEER;
    /* Our hello is on its way: while the server works on it, so do we. */
    enum afar_status files =
        transport->offers ? AFAR_OK : tls_deferred_load(transport->context, err);
    return files != AFAR_OK ? files : AFAR_EAGAIN;
}

static enum afar_status tls_handshake(struct transport *base, struct afar_error *err)
{
    struct transport_tls *transport = tls_of(base);

    if (transport->established)
        return AFAR_OK;
    if (transport->failed)
        return fail_again(err);

    ERR_clear_error();
    /* Without memory for it, it is sent at once. */
    if (transport->awaits_request)
        (void)tls_bio_hold_flight(SSL_get_wbio(transport->ssl));
    errno = 0;
    int result = SSL_do_handshake(transport->ssl);
    int saved = errno;
    enum afar_status status = AFAR_OK;
    if (result == 1 && transport->guard.broken_by == NULL)
        status = handshake_done(transport, err);
    else
        status = handshake_stopped(transport, result, saved, err);
    if (status == AFAR_OK || status == AFAR_EAGAIN)
        return status;
    bool stranger =
        transport->guard.broken_by != NULL || tls_check_first(transport, NULL) != AFAR_OK;
    if (transport->context->is_server && stranger)
        answer_stranger(transport);
    transport->failed = true;
    return status;
}

/* ---- Data ------------------------------------------------------------------------------------ */

static void tls_begin(struct transport *base)
{
    tls_guard_begin(&tls_of(base)->guard);
}

/* Nothing was sent since the handshake: the peer will say nothing before it has the end of that. */
static enum afar_status send_waiting(struct transport_tls *transport, struct afar_error *err)
{
    enum afar_status sent = tls_bio_release(SSL_get_wbio(transport->ssl));
    if (sent == AFAR_EAGAIN) {
        transport->base.recv_events = POLLOUT;
        return afar_fail(err, AFAR_EAGAIN, "TLS waits for the peer");
    }
    transport->waiting = false;
    transport->base.recv_events = POLLIN;
    /* Where it has gone, receiving may still say why. */
    transport->send_failed = transport->send_failed || sent != AFAR_OK;
    return AFAR_OK;
}

static enum afar_status tls_recv(struct transport *base, void *data, size_t size, size_t *received,
                                 struct afar_error *err)
{
    struct transport_tls *transport = tls_of(base);

    enum afar_status status = tls_handshake(base, err);
    if (status != AFAR_OK)
        return status;
    if (transport->failed)
        return fail_again(err);
    if (tls_guard_spent(&transport->guard)) /* what is pending stays so */
        return afar_fail(err, AFAR_EAGAIN, "TLS has been read from for long enough");
    status = transport->waiting ? send_waiting(transport, err) : AFAR_OK;
    if (status != AFAR_OK)
        return status;

    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(transport->ssl, data, size, received);
    int saved = errno;
    /* What was read ahead may be part of a record: then the next receive says so. */
    transport->more = result == 1 && SSL_has_pending(transport->ssl) == 1;
    if (result == 1) {
        base->recv_events = POLLIN;
        transport->heard = true;
        return AFAR_OK;
    }
    *received = 0;
    int kind = SSL_get_error(transport->ssl, result);
    status = tls_fail(transport, result, saved, err);
    if (status == AFAR_EAGAIN)
        base->recv_events = wanted_events(transport->ssl);
    else if (kind != SSL_ERROR_ZERO_RETURN)
        transport->failed = true;
    return status;
}

/* Sending has failed because the connection has gone. A TLS 1.3 server judges our certificate when
 * we may already be sending: its alert tells more than the reset that followed it. */
static enum afar_status why_gone(struct transport_tls *transport, struct afar_error *err)
{
    struct afar_error told;
    char byte = 0;
    size_t count = 0;

    transport->send_failed = true;
    tls_guard_begin(&transport->guard);
    ERR_clear_error();
    errno = 0;
    int result = SSL_peek_ex(transport->ssl, &byte, sizeof byte, &count);
    int saved = errno;
    if (result == 1) { /* data that transport_recv will give, perhaps with the reason behind it */
        transport->more = true;
        return AFAR_ECLOSED;
    }
    enum afar_status status = tls_fail(transport, result, saved, &told);
    if (status != AFAR_ETRUST && status != AFAR_EPEER)
        return AFAR_ECLOSED;
    if (err != NULL)
        *err = told;
    return status;
}

/* One record: all of `size` bytes, at most SSL3_RT_MAX_PLAIN_LENGTH. */
static enum afar_status write_record(struct transport_tls *transport, const uint8_t *data,
                                     size_t size, struct afar_error *err)
{
    size_t written = 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_write_ex(transport->ssl, data, size, &written);
    int saved = errno;
    if (result == 1)
        return AFAR_OK;
    enum afar_status status = tls_fail(transport, result, saved, err);
    if (status == AFAR_EAGAIN)
        transport->base.send_events = wanted_events(transport->ssl);
    return status;
}

/* Several records are made before any is sent. *taken: of how many bytes, also where they have to
 * be repeated. */
static enum afar_status write_records(struct transport_tls *transport, const uint8_t *data,
                                      size_t size, size_t *taken, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    size_t piece = 0;
    size_t done = 0;
    bool many = transport->retry_bytes == 0 && size > SSL3_RT_MAX_PLAIN_LENGTH &&
                !transport->waiting && tls_bio_hold(SSL_get_wbio(transport->ssl));
    if (!many && size > SSL3_RT_MAX_PLAIN_LENGTH)
        size = SSL3_RT_MAX_PLAIN_LENGTH;
    while (done < size) {
        piece = size - done;
        if (piece > SSL3_RT_MAX_PLAIN_LENGTH)
            piece = SSL3_RT_MAX_PLAIN_LENGTH;
        status = write_record(transport, data + done, piece, err);
        if (status != AFAR_OK)
            break;
        done += piece;
    }
    *taken = done > 0 ? done : piece;
    if (status != AFAR_EAGAIN || done == 0)
        return status;
    transport->begun_bytes = piece; /* it will be the first of the next send */
    return AFAR_OK;
}

/* Sends what write_records has held back. */
static enum afar_status send_held(struct transport_tls *transport, struct afar_error *err)
{
    transport->base.send_events = POLLOUT;
    enum afar_status status = tls_bio_release(SSL_get_wbio(transport->ssl));
    transport->held = status == AFAR_EAGAIN;
    if (status == AFAR_EAGAIN)
        return afar_fail(err, AFAR_EAGAIN, "TLS waits for the peer");
    if (transport->waiting)
        transport->base.recv_events = POLLIN;
    transport->waiting = false;
    return status == AFAR_OK ? AFAR_OK : tls_fail_socket(transport, errno, err);
}

static enum afar_status tls_send(struct transport *base, const void *data, size_t size,
                                 size_t *sent, struct afar_error *err)
{
    struct transport_tls *transport = tls_of(base);

    enum afar_status status = tls_handshake(base, err);
    if (status != AFAR_OK)
        return status;
    if (transport->failed || transport->send_failed)
        return fail_again(err);

    if (size < transport->retry_bytes)
        return afar_fail(err, AFAR_EBUG, "a send was repeated with %zu bytes instead of %zu", size,
                         transport->retry_bytes);
    /* What has been begun is finished with nothing added: then what OpenSSL has taken and what we
     * report as sent are always the same. */
    if (transport->retry_bytes > 0)
        size = transport->retry_bytes;
    else if (size > TLS_BATCH_BYTES)
        size = TLS_BATCH_BYTES;
    status = transport->held ? AFAR_OK : write_records(transport, data, size, &size, err);
    if (status == AFAR_OK)
        status = send_held(transport, err);
    *sent = status == AFAR_OK ? size : 0;
    transport->retry_bytes = status == AFAR_EAGAIN ? size : transport->begun_bytes;
    if (status == AFAR_OK)
        transport->begun_bytes = 0;
    if (status == AFAR_ECLOSED && !transport->failed)
        status = why_gone(transport, err);
    else if (status != AFAR_OK && status != AFAR_EAGAIN)
        transport->failed = true;
    return status;
}

static bool tls_pending(const struct transport *base)
{
    return tls_of_const(base)->more;
}

static void tls_shutdown(struct transport *base)
{
    struct transport_tls *transport = tls_of(base);

    /* Not after a fatal error, nor in mid-handshake: OpenSSL forbids the one and refuses the other.
     */
    if (transport->established && !transport->failed && !transport->send_failed) {
        ERR_clear_error();
        (void)SSL_shutdown(transport->ssl);
        (void)tls_bio_release(SSL_get_wbio(transport->ssl));
        ERR_clear_error();
    }
    transport->send_failed = true;
    if (base->fd >= 0)
        (void)shutdown(base->fd, SHUT_WR);
}

/* ---- Who it is ------------------------------------------------------------------------------- */

static void tls_identity(const struct transport *base, struct identity *identity)
{
    const struct transport_tls *transport = tls_of_const(base);

    memset(identity, 0, sizeof *identity);
    if (!transport->established) {
        identity->kind = IDENTITY_ANONYMOUS;
        (void)snprintf(identity->name, sizeof identity->name, "anonymous");
        (void)snprintf(identity->owner, sizeof identity->owner, "anonymous");
        return;
    }
    identity->kind = IDENTITY_CERTIFICATE;
    identity->expires_at = transport->expires_at;
    (void)snprintf(identity->name, sizeof identity->name, "%s", transport->peer_name);
    tls_owner_text(&transport->owner, identity->owner);
}

/* Only what had to be agreed on is ever agreed on, so that it is our own string. */
static const char *tls_alpn(const struct transport *base)
{
    const struct transport_tls *transport = tls_of_const(base);
    return transport->established && transport->alpn != NULL ? transport->alpn : "";
}

static bool tls_resumed(const struct transport *base)
{
    const struct transport_tls *transport = tls_of_const(base);
    return transport->established && SSL_session_reused(transport->ssl) == 1;
}

static void tls_free(struct transport *base)
{
    struct transport_tls *transport = tls_of(base);

    SSL_free(transport->ssl);
    tls_context_free(transport->context);
    free(transport->server_name);
    free(transport->alpn);
    free(transport->peer_name);
    free(transport->chain);
    free(transport->note);
    tls_context_free(transport->judged_by);
    free(transport);
}

static const struct transport_ops tls_ops = {
    .handshake = tls_handshake,
    .begin = tls_begin,
    .recv = tls_recv,
    .send = tls_send,
    .pending = tls_pending,
    .shutdown = tls_shutdown,
    .identity = tls_identity,
    .peer = tls_peer,
    .alpn = tls_alpn,
    .resumed = tls_resumed,
    .judge = tls_judge,
    .free = tls_free,
};

/* ---- Making one ------------------------------------------------------------------------------ */

static enum afar_status set_up(struct transport_tls *transport, const char *server_name,
                               const char *alpn, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;

    ERR_clear_error();
    transport->ssl = SSL_new(transport->context->ssl_ctx);
    if (transport->ssl == NULL || SSL_set_app_data(transport->ssl, transport) != 1)
        return tls_fail_local(err, "SSL_new");
    if (alpn != NULL) {
        transport->alpn = strdup(alpn);
        if (transport->alpn == NULL)
            return afar_fail(err, AFAR_ENOMEM, "out of memory");
    }
    if (server_name == NULL) { /* the server's side */
        SSL_set_accept_state(transport->ssl);
        return AFAR_OK;
    }
    transport->server_name = strdup(server_name);
    if (transport->server_name == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    SSL_set_connect_state(transport->ssl);
    status = tls_expect_server(transport, err);
    if (status == AFAR_OK)
        status = tls_alpn_offer(transport, err);
    if (status == AFAR_OK)
        tls_session_offer(transport);
    return status;
}

enum afar_status transport_tls_over(struct transport **transport, struct tls_context *context,
                                    int fd, BIO *from_peer, BIO *to_peer, const char *server_name,
                                    const char *alpn, struct afar_error *err)
{
    struct transport_tls *made = NULL;
    enum afar_status status = AFAR_OK;

    *transport = NULL;
    if (context->is_server != (server_name == NULL)) {
        status = afar_fail(err, AFAR_EBUG, "a TLS context of the other side");
        goto out;
    }
    made = calloc(1, sizeof *made);
    if (made == NULL) {
        status = afar_fail(err, AFAR_ENOMEM, "out of memory");
        goto out;
    }
    tls_context_keep(context);
    made->context = context;
    made->base.ops = &tls_ops;
    made->note = calloc(1, TLS_NOTE_BYTES);
    if (made->note == NULL) {
        status = afar_fail(err, AFAR_ENOMEM, "out of memory");
        goto out;
    }
    made->base.fd = fd;
    made->base.recv_events = made->base.send_events =
        context->is_server ? POLLIN : POLLOUT; /* the client speaks first */
    status = set_up(made, server_name, alpn, err);
    if (status != AFAR_OK)
        goto out;
    SSL_set_bio(made->ssl, from_peer, to_peer);
    from_peer = to_peer = NULL;
    tls_guard_watch(made);
    *transport = &made->base;
    made = NULL;
out:
    if (made != NULL)
        tls_free(&made->base);
    if (to_peer != from_peer)
        BIO_free(to_peer);
    BIO_free(from_peer);
    if (status != AFAR_OK && fd >= 0)
        (void)close(fd);
    return status;
}

static enum afar_status over_socket(struct transport **transport, struct tls_context *context,
                                    int fd, const char *server_name, const char *alpn,
                                    struct afar_error *err)
{
    ERR_clear_error();
    BIO *bio = tls_bio_new(context->socket_method, fd);
    if (bio == NULL) {
        *transport = NULL;
        (void)close(fd);
        return tls_fail_local(err, "BIO_new");
    }
    return transport_tls_over(transport, context, fd, bio, bio, server_name, alpn, err);
}

enum afar_status transport_tls_server_new(struct transport **transport, struct tls_context *context,
                                          int fd, const char *alpn, struct afar_error *err)
{
    return over_socket(transport, context, fd, NULL, alpn, err);
}

void transport_tls_await_request(struct transport *transport)
{
    tls_of(transport)->awaits_request = true;
}

enum afar_status transport_tls_client_new(struct transport **transport, struct tls_context *context,
                                          int fd, const char *server_name, const char *alpn,
                                          struct afar_error *err)
{
    return over_socket(transport, context, fd, server_name, alpn, err);
}
