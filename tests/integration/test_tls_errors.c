/* Each way in which TLS can be refused gives one clear line on either side; and sessions are
 * resumed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <afar/afar.h>

#include "support/afard.h"
#include "support/test_certs.h"

static struct test_certs certs;

static int set_up(void **state)
{
    (void)state;
    (void)unsetenv("AFAR_CA");
    (void)unsetenv("AFAR_CERT");
    (void)unsetenv("AFAR_KEY");
    (void)setenv("XDG_CONFIG_HOME", "/no/such/folder", 1);
    return test_certs_make(&certs) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    test_certs_remove(&certs);
    return 0;
}

static void start_server(struct afard *server, enum test_cert cert)
{
    const char *args[] = {"--listen",        "tls://127.0.0.1:0", "--listen",  "tcp://127.0.0.1:0",
                          "--tls-cert",      certs.cert[cert],    "--tls-key", certs.key[cert],
                          "--tls-client-ca", certs.cert[TEST_CA], NULL};
    afard_start(server, args);
}

struct failure {
    const char *what;
    enum test_cert server;
    enum test_cert trust;    /* what the client trusts */
    int client;              /* its certificate; -1: none */
    const char *client_line; /* part of what the client says … */
    const char *server_line; /* … and of what the server logs; NULL: nothing more than the rest */
};

static const struct failure failures[] = {
    {"wrong CA", TEST_SERVER, TEST_OTHER_CA, TEST_CLIENT, "CA that we do not trust", "CA"},
    {"self-signed", TEST_SERVER_SELF_SIGNED, TEST_CA, TEST_CLIENT, "self-signed", NULL},
    {"not yet valid", TEST_SERVER_FUTURE, TEST_CA, TEST_CLIENT, "valid", NULL},
    {"wrong name", TEST_SERVER_WRONG_NAME, TEST_CA, TEST_CLIENT, "other.example", NULL},
    {"no client certificate", TEST_SERVER, TEST_CA, -1, "--cert", "no certificate"},
    {"client of another CA", TEST_SERVER, TEST_CA, TEST_CLIENT_OTHER_CA, "refused", "CA"},
    {"expired client", TEST_SERVER, TEST_CA, TEST_CLIENT_EXPIRED, "expired", "expired"},
    {"a server's certificate as client", TEST_SERVER, TEST_CA, TEST_CLIENT_AS_SERVER, "refused",
     NULL},
};

/* One line, in words. */
static void expect_line(const char *what, const char *text, size_t size, const char *part)
{
    bool one = size > 1 && strchr(text, '\n') == text + size - 1;
    bool raw = strstr(text, "error:0") != NULL || strstr(text, "routines") != NULL ||
               strstr(text, "SSL_") != NULL;
    if (!one || raw || strstr(text, part) == NULL)
        fail_msg("%s: '%s' was expected in one line: %s", what, part, text);
}

static unsigned count_lines_with(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        const char *found = strstr(line, part);
        count += found != NULL && (end == NULL || found < end);
        line = end == NULL ? line + strlen(line) : end + 1;
    }
    return count;
}

static void certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        const struct failure *f = &failures[i];
        struct afard server;
        struct program program;
        start_server(&server, f->server);
        const char *with[] = {"afar",        "run",
                              "--ca",        certs.cert[f->trust],
                              "--cert",      f->client >= 0 ? certs.cert[f->client] : "",
                              "--key",       f->client >= 0 ? certs.key[f->client] : "",
                              server.url[0], "--",
                              "true",        NULL};
        const char *without[] = {"afar",        "run", "--ca", certs.cert[f->trust],
                                 server.url[0], "--",  "true", NULL};
        int status = program_run(&program, f->client >= 0 ? with : without, NULL, 0);
        if (status != 125)
            fail_msg("%s: status %d", f->what, status);
        expect_line(f->what, program.stderr_data, program.stderr_size, f->client_line);
        program_close(&program);

        afard_expect_log(&server, " warn connection");
        if (f->server_line != NULL)
            afard_expect_log(&server, f->server_line);
        assert_int_equal(count_lines_with(server.program.stderr_data, " warn connection"), 1);
        assert_null(strstr(server.program.stderr_data, "routines"));
        assert_int_equal(afard_stop(&server), 0);
    }
}

/* TLS to a plain port and the other way round. */
static void the_wrong_port(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct afard server;
        struct program program;
        char url[600];
        start_server(&server, TEST_SERVER);
        (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u", i == 0 ? "tcp" : "tls",
                       afard_port(&server, i));
        const char *argv[] = {"afar",   "run",
                              "--ca",   certs.cert[TEST_CA],
                              "--cert", certs.cert[TEST_CLIENT],
                              "--key",  certs.key[TEST_CLIENT],
                              url,      "--",
                              "true",   NULL};
        assert_int_equal(program_run(&program, argv, NULL, 0), 125);
        expect_line("wrong port", program.stderr_data, program.stderr_size, "TLS");
        program_close(&program);
        afard_expect_log(&server, "TLS");
        assert_int_equal(count_lines_with(server.program.stderr_data, " warn connection"), 1);
        assert_int_equal(afard_stop(&server), 0);
    }
}

/* And the good case, so that the others do not fail for a reason of their own. */
static void good_certificates_and_a_resumed_session(void **state)
{
    (void)state;
    struct afard server;
    struct afar_context *context = NULL;
    struct afar_error err = {0};
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = certs.cert[TEST_CA], .cert_file = certs.cert[TEST_CLIENT],
                              .key_file = certs.key[TEST_CLIENT]);
    start_server(&server, TEST_SERVER);
    assert_int_equal(afar_context_new(&context, &credentials, &err), AFAR_OK);
    for (unsigned i = 0; i < 3; i++) {
        struct afar_client *client = NULL;
        const char *argv[] = {"true", NULL};
        const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
        assert_int_equal(afar_connect(&client, context, server.url[0], test_deadline_ms(), &err),
                         AFAR_OK);
        assert_int_equal(afar_start(client, &command, NULL, &err), AFAR_OK);
        assert_int_equal(afar_wait(client, test_deadline_ms(), &err), AFAR_OK);
        assert_int_equal(afar_receipt(client)->code, 0);
        assert_int_equal(afar_resumed(client), i > 0);
        afar_close(client);
    }
    afar_context_free(context);
    /* The resumed connections are known by the same certificate. */
    afard_expect_log(&server, "(cn:tester): open");
    assert_int_equal(count_lines_with(server.program.stderr_data, "anonymous"), 0);
    assert_int_equal(afard_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates),
        cmocka_unit_test(the_wrong_port),
        cmocka_unit_test(good_certificates_and_a_resumed_session),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
