/* The windows of a run, when others attach to it and when they become smaller. How they grow is in
 * test_window.c and test_window_ways.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/run_host.h"

static struct run_host host;
static const int sessions[2];
static const void *const s1 = &sessions[0];
static const void *const s2 = &sessions[1];

static const struct run_host_setup first = {.holder = "alice-0123456789",
                                            .resume_ms = 60000,
                                            .stdin_stream = true,
                                            .stdin_credit = 100,
                                            .window_bytes = 4096,
                                            .session = &sessions[0],
                                            .id = 7};

static void attach(uint64_t attempt, uint64_t window_max)
{
    struct run_host_displaced displaced;
    const struct message_attach attach = {.holder = "alice-0123456789",
                                          .attempt = attempt,
                                          .resume = true,
                                          .has_next = true,
                                          .window_max = window_max};
    assert_int_equal(run_host_attach(&host, s2, 8, &attach, &displaced), RUN_HOST_ATTACHED);
}

/* Who attaches is told what it can hold; and who knows of no growing windows what it is, for good. */
static void test_windows_of_who_attaches(void **state)
{
    (void)state;
    struct run_host_setup setup = first;
    struct message_attached attached;
    setup.window_bytes = 400;
    setup.stdin_credit = 1 << 20;
    setup.window_max = 4 << 20;
    setup.window_most = 16 << 20;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
    assert_true(run_host_wants_clock(&host) && run_host_told_credit(&host) == 0);
    run_host_set_window(&host, 4 << 20);
    run_host_set_credit(&host, 4 << 20);
    assert_int_equal(output_log_capacity(host.log), 4 << 20);
    assert_int_equal(run_host_told_window(&host), 400); /* by which it acknowledges */
    assert_int_equal(run_host_told_credit(&host), 4 << 20);
    assert_int_equal(run_host_window_in_use(&host), 4 << 20);

    attach(1, 2 << 20);
    run_host_tell(&host, &attached);
    assert_int_equal(attached.window_max, 2 << 20);
    assert_int_equal(output_log_capacity(host.log), 2 << 20);
    assert_int_equal(host.stdin_credit, 2 << 20);
    /* What was told before may be used still. */
    assert_int_equal(run_host_credit_in_use(&host), 4 << 20);

    attach(2, 0);
    run_host_tell(&host, &attached);
    assert_int_equal(attached.window_max, 0);
    assert_int_equal(run_host_told_window(&host), 2 << 20);
    run_host_set_window(&host, 0);
    run_host_set_credit(&host, 0);
    assert_true(run_host_told_window(&host) == 2 << 20 && host.stdin_credit == 2 << 20);
    assert_true(!run_host_wants_clock(&host) && run_host_told_credit(&host) == 0);
    run_host_close(&host);
}

/* What is told of a credit is held against nobody who used it in time. */
static void test_credit_that_became_smaller(void **state)
{
    (void)state;
    struct run_host_setup setup = first;
    struct run_host_input input;
    setup.window_max = setup.window_most = 4 << 20;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
    run_host_set_credit(&host, 300);
    run_host_set_credit(&host, 100);
    assert_int_equal(run_host_stdin(&host, s1, 0, 300, false, &input, NULL), AFAR_OK);
    assert_int_equal(run_host_stdin(&host, s1, 300, 1, false, &input, NULL), AFAR_EPEER);
    run_host_stdin_taken(&host, 300);
    run_host_stdin_acked(&host, 300);
    assert_int_equal(run_host_credit_in_use(&host), 100);
    run_host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_of_who_attaches),
        cmocka_unit_test(test_credit_that_became_smaller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
