/* What any stranger can make the server do: by one hello. Counted in the processor's time of this
 * thread, as a multiple of what a hello with an X25519 key costs, and as the least of several, so
 * that what else the machine does hardly counts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ec.h>

#include "support/hello.h"
#include "support/tls_pair.h"

enum {
    TIMES_MAX = 20,     /* X25519's cost */
    ROUNDS = 15,        /* of which the cheapest counts */
    HELLO_BYTES = 16380 /* as long as one may be, with its header */
};

static struct test_certs certs;
static struct tls_context *server;
static struct hello hello;
static uint8_t bytes[2 * HELLO_MAX_BYTES];

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_free(server);
    test_certs_remove(&certs);
    return 0;
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct outcome {
    int64_t ns;
    enum afar_status status;
    uint64_t answered; /* bytes */
    struct afar_error err;
};

/* A connection from its beginning to the server's answer to these bytes. */
static struct outcome meet(const uint8_t *data, size_t size)
{
    struct outcome outcome = {.status = AFAR_EAGAIN};
    struct transport *transport = NULL;
    BIO *from = BIO_new(BIO_s_mem());
    BIO *to = BIO_new(BIO_s_mem());
    assert_non_null(from);
    assert_non_null(to);
    (void)BIO_set_mem_eof_return(from, -1);
    assert_int_equal(BIO_write(from, data, (int)size), (int)size);
    int64_t begun_ns = cpu_ns();
    assert_int_equal(
        transport_tls_over(&transport, server, -1, from, to, NULL, TLS_ALPN_AFAR, &outcome.err),
        AFAR_OK);
    for (int i = 0; i < 100 && outcome.status == AFAR_EAGAIN; i++) {
        outcome.status = transport_handshake(transport, &outcome.err);
        if (BIO_pending(from) == 0)
            break;
    }
    outcome.ns = cpu_ns() - begun_ns;
    outcome.answered = BIO_number_written(to);
    transport_free(transport);
    return outcome;
}

/* The hello, in records of so many bytes. */
static struct outcome meet_hello(size_t piece)
{
    struct outcome least = {.ns = INT64_MAX};
    size_t size = hello_records(&hello, piece, bytes, sizeof bytes);
    for (int i = 0; i < ROUNDS; i++) {
        struct outcome outcome = meet(bytes, size);
        if (outcome.ns < least.ns)
            least = outcome;
    }
    return least;
}

static void make_x25519(void)
{
    const uint16_t group = HELLO_X25519;
    hello_begin(&hello, 0, 0);
    hello_groups(&hello, &group, 1, 0);
    hello_shares_begin(&hello);
    hello_share(&hello, HELLO_X25519, NULL, 32);
    hello_shares_end(&hello);
}

static int64_t x25519_ns(void)
{
    make_x25519();
    hello_end(&hello);
    struct outcome outcome = meet_hello(HELLO_BYTES);
    assert_int_equal(outcome.status, AFAR_EAGAIN);
    assert_true(outcome.answered > 500); /* hello, certificate, … */
    return outcome.ns;
}

/* Where it costs more, it is measured anew, in case both were not measured alike. */
static void expect_cheap(const char *what, size_t piece)
{
    static struct hello kept;
    int64_t times = 0;
    kept = hello;
    for (int i = 0; i < 5; i++) {
        int64_t unit_ns = x25519_ns();
        hello = kept;
        struct outcome outcome = meet_hello(piece);
        times = outcome.ns / unit_ns;
        if (times <= TIMES_MAX)
            return;
    }
    fail_msg("%s: %lld times as much as X25519", what, (long long)times);
}

static void put_share(const char *curve, uint16_t group, size_t size)
{
    unsigned char *point = NULL;
    if (curve == NULL) {
        hello_share(&hello, group, NULL, size);
        return;
    }
    EVP_PKEY *key = EVP_EC_gen(curve);
    assert_non_null(key);
    size = EVP_PKEY_get1_encoded_public_key(key, &point);
    hello_share(&hello, group, point, size);
    OPENSSL_free(point);
    EVP_PKEY_free(key);
}

static void test_groups(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *curve;
        uint16_t group;
        uint16_t size;
        bool taken;
    } groups[] = {
        {"P-256", "P-256", 23, 0, true},       {"P-384", "P-384", 24, 0, true},
        {"P-521", "P-521", 25, 0, true},       {"X448", NULL, 30, 56, true},
        {"ffdhe2048", NULL, 256, 256, false},  {"ffdhe3072", NULL, 257, 384, false},
        {"ffdhe4096", NULL, 258, 512, false},  {"ffdhe6144", NULL, 259, 768, false},
        {"ffdhe8192", NULL, 260, 1024, false}, {"brainpoolP512r1", NULL, 28, 129, false},
    };
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        for (int shares = 0; shares < 2; shares++) { /* without, it is asked for a second hello */
            hello_begin(&hello, 0, 0);
            hello_groups(&hello, &groups[i].group, 1, 0);
            hello_shares_begin(&hello);
            if (shares > 0)
                put_share(groups[i].curve, groups[i].group, groups[i].size);
            hello_shares_end(&hello);
            hello_end(&hello);
            expect_cheap(groups[i].name, HELLO_BYTES);
            struct outcome outcome = meet_hello(HELLO_BYTES);
            if (groups[i].taken != (outcome.status == AFAR_EAGAIN))
                fail_msg("%s: %s", groups[i].name, outcome.err.message);
        }
    }
}

/* OpenSSL compares each group that is named with each share. */
static void test_many_groups_and_shares(void **state)
{
    (void)state;
    const uint16_t group = HELLO_X25519;
    static const size_t unknown[] = {62, 63, 1000, 2600, 3900, 6500, 8000};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        hello_begin(&hello, 0, 0);
        hello_groups(&hello, &group, 1, unknown[i]);
        hello_shares_begin(&hello);
        while (hello.size < HELLO_BYTES - 50)
            hello_share(&hello, (uint16_t)(0xE000 + (unknown[i] - 1) % 0x1000), NULL, 1);
        hello_share(&hello, HELLO_X25519, NULL, 32);
        hello_shares_end(&hello);
        hello_end(&hello);
        expect_cheap("groups and shares", HELLO_BYTES);
        struct outcome outcome = meet_hello(HELLO_BYTES);
        assert_int_equal(outcome.status, unknown[i] < 64 ? AFAR_EAGAIN : AFAR_ETRUST);
        if (unknown[i] >= 64)
            tls_pair_assert_line(&outcome.err, "more than 64 groups");
    }
}

static void test_many_of_everything_else(void **state)
{
    (void)state;
    uint8_t keys[80];
    uint16_t type = 1000;
    const uint16_t group = HELLO_X25519;

    hello_begin(&hello, 8000, 0);
    hello_groups(&hello, &group, 1, 0);
    hello_shares_begin(&hello);
    hello_share(&hello, HELLO_X25519, NULL, 32);
    hello_shares_end(&hello);
    hello_end(&hello);
    expect_cheap("ciphers", HELLO_BYTES);
    for (size_t piece = 512; piece >= 1; piece /= 4)
        expect_cheap("ciphers in small records", piece);

    hello_begin(&hello, 0, 8000);
    hello_groups(&hello, &group, 1, 0);
    hello_shares_begin(&hello);
    hello_share(&hello, HELLO_X25519, NULL, 32);
    hello_shares_end(&hello);
    hello_end(&hello);
    expect_cheap("signatures", HELLO_BYTES);

    make_x25519();
    while (hello.size < HELLO_BYTES - 10)
        hello_unknown(&hello, type++, 0);
    hello_end(&hello);
    expect_cheap("extensions", HELLO_BYTES);

    /* Tickets by our key's name, which is no secret. */
    assert_int_equal(SSL_CTX_get_tlsext_ticket_keys(server->ssl_ctx, keys, sizeof keys), 1);
    for (size_t size = 64; size <= 4096; size *= 4) {
        make_x25519();
        size_t count = (HELLO_BYTES - hello.size - 50) / (size + 2 + 4 + 33);
        hello_tickets(&hello, keys, 16, count, size);
        hello_end(&hello);
        expect_cheap("tickets", HELLO_BYTES);
    }
}

/* One byte of a record at a time costs no more than it must, and has an end. */
static void test_many_records(void **state)
{
    (void)state;
    make_x25519();
    hello_end(&hello);
    struct outcome outcome = meet_hello(1); /* 140: a slow or strange client's */
    assert_int_equal(outcome.status, AFAR_EAGAIN);
    assert_true(outcome.answered > 500);
    make_x25519();
    hello_unknown(&hello, 1000, 600);
    hello_end(&hello);
    outcome = meet_hello(1);
    assert_int_equal(outcome.status, AFAR_EPEER);
    tls_pair_assert_line(&outcome.err, "the client sends its TLS handshake in too many records");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_many_groups_and_shares),
        cmocka_unit_test(test_many_of_everything_else),
        cmocka_unit_test(test_many_records),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
