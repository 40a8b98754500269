/* What an open connection can do without.
 *
 * OpenSSL keeps the client's certificate, taken apart, in the session: with the verified chain some
 * 4 KB in 90 blocks (5 KB with malloc's own), of 17 KB for an idle connection, and the server has
 * ten thousand of those (measured: 3.0, an ECDSA certificate, no intermediates). There is no call
 * to let it go (openssl/openssl#5495 was never merged). But what an SSL_SESSION holds can be
 * replaced as a whole by reading another into it (d2i_SSL_SESSION with an object to reuse, in 3.0
 * as in today's master): here one of the same version and cipher, and without anything else.
 *
 * In TLS 1.3 nothing is read from the session once the handshake is complete and the ticket is on
 * its way: keys are derived from secrets that the connection itself holds. Earlier versions do read
 * it, and are left alone. With the certificate goes the secret from which a resumed session would
 * be keyed, so that it cannot be taken from the server's memory either. */
#include "tls/internal.h"

#include <openssl/err.h>

enum { BLANK_BYTES_MAX = 256 /* in OpenSSL 3.0 it takes 51 */ };

/* The DER of a session that says no more than version and cipher. 0: it cannot be made. */
static int put_blank(const SSL_SESSION *like, unsigned char der[BLANK_BYTES_MAX])
{
    SSL_SESSION *blank = SSL_SESSION_new();
    int size = 0;

    if (blank != NULL && SSL_SESSION_set_protocol_version(blank, TLS1_3_VERSION) == 1 &&
        SSL_SESSION_set_cipher(blank, SSL_SESSION_get0_cipher(like)) == 1)
        size = i2d_SSL_SESSION(blank, NULL);
    if (size > 0 && size <= BLANK_BYTES_MAX)
        size = i2d_SSL_SESSION(blank, &der);
    else
        size = 0;
    SSL_SESSION_free(blank);
    return size;
}

/* Where memory runs out, the connection goes on with more of it than it needs. */
void tls_release(SSL *ssl)
{
    unsigned char der[BLANK_BYTES_MAX];
    const unsigned char *at = der;
    SSL_SESSION *session = SSL_get_session(ssl);

    if (SSL_version(ssl) != TLS1_3_VERSION || session == NULL)
        return;
    STACK_OF(X509) *others = SSL_get_peer_cert_chain(ssl);
    while (sk_X509_num(others) > 0)
        X509_free(sk_X509_pop(others));
    int size = put_blank(session, der);
    if (size > 0)
        (void)d2i_SSL_SESSION(&session, &at, size);
    ERR_clear_error();
}
