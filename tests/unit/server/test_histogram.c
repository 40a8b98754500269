#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/metrics.h"

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

static void test_text(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    char *text = NULL;
    size_t size = 0;
    histogram_add(&histogram, 100);
    histogram_add(&histogram, 400);
    histogram_add(&histogram, 7200 * INT64_C(1000000));
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    metrics_write_histogram(out, "x_seconds", "What x takes.", &histogram);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "# HELP x_seconds What x takes.\n"
                              "# TYPE x_seconds histogram\n"
                              "x_seconds_bucket{le=\"0.0001\"} 1\n"
                              "x_seconds_bucket{le=\"0.0005\"} 2\n"
                              "x_seconds_bucket{le=\"0.001\"} 2\n"
                              "x_seconds_bucket{le=\"0.005\"} 2\n"
                              "x_seconds_bucket{le=\"0.01\"} 2\n"
                              "x_seconds_bucket{le=\"0.05\"} 2\n"
                              "x_seconds_bucket{le=\"0.1\"} 2\n"
                              "x_seconds_bucket{le=\"0.5\"} 2\n"
                              "x_seconds_bucket{le=\"1\"} 2\n"
                              "x_seconds_bucket{le=\"5\"} 2\n"
                              "x_seconds_bucket{le=\"30\"} 2\n"
                              "x_seconds_bucket{le=\"300\"} 2\n"
                              "x_seconds_bucket{le=\"3600\"} 2\n"
                              "x_seconds_bucket{le=\"+Inf\"} 3\n"
                              "x_seconds_sum 7200.000500\n"
                              "x_seconds_count 3\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
