#include "tls/error.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

enum { TIME_BYTES = 40, NAME_BYTES = 120 };

/* Why the peer may be right about the dates of our certificate; "" where it does not seem so. */
static void dates_text(const X509 *own, char *text, size_t size)
{
    char when[TIME_BYTES];
    int64_t now = (int64_t)time(NULL);

    text[0] = '\0';
    if (own == NULL)
        return;
    if (tls_time_unix(X509_get0_notAfter(own)) <= now) {
        tls_time_text(X509_get0_notAfter(own), when, sizeof when);
        (void)snprintf(text, size, "it expired on %s", when);
    } else if (tls_time_unix(X509_get0_notBefore(own)) > now) {
        tls_time_text(X509_get0_notBefore(own), when, sizeof when);
        (void)snprintf(text, size, "it is not valid before %s", when);
    }
}

/* Why a client may be right to call our certificate bad although its dates are good: the name.
 * It tells us the name that it expects, unless that is an address. */
static void name_text(const struct transport_tls *transport, X509 *own, char *text, size_t size)
{
    const char *wanted = SSL_get_servername(transport->ssl, TLSEXT_NAMETYPE_host_name);
    const char *reason = wanted != NULL ? tls_names_reason(own, wanted) : NULL;
    char names[NAME_BYTES];

    tls_names_text(own, names, sizeof names);
    if (wanted == NULL)
        (void)snprintf(text, size, "the address that it connects to may not be in it; it is for %s",
                       names);
    else if (X509_check_host(own, wanted, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) != 1)
        (void)snprintf(text, size, "it is not for '%.64s' but for %s%s%s", wanted, names,
                       reason != NULL ? ": " : "", reason != NULL ? reason : "");
    else
        (void)snprintf(text, size, "it says that it is bad");
}

/* The peer has refused our certificate; `alert` says in one word why. */
static enum afar_status refused_certificate(const struct transport_tls *transport, int alert,
                                            struct afar_error *err)
{
    bool is_server = transport->context->is_server;
    const char *peer = is_server ? "client" : "server";
    X509 *own = SSL_get_certificate(transport->ssl);
    char issuer[NAME_BYTES];
    char why[AFAR_ERROR_MESSAGE_BYTES / 2] = "";

    switch (alert) {
    case SSL_AD_UNKNOWN_CA:
        tls_subject_text(own == NULL ? NULL : X509_get_issuer_name(own), issuer, sizeof issuer);
        (void)snprintf(why, sizeof why, "unknown CA; ours was issued by '%s'", issuer);
        break;
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
        (void)snprintf(why, sizeof why,
                       "it, or its CA, is not made for this use (extended key usage %s)",
                       is_server ? "serverAuth" : "clientAuth");
        break;
    case SSL_AD_CERTIFICATE_REVOKED:
        (void)snprintf(why, sizeof why, "it has been revoked");
        break;
    default: /* expired, bad, unknown: look ourselves */
        dates_text(own, why, sizeof why);
        if (why[0] != '\0')
            break;
        if (alert == SSL_AD_CERTIFICATE_EXPIRED)
            (void)snprintf(why, sizeof why,
                           "it says that it, or its CA, has expired; do the clocks agree?");
        else if (is_server && alert == SSL_AD_CERTIFICATE_UNKNOWN)
            (void)snprintf(
                why, sizeof why,
                "it does not say why; it may know us by another key (--pin, known_hosts)");
        else if (is_server && own != NULL)
            name_text(transport, own, why, sizeof why);
        else
            (void)snprintf(why, sizeof why, "the %s's log says why", peer);
        break;
    }
    return afar_fail(err, AFAR_ETRUST, "the %s refused our certificate: %s", peer, why);
}

/* "EC secp256k1" */
static void key_text(const X509 *certificate, char *text, size_t size)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    const char *type = key != NULL ? EVP_PKEY_get0_type_name(key) : NULL;
    char group[NAME_BYTES / 2] = "";
    if (key != NULL)
        (void)EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
    (void)snprintf(text, size, "%s%s%s", type != NULL ? type : "unknown",
                   group[0] != '\0' ? " " : "", group);
}

/* A client that has a certificate, but no signature that the server takes, shows none. */
static enum afar_status certificate_required(const struct transport_tls *transport,
                                             struct afar_error *err)
{
    const X509 *own = SSL_get_certificate(transport->ssl);
    char key[NAME_BYTES];
    if (own == NULL)
        return afar_fail(err, AFAR_ETRUST,
                         "the server requires a client certificate (use --cert and --key)");
    key_text(own, key, sizeof key);
    return afar_fail(err, AFAR_ETRUST,
                     "the server requires a client certificate, and takes no signature that the "
                     "key of ours (%s) can make",
                     key);
}

static bool shows_certificate(const struct transport_tls *transport)
{
    return SSL_get_certificate(transport->ssl) != NULL;
}

static enum afar_status nothing_in_common(const struct transport_tls *transport,
                                          struct afar_error *err)
{
    if (!transport->context->is_server && !shows_certificate(transport))
        return afar_fail(err, AFAR_ETRUST,
                         "the server refused the TLS handshake; it may require a client "
                         "certificate (use --cert and --key)");
    return afar_fail(err, AFAR_ETRUST,
                     "the %s refused the TLS handshake: no cipher or key type in "
                     "common",
                     transport->context->is_server ? "client" : "server");
}

/* A signature that is wrong: of our certificate, whose issuer is another CA of the name that the
 * peer knows, or in the handshake itself. */
static enum afar_status decrypt_error(const struct transport_tls *transport, struct afar_error *err)
{
    const char *peer = transport->context->is_server ? "client" : "server";
    const X509 *own = SSL_get_certificate(transport->ssl);
    char issuer[NAME_BYTES];
    if (own == NULL)
        return afar_fail(err, AFAR_EPEER, "the %s found a wrong signature in the TLS handshake",
                         peer);
    tls_subject_text(X509_get_issuer_name(own), issuer, sizeof issuer);
    return afar_fail(err, AFAR_ETRUST,
                     "the %s refused our certificate: a signature is wrong; it may trust another "
                     "CA of the same name ('%s')",
                     peer, issuer);
}

static enum afar_status no_protocol(const struct transport_tls *transport, struct afar_error *err)
{
    if (transport->alpn == NULL)
        return afar_fail(err, AFAR_ETRUST,
                         "the server speaks another protocol on this port: it requires one to be "
                         "named (ALPN), and we name none");
    return afar_fail(err, AFAR_ETRUST,
                     "the server does not speak the protocol '%s' on this port; is the port right?",
                     transport->alpn);
}

enum afar_status tls_fail_alert(const struct transport_tls *transport, int alert,
                                struct afar_error *err)
{
    const char *peer = transport->context->is_server ? "client" : "server";

    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
        return refused_certificate(transport, alert, err);
    case SSL_AD_CERTIFICATE_REQUIRED:
        return certificate_required(transport, err);
    case SSL_AD_DECRYPT_ERROR:
        return decrypt_error(transport, err);
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
        return nothing_in_common(transport, err);
    case SSL_AD_PROTOCOL_VERSION:
        return afar_fail(
            err, AFAR_ETRUST, "the %s accepts no TLS version that we speak (TLS 1.3%s)", peer,
            SSL_get_min_proto_version(transport->ssl) == TLS1_3_VERSION ? "" : " or 1.2");
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return no_protocol(transport, err);
    case SSL_AD_UNRECOGNIZED_NAME:
        return afar_fail(err, AFAR_ETRUST, "the server does not go by the name '%.128s'",
                         transport->server_name != NULL ? transport->server_name : "");
    case SSL_AD_ACCESS_DENIED:
        return afar_fail(err, AFAR_ETRUST, "the %s denies us access", peer);
    case SSL_AD_INTERNAL_ERROR:
        if (transport->context->is_server)
            return afar_fail(err, AFAR_EPEER,
                             "the client gave up: something failed on its side, such as a file "
                             "that it cannot use; its own message says what");
        return afar_fail(err, AFAR_EPEER,
                         "the %s failed, or has no room for another connection; try again later",
                         peer);
    default:
        return afar_fail(err, AFAR_EPEER, "the %s ended TLS with the alert \"%s\"", peer,
                         SSL_alert_desc_string_long(alert));
    }
}

void tls_refusal(uint8_t alert[TLS_REFUSAL_BYTES])
{
    /* RFC 8446 §5.1: record type alert, version 3.3, 2 bytes of content. */
    const uint8_t bytes[TLS_REFUSAL_BYTES] = {SSL3_RT_ALERT,        0x03, 0x03, 0, 2, SSL3_AL_FATAL,
                                              SSL_AD_INTERNAL_ERROR};
    memcpy(alert, bytes, sizeof bytes);
}
