// wrap: time
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/tls_pair.h"

static time_t skew_s; /* added to the clock that our own code sees */

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
    time_t now = __real_time(NULL) + skew_s;
    if (out != NULL)
        *out = now;
    return now;
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    static const uint8_t chain[] = {1, 2, 3, 0, 5};
    const struct tls_ticket tickets[] = {
        {.expires_at = 1000,
         .vouched = true,
         .owner = {.hash = {1, 2, 3, [31] = 4}},
         .name = "cn:ann",
         .name_bytes = 6,
         .chain = chain,
         .chain_bytes = sizeof chain},
        {.expires_at = INT64_MAX,
         .owner = {.is_pin = true, .hash = {9}},
         .name = "",
         .name_bytes = 0,
         .chain = chain,
         .chain_bytes = 1},
    };
    for (size_t i = 0; i < sizeof tickets / sizeof tickets[0]; i++) {
        struct tls_ticket read;
        uint8_t data[96];
        const struct tls_ticket *ticket = &tickets[i];
        size_t size = tls_ticket_write(ticket, data);
        assert_int_equal(size, 43 + ticket->name_bytes + ticket->chain_bytes);
        assert_true(tls_ticket_read(&read, data, size));
        assert_int_equal(read.expires_at, ticket->expires_at);
        assert_int_equal(read.vouched, ticket->vouched);
        assert_int_equal(read.owner.is_pin, ticket->owner.is_pin);
        assert_memory_equal(read.owner.hash, ticket->owner.hash, TLS_OWNER_BYTES);
        assert_int_equal(read.name_bytes, ticket->name_bytes);
        assert_memory_equal(read.name, ticket->name, ticket->name_bytes);
        assert_int_equal(read.chain_bytes, ticket->chain_bytes);
        assert_memory_equal(read.chain, chain, ticket->chain_bytes);
        /* Nothing of it may be missing but the chain's end, which is DER. */
        for (size_t cut = 0; cut < size - ticket->chain_bytes + 1; cut++) {
            uint8_t *copy = malloc(cut + 1);
            assert_non_null(copy);
            memcpy(copy, data, cut);
            assert_false(tls_ticket_read(&read, copy, cut));
            free(copy);
        }
    }
}

static void test_a_name_beyond_the_data(void **state)
{
    (void)state;
    struct tls_ticket read;
    uint8_t data[600] = {0};
    for (size_t size = 590; size < 600; size++) {
        data[41] = (uint8_t)size;
        data[42] = (uint8_t)(size >> 8);
        assert_false(tls_ticket_read(&read, data, sizeof data));
    }
    data[41] = data[42] = 0xff;
    assert_false(tls_ticket_read(&read, data, sizeof data));
}

/* ---- with a real client ---- */

static bool connect_once(struct tls_context *client, struct tls_context *server, struct peer **peer,
                         int64_t *expires_at)
{
    struct tls_pair pair;
    struct identity identity;
    struct afar_error err;
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(&pair);
    if (pair.client_status != AFAR_OK || pair.server_status != AFAR_OK)
        fail_msg("%s / %s", pair.client_err.message, pair.server_err.message);
    tls_pair_exchange(pair.server, pair.client, 10);
    tls_pair_exchange(pair.client, pair.server, 100000);
    bool resumed = transport_resumed(pair.server);
    transport_identity(pair.server, &identity);
    *expires_at = identity.expires_at;
    assert_string_equal(identity.name, "cn:tester");
    assert_int_equal(transport_peer(pair.server, peer, &err), AFAR_OK);
    assert_int_equal(transport_judge(pair.server, server, &err), AFAR_OK);
    tls_pair_close(&pair);
    return resumed;
}

/* By all its names, and until the same moment; however often it comes back. */
static void test_who_comes_back_is_known(void **state)
{
    struct test_certs *certs = *state;
    struct tls_context *client = tls_pair_client_context(certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(certs, TEST_SERVER, TEST_CA);
    struct peer *first = NULL;
    int64_t expires_at = 0;
    assert_false(connect_once(client, server, &first, &expires_at));
    for (int i = 0; i < 4; i++) {
        struct peer *later = NULL;
        int64_t until = 0;
        assert_true(connect_once(client, server, &later, &until));
        assert_int_equal(until, expires_at);
        for (size_t n = 0; first->names[n] != NULL; n++) {
            assert_non_null(later->names[n]);
            assert_string_equal(later->names[n], first->names[n]);
        }
        peer_free(later);
    }
    peer_free(first);
    tls_context_free(client);
    tls_context_free(server);
}

static void test_not_when_the_certificate_has_expired(void **state)
{
    struct test_certs *certs = *state;
    struct tls_context *client = tls_pair_client_context(certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(certs, TEST_SERVER, TEST_CA);
    struct peer *peer = NULL;
    struct tls_pair pair;
    int64_t expires_at = 0;
    assert_false(connect_once(client, server, &peer, &expires_at));
    peer_free(peer);
    skew_s = (time_t)(expires_at - __real_time(NULL)); /* to the second */
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(&pair);
    assert_false(transport_resumed(pair.server));
    tls_pair_close(&pair);
    skew_s = 0;
    tls_context_free(client);
    tls_context_free(server);
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
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_a_name_beyond_the_data),
        cmocka_unit_test(test_who_comes_back_is_known),
        cmocka_unit_test(test_not_when_the_certificate_has_expired),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
