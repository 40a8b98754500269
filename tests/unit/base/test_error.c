#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/error.h"

static void test_fail_fills_everything(void **state)
{
    (void)state;
    struct afar_error err;
    memset(&err, 0xA5, sizeof err);
    assert_int_equal(afar_fail(&err, AFAR_EPEER, "%d of %s", 7, "x"), AFAR_EPEER);
    assert_int_equal(err.code, AFAR_EPEER);
    assert_int_equal(err.sys_errno, 0);
    assert_string_equal(err.reason, "");
    assert_string_equal(err.message, "7 of x");
}

static void test_null_error_still_returns_the_code(void **state)
{
    (void)state;
    assert_int_equal(afar_fail(NULL, AFAR_ELIMIT, "x"), AFAR_ELIMIT);
    assert_int_equal(afar_fail_errno(NULL, ENOENT, "x"), AFAR_ESYSTEM);
    assert_int_equal(afar_fail_errno(NULL, ENOMEM, "x"), AFAR_ENOMEM);
    assert_int_equal(afar_prefix(NULL, "x"), AFAR_EBUG);
}

static void test_errno_is_kept_and_described(void **state)
{
    (void)state;
    struct afar_error err;
    assert_int_equal(afar_fail_errno(&err, ENOENT, "cannot open %s", "f"), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_string_equal(err.message, "cannot open f: No such file or directory");
    assert_int_equal(afar_fail_errno(&err, ENOMEM, "x"), AFAR_ENOMEM);
    assert_int_equal(err.code, AFAR_ENOMEM);
    assert_int_equal(err.sys_errno, ENOMEM);
}

static void test_long_messages_are_cut(void **state)
{
    (void)state;
    struct afar_error err;
    char text[2 * AFAR_ERROR_MESSAGE_BYTES];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    (void)afar_fail(&err, AFAR_EPEER, "%s", text);
    assert_int_equal(strlen(err.message), AFAR_ERROR_MESSAGE_BYTES - 1);
    (void)afar_prefix(&err, "p");
    assert_int_equal(strlen(err.message), AFAR_ERROR_MESSAGE_BYTES - 1);
    assert_memory_equal(err.message, "p: aaa", 6);
    (void)afar_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), AFAR_ERROR_MESSAGE_BYTES - 1);
    (void)afar_fail_errno(&err, ENOENT, "%s", text);
    assert_int_equal(strlen(err.message), AFAR_ERROR_MESSAGE_BYTES - 1);
}

static void test_prefix_keeps_the_rest(void **state)
{
    (void)state;
    struct afar_error err;
    (void)afar_fail_errno(&err, EACCES, "open");
    assert_int_equal(afar_prefix(&err, "line %d", 3), AFAR_ESYSTEM);
    assert_string_equal(err.message, "line 3: open: Permission denied");
    assert_int_equal(err.sys_errno, EACCES);
}

static void test_errno_names(void **state)
{
    (void)state;
    char space[24];
    assert_string_equal(errno_name(ENOENT, space), "ENOENT");
    assert_string_equal(errno_name(EAGAIN, space), "EAGAIN");
    assert_string_equal(errno_name(54321, space), "E54321");
    assert_string_equal(errno_name(INT32_MIN, space), "E-2147483648");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_fills_everything),
        cmocka_unit_test(test_null_error_still_returns_the_code),
        cmocka_unit_test(test_errno_is_kept_and_described),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_prefix_keeps_the_rest),
        cmocka_unit_test(test_errno_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
