/* Kept commands under rules: whose they are, who else may see, take and end them, and how much of
 * their output is kept. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/folder.h"
#include "support/test_certs.h"

enum { JOB_BYTES = 33 };

static struct test_certs certs;
static struct afard server;
static char state_folder[TEST_CERT_PATH_BYTES];

static const char rules[] = "[allow limited]\n"
                            "client = uri:spiffe://afar/build\n"
                            "may = run, keep\n"
                            "command = /bin/echo **\n"
                            "memory = 64M\n"
                            "[allow alone]\n"
                            "client = uri:spiffe://afar/build\n"
                            "command = /bin/cat **\n"
                            "[allow build]\n"
                            "client = uri:spiffe://afar/build\n"
                            "may = run, keep, attach, kill, list\n"
                            "command = **\n"
                            "spool = 1M\n"
                            "max_jobs = 1\n"
                            "[allow operator]\n"
                            "client = cn:tester\n"
                            "may = attach, kill, list\n"
                            "jobs = all\n";

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    char config[TEST_CERT_PATH_BYTES + 16];
    (void)snprintf(config, sizeof config, "%s/afard.conf", certs.folder);
    (void)snprintf(state_folder, sizeof state_folder, "%s/state", certs.folder);
    FILE *file = fopen(config, "we");
    assert_non_null(file);
    (void)fprintf(file, "tls_cert = %s\ntls_key = %s\ntls_client_ca = %s\nstate_directory = %s\n%s",
                  certs.cert[TEST_SERVER], certs.key[TEST_SERVER], certs.cert[TEST_CA],
                  state_folder, rules);
    assert_int_equal(fclose(file), 0);
    const char *args[] = {"-c", config, "--listen", "tls://127.0.0.1:0", NULL};
    afard_start(&server, args);
    assert_int_equal(unlink(config), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(afard_stop(&server), 0);
    assert_int_equal(folder_remove(state_folder), 0);
    test_certs_remove(&certs);
    return 0;
}

/* `afar VERB … URL …` as this client; its status. What it has written is in *client. */
static int afar(struct program *client, enum test_cert who, const char *verb,
                const char *const *options, const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {
        "afar",          verb,    "--ca",        certs.cert[TEST_CA], "--cert",
        certs.cert[who], "--key", certs.key[who]};
    static const char *const environment[] = {"AFAR_SESSIONS=", NULL};
    size_t count = 8;
    for (; *options != NULL; options++)
        argv[count++] = *options;
    argv[count++] = server.url[0];
    for (; *words != NULL; words++)
        argv[count++] = *words;
    program_start(client, argv, environment);
    program_finish(client, NULL, 0);
    return program_exit_status(client);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_WORDS ((const char *const[]){NULL})

static void expect(enum test_cert who, const char *verb, const char *const *options,
                   const char *const *words, int status, const char *expected)
{
    struct program client;
    int got = afar(&client, who, verb, options, words);
    if (got != status || strstr(client.stdout_data, expected) == NULL)
        fail_msg("%s: %d, %s%s", verb, got, client.stdout_data, client.stderr_data);
    program_close(&client);
}

static void detach(const char *script, char job[JOB_BYTES])
{
    struct program client;
    if (afar(&client, TEST_CLIENT_URI, "run", WORDS("-d"), WORDS("--", "sh", "-c", script)) != 0)
        fail_msg("%s", client.stderr_data);
    (void)snprintf(job, JOB_BYTES, "%.32s", client.stdout_data);
    program_close(&client);
}

static void own_and_all(void **state)
{
    char job[JOB_BYTES];
    struct program client;
    (void)state;
    detach("echo here; exec sleep 1000", job);
    const char *const it[] = {job, NULL};
    expect(TEST_CLIENT_URI, "ps", NO_WORDS, NO_WORDS, 0, "echo here");
    expect(TEST_CLIENT, "ps", NO_WORDS, NO_WORDS, 0, "echo here");
    expect(TEST_CLIENT, "ps", WORDS("--json"), NO_WORDS, 0, "\"owner\":");
    expect(TEST_CLIENT, "logs", NO_WORDS, it, 0, "here\n");

    assert_int_equal(afar(&client, TEST_CLIENT_TWIN, "ps", NO_WORDS, NO_WORDS), 0);
    assert_string_equal(client.stdout_data, "");
    program_close(&client);
    expect(TEST_CLIENT_TWIN, "logs", NO_WORDS, it, 125, "");
    expect(TEST_CLIENT_TWIN, "kill", NO_WORDS, it, 125, "");
    expect(TEST_CLIENT_TWIN, "rm", WORDS("-f"), it, 125, "");

    expect(TEST_CLIENT, "kill", NO_WORDS, it, 0, "");
    expect(TEST_CLIENT_URI, "wait", WORDS("--json"), it, 125, "\"killed\"");
    expect(TEST_CLIENT, "rm", NO_WORDS, it, 0, "");
    expect(TEST_CLIENT_URI, "logs", NO_WORDS, it, 125, "");
}

/* The same of one that is not kept: an operator ends it. */
static void not_kept(void **state)
{
    struct program run;
    char job[JOB_BYTES];
    (void)state;
    const char *argv[] = {"afar",
                          "run",
                          "-n",
                          "--ca",
                          certs.cert[TEST_CA],
                          "--cert",
                          certs.cert[TEST_CLIENT_URI],
                          "--key",
                          certs.key[TEST_CLIENT_URI],
                          server.url[0],
                          "--",
                          "sh",
                          "-c",
                          "echo $AFAR_JOB; exec sleep 1000",
                          NULL};
    program_start(&run, argv, (const char *const[]){"AFAR_SESSIONS=", NULL});
    program_expect(&run, 1, "\n");
    (void)snprintf(job, sizeof job, "%.32s", run.stdout_data);
    expect(TEST_CLIENT_TWIN, "kill", NO_WORDS, WORDS(job), 125, "");
    expect(TEST_CLIENT, "kill", NO_WORDS, WORDS(job), 0, "");
    program_finish(&run, NULL, 0);
    assert_non_null(strstr(run.stderr_data, "killed by another request"));
    program_close(&run);
}

/* Of 3 MiB a spool of 1M keeps the beginning and the end. */
static void spool_of_the_rule(void **state)
{
    char job[JOB_BYTES];
    struct program client;
    (void)state;
    detach("echo first; head -c 3145728 /dev/zero; echo last", job);
    const char *const it[] = {job, NULL};
    expect(TEST_CLIENT_URI, "wait", NO_WORDS, it, 0, "");
    assert_int_equal(afar(&client, TEST_CLIENT_URI, "logs", NO_WORDS, it), 3);
    assert_int_equal(strncmp(client.stdout_data, "first\n", 6), 0);
    assert_int_equal(strncmp(client.stdout_data + client.stdout_size - 5, "last\n", 5), 0);
    assert_true(client.stdout_size <= 1 << 20);
    program_close(&client);
}

/* It counts in its rule, until its end. */
static void one_at_a_time(void **state)
{
    char job[JOB_BYTES];
    const char *const words[] = {"--", "true", NULL};
    (void)state;
    detach("exec sleep 1000", job);
    const char *const it[] = {job, NULL};
    expect(TEST_CLIENT_URI, "run", WORDS("-d"), words, 125, "");
    expect(TEST_CLIENT_URI, "run", WORDS("-n"), words, 125, "");
    expect(TEST_CLIENT_URI, "rm", WORDS("-f"), it, 0, "");
    /* Its end is noticed by itself. */
    struct program client;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    int status = afar(&client, TEST_CLIENT_URI, "run", WORDS("-n"), words);
    while (status != 0 && clock_now_ms() < deadline_ms) {
        program_close(&client);
        status = afar(&client, TEST_CLIENT_URI, "run", WORDS("-n"), words);
    }
    program_close(&client);
    assert_int_equal(status, 0);
}

/* What a rule wants and a keeper cannot give refuses; so does a rule that does not say `keep`. */
static void refused(void **state)
{
    struct program client;
    (void)state;
    assert_int_equal(
        afar(&client, TEST_CLIENT_URI, "run", WORDS("-d"), WORDS("--", "/bin/echo", "x")), 125);
    assert_non_null(strstr(client.stderr_data, "wants a cgroup"));
    program_close(&client);
    assert_int_equal(
        afar(&client, TEST_CLIENT_URI, "run", WORDS("-d"), WORDS("--", "/bin/cat", "x")), 125);
    assert_non_null(strstr(client.stderr_data, "does not allow to keep it"));
    program_close(&client);
    assert_int_equal(afar(&client, TEST_CLIENT, "run", WORDS("-d"), WORDS("--", "true")), 125);
    program_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_and_all),       cmocka_unit_test(not_kept),
        cmocka_unit_test(refused),           cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(spool_of_the_rule),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
