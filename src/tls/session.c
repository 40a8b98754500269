#include "tls/internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void tls_session_clear(struct tls_saved_session *place)
{
    SSL_SESSION_free(place->session);
    free(place->server_name);
    free(place->peer_name);
    memset(place, 0, sizeof *place);
}

struct tls_saved_session *tls_session_find(struct tls_context *context, const char *server_name)
{
    for (size_t i = 0; i < context->saved_count; i++) {
        if (context->saved[i].session != NULL &&
            strcmp(context->saved[i].server_name, server_name) == 0)
            return &context->saved[i];
    }
    return NULL;
}

/* A place for a name that has none: a free one, or that of the oldest. */
static struct tls_saved_session *make_room_locked(struct tls_context *context)
{
    struct tls_saved_session *oldest = NULL;

    for (size_t i = 0; i < context->saved_count; i++) {
        struct tls_saved_session *place = &context->saved[i];
        if (place->session == NULL)
            return place;
        if (oldest == NULL || place->age < oldest->age)
            oldest = place;
    }
    if (context->saved_count < TLS_SESSIONS_MAX)
        return &context->saved[context->saved_count++];
    tls_session_clear(oldest);
    return oldest;
}

void tls_session_keep(struct tls_context *context, const struct tls_saved_session *saved)
{
    (void)pthread_mutex_lock(&context->lock);
    struct tls_saved_session *place = tls_session_find(context, saved->server_name);
    if (place != NULL)
        tls_session_clear(place);
    else
        place = make_room_locked(context);
    *place = *saved;
    place->age = ++context->saved_age;
    (void)pthread_mutex_unlock(&context->lock);
}

/* The server has given a session that can be offered to it later. We keep a copy, as OpenSSL marks
 * the original as not resumable when a connection ends without a goodbye, and so that no two
 * threads' connections share it. Where there is no memory, the next connection shakes hands in
 * full, that is all. 0: the reference stays OpenSSL's. */
static int session_given(SSL *ssl, SSL_SESSION *session)
{
    struct transport_tls *transport = transport_tls_of(ssl);
    struct tls_context *context = transport->context;
    /* (TLS 1.2 gives it in the middle of the handshake.) */
    bool begins = !transport->known && SSL_session_reused(ssl) != 1;
    struct tls_saved_session copy = {.expires_at = transport->expires_at,
                                     .since = begins ? (int64_t)time(NULL) : transport->since};

    if (SSL_SESSION_is_resumable(session) != 1)
        return 0;
    copy.session = SSL_SESSION_dup(session);
    copy.server_name = strdup(transport->server_name);
    bool named = transport->peer_name != NULL;
    if (named)
        copy.peer_name = strdup(transport->peer_name);
    if (copy.session == NULL || copy.server_name == NULL || (named && copy.peer_name == NULL))
        tls_session_clear(&copy);
    else
        tls_session_keep(context, &copy);
    return 0;
}

void tls_session_client_init(SSL_CTX *ctx)
{
    (void)SSL_CTX_set_session_cache_mode(ctx,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(ctx, session_given);
}

/* A server that goes on giving sessions is asked who it is once in a while all the same. (A clock
 * that was set back makes one older than it seems.) */
bool tls_session_is_fresh(const struct tls_saved_session *saved)
{
    int64_t now = (int64_t)time(NULL);
    return saved->expires_at > now && saved->since <= now &&
           now - saved->since < TLS_SESSION_LIFE_S;
}

void tls_session_offer(struct transport_tls *transport)
{
    struct tls_context *context = transport->context;
    struct tls_saved_session taken = {0};

    (void)pthread_mutex_lock(&context->lock);
    struct tls_saved_session *place = tls_session_find(context, transport->server_name);
    if (place != NULL) {
        taken = *place;
        memset(place, 0, sizeof *place);
    }
    (void)pthread_mutex_unlock(&context->lock);

    if (taken.session != NULL && tls_session_is_fresh(&taken) &&
        SSL_set_session(transport->ssl, taken.session) == 1) {
        transport->expires_at = taken.expires_at;
        transport->since = taken.since;
        transport->offers = true;
        transport->peer_name = taken.peer_name;
        taken.peer_name = NULL;
    }
    tls_session_clear(&taken);
}

void tls_session_forget_all(struct tls_context *context)
{
    for (size_t i = 0; i < context->saved_count; i++)
        tls_session_clear(&context->saved[i]);
    context->saved_count = 0;
}
