/* No CA at all: the server knows its client by its key, and the client its server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/program.h"

enum { TEXT_BYTES = 2048, PATH_BYTES = 128 };

static char folder[64];

#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static const char *in_folder(const char *name, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-pinned-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : setenv("HOME", folder, 1);
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* What keygen prints: the lines for the server, or how a client connects. */
static void keygen(const char *kind, const char *value, const char *where, char out[TEXT_BYTES])
{
    struct program program;
    char path[PATH_BYTES];
    assert_int_equal(
        program_run(&program, WORDS("afar", "keygen", kind, value, "--out", in_folder(where, path)),
                    NULL, 0),
        0);
    (void)snprintf(out, TEXT_BYTES, "%s", program.stdout_data);
    program_close(&program);
}

/* The 64 digits behind "sha256:". */
static void take_pin(const char *text, char pin[80])
{
    const char *at = strstr(text, "sha256:");
    assert_non_null(at);
    (void)snprintf(pin, 80, "%.71s", at);
}

static void write_rules(const char *text)
{
    char path[PATH_BYTES];
    FILE *file = fopen(in_folder("afard.conf", path), "we");
    assert_non_null(file);
    assert_true(fprintf(file,
                        "tls_cert = %s/server/server.pem\ntls_key = %s/server/server-key.pem\n%s",
                        folder, folder, text) > 0);
    assert_int_equal(fclose(file), 0);
}

/* `afar run` with this client's files; its exit status. */
static int run(const struct afard *afard, const char *client, const char *pin, const char *word,
               const char *expected)
{
    char cert[PATH_BYTES];
    char key[PATH_BYTES];
    char name[32];
    struct program program;
    (void)snprintf(name, sizeof name, "%s/cert.pem", client);
    (void)in_folder(name, cert);
    (void)snprintf(name, sizeof name, "%s/key.pem", client);
    (void)in_folder(name, key);
    int status = program_run(&program,
                             WORDS("afar", "run", "-n", "--cert", cert, "--key", key, "--pin", pin,
                                   afard->url[0], "--", word, "hello"),
                             NULL, 0);
    if (strstr(status == 125 ? program.stderr_data : program.stdout_data, expected) == NULL)
        fail_msg("'%s' is not in: %s%s", expected, program.stdout_data, program.stderr_data);
    program_close(&program);
    return status;
}

static void test_without_any_ca(void **state)
{
    char rules[TEXT_BYTES];
    char stranger[TEXT_BYTES];
    char server[TEXT_BYTES];
    char both[2 * TEXT_BYTES + 64];
    char pin[80];
    char wrong[80];
    char path[PATH_BYTES];
    struct afard afard;
    (void)state;
    keygen("--name", "ann", "ann", rules);
    keygen("--name", "bob", "bob", stranger);
    keygen("--host", "localhost,127.0.0.1", "server", server);
    take_pin(server, pin);
    take_pin(stranger, wrong);
    write_rules(rules);
    afard_start(&afard,
                WORDS("-c", in_folder("afard.conf", path), "--listen", "tls://127.0.0.1:0"));
    afard_expect_log(&afard, "everyone with a key that a rule names can run what the one rule of");
    assert_int_equal(run(&afard, "ann", pin, "echo", "hello\n"), 0);
    /* Whose key nobody has named is told so, and the operator how to let him in. */
    assert_int_equal(run(&afard, "bob", pin, "echo", "the server refused our certificate"), 125);
    (void)snprintf(both, sizeof both, "to let it in: client = pin:%s", wrong);
    afard_expect_log(&afard, both);
    /* Not the server that was meant. */
    assert_int_equal(run(&afard, "ann", wrong, "echo", "is not the pinned one"), 125);
    /* The line is pasted. */
    (void)snprintf(both, sizeof both, "%s\n%s", rules, stranger);
    write_rules(both);
    assert_int_equal(kill(afard.program.pid, SIGHUP), 0);
    afard_expect_log(&afard, "reloaded");
    assert_int_equal(run(&afard, "bob", pin, "echo", "hello\n"), 0);
    afard_expect_calm(&afard);
    assert_int_equal(afard_stop(&afard), 0);
}

/* Its certificate says that it is somebody else; nobody vouches for that. */
static void test_a_pinned_client_claims_nothing(void **state)
{
    char rules[TEXT_BYTES];
    char server[TEXT_BYTES];
    char text[2 * TEXT_BYTES];
    char pin[80];
    char path[PATH_BYTES];
    struct afard afard;
    (void)state;
    keygen("--name", "admin", "ann", rules);
    keygen("--host", "localhost,127.0.0.1", "server", server);
    take_pin(server, pin);
    char key[80];
    take_pin(rules, key);
    (void)snprintf(text, sizeof text,
                   "[allow admin]\nclient = cn:admin\nshell = yes\ncommand = **\n"
                   "[allow ann]\nclient = pin:%s\ncommand = /bin/echo **\n",
                   key);
    write_rules(text);
    afard_start(&afard,
                WORDS("-c", in_folder("afard.conf", path), "--listen", "tls://127.0.0.1:0"));
    assert_int_equal(run(&afard, "ann", pin, "echo", "hello\n"), 0);
    assert_int_equal(run(&afard, "ann", pin, "cat", "run 'cat' (denied)"), 125);
    assert_int_equal(afard_stop(&afard), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_any_ca, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pinned_client_claims_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
