#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/base64.h"

/* RFC 4648 §10. */
static void test_vectors(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char out[16];
        memset(out, 'X', sizeof out);
        size_t size = strlen(vectors[i][0]);
        base64_encode(out, vectors[i][0], size);
        assert_string_equal(out, vectors[i][1]);
        assert_int_equal(base64_length(size), strlen(vectors[i][1]));
        assert_int_equal(out[base64_length(size) + 1], 'X');
    }
    char out[8];
    base64_encode(out, "\xFF\xFE\0", 3);
    assert_string_equal(out, "//4A");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
