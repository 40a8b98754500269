#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

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

static X509 *load(enum test_cert which)
{
    FILE *file = fopen(certs.cert[which], "r");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    assert_int_equal(fclose(file), 0);
    assert_non_null(certificate);
    return certificate;
}

static void assert_identity(enum test_cert which, const char *expected)
{
    char name[IDENTITY_NAME_BYTES];
    X509 *certificate = load(which);
    tls_identity_name(certificate, true, name);
    assert_string_equal(name, expected);
    X509_free(certificate);
}

static void test_identity_prefers_uri_then_dns_then_email_then_cn(void **state)
{
    (void)state;
    assert_identity(TEST_CLIENT_URI, "uri:spiffe://afar/build");
    assert_identity(TEST_CLIENT_DNS, "dns:build.example");
    assert_identity(TEST_CLIENT_EMAIL, "email:tester@example.org");
    assert_identity(TEST_CLIENT, "cn:tester");
    assert_identity(TEST_SERVER, "dns:localhost");
}

/* Signed, as its fingerprint is that of all of its bytes. */
static void sign(X509 *certificate)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 60));
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    EVP_PKEY_free(key);
}

/* A certificate whose only name is `size` bytes of CN, or of a DNS name. */
static X509 *named(const char *name, int size, bool as_dns)
{
    X509 *certificate = X509_new();
    assert_non_null(certificate);
    if (!as_dns) {
        assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
                                                    V_ASN1_UTF8STRING, (const unsigned char *)name,
                                                    size, -1, 0),
                         1);
        sign(certificate);
        return certificate;
    }
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    assert_int_equal(ASN1_STRING_set(text, name, size), 1);
    GENERAL_NAME_set0_value(one, GEN_DNS, text);
    assert_true(sk_GENERAL_NAME_push(names, one) > 0);
    assert_int_equal(
        X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT), 1);
    GENERAL_NAMES_free(names);
    sign(certificate);
    return certificate;
}

/* What could be taken for another's name is never shown as it, nor cut down to it. */
static void test_names_that_cannot_be_shown_become_a_fingerprint(void **state)
{
    (void)state;
    char longest[300];
    memset(longest, 'n', sizeof longest);
    const struct {
        const char *name;
        int size;
    } bad[] = {
        {"admin\0.example", 14}, {"a\nb", 3}, {"a\x7f", 2},   {"a\xc2\x85", 3},
        {"\xff\xfe", 2},         {"", 0},     {longest, 256}, {"\xc0\xaf", 2},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char name[IDENTITY_NAME_BYTES];
        X509 *certificate = named(bad[i].name, bad[i].size, true);
        tls_identity_name(certificate, true, name);
        assert_memory_equal(name, "pin:sha256:", 11);
        assert_int_equal(strlen(name), 11 + 64);
        X509_free(certificate);
    }
    char name[IDENTITY_NAME_BYTES];
    X509 *certificate = load(TEST_CLIENT_NASTY);
    tls_identity_name(certificate, true, name);
    assert_memory_equal(name, "pin:sha256:", 11);
    X509_free(certificate);
}

static void test_names_in_utf8(void **state)
{
    (void)state;
    char name[IDENTITY_NAME_BYTES];
    X509 *certificate = named("b\xc3\xbcro", 5, false);
    tls_identity_name(certificate, true, name);
    assert_string_equal(name, "cn:b\xc3\xbcro");
    X509_free(certificate);
}

/* The longest name that still fits, and the first that does not. */
static void test_longest_identity(void **state)
{
    enum { LONGEST = IDENTITY_NAME_BYTES - sizeof "dns:" };
    (void)state;
    char text[300];
    char name[IDENTITY_NAME_BYTES];
    memset(text, 'n', sizeof text);

    X509 *certificate = named(text, LONGEST, true);
    tls_identity_name(certificate, true, name);
    assert_int_equal(strlen(name), IDENTITY_NAME_BYTES - 1);
    assert_memory_equal(name, "dns:n", 5);
    X509_free(certificate);
    certificate = named(text, LONGEST + 1, true);
    tls_identity_name(certificate, true, name);
    assert_memory_equal(name, "pin:sha256:", 11);
    X509_free(certificate);
}

static void test_host_names(void **state)
{
    (void)state;
    char text[200];
    char small[24];
    X509 *certificate = load(TEST_SERVER);

    tls_names_text(certificate, text, sizeof text);
    assert_string_equal(text, "localhost, 127.0.0.1, ::1");
    tls_names_text(certificate, small, sizeof small);
    assert_string_equal(small, "localhost, …");
    X509_free(certificate);
    certificate = load(TEST_CLIENT_EMAIL);
    tls_names_text(certificate, text, sizeof text);
    assert_string_equal(text, "no host name or address at all");
    X509_free(certificate);
}

static void test_subjects(void **state)
{
    (void)state;
    char text[100];
    X509_NAME *name = X509_NAME_new();

    tls_subject_text(NULL, text, sizeof text);
    assert_string_equal(text, "without a name");
    tls_subject_text(name, text, sizeof text);
    assert_string_equal(text, "without a name");
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                                (const unsigned char *)"Example", -1, -1, 0),
                     1);
    tls_subject_text(name, text, sizeof text);
    assert_string_equal(text, "/O=Example");
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)"general", -1, -1, 0),
                     1);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)"special", -1, -1, 0),
                     1);
    tls_subject_text(name, text, sizeof text);
    assert_string_equal(text, "CN=special");
    X509_NAME_free(name);
}

static void test_times(void **state)
{
    (void)state;
    char text[40];
    ASN1_TIME *time = ASN1_TIME_new();

    assert_int_equal(ASN1_TIME_set_string(time, "20261123051201Z"), 1);
    assert_int_equal(tls_time_unix(time), 1795410721);
    tls_time_text(time, text, sizeof text);
    assert_string_equal(text, "2026-11-23 05:12:01 UTC");
    assert_int_equal(ASN1_TIME_set_string(time, "99991231235959Z"), 1); /* RFC 5280: for ever */
    assert_int_equal(tls_time_unix(time), 253402300799);
    assert_int_equal(ASN1_STRING_set(time, "gibberish", -1), 1);
    assert_int_equal(tls_time_unix(time), 0);
    tls_time_text(time, text, sizeof text);
    assert_string_equal(text, "a time that cannot be read");
    assert_int_equal(tls_time_unix(NULL), 0);
    ASN1_TIME_free(time);
}

static void test_no_chain_has_no_expiry(void **state)
{
    (void)state;
    STACK_OF(X509) *chain = sk_X509_new_null();
    assert_int_equal(tls_chain_expiry(NULL), 0);
    assert_int_equal(tls_chain_expiry(chain), 0);
    sk_X509_free(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_prefers_uri_then_dns_then_email_then_cn),
        cmocka_unit_test(test_names_that_cannot_be_shown_become_a_fingerprint),
        cmocka_unit_test(test_names_in_utf8),
        cmocka_unit_test(test_longest_identity),
        cmocka_unit_test(test_host_names),
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_no_chain_has_no_expiry),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
