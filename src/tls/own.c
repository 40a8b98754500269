/* What clients will think of a server's own certificate, and when they will think otherwise. */
#include "tls/internal.h"

#include <stdio.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { SUBJECT_BYTES = 100, TIME_BYTES = 40 };

void tls_context_ends(const struct tls_context *context, struct tls_ends *ends)
{
    const X509 *leaf = SSL_CTX_get0_certificate(context->ssl_ctx);
    STACK_OF(X509) *others = NULL;
    *ends = (struct tls_ends){.lists = context->lists_until};
    if (leaf != NULL)
        ends->own = tls_time_unix(X509_get0_notAfter(leaf));
    if (SSL_CTX_get0_chain_certs(context->ssl_ctx, &others) == 1)
        ends->chain = tls_chain_expiry(others);
}

/* `what`: "the server's certificate (CN=…)". */
static enum afar_status check_dates(const X509 *certificate, const char *what,
                                    struct afar_error *err)
{
    const int64_t now = (int64_t)time(NULL);
    char when[TIME_BYTES];
    if (tls_time_unix(X509_get0_notAfter(certificate)) <= now) {
        tls_time_text(X509_get0_notAfter(certificate), when, sizeof when);
        return afar_fail(err, AFAR_EINVAL, "%s expired on %s: no client would accept it", what,
                         when);
    }
    if (tls_time_unix(X509_get0_notBefore(certificate)) > now) {
        tls_time_text(X509_get0_notBefore(certificate), when, sizeof when);
        return afar_fail(err, AFAR_EAGAIN,
                         "%s is not valid before %s: no client will accept it until then; is the "
                         "clock right?",
                         what, when);
    }
    return AFAR_OK;
}

/* The certificate that has signed the server's own, if it is sent too. Clients may have a root
 * themselves, and those further up may only be for clients that lack a newer root: these do not
 * count. */
static enum afar_status check_issuer(const struct tls_context *context, X509 *leaf,
                                     struct afar_error *err)
{
    STACK_OF(X509) *others = NULL;
    enum afar_status status = AFAR_OK;
    if (SSL_CTX_get0_chain_certs(context->ssl_ctx, &others) != 1)
        return AFAR_OK;
    for (int i = 0; i < sk_X509_num(others); i++) {
        X509 *other = sk_X509_value(others, i);
        char subject[SUBJECT_BYTES];
        char what[SUBJECT_BYTES + 80];
        if (X509_check_issued(other, leaf) != X509_V_OK ||
            (X509_get_extension_flags(other) & EXFLAG_SI) != 0)
            continue;
        tls_subject_text(X509_get_subject_name(other), subject, sizeof subject);
        (void)snprintf(what, sizeof what, "the server's certificate: its CA (%s)", subject);
        status = check_dates(other, what, err);
        if (status == AFAR_OK)
            break;
    }
    return status;
}

enum afar_status tls_context_check_own(const struct tls_context *context, struct afar_error *err)
{
    X509 *leaf = SSL_CTX_get0_certificate(context->ssl_ctx);
    char subject[SUBJECT_BYTES];
    char what[SUBJECT_BYTES + 40];
    if (leaf == NULL)
        return AFAR_OK;
    tls_subject_text(X509_get_subject_name(leaf), subject, sizeof subject);
    (void)snprintf(what, sizeof what, "the server's certificate (%s)", subject);
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1) {
        ERR_clear_error();
        return afar_fail(
            err, AFAR_EINVAL,
            "%s is not made for servers: no client would "
            "accept it; it lacks the extended key usage serverAuth, or has a key usage "
            "without digitalSignature",
            what);
    }
    if ((X509_get_extension_flags(leaf) & EXFLAG_CRITICAL) != 0)
        return afar_fail(err, AFAR_EINVAL,
                         "%s has a critical extension that is not known: no client would accept it",
                         what);
    enum afar_status status = check_dates(leaf, what, err);
    return status == AFAR_OK ? check_issuer(context, leaf, err) : status;
}

bool tls_context_names_host(const struct tls_context *context)
{
    X509 *leaf = SSL_CTX_get0_certificate(context->ssl_ctx);
    return leaf == NULL || tls_names_host(leaf);
}
