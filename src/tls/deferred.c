/* A client's files, read when a handshake asks for them: one that resumes a session needs none, and
 * one that shakes hands in full can read them while the server is busy with its part.
 *
 * They are not put into the SSL_CTX, of which other threads' connections may be being made, but
 * into each connection. (Its store of CAs has a lock of its own.) */
#include "tls/internal.h"

#include <stdlib.h>
#include <string.h>

/* Guarded by the context's lock, but for the paths, which never change. */
struct tls_deferred {
    char *ca_file;   /* NULL: the system's */
    char *cert_file; /* NULL: none */
    char *key_file;
    bool done;
    enum afar_status status; /* what came of it; it is not tried again */
    struct afar_error err;
    struct tls_credential credential;
};

static bool copy(char **out, const char *text)
{
    *out = text == NULL ? NULL : strdup(text);
    return text == NULL || *out != NULL;
}

void tls_deferred_free(struct tls_deferred *deferred)
{
    if (deferred == NULL)
        return;
    free(deferred->ca_file);
    free(deferred->cert_file);
    free(deferred->key_file);
    tls_credential_close(&deferred->credential);
    free(deferred);
}

static enum afar_status load_locked(struct tls_context *context, struct afar_error *err)
{
    struct tls_deferred *deferred = context->deferred;
    if (!deferred->done) {
        deferred->done = true;
        deferred->status = AFAR_OK;
        if (deferred->cert_file != NULL)
            deferred->status = tls_credential_read(&deferred->credential, deferred->cert_file,
                                                   deferred->key_file, &deferred->err);
        if (deferred->status == AFAR_OK && !context->by_key)
            deferred->status =
                tls_load_trust(context->ssl_ctx, deferred->ca_file, false, &deferred->err);
    }
    if (deferred->status != AFAR_OK && err != NULL)
        *err = deferred->err;
    return deferred->status;
}

enum afar_status tls_deferred_load(struct tls_context *context, struct afar_error *err)
{
    if (context->deferred == NULL)
        return AFAR_OK;
    (void)pthread_mutex_lock(&context->lock);
    enum afar_status status = load_locked(context, err);
    (void)pthread_mutex_unlock(&context->lock);
    return status;
}

enum afar_status tls_deferred_failure(struct tls_context *context, struct afar_error *err)
{
    if (context->deferred == NULL)
        return AFAR_OK;
    (void)pthread_mutex_lock(&context->lock);
    enum afar_status status = context->deferred->done ? load_locked(context, err) : AFAR_OK;
    (void)pthread_mutex_unlock(&context->lock);
    return status;
}

/* The server wants a certificate. 0: the handshake fails. */
static int wanted(SSL *ssl, void *unused)
{
    struct tls_context *context = transport_tls_of(ssl)->context;
    struct tls_deferred *deferred = context->deferred;
    (void)unused;
    (void)pthread_mutex_lock(&context->lock);
    enum afar_status status = load_locked(context, NULL);
    if (status == AFAR_OK && deferred->cert_file != NULL) {
        status =
            tls_credential_use(&deferred->credential, ssl, deferred->cert_file, &deferred->err);
        deferred->status = status;
    }
    (void)pthread_mutex_unlock(&context->lock);
    return status == AFAR_OK;
}

enum afar_status tls_deferred_new(struct tls_context *context,
                                  const struct tls_client_options *options, struct afar_error *err)
{
    struct tls_deferred *made = calloc(1, sizeof *made);
    if (made == NULL || !copy(&made->ca_file, options->ca_file) ||
        !copy(&made->cert_file, options->cert_file) || !copy(&made->key_file, options->key_file)) {
        tls_deferred_free(made);
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    }
    context->deferred = made;
    SSL_CTX_set_cert_cb(context->ssl_ctx, wanted, NULL);
    return AFAR_OK;
}
