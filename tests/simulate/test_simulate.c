/* A short run of the simulation; and each planted fault, which it must find. `make simulate` is the
 * long one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "simulate/runner.h"

enum { SCHEDULES = 2000, SCHEDULES_FOR_A_FAULT = 20000, PROCESSES = 2 };

static void test_everything_holds(void **state)
{
    (void)state;
    const struct runner_options options = {.schedules = SCHEDULES, .processes = PROCESSES};
    struct runner_result result;
    runner_run(&options, &result);
    if (result.failed)
        fail_msg("%s (simulate --trace %llu)", result.problem, (unsigned long long)result.seed);
    assert_int_equal(result.done, SCHEDULES);
}

static void test_every_fault_is_found(void **state)
{
    (void)state;
    for (int fault = FAULT_NONE + 1; fault < FAULTS; fault++) {
        const struct runner_options options = {
            .schedules = SCHEDULES_FOR_A_FAULT, .processes = PROCESSES, .fault = (enum fault)fault};
        struct runner_result result;
        runner_run(&options, &result);
        if (!result.failed)
            fail_msg("%s is not found", fault_name(options.fault));
        printf("%s: found by schedule %llu: %s\n", fault_name(options.fault),
               (unsigned long long)result.seed + 1, result.problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_holds),
        cmocka_unit_test(test_every_fault_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
