/* tests/run from outside: its summary says what failed, and make says what to do without a
 * compiler.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/program.h"

static char folder[] = "/tmp/afar-runner-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    /* Those of the run that this test is part of, and of the make above it. */
    static const char *const variables[] = {"RUN_ONE", "logs",    "SAN",       "VALGRIND",
                                            "JOBS",    "TIMEOUT", "MAKEFLAGS", "MAKELEVEL"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        (void)unsetenv(variables[i]);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct program remover;
    const char *argv[] = {"rm", "-rf", folder, NULL};
    (void)state;
    int status = program_run(&remover, argv, NULL, 0);
    program_close(&remover);
    return status;
}

static void write_script(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "#!/bin/sh\n%s", text) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

static int sh(struct program *program, const char *line)
{
    char command[1024];
    const char *argv[] = {"sh", "-c", command, NULL};
    (void)snprintf(command, sizeof command, "D=%s; export AFAR_BUILD=$D/build; %s", folder, line);
    return program_run(program, argv, NULL, 0);
}

static void the_summary_says_what_failed(void **state)
{
    (void)state;
    struct program program;
    write_script("test_good", "echo '[  PASSED  ] 3 test(s).'\n");
    write_script("test_bad", "echo '[  FAILED  ] first'\n"
                             "echo '[  PASSED  ] 1 test(s).'\n"
                             "echo '[  FAILED  ] 2 test(s), listed below:'\n"
                             "echo '[  FAILED  ] first'\necho '[  FAILED  ] second'\nexit 2\n");
    write_script("test_killed", "kill -9 $$\n");
    write_script("test_absent", "echo 'skipped: not here'\n");
    assert_int_equal(
        sh(&program, "tests/run $D/test_good $D/test_bad $D/test_killed $D/test_absent"), 1);
    const char *end = strstr(program.stdout_data, "failed: ");
    assert_non_null(end);
    assert_non_null(strstr(end, "test_bad: first second (log: "));
    assert_non_null(strstr(end, "test_killed (log: "));
    assert_null(strstr(end, "test_good"));
    assert_null(strstr(end, "test_absent"));
    /* The counts stay the last line. */
    const char *last = strstr(end, "\n4 passed, 3 failed, 1 skipped\n");
    assert_non_null(last);
    assert_string_equal(last, "\n4 passed, 3 failed, 1 skipped\n");
    program_close(&program);

    assert_int_equal(sh(&program, "tests/run $D/test_good"), 0);
    assert_null(strstr(program.stdout_data, "failed: "));
    program_close(&program);
}

static void make_without_a_compiler(void **state)
{
    (void)state;
    struct program program;
    assert_int_not_equal(sh(&program, "make -s CC=no-such-compiler B=$D/b 2>&1"), 0);
    const char first[] = "There is no C compiler 'no-such-compiler': 'make deps'";
    if (strncmp(program.stdout_data, first, sizeof first - 1) != 0)
        fail_msg("%s", program.stdout_data);
    program_close(&program);
    /* What installs the compiler does not complain before that. */
    assert_int_equal(sh(&program, "make -n CC=no-such-compiler deps 2>&1 >/dev/null"), 0);
    assert_string_equal(program.stdout_data, "");
    program_close(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_summary_says_what_failed),
        cmocka_unit_test(make_without_a_compiler),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
