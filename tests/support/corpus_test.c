#include "support/corpus_test.h"

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

/* AFAR_SRC is the repository; if unset, the working directory, as with make. */
void corpus_test(const char *target, void (*run)(const uint8_t *data, size_t size))
{
    const char *root = getenv("AFAR_SRC");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", root != NULL ? root : ".", target);
    int count = corpus_replay(path, run);
    if (count < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(count > 0);
}
