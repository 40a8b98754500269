/* What clients will think of a server's own certificate, and when they will think otherwise. */
#include "tls/internal.h"

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

static enum afar_status check_dates(const X509 *leaf, const char *subject, struct afar_error *err)
{
    const int64_t now = (int64_t)time(NULL);
    char when[TIME_BYTES];
    if (tls_time_unix(X509_get0_notAfter(leaf)) <= now) {
        tls_time_text(X509_get0_notAfter(leaf), when, sizeof when);
        return afar_fail(err, AFAR_EINVAL,
                         "the server's certificate (%s) expired on %s: no client would accept it",
                         subject, when);
    }
    if (tls_time_unix(X509_get0_notBefore(leaf)) > now) {
        tls_time_text(X509_get0_notBefore(leaf), when, sizeof when);
        return afar_fail(err, AFAR_EAGAIN,
                         "the server's certificate (%s) is not valid before %s: no client will "
                         "accept it until then; is the clock right?",
                         subject, when);
    }
    return AFAR_OK;
}

enum afar_status tls_context_check_own(const struct tls_context *context, struct afar_error *err)
{
    X509 *leaf = SSL_CTX_get0_certificate(context->ssl_ctx);
    char subject[SUBJECT_BYTES];
    if (leaf == NULL)
        return AFAR_OK;
    tls_subject_text(X509_get_subject_name(leaf), subject, sizeof subject);
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1) {
        ERR_clear_error();
        return afar_fail(
            err, AFAR_EINVAL,
            "the server's certificate (%s) is not made for servers: no client would "
            "accept it; it lacks the extended key usage serverAuth, or has a key usage "
            "without digitalSignature",
            subject);
    }
    return check_dates(leaf, subject, err);
}
