/* The time is the test's own:
 *
 * // wrap: names what the linker replaces. */
// wrap: malloc calloc realloc strdup clock_now_ms
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/summary.h"
#include "server/worker.h"
#include "support/alloc_fault.h"

static struct summary *summary;
static struct server_shared shared;
static int log_fds[2];
static int64_t now_ms;

int64_t __wrap_clock_now_ms(void);
int64_t __wrap_clock_now_ms(void)
{
    return now_ms;
}

static int set_up(void **state)
{
    (void)state;
    now_ms = 1000000;
    summary = summary_new();
    if (summary == NULL || pipe(log_fds) != 0)
        return -1;
    shared = (struct server_shared){.log = log_new(log_fds[1], LOG_LEVEL_INFO, LOG_FORMAT_TEXT)};
    return shared.log == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    summary_free(summary);
    log_free(shared.log);
    (void)close(log_fds[0]);
    (void)close(log_fds[1]);
    return 0;
}

/* What is said at the end; to be freed. */
static char *end(void)
{
    static char text[65536];
    summary_end(summary, &shared);
    (void)close(log_fds[1]);
    log_fds[1] = -1;
    size_t used = 0;
    for (ssize_t got = 1; got > 0; used += (size_t)(got > 0 ? got : 0))
        got = read(log_fds[0], text + used, sizeof text - 1 - used);
    text[used] = '\0';
    return text;
}

static void the_first_few(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(summary_count(summary, SUMMARY_HANDSHAKE_FAILED, "192.0.2.1"), i < 10);
    for (int i = 0; i < 11; i++) /* another kind, and another peer */
        assert_int_equal(summary_count(summary, SUMMARY_REFUSED, "192.0.2.1"), i < 10);
    assert_true(summary_count(summary, SUMMARY_HANDSHAKE_FAILED, "192.0.2.2"));
    summary_add(summary, SUMMARY_REFUSED, "192.0.2.1");
    now_ms += 59000;
    const char *said = end();
    assert_non_null(strstr(said, "warn handshakes failed: and 90 more from 192.0.2.1 in 59 s\n"));
    assert_non_null(strstr(said, "warn connections refused: and 2 more from 192.0.2.1 in 59 s\n"));
    assert_null(strstr(said, "192.0.2.2"));
}

/* However many they are, and whatever they are called, there are so many lines. */
static void very_many(void **state)
{
    (void)state;
    enum { PEERS = 5000, TIMES = 3 };
    char who[32];
    unsigned written = 0;
    for (int i = 0; i < PEERS * TIMES; i++) {
        (void)snprintf(who, sizeof who, "peer %d", i % PEERS);
        written += summary_count(summary, SUMMARY_HANDSHAKE_FAILED, who);
    }
    assert_int_equal(written, 120);
    char *said = end();
    unsigned long sums = 0;
    unsigned long more = 0;
    for (char *line = strtok(said, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        const char *number = strstr(line, "and ");
        assert_non_null(number);
        more += strtoul(number + 4, NULL, 10);
        sums++;
    }
    assert_int_equal(sums, SUMMARY_WHO_MAX + 1);
    assert_int_equal(written + more, PEERS * TIMES); /* each is counted, and once */
}

static void pace(void **state)
{
    enum { FREE = 100 };
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(summary_pace(summary, "unlimited", 0), 0);
    for (int i = 0; i < FREE; i++)
        assert_int_equal(summary_pace(summary, "a", FREE), 0);
    assert_int_equal(summary_pace_now(summary, "a", FREE), 0);
    for (int i = 1; i <= 50; i++)
        assert_int_equal(summary_pace(summary, "a", FREE), i * SUMMARY_PACE_MS);
    assert_int_equal(summary_pace_now(summary, "a", FREE), 50 * SUMMARY_PACE_MS / 10);
    assert_int_equal(summary_pace_now(summary, "b", FREE), 0);
    assert_int_equal(summary_pace(summary, "b", FREE), 0);
    now_ms += 50 * SUMMARY_PACE_MS;
    assert_int_equal(summary_pace_now(summary, "a", FREE), 0);
    assert_int_equal(summary_pace(summary, "a", FREE), SUMMARY_PACE_MS);
    for (int i = 0; i < 1000000; i++)
        (void)summary_pace(summary, "a", FREE);
    assert_int_equal(summary_pace(summary, "a", FREE), SUMMARY_PACE_MAX_MS);
    assert_int_equal(summary_pace_now(summary, "a", FREE), SUMMARY_PACE_MAX_MS);
    assert_string_equal(end(), ""); /* these are no lines */
}

static void names(void **state)
{
    (void)state;
    char who[SUMMARY_WHO_BYTES];
    const struct address_group group = {.bytes = {192, 0, 2, 1}, .size = 4};
    summary_who(who, NULL, &group);
    assert_string_equal(who, "192.0.2.1");
    summary_who(who, "CN=build-7", &group);
    assert_string_equal(who, "CN=build-7 from 192.0.2.1");
}

static void out_of_memory(void **state)
{
    (void)state;
    alloc_fault_arm(1);
    assert_null(summary_new());
    assert_true(alloc_fault_fired());
    alloc_fault_arm(1); /* who cannot be told apart is one of the others */
    assert_true(summary_count(summary, SUMMARY_REFUSED, "a"));
    assert_true(alloc_fault_fired());
    for (int i = 0; i < 20; i++)
        (void)summary_count(summary, SUMMARY_REFUSED, "a");
    assert_non_null(strstr(end(), "connections refused: and 10 more from a in 0 s\n"));
    summary_end(NULL, &shared);
    summary_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_few, set_up, tear_down),
        cmocka_unit_test_setup_teardown(very_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("summary", tests, NULL, NULL);
}
