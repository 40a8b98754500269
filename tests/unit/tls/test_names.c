#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/custom_cert.h"
#include "support/tls_pair.h"

/* A server's certificate for one name. */
static void make(struct custom_cert *made, const char *dns, const struct custom_cert *issuer)
{
    GENERAL_NAMES *names = NULL;
    if (dns != NULL)
        custom_cert_add_name(&names, GEN_DNS, dns, strlen(dns));
    custom_cert_make(made, &(struct custom_cert_order){.issuer = issuer,
                                                       .common_names = {"host.example.com"},
                                                       .names = names,
                                                       .is_server = true});
    GENERAL_NAMES_free(names);
}

struct example {
    const char *dns; /* NULL: no alternative name */
    const char *wanted;
    const char *reason; /* a part of it; NULL: none is known */
};

static const struct example examples[] = {
    {"*.example.com", "a.b.example.com", "without a dot"},
    {"*.EXAMPLE.com", "a.b.example.COM", "without a dot"},
    {"*.example.com", "a_b.example.com", "with '_'"},
    {"*.com", "example.com", "top-level"},
    {"b*.example.com", "build.example.com", "whole first part"},
    {"build.*.com", "build.example.com", "whole first part"},
    {"127.0.0.1", "127.0.0.1", "as a DNS name, and an address (IP:) is needed"},
    {"::1", "::1", "as a DNS name"},
    {"localhost.", "localhost", "must not end in a dot"},
    {"LOCALhost.", "localhost", "must not end in a dot"},
    {"localhost.", "local", NULL},
    {NULL, "host.example.com", "a common name (CN) does not count"},
    {"*.example.com", "example.com", NULL},
    {"*.example.com", "other.example.org", NULL},
    {"a.example.com", "b.example.com", NULL},
    {"a.example.com", "127.0.0.1", NULL},
    {"*.example.com", "127.0.0.1", NULL},
};

static bool is_accepted(X509 *certificate, const char *wanted)
{
    const unsigned flags =
        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    struct in6_addr address;
    bool numeric =
        inet_pton(AF_INET, wanted, &address) == 1 || inet_pton(AF_INET6, wanted, &address) == 1;
    return numeric ? X509_check_ip_asc(certificate, wanted, flags) == 1
                   : X509_check_host(certificate, wanted, 0, flags, NULL) == 1;
}

/* Each is one that OpenSSL does not accept, whatever it looks like. */
static void test_reasons(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct example *e = &examples[i];
        struct custom_cert made;
        make(&made, e->dns, NULL);
        assert_false(is_accepted(made.certificate, e->wanted));
        const char *reason = tls_names_reason(made.certificate, e->wanted);
        if (e->reason == NULL ? reason != NULL
                              : reason == NULL || strstr(reason, e->reason) == NULL)
            fail_msg("%s for %s: %s", e->dns, e->wanted, reason != NULL ? reason : "no reason");
        custom_cert_close(&made);
    }
}

static void test_what_it_is_for(void **state)
{
    (void)state;
    struct custom_cert made;
    GENERAL_NAMES *names = NULL;
    char text[80];
    custom_cert_add_name(&names, GEN_DNS, "a.example", 9);
    custom_cert_add_name(&names, GEN_DNS, "192.0.2.1", 9);
    custom_cert_add_name(&names, GEN_EMAIL, "a@b.example", 11);
    custom_cert_make(&made, &(struct custom_cert_order){.common_names = {"x"}, .names = names});
    tls_names_text(made.certificate, text, sizeof text);
    assert_string_equal(text, "a.example, 192.0.2.1 (as a DNS name)");
    GENERAL_NAMES_free(names);
    custom_cert_close(&made);
    custom_cert_make(&made, &(struct custom_cert_order){.common_names = {"x"}});
    tls_names_text(made.certificate, text, sizeof text);
    assert_string_equal(text, "no host name or address at all");
    custom_cert_close(&made);
}

static void test_whether_it_is_for_any(void **state)
{
    (void)state;
    static const struct {
        const char *dns;
        bool is_for_one;
    } cases[] = {{NULL, false},         {"a.example", true},  {"*.example.com", true},
                 {"localhost.", false}, {"127.0.0.1", false}, {"::1", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct custom_cert made;
        make(&made, cases[i].dns, NULL);
        assert_int_equal(tls_names_host(made.certificate), cases[i].is_for_one);
        custom_cert_close(&made);
    }
}

/* Both sides say it in their own lines; the server where it has been told the name. */
static void test_both_sides_say_why(void **state)
{
    struct test_certs *certs = *state;
    static const struct {
        const char *dns;
        const char *wanted;
        const char *client_says;
        const char *server_says;
    } cases[] = {
        {"*.example.com", "a_b.example.com",
         "the server's certificate is not for 'a_b.example.com'; it is for *.example.com: a '*' "
         "does "
         "not stand for a name with '_'",
         "it is not for 'a_b.example.com' but for *.example.com: a '*' does not stand"},
        {"127.0.0.1", "127.0.0.1",
         "is not for '127.0.0.1'; it is for 127.0.0.1 (as a DNS name): it has that as a DNS name, "
         "and an address (IP:) is needed",
         "the address that it connects to may not be in it; it is for 127.0.0.1 (as a DNS name)"},
    };
    char folder[] = "/tmp/afar-names-XXXXXX";
    char ca[64];
    char cert[64];
    char key[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    (void)snprintf(key, sizeof key, "%s/key.pem", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct custom_cert issuer;
        struct custom_cert made;
        struct tls_context *server = NULL;
        struct tls_context *client = NULL;
        struct tls_pair pair;
        custom_cert_make(&issuer,
                         &(struct custom_cert_order){.common_names = {"CA"}, .is_ca = true});
        make(&made, cases[i].dns, &issuer);
        custom_cert_write(&issuer, NULL, ca, NULL);
        custom_cert_write(&made, NULL, cert, key);
        const struct tls_server_options options = {
            .cert_file = cert, .key_file = key, .client_ca_file = certs->cert[TEST_CA]};
        assert_int_equal(tls_context_server_new(&server, &options, NULL), AFAR_OK);
        assert_int_equal(
            tls_context_client_new(&client, &(struct tls_client_options){.ca_file = ca}, NULL),
            AFAR_OK);
        tls_pair_open(&pair, client, server, cases[i].wanted, NULL, NULL, 4096);
        tls_pair_handshake(&pair);
        assert_int_equal(pair.client_status, AFAR_ETRUST);
        tls_pair_assert_line(&pair.client_err, cases[i].client_says);
        assert_int_equal(pair.server_status, AFAR_ETRUST);
        tls_pair_assert_line(&pair.server_err, cases[i].server_says);
        tls_pair_close(&pair);
        tls_context_free(client);
        tls_context_free(server);
        custom_cert_close(&made);
        custom_cert_close(&issuer);
    }
    (void)unlink(ca);
    (void)unlink(cert);
    (void)unlink(key);
    assert_int_equal(rmdir(folder), 0);
}

static int set_up(void **state)
{
    static struct test_certs certs;
    *state = &certs;
    return test_certs_make(&certs) ? 0 : -1;
}

static int tear_down(void **state)
{
    test_certs_remove(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_what_it_is_for),
        cmocka_unit_test(test_whether_it_is_for_any),
        cmocka_unit_test(test_both_sides_say_why),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
