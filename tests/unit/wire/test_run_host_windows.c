/* The windows of a run, when others attach to it and when they become smaller. How they grow is in
 * test_window.c and test_window_ways.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

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

/* ---- kept ------------------------------------------------------------------------------------ */

enum { GONE_BELOW = 2, PAYLOAD_BYTES = 100 };

static bool bytes_before(const struct run_spool *spool, uint64_t seq, uint64_t bytes[2])
{
    (void)spool;
    bytes[STREAM_STDOUT] = seq * PAYLOAD_BYTES;
    bytes[STREAM_STDERR] = 0;
    return seq == 0 || seq >= GONE_BELOW;
}

static void open_kept(void)
{
    static const struct run_spool spool = {bytes_before};
    struct run_host_setup setup = first;
    setup.spool = &spool;
    setup.session = NULL;
    setup.window_bytes = 400;
    setup.stdin_credit = 1 << 20;
    setup.window_most = 16 << 20;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
    run_host_spooled(&host, 100);
}

static void fill(uint64_t end)
{
    uint8_t *room = NULL;
    size_t size = 0;
    while (output_log_end(host.log) < end) {
        assert_int_equal(output_log_reserve(host.log, &room, &size, NULL), AFAR_OK);
        assert_true(size >= PAYLOAD_BYTES);
        memset(room, 'x', PAYLOAD_BYTES);
        output_log_commit(host.log, STREAM_STDOUT, PAYLOAD_BYTES);
    }
}

static void send_all(void)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    while (run_host_peek(&host, s2, &data, &size))
        run_host_sent(&host, s2, size);
}

/* Everybody begins with the initial sizes; what is more belongs to the connection. */
static void test_kept_begin_anew(void **state)
{
    struct message_attached attached;
    struct run_host_input input;
    (void)state;
    open_kept();
    attach(0, 256 << 10); /* the least of all does not count here */
    assert_true(run_host_wants_clock(&host));
    attach(1, 4 << 20);
    run_host_tell(&host, &attached);
    assert_int_equal(attached.window_max, 4 << 20);
    run_host_set_window(&host, 4 << 20);
    run_host_set_credit(&host, 4 << 20);
    assert_int_equal(output_log_capacity(host.log), 4 << 20);

    attach(2, 4 << 20);
    assert_int_equal(output_log_capacity(host.log), 400);
    assert_int_equal(host.stdin_credit, 1 << 20);
    /* What was sent before under that credit comes again. */
    assert_int_equal(run_host_credit_in_use(&host), 4 << 20);
    assert_int_equal(run_host_stdin(&host, s2, 0, 4 << 20, false, &input, NULL), AFAR_OK);
    run_host_set_window(&host, 4 << 20);
    attach(3, 0);
    run_host_tell(&host, &attached);
    assert_int_equal(attached.window_max, 0);
    assert_int_equal(run_host_told_window(&host), 400);
    run_host_close(&host);
}

/* While nobody is there, it holds no more than the initial size, and no frame is lost. */
static void test_kept_and_away(void **state)
{
    const struct message_attach back = {.holder = "alice-0123456789",
                                        .attempt = 2,
                                        .resume = true,
                                        .has_next = true,
                                        .next = 5,
                                        .ack = 5,
                                        .has_next_bytes = true,
                                        .next_bytes = {5 * PAYLOAD_BYTES, 0},
                                        .window_max = 4 << 20};
    struct run_host_displaced displaced;
    bool resume = false;
    (void)state;
    open_kept();
    attach(0, 4 << 20);
    run_host_set_window(&host, 4 << 20);
    fill(10);
    send_all();
    assert_int_equal(run_host_ack(&host, s2, GONE_BELOW, &resume, NULL), AFAR_OK);
    assert_true(output_log_held(host.log) > 400);
    assert_int_equal(run_host_lost(&host, s2, 0), RUN_HOST_GOES_ON);
    assert_int_equal(output_log_capacity(host.log), 400);
    assert_int_equal(output_log_held(host.log), 0);
    assert_int_equal(output_log_first(host.log), GONE_BELOW);
    assert_int_equal(run_host_attach(&host, s2, 8, &back, &displaced), RUN_HOST_ATTACHED);
    assert_int_equal(output_log_end(host.log), 5);

    /* Taken over while the first one is there: likewise. */
    run_host_set_window(&host, 4 << 20);
    fill(20);
    send_all();
    struct message_attach over = back;
    over.holder[0] = 'b';
    over.resume = false;
    over.next = over.ack = 7;
    over.next_bytes[0] = 7 * PAYLOAD_BYTES;
    assert_int_equal(run_host_attach(&host, s1, 9, &over, &displaced), RUN_HOST_ATTACHED);
    assert_int_equal(output_log_end(host.log), 7);
    assert_int_equal(output_log_held(host.log), 0);
    run_host_close(&host);
}

/* Frames of a spool are as large as they are: the log is full where the next has no room. */
static void test_kept_is_full(void **state)
{
    (void)state;
    open_kept();
    run_host_clock(&host, 1000000);
    attach(0, 4 << 20);
    fill(2);
    send_all();
    assert_false(run_host_ask(&host));
    run_host_spool_waits(&host, true);
    assert_int_equal(run_host_attach(&host, s2, 8,
                                     &(struct message_attach){.holder = "alice-0123456789",
                                                              .attempt = 1,
                                                              .resume = true,
                                                              .has_next = true,
                                                              .window_max = 4 << 20},
                                     &(struct run_host_displaced){0}),
                     RUN_HOST_ATTACHED);
    send_all();
    assert_true(run_host_ask(&host));
    run_host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_of_who_attaches),
        cmocka_unit_test(test_credit_that_became_smaller),
        cmocka_unit_test(test_kept_begin_anew),
        cmocka_unit_test(test_kept_and_away),
        cmocka_unit_test(test_kept_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
