#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/partial.h"
#include "support/folder.h"

static const uint8_t tag[PARTIAL_TAG_BYTES] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

static void test_name_fits_in_a_directory(void **state)
{
    (void)state;
    char name[PARTIAL_NAME_BYTES];
    char out[PARTIAL_NAME_BYTES];
    partial_name("a", tag, out);
    assert_string_equal(out, ".a.afar-0123456789abcdef");
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    partial_name(name, tag, out);
    assert_int_equal(strlen(out), 255);
    assert_string_equal(out + 255 - 22, ".afar-0123456789abcdef");
}

static int make(int dir, const char *name, time_t written)
{
    const struct timespec times[2] = {{.tv_sec = written}, {.tv_sec = written}};
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(futimens(fd, times), 0);
    return fd;
}

static void count(void *user, const char *partial)
{
    unsigned *removed = user;
    assert_non_null(strstr(partial, ".a.afar-"));
    (*removed)++;
}

static void test_only_what_was_left_is_removed(void **state)
{
    (void)state;
    enum { NOW = 1000000 };
    char path[] = "/tmp/afar-partial-XXXXXX";
    unsigned removed = 0;
    assert_non_null(mkdtemp(path));
    int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    static const char *const old[] = {".a.afar-0123456789abcdef", ".a.afar-1123456789abcdef",
                                      ".b.afar-0123456789abcdef", ".a.afar-0123456789abcdef0",
                                      "a.afar-0123456789abcdef",  ".a.afar-0123456789abcdeg"};
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++)
        (void)close(make(dir, old[i], NOW - PARTIAL_OLD_SECONDS - 1));
    (void)close(make(dir, ".a.afar-2123456789abcdef", NOW - PARTIAL_OLD_SECONDS + 1));
    int locked = make(dir, ".a.afar-3123456789abcdef", 1);
    assert_int_equal(flock(locked, LOCK_EX), 0);
    (void)close(make(dir, ".a.afar-4123456789abcdef", 1));
    assert_int_equal(linkat(dir, ".a.afar-4123456789abcdef", dir, "linked", 0), 0);
    assert_int_equal(symlinkat("linked", dir, ".a.afar-5123456789abcdef"), 0);
    partial_sweep(dir, "a", NOW, count, &removed);
    assert_int_equal(removed, 2);
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++)
        assert_int_equal(faccessat(dir, old[i], F_OK, 0), i < 2 ? -1 : 0);
    assert_int_equal(faccessat(dir, ".a.afar-2123456789abcdef", F_OK, 0), 0);
    assert_int_equal(faccessat(dir, ".a.afar-3123456789abcdef", F_OK, 0), 0);
    assert_int_equal(faccessat(dir, ".a.afar-4123456789abcdef", F_OK, 0), 0);
    assert_int_equal(faccessat(dir, ".a.afar-5123456789abcdef", F_OK, 0), 0);
    (void)close(locked);
    partial_sweep(dir, "a", NOW, NULL, NULL);
    assert_int_equal(faccessat(dir, ".a.afar-3123456789abcdef", F_OK, 0), -1);
    (void)close(dir);
    assert_int_equal(folder_remove(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_fits_in_a_directory),
        cmocka_unit_test(test_only_what_was_left_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
