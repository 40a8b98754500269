/* A server's own certificate: one that no client would accept is not taken, neither at the start
 * nor by a reload nor by a renewal; and its end is announced. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/custom_cert.h"

enum { DAY_S = 86400 };

static char folder[64];
static struct custom_cert ca;
static struct afard server;

/* Some of them at once. */
static const char *file(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* Writes cert.pem and key.pem anew, each by one rename. `between`: issued by that, which is sent
 * too; NULL: by the CA. `host` NULL: for none. */
static void put_any(const struct custom_cert_order *order, const struct custom_cert *between,
                    const char *host)
{
    struct custom_cert made;
    struct custom_cert_order complete = *order;
    GENERAL_NAMES *names = NULL;
    if (host != NULL)
        custom_cert_add_name(&names, GEN_DNS, host, strlen(host));
    complete.issuer = between != NULL ? between : &ca;
    complete.names = names;
    complete.common_names[0] = "build-7";
    custom_cert_make(&made, &complete);
    custom_cert_write(&made, between, file("next.pem"), file("next-key.pem"));
    assert_int_equal(rename(file("next-key.pem"), file("key.pem")), 0);
    assert_int_equal(rename(file("next.pem"), file("cert.pem")), 0);
    custom_cert_close(&made);
    GENERAL_NAMES_free(names);
}

static void put_certificate(const struct custom_cert_order *order)
{
    put_any(order, NULL, "localhost");
}

static const struct custom_cert_order good = {.is_server = true, .valid_s = 400L * DAY_S};
static const struct custom_cert_order expired = {
    .is_server = true, .begins_s = -2L * DAY_S, .valid_s = -DAY_S};
static const struct custom_cert_order future = {
    .is_server = true, .begins_s = DAY_S, .valid_s = 2L * DAY_S};
static const struct custom_cert_order for_clients = {.is_server = false};
static const struct custom_cert_order strange = {.is_server = true, .strange = true};
static const struct custom_cert_order odd_curve = {.is_server = true, .curve = "secp256k1"};

static int set_up(void **state)
{
    struct custom_cert client;
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-certificates-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    custom_cert_make(&ca, &(struct custom_cert_order){
                              .common_names = {"CA"}, .is_ca = true, .valid_s = 3650L * DAY_S});
    custom_cert_make(&client, &(struct custom_cert_order){.issuer = &ca, .common_names = {"ann"}});
    custom_cert_write(&ca, NULL, file("ca.pem"), NULL);
    custom_cert_write(&client, NULL, file("client.pem"), file("client-key.pem"));
    custom_cert_close(&client);
    (void)setenv("AFAR_CA", file("ca.pem"), 1);
    (void)setenv("AFAR_CERT", file("client.pem"), 1);
    (void)setenv("AFAR_KEY", file("client-key.pem"), 1);
    (void)setenv("AFAR_SESSIONS", "", 1);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"ca.pem",   "client.pem", "client-key.pem",
                                        "cert.pem", "key.pem",    "lists.pem"};
    (void)state;
    custom_cert_close(&ca);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(file(names[i]));
    return rmdir(folder);
}

static void start(const char *setting, const char *more)
{
    const char *args[] = {"--listen",
                          "tls://127.0.0.1:0",
                          "--http",
                          "tcp://127.0.0.1:0",
                          "--tls-client-ca",
                          file("ca.pem"),
                          "--tls-cert",
                          file("cert.pem"),
                          "--tls-key",
                          file("key.pem"),
                          "--set",
                          setting,
                          more != NULL ? "--set" : NULL,
                          more,
                          NULL};
    afard_start(&server, args);
}

/* Runs afard, which ends by itself, and expects this of it. */
static void expect_afard(const char *check, int status, const char *line)
{
    struct program program;
    const char *argv[] = {
        "afard",      "--listen",       "tls://127.0.0.1:0", "--tls-client-ca", file("ca.pem"),
        "--tls-cert", file("cert.pem"), "--tls-key",         file("key.pem"),   check,
        NULL};
    int got = program_run(&program, argv, NULL, 0);
    if (got != status ||
        strstr(status == 0 ? program.stdout_data : program.stderr_data, line) == NULL)
        fail_msg("status %d: %s%s", got, program.stdout_data, program.stderr_data);
    program_close(&program);
}

/* The exit status of a ping; what was said goes to `said`. */
static int ping(char *said, size_t size)
{
    char url[600];
    struct program program;
    (void)snprintf(url, sizeof url, "localhost:%u", afard_port(&server, 0));
    const char *argv[] = {"afar", "ping", url, NULL};
    int status = program_run(&program, argv, NULL, 0);
    if (said != NULL)
        (void)snprintf(said, size, "%s", program.stderr_data);
    program_close(&program);
    return status;
}

static void check_and_start(void **state)
{
    (void)state;
    static const struct {
        const struct custom_cert_order *order;
        const char *line;
        bool starts;
    } cases[] = {
        {&expired, "the server's certificate (CN=build-7) expired on 20", false},
        {&for_clients, "the server's certificate (CN=build-7) is not made for servers", false},
        {&odd_curve, "is on the curve secp256k1, which TLS 1.3 cannot use", false},
        {&strange, "(CN=build-7) has a critical extension that is not known", false},
        {&future, "the server's certificate (CN=build-7) is not valid before 20", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_certificate(cases[i].order);
        expect_afard("--check", 1, cases[i].line);
        if (!cases[i].starts) {
            expect_afard(NULL, 1, cases[i].line);
            continue;
        }
        start("tls_watch_ms=0", NULL);
        afard_expect_log(&server, cases[i].line);
        assert_int_not_equal(ping(NULL, 0), 0);
        assert_int_equal(afard_stop(&server), 0);
    }
    put_certificate(&good);
    expect_afard("--check", 0, "configuration ok");
    /* What is good, and not for long. */
    put_certificate(&(struct custom_cert_order){.is_server = true, .valid_s = 2L * DAY_S + 3600});
    struct program program;
    const char *argv[] = {
        "afard",      "--listen",       "tls://127.0.0.1:0", "--tls-client-ca", file("ca.pem"),
        "--tls-cert", file("cert.pem"), "--tls-key",         file("key.pem"),   "--check",
        NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    assert_non_null(strstr(program.stderr_data,
                           "afard: warning: the server's certificate (tls_cert) ends on 20"));
    program_close(&program);
}

static void a_reload_keeps_what_is_good(void **state)
{
    (void)state;
    static const struct custom_cert_order *const bad[] = {&expired, &future, &for_clients,
                                                          &odd_curve, &strange};
    put_certificate(&good);
    start("tls_watch_ms=0", NULL);
    assert_int_equal(ping(NULL, 0), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t before = server.program.stderr_size;
        put_certificate(bad[i]);
        assert_int_equal(kill(server.program.pid, SIGHUP), 0);
        (void)program_expect_after(&server.program, 2, before,
                                   "SIGHUP: not reloaded, nothing changed: the ");
        assert_int_equal(ping(NULL, 0), 0);
    }
    put_certificate(&good);
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    afard_expect_log(&server, "SIGHUP: reloaded");
    assert_int_equal(ping(NULL, 0), 0);
    assert_int_equal(afard_stop(&server), 0);
}

static void a_renewal_keeps_what_is_good(void **state)
{
    (void)state;
    static const struct custom_cert_order *const bad[] = {&expired, &future, &for_clients,
                                                          &odd_curve, &strange};
    put_certificate(&good);
    start("tls_watch_ms=20", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t before = server.program.stderr_size;
        put_certificate(bad[i]);
        (void)program_expect_after(
            &server.program, 2, before,
            "the new certificates cannot be used, keeping the old ones: the ");
        assert_int_equal(ping(NULL, 0), 0);
    }
    put_certificate(&good);
    afard_expect_log(&server, "have been read anew");
    assert_int_equal(ping(NULL, 0), 0);
    assert_int_equal(afard_stop(&server), 0);
}

/* As the server's own: neither at the start, nor later. */
static void an_expired_ca_between(void **state)
{
    (void)state;
    struct custom_cert between;
    custom_cert_make(&between, &(struct custom_cert_order){.issuer = &ca,
                                                           .common_names = {"between"},
                                                           .is_ca = true,
                                                           .begins_s = -2L * DAY_S,
                                                           .valid_s = -DAY_S});
    put_any(&good, &between, "localhost");
    expect_afard("--check", 1, "the server's certificate: its CA (CN=between) expired on 20");
    expect_afard(NULL, 1, "the server's certificate: its CA (CN=between) expired on 20");
    put_certificate(&good);
    start("tls_watch_ms=0", NULL);
    put_any(&good, &between, "localhost");
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    afard_expect_log(&server, "SIGHUP: not reloaded, nothing changed: the server's certificate: "
                              "its CA (CN=between) expired on 20");
    assert_int_equal(ping(NULL, 0), 0);
    assert_int_equal(afard_stop(&server), 0);
    custom_cert_close(&between);
}

static void one_for_no_host(void **state)
{
    (void)state;
    static const char line[] = "the server's certificate (tls_cert) is for no host name";
    struct program program;
    put_any(&good, NULL, NULL);
    const char *argv[] = {
        "afard",      "--listen",       "tls://127.0.0.1:0", "--tls-client-ca", file("ca.pem"),
        "--tls-cert", file("cert.pem"), "--tls-key",         file("key.pem"),   "--check",
        NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    assert_non_null(strstr(program.stderr_data, line));
    program_close(&program);
    start("tls_watch_ms=0", NULL);
    afard_expect_log(&server, line);
    put_certificate(&good);
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    afard_expect_log(&server, "SIGHUP: reloaded");
    const size_t before = server.program.stderr_size;
    put_any(&good, NULL, "localhost.");
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    (void)program_expect_after(&server.program, 2, before, line);
    char said[4096];
    assert_int_not_equal(ping(said, sizeof said), 0);
    assert_non_null(strstr(said, "it is for localhost.: a name in a certificate must not end in a "
                                 "dot"));
    assert_int_equal(afard_stop(&server), 0);
}

static void set_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(prlimit(server.program.pid, RLIMIT_NOFILE, NULL, &limit), 0);
    limit.rlim_cur = count > 0 ? count : limit.rlim_max;
    assert_int_equal(prlimit(server.program.pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* Nothing touches the files again: it tries by itself. */
static void a_renewal_is_tried_again(void **state)
{
    (void)state;
    put_certificate(&good);
    start("tls_watch_ms=20", NULL);
    set_descriptors(3); /* none is left for a file */
    put_certificate(&good);
    afard_expect_log(&server,
                     "the new certificates cannot be used, keeping the old ones: cannot read the "
                     "certificate file");
    afard_expect_log(&server, "Too many open files; will retry");
    (void)poll(NULL, 0, 1500); /* at least once in vain; and that is said once */
    set_descriptors(0);
    afard_expect_log(&server, "certificates: they were replaced, and have been read anew");
    const char *first = strstr(server.program.stderr_data, "keeping the old ones");
    assert_null(strstr(first + 1, "keeping the old ones"));
    assert_int_equal(ping(NULL, 0), 0);
    assert_int_equal(afard_stop(&server), 0);
}

static void an_end_is_announced(void **state)
{
    (void)state;
    const struct custom_cert_order short_lived = {.is_server = true, .valid_s = 5L * DAY_S + 3600};
    put_certificate(&short_lived);
    start("tls_watch_ms=20", NULL);
    afard_expect_log(&server, "warn the server's certificate (tls_cert) ends on 20");
    afard_expect_log(&server, " UTC, in 5 days (tls_expiry_warning): then no client accepts it");
    assert_int_equal((int)afard_metric(&server, "afard_tls_expiry_warning"), 1);
    size_t before = server.program.stderr_size;
    put_certificate(&good);
    (void)program_expect_after(&server.program, 2, before, "have been read anew");
    assert_int_equal((int)afard_metric(&server, "afard_tls_expiry_warning"), 0);
    assert_null(strstr(server.program.stderr_data + before, " ends on "));
    assert_int_equal(afard_stop(&server), 0);

    put_certificate(&short_lived);
    start("tls_watch_ms=20", "tls_expiry_warning=4");
    assert_int_equal((int)afard_metric(&server, "afard_tls_expiry_warning"), 0);
    assert_null(strstr(server.program.stderr_data, " ends on "));
    assert_int_equal(afard_stop(&server), 0);
}

/* Whose end locks out clients just as much. */
static void the_end_of_a_list_is_announced(void **state)
{
    (void)state;
    char setting[160];
    put_certificate(&good);
    custom_cert_write_list_until(&ca, NULL, 3L * DAY_S + 3600, file("lists.pem"));
    (void)snprintf(setting, sizeof setting, "tls_crl=%s", file("lists.pem"));
    start("tls_watch_ms=0", setting);
    afard_expect_log(&server, "warn a revocation list (tls_crl) ends on 20");
    afard_expect_log(&server, "in 3 days (tls_expiry_warning): then no client of its CA is let in");
    assert_int_equal((int)afard_metric(&server, "afard_tls_expiry_warning"), 1);
    assert_true(afard_metric(&server, "afard_revocation_list_expiry_timestamp_seconds") > 1e9);
    assert_int_equal(ping(NULL, 0), 0);
    assert_int_equal(afard_stop(&server), 0);
    assert_int_equal(unlink(file("lists.pem")), 0);
}

/* It expires under a running server: both sides say so. */
static void it_expires(void **state)
{
    (void)state;
    const struct custom_cert_order soon = {.is_server = true, .valid_s = 8};
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    char said[4096] = "";
    put_certificate(&soon);
    start("tls_watch_ms=0", NULL);
    while (ping(said, sizeof said) == 0 && clock_now_ms() < deadline_ms)
        (void)poll(NULL, 0, 100);
    assert_non_null(strstr(said, "the server's certificate (CN=build-7) expired on 20"));
    afard_expect_log(&server, "the client refused our certificate: it expired on 20");
    assert_int_equal(afard_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_and_start),
        cmocka_unit_test(a_reload_keeps_what_is_good),
        cmocka_unit_test(a_renewal_keeps_what_is_good),
        cmocka_unit_test(an_expired_ca_between),
        cmocka_unit_test(one_for_no_host),
        cmocka_unit_test(a_renewal_is_tried_again),
        cmocka_unit_test(an_end_is_announced),
        cmocka_unit_test(the_end_of_a_list_is_announced),
        cmocka_unit_test(it_expires),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
