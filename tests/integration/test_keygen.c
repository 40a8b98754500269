/* afar keygen and afar pin: what they write, what they refuse to replace, and that what they print
 * is what lets a client in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "support/afard.h"
#include "support/program.h"

enum { PATH_BYTES = 256, TEXT_BYTES = 4096 };

static char folder[] = "/tmp/afar-keygen-XXXXXX";

static int set_up(void **state)
{
    static const char *const variables[] = {"AFAR_CA", "AFAR_CERT", "AFAR_KEY", "AFAR_PIN"};
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        (void)unsetenv(variables[i]);
    /* No system's store: it would only be read. */
    return setenv("SSL_CERT_FILE", "/dev/null", 1) == 0 && mkdtemp(folder) != NULL &&
                   setenv("XDG_CONFIG_HOME", folder, 1) == 0
               ? 0
               : -1;
}

static void remove_all(const char *path)
{
    struct program remover;
    const char *argv[] = {"rm", "-rf", path, NULL};
    assert_int_equal(program_run(&remover, argv, NULL, 0), 0);
    program_close(&remover);
}

static int tear_down(void **state)
{
    (void)state;
    remove_all(folder);
    return 0;
}

static const char *path_of(const char *file, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", folder, file);
    return path;
}

static void slurp(const char *file, char text[TEXT_BYTES])
{
    char path[PATH_BYTES];
    FILE *opened = fopen(path_of(file, path), "re");
    assert_non_null(opened);
    text[fread(text, 1, TEXT_BYTES - 1, opened)] = '\0';
    assert_int_equal(fclose(opened), 0);
}

static unsigned count_files(const char *name)
{
    char path[PATH_BYTES];
    DIR *opened = opendir(path_of(name, path));
    unsigned count = 0;
    assert_non_null(opened);
    for (const struct dirent *entry = readdir(opened); entry != NULL; entry = readdir(opened))
        count += entry->d_name[0] != '.';
    (void)closedir(opened);
    return count;
}

#define RUN(program, ...) \
    program_run(program, (const char *const[]){"afar", __VA_ARGS__, NULL}, NULL, 0)

static void assert_mode(const char *file, mode_t mode)
{
    char path[PATH_BYTES];
    struct stat info;
    assert_int_equal(stat(path_of(file, path), &info), 0);
    assert_int_equal(info.st_mode & 07777, mode);
}

/* The pin of a file, as afar pin prints it without its newline. */
static void pin_of(const char *file, char pin[PATH_BYTES])
{
    struct program program;
    char path[PATH_BYTES];
    assert_int_equal(RUN(&program, "pin", path_of(file, path)), 0);
    assert_int_equal(program.stdout_size, 7 + 64 + 1);
    (void)snprintf(pin, PATH_BYTES, "%.*s", 7 + 64, program.stdout_data);
    program_close(&program);
}

/* Whether key and certificate belong together. */
static bool is_pair(const char *cert_file, const char *key_file)
{
    char path[PATH_BYTES];
    FILE *file = fopen(path_of(cert_file, path), "re");
    assert_non_null(file);
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    assert_int_equal(fclose(file), 0);
    file = fopen(path_of(key_file, path), "re");
    assert_non_null(file);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    assert_int_equal(fclose(file), 0);
    assert_non_null(cert);
    assert_non_null(key);
    bool pair = X509_check_private_key(cert, key) == 1;
    X509_free(cert);
    EVP_PKEY_free(key);
    return pair;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void test_a_clients_key(void **state)
{
    struct program program;
    char pin[PATH_BYTES];
    char expected[2 * PATH_BYTES];
    char before[TEXT_BYTES];
    char after[TEXT_BYTES];
    (void)state;
    mode_t old = umask(0); /* the modes are keygen's, not the user's */
    assert_int_equal(RUN(&program, "keygen", "--name", "ann@büro 7"), 0);
    (void)umask(old);
    pin_of("afar/cert.pem", pin);
    (void)snprintf(expected, sizeof expected,
                   "[allow ann-b--ro-7]\nclient = pin:%s\nshell = yes\ncommand = **\n", pin);
    assert_string_equal(program.stdout_data, expected);
    /* What to do on the other side. */
    assert_non_null(strstr(program.stderr_data, "next, on the server: put these lines into"));
    assert_non_null(strstr(program.stderr_data, "systemctl reload afard"));
    program_close(&program);
    assert_mode("afar", 0700);
    assert_mode("afar/key.pem", 0600);
    assert_mode("afar/cert.pem", 0644);
    assert_true(is_pair("afar/cert.pem", "afar/key.pem"));
    assert_int_equal(count_files("afar"), 2);

    slurp("afar/key.pem", before);
    assert_int_equal(RUN(&program, "keygen"), 125);
    assert_non_null(strstr(program.stderr_data, "--force"));
    assert_int_equal(program.stdout_size, 0);
    program_close(&program);
    slurp("afar/key.pem", after);
    assert_string_equal(before, after);

    assert_int_equal(RUN(&program, "keygen", "--force"), 0);
    assert_null(strstr(program.stdout_data, pin));
    program_close(&program);
    slurp("afar/key.pem", after);
    assert_string_not_equal(before, after);
    assert_mode("afar/key.pem", 0600);
    assert_true(is_pair("afar/cert.pem", "afar/key.pem"));
    assert_int_equal(count_files("afar"), 2);
}

/* A certificate alone is there to be kept too, and then there is no key without it. */
static void test_half_a_pair(void **state)
{
    struct program program;
    char path[PATH_BYTES];
    (void)state;
    assert_int_equal(RUN(&program, "keygen", "--out", path_of("half", path)), 0);
    program_close(&program);
    assert_int_equal(unlink(path_of("half/key.pem", path)), 0);
    assert_int_equal(RUN(&program, "keygen", "--out", path_of("half", path)), 125);
    assert_non_null(strstr(program.stderr_data, "cert.pem"));
    program_close(&program);
    assert_int_equal(count_files("half"), 1);
}

enum { AT_ONCE = 5 };

static void test_many_at_once(void **state)
{
    struct program program[AT_ONCE];
    char path[PATH_BYTES];
    char pin[PATH_BYTES];
    const char *argv[] = {"afar", "keygen", "--out", path_of("at-once", path), NULL};
    unsigned won = 0;
    (void)state;
    for (int i = 0; i < AT_ONCE; i++)
        program_start(&program[i], argv, NULL);
    for (int i = 0; i < AT_ONCE; i++)
        program_finish(&program[i], NULL, 0);
    pin_of("at-once/cert.pem", pin);
    for (int i = 0; i < AT_ONCE; i++) {
        bool is_winner = program_exit_status(&program[i]) == 0;
        won += is_winner;
        assert_int_equal(strstr(program[i].stdout_data, pin) != NULL, is_winner);
        program_close(&program[i]);
    }
    assert_int_equal(won, 1);
    assert_true(is_pair("at-once/cert.pem", "at-once/key.pem"));
    assert_int_equal(count_files("at-once"), 2);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    static const struct {
        const char *argv[6];
        const char *part;
    } cases[] = {
        {{"keygen", "--days", "0"}, "--days"},
        {{"keygen", "--days", "36501"}, "--days"},
        {{"keygen", "--days", "1x"}, "--days"},
        {{"keygen", "--name", ""}, "not a name"},
        {{"keygen", "--host", "a b"}, "'a b'"},
        {{"keygen", "--host", "a,"}, "''"},
        {{"keygen", "--host", "spiffe://a"}, "'spiffe://a'"},
        {{"keygen", "word"}, "unexpected argument 'word'"},
        {{"keygen", "--pin", "x"}, "unknown option '--pin'"},
        {{"keygen", "--out", "/dev/null/x"}, "/dev/null"},
        {{"pin"}, "certificate file"},
        {{"pin", "a", "b"}, "certificate file"},
        {{"pin", "/nonexistent"}, "/nonexistent"},
        {{"pin", "/dev/null"}, "no PEM certificate"},
        {{"forget"}, "HOST"},
        {{"forget", "a", "b"}, "unexpected argument 'b'"},
        {{"forget", "unix:///x"}, "is not a TLS server"},
        {{"forget", "never-seen"}, "never-seen:7420 is not known"},
        {{"run", "--pin", "sha256:12", "localhost", "true"}, "--pin: 'sha256:12'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *argv[8] = {"afar"};
        struct program program;
        memcpy(argv + 1, cases[i].argv, sizeof cases[i].argv);
        int status = program_run(&program, argv, NULL, 0);
        if (status != 125 || strstr(program.stderr_data, cases[i].part) == NULL ||
            program.stdout_size != 0)
            fail_msg("%s %s: status %d, '%s' was expected: %s", argv[1],
                     argv[2] != NULL ? argv[2] : "", status, cases[i].part, program.stderr_data);
        program_close(&program);
    }
}

static void test_nobody_reads(void **state)
{
    struct program program;
    char command[3 * TEXT_BYTES];
    char afar[PROGRAM_TEXT_BYTES];
    const char *argv[] = {"sh", "-c", command, NULL};
    (void)state;
    (void)snprintf(command, sizeof command, "%s keygen --out %s/full >/dev/full",
                   program_path("afar", afar), folder);
    assert_int_equal(program_run(&program, argv, NULL, 0), 125);
    assert_non_null(strstr(program.stderr_data, "standard output"));
    program_close(&program);
}

/* ---- on a real server ------------------------------------------------------------------------ */

static void write_conf(const char *file, const char *rule)
{
    char path[PATH_BYTES];
    FILE *opened = fopen(path_of(file, path), "we");
    assert_non_null(opened);
    assert_true(fprintf(opened,
                        "tls_cert = %s/server/server.pem\n"
                        "tls_key = %s/server/server-key.pem\n%s",
                        folder, folder, rule) > 0);
    assert_int_equal(fclose(opened), 0);
}

/* Nothing but what the two commands printed, pasted. */
static void test_two_keys_and_no_ca(void **state)
{
    struct afard server;
    struct program program;
    char path[3][PATH_BYTES];
    char pin[PATH_BYTES];
    char expected[2 * PATH_BYTES];
    (void)state;
    assert_int_equal(RUN(&program, "keygen", "--out", path_of("server", path[0]), "--host",
                         "::1,localhost", "--host", "build7.example,127.0.0.1"),
                     0);
    pin_of("server/server.pem", pin);
    (void)snprintf(expected, sizeof expected, "afar run --pin %s [::1] -- true\n", pin);
    assert_string_equal(program.stdout_data, expected);
    assert_non_null(strstr(program.stderr_data, "can read the key"));
    assert_non_null(strstr(program.stderr_data, "next, on each client: 'afar keygen'"));
    program_close(&program);
    assert_mode("server/server-key.pem", 0600);

    assert_int_equal(RUN(&program, "keygen", "--out", path_of("client", path[0]), "--name", "ann"),
                     0);
    write_conf("afard.conf", program.stdout_data);
    program_close(&program);
    const char *args[] = {"-c", path_of("afard.conf", path[0]), "--listen", "tls://127.0.0.1:0",
                          NULL};
    afard_start(&server, args);

    assert_int_equal(RUN(&program, "run", "--pin", pin, "--cert",
                         path_of("client/cert.pem", path[1]), "--key",
                         path_of("client/key.pem", path[2]), server.url[0], "--", "echo", "in"),
                     0);
    assert_string_equal(program.stdout_data, "in\n");
    program_close(&program);

    /* All that afar can ask for, since the rule is meant for its owner's own use. */
    assert_int_equal(RUN(&program, "run", "-s", "--pin", pin, "--cert",
                         path_of("client/cert.pem", path[1]), "--key",
                         path_of("client/key.pem", path[2]), server.url[0], "echo a | tr a b"),
                     0);
    assert_string_equal(program.stdout_data, "b\n");
    program_close(&program);
    const char *repl[] = {"afar",  "repl",  "--pin", pin,           "--cert",
                          path[1], "--key", path[2], server.url[0], NULL};
    assert_int_equal(program_run(&program, repl, "echo c\n", 7), 0);
    assert_string_equal(program.stdout_data, "c\n");
    program_close(&program);

    /* Another key is not let in, and another server not believed. */
    assert_int_equal(RUN(&program, "ping", "--pin", pin, "--cert",
                         path_of("server/server.pem", path[1]), "--key",
                         path_of("server/server-key.pem", path[2]), server.url[0]),
                     125);
    program_close(&program);
    pin_of("client/cert.pem", pin);
    assert_int_equal(RUN(&program, "ping", "--pin", pin, "--cert",
                         path_of("client/cert.pem", path[1]), "--key",
                         path_of("client/key.pem", path[2]), server.url[0]),
                     125);
    assert_non_null(strstr(program.stderr_data, "not the pinned one"));
    program_close(&program);
    assert_int_equal(afard_stop(&server), 0);
}

/* The same files where each is the other's only CA. */
static void test_as_each_others_ca(void **state)
{
    struct afard server;
    struct program program;
    char path[5][PATH_BYTES];
    (void)state;
    const char *args[] = {"--listen",
                          "tls://127.0.0.1:0",
                          "--tls-cert",
                          path_of("server/server.pem", path[0]),
                          "--tls-key",
                          path_of("server/server-key.pem", path[1]),
                          "--tls-client-ca",
                          path_of("client/cert.pem", path[2]),
                          NULL};
    afard_start(&server, args);
    assert_int_equal(RUN(&program, "run", "--ca", path[0], "--cert", path[2], "--key",
                         path_of("client/key.pem", path[3]), server.url[0], "--", "echo", "in"),
                     0);
    assert_string_equal(program.stdout_data, "in\n");
    program_close(&program);
    afard_expect_log(&server, "(cn:ann)");
    assert_int_equal(afard_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clients_key),     cmocka_unit_test(test_half_a_pair),
        cmocka_unit_test(test_many_at_once),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_nobody_reads),      cmocka_unit_test(test_two_keys_and_no_ca),
        cmocka_unit_test(test_as_each_others_ca),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
