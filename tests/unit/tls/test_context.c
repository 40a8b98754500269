// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/alloc_fault.h"
#include "support/tls_pair.h"

static struct test_certs certs;

static int set_up(void **state)
{
    (void)state;
    return test_certs_make(&certs) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    test_certs_remove(&certs);
    return 0;
}

static struct tls_server_options server_options(void)
{
    return (struct tls_server_options){.cert_file = certs.cert[TEST_SERVER],
                                       .key_file = certs.key[TEST_SERVER],
                                       .client_ca_file = certs.cert[TEST_CA]};
}

static void test_a_server_needs_three_files(void **state)
{
    (void)state;
    for (int missing = 0; missing < 3; missing++) {
        struct tls_server_options options = server_options();
        struct tls_context *context = NULL;
        struct afar_error err;
        *(missing == 0   ? &options.cert_file
          : missing == 1 ? &options.key_file
                         : &options.client_ca_file) = NULL;
        assert_int_equal(tls_context_server_new(&context, &options, &err), AFAR_EINVAL);
        tls_pair_assert_line(&err, "TLS needs a certificate file, a key file, and");
        assert_null(context);
    }
}

static void test_bad_files_are_named(void **state)
{
    (void)state;
    struct tls_server_options options = server_options();
    struct tls_context *context = NULL;
    struct afar_error err;

    options.key_file = certs.key[TEST_CLIENT];
    assert_int_equal(tls_context_server_new(&context, &options, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, certs.key[TEST_CLIENT]);
    assert_null(context);
    options = server_options();
    options.client_ca_file = "/nowhere";
    assert_int_equal(tls_context_server_new(&context, &options, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "'/nowhere'");
    assert_null(context);
}

static void test_a_client_needs_no_file(void **state)
{
    (void)state;
    struct tls_client_options options = {0};
    struct tls_context *context = NULL;
    struct afar_error err;

    assert_int_equal(tls_context_client_new(&context, &options, &err), AFAR_OK);
    tls_context_free(context);
    tls_context_free(NULL);

    options.cert_file = certs.cert[TEST_CLIENT];
    assert_int_equal(tls_context_client_new(&context, &options, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "the key is missing");
    assert_null(context);
    options.cert_file = NULL;
    options.key_file = certs.key[TEST_CLIENT];
    assert_int_equal(tls_context_client_new(&context, &options, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "the certificate is missing");
    options.cert_file = "/nowhere";
    assert_int_equal(tls_context_client_new(&context, &options, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "'/nowhere'");
    options = (struct tls_client_options){.ca_file = "/nowhere"};
    assert_int_equal(tls_context_client_new(&context, &options, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "'/nowhere'");
}

/* What protects the protocol, whatever an openssl.cnf says. */
static void test_settings(void **state)
{
    (void)state;
    struct tls_server_options options = server_options();
    struct tls_context *context = NULL;

    assert_int_equal(tls_context_server_new(&context, &options, NULL), AFAR_OK);
    SSL_CTX *ctx = context->ssl_ctx;
    assert_int_equal(SSL_CTX_get_min_proto_version(ctx), TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_get_max_proto_version(ctx), TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_get_options(ctx) & SSL_OP_IGNORE_UNEXPECTED_EOF, 0);
    assert_int_not_equal(SSL_CTX_get_options(ctx) & SSL_OP_NO_RENEGOTIATION, 0);
    assert_int_not_equal(SSL_CTX_get_options(ctx) & SSL_OP_NO_COMPRESSION, 0);
    assert_int_equal(SSL_CTX_get_max_early_data(ctx), 0);
    assert_int_equal(SSL_CTX_get_num_tickets(ctx), 1);
    assert_int_equal(SSL_CTX_get_verify_mode(ctx),
                     SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    assert_int_equal(SSL_CTX_get_security_level(ctx), 2);
    long mode = SSL_CTX_get_mode(ctx);
    assert_true((mode & SSL_MODE_ENABLE_PARTIAL_WRITE) != 0);
    assert_true((mode & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) != 0);
    assert_true((mode & SSL_MODE_RELEASE_BUFFERS) != 0);
    tls_context_free(context);

    options.allow_tls12 = true;
    assert_int_equal(tls_context_server_new(&context, &options, NULL), AFAR_OK);
    assert_int_equal(SSL_CTX_get_min_proto_version(context->ssl_ctx), TLS1_2_VERSION);
    tls_context_free(context);

    context = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    assert_int_equal(SSL_CTX_get_min_proto_version(context->ssl_ctx), TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_get_verify_mode(context->ssl_ctx), SSL_VERIFY_PEER);
    tls_context_free(context);
}

/* ---- What is offered ------------------------------------------------------------------------- */

enum { MESSAGE_BYTES = 4096 };

/* The first message of a type that goes by. */
struct seen {
    uint8_t type;
    uint8_t bytes[MESSAGE_BYTES];
    size_t size;
};

static void see(int sent, int version, int type, const void *data, size_t size, SSL *ssl,
                void *argument)
{
    struct seen *seen = argument;
    (void)sent;
    (void)version;
    (void)ssl;
    if (type != SSL3_RT_HANDSHAKE || ((const uint8_t *)data)[0] != seen->type || seen->size > 0)
        return;
    assert_in_range(size, 1, sizeof seen->bytes);
    memcpy(seen->bytes, data, size);
    seen->size = size;
}

static size_t number(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* The list in an extension of that kind; *size 0: there is none. `at`: the length of them all. */
static const uint8_t *find_list(const struct seen *seen, size_t at, unsigned type, size_t *size)
{
    size_t end = at + 2 + number(seen->bytes + at);
    *size = 0;
    assert_true(end <= seen->size);
    for (at += 2; at < end; at += 4 + number(seen->bytes + at + 2)) {
        if (number(seen->bytes + at) != type)
            continue;
        *size = number(seen->bytes + at + 4);
        return seen->bytes + at + 6;
    }
    return NULL;
}

/* In a hello they follow version, random, session id, ciphers and compression. */
static size_t hello_extensions(const struct seen *seen)
{
    size_t at = 4 + 2 + 32;
    at += 1U + seen->bytes[at];
    at += 2 + number(seen->bytes + at);
    return at + 1U + seen->bytes[at];
}

/* RFC 8446 §4.2.3: neither SHA-1 nor SHA-224 may be offered, by either side. */
static void check_signatures(const uint8_t *list, size_t size)
{
    assert_in_range(size, 2 * 6, 2 * 20);
    for (size_t i = 0; i < size; i += 2) {
        if (list[i] < 8 && (list[i] < 4 || list[i] > 6))
            fail_msg("%02x%02x is offered", list[i], list[i + 1]);
    }
}

static void test_what_is_offered(void **state)
{
    (void)state;
    static const uint8_t groups[] = {0, 29, 0, 23, 0, 30, 0, 24, 0, 25};
    static struct seen hello = {.type = SSL3_MT_CLIENT_HELLO};
    static struct seen request = {.type = SSL3_MT_CERTIFICATE_REQUEST};
    struct tls_context *client = tls_pair_client_context(&certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_pair pair;
    size_t size = 0;
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    SSL *asked = ((struct transport_tls *)(void *)pair.client)->ssl;
    SSL *asking = ((struct transport_tls *)(void *)pair.server)->ssl;
    SSL_set_msg_callback(asked, see);
    SSL_set_msg_callback_arg(asked, &request);
    SSL_set_msg_callback(asking, see);
    SSL_set_msg_callback_arg(asking, &hello);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.client_status, AFAR_OK);
    assert_true(hello.size > 0);
    assert_true(request.size > 0);

    const uint8_t *list = find_list(&hello, hello_extensions(&hello), 13, &size);
    check_signatures(list, size);
    list = find_list(&request, 4 + 1U + request.bytes[4], 13, &size);
    check_signatures(list, size);
    /* No finite fields: a stranger could make each of them cost the server 200 ms. */
    list = find_list(&hello, hello_extensions(&hello), 10, &size);
    assert_int_equal(size, sizeof groups);
    assert_memory_equal(list, groups, size);
    tls_pair_close(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tls_server_options options = server_options();
    int rounds = 0;

    for (int n = 1;; n++, rounds++) {
        struct tls_context *context = NULL;
        struct afar_error err;
        alloc_fault_arm(n);
        enum afar_status status = tls_context_server_new(&context, &options, &err);
        bool fired = alloc_fault_fired();
        assert_int_equal(status, fired ? AFAR_ENOMEM : AFAR_OK);
        assert_int_equal(context == NULL, fired);
        tls_context_free(context);
        if (!fired)
            break;
    }
    assert_true(rounds >= 4); /* the context and its three files */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_server_needs_three_files),
        cmocka_unit_test(test_bad_files_are_named),
        cmocka_unit_test(test_a_client_needs_no_file),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_what_is_offered),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
