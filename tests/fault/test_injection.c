/* Every call of the server that can fail, made to fail once: no crash, no leak, no hang, no wrong
 * receipt, and the next client is served.
 *
 * A clean run lists the sites (support/inject.h); then each has a server of its own, in which it
 * fails at its first occurrence, in each of its ways. AFAR_FAULT_ALL=1: all of OpenSSL's
 * allocations too, of which the default run takes samples. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/inject.h"
#include "support/inject_server.h"
#include "support/program.h"
#include "support/raw.h"
#include "support/test_certs.h"

enum {
    INPUT_BYTES = 70000, /* more than a pipe holds */
    HEADED_BYTES = 300000,
    CLEAN_ROUNDS = 2,
    SITES_EXPECTED = 150, /* fewer: the wrappers do not see the calls any more */
    OPENSSL_SAMPLES = 40,
    OPENSSL_LEAK_MAX = 16 /* it leaks a little by itself; a connection has hundreds */
};

static struct test_certs certs;
static char config_path[96];
static char afar[PROGRAM_TEXT_BYTES];
static char input[INPUT_BYTES];

/* OpenSSL 3.0 goes without an algorithm that it could not fetch when the context was made, and says
 * nothing; such a context may refuse every client. That much is its own. */
static bool may_be_crippled;
static unsigned crippled;

/* ---- what a client sees ------------------------------------------------------------------------
 */

/* "afar: …", one line, and nothing else. */
static bool one_line(const struct program *program)
{
    const char *text = program->stderr_data;
    const char *end = strchr(text, '\n');
    return strncmp(text, "afar: ", 6) == 0 && end != NULL && end[1] == '\0';
}

static void show(const char *what, const struct program *program)
{
    (void)fprintf(stderr, "%s: status %d\nstdout (%zu bytes): …%s\nstderr: %s\n", what,
                  program_exit_status(program), program->stdout_size,
                  program->stdout_size > 700 ? program->stdout_data + program->stdout_size - 700
                                             : program->stdout_data,
                  program->stderr_data);
}

/* timeout(1): a hang is a finding, not the end of the test. */
#define CLIENT "timeout", "-k", "1", deadline_text(), afar, "run"

static const char *deadline_text(void)
{
    static char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)test_deadline_ms() / 1000 / 3);
    return text;
}

/* A command with stdin and digest. Either all of it, or a word. */
static bool run_job(const char *url)
{
    struct program program;
    const char *argv[] = {CLIENT, "--json", "--digest", "-w", "/",  "-e",
                          "X=1",  url,      "--",       "sh", "-c", "cat; echo err >&2; exit 7",
                          NULL};
    int status = program_run(&program, argv, input, sizeof input);
    bool receipt = strstr(program.stdout_data, "\"outcome\":\"exited\"") != NULL;
    bool whole =
        strstr(program.stdout_data, "\"outcome\":\"exited\",\"code\":7,\"bytes\":{\"stdin\":70000,"
                                    "\"stdout\":70000,\"stderr\":4}") != NULL;
    /* The client itself says that a receipt without its digest is none. */
    if (status == 125 && strstr(program.stderr_data, "the receipt's SHA-256") != NULL)
        receipt = false;
    bool good = status == 7 ? whole && program.stderr_size == 0
                            : (status == 125 || status == 126) && one_line(&program) && !receipt;
    if (!good)
        show("the command", &program);
    program_close(&program);
    return good;
}

/* The same of the tutorial's protocol, whose output goes through a temporary file. */
static bool run_headed(const char *url)
{
    struct program program;
    const char *argv[] = {CLIENT, url, "--", "head -c 300000 /dev/zero | tr '\\0' x; echo err >&2",
                          NULL};
    int status = program_run(&program, argv, NULL, 0);
    bool good = status == 0 ? program.stdout_size == HEADED_BYTES + 4 && program.stderr_size == 0
                            : status == 125 && one_line(&program);
    if (!good)
        show("the headed command", &program);
    program_close(&program);
    return good;
}

/* Nothing fails any more: these two must succeed. *refused: this one was not served, but got a
 * word.
 */
static bool run_next(const char *url, bool *refused)
{
    struct program program;
    const char *argv[] = {CLIENT, url, "--", "sh", "-c", "cat; exit 7", NULL};
    int status = program_run(&program, argv, "again", 5);
    bool good = status == 7 && strcmp(program.stdout_data, "again") == 0;
    *refused = status == 125 && program.stdout_size == 0 && one_line(&program);
    if (!good && !(*refused && may_be_crippled))
        show("the next command", &program);
    program_close(&program);
    return good;
}

static bool run_next_headed(const char *url)
{
    static const char command[] = "echo again";
    char reply[512];
    size_t used = 0;
    int fd = raw_connect((uint16_t)atoi(strrchr(url, ':') + 1));
    raw_send(fd, command, sizeof command - 1);
    while (used + 1 < sizeof reply && raw_read(fd, reply + used, 1)) {
        used++;
        if (used > 6 && memcmp(reply + used - 6, "again\n", 6) == 0)
            break;
    }
    reply[used] = '\0';
    (void)close(fd);
    bool good = used > 6 && memcmp(reply + used - 6, "again\n", 6) == 0;
    if (!good)
        (void)fprintf(stderr, "the next headed command: %zu bytes\n", used);
    return good;
}

/* ---- one round ---------------------------------------------------------------------------------
 */

static unsigned normal_descriptors;
static unsigned start_allocations; /* of OpenSSL's, before the server listened */
static unsigned start_sites;       /* the first so many were met before the server listened */

/* What went wrong, or NULL. */
static const char *serve_clients(struct inject_server *server)
{
    bool refused = false;
    if (start_allocations == 0)
        start_allocations = inject_openssl_count();
    if (normal_descriptors == 0)
        normal_descriptors = server->descriptors;
    /* It can do with fewer of those that make spawning fast. */
    if (server->descriptors > normal_descriptors)
        return "it has more descriptors than without the fault";
    if (!run_job(server->url[0]))
        return "the command's client was not served, nor told why";
    if (!run_headed(server->url[1]))
        return "the headed command's client was not served, nor told why";
    inject_pause(true);
    if (!run_next(server->url[0], &refused) && !(refused && may_be_crippled))
        return "the next client was not served";
    crippled += refused;
    if (!run_next_headed(server->url[1]))
        return "the next headed client was not served";
    if (!inject_server_calm(server))
        return "descriptors or children are left";
    inject_pause(false); /* what has not failed by now may fail in the end */
    return NULL;
}

/* What is armed happens in a server of its own. */
static const char *run_round(void)
{
    struct inject_server server;
    const char *problem = inject_server_start(&server, config_path);
    bool refused = server.refused;
    if (start_sites == 0)
        start_sites = inject_site_count();
    if (problem == NULL && !refused)
        problem = serve_clients(&server);
    int end = server.pid > 0 ? inject_server_stop(&server) : INJECT_END_RUN;
    if (problem == NULL && end != (refused ? INJECT_END_REFUSED : INJECT_END_OK))
        problem = "it did not end well";
    if (problem != NULL) {
        (void)fprintf(stderr, "---- %s (end %d); %s\n", problem, end,
                      refused ? server.report : "its log:");
        inject_server_show_log(&server);
    }
    inject_server_close(&server);
    return problem;
}

/* ---- the tests ---------------------------------------------------------------------------------
 */

static int make_files(void **state)
{
    (void)state;
    if (!inject_new() || !test_certs_make(&certs))
        return -1;
    memset(input, 'i', sizeof input);
    (void)program_path("afar", afar);
    (void)setenv("AFAR_CA", certs.cert[TEST_CA], 1);
    (void)setenv("AFAR_CERT", certs.cert[TEST_CLIENT], 1);
    (void)setenv("AFAR_KEY", certs.key[TEST_CLIENT], 1);
    (void)setenv("TMPDIR", certs.folder, 1);
    (void)snprintf(config_path, sizeof config_path, "%s/afard.conf", certs.folder);
    FILE *file = fopen(config_path, "w");
    if (file == NULL)
        return -1;
    (void)fprintf(file,
                  "[server]\nlisten = tls://127.0.0.1:0\n"
                  "listen = tcp://127.0.0.1:0?protocol=headed\n"
                  "tls_cert = %s\ntls_key = %s\ntls_client_ca = %s\n"
                  "workers = 2\nquiet_ms = 2\ncollect_memory_bytes = 4096\n",
                  certs.cert[TEST_SERVER], certs.key[TEST_SERVER], certs.cert[TEST_CA]);
    return fclose(file);
}

static int remove_files(void **state)
{
    (void)state;
    (void)unlink(config_path);
    test_certs_remove(&certs);
    return 0;
}

static bool all(void)
{
    const char *value = getenv("AFAR_FAULT_ALL");
    return value != NULL && value[0] != '\0';
}

/* A call that is new in the server must not escape the injection. */
static void test_no_call_is_missing(void **state)
{
    char self[256];
    char archives[PROGRAM_TEXT_BYTES];
    struct program finder;
    const char *build = getenv("AFAR_BUILD");
    const char *sanitizers = getenv("SAN");
    const char *argv[] = {"tests/fault/unwrapped", archives, self, NULL};
    (void)state;
    if (sanitizers != NULL && sanitizers[0] != '\0') {
        print_message("skipped: sanitizers add calls of their own\n");
        skip();
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    (void)snprintf(archives, sizeof archives, "%s/lib", build != NULL ? build : "build/release");
    int status = program_run(&finder, argv, NULL, 0);
    if (status != 0 || finder.stdout_size > 0)
        fail_msg("wrap these in support/inject_*.c, or tell tests/fault/unwrapped that they cannot "
                 "fail:\n%s%s",
                 finder.stdout_data, finder.stderr_data);
    program_close(&finder);
}

/* One round; a failure is printed, and counted. */
struct tally {
    unsigned rounds;
    unsigned in_vain; /* the call was not made: which calls are is also a matter of timing */
    unsigned failures;
};

static void play(struct tally *tally, const struct inject_site *site, unsigned way, unsigned nth)
{
    char text[INJECT_TEXT_BYTES];
    inject_arm(site, way, nth);
    const char *problem = run_round();
    bool in_vain = inject_fired() == 0;
    tally->rounds++;
    tally->in_vain += in_vain;
    tally->failures += problem != NULL;
    if (problem == NULL && !(in_vain && all()))
        return;
    inject_describe(site, way, text);
    print_error("%s, call %u: %s\n", text, nth, problem != NULL ? problem : "in vain");
}

static void test_calls(void **state)
{
    struct tally tally = {0};
    (void)state;
    inject_disarm();
    for (int i = 0; i < CLEAN_ROUNDS; i++)
        assert_null(run_round());
    unsigned sites = inject_site_count();
    unsigned repeated = 0;
    for (unsigned i = 0; i < sites; i++) {
        const struct inject_site *site = inject_site(i);
        /* Where the second worker, the second listener fails, the first must go too. */
        bool twice = i < start_sites && inject_seen(i) >= 2 * CLEAN_ROUNDS;
        for (unsigned way = 0; way < inject_ways(site); way++)
            play(&tally, site, way, 1);
        if (twice)
            play(&tally, site, 0, 2);
        repeated += twice;
    }
    print_message("calls: %u sites, %u of them again at their second call; %u rounds, %u in vain\n",
                  sites, repeated, tally.rounds, tally.in_vain);
    assert_int_equal(tally.failures, 0);
    assert_true(sites > SITES_EXPECTED && tally.in_vain < tally.rounds / 10);
}

/* OpenSSL's allocations: the server's part is to hand on what OpenSSL says. */
static void test_openssl_allocations(void **state)
{
    unsigned failures = 0;
    unsigned rounds = 0;
    (void)state;
    inject_arm_openssl(0);
    start_allocations = 0;
    assert_null(run_round());
    unsigned count = inject_openssl_count();
    long alive = inject_openssl_alive();
    unsigned leaks = 0;
    assert_true(count > OPENSSL_SAMPLES);
    for (unsigned nth = 1; nth <= count; nth += all() ? 1 : count / OPENSSL_SAMPLES) {
        may_be_crippled = nth <= start_allocations;
        inject_arm_openssl(nth);
        const char *problem = run_round();
        rounds++;
        leaks += inject_openssl_alive() > alive;
        if (problem == NULL && inject_openssl_alive() > alive + OPENSSL_LEAK_MAX)
            problem = "an object of OpenSSL's was not freed";
        if (problem != NULL) {
            print_error("OpenSSL's allocation %u: %s\n", nth, problem);
            failures++;
        }
    }
    may_be_crippled = false;
    print_message(
        "OpenSSL: %u allocations, %u of them before it listens; %u rounds: %u left a context "
        "that refuses all, %u an allocation or two\n",
        count, start_allocations, rounds, crippled, leaks);
    assert_int_equal(failures, 0);
    assert_true(crippled <= rounds / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_call_is_missing),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_openssl_allocations),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
