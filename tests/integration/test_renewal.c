/* Certificates that are replaced under a running server, as Kubernetes replaces a mounted secret:
 * FOLDER/..data is a link to a folder, the files are links through it, and another link is renamed
 * over it. No signal is sent. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/afard.h"

static struct afard server;
static char folder[64];

static void path_of(char path[128], const char *name)
{
    (void)snprintf(path, 128, "%s/%s", folder, name);
}

static void run_script(const char *script)
{
    struct program shell;
    const char *argv[] = {"sh", "-euc", script, folder, NULL};
    if (program_run(&shell, argv, NULL, 0) != 0)
        fail_msg("%s: %s", script, shell.stderr_data);
    program_close(&shell);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-renewal-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    run_script("certs/make-certs \"$0/one\" --quiet; certs/make-certs \"$0/two\" --quiet;"
               "mkdir \"$0/half\"; cp \"$0/two/server.pem\" \"$0/one/ca.pem\" \"$0/half\";"
               "cp \"$0/one/server-key.pem\" \"$0/half\"; cd \"$0\"; ln -s one ..data;"
               "for file in ca server server-key; do ln -s ..data/$file.pem $file.pem; done");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    run_script("rm -rf \"$0\"");
    return 0;
}

/* One rename. */
static void swap(const char *to)
{
    char script[128];
    (void)snprintf(script, sizeof script, "cd \"$0\"; ln -s %s ..next; mv -T ..next ..data", to);
    run_script(script);
}

static void start(const char *watch)
{
    char ca[128];
    char cert[128];
    char key[128];
    path_of(ca, "ca.pem");
    path_of(cert, "server.pem");
    path_of(key, "server-key.pem");
    const char *args[] = {"--listen",
                          "tls://127.0.0.1:0",
                          "--tls-client-ca",
                          ca,
                          "--tls-cert",
                          cert,
                          "--tls-key",
                          key,
                          "--set",
                          watch,
                          NULL};
    afard_start(&server, args);
}

/* With the CA and the certificate of one of the folders. */
static void start_client(struct program *client, const char *whose, const char *script)
{
    char ca[128];
    char cert[160];
    char key[160];
    (void)snprintf(ca, sizeof ca, "%s/%s/ca.pem", folder, whose);
    (void)snprintf(cert, sizeof cert, "%s/%s/client.pem", folder, whose);
    (void)snprintf(key, sizeof key, "%s/%s/client-key.pem", folder, whose);
    const char *argv[] = {"afar", "run",         "--ca", ca,   "--cert", cert,   "--key",
                          key,    server.url[0], "--",   "sh", "-c",     script, NULL};
    program_start(client, argv, NULL);
}

static int run(const char *whose, const char *script)
{
    struct program client;
    start_client(&client, whose, script);
    program_finish(&client, NULL, 0);
    int status = program_exit_status(&client);
    program_close(&client);
    return status;
}

static void a_secret_is_replaced(void **state)
{
    (void)state;
    struct program old;
    start("tls_watch_ms=20");
    start_client(&old, "one", "echo in; cat");
    program_expect(&old, 1, "in\n");
    assert_int_equal(run("one", "exit 3"), 3);
    assert_int_equal(run("two", "exit 3"), 125);

    swap("two");
    afard_expect_log(&server, "certificates: they were replaced, and have been read anew");
    assert_int_equal(run("two", "exit 4"), 4);
    assert_int_equal(run("one", "exit 4"), 125);
    program_finish(&old, "still\n", 6); /* what runs is not cut */
    assert_string_equal(old.stdout_data, "in\nstill\n");
    assert_int_equal(program_exit_status(&old), 0);
    program_close(&old);

    swap("half"); /* another certificate than the key's */
    afard_expect_log(&server, "the new certificates cannot be used, keeping the old ones: ");
    assert_int_equal(run("two", "exit 5"), 5);
    swap("one");
    size_t before = server.program.stderr_size;
    (void)program_expect_after(&server.program, 2, before, "have been read anew");
    assert_int_equal(run("one", "exit 6"), 6);
    assert_int_equal(afard_stop(&server), 0);
}

/* They are gone for a while, as when a volume is mounted anew. */
static void a_secret_is_absent(void **state)
{
    (void)state;
    swap("one");
    start("tls_watch_ms=20");
    swap("nowhere");
    afard_expect_log(&server, "the new certificates cannot be used, keeping the old ones: ");
    assert_int_equal(run("one", "exit 3"), 3);
    swap("two");
    afard_expect_log(&server, "have been read anew");
    assert_int_equal(run("two", "exit 4"), 4);
    assert_int_equal(afard_stop(&server), 0);
}

/* Connection after connection while they are swapped: each is served, by whichever it meets. */
static void a_load_notices_nothing(void **state)
{
    (void)state;
    enum { ROUNDS = 10, SWAPS = 5 };
    run_script("cd \"$0\"; cp -r one three; certs=$OLDPWD/certs/make-certs;"
               "$certs three --quiet --renew --server localhost");
    swap("one");
    start("tls_watch_ms=20");
    for (int i = 0; i < SWAPS; i++) {
        struct program clients[ROUNDS];
        size_t before = server.program.stderr_size;
        for (int round = 0; round < ROUNDS; round++) {
            start_client(&clients[round], "one", "head -c 100000 /dev/zero; exit 7");
            if (round == ROUNDS / 2)
                swap(i % 2 == 0 ? "three" : "one");
        }
        (void)program_expect_after(&server.program, 2, before, "have been read anew");
        for (int round = 0; round < ROUNDS; round++) {
            program_finish(&clients[round], NULL, 0);
            if (program_exit_status(&clients[round]) != 7)
                fail_msg("%s", clients[round].stderr_data);
            assert_int_equal(clients[round].stdout_size, 100000);
            program_close(&clients[round]);
        }
    }
    assert_int_equal(afard_stop(&server), 0);
}

static void never_where_not_wanted(void **state)
{
    (void)state;
    swap("one");
    start("tls_watch_ms=0");
    swap("two");
    assert_int_equal(run("one", "exit 3"), 3);
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    afard_expect_log(&server, "SIGHUP: reloaded");
    assert_int_equal(run("two", "exit 3"), 3);
    assert_null(strstr(server.program.stderr_data, "certificates: "));
    assert_int_equal(afard_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_replaced),
        cmocka_unit_test(a_secret_is_absent),
        cmocka_unit_test(a_load_notices_nothing),
        cmocka_unit_test(never_where_not_wanted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
