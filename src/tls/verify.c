#include "tls/internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls/error.h"

enum { SUBJECT_BYTES = 100, TIME_BYTES = 40 };

/* What the note says about one certificate that was not accepted. */
struct refusal {
    const struct transport_tls *transport;
    X509 *certificate;
    int depth;
    char *note;                     /* TLS_NOTE_BYTES */
    char whose[SUBJECT_BYTES + 80]; /* "the server's certificate (CN=afard)" */
};

static void describe(struct refusal *refusal)
{
    const char *role = refusal->transport->context->is_server ? "client" : "server";
    char subject[SUBJECT_BYTES];

    tls_subject_text(refusal->certificate == NULL ? NULL
                                                  : X509_get_subject_name(refusal->certificate),
                     subject, sizeof subject);
    (void)snprintf(refusal->whose, sizeof refusal->whose, "the %s's certificate%s (%s)", role,
                   refusal->depth > 0 ? ": its CA" : "", subject);
}

static void note_dates(const struct refusal *refusal, bool expired)
{
    char when[TIME_BYTES];
    char *note = refusal->note;

    if (expired) {
        tls_time_text(X509_get0_notAfter(refusal->certificate), when, sizeof when);
        (void)snprintf(note, TLS_NOTE_BYTES, "%s expired on %s", refusal->whose, when);
    } else {
        tls_time_text(X509_get0_notBefore(refusal->certificate), when, sizeof when);
        (void)snprintf(note, TLS_NOTE_BYTES, "%s is not valid before %s; is the clock right?",
                       refusal->whose, when);
    }
}

static void note_issuer(const struct refusal *refusal)
{
    bool is_server = refusal->transport->context->is_server;
    char issuer[SUBJECT_BYTES];

    tls_subject_text(X509_get_issuer_name(refusal->certificate), issuer, sizeof issuer);
    (void)snprintf(refusal->note, TLS_NOTE_BYTES,
                   "%s was issued by a CA that we do not trust (%s)%s", refusal->whose, issuer,
                   is_server ? "" : "; --ca names the CA to trust");
}

static void note_names(const struct refusal *refusal)
{
    const char *reason = tls_names_reason(refusal->certificate, refusal->transport->server_name);
    char names[160];

    tls_names_text(refusal->certificate, names, sizeof names);
    (void)snprintf(refusal->note, TLS_NOTE_BYTES,
                   "the server's certificate is not for '%.64s'; it is for %s%s%s",
                   refusal->transport->server_name, names, reason != NULL ? ": " : "",
                   reason != NULL ? reason : "");
}

static void note_refusal(const struct refusal *refusal, int error)
{
    char *note = refusal->note;
    bool is_server = refusal->transport->context->is_server;

    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        note_dates(refusal, true);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        note_dates(refusal, false);
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        note_names(refusal);
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        note_issuer(refusal);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        (void)snprintf(note, TLS_NOTE_BYTES, "%s is self-signed, and we do not trust it%s",
                       refusal->whose, is_server ? "" : "; --ca names the CA to trust");
        return;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        (void)snprintf(note, TLS_NOTE_BYTES,
                       "%s was not signed by the CA that we trust; another CA of the same name?",
                       refusal->whose);
        return;
    case X509_V_ERR_INVALID_PURPOSE:
        (void)snprintf(note, TLS_NOTE_BYTES, "%s is not made for this use: it lacks %s",
                       refusal->whose,
                       refusal->depth > 0 ? "the right to issue certificates (CA:TRUE)"
                       : is_server        ? "the extended key usage clientAuth"
                                          : "the extended key usage serverAuth");
        return;
    case X509_V_ERR_CERT_REVOKED:
        (void)snprintf(note, TLS_NOTE_BYTES, "%s has been revoked", refusal->whose);
        return;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        (void)snprintf(note, TLS_NOTE_BYTES,
                       "%s may have been revoked: the file of revocation lists has none of its "
                       "issuer",
                       refusal->whose);
        return;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        (void)snprintf(note, TLS_NOTE_BYTES,
                       "%s may have been revoked: the revocation list of its issuer has expired",
                       refusal->whose);
        return;
    default:
        (void)snprintf(note, TLS_NOTE_BYTES, "%s was not accepted: %s", refusal->whose,
                       X509_verify_cert_error_string(error));
        return;
    }
}

void tls_note_refusal(const struct transport_tls *transport, X509_STORE_CTX *store,
                      char note[TLS_NOTE_BYTES])
{
    struct refusal refusal = {
        .transport = transport,
        .note = note,
        .certificate = X509_STORE_CTX_get_current_cert(store),
        .depth = X509_STORE_CTX_get_error_depth(store),
    };
    if (refusal.certificate == NULL) { /* some errors are not about one of the chain */
        refusal.certificate = X509_STORE_CTX_get0_cert(store);
        refusal.depth = 0;
    }
    describe(&refusal);
    note_refusal(&refusal, X509_STORE_CTX_get_error(store));
}

static struct transport_tls *transport_of(const X509_STORE_CTX *store)
{
    return transport_tls_of(
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

static int note_one(int ok, X509_STORE_CTX *store)
{
    if (ok != 1)
        tls_note_refusal(transport_of(store), store, transport_of(store)->note);
    return ok;
}

/* Lets go of the chain. 0: out of memory. */
static int know_owner(struct transport_tls *transport, X509_STORE_CTX *store, bool vouched)
{
    bool known = !transport->context->is_server ||
                 tls_owner(X509_STORE_CTX_get0_cert(store),
                           vouched ? X509_STORE_CTX_get0_chain(store) : NULL, &transport->owner);
    X509_STORE_CTX_set0_verified_chain(store, NULL);
    if (!known)
        X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
    return known;
}

/* What the alert shall say, where OpenSSL's choice for `error` would blame the peer's certificate
 * for something else: lists that we do not have (anything that OpenSSL has no alert for becomes
 * certificate_unknown), or a key that is not the one we know. */
static int error_to_tell(int error, bool by_key)
{
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
        return X509_V_ERR_CRL_PATH_VALIDATION_ERROR;
    default:
        return by_key ? X509_V_ERR_CRL_PATH_VALIDATION_ERROR : error;
    }
}

/* As OpenSSL would do it itself, but that the connection does not keep the chain: all that is ever
 * asked of it is when it expires. */
static int verify(X509_STORE_CTX *store, void *unused)
{
    struct transport_tls *transport = transport_of(store);
    const struct tls_context *context = transport->context;
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    (void)unused;
    /* A client that knows the server by its key wants to hear of nothing else. */
    const bool by_key = context->by_key;
    if (tls_deferred_load(transport->context, NULL) != AFAR_OK) {
        /* tls_handshake says why; to the server it is our own trouble (internal_error). */
        X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    int result = by_key ? 0 : X509_verify_cert(store);
    transport->vouched = result == 1;
    if (result == 1) {
        transport->expires_at = tls_valid_until(store, &transport->by_list);
        return know_owner(transport, store, true);
    }
    int error = by_key ? X509_V_ERR_CERT_UNTRUSTED : X509_STORE_CTX_get_error(store);
    bool accepted = context->is_server
                        ? tls_pins_accept_client(context, store, transport->note)
                        : tls_pins_accept_server(transport, leaf, error, transport->note);
    X509_STORE_CTX_set_error(store, accepted ? X509_V_OK : error_to_tell(error, by_key));
    if (!accepted)
        return result;
    transport->note[0] = '\0';
    transport->expires_at = tls_time_unix(X509_get0_notAfter(leaf));
    transport->by_list = false;
    result = know_owner(transport, store, false);
    ERR_clear_error();
    return result;
}

void tls_verify_init(SSL_CTX *ctx, int mode)
{
    SSL_CTX_set_verify(ctx, mode, note_one);
    SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
}

enum afar_status tls_expect_server(struct transport_tls *transport, struct afar_error *err)
{
    SSL *ssl = transport->ssl;
    char name[256];
    unsigned char address[sizeof(struct in6_addr)];

    size_t length = strcspn(transport->server_name, "%"); /* without fe80::1%eth0's scope */
    if (length > 0 && transport->server_name[length - 1] == '.')
        length--; /* the root's dot is in no certificate */
    /* OpenSSL would take no name for any name, and one with a dot in front for all below it. */
    if (length == 0 || length >= sizeof name || transport->server_name[0] == '.')
        return afar_fail(err, AFAR_EINVAL, "'%.128s' is not a server name", transport->server_name);
    memcpy(name, transport->server_name, length);
    name[length] = '\0';

    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1) {
        if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) != 1)
            return tls_fail_local(err, "X509_VERIFY_PARAM_set1_ip_asc");
        return AFAR_OK;
    }
    if (SSL_set1_host(ssl, name) != 1)
        return tls_fail_local(err, "SSL_set1_host");
    if (SSL_set_tlsext_host_name(ssl, name) != 1)
        return tls_fail_local(err, "SSL_set_tlsext_host_name");
    return AFAR_OK;
}
