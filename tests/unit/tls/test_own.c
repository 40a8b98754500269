// wrap: time
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "support/custom_cert.h"
#include "support/skewed_time.h"
#include "support/tls_pair.h"

enum { DAY_S = 86400 };

static struct test_certs certs;
static char folder[48];
static struct custom_cert issuer;

static const char *file(const char *name)
{
    static char paths[4][96];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-own-XXXXXX");
    if (mkdtemp(folder) == NULL || !test_certs_make(&certs))
        return -1;
    custom_cert_make(&issuer, &(struct custom_cert_order){.common_names = {"CA"}, .is_ca = true});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    custom_cert_close(&issuer);
    test_certs_remove(&certs);
    (void)unlink(file("cert.pem"));
    (void)unlink(file("key.pem"));
    (void)unlink(file("lists.pem"));
    return rmdir(folder);
}

static void test_what_clients_would_say(void **state)
{
    (void)state;
    static const struct {
        enum test_cert cert;
        enum afar_status status;
        const char *line;
    } cases[] = {
        {TEST_SERVER, AFAR_OK, NULL},
        {TEST_SERVER_CHAIN, AFAR_OK, NULL},
        {TEST_SERVER_SELF_SIGNED, AFAR_OK, NULL},
        {TEST_SERVER_EXPIRED, AFAR_EINVAL, "expired on 20"},
        {TEST_SERVER_FUTURE, AFAR_EAGAIN,
         "no client will accept it until then; is the clock right?"},
        {TEST_SERVER_AS_CLIENT, AFAR_EINVAL, "is not made for servers"},
        {TEST_CLIENT, AFAR_EINVAL, "is not made for servers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_context *context = tls_pair_server_context(&certs, cases[i].cert, TEST_CA);
        struct afar_error err;
        assert_int_equal(tls_context_check_own(context, &err), cases[i].status);
        if (cases[i].line != NULL)
            tls_pair_assert_line(&err, cases[i].line);
        tls_context_free(context);
    }
}

static enum afar_status check(const struct custom_cert *leaf, const struct custom_cert *also,
                              struct afar_error *err)
{
    struct tls_context *context = NULL;
    custom_cert_write(leaf, also, file("cert.pem"), file("key.pem"));
    const struct tls_server_options options = {.cert_file = file("cert.pem"),
                                               .key_file = file("key.pem"),
                                               .client_ca_file = certs.cert[TEST_CA]};
    assert_int_equal(tls_context_server_new(&context, &options, err), AFAR_OK);
    enum afar_status status = tls_context_check_own(context, err);
    assert_false(tls_context_names_host(context)); /* none of these has a name */
    tls_context_free(context);
    return status;
}

static void test_its_extensions(void **state)
{
    (void)state;
    struct custom_cert leaf;
    struct afar_error err;
    custom_cert_make(&leaf, &(struct custom_cert_order){.issuer = &issuer,
                                                        .common_names = {"leaf"},
                                                        .is_server = true,
                                                        .strange = true});
    assert_int_equal(check(&leaf, NULL, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "has a critical extension that is not known");
    custom_cert_close(&leaf);
}

/* Only of a CA that clients cannot do without. */
static void test_its_ca(void **state)
{
    (void)state;
    static const struct {
        long begins_s;
        long valid_s;
        bool is_root;
        enum afar_status status;
        const char *line;
    } cases[] = {
        {-2L * DAY_S, DAY_S, false, AFAR_OK, NULL},
        {-2L * DAY_S, -DAY_S, false, AFAR_EINVAL, "its CA (CN=between) expired on 20"},
        {DAY_S, 2L * DAY_S, false, AFAR_EAGAIN, "its CA (CN=between) is not valid before 20"},
        {-2L * DAY_S, -DAY_S, true, AFAR_OK, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct custom_cert between;
        struct custom_cert leaf;
        struct afar_error err;
        custom_cert_make(&between,
                         &(struct custom_cert_order){.issuer = cases[i].is_root ? NULL : &issuer,
                                                     .common_names = {"between"},
                                                     .is_ca = true,
                                                     .begins_s = cases[i].begins_s,
                                                     .valid_s = cases[i].valid_s});
        custom_cert_make(&leaf, &(struct custom_cert_order){.issuer = &between,
                                                            .common_names = {"leaf"},
                                                            .is_server = true});
        assert_int_equal(check(&leaf, &between, &err), cases[i].status);
        if (cases[i].line != NULL)
            tls_pair_assert_line(&err, cases[i].line);
        custom_cert_close(&leaf);
        custom_cert_close(&between);
    }
}

static void test_by_time(void **state)
{
    (void)state;
    struct tls_context *context = tls_pair_server_context(&certs, TEST_SERVER_FUTURE, TEST_CA);
    struct tls_ends ends;
    struct afar_error err;
    tls_context_ends(context, &ends);
    skew_s = DAY_S + 3600;
    assert_int_equal(tls_context_check_own(context, &err), AFAR_OK);
    skew_s = (time_t)(ends.own - __real_time(NULL)) - 60;
    assert_int_equal(tls_context_check_own(context, &err), AFAR_OK);
    skew_s += 60;
    assert_int_equal(tls_context_check_own(context, &err), AFAR_EINVAL);
    skew_s = 0;
    tls_context_free(context);
}

/* Of what else a server has, the first that ends; of an issuer's lists the last. */
static void test_what_ends_when(void **state)
{
    (void)state;
    struct custom_cert between;
    struct custom_cert leaf;
    struct custom_cert other;
    struct tls_context *context = NULL;
    struct tls_ends ends;
    const time_t now = __real_time(NULL);
    custom_cert_make(&between, &(struct custom_cert_order){.issuer = &issuer,
                                                           .common_names = {"between"},
                                                           .is_ca = true,
                                                           .valid_s = 5 * DAY_S});
    custom_cert_make(&leaf, &(struct custom_cert_order){.issuer = &between,
                                                        .common_names = {"leaf"},
                                                        .is_server = true,
                                                        .valid_s = 7 * DAY_S});
    custom_cert_make(&other,
                     &(struct custom_cert_order){.common_names = {"other CA"}, .is_ca = true});
    custom_cert_write(&leaf, &between, file("cert.pem"), file("key.pem"));
    custom_cert_write_list_until(&issuer, NULL, DAY_S, file("lists.pem"));
    custom_cert_write_list_until(&issuer, NULL, 9 * DAY_S, file("lists.pem"));
    custom_cert_write_list_until(&other, NULL, 3 * DAY_S, file("lists.pem"));
    const struct tls_server_options options = {.cert_file = file("cert.pem"),
                                               .key_file = file("key.pem"),
                                               .client_ca_file = certs.cert[TEST_CA],
                                               .crl_file = file("lists.pem")};
    assert_int_equal(tls_context_server_new(&context, &options, NULL), AFAR_OK);
    tls_context_ends(context, &ends);
    assert_in_range(ends.own, now + 7 * DAY_S - 60, now + 7 * DAY_S + 60);
    assert_in_range(ends.chain, now + 5 * DAY_S - 60, now + 5 * DAY_S + 60);
    assert_in_range(ends.lists, now + 3 * DAY_S - 60, now + 3 * DAY_S + 60);
    tls_context_free(context);

    context = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    tls_context_ends(context, &ends);
    assert_int_equal(ends.chain, 0);
    assert_int_equal(ends.lists, 0);
    tls_context_free(context);
    custom_cert_close(&between);
    custom_cert_close(&leaf);
    custom_cert_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_clients_would_say),
        cmocka_unit_test(test_its_extensions),
        cmocka_unit_test(test_its_ca),
        cmocka_unit_test(test_by_time),
        cmocka_unit_test(test_what_ends_when),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
