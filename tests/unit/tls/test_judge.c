// wrap: time
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "support/tls_pair.h"

static struct test_certs certs;
static time_t ahead; /* so far is the clock */

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
    time_t now = __real_time(NULL) + ahead;
    if (out != NULL)
        *out = now;
    return now;
}

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

struct parties {
    struct tls_context *server;
    struct tls_context *client;
    struct tls_pair pair;
};

static void connect_with(struct parties *parties, enum test_cert cert)
{
    ahead = 0;
    parties->server = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    parties->client = tls_pair_client_context(&certs, cert, TEST_CA);
    tls_pair_open(&parties->pair, parties->client, parties->server, "localhost", NULL, NULL, 65536);
    tls_pair_handshake(&parties->pair);
    assert_int_equal(parties->pair.server_status, AFAR_OK);
}

static void part(struct parties *parties)
{
    ahead = 0;
    tls_pair_close(&parties->pair);
    tls_context_free(parties->client);
    tls_context_free(parties->server);
}

static void by_another_authority(void **state)
{
    (void)state;
    struct parties parties;
    struct afar_error err;
    connect_with(&parties, TEST_CLIENT);
    struct tls_context *same = tls_pair_server_context(&certs, TEST_SERVER, TEST_CA);
    struct tls_context *other = tls_pair_server_context(&certs, TEST_SERVER, TEST_OTHER_CA);
    struct transport *transport = parties.pair.server;
    assert_int_equal(transport_judge(transport, NULL, &err), AFAR_OK);
    assert_int_equal(transport_judge(transport, parties.server, &err), AFAR_OK);
    assert_int_equal(transport_judge(transport, same, &err), AFAR_OK);
    assert_int_equal(transport_judge(transport, other, &err), AFAR_ETRUST);
    tls_pair_assert_line(&err, "a CA that we do not trust");
    assert_int_equal(transport_judge(transport, other, &err), AFAR_ETRUST); /* and again */
    /* The connection itself goes on, and so does the last good opinion. */
    tls_pair_exchange(parties.pair.client, transport, 1000);
    assert_int_equal(transport_judge(transport, same, &err), AFAR_OK);
    tls_context_free(other);
    tls_context_free(same); /* the transport has a reference */
    assert_int_equal(transport_judge(transport, parties.server, &err), AFAR_OK);
    part(&parties);
}

static void by_the_clock(void **state)
{
    (void)state;
    enum { DAY = 86400 };
    struct parties parties;
    struct afar_error err;
    connect_with(&parties, TEST_CLIENT);
    ahead = DAY;
    assert_int_equal(transport_judge(parties.pair.server, NULL, &err), AFAR_OK);
    ahead = 3 * DAY;
    assert_int_equal(transport_judge(parties.pair.server, NULL, &err), AFAR_ETRUST);
    tls_pair_assert_line(&err, "has expired");
    ahead = 0; /* somebody has set the clock */
    assert_int_equal(transport_judge(parties.pair.server, NULL, &err), AFAR_OK);
    part(&parties);
}

/* A client judges nobody anew: it makes a new connection. */
static void not_by_clients(void **state)
{
    (void)state;
    struct parties parties;
    struct afar_error err;
    connect_with(&parties, TEST_CLIENT_URI);
    assert_int_equal(transport_judge(parties.pair.client, parties.client, &err), AFAR_OK);
    part(&parties);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_another_authority),
        cmocka_unit_test(by_the_clock),
        cmocka_unit_test(not_by_clients),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
