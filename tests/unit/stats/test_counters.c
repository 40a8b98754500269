#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "stats/counters.h"

static void each_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTERS; i++) {
        assert_non_null(counter_name((enum counter)i));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(counter_name((enum counter)i), counter_name((enum counter)j));
    }
}

static void those_that_counted_are_shown(void **state)
{
    (void)state;
    static struct counters counters;
    char text[1200];
    char small[20];
    counters_format(&counters, text, sizeof text);
    assert_string_equal(text, "");
    counters_count(&counters, COUNTER_CONNECTIONS);
    counters_count(&counters, COUNTER_JOBS);
    counters_count(&counters, COUNTER_JOBS);
    assert_int_equal(counters_get(&counters, COUNTER_JOBS), 2);
    counters_format(&counters, text, sizeof text);
    assert_string_equal(text, "connections=1 jobs=2");
    counters_format(&counters, small, sizeof small); /* whole ones, as many as fit */
    assert_string_equal(small, "connections=1");
    for (int i = 0; i < COUNTERS; i++) {
        for (int j = 0; j < 100; j++)
            counters_count(&counters, (enum counter)i);
    }
    counters_format(&counters, text, sizeof text);
    assert_non_null(strstr(text, "reloads_failed=100")); /* the last one still fits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_a_name_of_its_own),
        cmocka_unit_test(those_that_counted_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
