#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/window.h"

enum { MIB = 1 << 20, MS = 1000 };

static struct windows windows;

static void begin(size_t most_bytes)
{
    windows_open(&windows, 2 * MIB, MIB, most_bytes);
    windows_begin(&windows, true);
    windows.now_us = 1000 * MS;
}

static void ping(int64_t took_us)
{
    const int64_t then_us = windows.now_us;
    windows.path = WINDOWS_WANT_PING;
    assert_true(windows_ask(&windows));
    windows.now_us += took_us;
    windows_answered(&windows);
    windows.now_us = then_us;
}

/* What it comes to when a full window takes so long to come back, by a clock of its own. */
struct step {
    const char *name;
    int64_t ping_us;
    int64_t first_us; /* something comes back */
    int64_t took_us;  /* three quarters have */
    size_t bytes;
    size_t most_bytes;
    size_t wants;
};

static void test_one_window(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"all at once, as fast as a ping", 100 * MS, 100 * MS, 101 * MS, 2 * MIB, 16 * MIB,
         8 * MIB},
        {"no more than the most", 100 * MS, 100 * MS, 101 * MS, 8 * MIB, 16 * MIB, 16 * MIB},
        {"a quarter later", 100 * MS, 100 * MS, 126 * MS, 2 * MIB, 16 * MIB, 4 * MIB},
        {"bit by bit", 100 * MS, 10 * MS, 110 * MS, 2 * MIB, 16 * MIB, 4 * MIB},
        {"within twice", 100 * MS, 100 * MS, 200 * MS, 2 * MIB, 16 * MIB, 4 * MIB},
        {"later than that", 100 * MS, 100 * MS, 201 * MS, 2 * MIB, 16 * MIB, 2 * MIB},
        {"very slow: it shrinks", 100 * MS, 100 * MS, 801 * MS, 8 * MIB, 16 * MIB, 4 * MIB},
        {"never below the first", 100 * MS, 100 * MS, 801 * MS, 2 * MIB, 16 * MIB, 2 * MIB},
        {"as large as may be", 100 * MS, 100 * MS, 101 * MS, 16 * MIB, 16 * MIB, 16 * MIB},
        {"it does not grow", 100 * MS, 100 * MS, 101 * MS, 2 * MIB, 0, 2 * MIB},
        {"near", 4900, 4900, 4950, 2 * MIB, 16 * MIB, 2 * MIB},
        {"not quite near", 5000, 5000, 5000, 2 * MIB, 16 * MIB, 8 * MIB},
        /* An acknowledgement that is faster than the ping is the better measure. */
        {"a ping behind much else", 900 * MS, 10 * MS, 300 * MS, 2 * MIB, 16 * MIB, 2 * MIB},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const struct step *step = &steps[i];
        begin(step->most_bytes);
        window_set(&windows.out, step->bytes);
        const uint64_t bytes = step->bytes;
        if (step->ping_us > step->took_us) /* a frame's time is known besides */
            windows_sent(&windows, 0, bytes / 8, false);
        windows_sent(&windows, 0, bytes, true);
        ping(step->ping_us);
        windows.now_us += step->first_us;
        windows_acked(&windows, bytes / 8);
        assert_int_equal(window_wants(&windows, &windows.out), bytes);
        windows.now_us += step->took_us - step->first_us;
        windows_acked(&windows, bytes - bytes / 4);
        print_message("%s\n", step->name);
        assert_int_equal(window_wants(&windows, &windows.out), step->wants);
        assert_int_equal(window_wants(&windows, &windows.out), bytes); /* once */
    }
}

/* It may come behind the acknowledgements: then it decides. */
static void test_nothing_grows_before_the_pong(void **state)
{
    (void)state;
    begin(16 * MIB);
    assert_false(windows_ask(&windows));
    windows_sent(&windows, 0, 2 * MIB, true);
    assert_true(windows_ask(&windows));
    assert_false(windows_ask(&windows));
    windows.now_us += 100 * MS;
    windows_acked(&windows, 2 * MIB);
    assert_int_equal(window_wants(&windows, &windows.out), 2 * MIB);
    windows.now_us += 1 * MS;
    windows_answered(&windows);
    assert_int_equal(window_wants(&windows, &windows.out), 8 * MIB);
    windows.now_us += 1 * MS;
    windows_answered(&windows); /* of nothing */
    assert_int_equal(windows.best_us, 100 * MS);
}

/* The client waits before it acknowledges, as clients do for 20 ms, and then it is known that it is
 * near. */
static void test_what_the_client_waits_is_no_distance(void **state)
{
    (void)state;
    begin(16 * MIB);
    windows_sent(&windows, 0, 2 * MIB, true);
    assert_true(windows_ask(&windows));
    windows.now_us += 200;
    windows_answered(&windows);
    windows.now_us += 20 * MS;
    windows_acked(&windows, 2 * MIB);
    assert_int_equal(window_wants(&windows, &windows.out), 2 * MIB);
    assert_false(windows_are_far(&windows));
}

static void test_not_full_is_no_reason(void **state)
{
    (void)state;
    begin(16 * MIB);
    ping(100 * MS);
    windows_sent(&windows, 0, 2 * MIB - 1000, false);
    windows.now_us += 100 * MS;
    windows_acked(&windows, 2 * MIB - 1000);
    assert_int_equal(window_wants(&windows, &windows.out), 2 * MIB);
}

/* On another connection nothing is known of the way. */
static void test_another_connection(void **state)
{
    (void)state;
    begin(16 * MIB);
    ping(100 * MS);
    assert_true(windows_are_far(&windows));
    windows_sent(&windows, 0, 2 * MIB, true);
    windows_begin(&windows, true);
    assert_false(windows_are_far(&windows));
    windows_acked(&windows, 2 * MIB);
    assert_int_equal(window_wants(&windows, &windows.out), 2 * MIB);
    windows_sent(&windows, 2 * MIB, 2 * MIB, true);
    assert_true(windows_ask(&windows));

    /* And of one whose client knows nothing of this, nothing is asked. */
    windows_begin(&windows, false);
    windows_sent(&windows, 4 * MIB, 2 * MIB, true);
    windows_granted(&windows, MIB, true, 2 * MIB);
    assert_false(windows_ask(&windows));
}

static void test_without_a_clock(void **state)
{
    (void)state;
    begin(16 * MIB);
    windows.now_us = 0;
    windows_sent(&windows, 0, 2 * MIB, true);
    windows_granted(&windows, MIB, true, 2 * MIB);
    assert_false(windows_ask(&windows));
}

/* ---- input ----------------------------------------------------------------------------------- */

struct input {
    const char *name;
    bool waits_then;  /* the command has taken all when the ack goes */
    int64_t gap_us;   /* nothing comes for so long */
    int64_t took_us;  /* what only the ack allows has come, and has been taken */
    bool waits_still; /* it has taken all when the first of it comes */
    size_t wants;
};

static void test_input(void **state)
{
    (void)state;
    static const struct input inputs[] = {
        {"all at once", true, 100 * MS, 101 * MS, true, 4 * MIB},
        {"a little later", true, 100 * MS, 150 * MS, true, 2 * MIB},
        {"much later", true, 100 * MS, 201 * MS, true, MIB},
        {"bit by bit", true, 20 * MS, 101 * MS, true, MIB},
        {"the command has enough", false, 100 * MS, 101 * MS, true, MIB},
        {"it still has", true, 100 * MS, 101 * MS, false, MIB},
    };
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        const struct input *input = &inputs[i];
        begin(16 * MIB);
        ping(100 * MS);
        windows_received(&windows, true);
        windows_granted(&windows, MIB, input->waits_then, 2 * MIB);
        windows.now_us += input->gap_us;
        windows_received(&windows, input->waits_still);
        windows.now_us += input->took_us - input->gap_us;
        windows_received(&windows, false);
        windows_taken(&windows, 2 * MIB - MIB / 2 - 1);
        assert_int_equal(window_wants(&windows, &windows.in), MIB);
        windows_taken(&windows, 2 * MIB - MIB / 2);
        print_message("%s\n", input->name);
        assert_int_equal(window_wants(&windows, &windows.in), input->wants);
    }
}

/* A command that has always found its next input there for four round trips needs less. */
static void test_input_shrinks(void **state)
{
    (void)state;
    begin(16 * MIB);
    ping(100 * MS);
    window_set(&windows.in, 16 * MIB);
    windows_received(&windows, true);
    windows.now_us += 400 * MS;
    windows_granted(&windows, MIB, false, 17 * MIB);
    assert_int_equal(window_wants(&windows, &windows.in), 16 * MIB);
    windows.now_us += 1;
    windows_granted(&windows, MIB, false, 17 * MIB);
    assert_int_equal(window_wants(&windows, &windows.in), 8 * MIB);
    windows_granted(&windows, MIB, false, 17 * MIB);
    window_set(&windows.in, 8 * MIB);
    assert_int_equal(window_wants(&windows, &windows.in), 8 * MIB);
}

static void test_little_input_asks_nothing(void **state)
{
    (void)state;
    begin(16 * MIB);
    windows_granted(&windows, 100000, true, MIB + 100000);
    assert_false(windows_ask(&windows));
    windows_granted(&windows, 200000, true, MIB + 200000);
    assert_true(windows_ask(&windows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_window),
        cmocka_unit_test(test_nothing_grows_before_the_pong),
        cmocka_unit_test(test_what_the_client_waits_is_no_distance),
        cmocka_unit_test(test_not_full_is_no_reason),
        cmocka_unit_test(test_another_connection),
        cmocka_unit_test(test_without_a_clock),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_input_shrinks),
        cmocka_unit_test(test_little_input_asks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
