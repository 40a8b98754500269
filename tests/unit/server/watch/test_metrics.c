#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "server/watch/metrics.h"

static void test_histogram(void **state)
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
        cmocka_unit_test(test_histogram),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
