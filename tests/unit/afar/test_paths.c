/* What decides whether a server is the right one: a pin, a CA, or the file of known servers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "afar/paths.h"
#include "support/stderr_capture.h"

#define PIN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PIN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct choice {
    const char *what;
    const char *option_pin; /* NULL: not given */
    const char *option_ca;
    const char *env_pin;
    const char *env_ca;
    bool ca_there; /* ~/.config/afar/ca.pem */
    const char *pin;
    bool known_hosts;
};

static const struct choice choices[] = {
    {"nothing", NULL, NULL, NULL, NULL, false, "", true},
    {"ca.pem", NULL, NULL, NULL, NULL, true, "", false},
    {"AFAR_CA", NULL, NULL, NULL, "/ca", false, "", false},
    {"--ca", NULL, "/ca", NULL, NULL, false, "", false},
    {"AFAR_PIN", NULL, NULL, "sha256:" PIN_A, NULL, false, PIN_A, false},
    {"AFAR_PIN and a CA around", NULL, NULL, "sha256:" PIN_A, "/ca", true, PIN_A, false},
    {"--ca outdoes AFAR_PIN", NULL, "/ca", "sha256:" PIN_A, NULL, false, "", false},
    {"--pin outdoes all", PIN_B, "/ca", "sha256:" PIN_A, "/ca", true, PIN_B, false},
    {"empty variables", NULL, NULL, "", "", false, "", true},
};

static void set(const char *variable, const char *value)
{
    if (value != NULL)
        assert_int_equal(setenv(variable, value, 1), 0);
    else
        assert_int_equal(unsetenv(variable), 0);
}

static void test_what_decides(void **state)
{
    char home[] = "/tmp/afar-paths-XXXXXX";
    char folder[64];
    char ca[80];
    (void)state;
    assert_non_null(mkdtemp(home));
    (void)snprintf(folder, sizeof folder, "%s/afar", home);
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    set("XDG_CONFIG_HOME", home);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const struct choice *choice = &choices[i];
        struct options options = {.ca_file = choice->option_ca};
        struct credential_paths paths;
        set("AFAR_PIN", choice->env_pin);
        set("AFAR_CA", choice->env_ca);
        if (choice->option_pin != NULL)
            (void)snprintf(options.pin, sizeof options.pin, "%s", choice->option_pin);
        if (choice->ca_there)
            assert_int_equal(close(open(ca, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
        assert_true(credential_paths_find(&paths, &options));
        if (strcmp(paths.pin, choice->pin) != 0 || paths.by_known_hosts != choice->known_hosts ||
            (paths.known_hosts != NULL) != choice->known_hosts)
            fail_msg("%s: pin '%s', known hosts %d", choice->what, paths.pin, paths.by_known_hosts);
        credential_paths_close(&paths);
        (void)unlink(ca);
    }
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rmdir(home), 0);
}

static void test_a_pin_that_is_none(void **state)
{
    static const char *const bad[] = {PIN_A, "sha256:", "sha256:" PIN_A "a", "sha1:" PIN_A,
                                      "sha256:gaaa"};
    const struct options options = {0};
    struct credential_paths paths;
    struct stderr_capture capture;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        set("AFAR_PIN", bad[i]);
        stderr_capture_begin(&capture);
        bool found = credential_paths_find(&paths, &options);
        const char *told = stderr_capture_end(&capture);
        if (found || strstr(told, "AFAR_PIN: ") == NULL)
            fail_msg("'%s' was taken: %s", bad[i], told);
    }
}

/* A file that is there, but cannot be used, is not as if there were none: then others would be
 * trusted in its place. What is wrong with it is for whoever opens it to say. */
static void test_what_cannot_be_seen(void **state)
{
    char home[] = "/tmp/afar-paths-XXXXXX";
    char folder[64];
    char file[80];
    struct credential_paths paths;
    const struct options options = {0};
    (void)state;
    assert_non_null(mkdtemp(home));
    (void)snprintf(folder, sizeof folder, "%s/afar", home);
    set("XDG_CONFIG_HOME", home);
    set("AFAR_PIN", NULL);
    set("AFAR_CA", NULL);
    static const char *const names[] = {"ca.pem", "cert.pem", "key.pem"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(mkdir(folder, 0700), 0);
        (void)snprintf(file, sizeof file, "%s/%s", folder, names[i]);
        assert_int_equal(symlink("/nowhere/it.pem", file), 0);
        assert_true(credential_paths_find(&paths, &options));
        const char *found[] = {paths.ca, paths.cert, paths.key};
        for (size_t j = 0; j < sizeof found / sizeof found[0]; j++)
            assert_int_equal(found[j] != NULL, i == j);
        assert_int_equal(paths.by_known_hosts, i != 0);
        credential_paths_close(&paths);
        assert_int_equal(unlink(file), 0);
        assert_int_equal(rmdir(folder), 0);
    }
    (void)snprintf(file, sizeof file, "%s/ca.pem", folder);
    assert_false(path_may_exist(file)); /* nor is the folder there */
    assert_int_equal(symlink("/nowhere/afar", folder), 0);
    assert_true(path_may_exist(file));
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(symlink(folder, folder), 0); /* a loop */
    assert_true(path_may_exist(file));
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(close(open(folder, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    assert_true(path_may_exist(file)); /* somebody has copied the CA to the folder's name */
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(rmdir(home), 0);
    assert_false(path_may_exist(file));
}

static void test_a_home_that_is_a_file(void **state)
{
    const struct options options = {0};
    struct credential_paths paths;
    (void)state;
    set("AFAR_PIN", NULL);
    set("AFAR_CA", NULL);
    set("XDG_CONFIG_HOME", NULL);
    set("HOME", "/dev/null"); /* of a system's user */
    assert_true(credential_paths_find(&paths, &options));
    assert_null(paths.ca);
    assert_null(paths.cert);
    assert_null(paths.key);
    credential_paths_close(&paths);
    set("HOME", "/nonexistent");
    assert_true(credential_paths_find(&paths, &options));
    assert_null(paths.ca);
    credential_paths_close(&paths);
}

static void test_without_a_home(void **state)
{
    const struct options options = {0};
    struct credential_paths paths;
    (void)state;
    set("AFAR_PIN", NULL);
    set("AFAR_CA", NULL);
    set("XDG_CONFIG_HOME", NULL);
    set("HOME", NULL);
    assert_true(credential_paths_find(&paths, &options));
    assert_true(paths.by_known_hosts);
    assert_null(paths.known_hosts);
    credential_paths_close(&paths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_decides),        cmocka_unit_test(test_a_pin_that_is_none),
        cmocka_unit_test(test_what_cannot_be_seen), cmocka_unit_test(test_a_home_that_is_a_file),
        cmocka_unit_test(test_without_a_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
