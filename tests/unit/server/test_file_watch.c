#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/file_watch.h"

static char folder[64];
static char file[80];
static char link_to[80];
static const char *paths[FILE_WATCH_MAX];
static struct file_watch watch;

static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-watch-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(file, sizeof file, "%s/file", folder);
    (void)snprintf(link_to, sizeof link_to, "%s/link", folder);
    put(file, "one");
    if (symlink("file", link_to) != 0)
        return -1;
    paths[0] = link_to;
    paths[1] = NULL;
    paths[2] = "/nonexistent/file";
    paths[3] = file;
    file_watch_note(&watch, paths);
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(file);
    (void)unlink(link_to);
    return rmdir(folder);
}

/* It is said once, and not before two looks agree. */
static void expect_change(void)
{
    assert_int_equal(file_watch_look(&watch, paths), FILE_WATCH_CHANGING);
    assert_int_equal(file_watch_look(&watch, paths), FILE_WATCH_CHANGED);
    assert_int_equal(file_watch_look(&watch, paths), FILE_WATCH_SAME);
}

static void nothing_happens(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(file_watch_look(&watch, paths), FILE_WATCH_SAME);
}

static void each_sort_of_change(void **state)
{
    (void)state;
    put(file, "longer");
    expect_change();
    assert_int_equal(chmod(file, 0600), 0); /* what could not be read may be readable now */
    expect_change();
    assert_int_equal(unlink(file), 0);
    expect_change();
    put(file, "again");
    expect_change();
}

static void a_link_is_swapped(void **state)
{
    (void)state;
    char other[80];
    char next[80];
    (void)snprintf(other, sizeof other, "%s/other", folder);
    (void)snprintf(next, sizeof next, "%s/next", folder);
    put(other, "one");
    paths[3] = NULL;
    file_watch_note(&watch, paths);
    assert_int_equal(symlink("other", next), 0);
    assert_int_equal(rename(next, link_to), 0);
    expect_change();
    assert_int_equal(unlink(other), 0);
}

static void whoever_writes_is_waited_for(void **state)
{
    (void)state;
    put(file, "half");
    assert_int_equal(file_watch_look(&watch, paths), FILE_WATCH_CHANGING);
    put(file, "and the rest");
    expect_change();
}

static void back_again_is_no_change(void **state)
{
    (void)state;
    paths[3] = NULL;
    file_watch_note(&watch, paths);
    assert_int_equal(unlink(link_to), 0);
    assert_int_equal(file_watch_look(&watch, paths), FILE_WATCH_CHANGING);
    assert_int_equal(symlink("file", link_to), 0);
    assert_int_equal(file_watch_look(&watch, paths), FILE_WATCH_SAME);
    assert_int_equal(file_watch_look(&watch, paths), FILE_WATCH_SAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_happens, begin, end),
        cmocka_unit_test_setup_teardown(each_sort_of_change, begin, end),
        cmocka_unit_test_setup_teardown(a_link_is_swapped, begin, end),
        cmocka_unit_test_setup_teardown(whoever_writes_is_waited_for, begin, end),
        cmocka_unit_test_setup_teardown(back_again_is_no_change, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
