#include "tls/error.h"

#include <string.h>

#include <openssl/err.h>

#include "net/socket.h"

/* OpenSSL reports an alert that was received as the reason 1000 + its number. */
enum { ALERT_MAX = 255, SHOWN_BYTES = 80 };

static const char *peer_of(const struct transport_tls *transport)
{
    return transport->context->is_server ? "client" : "server";
}

/* The reason that tells most, of those in the queue, which is emptied: that of the TLS code, as
 * what lies below only knows of failed arithmetic. */
static unsigned long take_code(bool *out_of_memory)
{
    unsigned long chosen = 0;

    *out_of_memory = false;
    for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
            *out_of_memory = true;
        if (chosen == 0 || (ERR_GET_LIB(chosen) != ERR_LIB_SSL && ERR_GET_LIB(code) == ERR_LIB_SSL))
            chosen = code;
    }
    return chosen;
}

enum afar_status tls_fail_local(struct afar_error *err, const char *what)
{
    bool out_of_memory = false;
    unsigned long code = take_code(&out_of_memory);

    /* Without a reason it is memory, too: these calls have no other way to fail. */
    if (out_of_memory || code == 0)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for TLS");
    return afar_fail(err, AFAR_EBUG, "%s failed: %s", what, tls_reason(code));
}

/* ---- Peers that do not speak TLS ------------------------------------------------------------- */

static bool starts_with(const struct transport_tls *transport, const char *text)
{
    size_t length = strlen(text);
    if (length > transport->first_size)
        length = transport->first_size;
    return length >= 3 && memcmp(transport->first, text, length) == 0;
}

bool tls_first_is_http(const struct transport_tls *transport)
{
    static const char *const starts[] = {"GET ",    "POST ",    "HEAD ",  "PUT ",    "DELETE ",
                                         "OPTIONS", "CONNECT ", "PATCH ", "TRACE /", "HTTP/"};

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        if (starts_with(transport, starts[i]))
            return true;
    }
    return false;
}

/* A frame without TLS: a header of less than 64 KiB, and then its brace. */
static bool looks_like_afar(const struct transport_tls *transport)
{
    const uint8_t *first = transport->first;
    return transport->first_size >= 5 && first[2] == 0 && first[3] == 0 && first[4] == '{';
}

/* A TLS record starts with its kind (a handshake or, by way of refusal, an alert) and version 3.x
 * (RFC 8446 §5.1). */
static bool looks_like_tls(const struct transport_tls *transport)
{
    const uint8_t *first = transport->first;

    if (transport->first_size >= 1 && first[0] != SSL3_RT_HANDSHAKE && first[0] != SSL3_RT_ALERT)
        return false;
    return transport->first_size < 2 || first[1] == SSL3_VERSION_MAJOR;
}

enum afar_status tls_check_first(struct transport_tls *transport, struct afar_error *err)
{
    bool is_server = transport->context->is_server;

    if (looks_like_tls(transport))
        return AFAR_OK;
    if (tls_first_is_http(transport))
        return afar_fail(err, AFAR_EPEER, "the %s does not speak TLS: it sent %s",
                         peer_of(transport),
                         is_server ? "an HTTP request" : "an HTTP reply; is the port right?");
    if (is_server)
        return afar_fail(err, AFAR_EPEER, "the client does not speak TLS%s; it must use tls://",
                         looks_like_afar(transport) ? ": it sent plain Afar frames" : "");
    return afar_fail(err, AFAR_EPEER, "the server does not speak TLS; for plain TCP use tcp://");
}

/* ---- What OpenSSL says ----------------------------------------------------------------------- */

static enum afar_status fail_version(const struct transport_tls *transport, struct afar_error *err)
{
    bool only_13 = SSL_get_min_proto_version(transport->ssl) == TLS1_3_VERSION;
    return afar_fail(err, AFAR_ETRUST, "the %s speaks no TLS version that we accept (TLS 1.3%s)",
                     peer_of(transport), only_13 ? "" : " or 1.2");
}

/* A message of the handshake that is longer than such a message may be. The only one that
 * well-meant peers make so long is their certificates. */
static enum afar_status fail_size(const struct transport_tls *transport, struct afar_error *err)
{
    bool is_server = transport->context->is_server;
    return afar_fail(err, AFAR_EPEER,
                     "the %s announces too long a message in the TLS handshake; certificates may "
                     "have %ld bytes%s",
                     peer_of(transport), SSL_get_max_cert_list(transport->ssl),
                     is_server ? " (tls_chain_bytes)" : "");
}

/* The peer has gone without a TLS goodbye. */
enum afar_status tls_fail_socket(const struct transport_tls *transport, int sys_errno,
                                 struct afar_error *err)
{
    bool is_server = transport->context->is_server;
    enum afar_status status = sys_errno == 0 ? socket_fail_end(err) : socket_fail(err, sys_errno);

    if (status != AFAR_ECLOSED)
        return status;
    if (!transport->established)
        (void)afar_fail(
            err, AFAR_ECLOSED, "the %s closed the connection during the TLS handshake%s",
            peer_of(transport), is_server ? "" : "; if it does not speak TLS, use tcp://");
    else if (!is_server && !transport->heard)
        (void)afar_fail(err, AFAR_ECLOSED,
                        "the server closed the connection right after the TLS handshake; its log "
                        "says whether it refused our certificate");
    if (err != NULL)
        err->sys_errno = sys_errno;
    return AFAR_ECLOSED;
}

static enum afar_status fail_ssl(struct transport_tls *transport, struct afar_error *err)
{
    bool out_of_memory = false;
    unsigned long code = take_code(&out_of_memory);
    int reason = ERR_GET_REASON(code);
    bool of_tls = ERR_GET_LIB(code) == ERR_LIB_SSL;

    if (out_of_memory)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for TLS");
    if (transport->note != NULL &&
        transport->note[0] != '\0') /* one of our own callbacks has refused, and said why */
        return afar_fail(err, AFAR_ETRUST, "%s", transport->note);
    if (of_tls && reason >= SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + ALERT_MAX)
        return tls_fail_alert(transport, reason - SSL_AD_REASON_OFFSET, err);
    if (!transport->established && tls_check_first(transport, err) != AFAR_OK)
        return AFAR_EPEER;

    switch (of_tls ? reason : 0) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return tls_fail_socket(transport, 0, err);
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return afar_fail(err, AFAR_ETRUST, "the client has shown no certificate");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNKNOWN_PROTOCOL:
        return fail_version(transport, err);
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        return afar_fail(err, AFAR_ETRUST, "the %s and we have no cipher or key type in common",
                         peer_of(transport));
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
        return fail_size(transport, err);
    case SSL_R_BAD_WRITE_RETRY:
    case SSL_R_BAD_LENGTH:
        return afar_fail(err, AFAR_EBUG, "a send was not repeated with the same bytes");
    default:
        break;
    }
    return afar_fail(err, AFAR_EPEER, "the %s broke the TLS protocol (%s)", peer_of(transport),
                     tls_reason(code));
}

enum afar_status tls_fail(struct transport_tls *transport, int result, int sys_errno,
                          struct afar_error *err)
{
    enum afar_status status = AFAR_EBUG;
    int kind = SSL_get_error(transport->ssl, result);

    if (transport->guard.broken_by != NULL) {
        transport->failed = true;
        ERR_clear_error();
        return afar_fail(err, AFAR_EPEER, "the %s %s", peer_of(transport),
                         transport->guard.broken_by);
    }

    switch (kind) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return afar_fail(err, AFAR_EAGAIN, "TLS waits for the peer");
    case SSL_ERROR_ZERO_RETURN: /* close_notify; we may still send */
        return socket_fail_end(err);
    case SSL_ERROR_SYSCALL:
        if (!transport->established && tls_check_first(transport, err) != AFAR_OK)
            status = AFAR_EPEER;
        else
            status = tls_fail_socket(transport, sys_errno, err);
        break;
    case SSL_ERROR_SSL:
        transport->failed = true;
        status = fail_ssl(transport, err);
        break;
    default: /* kinds that only applications with such callbacks meet */
        transport->failed = true;
        status = afar_fail(err, AFAR_EBUG, "OpenSSL wants something unknown (%d)", kind);
        break;
    }
    ERR_clear_error();
    return status;
}
