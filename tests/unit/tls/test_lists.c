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

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };

static struct test_certs certs; /* the server's */
static struct custom_cert ca;
static struct custom_cert between;
static struct custom_cert leaf;
static char folder[48];

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
    (void)snprintf(folder, sizeof folder, "/tmp/afar-lists-XXXXXX");
    if (mkdtemp(folder) == NULL || !test_certs_make(&certs))
        return -1;
    custom_cert_make(&ca, &(struct custom_cert_order){.common_names = {"CA"}, .is_ca = true});
    custom_cert_make(&between, &(struct custom_cert_order){
                                   .issuer = &ca, .common_names = {"Between"}, .is_ca = true});
    custom_cert_make(&leaf,
                     &(struct custom_cert_order){.issuer = &between, .common_names = {"leaf"}});
    custom_cert_write(&ca, NULL, file("ca.pem"), NULL);
    custom_cert_write(&leaf, &between, file("leaf.pem"), file("leaf-key.pem"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    custom_cert_close(&leaf);
    custom_cert_close(&between);
    custom_cert_close(&ca);
    test_certs_remove(&certs);
    (void)unlink(file("ca.pem"));
    (void)unlink(file("leaf.pem"));
    (void)unlink(file("leaf-key.pem"));
    (void)unlink(file("lists.pem"));
    return rmdir(folder);
}

/* Lists of both CAs that end so soon; 0: none of that one. */
static struct tls_context *server_with(long ca_ends_s, long between_ends_s)
{
    struct tls_context *context = NULL;
    struct afar_error err;
    (void)unlink(file("lists.pem"));
    if (ca_ends_s != 0)
        custom_cert_write_list_until(&ca, NULL, ca_ends_s, file("lists.pem"));
    if (between_ends_s != 0)
        custom_cert_write_list_until(&between, NULL, between_ends_s, file("lists.pem"));
    const struct tls_server_options options = {
        .cert_file = certs.cert[TEST_SERVER],
        .key_file = certs.key[TEST_SERVER],
        .client_ca_file = file("ca.pem"),
        .crl_file = ca_ends_s != 0 || between_ends_s != 0 ? file("lists.pem") : NULL};
    if (tls_context_server_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

static void meet(struct tls_pair *pair, struct tls_context *server)
{
    const struct tls_client_options options = {.ca_file = certs.cert[TEST_CA],
                                               .cert_file = file("leaf.pem"),
                                               .key_file = file("leaf-key.pem")};
    struct tls_context *client = NULL;
    assert_int_equal(tls_context_client_new(&client, &options, NULL), AFAR_OK);
    tls_pair_open(pair, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(pair);
    tls_context_free(client);
}

/* The first end of all counts: of the leaf (a day), of the list of its issuer, and of that one's.
 */
static void test_the_first_end_counts(void **state)
{
    (void)state;
    static const struct {
        long ca_ends_s;
        long between_ends_s;
        long ends_s;
    } cases[] = {{0, 0, DAY_S},
                 {2 * DAY_S, 2 * DAY_S, DAY_S},
                 {2 * HOUR_S, 2 * DAY_S, 2 * HOUR_S},
                 {2 * DAY_S, 2 * HOUR_S, 2 * HOUR_S}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_context *server = server_with(cases[i].ca_ends_s, cases[i].between_ends_s);
        struct identity identity;
        struct tls_pair pair;
        const time_t now = __real_time(NULL);
        meet(&pair, server);
        assert_int_equal(pair.server_status, AFAR_OK);
        transport_identity(pair.server, &identity);
        assert_in_range(identity.expires_at, now + cases[i].ends_s - 120,
                        now + cases[i].ends_s + 5);
        tls_pair_close(&pair);
        tls_context_free(server);
    }
}

/* After a reload, by the lists of the new context. */
static void test_a_reload_brings_other_lists(void **state)
{
    (void)state;
    struct tls_context *server = server_with(2 * HOUR_S, 2 * HOUR_S);
    struct tls_context *renewed = server_with(5 * HOUR_S, 5 * HOUR_S);
    struct tls_pair pair;
    struct afar_error err;
    meet(&pair, server);
    skew_s = 3 * HOUR_S;
    assert_int_equal(transport_judge(pair.server, NULL, &err), AFAR_ETRUST);
    tls_pair_assert_line(&err, "the revocation list of its issuer has expired (tls_crl)");
    assert_int_equal(transport_judge(pair.server, renewed, &err), AFAR_OK);
    skew_s = 6 * HOUR_S;
    assert_int_equal(transport_judge(pair.server, renewed, &err), AFAR_ETRUST);
    tls_pair_assert_line(&err, "the revocation list of its issuer has expired (tls_crl)");
    skew_s = 0;
    tls_pair_close(&pair);
    tls_context_free(renewed);
    tls_context_free(server);
}

/* What is wrong with our lists is not said to be wrong with the client's certificate. */
static void test_who_is_blamed(void **state)
{
    (void)state;
    static const struct {
        long ca_ends_s;
        long between_ends_s;
        const char *server_says;
    } cases[] = {
        {DAY_S, -30, "may have been revoked: the revocation list of its issuer has expired"},
        {-30, DAY_S, "its CA (CN=Between) may have been revoked: the revocation list"},
        {DAY_S, 0, "the file of revocation lists has none of its issuer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_context *server = server_with(cases[i].ca_ends_s, cases[i].between_ends_s);
        struct tls_pair pair;
        meet(&pair, server);
        assert_int_equal(pair.server_status, AFAR_ETRUST);
        tls_pair_assert_line(&pair.server_err, cases[i].server_says);
        assert_int_equal(pair.client_status, AFAR_ETRUST);
        tls_pair_assert_line(&pair.client_err,
                             "the server refused our certificate: the server's log says why");
        tls_pair_close(&pair);
        tls_context_free(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_end_counts),
        cmocka_unit_test(test_a_reload_brings_other_lists),
        cmocka_unit_test(test_who_is_blamed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
