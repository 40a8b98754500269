// wrap: clock_gettime
#include "afar/progress.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t own_ms; /* 0: the real clocks */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

/* The clock of the day jumps a year back and forth with each look. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    static unsigned looks;
    if (own_ms == 0)
        return __real_clock_gettime(clock, now);
    int64_t ms = own_ms;
    if (clock != CLOCK_MONOTONIC)
        ms += (looks++ % 2 == 0 ? -1 : 1) * INT64_C(31536000000);
    *now = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return 0;
}

static void expect(const struct copy *copy, uint64_t rate, unsigned width, const char *expected)
{
    char text[256];
    progress_format(copy, rate, text, sizeof text, width);
    assert_string_equal(text, expected);
}

static void test_lines(void **state)
{
    struct copy copy;
    const struct copy_options options = {.recursive = true};
    (void)state;
    copy_init(&copy, &options);
    copy.counts.known = 3120;
    copy.counts.outcomes[COPY_COPIED] = 3000;
    copy.counts.outcomes[COPY_FAILED] = 1;
    copy.counts.bytes = 22020096;
    expect(&copy, 1536, 80, "3001 files  21.0 MiB  1.5 KiB/s");
    copy.counts.walked = true;
    expect(&copy, 0, 80, "3001 of 3120 files  21.0 MiB  0 B/s");
    /* A narrow terminal. */
    expect(&copy, 0, 20, "3001 of 3120 files  ");
    expect(&copy, 0, 1, "3");
    copy_close(&copy);
}

/* 4 MiB a second, whatever the clock of the day says. */
static void test_clock_that_jumps(void **state)
{
    enum { STEP_MS = 250, STEPS = 40 };
    struct copy copy;
    struct progress progress;
    const struct copy_options options = {.recursive = true};
    char text[4096] = "";
    (void)state;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    int inner = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    int kept = dup(STDERR_FILENO);
    assert_true(inner >= 0 && kept >= 0 && dup2(inner, STDERR_FILENO) >= 0);
    own_ms = 1000000;
    copy_init(&copy, &options);
    copy.counts.known = 2;
    progress_open(&progress, false);
    for (int i = 0; i < STEPS; i++) {
        ssize_t size = 0;
        own_ms += STEP_MS;
        copy.counts.bytes += 1 << 20;
        progress_show(&progress, &copy);
        assert_in_range(progress_timeout_ms(&progress), 0, 1000);
        if (i >= 2)
            size = read(terminal, text, sizeof text - 1);
        text[size > 0 ? size : 0] = '\0';
        if (i > 8 && strstr(text, "  4.0 MiB/s") == NULL)
            fail_msg("%d: %s", i, text);
    }
    own_ms = 0;
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    copy_close(&copy);
    (void)close(kept);
    (void)close(inner);
    (void)close(terminal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_clock_that_jumps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
