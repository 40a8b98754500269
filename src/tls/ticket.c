/* The server's session tickets: all that it will want to know of a client that comes back with one.
 *
 *   expires_at (8 bytes, little-endian)  since (8)  flags (1)  owner (32)
 *   length of the name (2)  the name  the chain, DER
 *
 * A client that comes back gets another ticket, which ends when its first one would have: `since`
 * is the time of the full handshake, and is handed on.
 *
 * OpenSSL puts the client's certificate into each ticket, and takes it apart again on resuming,
 * which costs more than all the rest of it. So it is taken out of the session, and the chain as we
 * keep it anyway (judge.c) goes along instead: it is read where a rule or a reload asks for it.
 */
#include "tls/internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>

enum {
    TIME_BYTES = 8,
    HEAD_BYTES = 2 * TIME_BYTES + 1 + TLS_OWNER_BYTES + 2,
    FLAG_VOUCHED = 1,
    FLAG_PIN = 2, /* the owner is one */
    FLAG_BY_LIST = 4,
    /* A client with longer chains shakes hands in full each time: its hello, with such a ticket in
     * it, would be longer than guard.c allows. */
    CHAIN_BYTES_MAX = 12 * 1024
};

static const uint8_t *take_time(const uint8_t *at, int64_t *time)
{
    uint64_t value = 0;
    for (int i = 0; i < TIME_BYTES; i++)
        value |= (uint64_t)*at++ << (8 * i);
    *time = (int64_t)value;
    return at;
}

static uint8_t *put_time(uint8_t *at, int64_t time)
{
    for (int i = 0; i < TIME_BYTES; i++)
        *at++ = (uint8_t)((uint64_t)time >> (8 * i));
    return at;
}

bool tls_ticket_read(struct tls_ticket *ticket, const void *data, size_t size)
{
    const uint8_t *at = data;
    if (size < HEAD_BYTES)
        return false;
    at = take_time(at, &ticket->expires_at);
    at = take_time(at, &ticket->since);
    ticket->vouched = (*at & FLAG_VOUCHED) != 0;
    ticket->owner.is_pin = (*at & FLAG_PIN) != 0;
    ticket->by_list = (*at++ & FLAG_BY_LIST) != 0;
    memcpy(ticket->owner.hash, at, TLS_OWNER_BYTES);
    at += TLS_OWNER_BYTES;
    ticket->name_bytes = (size_t)at[0] | (size_t)at[1] << 8;
    ticket->name = (const char *)at + 2;
    size -= HEAD_BYTES;
    if (ticket->name_bytes > size || ticket->name_bytes >= IDENTITY_NAME_BYTES)
        return false;
    ticket->chain = (const uint8_t *)ticket->name + ticket->name_bytes;
    ticket->chain_bytes = size - ticket->name_bytes;
    return ticket->chain_bytes > 0;
}

size_t tls_ticket_write(const struct tls_ticket *ticket, uint8_t *data)
{
    uint8_t *at = put_time(data, ticket->expires_at);
    at = put_time(at, ticket->since);
    *at++ = (uint8_t)((ticket->vouched ? FLAG_VOUCHED : 0) | (ticket->owner.is_pin ? FLAG_PIN : 0) |
                      (ticket->by_list ? FLAG_BY_LIST : 0));
    memcpy(at, ticket->owner.hash, TLS_OWNER_BYTES);
    at += TLS_OWNER_BYTES;
    *at++ = (uint8_t)ticket->name_bytes;
    *at++ = (uint8_t)(ticket->name_bytes >> 8);
    memcpy(at, ticket->name, ticket->name_bytes);
    at += ticket->name_bytes;
    memcpy(at, ticket->chain, ticket->chain_bytes);
    at += ticket->chain_bytes;
    return (size_t)(at - data);
}

/* Leaves the session as it is but for the certificate: read from its own DER (as release.c does
 * it, which see). TLS 1.3 alone: earlier versions go on using the session. False: it still has it.
 */
static bool strip(SSL *ssl)
{
    SSL_SESSION *session = SSL_get_session(ssl);
    int der_size = SSL_version(ssl) == TLS1_3_VERSION ? i2d_SSL_SESSION(session, NULL) : 0;
    uint8_t *der = der_size > 0 ? malloc((size_t)der_size) : NULL;
    if (der == NULL)
        return false;
    uint8_t *end = der;
    size_t size = (size_t)i2d_SSL_SESSION(session, &end);
    const uint8_t *at = der;
    bool good = tls_session_strip(der, &size) && d2i_SSL_SESSION(&session, &at, (long)size) != NULL;
    OPENSSL_cleanse(der, (size_t)der_size);
    free(der);
    return good;
}

/* Tells the client, and OpenSSL, for how long the ticket will be of use. */
static void limit_life(SSL_SESSION *session, const struct tls_ticket *ticket)
{
    int64_t now = (int64_t)time(NULL);
    int64_t until = ticket->since + TLS_SESSION_LIFE_S;
    if (ticket->expires_at > 0 && ticket->expires_at < until)
        until = ticket->expires_at;
    (void)SSL_SESSION_set_timeout(session, until > now ? (long)(until - now) : 0);
}

/* A ticket is about to be made. Resuming verifies no chain: what the first connection found is
 * handed on. 0: the handshake fails. */
static int ticket_made(SSL *ssl, void *unused)
{
    struct transport_tls *transport = transport_tls_of(ssl);
    (void)unused;
    if (tls_know_peer(transport, NULL) != AFAR_OK)
        return 0;
    const struct tls_ticket ticket = {.expires_at = transport->expires_at,
                                      .since = transport->since,
                                      .by_list = transport->by_list,
                                      .vouched = transport->vouched,
                                      .owner = transport->owner,
                                      .name = transport->peer_name,
                                      .name_bytes = strlen(transport->peer_name),
                                      .chain = transport->chain,
                                      .chain_bytes = transport->chain_bytes};
    if (ticket.chain_bytes > CHAIN_BYTES_MAX)
        return 1; /* without data it is of no use */
    uint8_t *data = malloc(HEAD_BYTES + ticket.name_bytes + ticket.chain_bytes);
    if (data == NULL)
        return 0;
    int result = SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data,
                                                 tls_ticket_write(&ticket, data));
    free(data);
    limit_life(SSL_get_session(ssl), &ticket);
    (void)strip(ssl); /* where it cannot be done, resuming will cost more */
    ERR_clear_error();
    return result;
}

/* What is known of the client from the connection before. */
static bool take(struct transport_tls *transport, const struct tls_ticket *ticket)
{
    char *name = strndup(ticket->name, ticket->name_bytes);
    uint8_t *chain = malloc(ticket->chain_bytes);
    if (name == NULL || chain == NULL) {
        free(name);
        free(chain);
        return false;
    }
    memcpy(chain, ticket->chain, ticket->chain_bytes);
    free(transport->peer_name);
    free(transport->chain);
    transport->peer_name = name;
    transport->chain = chain;
    transport->chain_bytes = ticket->chain_bytes;
    transport->expires_at = ticket->expires_at;
    transport->since = ticket->since;
    transport->by_list = ticket->by_list;
    transport->vouched = ticket->vouched;
    transport->owner = ticket->owner;
    return true;
}

/* (A clock that was set back makes it older than it seems: then it is of no use either.) */
static bool is_in_time(const struct tls_ticket *ticket)
{
    int64_t now = (int64_t)time(NULL);
    return ticket->expires_at > now && ticket->since <= now &&
           now - ticket->since < TLS_SESSION_LIFE_S;
}

/* A ticket has come back. Resuming looks at no certificate, so its expiry is looked at here. A
 * ticket of an earlier context (before a reload) does not decrypt: its key went with that one. */
static SSL_TICKET_RETURN ticket_offered(SSL *ssl, SSL_SESSION *session,
                                        const unsigned char *key_name, size_t key_name_size,
                                        SSL_TICKET_STATUS status, void *unused)
{
    struct tls_ticket ticket;
    void *data = NULL;
    size_t size = 0;

    (void)key_name;
    (void)key_name_size;
    (void)unused;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 ||
        !tls_ticket_read(&ticket, data, size) || !is_in_time(&ticket) ||
        !take(transport_tls_of(ssl), &ticket))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return SSL_TICKET_RETURN_USE_RENEW; /* the client uses each ticket once */
}

void tls_ticket_server_init(SSL_CTX *ctx)
{
    /* The state travels in the tickets; the server keeps none. */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 1);
    (void)SSL_CTX_set_session_ticket_cb(ctx, ticket_made, ticket_offered, NULL);
}
