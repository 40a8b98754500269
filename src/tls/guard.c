/* Limits on what a peer can make OpenSSL do.
 *
 *   - A hello's length is checked in the bytes that come from the peer, before OpenSSL has seen
 *     them: it would allocate up to 131 KB for a length that four bytes claim.
 *   - A hello may not name more groups than there are: OpenSSL compares each of them with each key
 *     share that comes with them.
 *   - A handshake is bounded in records and messages: it could come in records of one byte each.
 *   - A receive is bounded in records and bytes: OpenSSL goes on by itself as long as there is
 *     nothing to give to us (empty records, handshake messages) and something to read.
 *   - Messages of the handshake that come after it (new keys, tickets) are bounded by the minute.
 *
 * The first and the fourth are done by the BIO's callback, which works with any kind of BIO (or
 * later by our own BIO itself), the others by OpenSSL's callback for each record and message. That
 * one cannot fail: it tells OpenSSL that the peer has shut down, so that nothing else is processed,
 * and leaves the reason in `broken_by`, which the transport looks at after each call. */
#include "tls/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
    /* A hello with a post-quantum key share has about 2 KB, one with a ticket of ours, which has
     * the client's certificates in it (CHAIN_BYTES_MAX of ticket.c), up to 13 KB. */
    HELLO_BYTES_MAX = 16 * 1024,
    HELLO_GROUPS_MAX = 64, /* IANA has registered some 50 */
    /* A client's certificates in records of 512 bytes, the smallest that RFC 6066 §4 lets a peer
     * ask for, are 32; a server's can be 200. */
    HANDSHAKE_RECORDS_MAX = 512,
    HANDSHAKE_MESSAGES_MAX = 64, /* a handshake has about ten */
    /* A minute's messages, and records of them, after the handshake. Each change of keys is one
     * of both. The most eager peers change keys every 2^23 records. */
    LATER_MAX = 128,
    LATER_WINDOW_MS = 60 * 1000,
    /* Of a receive. A full fill of the caller's buffer (256 KiB) has 17 records. */
    TURN_RECORDS_MAX = 256,
    TURN_BYTES_MAX = 1024 * 1024
};

static void stop(struct transport_tls *transport, const char *why)
{
    SSL *ssl = transport->ssl;
    if (transport->guard.broken_by == NULL)
        transport->guard.broken_by = why;
    SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
}

/* ---- The length that a hello claims ---------------------------------------------------------- */

static void expect_hello(struct tls_guard *guard)
{
    guard->hello_wanted = true;
    guard->record_size = guard->message_size = 0;
    guard->record_left = 0;
}

/* Bytes of a plaintext record. The message's header may be split over several. */
static void take_body(struct transport_tls *transport, const uint8_t *data, size_t size)
{
    struct tls_guard *guard = &transport->guard;
    if (guard->record[0] != SSL3_RT_HANDSHAKE)
        return;
    for (size_t i = 0; i < size && guard->message_size < sizeof guard->message; i++)
        guard->message[guard->message_size++] = data[i];
    if (guard->message_size < sizeof guard->message)
        return;
    const uint8_t *head = guard->message;
    size_t claimed = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    guard->hello_wanted = false;
    if (head[0] == SSL3_MT_CLIENT_HELLO && claimed > HELLO_BYTES_MAX)
        stop(transport, "announces a TLS hello of more than 16 KiB");
}

static void inspect(struct transport_tls *transport, const uint8_t *data, size_t size)
{
    struct tls_guard *guard = &transport->guard;
    while (guard->hello_wanted && size > 0) {
        size_t count = 1;
        if (guard->record_size < sizeof guard->record) {
            guard->record[guard->record_size++] = data[0];
            if (guard->record_size == sizeof guard->record)
                guard->record_left = (size_t)guard->record[3] << 8 | guard->record[4];
        } else {
            count = size < guard->record_left ? size : guard->record_left;
            take_body(transport, data, count);
            guard->record_left -= count;
        }
        if (guard->record_size == sizeof guard->record && guard->record_left == 0)
            guard->record_size = 0;
        data += count;
        size -= count;
    }
}

bool tls_guard_takes_hello(SSL *ssl, char note[TLS_NOTE_BYTES])
{
    const unsigned char *groups = NULL;
    size_t size = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_groups, &groups, &size) != 1 ||
        size <= 2 + 2 * (size_t)HELLO_GROUPS_MAX)
        return true;
    (void)snprintf(note, TLS_NOTE_BYTES, "the client names more than %d groups for key exchange",
                   HELLO_GROUPS_MAX);
    return false;
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

static void note_first(struct transport_tls *transport, const uint8_t *data, size_t size)
{
    size_t room = sizeof transport->first - transport->first_size;
    size_t count = size < room ? size : room;
    memcpy(transport->first + transport->first_size, data, count);
    transport->first_size += count;
}

static bool is_spent(const struct tls_guard *guard)
{
    return guard->turn_records >= TURN_RECORDS_MAX || guard->turn_bytes >= TURN_BYTES_MAX;
}

/* Called by the BIO around each of its operations. */
static long watch(BIO *bio, int operation, const char *data, size_t size, int argi, long argl,
                  int result, size_t *processed)
{
    struct transport_tls *transport = (struct transport_tls *)(void *)BIO_get_callback_arg(bio);
    struct tls_guard *guard = &transport->guard;

    (void)size;
    (void)argi;
    (void)argl;
    if (operation == BIO_CB_READ && is_spent(guard)) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (operation != (BIO_CB_READ | BIO_CB_RETURN) || result <= 0 || processed == NULL)
        return result;
    guard->turn_bytes += *processed;
    if (transport->established)
        return result;
    note_first(transport, (const uint8_t *)data, *processed);
    inspect(transport, (const uint8_t *)data, *processed);
    if (guard->broken_by == NULL)
        return result;
    *processed = 0;
    BIO_set_retry_read(bio); /* else OpenSSL would take it for the end */
    return -1;
}

static void count_later(struct transport_tls *transport)
{
    struct tls_guard *guard = &transport->guard;
    int64_t now_ms = clock_now_ms();
    if (guard->later_count == 0 || now_ms - guard->later_since_ms >= LATER_WINDOW_MS) {
        guard->later_since_ms = now_ms;
        guard->later_count = 0;
    }
    if (++guard->later_count > LATER_MAX)
        stop(transport, "changes keys or sends tickets without end");
}

static void take_record(struct transport_tls *transport, uint8_t type)
{
    struct tls_guard *guard = &transport->guard;
    guard->turn_records++;
    if (!transport->established && ++guard->handshake_records > HANDSHAKE_RECORDS_MAX)
        stop(transport, "sends its TLS handshake in too many records");
    /* Before TLS 1.3 the only such message is a hello, which would be refused. */
    if (transport->established && type == SSL3_RT_HANDSHAKE &&
        SSL_version(transport->ssl) != TLS1_3_VERSION)
        stop(transport, "asks for another TLS handshake, which is not supported");
}

/* Called by OpenSSL for each record's header, for what a TLS 1.3 record is inside, and for each
 * message of a handshake that is there whole. */
static void see(int sent, int version, int type, const void *data, size_t size, SSL *ssl,
                void *argument)
{
    struct transport_tls *transport = argument;
    struct tls_guard *guard = &transport->guard;
    uint8_t first = size > 0 ? *(const uint8_t *)data : 0;
    (void)version;
    /* In TLS 1.3 what follows our hello is encrypted, but for a second hello that we may have asked
     * for. */
    if (sent && type == SSL3_RT_HANDSHAKE && first == SSL3_MT_SERVER_HELLO &&
        SSL_version(ssl) == TLS1_3_VERSION)
        expect_hello(guard);
    if (sent)
        return;
    bool record = type == SSL3_RT_INNER_CONTENT_TYPE && first == SSL3_RT_HANDSHAKE;
    bool message = type == SSL3_RT_HANDSHAKE;
    if (type == SSL3_RT_HEADER)
        take_record(transport, first);
    else if (transport->established && (record || message))
        count_later(transport);
    else if (message && ++guard->handshake_messages > HANDSHAKE_MESSAGES_MAX)
        stop(transport, "sends too many messages in its TLS handshake");
}

void tls_guard_watch(struct transport_tls *transport)
{
    BIO *bio = SSL_get_rbio(transport->ssl);
    if (transport->context->is_server)
        expect_hello(&transport->guard);
    BIO_set_callback_arg(bio, (char *)transport);
    BIO_set_callback_ex(bio, watch);
    SSL_set_msg_callback(transport->ssl, see);
    SSL_set_msg_callback_arg(transport->ssl, transport);
}

/* OpenSSL asks a BIO for much, and each time its callback is called twice: our own BIO can do
 * without. */
void tls_guard_settle(struct transport_tls *transport)
{
    BIO *bio = SSL_get_rbio(transport->ssl);
    if (!tls_bio_guard(bio, &transport->guard))
        return;
    BIO_set_callback_ex(bio, NULL);
    BIO_set_callback_arg(bio, NULL);
}

void tls_guard_begin(struct tls_guard *guard)
{
    guard->turn_records = 0;
    guard->turn_bytes = 0;
}

bool tls_guard_spent(const struct tls_guard *guard)
{
    return is_spent(guard);
}
