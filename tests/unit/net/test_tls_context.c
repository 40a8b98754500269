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
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
