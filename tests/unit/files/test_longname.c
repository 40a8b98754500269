#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files/internal.h"

static void test_lines(void **state)
{
    (void)state;
    char line[128];
    const struct stat file = {.st_mode = S_IFREG | 0644,
                              .st_nlink = 1,
                              .st_uid = 1000,
                              .st_gid = 100,
                              .st_size = 1234,
                              .st_mtim.tv_sec = 1000000000};
    struct stat odd = file;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    longname_format(&file, "name", 1000000060, line, sizeof line);
    assert_string_equal(line, "-rw-r--r--    1 1000     100          1234 Sep  9 01:46 name");
    longname_format(&file, "name", 1100000000, line, sizeof line);
    assert_string_equal(line, "-rw-r--r--    1 1000     100          1234 Sep  9  2001 name");
    /* From the future too. */
    longname_format(&file, "name", 999999999, line, sizeof line);
    assert_string_equal(line, "-rw-r--r--    1 1000     100          1234 Sep  9  2001 name");
    odd.st_mode = S_IFDIR | 07751;
    longname_format(&odd, "d", 1000000060, line, sizeof line);
    assert_memory_equal(line, "drwsr-s--t ", 11);
    odd.st_mode = S_IFLNK | 07000;
    longname_format(&odd, "l", 1000000060, line, sizeof line);
    assert_memory_equal(line, "l--S--S--T ", 11);
}

/* Cut, and never beyond its end. */
static void test_short_of_room(void **state)
{
    (void)state;
    const struct stat file = {.st_mode = S_IFREG | 0644, .st_size = INT64_MAX};
    char line[100];
    for (size_t size = 1; size < 90; size++) {
        memset(line, 'x', sizeof line);
        longname_format(&file, "a-name-of-some-length", 0, line, size);
        assert_true(strlen(line) < size);
        assert_int_equal(line[size], 'x');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_short_of_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
