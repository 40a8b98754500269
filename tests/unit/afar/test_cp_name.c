#include "afar/cp_name.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_names(void **state)
{
    static const struct {
        const char *word;
        const char *host;
        const char *path;
    } cases[] = {
        {"file", NULL, "file"},
        {"./a:b", NULL, "./a:b"},
        {"/a:b", NULL, "/a:b"},
        {"d/a:b", NULL, "d/a:b"},
        {":x", NULL, ":x"},
        {"web:x", "web", "x"},
        {"web:", "web", "."},
        {"web:/srv/x", "web", "/srv/x"},
        {"web:a:b", "web", "a:b"},
        {"web:80", "web", "80"}, /* no port alone */
        {"web:80:", "web:80", "."},
        {"web:80:x", "web:80", "x"},
        {"web:80x:y", "web", "80x:y"},
        {"web:80:81:x", "web:80", "81:x"},
        {"web: a b", "web", " a b"},
        {"[::1]:x", "[::1]", "x"},
        {"[::1]:80:x", "[::1]:80", "x"},
        {"[::1]", NULL, "[::1]"},
        {"tls://web:x", "tls://web", "x"},
        {"tls://web:80:/x", "tls://web:80", "/x"},
        {"tls://web:80", "tls://web", "80"},
        {"tcp://[::1]:7:x", "tcp://[::1]:7", "x"},
        {"tls://web", NULL, "tls://web"},
        {"unix:///run/a.sock:/x", "unix:///run/a.sock", "/x"},
        {"unix:///run/a.sock:80:x", "unix:///run/a.sock", "80:x"},
        {"unix:///run/a.sock", NULL, "unix:///run/a.sock"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cp_name name;
        assert_true(cp_name_parse(&name, cases[i].word));
        assert_false(name.is_stream);
        assert_string_equal(name.path, cases[i].path);
        if (cases[i].host == NULL)
            assert_null(name.host);
        else
            assert_string_equal(name.host, cases[i].host);
        cp_name_close(&name);
    }
}

static void test_stream(void **state)
{
    struct cp_name name;
    (void)state;
    assert_true(cp_name_parse(&name, "-"));
    assert_true(name.is_stream);
    cp_name_close(&name);
    assert_true(cp_name_parse(&name, "./-"));
    assert_false(name.is_stream);
    cp_name_close(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_stream)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
