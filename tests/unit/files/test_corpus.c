/* The fuzzer's corpus, replayed by the ordinary tests under the ordinary compiler. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "support/corpus.h"
#include "support/fuzz.h"

/* In place of libc's, so that an input can name the handles that it will be given: 0, 1, … */
ssize_t getrandom(void *data, size_t size, unsigned flags)
{
    (void)flags;
    memset(data, 0, size);
    return (ssize_t)size;
}

static void test_sftp(void **state)
{
    (void)state;
    const char *root = getenv("AFAR_SRC");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/fuzz/corpus/sftp", root != NULL ? root : ".");
    int count = corpus_replay(path, fuzz_sftp);
    if (count < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sftp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
