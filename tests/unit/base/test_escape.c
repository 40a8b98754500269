#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/escape.h"

struct example {
    const char *text;
    const char *terminal;
    const char *string;
};

static const struct example examples[] = {
    {"", "", ""},
    {"plain text, 100%", "plain text, 100%", "plain text, 100%"},
    {"ü€😀", "ü€😀", "ü€😀"},
    {"a\"b\\c", "a\"b\\c", "a\\\"b\\\\c"},
    {"a\nb\tc\rd", "a\\nb\\tc\\rd", "a\\nb\\tc\\rd"},
    {"\x1b[31m", "\\u001b[31m", "\\u001b[31m"},
    {"\x01\x1f\x7f", "\\u0001\\u001f\\u007f", "\\u0001\\u001f\\u007f"},
    {"\xC2\x80\xC2\x9B\xC2\x9F\xC2\xA0", "\\u0080\\u009b\\u009f\xC2\xA0",
     "\\u0080\\u009b\\u009f\xC2\xA0"},
    /* U+061C, U+200A (kept), U+200B, U+200D, U+200E, U+200F, U+2010 (kept) */
    {"\xD8\x9C\xE2\x80\x8A\xE2\x80\x8B\xE2\x80\x8D\xE2\x80\x8E\xE2\x80\x8F\xE2\x80\x90",
     "\\u061c\xE2\x80\x8A\\u200b\\u200d\\u200e\\u200f\xE2\x80\x90",
     "\\u061c\xE2\x80\x8A\\u200b\\u200d\\u200e\\u200f\xE2\x80\x90"},
    /* U+2027 (kept), U+2028, U+202A, U+202E, U+202F (kept) */
    {"\xE2\x80\xA7\xE2\x80\xA8\xE2\x80\xAA\xE2\x80\xAE\xE2\x80\xAF",
     "\xE2\x80\xA7\\u2028\\u202a\\u202e\xE2\x80\xAF",
     "\xE2\x80\xA7\\u2028\\u202a\\u202e\xE2\x80\xAF"},
    /* U+205F (kept), U+2060, U+2064, U+2066, U+206F, U+2070 (kept) */
    {"\xE2\x81\x9F\xE2\x81\xA0\xE2\x81\xA4\xE2\x81\xA6\xE2\x81\xAF\xE2\x81\xB0",
     "\xE2\x81\x9F\\u2060\\u2064\\u2066\\u206f\xE2\x81\xB0",
     "\xE2\x81\x9F\\u2060\\u2064\\u2066\\u206f\xE2\x81\xB0"},
    /* U+00AD, U+034F, U+115F, U+180E, U+3164, U+FE0F (kept), U+FEFF, U+FFA0, U+FFF9 */
    {"\xC2\xAD\xCD\x8F\xE1\x85\x9F\xE1\xA0\x8E\xE3\x85\xA4\xEF\xB8\x8F\xEF\xBB\xBF\xEF\xBE\xA0"
     "\xEF\xBF\xB9",
     "\\u00ad\\u034f\\u115f\\u180e\\u3164\xEF\xB8\x8F\\ufeff\\uffa0\\ufff9",
     "\\u00ad\\u034f\\u115f\\u180e\\u3164\xEF\xB8\x8F\\ufeff\\uffa0\\ufff9"},
    /* U+1D173, U+E0041, U+E0FFF, U+100000 (kept) */
    {"\xF0\x9D\x85\xB3\xF3\xA0\x81\x81\xF3\xA0\xBF\xBF\xF4\x80\x80\x80",
     "\\U0001d173\\U000e0041\\U000e0fff\xF4\x80\x80\x80",
     "\\ud834\\udd73\\udb40\\udc41\\udb43\\udfff\xF4\x80\x80\x80"},
    {"a\xFF\xC3", "a\\xff\\xc3", "a\\ufffd\\ufffd"},
    {"\xED\xA0\x80", "\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd"},
};

static void test_examples(void **state)
{
    char out[256];
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        escape_text(out, sizeof out, examples[i].text, ESCAPE_TERMINAL);
        assert_string_equal(out, examples[i].terminal);
        escape_text(out, sizeof out, examples[i].text, ESCAPE_STRING);
        assert_string_equal(out, examples[i].string);
    }
}

/* What is JSON already means the same afterwards. */
static void test_json(void **state)
{
    char out[256];
    (void)state;
    escape_text(out, sizeof out, "{\n\t\"a\":\"\\n\\\"\\\\\x7F\xC2\x9B\xE2\x80\xAE\"\r\n}",
                ESCAPE_JSON);
    assert_string_equal(out, "{  \"a\":\"\\n\\\"\\\\\\u007f\\u009b\\u202e\"  }");
}

static void test_cut(void **state)
{
    static const char text[] = "a\x1b"
                               "ü";
    char out[32];
    (void)state;
    for (size_t size = 1; size < sizeof out; size++) {
        memset(out, 'x', sizeof out);
        escape_text(out, size, text, ESCAPE_TERMINAL);
        const char *expected = size >= 10 ? "a\\u001bü" : size >= 8 ? "a\\u001b" : "a";
        assert_string_equal(out, size == 1 ? "" : expected);
        for (size_t i = size; i < sizeof out; i++)
            assert_int_equal(out[i], 'x');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
