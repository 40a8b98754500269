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

/* What the wrapped calls do; each thread has its own. */
static _Thread_local struct {
    int interrupt;     /* that many calls are interrupted first */
    size_t most_bytes; /* 0: no bound */
    int send_errno;
    int recv_errno;
    int sends; /* counted */
    int receives;
} weather;

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    weather.receives++;
    if (weather.recv_errno != 0) {
        errno = weather.recv_errno;
        return -1;
    }
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
    weather.sends++;
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

/* ---- Over sockets ---------------------------------------------------------------------------- */

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

    tls_pair_open_sockets(&pair, client, server_context);
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

    tls_pair_open_sockets(&pair, client, server_context);
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

static void fill(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
}

/* A frame's worth of records is one system call on each side. */
static void test_records_travel_together(void **state)
{
    (void)state;
    static uint8_t data[TLS_BATCH_BYTES + 100];
    static uint8_t got[sizeof data];
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    size_t sent = 0;
    size_t total = 0;

    tls_pair_open_sockets(&pair, client, server_context);
    int size = 1 << 20;
    assert_int_equal(
        setsockopt(transport_fd(pair.server), SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 10);
    fill(data, sizeof data);
    memset(&weather, 0, sizeof weather);
    assert_int_equal(transport_send(pair.server, data, sizeof data, &sent, NULL), AFAR_OK);
    assert_int_equal(sent, TLS_BATCH_BYTES);
    assert_int_equal(weather.sends, 1);
    while (total < sent) {
        size_t some = 0;
        bool pending = transport_pending(pair.client);
        assert_true(pending || total == 0 || weather.receives > 0);
        assert_int_equal(transport_recv(pair.client, got + total, sizeof got - total, &some, NULL),
                         AFAR_OK);
        total += some;
    }
    assert_memory_equal(got, data, sent);
    assert_in_range(weather.receives, 1, TLS_BATCH_RECORDS);
    memset(&weather, 0, sizeof weather);
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* The socket takes a part of the records: they wait, and are sent once and in order, whatever else
 * happens meanwhile. */
static void test_records_that_wait(void **state)
{
    (void)state;
    enum { TOTAL = 5 * TLS_BATCH_BYTES };
    static uint8_t data[TOTAL];
    static uint8_t got[TOTAL];
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    struct afar_error err;
    size_t sent_bytes = 0;
    size_t got_bytes = 0;
    unsigned waits = 0;

    tls_pair_open_sockets(&pair, client, server_context);
    int size = 4096;
    assert_int_equal(
        setsockopt(transport_fd(pair.server), SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 10);
    fill(data, sizeof data);
    weather.most_bytes = 1000;
    while (got_bytes < TOTAL) {
        size_t some = 0;
        enum afar_status status = AFAR_OK;
        if (sent_bytes < TOTAL) {
            status =
                transport_send(pair.server, data + sent_bytes, TOTAL - sent_bytes, &some, &err);
            sent_bytes += some;
        }
        if (status == AFAR_EAGAIN) {
            waits++;
            assert_int_equal(some, 0);
            assert_int_equal(transport_send_events(pair.server), POLLOUT);
            assert_int_equal(transport_send(pair.server, data + sent_bytes, 1, &some, &err),
                             AFAR_EBUG);
            tls_pair_exchange(pair.client, pair.server, 10); /* the other direction goes on */
        }
        assert_int_not_equal(status, AFAR_EBUG);
        if (transport_recv(pair.client, got + got_bytes, TOTAL - got_bytes, &some, &err) == AFAR_OK)
            got_bytes += some;
        else
            assert_int_equal(err.code, AFAR_EAGAIN);
    }
    assert_true(waits > 10);
    assert_memory_equal(got, data, TOTAL);
    memset(&weather, 0, sizeof weather);
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* A goodbye while records wait comes behind them, and does not wait itself. */
static void test_a_goodbye_behind_records_that_wait(void **state)
{
    (void)state;
    static uint8_t data[TLS_BATCH_BYTES];
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    size_t count = 0;

    tls_pair_open_sockets(&pair, client, server_context);
    int size = 4096;
    assert_int_equal(
        setsockopt(transport_fd(pair.server), SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    shake_hands(&pair);
    assert_int_equal(transport_send(pair.server, data, sizeof data, &count, NULL), AFAR_EAGAIN);
    transport_shutdown(pair.server);
    struct afar_error err;
    enum afar_status status = AFAR_OK;
    while (status == AFAR_OK)
        status = transport_recv(pair.client, data, sizeof data, &count, &err);
    assert_int_equal(status, AFAR_ECLOSED);
    tls_pair_close(&pair);
    tls_context_free(client);
}

/* A record and a half have come: what is there is given, and the rest is waited for, not spun for.
 */
static void test_half_a_record_is_waited_for(void **state)
{
    (void)state;
    static uint8_t data[30000];
    struct tls_context *client = new_client_context();
    struct tls_pair pair;
    size_t count = 0;
    size_t total = 0;

    tls_pair_open_sockets(&pair, client, server_context);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 10);
    assert_int_equal(transport_send(pair.server, data, sizeof data, &count, NULL), AFAR_OK);
    weather.most_bytes = 20000; /* all of the first record and some of the second */
    assert_int_equal(transport_recv(pair.client, data, sizeof data, &count, NULL), AFAR_OK);
    total += count;
    weather.recv_errno = EAGAIN; /* and no more than that */
    assert_true(transport_pending(pair.client));
    assert_int_equal(transport_recv(pair.client, data, sizeof data, &count, NULL), AFAR_EAGAIN);
    assert_false(transport_pending(pair.client));
    memset(&weather, 0, sizeof weather);
    assert_int_equal(transport_recv(pair.client, data, sizeof data, &count, NULL), AFAR_OK);
    assert_int_equal(total + count, sizeof data);
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

    tls_pair_open_sockets(&pair, client, server_context);
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

    tls_pair_open_sockets(&pair, client, server_context);
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

    tls_pair_open_sockets(&pair, client, server_context);
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
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                         0);
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

    tls_pair_open_sockets(&pair, client, server);
    tls_context_free(client);
    tls_context_free(server);
    shake_hands(&pair);
    tls_pair_exchange(pair.server, pair.client, 100);
    tls_pair_close(&pair);
}

/* ---- Threads: one pair of contexts for all --------------------------------------------------- */

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
            tls_pair_open_sockets(&pair, client, server_context);
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
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_interrupted_and_short_calls),
        cmocka_unit_test(test_records_travel_together),
        cmocka_unit_test(test_records_that_wait),
        cmocka_unit_test(test_a_goodbye_behind_records_that_wait),
        cmocka_unit_test(test_half_a_record_is_waited_for),
        cmocka_unit_test(test_a_refusal_is_told_although_sending_fails),
        cmocka_unit_test(test_what_has_come_can_be_read_after_a_broken_pipe),
        cmocka_unit_test(test_system_errors_keep_their_number),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_a_context_may_go_before_its_transports),
        cmocka_unit_test(test_contexts_are_shared_by_threads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
