#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "base/clock.h"

static void test_time_goes_forward(void **state)
{
    (void)state;
    int64_t before_ms = clock_now_ms();
    int64_t us = clock_now_us();
    assert_true(before_ms >= 0);
    assert_true(us >= before_ms * 1000);
    assert_true(clock_now_us() >= us);
}

static void test_deadlines(void **state)
{
    (void)state;
    assert_true(clock_deadline_ms(0) == DEADLINE_NEVER);
    assert_true(clock_deadline_ms(-1) == DEADLINE_NEVER);
    assert_true(clock_deadline_ms(INT64_MIN) == DEADLINE_NEVER);
    assert_true(clock_deadline_ms(INT64_MAX) == DEADLINE_NEVER);
    int64_t before_ms = clock_now_ms();
    int64_t deadline_ms = clock_deadline_ms(5000);
    int64_t after_ms = clock_now_ms();
    assert_true(deadline_ms >= before_ms + 5000 && deadline_ms <= after_ms + 5000);
}

static void test_poll_timeouts(void **state)
{
    (void)state;
    assert_int_equal(clock_poll_timeout(DEADLINE_NEVER), -1);
    assert_int_equal(clock_poll_timeout(0), 0);
    assert_int_equal(clock_poll_timeout(-5), 0);
    assert_int_equal(clock_poll_timeout(INT64_MIN), 0);
    assert_int_equal(clock_poll_timeout(clock_now_ms()), 0);
    assert_int_equal(clock_poll_timeout(DEADLINE_NEVER - 1), INT_MAX);
    int timeout_ms = clock_poll_timeout(clock_now_ms() + 3600000);
    assert_true(timeout_ms > 0 && timeout_ms <= 3600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_goes_forward),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_poll_timeouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
