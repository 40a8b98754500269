#include "tls/internal.h"

#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls/error.h"

/* ---- Keeping ----
 *
 * As DER: OpenSSL's own form of a certificate is several times as large, and the server may have
 * ten thousand clients. */

static enum afar_status keep(struct transport_tls *transport, const X509 *certificate,
                             struct afar_error *err)
{
    int size = i2d_X509(certificate, NULL);
    if (size <= 0)
        return tls_fail_local(err, "i2d_X509");
    uint8_t *longer = realloc(transport->chain, transport->chain_bytes + (size_t)size);
    if (longer == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    transport->chain = longer;
    uint8_t *at = longer + transport->chain_bytes;
    if (i2d_X509(certificate, &at) != size)
        return tls_fail_local(err, "i2d_X509");
    transport->chain_bytes += (size_t)size;
    return AFAR_OK;
}

enum afar_status tls_keep_chain(struct transport_tls *transport, struct afar_error *err)
{
    const X509 *leaf = SSL_get0_peer_certificate(transport->ssl);
    STACK_OF(X509) *others = SSL_get_peer_cert_chain(transport->ssl);
    free(transport->chain);
    transport->chain = NULL;
    transport->chain_bytes = 0;
    enum afar_status status = keep(transport, leaf, err);
    for (int i = 0; status == AFAR_OK && i < sk_X509_num(others); i++)
        status = keep(transport, sk_X509_value(others, i), err);
    return status;
}

/* ---- Judging --------------------------------------------------------------------------------- */

/* The leaf and, in *others, what came with it; all owned by the caller. NULL: out of memory. */
static X509 *read_chain(const struct transport_tls *transport, STACK_OF(X509) * *others)
{
    const unsigned char *at = transport->chain;
    const unsigned char *end = at + transport->chain_bytes;
    X509 *leaf = d2i_X509(NULL, &at, end - at);
    *others = sk_X509_new_null();
    while (leaf != NULL && *others != NULL && at < end) {
        X509 *other = d2i_X509(NULL, &at, end - at);
        if (other == NULL || sk_X509_push(*others, other) <= 0) {
            X509_free(other);
            break;
        }
    }
    if (leaf != NULL && *others != NULL && at == end)
        return leaf;
    X509_free(leaf);
    sk_X509_pop_free(*others, X509_free);
    *others = NULL;
    return NULL;
}

struct verdict {
    bool vouched; /* a CA says so, */
    struct tls_owner owner;
    int64_t expires_at; /* and this is when it, or else the key's own certificate, says no more; */
    bool by_list;       /* or a revocation list */
};

/* The same as in the handshake: trust, dates, revocation, that it is made for clients, or that it
 * is pinned. */
static enum afar_status verify(const struct transport_tls *transport,
                               const struct tls_context *context, X509 *leaf,
                               STACK_OF(X509) * others, struct verdict *verdict,
                               struct afar_error *err)
{
    SSL_CTX *ctx = context->ssl_ctx;
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    char note[TLS_NOTE_BYTES] = "";
    enum afar_status status = AFAR_OK;
    if (store == NULL ||
        X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(ctx), leaf, others) != 1 ||
        X509_STORE_CTX_set_default(store, "ssl_client") != 1 ||
        X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(store), SSL_CTX_get0_param(ctx)) != 1) {
        status = tls_fail_local(err, "X509_STORE_CTX_init");
        goto out;
    }
    verdict->vouched = X509_verify_cert(store) == 1;
    verdict->expires_at = verdict->vouched ? tls_valid_until(store, &verdict->by_list)
                                           : tls_time_unix(X509_get0_notAfter(leaf));
    if (!verdict->vouched) {
        tls_note_refusal(transport, store, note);
        if (!tls_pins_accept_client(context, store, note))
            status = afar_fail(err, AFAR_ETRUST, "%s", note);
    }
    if (status == AFAR_OK &&
        !tls_owner(leaf, verdict->vouched ? X509_STORE_CTX_get0_chain(store) : NULL,
                   &verdict->owner))
        status = tls_fail_local(err, "tls_owner");
out:
    X509_STORE_CTX_free(store);
    return status;
}

/* By another context than the last. */
static enum afar_status judge_anew(struct transport_tls *transport, struct tls_context *context,
                                   struct afar_error *err)
{
    STACK_OF(X509) *others = NULL;
    struct verdict verdict = {.vouched = false};
    ERR_clear_error();
    X509 *leaf = read_chain(transport, &others);
    enum afar_status status = leaf == NULL
                                  ? tls_fail_local(err, "d2i_X509")
                                  : verify(transport, context, leaf, others, &verdict, err);
    X509_free(leaf);
    sk_X509_pop_free(others, X509_free);
    ERR_clear_error();
    if (status != AFAR_OK)
        return status;
    transport->vouched = verdict.vouched;
    transport->owner = verdict.owner;
    transport->expires_at = verdict.expires_at;
    transport->by_list = verdict.by_list;
    tls_context_keep(context);
    tls_context_free(transport->judged_by);
    transport->judged_by = context;
    return AFAR_OK;
}

enum afar_status tls_judge(struct transport *base, struct tls_context *context,
                           struct afar_error *err)
{
    struct transport_tls *transport = (struct transport_tls *)(void *)base;
    const struct tls_context *last =
        transport->judged_by != NULL ? transport->judged_by : transport->context;
    enum afar_status status = AFAR_OK;
    if (!transport->established || transport->chain == NULL)
        return AFAR_OK;
    if (context != NULL && context != last)
        status = judge_anew(transport, context, err);
    if (status == AFAR_OK && transport->expires_at > 0 &&
        transport->expires_at <= (int64_t)time(NULL))
        status = afar_fail(err, AFAR_ETRUST, "%s",
                           transport->by_list
                               ? "the client's certificate may have been revoked: the revocation "
                                 "list of its issuer has expired (tls_crl)"
                               : "the client's certificate, or its CA, has expired");
    return status;
}
