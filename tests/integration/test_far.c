/* Clients that are far away: windows grow, so that streams wait for few round trips; and nothing grows
 * where it would not help, nor beyond what all of them may have. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/distant.h"
#include "support/raw.h"

enum {
    MIB = 1 << 20,
    BYTES = 64 * MIB,
    /* Fixed windows would need 32 of them for output, and 64 for input. A machine that is slow adds
     * some, since the relay counts what could have been waited for. */
    FEW = 18,
    MANY = 30
};

static struct distant distant;

static void start(const char *max, const char *total)
{
    static const char *const nothing[] = {NULL};
    distant_start(&distant, max, total, nothing);
}

static int set_up(void **state)
{
    (void)state;
    start("window_max_bytes=16777216", "window_total_bytes=67108864");
    return 0;
}

static int set_up_fixed(void **state)
{
    (void)state;
    start("window_max_bytes=0", "window_total_bytes=0");
    return 0;
}

static int set_up_little(void **state)
{
    (void)state;
    start("window_max_bytes=16777216", "window_total_bytes=8388608");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return distant_stop(&distant);
}

/* ---- few round trips ------------------------------------------------------------------------------- */

static void output_waits_little(void **state)
{
    (void)state;
    distant_run(
        &distant,
        "test $($AFAR run -n --digest $URL -- head -c 67108864 /dev/zero | wc -c) = 67108864");
    print_message("%u round trips\n", far_trips(distant.far));
    assert_true(far_trips(distant.far) <= FEW);
    assert_true(distant_times_grown(&distant) >= 2);
    distant_expect_none_grown(&distant);
}

static void input_waits_little(void **state)
{
    (void)state;
    distant_run(&distant,
                "test $(head -c 67108864 /dev/zero | $AFAR run $URL -- wc -c) = 67108864");
    print_message("%u round trips\n", far_trips(distant.far));
    assert_true(far_trips(distant.far) <= FEW);
    assert_true(distant_times_grown(&distant) >= 2);
    distant_expect_none_grown(&distant);
}

/* The same where the operator wants no growth: what the numbers above are to be compared with. */
static void fixed_windows_wait_much(void **state)
{
    (void)state;
    distant_run(&distant, "$AFAR run -n $URL -- head -c 67108864 /dev/zero >/dev/null");
    print_message("%u round trips\n", far_trips(distant.far));
    assert_true(far_trips(distant.far) >= MANY);
    assert_true(distant_times_grown(&distant) == 0);
}

/* ---- coming back ----------------------------------------------------------------------------------- */

/* Cut again and again while windows are large, both ways at once. */
static void resumes_with_grown_windows(void **state)
{
    (void)state;
    distant_cut_often(&distant, "head -c 67108864 /dev/urandom >in; "
                                "$AFAR run --digest $URL -- cat <in | cmp - in; echo same");
}

/* ---- together -------------------------------------------------------------------------------------- */

/* Four that all want more than there is: never more than that in all, and nobody gets nothing. */
static void all_together_are_bounded(void **state)
{
    (void)state;
    struct program program;
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    double most = 0;
    distant_begin(&distant, &program,
                  "for i in 1 2 3 4; do "
                  "$AFAR run -n $URL -- head -c 50000000 /dev/zero | wc -c >got.$i & done; "
                  "wait; cat got.*");
    while (most == 0 || distant_grown_bytes(&distant) > 0) {
        const double now = distant_grown_bytes(&distant);
        most = now > most ? now : most;
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(5000);
    }
    program_finish(&program, NULL, 0);
    assert_string_equal(program.stdout_data, "50000000\n50000000\n50000000\n50000000\n");
    program_close(&program);
    print_message("%.0f bytes at most\n", most);
    assert_true(most <= 8 * MIB);
    assert_true(afard_metric(&distant.server,
                             "afard_limit_reached_total{limit=\"window_total_bytes\"}") > 0);
}

/* One has all of it; then another comes, and the first has to give it half. */
static void shrinks_for_a_newcomer(void **state)
{
    (void)state;
    struct program first;
    struct program second;
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    distant_begin(&distant, &first, "$AFAR run -n $URL -- head -c 400000000 /dev/zero | wc -c");
    while (distant_grown_bytes(&distant) < 8 * MIB) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(5000);
    }
    const double before = distant_times_grown(&distant);
    distant_begin(&distant, &second, "$AFAR run -n $URL -- head -c 100000000 /dev/zero | wc -c");
    while (distant_times_grown(&distant) == before) { /* the second's: the first has all */
        assert_true(clock_now_ms() < deadline_ms);
        assert_true(distant_grown_bytes(&distant) <= 8 * MIB);
        (void)usleep(5000);
    }
    program_finish(&second, NULL, 0);
    program_finish(&first, NULL, 0);
    assert_string_equal(first.stdout_data, "400000000\n");
    assert_string_equal(second.stdout_data, "100000000\n");
    program_close(&first);
    program_close(&second);
    distant_expect_none_grown(&distant);
}

/* ---- by raw frames --------------------------------------------------------------------------------- */

static bool has(const char *header, const char *text)
{
    return strstr(header, text) != NULL;
}

static unsigned long long number_in(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* Whether a frame begins to come within so long. */
static bool comes(int fd, int within_ms)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, within_ms) == 1;
}

/* Takes frames without acknowledging any until none comes; answers pings. Their bytes on the wire, but
 * for some of each head. */
static size_t take_all(int fd, unsigned long long *next, unsigned *pings)
{
    size_t total = 0;
    while (comes(fd, 500)) {
        char *payload = NULL;
        char *header = raw_read_header(fd, &payload);
        assert_non_null(header);
        total += number_in(header, "\"size\":");
        if (has(header, "\"type\":\"stdout\""))
            *next = number_in(header, "\"seq\":") + 1;
        if (has(header, "\"type\":\"ping\"")) {
            char pong[64];
            (void)snprintf(pong, sizeof pong, "{\"type\":\"pong\",\"id\":%llu}",
                           number_in(header, "\"id\":"));
            raw_send_frame(fd, pong);
            (*pings)++;
        }
        free(header);
        free(payload);
    }
    return total;
}

static void ack(int fd, unsigned long long next)
{
    char text[64];
    (void)snprintf(text, sizeof text, "{\"type\":\"ack\",\"id\":1,\"next\":%llu}", next);
    raw_send_frame(fd, text);
}

/* As clients were before there was window_max: the window of `started` is final, and nothing comes that
 * they do not know. */
static void old_clients_see_what_they_know(void **state)
{
    (void)state;
    unsigned pings = 0;
    unsigned long long next = 0;
    struct far *way = far_start(afard_port(&distant.server, 1), DISTANT_ONE_WAY_US);
    assert_non_null(way);
    int fd = raw_connect(far_port(way));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"cat\",\"/dev/zero\"]}");
    for (int i = 0; i < 5; i++) {
        const size_t size = take_all(fd, &next, &pings);
        assert_true(size > 0 && size <= 2 * MIB);
        ack(fd, next);
    }
    assert_int_equal(pings, 0);
    assert_true(distant_times_grown(&distant) == 0);
    (void)close(fd);
    far_stop(way);
}

/* With one that takes all at once, each time after a second: it answers the ping at once, so that it is
 * known not to be far. */
static void slow_readers_stay_small(void **state)
{
    (void)state;
    unsigned pings = 0;
    unsigned long long next = 0;
    int fd = raw_connect(afard_port(&distant.server, 1));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"cat\",\"/dev/zero\"],"
                       "\"window_max\":67108864}");
    for (int i = 0; i < 5; i++) {
        const size_t size = take_all(fd, &next, &pings);
        assert_true(size > 0 && size <= 2 * MIB);
        ack(fd, next);
    }
    assert_int_equal(pings, 1);
    assert_true(distant_times_grown(&distant) == 0);
    (void)close(fd);
}

/* 3 MiB a second, far away: less than a window in each round trip. */
static void slow_and_far_readers_stay_small(void **state)
{
    (void)state;
    distant_run(&distant, "$AFAR run -n $URL -- head -c 6291456 /dev/zero | python3 -c '\n"
                          "import sys, time\n"
                          "while sys.stdin.buffer.read(65536):\n"
                          "    time.sleep(0.02)'");
    assert_true(distant_times_grown(&distant) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(resumes_with_grown_windows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_together_are_bounded, set_up_little, tear_down),
        cmocka_unit_test_setup_teardown(old_clients_see_what_they_know, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_readers_stay_small, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_and_far_readers_stay_small, set_up, tear_down),
    };
    /* Where a program is slower than its network, there is nothing to count. */
    const struct CMUnitTest counts[] = {
        cmocka_unit_test_setup_teardown(output_waits_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(input_waits_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fixed_windows_wait_much, set_up_fixed, tear_down),
        cmocka_unit_test_setup_teardown(shrinks_for_a_newcomer, set_up_little, tear_down),
    };
    const char *sanitizers = getenv("SAN");
    const bool slow = sanitizers != NULL && sanitizers[0] != '\0';
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + (slow ? 0 : cmocka_run_group_tests(counts, NULL, NULL));
}
