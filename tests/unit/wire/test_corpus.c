/* The fuzzers' corpora, replayed by the ordinary tests under the ordinary compiler. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/corpus.h"
#include "support/fuzz.h"

/* The repository: AFAR_SRC, or where make runs the tests. */
static void replay(const char *target, void (*run)(const uint8_t *data, size_t size))
{
    const char *root = getenv("AFAR_SRC");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", root != NULL ? root : ".", target);
    int count = corpus_replay(path, run);
    if (count < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(count > 0);
}

static void test_frame(void **state)
{
    (void)state;
    replay("frame", fuzz_frame);
}

static void test_message(void **state)
{
    (void)state;
    replay("message", fuzz_message);
}

static void test_modes(void **state)
{
    (void)state;
    replay("modes", fuzz_modes);
}

static void test_tutorial(void **state)
{
    (void)state;
    replay("tutorial", fuzz_tutorial);
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
