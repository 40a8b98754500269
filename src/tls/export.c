/* A client's session, for another process.
 *
 *   "AFARTLS2"  expires_at (8 bytes, little-endian)  since (8)  length of the name (2)  the name
 *   the session
 *
 * The session is OpenSSL's DER without the server's certificate ([3] of its SEQUENCE; ssl_asn1.c's
 * comment, "peer"): decoding that would cost more than resuming saves. */
#include "tls/internal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "tls/error.h"

enum { TIME_BYTES = 8, LENGTH_BYTES = 2, PEER_TAG = 3 };

static const char magic[] = "AFARTLS2";
enum { HEAD_BYTES = sizeof magic - 1 + TIME_BYTES + TIME_BYTES + LENGTH_BYTES };

static uint8_t *put_number(uint8_t *at, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *at++ = (uint8_t)(number >> (8 * i));
    return at;
}

static const uint8_t *take_number(const uint8_t *at, uint64_t *number, int bytes)
{
    *number = 0;
    for (int i = 0; i < bytes; i++)
        *number |= (uint64_t)*at++ << (8 * i);
    return at;
}

bool tls_session_strip(uint8_t *der, size_t *size)
{
    const uint8_t *at = der;
    long length = 0;
    int tag = 0;
    int class = 0;
    if ((ASN1_get_object(&at, &length, &tag, &class, (long)*size) & 0x80) != 0 ||
        tag != V_ASN1_SEQUENCE)
        return false;
    const uint8_t *end = at + length;
    uint8_t *body = der + (at - der);
    size_t kept = 0;
    while (at < end) {
        const uint8_t *element = at;
        if ((ASN1_get_object(&at, &length, &tag, &class, end - at) & 0x80) != 0)
            return false;
        at += length;
        if (class == V_ASN1_CONTEXT_SPECIFIC && tag == PEER_TAG)
            continue;
        memmove(body + kept, element, (size_t)(at - element));
        kept += (size_t)(at - element);
    }
    /* The new head is not longer than the old one. */
    uint8_t *out = der;
    ASN1_put_object(&out, 1, (int)kept, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    memmove(out, body, kept);
    *size = (size_t)(out - der) + kept;
    return true;
}

static enum afar_status encode(const struct tls_saved_session *saved, uint8_t **data, size_t *size,
                               struct afar_error *err)
{
    size_t name_size = strlen(saved->peer_name);
    int der_size = i2d_SSL_SESSION(saved->session, NULL);
    if (der_size <= 0)
        return tls_fail_local(err, "i2d_SSL_SESSION");
    uint8_t *made = malloc(HEAD_BYTES + name_size + (size_t)der_size);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a TLS session");
    uint8_t *at = made;
    memcpy(at, magic, sizeof magic - 1);
    at += sizeof magic - 1;
    at = put_number(at, (uint64_t)saved->expires_at, TIME_BYTES);
    at = put_number(at, (uint64_t)saved->since, TIME_BYTES);
    at = put_number(at, name_size, LENGTH_BYTES);
    memcpy(at, saved->peer_name, name_size);
    at += name_size;
    uint8_t *der = at;
    (void)i2d_SSL_SESSION(saved->session, &at);
    size_t left = (size_t)der_size;
    if (!tls_session_strip(der, &left)) {
        OPENSSL_cleanse(made, HEAD_BYTES + name_size + (size_t)der_size);
        free(made);
        return afar_fail(err, AFAR_EBUG, "a TLS session is not what it was expected to be");
    }
    *data = made;
    *size = (size_t)(der - made) + left;
    return AFAR_OK;
}

enum afar_status tls_context_export(struct tls_context *context, const char *server_name,
                                    uint8_t **data, size_t *size, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    *data = NULL;
    *size = 0;
    ERR_clear_error();
    (void)pthread_mutex_lock(&context->lock);
    const struct tls_saved_session *saved = tls_session_find(context, server_name);
    if (saved != NULL && saved->peer_name != NULL)
        status = encode(saved, data, size, err);
    (void)pthread_mutex_unlock(&context->lock);
    return status;
}

/* What follows the head. NULL: it is not what encode has made. */
static SSL_SESSION *decode(const uint8_t *data, size_t size, struct tls_saved_session *saved)
{
    uint64_t expires_at = 0;
    uint64_t since = 0;
    uint64_t name_size = 0;
    if (size < HEAD_BYTES || memcmp(data, magic, sizeof magic - 1) != 0)
        return NULL;
    const uint8_t *at = data + sizeof magic - 1;
    at = take_number(at, &expires_at, TIME_BYTES);
    at = take_number(at, &since, TIME_BYTES);
    at = take_number(at, &name_size, LENGTH_BYTES);
    size -= HEAD_BYTES;
    if (name_size > size || name_size >= IDENTITY_NAME_BYTES || size - name_size > INT32_MAX)
        return NULL;
    saved->expires_at = (int64_t)expires_at;
    saved->since = (int64_t)since;
    saved->peer_name = strndup((const char *)at, name_size);
    at += name_size;
    const uint8_t *end = at + (size - name_size);
    SSL_SESSION *session =
        saved->peer_name == NULL ? NULL : d2i_SSL_SESSION(NULL, &at, (long)(size - name_size));
    if (session != NULL && at != end) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    return session;
}

enum afar_status tls_context_import(struct tls_context *context, const char *server_name,
                                    const uint8_t *data, size_t size, struct afar_error *err)
{
    struct tls_saved_session saved = {0};
    ERR_clear_error();
    saved.session = decode(data, size, &saved);
    saved.server_name = strdup(server_name);
    bool good = saved.session != NULL && saved.server_name != NULL &&
                SSL_SESSION_is_resumable(saved.session) == 1 && tls_session_is_fresh(&saved);
    ERR_clear_error();
    if (good)
        tls_session_keep(context, &saved);
    else
        tls_session_clear(&saved);
    return good ? AFAR_OK
                : afar_fail(err, AFAR_EPEER, "this is not a TLS session that can be resumed");
}
