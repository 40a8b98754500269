/* Kept commands of clients that are far away: their windows, which are the keeper's, grow as those of other
 * commands do, and count together with them. See test_far.c. */
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
#include "support/folder.h"
#include "support/raw.h"

enum {
    MIB = 1 << 20,
    /* Fixed windows need 32 round trips for 64 MiB of output, and 64 for as much input. */
    FEW = 20,
    MANY = 30
};

static struct distant distant;
static char folder[64];

static void start(const char *max, const char *total)
{
    char state_key[96];
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-far-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(state_key, sizeof state_key, "state_directory=%s/state", folder);
    const char *const more[] = {state_key, "spool_bytes=536870912", "heartbeat_ms=1000", NULL};
    distant_start(&distant, max, total, more);
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
    int failed = distant_stop(&distant);
    /* Keepers may still be writing receipts there. */
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (folder_remove(folder) != 0 && clock_now_ms() < deadline_ms)
        (void)usleep(10000);
    return failed;
}

static void expect_few_trips(void)
{
    print_message("%u round trips\n", far_trips(distant.far));
    assert_true(far_trips(distant.far) <= FEW);
    assert_true(distant_times_grown(&distant) >= 2);
    distant_expect_none_grown(&distant);
}

/* ---- few round trips ------------------------------------------------------------------------------- */

static void output_waits_little(void **state)
{
    (void)state;
    distant_run(
        &distant,
        "test $($AFAR run --keep -n $URL -- head -c 67108864 /dev/zero | wc -c) = 67108864");
    expect_few_trips();
}

static void input_waits_little(void **state)
{
    (void)state;
    distant_run(&distant,
                "test $(head -c 67108864 /dev/zero | $AFAR run --keep $URL -- wc -c) = 67108864");
    expect_few_trips();
}

#define KEPT_64_MIB \
    "job=$($AFAR run -d $NEAR -- head -c 67108864 /dev/zero); $AFAR wait $NEAR $job; "

static void an_attach_waits_little(void **state)
{
    (void)state;
    distant_run(&distant, KEPT_64_MIB "test $($AFAR attach -a -n $URL $job | wc -c) = 67108864");
    expect_few_trips();
}

static void logs_wait_little(void **state)
{
    (void)state;
    distant_run(&distant, KEPT_64_MIB "test $($AFAR logs $URL $job | wc -c) = 67108864");
    expect_few_trips();
}

/* The same where the operator wants no growth: what the numbers above are to be compared with. */
static void fixed_windows_wait_much(void **state)
{
    (void)state;
    distant_run(&distant, KEPT_64_MIB "test $($AFAR logs $URL $job | wc -c) = 67108864");
    print_message("%u round trips\n", far_trips(distant.far));
    assert_true(far_trips(distant.far) >= MANY);
    assert_true(distant_times_grown(&distant) == 0);
}

static void fixed_credit_waits_much(void **state)
{
    (void)state;
    distant_run(&distant,
                "test $(head -c 67108864 /dev/zero | $AFAR run --keep $URL -- wc -c) = 67108864");
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
                                "$AFAR run --keep --digest $URL -- cat <in | cmp - in; echo same");
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
                  KEPT_64_MIB "for i in 1 2 3 4; do "
                              "$AFAR logs $URL $job | wc -c >got.$i & done; "
                              "wait; cat got.*");
    while (most == 0 || distant_grown_bytes(&distant) > 0) {
        const double now = distant_grown_bytes(&distant);
        most = now > most ? now : most;
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(5000);
    }
    program_finish(&program, NULL, 0);
    assert_string_equal(program.stdout_data, "67108864\n67108864\n67108864\n67108864\n");
    program_close(&program);
    print_message("%.0f bytes at most\n", most);
    assert_true(most <= 8 * MIB);
    assert_true(afard_metric(&distant.server,
                             "afard_limit_reached_total{limit=\"window_total_bytes\"}") > 0);
}

/* One has all of it; then another comes, which is not kept, and the first has to give it half. */
static void shrinks_for_a_newcomer(void **state)
{
    (void)state;
    struct program first;
    struct program second;
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    distant_begin(&distant, &first,
                  "$AFAR run --keep -n $URL -- head -c 400000000 /dev/zero | wc -c");
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
    (void)usleep(300000);
    assert_false(distant_has_ended(&first)); /* so it has shrunk, and not gone */
    program_finish(&second, NULL, 0);
    program_finish(&first, NULL, 0);
    assert_string_equal(first.stdout_data, "400000000\n");
    assert_string_equal(second.stdout_data, "100000000\n");
    program_close(&first);
    program_close(&second);
    distant_expect_none_grown(&distant);
}

/* After the stream its client is attached still, and says nothing: at the next sign of life that it is asked
 * for, everything goes back. */
static void an_idle_client_holds_nothing(void **state)
{
    struct program program;
    (void)state;
    distant_begin(&distant, &program,
                  "$AFAR run --keep $URL -- sh -c "
                  "'head -c 33554432 /dev/zero; read x; echo $x' | tail -c 4");
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (distant_grown_bytes(&distant) == 0) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(5000);
    }
    distant_expect_none_grown(&distant);
    assert_false(distant_has_ended(&program));
    program_finish(&program, "end\n", 4);
    assert_string_equal(program.stdout_data, "end\n");
    program_close(&program);
}

/* ---- by raw frames --------------------------------------------------------------------------------- */

static unsigned long long number_in(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static bool has(const char *header, const char *text)
{
    return strstr(header, text) != NULL;
}

struct taken {
    unsigned long long next;
    unsigned pings;
    unsigned others; /* frames that no client knows */
};

/* Takes frames without acknowledging any until none comes for a while; answers each ping but the first
 * `silent`; or, if that is not 0, until it has answered one. Their bytes. */
static size_t take_all(int fd, struct taken *taken, unsigned silent)
{
    size_t total = 0;
    struct pollfd look = {.fd = fd, .events = POLLIN};
    bool told = false;
    while (!told && poll(&look, 1, silent > 0 ? 5000 : 400) == 1) {
        char *payload = NULL;
        char *header = raw_read_header(fd, &payload);
        assert_non_null(header);
        total += number_in(header, "\"size\":");
        if (has(header, "\"type\":\"stdout\""))
            taken->next = number_in(header, "\"seq\":") + 1;
        taken->others += has(header, "\"type\":\"room\"") || has(header, "\"type\":\"pong\"");
        if (has(header, "\"type\":\"ping\"") && ++taken->pings > silent) {
            char pong[64];
            (void)snprintf(pong, sizeof pong, "{\"type\":\"pong\",\"id\":%llu}",
                           number_in(header, "\"id\":"));
            raw_send_frame(fd, pong);
            told = silent > 0;
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

/* The largest that comes before an ack, within some. */
static size_t most_at_once(const char *window_max, unsigned silent, struct taken *taken)
{
    struct far *way = far_start(afard_port(&distant.server, 1), DISTANT_ONE_WAY_US);
    char exec[256];
    size_t most = 0;
    assert_non_null(way);
    int fd = raw_connect(far_port(way));
    (void)snprintf(
        exec, sizeof exec,
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"keep\":true,\"holder\":\"%032d\","
        "\"when_full\":\"block\",\"argv\":[\"head\",\"-c\",\"60000000\",\"/dev/zero\"]%s}",
        1, window_max);
    raw_send_frame(fd, exec);
    *taken = (struct taken){0};
    for (int i = 0; i < 4; i++) {
        const size_t size = take_all(fd, taken, silent);
        most = size > most ? size : most;
        ack(fd, taken->next);
    }
    (void)close(fd);
    far_stop(way);
    return most;
}

static void old_clients_see_what_they_know(void **state)
{
    struct taken taken;
    (void)state;
    const size_t most = most_at_once("", 0, &taken);
    assert_true(most > MIB && most <= 2 * MIB);
    assert_int_equal(taken.others, 0);
    assert_true(distant_times_grown(&distant) == 0);
}

/* The ping that times the way is the first; the others are signs of life, whose answers say nothing. */
static void only_its_own_pong_counts(void **state)
{
    struct taken taken;
    (void)state;
    const size_t most = most_at_once(",\"window_max\":16777216", 1, &taken);
    assert_true(most > MIB && most <= 2 * MIB);
    assert_true(taken.pings > 1);
    assert_int_equal(taken.others, 0);
    assert_true(distant_times_grown(&distant) == 0);
}

/* 3 MiB a second, far away: less than a window in each round trip. */
static void slow_and_far_readers_stay_small(void **state)
{
    (void)state;
    distant_run(&distant, "$AFAR run --keep -n $URL -- head -c 6291456 /dev/zero | python3 -c '\n"
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
        cmocka_unit_test_setup_teardown(an_idle_client_holds_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_clients_see_what_they_know, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_its_own_pong_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_and_far_readers_stay_small, set_up, tear_down),
    };
    /* Where a program is slower than its network, there is nothing to count. */
    const struct CMUnitTest counts[] = {
        cmocka_unit_test_setup_teardown(output_waits_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(input_waits_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_attach_waits_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(logs_wait_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fixed_windows_wait_much, set_up_fixed, tear_down),
        cmocka_unit_test_setup_teardown(fixed_credit_waits_much, set_up_fixed, tear_down),
        cmocka_unit_test_setup_teardown(shrinks_for_a_newcomer, set_up_little, tear_down),
    };
    const char *sanitizers = getenv("SAN");
    const bool slow = sanitizers != NULL && sanitizers[0] != '\0';
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + (slow ? 0 : cmocka_run_group_tests(counts, NULL, NULL));
}
