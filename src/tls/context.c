#include "tls/internal.h"

#include <stdlib.h>

#include <openssl/err.h>

#include "tls/error.h"

void tls_context_keep(struct tls_context *context)
{
    (void)atomic_fetch_add(&context->references, 1);
}

void tls_context_free(struct tls_context *context)
{
    if (context == NULL || atomic_fetch_sub(&context->references, 1) != 1)
        return;
    tls_session_forget_all(context);
    free(context->pins);
    tls_deferred_free(context->deferred);
    SSL_CTX_free(context->ssl_ctx);
    BIO_meth_free(context->socket_method);
    (void)pthread_mutex_destroy(&context->lock);
    free(context);
}

/* Groups in which one side's part of a key exchange costs at most some ten times what it costs in
 * X25519. OpenSSL's own list also has the finite fields up to 8192 bits, some three hundred times
 * as expensive, which any stranger could ask a server for. */
static enum afar_status set_groups(SSL_CTX *ctx, struct afar_error *err)
{
    if (SSL_CTX_set1_groups_list(ctx, "X25519:P-256:X448:P-384:P-521") == 1)
        return AFAR_OK;
    ERR_clear_error(); /* some of OpenSSL's providers (FIPS) do not have all of them */
    if (SSL_CTX_set1_groups_list(ctx, "P-256:P-384:P-521") == 1)
        return AFAR_OK;
    return tls_fail_local(err, "SSL_CTX_set1_groups_list");
}

/* OpenSSL's own list has SHA-224 too, which RFC 8446 §4.2.3 does not allow to be offered. (With RSA
 * PKCS #1 certificates alone are signed.) */
static enum afar_status set_signatures(SSL_CTX *ctx, struct afar_error *err)
{
    static const char list[] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"
                               "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"
                               "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
                               "RSA+SHA256:RSA+SHA384:RSA+SHA512";
    return SSL_CTX_set1_sigalgs_list(ctx, list) == 1
               ? AFAR_OK
               : tls_fail_local(err, "SSL_CTX_set1_sigalgs_list");
}

/* What both sides have in common. */
static enum afar_status configure(SSL_CTX *ctx, bool allow_tls12, struct afar_error *err)
{
    /* An openssl.cnf may have set it; then a cut could not be told from an end. */
    (void)SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* No automatic chain: what is sent is what the certificate file says, and not what happens to
     * lie among the trusted certificates. */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS |
                                    SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_security_level(ctx, 2); /* 112 bits: RSA 2048 and up, no SHA-1 signatures */
    (void)SSL_CTX_set_max_early_data(ctx, 0);
    (void)SSL_CTX_set_timeout(ctx, TLS_SESSION_LIFE_S);
    /* A CA file may name an intermediate CA alone: whom it issued to is trusted, its siblings are
     * not. */
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    if (SSL_CTX_set_min_proto_version(ctx, allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1)
        return tls_fail_local(err, "SSL_CTX_set_min_proto_version");
    if (SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1)
        return tls_fail_local(err, "SSL_CTX_set_max_proto_version");
    /* TLS 1.2 only with forward secrecy and authenticated encryption. */
    if (SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
        return tls_fail_local(err, "SSL_CTX_set_cipher_list");
    /* AES-128 is as safe here, and a quarter faster than AES-256, which OpenSSL would prefer. */
    if (SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                      "TLS_CHACHA20_POLY1305_SHA256") != 1)
        return tls_fail_local(err, "SSL_CTX_set_ciphersuites");
    enum afar_status status = set_groups(ctx, err);
    return status == AFAR_OK ? set_signatures(ctx, err) : status;
}

static enum afar_status context_new(struct tls_context **context, const SSL_METHOD *method,
                                    bool is_server, bool allow_tls12, struct afar_error *err)
{
    struct tls_context *made = calloc(1, sizeof *made);

    *context = NULL;
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    }
    atomic_init(&made->references, 1);
    made->is_server = is_server;

    ERR_clear_error();
    enum afar_status status = AFAR_OK;
    made->ssl_ctx = SSL_CTX_new(method);
    made->socket_method = tls_bio_method_new();
    if (made->ssl_ctx == NULL || made->socket_method == NULL)
        status = tls_fail_local(err, "SSL_CTX_new");
    else
        status = configure(made->ssl_ctx, allow_tls12, err);
    if (status != AFAR_OK) {
        tls_context_free(made);
        return status;
    }
    *context = made;
    return AFAR_OK;
}

enum afar_status tls_context_server_new(struct tls_context **context,
                                        const struct tls_server_options *options,
                                        struct afar_error *err)
{
    static const unsigned char session_context[] = "afard";
    struct tls_context *made = NULL;

    *context = NULL;
    if (options->cert_file == NULL || options->key_file == NULL ||
        (options->client_ca_file == NULL && options->pin_count == 0))
        return afar_fail(err, AFAR_EINVAL,
                         "TLS needs a certificate file, a key file, and a file of client CAs or "
                         "clients' pins");
    enum afar_status status =
        context_new(&made, TLS_server_method(), true, options->allow_tls12, err);
    if (status != AFAR_OK)
        goto out;
    status = tls_load_identity(made->ssl_ctx, options->cert_file, options->key_file, err);
    if (status != AFAR_OK)
        goto out;
    status = tls_pins_set(made, options->pins, options->pin_count, err);
    if (status == AFAR_OK && options->client_ca_file != NULL)
        /* A list of the CAs would keep some clients from showing a certificate of another issuer.
         */
        status =
            tls_load_trust(made->ssl_ctx, options->client_ca_file, options->pin_count == 0, err);
    if (status == AFAR_OK && options->crl_file != NULL)
        status = tls_load_revoked(made->ssl_ctx, options->crl_file, err);
    if (status != AFAR_OK)
        goto out;
    made->lists_until = tls_lists_until(made->ssl_ctx);
    SSL_CTX_set_max_cert_list(
        made->ssl_ctx, (long)(options->chain_bytes != 0 ? options->chain_bytes : TLS_CHAIN_BYTES));
    /* With these, OpenSSL also checks that the certificate allows client use. */
    tls_verify_init(made->ssl_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    if (SSL_CTX_set_session_id_context(made->ssl_ctx, session_context,
                                       sizeof session_context - 1) != 1) {
        status = tls_fail_local(err, "SSL_CTX_set_session_id_context");
        goto out;
    }
    tls_ticket_server_init(made->ssl_ctx);
    tls_alpn_server_init(made->ssl_ctx);
    *context = made;
    made = NULL;
out:
    tls_context_free(made);
    return status;
}

static enum afar_status load_client_files(struct tls_context *context,
                                          const struct tls_client_options *options,
                                          struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    if (options->cert_file != NULL)
        status = tls_load_identity(context->ssl_ctx, options->cert_file, options->key_file, err);
    if (status == AFAR_OK && !context->by_key)
        status = tls_load_trust(context->ssl_ctx, options->ca_file, false, err);
    return status;
}

enum afar_status tls_context_client_new(struct tls_context **context,
                                        const struct tls_client_options *options,
                                        struct afar_error *err)
{
    struct tls_context *made = NULL;
    char *pin = (char *)(uintptr_t)options->pin; /* only read */

    *context = NULL;
    if ((options->cert_file == NULL) != (options->key_file == NULL))
        return afar_fail(err, AFAR_EINVAL,
                         "a client certificate needs both a certificate file and a key file; %s is "
                         "missing",
                         options->cert_file == NULL ? "the certificate" : "the key");
    enum afar_status status = context_new(&made, TLS_client_method(), false, false, err);
    if (status != AFAR_OK)
        goto out;
    made->trust = options->trust;
    made->trust_user = options->trust_user;
    made->by_key = options->pin != NULL || (options->trust != NULL && options->trust_alone);
    if (options->pin != NULL)
        status = tls_pins_set(made, &pin, 1, err);
    if (status == AFAR_OK && options->defer)
        status = tls_deferred_new(made, options, err);
    else if (status == AFAR_OK)
        status = load_client_files(made, options, err);
    if (status != AFAR_OK)
        goto out;
    tls_verify_init(made->ssl_ctx, SSL_VERIFY_PEER);
    tls_session_client_init(made->ssl_ctx);
    *context = made;
    made = NULL;
out:
    tls_context_free(made);
    return status;
}
