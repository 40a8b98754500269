/* What a client is called, by certificates that were made to be misread; and who is let in by his
 * key although a CA has something against it. */
// wrap: time
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/custom_cert.h"
#include "support/tls_pair.h"

enum { PATH_BYTES = 128, TEXT_BYTES = 2048, HOUR_S = 3600, DAY_S = 86400 };

static struct test_certs certs;
static struct custom_cert ca; /* valid for an hour; in FOLDER/my-ca.pem */
static time_t ahead;          /* so far is the clock */

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
    time_t now = __real_time(NULL) + ahead;
    if (out != NULL)
        *out = now;
    return now;
}

static const char *file(const char *name)
{
    static char paths[4][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH_BYTES, "%s/%s", certs.folder, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    custom_cert_make(&ca, &(struct custom_cert_order){
                              .common_names = {"My CA"}, .is_ca = true, .valid_s = HOUR_S});
    custom_cert_write(&ca, NULL, file("my-ca.pem"), NULL);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"my-ca.pem", "leaf.pem", "leaf-key.pem", "lists.pem"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(file(names[i]));
    custom_cert_close(&ca);
    test_certs_remove(&certs);
    return 0;
}

/* ---- a client and a server ------------------------------------------------------------------- */

struct parties {
    struct tls_context *server;
    struct tls_context *client;
    struct tls_pair pair;
};

/* A server that trusts my CA, or else another; and this key, or none. */
static struct tls_context *server_with(bool trusts, const struct custom_cert *pinned,
                                       const char *lists)
{
    struct tls_context *context = NULL;
    struct afar_error err;
    char pin[TLS_PIN_BYTES] = "";
    char *pins[] = {pin};
    if (pinned != NULL)
        assert_true(tls_pin(pinned->certificate, pin));
    const struct tls_server_options options = {.cert_file = certs.cert[TEST_SERVER],
                                               .key_file = certs.key[TEST_SERVER],
                                               .client_ca_file = trusts ? file("my-ca.pem")
                                                                        : certs.cert[TEST_OTHER_CA],
                                               .crl_file = lists,
                                               .pins = pins,
                                               .pin_count = pinned != NULL ? 1 : 0};
    if (tls_context_server_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

/* *moves* `server`. The client shows what is in leaf.pem. */
static void meet(struct parties *parties, struct tls_context *server)
{
    struct afar_error err;
    const struct tls_client_options options = {.ca_file = certs.cert[TEST_CA],
                                               .cert_file = file("leaf.pem"),
                                               .key_file = file("leaf-key.pem")};
    parties->server = server;
    if (tls_context_client_new(&parties->client, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    tls_pair_open(&parties->pair, parties->client, parties->server, "localhost", NULL, NULL, 65536);
    tls_pair_handshake(&parties->pair);
}

static void part(struct parties *parties)
{
    ahead = 0;
    tls_pair_close(&parties->pair);
    tls_context_free(parties->client);
    tls_context_free(parties->server);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* All names but the pin, with a '|' after each; and that there is one pin. */
static void names_of(const struct transport *transport, char text[TEXT_BYTES])
{
    struct peer *peer = NULL;
    struct afar_error err;
    size_t used = 0;
    unsigned pins = 0;
    assert_int_equal(transport_peer(transport, &peer, &err), AFAR_OK);
    assert_null(peer->names[peer->name_count]);
    text[0] = '\0';
    for (size_t i = 0; i < peer->name_count; i++) {
        bool pin = strncmp(peer->names[i], "pin:sha256:", 11) == 0;
        pins += pin;
        if (!pin)
            used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%s|", peer->names[i]);
    }
    assert_int_equal(pins, 1);
    peer_free(peer);
}

static void assert_names(const char *const common_names[2], GENERAL_NAMES *names,
                         const char *expected)
{
    struct parties parties;
    struct custom_cert leaf;
    char text[TEXT_BYTES];
    custom_cert_make(&leaf,
                     &(struct custom_cert_order){.issuer = &ca,
                                                 .common_names = {common_names[0], common_names[1]},
                                                 .names = names});
    custom_cert_write(&leaf, NULL, file("leaf.pem"), file("leaf-key.pem"));
    meet(&parties, server_with(true, NULL, NULL));
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    names_of(parties.pair.server, text);
    assert_string_equal(text, expected);
    part(&parties);
    custom_cert_close(&leaf);
    GENERAL_NAMES_free(names);
}

#define CNS(...)           \
    (const char *const[2]) \
    {                      \
        __VA_ARGS__        \
    }

static void every_name_counts(void **state)
{
    GENERAL_NAMES *names = NULL;
    (void)state;
    custom_cert_add_name(&names, GEN_URI, "spiffe://a/b", 12);
    custom_cert_add_name(&names, GEN_DNS, "h.example", 9);
    custom_cert_add_name(&names, GEN_URI, "urn:x", 5);
    custom_cert_add_name(&names, GEN_EMAIL, "ann@example.com", 15);
    assert_names(CNS("ann", "bob"), names,
                 "uri:spiffe://a/b|dns:h.example|uri:urn:x|email:ann@example.com|cn:ann|cn:bob|");
    assert_names(CNS(NULL), NULL, "");
    /* A kind in a name is a part of the name. */
    assert_names(CNS("uid:0", "pin\xc3\xa4"), NULL, "cn:uid:0|cn:pin\xc3\xa4|");
}

static void what_others_would_read_otherwise_is_left_out(void **state)
{
    GENERAL_NAMES *names = NULL;
    (void)state;
    custom_cert_add_name(&names, GEN_URI, "spiffe://admin\0.evil", 20);
    custom_cert_add_name(&names, GEN_DNS, "admin\0.evil.example", 19);
    custom_cert_add_name(&names, GEN_DNS, "admin\0", 6);
    custom_cert_add_name(&names, GEN_EMAIL, "\0root@example.com", 17);
    custom_cert_add_name(&names, GEN_DNS, "", 0);
    custom_cert_add_name(&names, GEN_DNS, "a\nb", 3);
    custom_cert_add_name(&names, GEN_DNS, "a\x1b[2Jb", 6);
    custom_cert_add_name(&names, GEN_DNS, "good.example", 12);
    assert_names(CNS("a\tb"), names, "dns:good.example|");
}

/* Were some left out, a rule that is for one of them would be passed over, and a later one taken.
 */
static void too_many_are_refused(void **state)
{
    struct parties parties;
    struct custom_cert leaf;
    struct peer *peer = NULL;
    struct afar_error err;
    GENERAL_NAMES *names = NULL;
    char name[32];
    (void)state;
    for (unsigned i = 0; i < PEER_NAMES_MAX - 1; i++) {
        int size = snprintf(name, sizeof name, "h%u.example", i);
        custom_cert_add_name(&names, GEN_DNS, name, (size_t)size);
    }
    for (unsigned i = 0; i < 2; i++) {
        custom_cert_make(&leaf, &(struct custom_cert_order){.issuer = &ca,
                                                            .common_names = {i == 0 ? NULL : "ann"},
                                                            .names = names});
        custom_cert_write(&leaf, NULL, file("leaf.pem"), file("leaf-key.pem"));
        meet(&parties, server_with(true, NULL, NULL));
        assert_int_equal(parties.pair.server_status, AFAR_OK);
        assert_int_equal(transport_peer(parties.pair.server, &peer, &err),
                         i == 0 ? AFAR_OK : AFAR_ETRUST);
        if (i == 0)
            assert_int_equal(peer->name_count, PEER_NAMES_MAX);
        else
            tls_pair_assert_line(&err, "more than 256 names");
        peer_free(peer);
        part(&parties);
        custom_cert_close(&leaf);
    }
    GENERAL_NAMES_free(names);
}

static void nobody_vouches_for_what_a_key_claims(void **state)
{
    struct parties parties;
    struct custom_cert leaf;
    GENERAL_NAMES *names = NULL;
    char text[TEXT_BYTES];
    (void)state;
    custom_cert_add_name(&names, GEN_URI, "spiffe://admin", 14);
    custom_cert_make(&leaf, &(struct custom_cert_order){.common_names = {"admin"}, .names = names});
    custom_cert_write(&leaf, NULL, file("leaf.pem"), file("leaf-key.pem"));
    meet(&parties, server_with(true, &leaf, NULL));
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    names_of(parties.pair.server, text);
    assert_string_equal(text, "");
    part(&parties);
    custom_cert_close(&leaf);
    GENERAL_NAMES_free(names);
}

/* ---- by key, but ----------------------------------------------------------------------------- */

/* Security level 2 would not let the client load such a key itself. */
static void a_weak_key_is_refused(void **state)
{
    struct parties parties;
    struct custom_cert leaf;
    const struct tls_client_options options = {.ca_file = certs.cert[TEST_CA]};
    (void)state;
    custom_cert_make(&leaf,
                     &(struct custom_cert_order){.common_names = {"weak"}, .rsa_bits = 1024});
    parties.server = server_with(false, &leaf, NULL);
    assert_int_equal(tls_context_client_new(&parties.client, &options, NULL), AFAR_OK);
    SSL_CTX_set_security_level(parties.client->ssl_ctx, 0);
    assert_int_equal(SSL_CTX_use_certificate(parties.client->ssl_ctx, leaf.certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(parties.client->ssl_ctx, leaf.key), 1);
    tls_pair_open(&parties.pair, parties.client, parties.server, "localhost", NULL, NULL, 65536);
    tls_pair_handshake(&parties.pair);
    assert_int_equal(parties.pair.server_status, AFAR_ETRUST);
    tls_pair_assert_line(&parties.pair.server_err, "too short to be safe");
    part(&parties);
    custom_cert_close(&leaf);
}

/* Its owner does not get around it by keeping back who has issued it. */
static void revoked_by_an_issuer_that_is_not_shown(void **state)
{
    struct parties parties;
    struct custom_cert between;
    struct custom_cert leaf;
    struct custom_cert other;
    (void)state;
    custom_cert_make(&between, &(struct custom_cert_order){
                                   .issuer = &ca, .common_names = {"Between"}, .is_ca = true});
    custom_cert_make(&leaf,
                     &(struct custom_cert_order){.issuer = &between, .common_names = {"leaf"}});
    custom_cert_make(&other,
                     &(struct custom_cert_order){.issuer = &between, .common_names = {"other"}});
    custom_cert_write_list(&ca, NULL, file("lists.pem"));
    custom_cert_write_list(&between, &leaf, file("lists.pem"));
    for (unsigned shown = 0; shown < 2; shown++) {
        custom_cert_write(&leaf, shown == 1 ? &between : NULL, file("leaf.pem"),
                          file("leaf-key.pem"));
        meet(&parties, server_with(true, &leaf, file("lists.pem")));
        assert_int_equal(parties.pair.server_status, AFAR_ETRUST);
        tls_pair_assert_line(&parties.pair.server_err, "has been revoked");
        part(&parties);
        custom_cert_write(&other, shown == 1 ? &between : NULL, file("leaf.pem"),
                          file("leaf-key.pem"));
        meet(&parties, server_with(true, &other, file("lists.pem")));
        assert_int_equal(parties.pair.server_status, AFAR_OK);
        part(&parties);
    }
    custom_cert_close(&other);
    custom_cert_close(&leaf);
    custom_cert_close(&between);
}

/* ---- judged again ---------------------------------------------------------------------------- */

/* The CA's hour counts while it vouches, and only then. */
static void as_long_as_what_it_is_accepted_for(void **state)
{
    struct parties parties;
    struct custom_cert leaf;
    struct afar_error err;
    (void)state;
    custom_cert_make(&leaf, &(struct custom_cert_order){
                                .issuer = &ca, .common_names = {"leaf"}, .valid_s = 2 * DAY_S});
    custom_cert_write(&leaf, NULL, file("leaf.pem"), file("leaf-key.pem"));
    struct tls_context *trusted = server_with(true, NULL, NULL);
    struct tls_context *pinned = server_with(false, &leaf, NULL);

    meet(&parties, server_with(false, &leaf, NULL));
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    ahead = DAY_S;
    assert_int_equal(transport_judge(parties.pair.server, NULL, &err), AFAR_OK);
    ahead = 0;
    assert_int_equal(transport_judge(parties.pair.server, trusted, &err), AFAR_OK);
    ahead = DAY_S;
    assert_int_equal(transport_judge(parties.pair.server, trusted, &err), AFAR_ETRUST);
    part(&parties);

    meet(&parties, server_with(true, NULL, NULL));
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    ahead = DAY_S;
    assert_int_equal(transport_judge(parties.pair.server, NULL, &err), AFAR_ETRUST);
    assert_int_equal(transport_judge(parties.pair.server, pinned, &err), AFAR_OK);
    ahead = 3 * DAY_S;
    assert_int_equal(transport_judge(parties.pair.server, pinned, &err), AFAR_ETRUST);
    part(&parties);
    tls_context_free(trusted);
    tls_context_free(pinned);
    custom_cert_close(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_counts),
        cmocka_unit_test(what_others_would_read_otherwise_is_left_out),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(nobody_vouches_for_what_a_key_claims),
        cmocka_unit_test(a_weak_key_is_refused),
        cmocka_unit_test(revoked_by_an_issuer_that_is_not_shown),
        cmocka_unit_test(as_long_as_what_it_is_accepted_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
