// wrap: time
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/custom_cert.h"
#include "support/skewed_time.h"
#include "support/tls_pair.h"

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    static const uint8_t chain[] = {1, 2, 3, 0, 5};
    const struct tls_ticket tickets[] = {
        {.expires_at = 1000,
         .since = 900,
         .vouched = true,
         .owner = {.hash = {1, 2, 3, [31] = 4}},
         .name = "cn:ann",
         .name_bytes = 6,
         .chain = chain,
         .chain_bytes = sizeof chain},
        {.expires_at = 1000,
         .since = INT64_MAX,
         .by_list = true,
         .name = "uri:x",
         .name_bytes = 5,
         .chain = chain,
         .chain_bytes = 2},
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
        assert_int_equal(size, 51 + ticket->name_bytes + ticket->chain_bytes);
        assert_true(tls_ticket_read(&read, data, size));
        assert_int_equal(read.expires_at, ticket->expires_at);
        assert_true(read.since == ticket->since);
        assert_int_equal(read.vouched, ticket->vouched);
        assert_int_equal(read.owner.is_pin, ticket->owner.is_pin);
        assert_memory_equal(read.owner.hash, ticket->owner.hash, TLS_OWNER_BYTES);
        assert_int_equal(read.by_list, ticket->by_list);
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
    for (size_t size = 550; size < 600; size++) {
        data[49] = (uint8_t)size;
        data[50] = (uint8_t)(size >> 8);
        assert_false(tls_ticket_read(&read, data, sizeof data));
    }
    data[49] = data[50] = 0xff;
    assert_false(tls_ticket_read(&read, data, sizeof data));
}

/* ---- with a real client ---------------------------------------------------------------------- */

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

/* A CA of our own, a client's certificate from it that is valid for so long, and lists. */
struct short_life {
    char folder[64];
    char ca[96];
    char cert[96];
    char key[96];
    char lists[96];
    struct custom_cert issuer;
    struct custom_cert leaf;
};

static void make_short_life(struct short_life *it, long valid_s)
{
    (void)snprintf(it->folder, sizeof it->folder, "/tmp/afar-ticket-XXXXXX");
    assert_non_null(mkdtemp(it->folder));
    (void)snprintf(it->ca, sizeof it->ca, "%s/ca.pem", it->folder);
    (void)snprintf(it->cert, sizeof it->cert, "%s/cert.pem", it->folder);
    (void)snprintf(it->key, sizeof it->key, "%s/key.pem", it->folder);
    (void)snprintf(it->lists, sizeof it->lists, "%s/lists.pem", it->folder);
    custom_cert_make(&it->issuer,
                     &(struct custom_cert_order){.common_names = {"CA"}, .is_ca = true});
    custom_cert_make(&it->leaf, &(struct custom_cert_order){.issuer = &it->issuer,
                                                            .common_names = {"tester"},
                                                            .valid_s = valid_s});
    custom_cert_write(&it->issuer, NULL, it->ca, NULL);
    custom_cert_write(&it->leaf, NULL, it->cert, it->key);
}

static void remove_short_life(struct short_life *it)
{
    custom_cert_close(&it->leaf);
    custom_cert_close(&it->issuer);
    (void)unlink(it->ca);
    (void)unlink(it->cert);
    (void)unlink(it->key);
    (void)unlink(it->lists);
    assert_int_equal(rmdir(it->folder), 0);
}

static void open_short_life(const struct short_life *it, const struct test_certs *certs,
                            const char *lists, struct tls_context **client,
                            struct tls_context **server)
{
    const struct tls_server_options options = {.cert_file = certs->cert[TEST_SERVER],
                                               .key_file = certs->key[TEST_SERVER],
                                               .client_ca_file = it->ca,
                                               .crl_file = lists};
    const struct tls_client_options from = {
        .ca_file = certs->cert[TEST_CA], .cert_file = it->cert, .key_file = it->key};
    struct afar_error err;
    if (tls_context_server_new(server, &options, &err) != AFAR_OK ||
        tls_context_client_new(client, &from, &err) != AFAR_OK)
        fail_msg("%s", err.message);
}

static bool resumes_at(struct tls_context *client, struct tls_context *server, time_t at_s)
{
    struct tls_pair pair;
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    skew_s = at_s;
    tls_pair_handshake(&pair);
    if (pair.client_status != AFAR_OK || pair.server_status != AFAR_OK)
        fail_msg("%s / %s", pair.client_err.message, pair.server_err.message);
    bool resumed = transport_resumed(pair.server);
    skew_s = 0;
    tls_pair_exchange(pair.server, pair.client, 10);
    tls_pair_close(&pair);
    return resumed;
}

static void test_not_when_the_certificate_has_expired(void **state)
{
    struct test_certs *certs = *state;
    struct tls_context *client = NULL;
    struct tls_context *server = NULL;
    struct short_life it;
    make_short_life(&it, 1800);
    open_short_life(&it, certs, NULL, &client, &server);
    assert_false(resumes_at(client, server, 0));
    assert_true(resumes_at(client, server, 1700));
    assert_false(resumes_at(client, server, 1800));
    tls_context_free(client);
    tls_context_free(server);
    remove_short_life(&it);
}

/* From the list's nextUpdate on a full handshake is refused: so is a ticket, and a connection that
 * is open. With two lists, the one that lasts counts. */
static void test_not_when_the_revocation_list_has_expired(void **state)
{
    struct test_certs *certs = *state;
    struct tls_context *client = NULL;
    struct tls_context *server = NULL;
    struct short_life it;
    struct tls_pair pair;
    struct afar_error err;
    make_short_life(&it, 0);
    custom_cert_write_list_until(&it.issuer, NULL, 600, it.lists);
    custom_cert_write_list_until(&it.issuer, NULL, 1800, it.lists);
    open_short_life(&it, certs, it.lists, &client, &server);
    assert_false(resumes_at(client, server, 0));
    assert_true(resumes_at(client, server, 1700));
    tls_pair_open(&pair, client, server, "localhost", NULL, NULL, 4096);
    tls_pair_handshake(&pair);
    assert_true(transport_resumed(pair.server)); /* what a ticket says of it counts too */
    tls_pair_exchange(pair.server, pair.client, 10);
    skew_s = 1700;
    assert_int_equal(transport_judge(pair.server, NULL, &err), AFAR_OK);
    skew_s = 1800;
    assert_int_equal(transport_judge(pair.server, NULL, &err), AFAR_ETRUST);
    tls_pair_assert_line(&err, "the revocation list of its issuer has expired (tls_crl)");
    tls_pair_close(&pair);
    assert_false(resumes_at(client, server, 1800));
    tls_context_free(client);
    tls_context_free(server);
    remove_short_life(&it);
}

/* The client is told for how long a ticket will be of use: until its first one would have ended. */
static void test_a_ticket_says_how_long_it_lasts(void **state)
{
    struct test_certs *certs = *state;
    struct tls_context *client = tls_pair_client_context(certs, TEST_CLIENT, TEST_CA);
    struct tls_context *server = tls_pair_server_context(certs, TEST_SERVER, TEST_CA);
    assert_false(resumes_at(client, server, 0));
    assert_int_equal(SSL_SESSION_get_ticket_lifetime_hint(client->saved[0].session),
                     TLS_SESSION_LIFE_S);
    assert_true(resumes_at(client, server, 3000));
    assert_in_range(SSL_SESSION_get_ticket_lifetime_hint(client->saved[0].session),
                    TLS_SESSION_LIFE_S - 3010, TLS_SESSION_LIFE_S - 3000);
    tls_context_free(client);
    tls_context_free(server);
}

/* A ticket with so long a chain in it would make the hello longer than we let it be. */
static void test_none_with_a_long_chain(void **state)
{
    struct test_certs *certs = *state;
    struct tls_context *client = NULL;
    struct tls_context *server = NULL;
    for (size_t bytes = 9000; bytes <= 15000; bytes += 1500) {
        struct short_life it;
        make_short_life(&it, 0);
        struct custom_cert leaf;
        custom_cert_make(&leaf, &(struct custom_cert_order){.issuer = &it.issuer,
                                                            .common_names = {"tester"},
                                                            .comment_bytes = bytes});
        custom_cert_write(&leaf, NULL, it.cert, it.key);
        custom_cert_close(&leaf);
        open_short_life(&it, certs, NULL, &client, &server);
        assert_false(resumes_at(client, server, 0));
        bool resumed = resumes_at(client, server, 0);
        assert_true(resumed || bytes > 9000);
        assert_true(!resumed || bytes < 15000);
        tls_context_free(client);
        tls_context_free(server);
        remove_short_life(&it);
    }
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
        cmocka_unit_test(test_not_when_the_revocation_list_has_expired),
        cmocka_unit_test(test_a_ticket_says_how_long_it_lasts),
        cmocka_unit_test(test_none_with_a_long_chain),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
