#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "files/internal.h"

static void test_absolute(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"/", "/"},           {"//", "/"},
                                           {"/..", "/"},         {"/../../a", "/a"},
                                           {"/a/./b", "/a/b"},   {"/a//b/", "/a/b"},
                                           {"/a/../b", "/b"},    {"/a/b/../..", "/"},
                                           {"/...", "/..."},     {"/..a/.b", "/..a/.b"},
                                           {"/a/..b", "/a/..b"}, {"/a/b/c/../../d", "/a/d"},
                                           {"", "/usr/bin"},     {".", "/usr/bin"},
                                           {"..", "/usr"},       {"../../../x", "/x"},
                                           {"a", "/usr/bin/a"}};
    char out[SFTP_PATH_MAX_BYTES];
    assert_int_equal(chdir("/usr/bin"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(path_absolute(cases[i][0], out));
        assert_string_equal(out, cases[i][1]);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    char path[SFTP_PATH_MAX_BYTES + 8];
    char out[SFTP_PATH_MAX_BYTES];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[SFTP_PATH_MAX_BYTES - 1] = '\0';
    assert_true(path_absolute(path, out));
    assert_string_equal(out, path);
    path[SFTP_PATH_MAX_BYTES - 1] = 'a';
    path[SFTP_PATH_MAX_BYTES] = '\0';
    assert_false(path_absolute(path, out));
    assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absolute),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
