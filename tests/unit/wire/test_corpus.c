/* The fuzzers' corpora, replayed by the ordinary tests under the ordinary compiler. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/corpus_test.h"
#include "support/fuzz.h"

static void test_frame(void **state)
{
    (void)state;
    corpus_test("frame", fuzz_frame);
}

static void test_message(void **state)
{
    (void)state;
    corpus_test("message", fuzz_message);
}

static void test_modes(void **state)
{
    (void)state;
    corpus_test("modes", fuzz_modes);
}

static void test_tutorial(void **state)
{
    (void)state;
    corpus_test("tutorial", fuzz_tutorial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_tutorial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
