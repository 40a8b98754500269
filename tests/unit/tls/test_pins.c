/* Peers that are let in for their key's sake; and what names they then have. */
// wrap: time
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

#include "tls/internal.h"
#include "support/tls_pair.h"

static struct test_certs certs;
static char pins[TEST_CERTS][TLS_PIN_BYTES];
static time_t ahead;

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
    time_t now = __real_time(NULL) + ahead;
    if (out != NULL)
        *out = now;
    return now;
}

static X509 *load(enum test_cert which)
{
    FILE *file = fopen(certs.cert[which], "re");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    assert_int_equal(fclose(file), 0);
    assert_non_null(certificate);
    return certificate;
}

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    for (int i = 0; i < TEST_CERTS; i++) {
        X509 *certificate = load((enum test_cert)i);
        assert_true(tls_pin(certificate, pins[i]));
        X509_free(certificate);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_certs_remove(&certs);
    return 0;
}

/* A server that trusts this CA (or, TLS_PAIR_NONE, none) and this key (likewise). */
static struct tls_context *server_with(int ca, int pinned, const char *crl_file)
{
    struct tls_context *context = NULL;
    struct afar_error err;
    char *list[] = {pinned >= 0 ? pins[pinned] : NULL};
    const struct tls_server_options options = {.cert_file = certs.cert[TEST_SERVER],
                                               .key_file = certs.key[TEST_SERVER],
                                               .client_ca_file = ca >= 0 ? certs.cert[ca] : NULL,
                                               .crl_file = crl_file,
                                               .pins = list,
                                               .pin_count = pinned >= 0 ? 1 : 0};
    if (tls_context_server_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

struct parties {
    struct tls_context *server;
    struct tls_context *client;
    struct tls_pair pair;
};

static void connect_again(struct parties *parties)
{
    tls_pair_open(&parties->pair, parties->client, parties->server, "localhost", NULL, NULL, 65536);
    tls_pair_handshake(&parties->pair);
}

/* *moves* `server`. */
static void connect_with(struct parties *parties, struct tls_context *server, enum test_cert cert)
{
    parties->server = server;
    parties->client = tls_pair_client_context(&certs, cert, TEST_CA);
    connect_again(parties);
}

static void part(struct parties *parties)
{
    ahead = 0;
    tls_pair_close(&parties->pair);
    tls_context_free(parties->client);
    tls_context_free(parties->server);
}

/* All names, with a blank after each. */
static void names_of(const struct transport *transport, char text[1024])
{
    struct peer *peer = NULL;
    struct afar_error err;
    size_t used = 0;
    assert_int_equal(transport_peer(transport, &peer, &err), AFAR_OK);
    assert_int_equal(peer->kind, IDENTITY_CERTIFICATE);
    text[0] = '\0';
    for (size_t i = 0; i < peer->name_count; i++)
        used += (size_t)snprintf(text + used, 1024 - used, "%s ", peer->names[i]);
    peer_free(peer);
}

static void assert_only_pin(const struct transport *transport, enum test_cert cert)
{
    char names[1024];
    char expected[128];
    struct identity identity;
    names_of(transport, names);
    (void)snprintf(expected, sizeof expected, "pin:sha256:%s ", pins[cert]);
    assert_string_equal(names, expected);
    transport_identity(transport, &identity);
    expected[strlen(expected) - 1] = '\0';
    assert_string_equal(identity.name, expected);
}

/* ---- the server ------------------------------------------------------------------------------ */

static void all_names_of_a_client(void **state)
{
    char names[1024];
    char expected[1024];
    struct parties parties;
    (void)state;
    connect_with(&parties, server_with(TEST_CA, TLS_PAIR_NONE, NULL), TEST_CLIENT_URI);
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    names_of(parties.pair.server, names);
    (void)snprintf(expected, sizeof expected, "pin:sha256:%s ", pins[TEST_CLIENT_URI]);
    assert_non_null(strstr(names, "uri:spiffe://afar/build "));
    assert_non_null(strstr(names, "dns:build.example "));
    assert_non_null(strstr(names, "email:tester@example.org "));
    assert_non_null(strstr(names, "cn:"));
    assert_non_null(strstr(names, expected));
    part(&parties);
    connect_with(&parties, server_with(TEST_CA, TLS_PAIR_NONE, NULL), TEST_CLIENT_NASTY);
    assert_only_pin(parties.pair.server, TEST_CLIENT_NASTY); /* its CN cannot be shown */
    part(&parties);
}

/* Whatever a certificate says that nobody vouches for, only its key is known. */
static void a_pinned_client_has_no_other_name(void **state)
{
    struct parties parties;
    (void)state;
    connect_with(&parties, server_with(TLS_PAIR_NONE, TEST_CLIENT_SELF_SIGNED, NULL),
                 TEST_CLIENT_SELF_SIGNED);
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    assert_only_pin(parties.pair.server, TEST_CLIENT_SELF_SIGNED);
    tls_pair_exchange(parties.pair.client, parties.pair.server, 1000);
    part(&parties);
    connect_with(&parties, server_with(TEST_OTHER_CA, TEST_CLIENT_URI, NULL), TEST_CLIENT_URI);
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    assert_only_pin(parties.pair.server, TEST_CLIENT_URI);
    part(&parties);
}

static void a_resumed_one_has_none_either(void **state)
{
    struct parties parties;
    (void)state;
    connect_with(&parties, server_with(TEST_OTHER_CA, TEST_CLIENT_URI, NULL), TEST_CLIENT_URI);
    tls_pair_exchange(parties.pair.server, parties.pair.client, 1000);
    tls_pair_close(&parties.pair);
    connect_again(&parties);
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    assert_true(transport_resumed(parties.pair.server));
    assert_only_pin(parties.pair.server, TEST_CLIENT_URI);
    part(&parties);
    /* And one that was vouched for keeps its names. */
    char names[1024];
    connect_with(&parties, server_with(TEST_CA, TEST_CLIENT_URI, NULL), TEST_CLIENT_URI);
    tls_pair_exchange(parties.pair.server, parties.pair.client, 1000);
    tls_pair_close(&parties.pair);
    connect_again(&parties);
    assert_true(transport_resumed(parties.pair.server));
    names_of(parties.pair.server, names);
    assert_non_null(strstr(names, "uri:spiffe://afar/build "));
    part(&parties);
}

static void assert_refused(struct tls_context *server, enum test_cert cert, const char *why)
{
    struct parties parties;
    connect_with(&parties, server, cert);
    assert_int_equal(parties.pair.server_status, AFAR_ETRUST);
    tls_pair_assert_line(&parties.pair.server_err, why);
    assert_int_not_equal(parties.pair.client_status, AFAR_OK);
    part(&parties);
}

static void who_is_refused(void **state)
{
    char line[128];
    (void)state;
    /* The operator is told what to paste; with a CA or without. */
    (void)snprintf(line, sizeof line, "client = pin:sha256:%s", pins[TEST_CLIENT_SELF_SIGNED]);
    assert_refused(server_with(TLS_PAIR_NONE, TEST_CLIENT, NULL), TEST_CLIENT_SELF_SIGNED, line);
    assert_refused(server_with(TEST_CA, TLS_PAIR_NONE, NULL), TEST_CLIENT_SELF_SIGNED, line);
    /* A key that is known is not enough. */
    assert_refused(server_with(TLS_PAIR_NONE, TEST_CLIENT_EXPIRED, NULL), TEST_CLIENT_EXPIRED,
                   "expired on");
    assert_refused(server_with(TEST_CA, TEST_CLIENT_EXPIRED, NULL), TEST_CLIENT_EXPIRED,
                   "expired on");
    assert_refused(server_with(TLS_PAIR_NONE, TEST_CLIENT_FUTURE, NULL), TEST_CLIENT_FUTURE,
                   "not valid yet");
    assert_refused(server_with(TLS_PAIR_NONE, TEST_CLIENT_AS_SERVER, NULL), TEST_CLIENT_AS_SERVER,
                   "clientAuth");
}

static void make_list(const char *path, enum test_cert revoked)
{
    X509 *ca = load(TEST_CA);
    X509 *certificate = load(revoked);
    X509_CRL *list = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60);
    ASN1_TIME *later = X509_gmtime_adj(NULL, 3600);
    FILE *file = fopen(certs.key[TEST_CA], "re");
    assert_non_null(file);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    assert_int_equal(fclose(file), 0);
    assert_true(X509_CRL_set_version(list, 1) == 1);
    assert_true(X509_CRL_set_issuer_name(list, X509_get_subject_name(ca)) == 1);
    assert_true(X509_CRL_set1_lastUpdate(list, now) == 1);
    assert_true(X509_CRL_set1_nextUpdate(list, later) == 1);
    assert_true(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate)) == 1);
    assert_true(X509_REVOKED_set_revocationDate(entry, now) == 1);
    assert_true(X509_CRL_add0_revoked(list, entry) == 1);
    assert_true(X509_CRL_sign(list, key, EVP_sha256()) > 0);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(PEM_write_X509_CRL(file, list) == 1);
    assert_int_equal(fclose(file), 0);
    EVP_PKEY_free(key);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
    X509_CRL_free(list);
    X509_free(certificate);
    X509_free(ca);
}

static void revoked_is_revoked(void **state)
{
    char path[128];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/list.pem", certs.folder);
    make_list(path, TEST_CLIENT);
    assert_refused(server_with(TEST_CA, TEST_CLIENT, path), TEST_CLIENT, "has been revoked");
    assert_int_equal(unlink(path), 0);
}

/* After a reload. */
static void judged_again(void **state)
{
    struct parties parties;
    struct afar_error err;
    char names[1024];
    (void)state;
    struct tls_context *pinned = server_with(TEST_OTHER_CA, TEST_CLIENT_URI, NULL);
    struct tls_context *nobody = server_with(TEST_OTHER_CA, TEST_CLIENT, NULL);
    struct tls_context *trusted = server_with(TEST_CA, TLS_PAIR_NONE, NULL);
    connect_with(&parties, server_with(TEST_CA, TLS_PAIR_NONE, NULL), TEST_CLIENT_URI);
    struct transport *transport = parties.pair.server;
    names_of(transport, names);
    assert_non_null(strstr(names, "uri:"));
    /* The CA is gone, the key is known. */
    assert_int_equal(transport_judge(transport, pinned, &err), AFAR_OK);
    names_of(transport, names);
    assert_null(strstr(names, "uri:"));
    /* The key is not known any more either. */
    assert_int_equal(transport_judge(transport, nobody, &err), AFAR_ETRUST);
    tls_pair_assert_line(&err, "a CA that we do not trust");
    assert_int_equal(transport_judge(transport, trusted, &err), AFAR_OK);
    names_of(transport, names);
    assert_non_null(strstr(names, "uri:"));
    /* Its time runs out, pinned or not. */
    assert_int_equal(transport_judge(transport, pinned, &err), AFAR_OK);
    ahead = 30 * 365 * (time_t)86400;
    assert_int_equal(transport_judge(transport, pinned, &err), AFAR_ETRUST);
    ahead = 0;
    tls_context_free(pinned);
    tls_context_free(nobody);
    tls_context_free(trusted);
    part(&parties);
}

static void a_thousand_pins(void **state)
{
    enum { COUNT = 1000 };
    static char texts[COUNT][TLS_PIN_BYTES];
    static char *list[COUNT];
    struct parties parties;
    struct tls_context *context = NULL;
    struct afar_error err;
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%064x", i * 2654435761U);
        list[i] = texts[i];
    }
    memcpy(texts[500], pins[TEST_CLIENT_SELF_SIGNED], TLS_PIN_BYTES);
    struct tls_server_options options = {.cert_file = certs.cert[TEST_SERVER],
                                         .key_file = certs.key[TEST_SERVER],
                                         .pins = list,
                                         .pin_count = COUNT};
    assert_int_equal(tls_context_server_new(&context, &options, &err), AFAR_OK);
    connect_with(&parties, context, TEST_CLIENT_SELF_SIGNED);
    assert_int_equal(parties.pair.server_status, AFAR_OK);
    part(&parties);
    texts[7][3] = 'X';
    assert_int_equal(tls_context_server_new(&context, &options, &err), AFAR_EINVAL);
    tls_pair_assert_line(&err, "is not a pin");
    options.pin_count = 0;
    assert_int_equal(tls_context_server_new(&context, &options, &err), AFAR_EINVAL);
}

/* ---- the client ------------------------------------------------------------------------------ */

static struct tls_context *client_with(const char *pin, tls_trust *trust, void *user)
{
    struct tls_context *context = NULL;
    struct afar_error err;
    const struct tls_client_options options = {.cert_file = certs.cert[TEST_CLIENT],
                                               .key_file = certs.key[TEST_CLIENT],
                                               .ca_file = certs.cert[TEST_OTHER_CA],
                                               .pin = pin,
                                               .trust = trust,
                                               .trust_user = user};
    if (tls_context_client_new(&context, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

/* A connection to a server with this certificate. */
static void meet(struct parties *parties, struct tls_context *client, enum test_cert server)
{
    parties->client = client;
    parties->server = tls_pair_server_context(&certs, server, TEST_CA);
    connect_again(parties);
}

static void a_client_knows_its_server_by_its_key(void **state)
{
    static const enum test_cert servers[] = {TEST_SERVER, TEST_SERVER_SELF_SIGNED,
                                             TEST_SERVER_EXPIRED, TEST_SERVER_WRONG_NAME};
    struct parties parties;
    char line[128];
    (void)state;
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        meet(&parties, client_with(pins[servers[i]], NULL, NULL), servers[i]);
        assert_int_equal(parties.pair.client_status, AFAR_OK);
        tls_pair_exchange(parties.pair.server, parties.pair.client, 1000);
        part(&parties);
    }
    meet(&parties, client_with(pins[TEST_CLIENT], NULL, NULL), TEST_SERVER);
    assert_int_equal(parties.pair.client_status, AFAR_ETRUST);
    (void)snprintf(line, sizeof line, "is not the pinned one: it shows sha256:%s",
                   pins[TEST_SERVER]);
    tls_pair_assert_line(&parties.pair.client_err, line);
    /* The server does not look for what is wrong with its names. */
    tls_pair_assert_line(&parties.pair.server_err,
                         "it does not say why; it may know us by another key (--pin, known_hosts)");
    part(&parties);
}

/* Sessions are kept with their context, and were accepted by the same pin. */
static void a_pinned_server_is_resumed(void **state)
{
    struct parties parties;
    (void)state;
    meet(&parties, client_with(pins[TEST_SERVER_SELF_SIGNED], NULL, NULL), TEST_SERVER_SELF_SIGNED);
    tls_pair_exchange(parties.pair.server, parties.pair.client, 1000);
    tls_pair_close(&parties.pair);
    connect_again(&parties);
    assert_int_equal(parties.pair.client_status, AFAR_OK);
    assert_true(transport_resumed(parties.pair.client));
    part(&parties);
}

struct asked {
    unsigned times;
    char name[64];
    char pin[TLS_PIN_BYTES];
    bool answer;
};

static bool ask(void *user, const char *server_name, const char *pin)
{
    struct asked *asked = user;
    asked->times++;
    (void)snprintf(asked->name, sizeof asked->name, "%s", server_name);
    (void)snprintf(asked->pin, sizeof asked->pin, "%s", pin);
    return asked->answer;
}

static void an_unknown_server_is_asked_about(void **state)
{
    static const struct {
        enum test_cert server;
        bool asked;
    } cases[] = {{TEST_SERVER, true},
                 {TEST_SERVER_SELF_SIGNED, true},
                 {TEST_SERVER_CHAIN, true},
                 {TEST_SERVER_OTHER_CA, false}}; /* which this client trusts */
    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        struct parties parties;
        struct asked asked = {.answer = i % 2 == 0};
        enum test_cert server = cases[i / 2].server;
        bool expected = !cases[i / 2].asked || asked.answer;
        meet(&parties, client_with(NULL, ask, &asked), server);
        assert_int_equal(parties.pair.client_status, expected ? AFAR_OK : AFAR_ETRUST);
        assert_int_equal(asked.times, cases[i / 2].asked);
        if (cases[i / 2].asked) {
            assert_string_equal(asked.name, "localhost");
            assert_string_equal(asked.pin, pins[server]);
        }
        part(&parties);
    }
}

/* A CA that is trusted vouches for the certificate, but it is not in order: nobody is asked. */
static void a_wrong_server_is_not_asked_about(void **state)
{
    static const enum test_cert servers[] = {TEST_SERVER_EXPIRED, TEST_SERVER_FUTURE,
                                             TEST_SERVER_WRONG_NAME, TEST_SERVER_AS_CLIENT};
    (void)state;
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        struct parties parties;
        struct asked asked = {.answer = true};
        struct tls_context *context = NULL;
        const struct tls_client_options options = {
            .ca_file = certs.cert[TEST_CA], .trust = ask, .trust_user = &asked};
        assert_int_equal(tls_context_client_new(&context, &options, NULL), AFAR_OK);
        meet(&parties, context, servers[i]);
        assert_int_equal(parties.pair.client_status, AFAR_ETRUST);
        assert_int_equal(asked.times, 0);
        part(&parties);
    }
}

/* ---- private keys ---------------------------------------------------------------------------- */

static void a_key_is_private(void **state)
{
    static const struct {
        mode_t mode;
        bool fine;
    } cases[] = {{0600, true},  {0400, true},  {0640, true},  {0440, true},  {0644, false},
                 {0604, false}, {0660, false}, {0602, false}, {0601, false}, {0777, false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_context *context = NULL;
        struct afar_error err;
        const struct tls_client_options options = {.ca_file = certs.cert[TEST_CA],
                                                   .cert_file = certs.cert[TEST_CLIENT],
                                                   .key_file = certs.key[TEST_CLIENT]};
        assert_int_equal(chmod(certs.key[TEST_CLIENT], cases[i].mode), 0);
        enum afar_status status = tls_context_client_new(&context, &options, &err);
        assert_int_equal(status, cases[i].fine ? AFAR_OK : AFAR_EINVAL);
        if (!cases[i].fine)
            tls_pair_assert_line(&err, "can be read or changed by others");
        tls_context_free(context);
    }
    assert_int_equal(chmod(certs.key[TEST_CLIENT], 0600), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_names_of_a_client),
        cmocka_unit_test(a_pinned_client_has_no_other_name),
        cmocka_unit_test(a_resumed_one_has_none_either),
        cmocka_unit_test(who_is_refused),
        cmocka_unit_test(revoked_is_revoked),
        cmocka_unit_test(judged_again),
        cmocka_unit_test(a_thousand_pins),
        cmocka_unit_test(a_client_knows_its_server_by_its_key),
        cmocka_unit_test(a_pinned_server_is_resumed),
        cmocka_unit_test(an_unknown_server_is_asked_about),
        cmocka_unit_test(a_wrong_server_is_not_asked_about),
        cmocka_unit_test(a_key_is_private),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
