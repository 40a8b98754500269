/* The fuzzer's corpus, replayed by the ordinary tests under the ordinary compiler. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/corpus_test.h"
#include "support/fuzz.h"

static void test_copy(void **state)
{
    (void)state;
    corpus_test("copy", fuzz_copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_copy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
