#include "support/tls_pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>

struct tls_context *tls_pair_server_context(const struct test_certs *certs, enum test_cert cert,
                                            enum test_cert client_ca)
{
    struct tls_server_options options = {.cert_file = certs->cert[cert],
                                         .key_file = certs->key[cert],
                                         .client_ca_file = certs->cert[client_ca]};
    struct tls_context *context = NULL;
    struct afar_error err;
    if (tls_context_server_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

struct tls_context *tls_pair_client_context(const struct test_certs *certs, int cert,
                                            enum test_cert ca)
{
    struct tls_client_options options = {.ca_file = certs->cert[ca]};
    struct tls_context *context = NULL;
    struct afar_error err;
    if (cert >= 0) {
        options.cert_file = certs->cert[cert];
        options.key_file = certs->key[cert];
    }
    if (tls_context_client_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

void tls_pair_assert_line(const struct afar_error *err, const char *expected)
{
    if (strstr(err->message, expected) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", expected, err->message);
    assert_null(strstr(err->message, "error:"));
    assert_null(strstr(err->message, "SSL routines"));
    assert_null(strchr(err->message, '\n'));
    assert_int_equal(ERR_peek_error(), 0);
}

static BIO *bio_of(struct transport *transport)
{
    return SSL_get_wbio(((struct transport_tls *)(void *)transport)->ssl);
}

void tls_pair_cut(struct transport *transport)
{
    (void)BIO_shutdown_wr(bio_of(transport));
}

void tls_pair_open(struct tls_pair *pair, struct tls_context *client, struct tls_context *server,
                   const char *server_name, const char *client_alpn, const char *server_alpn,
                   size_t buffer_bytes)
{
    BIO *client_end = NULL;
    BIO *server_end = NULL;

    memset(pair, 0, sizeof *pair);
    pair->client_status = pair->server_status = AFAR_EAGAIN;
    assert_int_equal(BIO_new_bio_pair(&client_end, buffer_bytes, &server_end, buffer_bytes), 1);
    assert_int_equal(transport_tls_over(&pair->client, client, -1, client_end, client_end,
                                        server_name, client_alpn, &pair->client_err),
                     AFAR_OK);
    assert_int_equal(transport_tls_over(&pair->server, server, -1, server_end, server_end, NULL,
                                        server_alpn, &pair->server_err),
                     AFAR_OK);
}

static void step(struct transport *transport, enum afar_status *status, struct afar_error *err)
{
    if (*status != AFAR_EAGAIN)
        return;
    *status = transport_handshake(transport, err);
    if (*status != AFAR_EAGAIN && *status != AFAR_OK)
        tls_pair_cut(transport);
}

void tls_pair_open_sockets(struct tls_pair *pair, struct tls_context *client,
                           struct tls_context *server)
{
    int ends[2];

    memset(pair, 0, sizeof *pair);
    pair->client_status = pair->server_status = AFAR_EAGAIN;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(
        transport_tls_client_new(&pair->client, client, ends[0], "localhost", TLS_ALPN_AFAR, NULL),
        AFAR_OK);
    assert_int_equal(transport_tls_server_new(&pair->server, server, ends[1], TLS_ALPN_AFAR, NULL),
                     AFAR_OK);
    assert_int_equal(transport_fd(pair->client), ends[0]);
}

void tls_pair_handshake(struct tls_pair *pair)
{
    char byte = 0;
    size_t received = 0;

    for (int i = 0; i < TLS_PAIR_STEPS; i++) {
        step(pair->client, &pair->client_status, &pair->client_err);
        step(pair->server, &pair->server_status, &pair->server_err);
        if (pair->client_status != AFAR_OK && pair->client_status != AFAR_EAGAIN &&
            pair->server_status != AFAR_EAGAIN)
            break;
        if (pair->client_status != AFAR_OK)
            continue;
        /* The client is done; the server may still refuse it, and has a ticket to send. */
        if (pair->server_status == AFAR_OK)
            break;
        enum afar_status status =
            transport_recv(pair->client, &byte, sizeof byte, &received, &pair->client_err);
        if (status != AFAR_EAGAIN)
            pair->client_status = status;
    }
}

void tls_pair_exchange(struct transport *from, struct transport *to, size_t size)
{
    uint8_t *sent = malloc(size);
    uint8_t *received = calloc(1, size);
    size_t sent_size = 0;
    size_t received_size = 0;

    assert_non_null(sent);
    assert_non_null(received);
    for (size_t i = 0; i < size; i++)
        sent[i] = (uint8_t)(i * 7 + i / 251);
    for (int i = 0; i < TLS_PAIR_STEPS && received_size < size; i++) {
        struct afar_error err;
        size_t count = 0;
        enum afar_status status = AFAR_OK;
        if (sent_size < size) {
            status = transport_send(from, sent + sent_size, size - sent_size, &count, &err);
            if (status != AFAR_OK && status != AFAR_EAGAIN)
                fail_msg("send: %s", err.message);
            sent_size += count;
        }
        status = transport_recv(to, received + received_size, size - received_size, &count, &err);
        if (status != AFAR_OK && status != AFAR_EAGAIN)
            fail_msg("recv: %s", err.message);
        received_size += count;
    }
    assert_int_equal(received_size, size);
    assert_memory_equal(sent, received, size);
    free(sent);
    free(received);
}

void tls_pair_close(struct tls_pair *pair)
{
    transport_free(pair->client);
    transport_free(pair->server);
    pair->client = pair->server = NULL;
}
