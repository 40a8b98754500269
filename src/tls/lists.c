/* Revocation lists end too (RFC 5280 §5.1.2.5, nextUpdate): from then on nobody knows whether a
 * certificate has been revoked, and no client of that CA is let in. What was found of a client
 * before then does not hold for longer. */
#include "tls/internal.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* A list without an end never ends. */
static int64_t list_until(const X509_CRL *list)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(list);
    return next != NULL ? tls_time_unix(next) : INT64_MAX;
}

/* Of the lists of the certificate's issuer, the last one's end. Where they cannot be had (memory is
 * short: the certificate was not accepted without them), now. */
static int64_t issuer_until(const X509_STORE_CTX *store, const X509 *certificate)
{
    int64_t latest = (int64_t)time(NULL);
    STACK_OF(X509_CRL) *lists = X509_STORE_CTX_get1_crls(store, X509_get_issuer_name(certificate));
    for (int i = 0; i < sk_X509_CRL_num(lists); i++) {
        int64_t until = list_until(sk_X509_CRL_value(lists, i));
        latest = until > latest ? until : latest;
    }
    sk_X509_CRL_pop_free(lists, X509_CRL_free);
    ERR_clear_error();
    return latest;
}

int64_t tls_valid_until(const X509_STORE_CTX *store, bool *by_list)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
    const X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
    int64_t earliest = tls_chain_expiry(chain);
    *by_list = false;
    if ((X509_VERIFY_PARAM_get_flags(param) & X509_V_FLAG_CRL_CHECK) == 0)
        return earliest;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t until = issuer_until(store, sk_X509_value(chain, i));
        if (until >= earliest)
            continue;
        earliest = until;
        *by_list = true;
    }
    return earliest;
}

/* The last end of a list by that issuer. */
static int64_t last_until(STACK_OF(X509_OBJECT) * objects, const X509_NAME *issuer)
{
    int64_t latest = 0;
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const X509_CRL *list = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
        if (list == NULL || X509_NAME_cmp(X509_CRL_get_issuer(list), issuer) != 0)
            continue;
        int64_t until = list_until(list);
        latest = until > latest ? until : latest;
    }
    return latest;
}

int64_t tls_lists_until(const SSL_CTX *ctx)
{
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
    int64_t earliest = INT64_MAX;
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const X509_CRL *list = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
        int64_t until = list != NULL ? last_until(objects, X509_CRL_get_issuer(list)) : INT64_MAX;
        earliest = until < earliest ? until : earliest;
    }
    return earliest == INT64_MAX ? 0 : earliest;
}
