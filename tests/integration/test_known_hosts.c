/* Servers that no CA vouches for: asked about once on a terminal, refused without one, refused
 * loudly with another key; on a real server whose certificate signs itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <afar/keygen.h>

#include "support/afard.h"
#include "support/program.h"
#include "support/terminal.h"

enum { PATH_BYTES = 256, TEXT_BYTES = 4096 };

#define NO_PIN "sha256:0000000000000000000000000000000000000000000000000000000000000000"

static char folder[] = "/tmp/afar-known-XXXXXX";
static struct afard server;
static char known_hosts[PATH_BYTES];
static char server_cert[PATH_BYTES];
static char line[PATH_BYTES]; /* of the server, as known_hosts has it */
static const char *name;      /* "127.0.0.1:PORT" */

#define RUN(program, ...) \
    program_run(program, (const char *const[]){"afar", __VA_ARGS__, NULL}, NULL, 0)

static int set_up(void **state)
{
    static const char *const variables[] = {"AFAR_CA", "AFAR_CERT", "AFAR_KEY", "AFAR_PIN"};
    static char path[4][PATH_BYTES];
    struct program program;
    char pin[AFAR_PIN_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        (void)unsetenv(variables[i]);
    (void)umask(022); /* a file of known servers that others can change is refused */
    if (mkdtemp(folder) == NULL || setenv("XDG_CONFIG_HOME", folder, 1) != 0 ||
        setenv("SSL_CERT_FILE", "/dev/null", 1) != 0)
        return -1;
    (void)snprintf(known_hosts, sizeof known_hosts, "%s/afar/known_hosts", folder);
    (void)snprintf(server_cert, sizeof server_cert, "%s/server.pem", folder);
    (void)snprintf(path[0], sizeof path[0], "%s/server-key.pem", folder);
    (void)snprintf(path[1], sizeof path[1], "%s/afar/cert.pem", folder);
    /* The client's are where afar looks for them by itself. */
    assert_int_equal(RUN(&program, "keygen", "--out", folder, "--host", "127.0.0.1"), 0);
    program_close(&program);
    assert_int_equal(RUN(&program, "keygen"), 0);
    program_close(&program);
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--tls-cert", server_cert, "--tls-key",
                          path[0],    "--tls-client-ca",   path[1],      NULL};
    afard_start(&server, args);
    name = server.url[0] + strlen("tls://");
    assert_int_equal(afar_pin(server_cert, pin, NULL), AFAR_OK);
    (void)snprintf(line, sizeof line, "%s sha256:%s\n", name, pin);
    return 0;
}

static int tear_down(void **state)
{
    struct program remover;
    const char *argv[] = {"rm", "-rf", folder, NULL};
    (void)state;
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
    assert_int_equal(program_run(&remover, argv, NULL, 0), 0);
    program_close(&remover);
    return 0;
}

static int forget_all(void **state)
{
    (void)state;
    (void)unlink(known_hosts);
    return 0;
}

static void write_known(const char *text)
{
    FILE *file = fopen(known_hosts, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* "": there is no file. */
static void assert_known(const char *expected)
{
    char text[TEXT_BYTES] = "";
    FILE *file = fopen(known_hosts, "re");
    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        assert_int_equal(fclose(file), 0);
    }
    assert_string_equal(text, expected);
}

/* ---- beside the system's CAs ----------------------------------------------------------------- */

/* A CA of the system's vouches for the server: enough as long as the server's keys are not known.
 */
static void test_known_keys_outdo_the_systems_cas(void **state)
{
    struct program program;
    char text[TEXT_BYTES];
    (void)state;
    assert_int_equal(setenv("SSL_CERT_FILE", server_cert, 1), 0);
    assert_int_equal(RUN(&program, "run", server.url[0], "--", "echo", "in"), 0);
    program_close(&program);
    (void)snprintf(text, sizeof text, "%s " NO_PIN "\n", name);
    write_known(text);
    assert_int_equal(RUN(&program, "run", server.url[0], "--", "echo", "in"), 125);
    assert_int_equal(program.stdout_size, 0);
    assert_non_null(strstr(program.stderr_data, "HAS CHANGED"));
    program_close(&program);
    write_known(line);
    assert_int_equal(RUN(&program, "run", server.url[0], "--", "echo", "in"), 0);
    program_close(&program);
    assert_int_equal(setenv("SSL_CERT_FILE", "/dev/null", 1), 0);
}

/* What cannot be read does not make the system's CAs the ones that count. */
static void test_a_ca_that_cannot_be_read(void **state)
{
    char file[PATH_BYTES];
    struct program program;
    (void)state;
    (void)snprintf(file, sizeof file, "%s/afar/ca.pem", folder);
    assert_int_equal(setenv("SSL_CERT_FILE", server_cert, 1), 0);
    assert_int_equal(symlink("/nowhere/ca.pem", file), 0);
    assert_int_equal(RUN(&program, "run", server.url[0], "--", "echo", "in"), 125);
    assert_int_equal(program.stdout_size, 0);
    assert_non_null(strstr(program.stderr_data, file));
    program_close(&program);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(setenv("SSL_CERT_FILE", "/dev/null", 1), 0);
}

/* ---- without a terminal ---------------------------------------------------------------------- */

static void test_unknown_without_a_terminal(void **state)
{
    struct program program;
    char text[TEXT_BYTES];
    (void)state;
    assert_int_equal(RUN(&program, "run", server.url[0], "--", "echo", "in"), 125);
    assert_int_equal(program.stdout_size, 0);
    assert_non_null(strstr(program.stderr_data, "its key is not known"));
    /* Both ways to go on, to be copied. */
    (void)snprintf(text, sizeof text, "--pin%.*s,", (int)strcspn(strchr(line, ' '), "\n"),
                   strchr(line, ' '));
    assert_non_null(strstr(program.stderr_data, text));
    (void)snprintf(text, sizeof text, "'%.*s' to %s", (int)strlen(line) - 1, line, known_hosts);
    assert_non_null(strstr(program.stderr_data, text));
    program_close(&program);
    assert_known("");
}

/* The line to act on, acted on. */
static void test_known(void **state)
{
    struct program program;
    (void)state;
    write_known(line);
    assert_int_equal(RUN(&program, "run", server.url[0], "--", "echo", "in"), 0);
    assert_string_equal(program.stdout_data, "in\n");
    assert_int_equal(program.stderr_size, 0);
    program_close(&program);
    assert_int_equal(RUN(&program, "ping", "--count", "2", server.url[0]), 0);
    program_close(&program);
    assert_known(line);
}

static void test_changed(void **state)
{
    struct program program;
    char text[TEXT_BYTES];
    (void)state;
    (void)snprintf(text, sizeof text, "# mine\n%s " NO_PIN "\nother:1 " NO_PIN "\n", name);
    write_known(text);
    assert_int_equal(RUN(&program, "run", server.url[0], "--", "echo", "in"), 125);
    assert_int_equal(program.stdout_size, 0);
    assert_non_null(strstr(program.stderr_data, "HAS CHANGED"));
    assert_non_null(strstr(program.stderr_data, NO_PIN));
    assert_non_null(strstr(program.stderr_data, "known_hosts, line 2)"));
    program_close(&program);
    assert_known(text);

    assert_int_equal(RUN(&program, "forget", name), 0);
    program_close(&program);
    assert_known("# mine\nother:1 " NO_PIN "\n");
}

/* Neither the file nor a question counts where a CA or a pin decides. */
static void test_a_ca_or_a_pin_decides(void **state)
{
    struct program program;
    char wrong[TEXT_BYTES];
    const char *pin = strchr(line, ' ') + 1;
    char digits[PATH_BYTES];
    (void)state;
    (void)snprintf(digits, sizeof digits, "%.*s", (int)strlen(pin) - 1, pin);
    (void)snprintf(wrong, sizeof wrong, "%s " NO_PIN "\n", name);
    write_known(wrong);
    assert_int_equal(RUN(&program, "ping", "--pin", digits, server.url[0]), 0);
    program_close(&program);
    assert_int_equal(RUN(&program, "ping", "--ca", server_cert, server.url[0]), 0);
    program_close(&program);
    write_known(line);
    assert_int_equal(RUN(&program, "ping", "--pin", NO_PIN, server.url[0]), 125);
    program_close(&program);
    char client[PATH_BYTES];
    (void)snprintf(client, sizeof client, "%s/afar/cert.pem", folder);
    assert_int_equal(RUN(&program, "ping", "--ca", client, server.url[0]), 125);
    assert_non_null(strstr(program.stderr_data, "self-signed"));
    program_close(&program);
    /* A server that the system's CAs vouch for needs no line. */
    assert_int_equal(unlink(known_hosts), 0);
    assert_int_equal(setenv("SSL_CERT_FILE", server_cert, 1), 0);
    assert_int_equal(RUN(&program, "ping", server.url[0]), 0);
    program_close(&program);
    assert_int_equal(setenv("SSL_CERT_FILE", "/dev/null", 1), 0);
    assert_known("");
}

static void test_a_file_that_is_no_good(void **state)
{
    struct program program;
    char text[TEXT_BYTES];
    (void)state;
    (void)snprintf(text, sizeof text, "%srubbish\n", line);
    write_known(text);
    assert_int_equal(RUN(&program, "ping", server.url[0]), 0); /* its line comes first */
    program_close(&program);
    (void)snprintf(text, sizeof text, "rubbish\n%s", line);
    write_known(text);
    assert_int_equal(RUN(&program, "ping", server.url[0]), 125);
    assert_non_null(strstr(program.stderr_data, "known_hosts:1: "));
    assert_ptr_equal(strchr(program.stderr_data, '\n'),
                     program.stderr_data + program.stderr_size - 1);
    program_close(&program);
}

/* ---- on a terminal --------------------------------------------------------------------------- */

static void start_on_terminal(struct terminal *terminal, const char *subcommand)
{
    const char *run[] = {"afar", "run", server.url[0], "--", "echo", "it", "ran", NULL};
    const char *repl[] = {"afar", "repl", server.url[0], NULL};
    terminal_start(terminal, strcmp(subcommand, "run") == 0 ? run : repl);
}

static void test_yes(void **state)
{
    static const char *const answers[] = {"y\n", "YES\n"};
    static struct terminal terminal;
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        (void)unlink(known_hosts);
        start_on_terminal(&terminal, "run");
        terminal_expect(&terminal, "[y/N] ");
        assert_non_null(strstr(terminal.text, name));
        assert_known("");
        terminal_type(&terminal, answers[i]);
        assert_int_equal(terminal_finish(&terminal), 0);
        assert_non_null(strstr(terminal.text, "it ran"));
        assert_known(line);
    }
    start_on_terminal(&terminal, "run");
    assert_int_equal(terminal_finish(&terminal), 0);
    assert_null(strstr(terminal.text, "[y/N]"));
    assert_non_null(strstr(terminal.text, "it ran"));
}

static void test_no(void **state)
{
    static const char *const answers[] = {"n\n", "\n", "yesterday\n", " y\n", "y\004\004", "\004"};
    static struct terminal terminal;
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        start_on_terminal(&terminal, "run");
        terminal_expect(&terminal, "[y/N] ");
        terminal_type(&terminal, answers[i]);
        int status = terminal_finish(&terminal);
        if (status != 125 || strstr(terminal.text, "it ran") != NULL)
            fail_msg("answer %zu: status %d: %s", i, status, terminal.text);
        assert_known("");
    }
    start_on_terminal(&terminal, "run");
    terminal_expect(&terminal, "[y/N] ");
    terminal_type(&terminal, "\003");
    assert_int_equal(terminal_finish(&terminal), 128 + 2);
    assert_known("");
}

/* What is typed after the answer is the shell's. */
static void test_repl(void **state)
{
    static struct terminal terminal;
    (void)state;
    start_on_terminal(&terminal, "repl");
    terminal_expect(&terminal, "[y/N] ");
    terminal_type(&terminal, "y\n");
    terminal_expect(&terminal, ">>>: ");
    terminal_type(&terminal, "echo $((40 + 2))\n");
    terminal_expect(&terminal, "42\r\n");
    terminal_type(&terminal, "exit 3\n");
    assert_int_equal(terminal_finish(&terminal), 3);
    assert_known(line);
}

/* A changed key is nothing to be asked about. */
static void test_changed_on_a_terminal(void **state)
{
    static struct terminal terminal;
    char text[TEXT_BYTES];
    (void)state;
    (void)snprintf(text, sizeof text, "%s " NO_PIN "\n", name);
    write_known(text);
    start_on_terminal(&terminal, "run");
    assert_int_equal(terminal_finish(&terminal), 125);
    assert_null(strstr(terminal.text, "[y/N]"));
    assert_non_null(strstr(terminal.text, "HAS CHANGED"));
    assert_known(text);
}

/* Either stream that is no terminal: there may be a person, but it is not he who is read. */
static void test_half_a_terminal(void **state)
{
    static const char *const streams[] = {"</dev/null", "2>&1 | cat", "2>/dev/null"};
    static struct terminal terminal;
    char afar[PROGRAM_TEXT_BYTES];
    char command[2 * PROGRAM_TEXT_BYTES];
    const char *argv[] = {"sh", "-c", command, NULL};
    (void)state;
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        (void)snprintf(command, sizeof command, "(%s ping %s; echo status $?) %s",
                       program_path("afar", afar), server.url[0], streams[i]);
        terminal_start(&terminal, argv);
        assert_int_equal(terminal_finish(&terminal), 0);
        assert_null(strstr(terminal.text, "[y/N]"));
        assert_non_null(strstr(terminal.text, "status 125"));
        assert_known("");
    }
}

#define TEST(test) cmocka_unit_test_setup(test, forget_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_known_keys_outdo_the_systems_cas),
        TEST(test_a_ca_that_cannot_be_read),
        TEST(test_unknown_without_a_terminal),
        TEST(test_known),
        TEST(test_changed),
        TEST(test_a_ca_or_a_pin_decides),
        TEST(test_a_file_that_is_no_good),
        TEST(test_yes),
        TEST(test_no),
        TEST(test_repl),
        TEST(test_changed_on_a_terminal),
        TEST(test_half_a_terminal),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
