#include "afar/progress.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
