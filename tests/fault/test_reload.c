/* SIGHUP: certificates and configuration, whole or not at all; jobs and connections stay. */
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
#include <sys/stat.h>
#include <unistd.h>

#include <afar/afar.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"

static struct afard server;
static char folder[64];
static char config[80];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-reload-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(config, sizeof config, "%s/afard.conf", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct program remover;
    const char *argv[] = {"rm", "-rf", folder, NULL};
    int status = program_run(&remover, argv, NULL, 0);
    program_close(&remover);
    return status;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Hangs up, and waits for what the server says to it. */
static void reload(const char *answer)
{
    size_t before = server.program.stderr_size;
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    const char *said = program_expect_after(&server.program, 2, before, "SIGHUP: ");
    if (strncmp(said + 8, answer, strlen(answer)) != 0)
        fail_msg("'%s' is not what was said: %.200s", answer, said);
}

/* Asks the server for its counters until it says so. */
static void expect_count(const char *text)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    for (;;) {
        size_t before = server.program.stderr_size;
        assert_int_equal(kill(server.program.pid, SIGUSR1), 0);
        (void)program_expect_after(&server.program, 2, before, "since the start: ");
        if (strstr(server.program.stderr_data + before, text) != NULL)
            return;
        if (clock_now_ms() > deadline_ms)
            fail_msg("'%s' did not come", text);
        (void)poll(NULL, 0, 20);
    }
}

static int run_true(const char *url, const char *says)
{
    struct program client;
    const char *argv[] = {"afar", "run", url, "--", "true", NULL};
    int status = program_run(&client, argv, NULL, 0);
    if (says != NULL && strstr(client.stderr_data, says) == NULL)
        fail_msg("'%s' is not in '%s'", says, client.stderr_data);
    program_close(&client);
    return status;
}

static void limits_change_for_all_that_comes_later(void **state)
{
    (void)state;
    write_file(config, "max_jobs = 1\n");
    const char *args[] = {"-c", config, "--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"cat\"],"
                       "\"stdin\":\"stream\"}");
    free(raw_read_header(fd, NULL));
    assert_int_equal(run_true(server.url[0], "max_jobs"), 125);
    write_file(config, "max_jobs = 2\nlog_level = debug\n");
    reload("reloaded");
    assert_int_equal(run_true(server.url[0], NULL), 0);
    /* The job that ran meanwhile still does. */
    raw_send_frame(fd, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"eof\":true}");
    char *header = NULL;
    do {
        free(header);
        header = raw_read_header(fd, NULL);
        assert_non_null(header);
    } while (strstr(header, "\"exit\"") == NULL);
    assert_non_null(strstr(header, "\"code\":0"));
    free(header);
    (void)close(fd);
    assert_int_equal(afard_stop(&server), 0);
}

static void what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *answer;
    } cases[] = {
        {"max_jobs = 1\nmax_jbos = 2\n", "max_jbos"},
        {"max_jobs = 1\nworkers = 3\n", "workers: changing it needs a restart"},
        {"max_jobs = 1\nbulk_workers = 3\n", "bulk_workers: changing it needs a restart"},
        {"max_jobs = many\n", "max_jobs"},
        {"max_jobs = 1\ntls_cert = /nowhere\n", NULL}, /* not used: no TLS listener */
    };
    write_file(config, "max_jobs = 7\n");
    const char *args[] = {"-c", config, "--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(config, cases[i].text);
        reload(cases[i].answer == NULL ? "reloaded" : "not reloaded, nothing changed");
        if (cases[i].answer != NULL)
            afard_expect_log(&server, cases[i].answer);
        assert_int_equal(run_true(server.url[0], NULL), 0);
    }
    assert_int_equal(unlink(config), 0);
    reload("not reloaded");
    assert_int_equal(run_true(server.url[0], NULL), 0);
    assert_int_equal(kill(server.program.pid, SIGUSR1), 0);
    afard_expect_log(&server, "reloads=1 reloads_failed=5");
    assert_int_equal(afard_stop(&server), 0);
}

static void listeners_come_and_go(void **state)
{
    (void)state;
    char text[512];
    char first[160];
    char second[160];
    (void)snprintf(first, sizeof first, "unix://%s/first", folder);
    (void)snprintf(second, sizeof second, "unix://%s/second", folder);
    (void)snprintf(text, sizeof text, "listen = %s\n", first);
    write_file(config, text);
    const char *args[] = {"-c", config, NULL};
    struct program client;
    afard_start(&server, args);
    afard_expect_log(&server, "/first: ");
    const char *cat[] = {"afar", "run", first, "--", "sh", "-c", "echo in; cat", NULL};
    program_start(&client, cat, NULL);
    program_expect(&client, 1, "in\n");

    (void)snprintf(text, sizeof text, "listen = %s\nlisten = unix:///nowhere/third\n", second);
    write_file(config, text);
    reload("not reloaded");
    assert_int_equal(run_true(second, NULL), 125); /* not a part of it either */
    assert_int_equal(run_true(first, NULL), 0);

    (void)snprintf(text, sizeof text, "listen = %s\nlisten = %s\n", first, second);
    write_file(config, text);
    reload("reloaded");
    assert_int_equal(run_true(first, NULL), 0);
    assert_int_equal(run_true(second, NULL), 0);

    (void)snprintf(text, sizeof text, "listen = %s\n", second);
    write_file(config, text);
    reload("reloaded");
    assert_int_equal(run_true(first, NULL), 125);
    assert_int_equal(run_true(second, NULL), 0);
    program_finish(&client, "still\n", 6); /* who came by the first is still here */
    assert_string_equal(client.stdout_data, "in\nstill\n");
    program_close(&client);
    assert_int_equal(afard_stop(&server), 0);
}

/* ---- certificates ---------------------------------------------------------------------------- */

/* openssl ca wants a folder of its own for what it has revoked. */
static void make_list(const char *revoke)
{
    struct program maker;
    char script[1024];
    (void)snprintf(script, sizeof script,
                   "set -e; cd %s; mkdir -p db; [ -e db/index ] || : >db/index\n"
                   "printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=db/index\\ndefault_md=sha256\\n"
                   "default_crl_days=1\\n' >db/conf\n"
                   "[ -z '%s' ] || openssl ca -config db/conf -keyfile ca-key.pem -cert ca.pem "
                   "-revoke %s\n"
                   "openssl ca -config db/conf -keyfile ca-key.pem -cert ca.pem -gencrl "
                   "-out new.pem\nmv new.pem crl.pem\n",
                   server.folder, revoke, revoke);
    const char *argv[] = {"sh", "-c", script, NULL};
    if (program_run(&maker, argv, NULL, 0) != 0)
        fail_msg("%s", maker.stderr_data);
    program_close(&maker);
}

static void point_to_list(void)
{
    char text[256];
    (void)snprintf(text, sizeof text, "tls_crl = %s/crl.pem\n", server.folder);
    write_file(config, text);
}

static enum afar_status run_on(struct afar_client *client, struct afar_error *err)
{
    const char *argv[] = {"true", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    const struct afar_callbacks callbacks = AFAR_CALLBACKS_INIT(.user = NULL);
    enum afar_status status = afar_start(client, &command, &callbacks, err);
    return status == AFAR_OK ? afar_wait(client, 60000, err) : status;
}

/* A revoked certificate: no new connection, no resumed one, no new command on one that is open; and
 * the command that runs goes on. */
static void who_is_revoked_starts_nothing(void **state)
{
    (void)state;
    struct afar_context *context = NULL;
    struct afar_client *open = NULL;
    struct afar_client *other = NULL;
    struct afar_error err;
    struct program running;
    write_file(config, "# no list yet\n");
    const char *args[] = {"-c", config, "--listen", "tls://127.0.0.1:0", NULL};
    afard_start_tls(&server, args);
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = server.ca, .cert_file = server.client_cert,
                              .key_file = server.client_key);
    assert_int_equal(afar_context_new(&context, &credentials, &err), AFAR_OK);
    assert_int_equal(afar_connect(&open, context, server.url[0], 60000, &err), AFAR_OK);
    assert_int_equal(run_on(open, &err), AFAR_OK);
    const char *cat[] = {"afar", "run", server.url[0], "--", "sh", "-c", "echo in; cat", NULL};
    program_start(&running, cat, NULL);
    program_expect(&running, 1, "in\n");

    make_list("");
    point_to_list();
    reload("reloaded");
    assert_int_equal(run_on(open, &err), AFAR_OK); /* not on the list */
    assert_int_equal(afar_connect(&other, context, server.url[0], 60000, &err), AFAR_OK);
    assert_false(afar_resumed(other)); /* tickets from before the reload are worth nothing */
    assert_int_equal(run_on(other, &err), AFAR_OK);
    afar_close(other);
    assert_int_equal(afar_connect(&other, context, server.url[0], 60000, &err), AFAR_OK);
    assert_true(afar_resumed(other)); /* those from after it are */
    assert_int_equal(run_on(other, &err), AFAR_OK);

    make_list("client.pem");
    reload("reloaded");
    assert_int_equal(run_on(open, &err), AFAR_EREFUSED);
    assert_string_equal(err.reason, "denied");
    assert_non_null(strstr(err.message, "revoked"));
    assert_int_equal(run_on(other, &err), AFAR_EREFUSED);
    afar_close(open);
    afar_close(other);
    enum afar_status status = afar_connect(&other, context, server.url[0], 60000, &err);
    if (status == AFAR_OK) /* TLS 1.3: the server's answer comes after the client is done */
        status = run_on(other, &err);
    assert_int_equal(status, AFAR_ETRUST);
    assert_non_null(strstr(err.message, "revoked"));
    afar_close(other);
    afar_context_free(context);
    program_finish(&running, "still\n", 6);
    assert_string_equal(running.stdout_data, "in\nstill\n");
    program_close(&running);
    afard_expect_log(&server, "has been revoked");
    assert_int_equal(afard_stop(&server), 0);
}

/* One that had asked before, and waits for its turn, does not get it either. */
static void who_waits_is_revoked_too(void **state)
{
    (void)state;
    struct program running;
    struct program waiting;
    write_file(config, "# no list yet\n");
    const char *args[] = {"-c",    config,       "--listen", "tls://127.0.0.1:0",
                          "--set", "max_jobs=1", NULL};
    afard_start_tls(&server, args);
    const char *cat[] = {"afar", "run", server.url[0], "--", "sh", "-c", "echo in; cat", NULL};
    program_start(&running, cat, NULL);
    program_expect(&running, 1, "in\n");
    const char *echo[] = {"afar", "run", "-n", "--start-within", "1m", server.url[0], "--",
                          "echo", "ran", NULL};
    program_start(&waiting, echo, NULL);
    expect_count("jobs_queued=1");
    make_list("client.pem");
    point_to_list();
    reload("reloaded");
    program_finish(&running, "", 0);
    program_close(&running);
    program_finish(&waiting, NULL, 0);
    assert_int_equal(program_exit_status(&waiting), 125);
    assert_string_equal(waiting.stdout_data, "");
    assert_non_null(strstr(waiting.stderr_data, "revoked"));
    program_close(&waiting);
    assert_int_equal(afard_stop(&server), 0);
}

static void a_damaged_list_is_not_loaded(void **state)
{
    (void)state;
    write_file(config, "# no list yet\n");
    const char *args[] = {"-c", config, "--listen", "tls://127.0.0.1:0", NULL};
    char path[128];
    afard_start_tls(&server, args);
    (void)snprintf(path, sizeof path, "%s/crl.pem", server.folder);
    point_to_list();
    write_file(path, "no list\n");
    reload("not reloaded");
    afard_expect_log(&server, "contains no PEM list");
    write_file(path, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    reload("not reloaded");
    afard_expect_log(&server, "is damaged after 0 lists");
    assert_int_equal(run_true(server.url[0], NULL), 0);
    assert_int_equal(afard_stop(&server), 0);
}

static void certificates_are_exchanged(void **state)
{
    (void)state;
    char script[512];
    struct program renew;
    struct program client;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", NULL};
    afard_start_tls(&server, args);
    const char *cat[] = {"afar", "run", server.url[0], "--", "sh", "-c", "echo in; cat", NULL};
    program_start(&client, cat, NULL);
    program_expect(&client, 1, "in\n");
    (void)snprintf(script, sizeof script,
                   "certs/make-certs %s --quiet --renew --server 127.0.0.1 && "
                   "mv %s/server-key.pem %s/aside",
                   server.folder, server.folder, server.folder);
    const char *argv[] = {"sh", "-c", script, NULL};
    if (program_run(&renew, argv, NULL, 0) != 0)
        fail_msg("%s", renew.stderr_data);
    program_close(&renew);
    reload("not reloaded"); /* half of the pair is there */
    assert_int_equal(run_true(server.url[0], NULL), 0);
    (void)snprintf(script, sizeof script, "mv %s/aside %s/server-key.pem", server.folder,
                   server.folder);
    assert_int_equal(program_run(&renew, argv, NULL, 0), 0);
    program_close(&renew);
    reload("reloaded");
    assert_int_equal(run_true(server.url[0], NULL), 0);
    program_finish(&client, "still\n", 6);
    assert_string_equal(client.stdout_data, "in\nstill\n");
    program_close(&client);
    assert_int_equal(afard_stop(&server), 0);
}

/* A thousand of them while clients come and go: each is answered or one with the next. */
static void a_thousand_under_load(void **state)
{
    (void)state;
    enum { HANGUPS = 1000, ROUNDS = 20 };
    struct program clients[ROUNDS];
    write_file(config, "max_jobs = 100\n");
    const char *args[] = {"-c", config, "--listen", "tls://127.0.0.1:0", NULL};
    afard_start_tls(&server, args);
    const char *argv[] = {
        "afar", "run", server.url[0], "--", "sh", "-c", "head -c 100000 /dev/zero; exit 3", NULL};
    for (int round = 0; round < ROUNDS; round++) {
        program_start(&clients[round], argv, NULL);
        for (int i = 0; i < HANGUPS / ROUNDS; i++)
            assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        program_finish(&clients[round], NULL, 0);
        assert_int_equal(program_exit_status(&clients[round]), 3);
        assert_int_equal(clients[round].stdout_size, 100000);
        program_close(&clients[round]);
    }
    reload("reloaded");
    assert_null(strstr(server.program.stderr_data, "not reloaded"));
    assert_int_equal(run_true(server.url[0], NULL), 0);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

/* The end comes while one reload is on its way and another waits behind it. */
static void a_drain_in_the_middle(void **state)
{
    (void)state;
    enum { ROUNDS = 20 };
    write_file(config, "max_jobs = 100\n");
    const char *args[] = {"-c", config, "--listen", "tcp://127.0.0.1:0", NULL};
    for (int round = 0; round < ROUNDS; round++) {
        afard_start(&server, args);
        for (int i = 0; i < 1 + round % 4; i++)
            assert_int_equal(kill(server.program.pid, SIGHUP), 0);
        assert_int_equal(afard_stop(&server), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_change_for_all_that_comes_later),
        cmocka_unit_test(what_is_wrong_changes_nothing),
        cmocka_unit_test(listeners_come_and_go),
        cmocka_unit_test(who_is_revoked_starts_nothing),
        cmocka_unit_test(who_waits_is_revoked_too),
        cmocka_unit_test(a_damaged_list_is_not_loaded),
        cmocka_unit_test(certificates_are_exchanged),
        cmocka_unit_test(a_thousand_under_load),
        cmocka_unit_test(a_drain_in_the_middle),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
