#include "tls/internal.h"

#include <stdio.h>
#include <string.h>

#include "tls/error.h"

enum { ALPN_NAME_MAX = 255 }; /* RFC 7301: its length is one byte */

/* Finds `name` in a list of names that each follow their length. */
static const unsigned char *find(const unsigned char *list, size_t size, const char *name)
{
    size_t length = strlen(name);

    for (size_t at = 0; at < size; at += 1U + list[at]) {
        if (list[at] == length && size - at > length && memcmp(list + at + 1, name, length) == 0)
            return list + at + 1;
    }
    return NULL;
}

/* The client's first name as text, for the note. */
static void first_name(const unsigned char *list, size_t size, char *text, size_t text_size)
{
    size_t length = size > 0 ? list[0] : 0;
    size_t used = 0;

    for (size_t i = 1; i <= length && i < size && used + 1 < text_size; i++)
        text[used++] = list[i] >= ' ' && list[i] < 0x7F ? (char)list[i] : '?';
    text[used] = '\0';
}

/* The client offers protocols. */
static int select_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                           const unsigned char *offered, unsigned offered_size, void *unused)
{
    struct transport_tls *transport = transport_tls_of(ssl);
    char shown[64];

    (void)unused;
    if (transport->alpn != NULL) {
        *chosen = find(offered, offered_size, transport->alpn);
        *chosen_size = (unsigned char)strlen(transport->alpn);
        if (*chosen != NULL)
            return SSL_TLSEXT_ERR_OK;
        first_name(offered, offered_size, shown, sizeof shown);
        (void)snprintf(transport->note, TLS_NOTE_BYTES,
                       "the client asks for the protocol '%s', this listener speaks '%s'", shown,
                       transport->alpn);
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    /* Who offers other protocols may well do without; an Afar client cannot, and is told so. */
    if (find(offered, offered_size, TLS_ALPN_AFAR) == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    (void)snprintf(transport->note, TLS_NOTE_BYTES,
                   "the client asks for the protocol '" TLS_ALPN_AFAR
                   "', this listener speaks another");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The hello has come. A client that offers no protocol at all would not reach select_protocol. */
static int take_hello(SSL *ssl, int *alert, void *unused)
{
    struct transport_tls *transport = transport_tls_of(ssl);
    const unsigned char *extension = NULL;
    size_t size = 0;

    (void)unused;
    if (!tls_guard_takes_hello(ssl, transport->note)) {
        *alert = SSL_AD_ILLEGAL_PARAMETER;
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (transport->alpn == NULL ||
        SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                  &extension, &size) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    (void)snprintf(transport->note, TLS_NOTE_BYTES,
                   "the client asks for no protocol (ALPN), this listener speaks '%s'",
                   transport->alpn);
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

void tls_alpn_server_init(SSL_CTX *ctx)
{
    SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
    SSL_CTX_set_client_hello_cb(ctx, take_hello, NULL);
}

enum afar_status tls_alpn_offer(struct transport_tls *transport, struct afar_error *err)
{
    unsigned char list[1 + ALPN_NAME_MAX];

    if (transport->alpn == NULL)
        return AFAR_OK;
    size_t length = strlen(transport->alpn);
    if (length == 0 || length > ALPN_NAME_MAX)
        return afar_fail(err, AFAR_EBUG, "an ALPN name of %zu bytes", length);
    list[0] = (unsigned char)length;
    memcpy(list + 1, transport->alpn, length);
    if (SSL_set_alpn_protos(transport->ssl, list, (unsigned)length + 1) != 0) /* 0 is success */
        return tls_fail_local(err, "SSL_set_alpn_protos");
    return AFAR_OK;
}

enum afar_status tls_alpn_check(const struct transport_tls *transport, struct afar_error *err)
{
    const unsigned char *chosen = NULL;
    unsigned size = 0;

    if (transport->alpn == NULL)
        return AFAR_OK;
    SSL_get0_alpn_selected(transport->ssl, &chosen, &size);
    if (size == strlen(transport->alpn) && memcmp(chosen, transport->alpn, size) == 0)
        return AFAR_OK;
    return afar_fail(err, AFAR_ETRUST,
                     "the %s did not agree on the protocol '%s'; is the port right?",
                     transport->context->is_server ? "client" : "server", transport->alpn);
}
