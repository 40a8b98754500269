// wrap: clock_now_ms
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "support/hello.h"
#include "support/custom_cert.h"
#include "support/tls_pair.h"

enum {
    HELLO_BYTES_MAX = 16384, /* as tls/guard.c has it */
    LATER_UPDATES = 64,      /* changes of keys in a minute: each is a message and a record */
    TURN_RECORDS = 256
};

static struct test_certs certs;
static struct tls_context *server;
static struct tls_context *client;
static struct hello hello;
static uint8_t bytes[2 * HELLO_MAX_BYTES];
static int64_t skew_ms;
static size_t largest_block; /* that OpenSSL has asked for */

int64_t __real_clock_now_ms(void);
int64_t __wrap_clock_now_ms(void);
int64_t __wrap_clock_now_ms(void)
{
    return __real_clock_now_ms() + skew_ms;
}

static void note_block(size_t size)
{
    largest_block = size > largest_block ? size : largest_block;
}

static void *take_block(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    note_block(size);
    return size > 0 ? malloc(size) : NULL;
}

static void *resize_block(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    note_block(size);
    if (size > 0)
        return realloc(block, size);
    free(block);
    return NULL;
}

static void free_block(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    free(block);
}

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_free(client);
    tls_context_free(server);
    test_certs_remove(&certs);
    return 0;
}

static SSL *ssl_of(struct transport *transport)
{
    return ((struct transport_tls *)(void *)transport)->ssl;
}

/* ---- What a hello claims --------------------------------------------------------------------- */

/* One end over memory: what is put into `from` comes from its peer. */
struct stranger {
    struct transport *transport;
    BIO *from;
    BIO *to;
    enum afar_status status;
    struct afar_error err;
};

static void meet(struct stranger *it, struct tls_context *context)
{
    const char *name = context->is_server ? NULL : "localhost";
    const char *alpn = TLS_ALPN_AFAR; /* as the hellos of support/hello.h have it */
    *it = (struct stranger){.from = BIO_new(BIO_s_mem()), .to = BIO_new(BIO_s_mem())};
    assert_non_null(it->from);
    assert_non_null(it->to);
    (void)BIO_set_mem_eof_return(it->from, -1);
    assert_int_equal(
        transport_tls_over(&it->transport, context, -1, it->from, it->to, name, alpn, &it->err),
        AFAR_OK);
    it->status = transport_handshake(it->transport, &it->err);
    assert_int_equal(it->status, AFAR_EAGAIN);
}

static void give(struct stranger *it, const void *data, size_t size)
{
    assert_int_equal(BIO_write(it->from, data, (int)size), (int)size);
    for (int i = 0; i < 10 && it->status == AFAR_EAGAIN && BIO_pending(it->from) > 0; i++)
        it->status = transport_handshake(it->transport, &it->err);
}

static void expect_refused(struct stranger *it)
{
    uint8_t alert[7];
    assert_int_equal(it->status, AFAR_EPEER);
    tls_pair_assert_line(&it->err, "the client announces a TLS hello of more than 16 KiB");
    if (BIO_pending(it->to) == sizeof alert) { /* it has said nothing before */
        assert_int_equal(BIO_read(it->to, alert, sizeof alert), sizeof alert);
        assert_memory_equal(alert, "\x15\x03\x03\x00\x02\x02\x2f", sizeof alert);
    }
    transport_free(it->transport);
}

/* The head of a handshake message, in records that have its bytes as `sizes` says. */
static size_t put_head(size_t claimed, const size_t *sizes)
{
    const uint8_t head[] = {1, (uint8_t)(claimed >> 16), (uint8_t)(claimed >> 8), (uint8_t)claimed};
    size_t used = 0;
    for (size_t at = 0; at < sizeof head; at += *sizes++) {
        const uint8_t record[] = {22, 3, 1, 0, (uint8_t)*sizes};
        memcpy(bytes + used, record, sizeof record);
        memcpy(bytes + used + sizeof record, head + at, *sizes);
        used += sizeof record + *sizes;
    }
    return used;
}

static void test_a_claim_is_refused_before_memory_is_taken(void **state)
{
    (void)state;
    static const size_t cuts[][4] = {{4}, {1, 3}, {2, 2}, {3, 1}, {1, 1, 1, 1}, {1, 2, 1}};
    static const size_t claims[] = {HELLO_BYTES_MAX + 1, 65536, 131000, 131396, 0xFFFFFF};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        for (size_t cut = 0; cut < sizeof cuts / sizeof cuts[0]; cut++) {
            struct stranger it;
            size_t size = put_head(claims[i], cuts[cut]);
            meet(&it, server);
            largest_block = 0;
            for (size_t at = 0; at < size; at++) /* byte by byte, as they may come */
                give(&it, bytes + at, 1);
            assert_in_range(largest_block, 0, 20000);
            expect_refused(&it);
        }
    }
}

static void test_what_is_within_is_taken(void **state)
{
    (void)state;
    static const size_t whole[] = {4};
    struct stranger it;
    size_t size = put_head(HELLO_BYTES_MAX, whole);
    meet(&it, server);
    largest_block = 0;
    give(&it, bytes, size);
    assert_int_equal(it.status, AFAR_EAGAIN);
    assert_in_range(largest_block, HELLO_BYTES_MAX, 24 * 1024);
    transport_free(it.transport);
}

static void make_hello(bool with_share, size_t padding)
{
    const uint16_t group = HELLO_X25519;
    hello_begin(&hello, 0, 0);
    hello_groups(&hello, &group, 1, 0);
    hello_shares_begin(&hello);
    if (with_share)
        hello_share(&hello, HELLO_X25519, NULL, 32);
    hello_shares_end(&hello);
    if (padding > 0)
        hello_unknown(&hello, 1000, padding);
    hello_end(&hello);
}

static void test_a_long_hello(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct stranger it;
        make_hello(true, 0);
        make_hello(true, HELLO_BYTES_MAX - (hello.size - 4) - 4 + more);
        assert_int_equal(hello.size - 4, HELLO_BYTES_MAX + more);
        size_t size = hello_records(&hello, 8192, bytes, sizeof bytes);
        meet(&it, server);
        give(&it, bytes, size);
        if (more > 0) {
            expect_refused(&it);
            continue;
        }
        assert_int_equal(it.status, AFAR_EAGAIN);
        assert_true(BIO_pending(it.to) > 500); /* it has been answered */
        transport_free(it.transport);
    }
}

/* The server has asked for a second hello, with a key of a group that it knows: that one is read
 * with the same care, whatever comes between. */
static void test_a_claim_in_the_second_hello(void **state)
{
    (void)state;
    static const uint8_t change[] = {20, 3, 3, 0, 1, 1};
    static const size_t cut[] = {1, 3};
    for (int between = 0; between < 2; between++) {
        struct stranger it;
        make_hello(false, 0);
        size_t size = hello_records(&hello, 8192, bytes, sizeof bytes);
        meet(&it, server);
        give(&it, bytes, size);
        assert_int_equal(it.status, AFAR_EAGAIN);
        assert_true(BIO_pending(it.to) > 0);
        if (between > 0)
            give(&it, change, sizeof change);
        assert_int_equal(it.status, AFAR_EAGAIN);
        largest_block = 0;
        size = put_head(131000, cut);
        give(&it, bytes, size);
        assert_in_range(largest_block, 0, 20000);
        expect_refused(&it);
    }
}

/* The next message that a client chooses the length of. */
static void test_a_claim_of_certificates(void **state)
{
    (void)state;
    struct custom_cert leaf;
    struct tls_context *longwinded = NULL;
    struct tls_pair pair;
    char folder[] = "/tmp/afar-guard-XXXXXX";
    char cert[64];
    char key[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    (void)snprintf(key, sizeof key, "%s/key.pem", folder);
    for (size_t size = 15000; size < 90000; size += 35000) {
        const struct tls_client_options options = {
            .ca_file = certs.cert[TEST_CA], .cert_file = cert, .key_file = key};
        custom_cert_make(&leaf,
                         &(struct custom_cert_order){.common_names = {"x"}, .comment_bytes = size});
        custom_cert_write(&leaf, NULL, cert, key);
        custom_cert_close(&leaf);
        assert_int_equal(tls_context_client_new(&longwinded, &options, NULL), AFAR_OK);
        tls_pair_open(&pair, longwinded, server, "localhost", NULL, NULL, 300);
        while (pair.server_status == AFAR_EAGAIN) {
            (void)transport_handshake(pair.client, NULL);
            largest_block = 0;
            pair.server_status = transport_handshake(pair.server, &pair.server_err);
            assert_in_range(largest_block, 0, 24 * 1024);
        }
        if (size < 16000) { /* short enough to be judged */
            assert_int_equal(pair.server_status, AFAR_ETRUST);
            tls_pair_assert_line(&pair.server_err, "self-signed");
        } else {
            assert_int_equal(pair.server_status, AFAR_EPEER);
            tls_pair_assert_line(&pair.server_err, "certificates may have 16384 bytes "
                                                   "(tls_chain_bytes)");
        }
        tls_pair_close(&pair);
        tls_context_free(longwinded);
    }
    (void)unlink(cert);
    (void)unlink(key);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- Messages without end -------------------------------------------------------------------- */

static void open_pair(struct tls_pair *pair, struct tls_context *to)
{
    tls_pair_open(pair, client, to, "localhost", NULL, NULL, 300000);
    tls_pair_handshake(pair);
    if (pair->client_status != AFAR_OK || pair->server_status != AFAR_OK)
        fail_msg("%s / %s", pair->client_err.message, pair->server_err.message);
    tls_pair_exchange(pair->server, pair->client, 10);
}

static void update_keys(struct transport *transport, int count, int type)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(SSL_key_update(ssl_of(transport), type), 1);
        assert_int_equal(SSL_do_handshake(ssl_of(transport)), 1);
    }
}

static enum afar_status receive(struct transport *transport, struct afar_error *err)
{
    char data[64];
    size_t count = 0;
    return transport_recv(transport, data, sizeof data, &count, err);
}

/* All that one receive costs is a minute's worth, however much more lies there. */
static void test_changes_of_keys_have_an_end(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tls_pair pair;
        struct afar_error err;
        open_pair(&pair, server);
        struct transport *from = i == 0 ? pair.client : pair.server;
        struct transport *to = i == 0 ? pair.server : pair.client;
        struct tls_guard *guard = &((struct transport_tls *)(void *)to)->guard;
        /* (A server's ticket is one of them.) */
        int allowed = i == 0 ? LATER_UPDATES : LATER_UPDATES - 1;
        update_keys(from, allowed, SSL_KEY_UPDATE_NOT_REQUESTED);
        assert_int_equal(receive(to, &err), AFAR_EAGAIN);
        tls_pair_exchange(from, to, 1000); /* nothing is lost by that many */
        skew_ms += 61000;
        update_keys(from, LATER_UPDATES, SSL_KEY_UPDATE_REQUESTED);
        assert_int_equal(receive(to, &err), AFAR_EAGAIN);
        update_keys(from, 1000, SSL_KEY_UPDATE_NOT_REQUESTED);
        assert_int_equal(receive(to, &err), AFAR_EPEER);
        tls_pair_assert_line(&err, i == 0 ? "the client changes keys or sends tickets without end"
                                          : "the server changes keys or sends tickets without end");
        assert_in_range(guard->later_count, 2 * LATER_UPDATES, 2 * LATER_UPDATES + 2);
        assert_int_equal(receive(to, &err), AFAR_ECLOSED); /* and that is that */
        tls_pair_close(&pair);
    }
}

/* TLS 1.2 has no changes of keys, but hellos, each of which would be answered. */
static void test_another_handshake_is_not_begun(void **state)
{
    (void)state;
    const struct tls_server_options options = {.cert_file = certs.cert[TEST_SERVER],
                                               .key_file = certs.key[TEST_SERVER],
                                               .client_ca_file = certs.cert[TEST_CA],
                                               .allow_tls12 = true};
    struct tls_context *old = NULL;
    struct tls_context *twelve = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_pair pair;
    struct afar_error err;
    assert_int_equal(tls_context_server_new(&old, &options, NULL), AFAR_OK);
    assert_int_equal(SSL_CTX_set_min_proto_version(twelve->ssl_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(twelve->ssl_ctx, TLS1_2_VERSION), 1);
    (void)SSL_CTX_clear_options(twelve->ssl_ctx, SSL_OP_NO_RENEGOTIATION);
    tls_pair_open(&pair, twelve, old, "localhost", NULL, NULL, 300000);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_OK);
    tls_pair_exchange(pair.client, pair.server, 1000);
    assert_int_equal(SSL_renegotiate(ssl_of(pair.client)), 1);
    (void)SSL_do_handshake(ssl_of(pair.client));
    assert_int_equal(receive(pair.server, &err), AFAR_EPEER);
    tls_pair_assert_line(&err, "the client asks for another TLS handshake, which is not supported");
    tls_pair_close(&pair);
    tls_context_free(twelve);
    tls_context_free(old);
}

/* A server may say that it wants a hello, again and again, to a client that has sent one. */
static void test_requests_for_a_hello_have_an_end(void **state)
{
    (void)state;
    enum { REQUESTS = 4000 };
    struct stranger it;
    const uint8_t head[] = {22, 3, 3, (4 * REQUESTS) >> 8, (4 * REQUESTS) & 0xFF};
    memset(bytes, 0, sizeof head + 4 * REQUESTS);
    memcpy(bytes, head, sizeof head);
    meet(&it, client);
    give(&it, bytes, sizeof head + 4 * REQUESTS);
    assert_int_equal(it.status, AFAR_EPEER);
    tls_pair_assert_line(&it.err, "the server sends too many messages in its TLS handshake");
    transport_free(it.transport);
}

/* ---- Small records --------------------------------------------------------------------------- */

/* A receive takes a bounded number of them; the rest is told to be pending, and comes. */
static void test_a_receive_has_an_end(void **state)
{
    (void)state;
    enum { RECORDS = 3 * TURN_RECORDS + 7 };
    struct tls_pair pair;
    struct afar_error err;
    uint8_t data[2 * RECORDS];
    size_t total = 0;
    size_t receives = 0;
    open_pair(&pair, server);
    for (size_t i = 0; i < RECORDS; i++) {
        uint8_t byte = (uint8_t)i;
        size_t count = 0;
        assert_int_equal(transport_send(pair.client, &byte, 1, &count, &err), AFAR_OK);
    }
    for (; total < RECORDS; receives++) {
        size_t count = 0;
        assert_true(receives == 0 || transport_pending(pair.server));
        enum afar_status status =
            transport_fill(pair.server, data + total, sizeof data - total, &count, &err);
        assert_int_equal(status, AFAR_OK);
        assert_in_range(count, 1, TURN_RECORDS);
        total += count;
    }
    assert_int_equal(receives, 4);
    for (size_t i = 0; i < RECORDS; i++)
        assert_int_equal(data[i], (uint8_t)i);
    assert_int_equal(transport_fill(pair.server, data, sizeof data, &total, &err), AFAR_EAGAIN);
    assert_false(transport_pending(pair.server));
    tls_pair_close(&pair);
}

/* So does a step of the handshake: what is left is read in the next. */
static void test_a_step_has_an_end(void **state)
{
    (void)state;
    struct stranger it;
    unsigned steps = 0;
    make_hello(true, 300);
    size_t size = hello_records(&hello, 1, bytes, sizeof bytes);
    assert_in_range(hello.size, TURN_RECORDS + 1, 2 * TURN_RECORDS);
    meet(&it, server);
    assert_int_equal(BIO_write(it.from, bytes, (int)size), (int)size);
    while (BIO_pending(it.from) > 0) {
        assert_int_equal(it.status, AFAR_EAGAIN);
        it.status = transport_handshake(it.transport, &it.err);
        steps++;
    }
    assert_int_equal(steps, 2);
    assert_int_equal(it.status, AFAR_EAGAIN);
    assert_true(BIO_pending(it.to) > 500);
    transport_free(it.transport);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_claim_is_refused_before_memory_is_taken),
        cmocka_unit_test(test_what_is_within_is_taken),
        cmocka_unit_test(test_a_long_hello),
        cmocka_unit_test(test_a_claim_in_the_second_hello),
        cmocka_unit_test(test_a_claim_of_certificates),
        cmocka_unit_test(test_changes_of_keys_have_an_end),
        cmocka_unit_test(test_another_handshake_is_not_begun),
        cmocka_unit_test(test_requests_for_a_hello_have_an_end),
        cmocka_unit_test(test_a_receive_has_an_end),
        cmocka_unit_test(test_a_step_has_an_end),
    };
    /* Before OpenSSL has allocated anything. */
    if (CRYPTO_set_mem_functions(take_block, resize_block, free_block) != 1)
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
