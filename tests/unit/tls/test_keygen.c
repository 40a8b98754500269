// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tls/keygen.h"
#include "support/alloc_fault.h"
#include "support/tls_pair.h"

static const char *const hosts[] = {"build7.example.org", "*.pool.example", "192.0.2.7", "::1",
                                    NULL};

static X509 *certificate_of(const struct tls_identity *identity)
{
    BIO *bio = BIO_new_mem_buf(identity->cert_pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(cert);
    BIO_free(bio);
    return cert;
}

static void make(struct tls_identity *identity, const char *name, const char *const *names)
{
    const struct tls_keygen_options options = {.name = name, .hosts = names, .days = 3650};
    struct afar_error err = {0};
    if (tls_keygen(identity, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
}

static void test_the_certificate(void **state)
{
    struct tls_identity identity;
    char text[256];
    char pin[TLS_PIN_BYTES];
    (void)state;
    make(&identity, "ann@büro", hosts);
    X509 *cert = certificate_of(&identity);

    tls_subject_text(X509_get_subject_name(cert), text, sizeof text);
    assert_string_equal(text, "CN=ann@büro");
    tls_names_text(cert, text, sizeof text);
    assert_string_equal(text, "build7.example.org, *.pool.example, 192.0.2.7, ::1");
    assert_true(tls_pin(cert, pin));
    assert_string_equal(pin, identity.pin);
    assert_int_equal(X509_get_version(cert), X509_VERSION_3);
    assert_int_equal(X509_verify(cert, X509_get0_pubkey(cert)), 1);
    assert_int_equal(X509_check_purpose(cert, X509_PURPOSE_SSL_CLIENT, 0), 1);
    assert_int_equal(X509_check_purpose(cert, X509_PURPOSE_SSL_SERVER, 0), 1);
    assert_int_equal(X509_check_ca(cert), 0);
    assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT | XKU_SSL_SERVER);
    assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(cert)), 256);
    assert_int_equal(X509_check_host(cert, "build7.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "n1.pool.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    int64_t ends_in = tls_time_unix(X509_get0_notAfter(cert)) - (int64_t)time(NULL);
    assert_in_range(ends_in, 3650 * INT64_C(86400) - 3600, 3650 * INT64_C(86400));
    assert_true(X509_cmp_current_time(X509_get0_notBefore(cert)) < 0);
    X509_free(cert);
    tls_identity_close(&identity);
    assert_null(identity.key_pem);
    tls_identity_close(&identity);
}

static void test_no_two_are_alike(void **state)
{
    struct tls_identity one;
    struct tls_identity two;
    (void)state;
    make(&one, "ann", NULL);
    make(&two, "ann", NULL);
    assert_string_not_equal(one.pin, two.pin);
    X509 *first = certificate_of(&one);
    X509 *second = certificate_of(&two);
    assert_int_not_equal(
        ASN1_INTEGER_cmp(X509_get0_serialNumber(first), X509_get0_serialNumber(second)), 0);
    assert_int_equal(X509_get_ext_by_NID(first, NID_subject_alt_name, -1), -1);
    X509_free(first);
    X509_free(second);
    tls_identity_close(&one);
    tls_identity_close(&two);
}

static void test_what_cannot_be_asked_for(void **state)
{
    static const char *const newline[] = {"good.example", "a\nb", NULL};
    static const char *const injected[] = {"a,DNS:admin.example", NULL};
    static const char *const empty[] = {"", NULL};
    static const char *const dots[] = {"a..b", NULL};
    static const char *const star[] = {"*.", NULL};
    static const char *const uri[] = {"spiffe://prod/admin", NULL};
    static const struct {
        struct tls_keygen_options options;
        const char *part;
    } bad[] = {
        {{"", NULL, 1}, "not a name"},
        {{NULL, NULL, 1}, "not a name"},
        {{"a\nb", NULL, 1}, "not a name"},
        {{"\xff", NULL, 1}, "not a name"},
        {{"ann", NULL, 0}, "number of days"},
        {{"ann", NULL, 36501}, "number of days"},
        {{"ann", newline, 1}, "'a\nb'"},
        {{"ann", injected, 1}, "server's name"},
        {{"ann", empty, 1}, "server's name"},
        {{"ann", dots, 1}, "server's name"},
        {{"ann", star, 1}, "server's name"},
        {{"ann", uri, 1}, "server's name"},
        {{"12345678901234567890123456789012345678901234567890123456789012345", NULL, 1}, "64"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tls_identity identity;
        struct afar_error err = {0};
        assert_int_equal(tls_keygen(&identity, &bad[i].options, &err), AFAR_EINVAL);
        assert_non_null(strstr(err.message, bad[i].part));
        assert_null(identity.key_pem);
    }
    struct tls_identity longest;
    make(&longest, "1234567890123456789012345678901234567890123456789012345678901234", NULL);
    tls_identity_close(&longest);
}

static void save(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The files do what they are for: both sides know each other by nothing but the keys. */
static void test_a_handshake_by_pins(void **state)
{
    char folder[] = "/tmp/afar-keygen-XXXXXX";
    char cert[2][64];
    char key[2][64];
    struct tls_identity identity[2];
    struct tls_context *context[2] = {NULL, NULL};
    struct tls_pair pair;
    struct afar_error err = {0};
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        make(&identity[i], "someone", i == 0 ? hosts : NULL);
        (void)snprintf(cert[i], sizeof cert[i], "%s/%d.pem", folder, i);
        (void)snprintf(key[i], sizeof key[i], "%s/%d-key.pem", folder, i);
        save(cert[i], identity[i].cert_pem);
        save(key[i], identity[i].key_pem);
        assert_int_equal(chmod(key[i], 0600), 0);
    }
    char pin[TLS_PIN_BYTES];
    assert_int_equal(tls_file_pin(cert[0], pin, &err), AFAR_OK);
    assert_string_equal(pin, identity[0].pin);
    char *pins[] = {identity[1].pin};
    const struct tls_server_options server = {
        .cert_file = cert[0], .key_file = key[0], .pins = pins, .pin_count = 1};
    const struct tls_client_options client = {
        .cert_file = cert[1], .key_file = key[1], .pin = identity[0].pin};
    assert_int_equal(tls_context_server_new(&context[0], &server, &err), AFAR_OK);
    assert_int_equal(tls_context_client_new(&context[1], &client, &err), AFAR_OK);
    tls_pair_open(&pair, context[1], context[0], "whatever.example", TLS_ALPN_AFAR, TLS_ALPN_AFAR,
                  512);
    tls_pair_handshake(&pair);
    assert_int_equal(pair.server_status, AFAR_OK);
    tls_pair_exchange(pair.server, pair.client, 100);
    tls_pair_close(&pair);
    for (int i = 0; i < 2; i++) {
        tls_context_free(context[i]);
        tls_identity_close(&identity[i]);
        assert_int_equal(unlink(cert[i]), 0);
        assert_int_equal(unlink(key[i]), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void test_a_file_without_a_certificate(void **state)
{
    char pin[TLS_PIN_BYTES] = "";
    struct afar_error err = {0};
    (void)state;
    assert_int_equal(tls_file_pin("/nonexistent/cert.pem", pin, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "/nonexistent/cert.pem");
    assert_int_equal(tls_file_pin("/dev/null", pin, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "no PEM certificate");
    assert_string_equal(pin, "");
}

static void test_out_of_memory(void **state)
{
    const struct tls_keygen_options options = {.name = "ann", .hosts = hosts, .days = 1};
    int failures = 0;
    (void)state;
    for (int n = 1;; n++) {
        struct tls_identity identity;
        struct afar_error err = {0};
        alloc_fault_arm(n);
        enum afar_status status = tls_keygen(&identity, &options, &err);
        if (!alloc_fault_fired()) {
            assert_int_equal(status, AFAR_OK);
            tls_identity_close(&identity);
            break;
        }
        failures++;
        assert_int_equal(status, AFAR_ENOMEM);
        assert_null(identity.key_pem);
    }
    assert_true(failures >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_certificate),
        cmocka_unit_test(test_no_two_are_alike),
        cmocka_unit_test(test_what_cannot_be_asked_for),
        cmocka_unit_test(test_a_handshake_by_pins),
        cmocka_unit_test(test_a_file_without_a_certificate),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
