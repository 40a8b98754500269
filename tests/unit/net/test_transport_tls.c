// wrap: malloc calloc realloc strdup recv send
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/alloc_fault.h"
#include "support/tls_pair.h"

static struct test_certs certs;
static struct tls_context *server_context;

/* What the wrapped calls do, for tests of one thread. */
static struct {
    int interrupt;     /* that many calls are interrupted first */
    size_t most_bytes; /* 0: no bound */
    int send_errno;
} weather;

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    if (weather.interrupt > 0) {
        weather.interrupt--;
        errno = EINTR;
        return -1;
    }
    if (weather.most_bytes != 0 && size > weather.most_bytes)
        size = weather.most_bytes;
    return __real_recv(fd, data, size, flags);
}

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    if (weather.send_errno != 0) {
        errno = weather.send_errno;
        return -1;
    }
    if (weather.interrupt > 0) {
        weather.interrupt--;
        errno = EINTR;
        return -1;
    }
    if (weather.most_bytes != 0 && size > weather.most_bytes)
        size = weather.most_bytes;
    return __real_send(fd, data, size, flags);
}

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    server_context = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_free(server_context);
    test_certs_remove(&certs);
    return 0;
}

static struct tls_context *new_client_context(void)
{
    return tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
}

static void shake_hands(struct tls_pair *pair)
{
    tls_pair_handshake(pair);
    if (pair->client_status != AFAR_OK)
        fail_msg("client: %s", pair->client_err.message);
    if (pair->server_status != AFAR_OK)
        fail_msg("server: %s", pair->server_err.message);
}

/* ---- Over memory ---- */

static void test_works_through_buffers_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 5, 17, 200, 4096, 65536};
    struct tls_context *client = new_client_context();

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct tls_pair pair;
        tls_pair_open(&pair, client, server_context, "localhost", TLS_ALPN_AFAR, TLS_ALPN_AFAR,
                      sizes[i]);
        assert_int_equal(transport_fd(pair.client), -1);
        shake_hands(&pair);
        assert_int_equal(transport_handshake(pair.client, NULL), AFAR_OK); /* again and again */
        assert_string_equal(transport_alpn(pair.client), "afar/1");
        assert_string_equal(transport_alpn(pair.server), "afar/1");
        tls_pair_exchange(pair.client, pair.server, 1);
        tls_pair_exchange(pair.server, pair.client, 1);
        tls_pair_exchange(pair.client, pair.server, 50000);
        tls_pair_exchange(pair.server, pair.client, 50000);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
}

/* What a wait is for: the client has said hello and waits for an answer; a full buffer is waited
 * for by POLLOUT, although it was a handshake that wanted to read. */
static void test_events_name_what_is_waited_for(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    assert_int_equal(transport_handshake(pair.client, NULL), AFAR_EAGAIN);
    assert_int_equal(transport_recv_events(pair.client), POLLIN);
    assert_int_equal(transport_send_events(pair.client), POLLIN);
    shake_hands(&pair);
    assert_int_equal(transport_recv_events(pair.client), POLLIN);
    assert_int_equal(transport_send_events(pair.client), POLLOUT);
    tls_pair_close(&pair);

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 20);
    assert_int_equal(transport_handshake(pair.client, NULL), AFAR_EAGAIN);
    assert_int_equal(transport_recv_events(pair.client), POLLOUT);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_peers_are_known_by_their_certificates(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct identity identity;
    struct tls_pair pair;
    int64_t now = (int64_t)time(NULL);

    tls_pair_open(&pair, client, server_context, "127.0.0.1", NULL, NULL, 4096);
    transport_identity(pair.server, &identity);
    assert_int_equal(identity.kind, IDENTITY_ANONYMOUS); /* nobody, before the handshake */
    assert_string_equal(transport_alpn(pair.server), "");
    assert_false(transport_resumed(pair.server));
    shake_hands(&pair);
    transport_identity(pair.server, &identity);
    assert_int_equal(identity.kind, IDENTITY_CERTIFICATE);
    assert_string_equal(identity.name, "CN=tester");
    assert_in_range(identity.expires_at, now + 86400, now + 2 * 86400 + 60); /* the leaf's */
    transport_identity(pair.client, &identity);
    assert_int_equal(identity.kind, IDENTITY_CERTIFICATE);
    assert_string_equal(identity.name, "localhost");
    assert_true(identity.expires_at > now + 3000L * 86400);
    assert_string_equal(transport_alpn(pair.client), "");
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_server_names(void **state)
{
    (void)state;
    static const char *const good[] = {"localhost", "LOCALHOST", "localhost.",
                                       "127.0.0.1", "::1",       "::1%lo"};
    static const char *const none[] = {"", ".", ".localhost", "%lo"};
    struct tls_context *client = new_client_context();

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct tls_pair pair;
        tls_pair_open(&pair, client, server_context, good[i], NULL, NULL, 4096);
        shake_hands(&pair);
        tls_pair_close(&pair);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct transport *transport = NULL;
        struct afar_error err;
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(transport_tls_over(&transport, client, -1, bio, bio, none[i], NULL, &err),
                         AFAR_EINVAL);
        assert_null(transport);
    }
    tls_context_free(client);
}

static void test_chains_may_have_an_intermediate(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER_CHAIN, TEST_CA);
    struct tls_pair pair;

    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);

    /* Only the intermediate is trusted: what it has issued is good, what its own CA has is not. */
    client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_INTERMEDIATE);
    server = tls_pair_server_context(&certs, TEST_SERVER_CHAIN, TEST_CA);
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_close(&pair);
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_ETRUST);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_tls12_where_asked_for(void **state)
{
    (void)state;
    struct tls_server_options options = {.cert_file = certs.cert[TEST_SERVER],
                                         .key_file = certs.key[TEST_SERVER],
                                         .client_ca_file = certs.cert[TEST_CA],
                                         .allow_tls12 = true};
    struct tls_context *client = new_client_context();
    struct tls_context *server = NULL;
    struct tls_pair pair;

    assert_int_equal(tls_context_server_new(&server, &options, NULL), AFAR_OK);
    assert_int_equal(SSL_CTX_set_min_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(client->ssl_ctx, TLS1_2_VERSION), 1);
    for (int i = 0; i < 2; i++) {
        struct identity identity;
        tls_pair_open(&pair, client, server, "localhost", TLS_ALPN_AFAR, TLS_ALPN_AFAR, 200);
        shake_hands(&pair);
        assert_int_equal(transport_resumed(pair.server), i > 0);
        transport_identity(pair.server, &identity);
        assert_string_equal(identity.name, "CN=tester");
        assert_true(identity.expires_at > (int64_t)time(NULL));
        tls_pair_exchange(pair.client, pair.server, 40000);
        tls_pair_exchange(pair.server, pair.client, 40000);
        tls_pair_close(&pair);
    }
    tls_context_free(client);
    tls_context_free(server);
}

static void test_pending_bytes_are_told(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    char data[1000];
    size_t count = 0;

    memset(data, 'x', sizeof data);
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    assert_false(transport_pending(pair.server));
    assert_int_equal(transport_send(pair.client, data, sizeof data, &count, NULL), AFAR_OK);
    assert_int_equal(count, sizeof data);
    assert_int_equal(transport_recv(pair.server, data, 10, &count, NULL), AFAR_OK);
    assert_int_equal(count, 10);
    assert_true(transport_pending(pair.server));
    assert_int_equal(transport_recv(pair.server, data, sizeof data, &count, NULL), AFAR_OK);
    assert_int_equal(count, 990);
    assert_false(transport_pending(pair.server));
    assert_int_equal(transport_recv(pair.server, data, sizeof data, &count, NULL), AFAR_EAGAIN);
    assert_int_equal(count, 0);
    assert_int_equal(transport_recv_events(pair.server), POLLIN);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_goodbye_leaves_the_other_direction_open(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char byte = 0;
    size_t count = 0;

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 1); /* with the ticket */
    transport_shutdown(pair.client);
    assert_int_equal(transport_recv(pair.server, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_string_equal(err.message, "the peer has closed the connection");
    assert_int_equal(transport_recv(pair.server, &byte, 1, &count, &err), AFAR_ECLOSED);
    tls_pair_exchange(pair.server, pair.client, 1000);
    assert_int_equal(transport_send(pair.client, "x", 1, &count, &err), AFAR_ECLOSED);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_a_cut_is_a_disconnect(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char byte = 0;
    size_t count = 0;

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 10);
    tls_pair_cut(pair.server);
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_string_equal(err.message, "the peer has closed the connection");
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_ECLOSED);
    transport_shutdown(pair.client);
    tls_pair_close(&pair);

    /* Before anything was heard, the reason may be in the server's log. */
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    tls_pair_cut(pair.server);
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_ECLOSED);
    tls_pair_assert_line(&err, "right after the TLS handshake");
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* Every place in the handshake at which the peer can vanish. */
static void test_a_peer_that_vanishes_in_mid_handshake(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    bool finished = false;
    int rounds = 0;

    for (int steps = 0; !finished && steps < 1000; steps++, rounds++) {
        struct tls_pair pair;
        tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 64);
        for (int i = 0; i < steps; i++) {
            char byte = 0;
            size_t count = 0;
            pair.client_status = transport_handshake(pair.client, &pair.client_err);
            pair.server_status = transport_handshake(pair.server, &pair.server_err);
            if (pair.client_status == AFAR_OK) /* take the ticket, or the server is never done */
                (void)transport_recv(pair.client, &byte, 1, &count, NULL);
        }
        finished = pair.client_status == AFAR_OK && pair.server_status == AFAR_OK;
        if (!finished) {
            tls_pair_cut(pair.client);
            for (int i = 0; i < 100 && pair.server_status == AFAR_EAGAIN; i++)
                pair.server_status = transport_handshake(pair.server, &pair.server_err);
            if (pair.server_status == AFAR_ECLOSED)
                tls_pair_assert_line(&pair.server_err, "the client closed the connection during");
            else /* it can still be busy sending into a full buffer that nobody reads */
                assert_true(pair.server_status == AFAR_EAGAIN || pair.server_status == AFAR_OK);
        }
        tls_pair_close(&pair);
    }
    assert_true(finished);
    assert_true(rounds > 10);
    tls_context_free(client);
}

/* A send that did not fit is repeated with the same bytes, from wherever they are then. */
static void test_a_repeated_send_may_move(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char here[500];
    char there[600];
    char received[600];
    size_t count = 0;
    size_t got = 0;

    for (size_t i = 0; i < sizeof here; i++)
        here[i] = (char)i;
    memset(there, '!', sizeof there);
    memcpy(there, here, sizeof here);

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 100);
    shake_hands(&pair);
    assert_int_equal(transport_send(pair.client, here, sizeof here, &count, &err), AFAR_EAGAIN);
    assert_int_equal(count, 0);
    assert_int_equal(transport_send_events(pair.client), POLLOUT);
    memset(here, 0, sizeof here);
    for (int i = 0; i < 100 && got < sizeof here; i++) {
        size_t part = 0;
        if (count == 0)
            (void)transport_send(pair.client, there, sizeof there, &count, &err);
        (void)transport_recv(pair.server, received + got, sizeof received - got, &part, &err);
        got += part;
    }
    assert_int_equal(count, 500); /* what had been encrypted, not the 100 that were added */
    assert_int_equal(got, 500);
    assert_memory_equal(received, there, 500);

    /* With fewer bytes, it is our mistake. */
    assert_int_equal(transport_send(pair.client, there, sizeof there, &count, &err), AFAR_EAGAIN);
    assert_int_equal(transport_send(pair.client, there, 10, &count, &err), AFAR_EBUG);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_garbage_after_the_handshake(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char byte = 0;
    size_t count = 0;

    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    BIO *bio = SSL_get_wbio(((struct transport_tls *)(void *)pair.client)->ssl);
    assert_int_equal(BIO_write(bio,
                               "\x17\x03\x03\x00\x20"
                               "0123456789abcdef0123456789abcdef",
                               37),
                     37);
    assert_int_equal(transport_recv(pair.server, &byte, 1, &count, &err), AFAR_EPEER);
    tls_pair_assert_line(&err, "the client broke the TLS protocol (");
    assert_int_equal(transport_recv(pair.server, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_int_equal(transport_send(pair.server, &byte, 1, &count, &err), AFAR_ECLOSED);
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_EPEER);
    tls_pair_assert_line(&err, "bad record mac");
    transport_shutdown(pair.server); /* must not touch OpenSSL any more */
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_misuse(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct transport *transport = NULL;
    struct tls_pair pair;
    char byte = 0;
    size_t count = 0;

    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(transport_tls_over(&transport, client, -1, bio, bio, NULL, NULL, NULL),
                     AFAR_EBUG);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(
        transport_tls_over(&transport, server_context, -1, bio, bio, "localhost", NULL, NULL),
        AFAR_EBUG);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(transport_tls_over(&transport, client, -1, bio, bio, "localhost", "", NULL),
                     AFAR_EBUG);
    tls_pair_open(&pair, client, server_context, "localhost", NULL, NULL, 4096);
    shake_hands(&pair);
    assert_int_equal(transport_recv(pair.client, &byte, 0, &count, NULL), AFAR_EBUG);
    assert_int_equal(transport_send(pair.client, &byte, 0, &count, NULL), AFAR_EBUG);
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* ---- Over sockets ---- */

static void socket_pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
}

static void open_over_sockets(struct tls_pair *pair, struct tls_context *client,
                              struct tls_context *server)
{
    int ends[2];

    memset(pair, 0, sizeof *pair);
    pair->client_status = pair->server_status = AFAR_EAGAIN;
    socket_pair(ends);
    assert_int_equal(
        transport_tls_client_new(&pair->client, client, ends[0], "localhost", TLS_ALPN_AFAR, NULL),
        AFAR_OK);
    assert_int_equal(transport_tls_server_new(&pair->server, server, ends[1], TLS_ALPN_AFAR, NULL),
                     AFAR_OK);
    assert_int_equal(transport_fd(pair->client), ends[0]);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_sockets(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    char byte = 0;
    size_t count = 0;

    open_over_sockets(&pair, client, server_context);
    shake_hands(&pair);
    tls_pair_exchange(pair.client, pair.server, 1000000);
    tls_pair_exchange(pair.server, pair.client, 1000000);
    transport_shutdown(pair.server);
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, NULL), AFAR_ECLOSED);
    int fd = transport_fd(pair.client);
    tls_pair_close(&pair);
    assert_false(is_open(fd));
    tls_context_free(client);
}

static void test_interrupted_and_short_calls(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;

    open_over_sockets(&pair, client, server_context);
    weather.most_bytes = 3;
    weather.interrupt = 5;
    shake_hands(&pair);
    weather.interrupt = 5;
    tls_pair_exchange(pair.client, pair.server, 20000);
    weather.interrupt = 5;
    tls_pair_exchange(pair.server, pair.client, 20000);
    assert_int_equal(weather.interrupt, 0);
    memset(&weather, 0, sizeof weather);
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* The client is already sending when the server has refused its certificate and gone: what counts
 * is why, not the broken pipe. */
static void test_a_refusal_is_told_although_sending_fails(void **state)
{
    (void)state;
    struct tls_context *client = tls_pair_client_context(&certs, TLS_PAIR_NONE, TEST_CA);
    enum afar_status client_status = AFAR_EAGAIN;
    enum afar_status server_status = AFAR_EAGAIN;
    struct tls_pair pair;
    struct afar_error err;
    size_t count = 0;
    char byte = 0;

    open_over_sockets(&pair, client, server_context);
    for (int i = 0; i < 10 && (client_status == AFAR_EAGAIN || server_status == AFAR_EAGAIN); i++) {
        if (client_status == AFAR_EAGAIN)
            client_status = transport_handshake(pair.client, &err);
        if (server_status == AFAR_EAGAIN)
            server_status = transport_handshake(pair.server, NULL);
    }
    assert_int_equal(client_status, AFAR_OK);
    assert_int_equal(server_status, AFAR_ETRUST);
    transport_free(pair.server);
    pair.server = NULL;
    assert_int_equal(transport_send(pair.client, "x", 1, &count, &err), AFAR_ETRUST);
    tls_pair_assert_line(&err, "the server requires a client certificate (use --cert and --key)");
    assert_int_equal(transport_recv(pair.client, &byte, 1, &count, &err), AFAR_ECLOSED);
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* A broken pipe alone takes nothing away from what has already come; and no SIGPIPE, whose default
 * would end this test. */
static void test_what_has_come_can_be_read_after_a_broken_pipe(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    char data[16] = "";
    size_t count = 0;

    open_over_sockets(&pair, client, server_context);
    shake_hands(&pair);
    assert_int_equal(transport_send(pair.server, "last words", 10, &count, &err), AFAR_OK);
    transport_free(pair.server);
    pair.server = NULL;
    assert_int_equal(transport_send(pair.client, "x", 1, &count, &err), AFAR_ECLOSED);
    assert_int_equal(err.sys_errno, EPIPE);
    assert_int_equal(transport_send(pair.client, "x", 1, &count, &err), AFAR_ECLOSED);
    transport_shutdown(pair.client);
    assert_int_equal(transport_recv(pair.client, data, sizeof data, &count, &err), AFAR_OK);
    assert_int_equal(count, 10);
    assert_memory_equal(data, "last words", 10);
    assert_int_equal(transport_recv(pair.client, data, sizeof data, &count, &err), AFAR_ECLOSED);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_system_errors_keep_their_number(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    size_t count = 0;

    open_over_sockets(&pair, client, server_context);
    shake_hands(&pair);
    weather.send_errno = ENOBUFS;
    assert_int_equal(transport_send(pair.client, "x", 1, &count, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ENOBUFS);
    weather.send_errno = 0;
    assert_int_equal(transport_send(pair.client, "x", 1, &count, &err), AFAR_ECLOSED);
    tls_pair_close(&pair);
    tls_context_free(client);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    int rounds = 0;

    for (int n = 1;; n++, rounds++) {
        struct transport *transport = NULL;
        struct afar_error err;
        int ends[2];
        socket_pair(ends);
        alloc_fault_arm(n);
        enum afar_status status =
            transport_tls_client_new(&transport, client, ends[0], "localhost", TLS_ALPN_AFAR, &err);
        bool fired = alloc_fault_fired();
        assert_int_equal(status, fired ? AFAR_ENOMEM : AFAR_OK);
        assert_int_equal(is_open(ends[0]), !fired); /* moved, also where it fails */
        transport_free(transport);
        assert_false(is_open(ends[0]));
        (void)close(ends[1]);
        if (!fired)
            break;
    }
    assert_true(rounds >= 3); /* the transport, its name, its protocol */
    tls_context_free(client);
}

static void test_a_context_may_go_before_its_transports(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;

    open_over_sockets(&pair, client, server);
    tls_context_free(client);
    tls_context_free(server);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 100);
    tls_pair_close(&pair);
}

/* ---- Threads: one pair of contexts for all ---- */

enum { THREADS = 4, CONNECTIONS = 5 };

struct visit {
    struct transport *transport;
    bool echoes;
    enum afar_status status;
};

static void *visit(void *argument)
{
    struct visit *visit = argument;
    int64_t deadline_ms = clock_deadline_ms(30000);
    char data[1000];
    struct afar_error err;

    memset(data, 'v', sizeof data);
    if (!visit->echoes)
        visit->status = transport_sendall(visit->transport, data, sizeof data, deadline_ms, &err);
    if (visit->echoes || visit->status == AFAR_OK)
        visit->status = transport_recvall(visit->transport, data, sizeof data, deadline_ms, &err);
    if (visit->echoes && visit->status == AFAR_OK)
        visit->status = transport_sendall(visit->transport, data, sizeof data, deadline_ms, &err);
    return NULL;
}

static void test_contexts_are_shared_by_threads(void **state)
{
    (void)state;
    struct tls_context *client = new_client_context();
    int resumed = 0;

    for (int round = 0; round < CONNECTIONS; round++) {
        struct visit visits[2 * THREADS];
        pthread_t threads[2 * THREADS];
        for (int i = 0; i < THREADS; i++) {
            struct tls_pair pair;
            open_over_sockets(&pair, client, server_context);
            visits[2 * i] = (struct visit){.transport = pair.client};
            visits[2 * i + 1] = (struct visit){.transport = pair.server, .echoes = true};
        }
        for (int i = 0; i < 2 * THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, visit, &visits[i]), 0);
        for (int i = 0; i < 2 * THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (int i = 0; i < 2 * THREADS; i++) {
            assert_int_equal(visits[i].status, AFAR_OK);
            resumed += transport_resumed(visits[i].transport) ? 1 : 0;
            transport_free(visits[i].transport);
        }
    }
    /* Each round but the first finds the one ticket for this name. */
    assert_int_equal(resumed, 2 * (CONNECTIONS - 1));
    tls_context_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works_through_buffers_of_any_size),
        cmocka_unit_test(test_events_name_what_is_waited_for),
        cmocka_unit_test(test_peers_are_known_by_their_certificates),
        cmocka_unit_test(test_server_names),
        cmocka_unit_test(test_chains_may_have_an_intermediate),
        cmocka_unit_test(test_tls12_where_asked_for),
        cmocka_unit_test(test_pending_bytes_are_told),
        cmocka_unit_test(test_goodbye_leaves_the_other_direction_open),
        cmocka_unit_test(test_a_cut_is_a_disconnect),
        cmocka_unit_test(test_a_peer_that_vanishes_in_mid_handshake),
        cmocka_unit_test(test_a_repeated_send_may_move),
        cmocka_unit_test(test_garbage_after_the_handshake),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_interrupted_and_short_calls),
        cmocka_unit_test(test_a_refusal_is_told_although_sending_fails),
        cmocka_unit_test(test_what_has_come_can_be_read_after_a_broken_pipe),
        cmocka_unit_test(test_system_errors_keep_their_number),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_a_context_may_go_before_its_transports),
        cmocka_unit_test(test_contexts_are_shared_by_threads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
