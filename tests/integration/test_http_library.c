/* libmicrohttpd is loaded by --http alone, and where it is missing that is said. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/program.h"

static void expect_text(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL)
        fail_msg("'%s' is not in: %s", wanted, text);
}

/* What ldd(1) prints: the program's own libraries, and theirs. */
static void not_loaded_without_http(void **state)
{
    (void)state;
    static const char *const trace[] = {"LD_TRACE_LOADED_OBJECTS=1", NULL};
    const char *argv[] = {"afard", "--version", NULL};
    struct program afard;
    program_start(&afard, argv, trace);
    program_finish(&afard, NULL, 0);
    expect_text(afard.stdout_data, "libcrypto");
    assert_null(strstr(afard.stdout_data, "libmicrohttpd"));
    assert_null(strstr(afard.stdout_data, "libgnutls"));
    program_close(&afard);
}

/* A file of that name that is no library stands for one that is not there. */
static void missing_with_http(void **state)
{
    (void)state;
    char folder[] = "/tmp/afar-library-XXXXXX";
    char file[sizeof folder + 32];
    char path[sizeof folder + 32];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(file, sizeof file, "%s/libmicrohttpd.so.12", folder);
    (void)snprintf(path, sizeof path, "LD_LIBRARY_PATH=%s", folder);
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);

    const char *const environment[] = {path, NULL};
    const char *argv[] = {"afard",  "--listen",          "tcp://127.0.0.1:0",
                          "--http", "tcp://127.0.0.1:0", NULL};
    struct program afard;
    program_start(&afard, argv, environment);
    program_finish(&afard, NULL, 0);
    assert_int_equal(program_exit_status(&afard), 1);
    expect_text(afard.stderr_data, "http: cannot load libmicrohttpd.so.12");
    expect_text(afard.stderr_data, "install it (on Debian and Ubuntu: libmicrohttpd12");
    program_close(&afard);
    (void)folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_loaded_without_http),
        cmocka_unit_test(missing_with_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
