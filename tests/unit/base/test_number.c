#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/number.h"

static void assert_refused(const char *text, uint64_t min, uint64_t max)
{
    struct afar_error err;
    uint64_t value = 42;
    assert_int_equal(number_parse(text, min, max, &value, &err), AFAR_EINVAL);
    assert_int_equal(value, 42);
}

static void assert_number(const char *text, uint64_t min, uint64_t max, uint64_t expected)
{
    uint64_t value = 42;
    assert_int_equal(number_parse(text, min, max, &value, NULL), AFAR_OK);
    assert_true(value == expected);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_number("0", 0, 10, 0);
    assert_number("10", 0, 10, 10);
    assert_number("007", 0, 10, 7);
    assert_number("18446744073709551615", 0, UINT64_MAX, UINT64_MAX);
    assert_number("00000000000000000000000001", 0, 10, 1);
}

static void test_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",    " 1",  "1 ", "+1", "-1",  "1.0",
                               "1e2", "0x1", "1a", "a1", "1\n", "\xEF\xBC\x91"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i], 0, UINT64_MAX);
    assert_refused("11", 0, 10);
    assert_refused("1", 2, 10);
    assert_refused("18446744073709551616", 0, UINT64_MAX);
    assert_refused("18446744073709551625", 0, UINT64_MAX);
    assert_refused("184467440737095516150", 0, UINT64_MAX);
    assert_refused("99999999999999999999999999", 0, UINT64_MAX);
}

static void test_error_names_text_and_range(void **state)
{
    (void)state;
    struct afar_error err;
    uint64_t value = 0;
    (void)number_parse("many", 1, 1024, &value, &err);
    assert_string_equal(err.message, "'many' is not a whole number from 1 to 1024");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_error_names_text_and_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
