#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stats/histogram.h"

static unsigned long long count(const struct histogram *histogram, size_t which)
{
    return atomic_load(&histogram->count[which]);
}

static void test_classes(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    for (size_t i = 0; i + 1 < HISTOGRAM_CLASSES; i++) {
        int64_t bound_us = histogram_bound_us(i);
        assert_true(i == 0 || bound_us > histogram_bound_us(i - 1));
        histogram_add(&histogram, bound_us); /* it belongs below its bound */
        histogram_add(&histogram, bound_us + 1);
    }
    assert_int_equal(count(&histogram, 0), 1);
    for (size_t i = 1; i + 1 < HISTOGRAM_CLASSES; i++)
        assert_int_equal(count(&histogram, i), 2);
    assert_int_equal(count(&histogram, HISTOGRAM_CLASSES - 1), 1);
}

static void test_extremes(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    histogram_add(&histogram, 0);
    histogram_add(&histogram, -5);
    histogram_add(&histogram, INT64_MIN);
    assert_int_equal(count(&histogram, 0), 3);
    assert_int_equal(atomic_load(&histogram.sum_us), 0);
    histogram_add(&histogram, INT64_MAX);
    assert_int_equal(count(&histogram, HISTOGRAM_CLASSES - 1), 1);
    assert_true(atomic_load(&histogram.sum_us) == INT64_MAX);
}

static void test_merge(void **state)
{
    (void)state;
    struct histogram one = {0};
    struct histogram two = {0};
    histogram_add(&one, 50);
    histogram_add(&two, 70);
    histogram_add(&two, 2000000);
    histogram_merge(&one, &two);
    assert_int_equal(count(&one, 0), 2);
    assert_int_equal(atomic_load(&one.sum_us), 2000120);
    assert_int_equal(count(&two, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
