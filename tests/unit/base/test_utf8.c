#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/utf8.h"

/* What a sequence's code point is, by the definition and not by the tables of the code. */
static size_t reference(const uint8_t *data, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = data[0] < 0x80             ? 1
                    : (data[0] & 0xE0) == 0xC0 ? 2
                    : (data[0] & 0xF0) == 0xE0 ? 3
                    : (data[0] & 0xF8) == 0xF0 ? 4
                                               : 0;
    if (length == 0 || size < length)
        return 0;
    if (length == 1)
        return 1;
    uint32_t code = data[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((data[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (data[i] & 0x3F);
    }
    if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    return length;
}

static void test_all_short_sequences(void **state)
{
    (void)state;
    /* The last two bytes matter only by their class, so their edges stand for all. */
    static const uint8_t edges[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t c = 0; c < sizeof edges; c++) {
                for (size_t d = 0; d < sizeof edges; d++) {
                    uint8_t data[] = {(uint8_t)first, (uint8_t)second, edges[c], edges[d]};
                    for (size_t size = 1; size <= 4; size++)
                        assert_int_equal(utf8_sequence(data, size), reference(data, size));
                }
            }
        }
    }
    assert_int_equal(utf8_sequence(NULL, 0), 0);
}

static void test_valid(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("a\0b", 3));
    assert_true(utf8_valid("\u4f60\u597d\U0001F600", strlen("\u4f60\u597d\U0001F600")));
    assert_false(utf8_valid("abc\xFF", 4));
    assert_false(utf8_valid("\xE4\xBD", 2));
    assert_false(utf8_valid("\xC0\x80", 2));
    assert_false(utf8_valid("\xED\xA0\x80", 3));
    assert_false(utf8_valid("\xF4\x90\x80\x80", 4));
}

static void test_control(void **state)
{
    (void)state;
    assert_true(utf8_control((const uint8_t *)"\x1f", 1));
    assert_true(utf8_control((const uint8_t *)"\x7f", 1));
    assert_false(utf8_control((const uint8_t *)" ", 1));
    assert_true(utf8_control((const uint8_t *)"\xC2\x9B", 2));
    assert_true(utf8_control((const uint8_t *)"\xC2\x80", 2));
    assert_true(utf8_control((const uint8_t *)"\xC2\x9F", 2));
    assert_false(utf8_control((const uint8_t *)"\xC2\xA0", 2));
    assert_false(utf8_control((const uint8_t *)"\xC3\x80", 2));
    assert_false(utf8_control((const uint8_t *)"\xE0\xA0\x80", 3));
}

static void test_copy_cleans(void **state)
{
    (void)state;
    char out[64];
    utf8_copy(out, sizeof out, "a\nb\x7F\xFFz\xC2\x9Bq\u4f60");
    assert_string_equal(out, "a?b??z?q\u4f60");
    utf8_copy(out, sizeof out, "");
    assert_string_equal(out, "");
}

static void test_copy_cuts_between_characters(void **state)
{
    (void)state;
    const char *text = "ab\u4f60\U0001F600c\xFF";
    char whole[64];
    utf8_copy(whole, sizeof whole, text);
    for (size_t size = 1; size <= sizeof whole; size++) {
        char out[65];
        memset(out, 'X', sizeof out);
        utf8_copy(out, size, text);
        size_t length = strlen(out);
        assert_true(length < size);
        assert_int_equal(out[size], 'X');
        assert_true(utf8_valid(out, length));
        assert_memory_equal(out, whole, length);
        /* Not cut sooner than a character demands. */
        assert_true(length + 4 >= size || length == strlen(whole));
    }
}

static void test_plain(void **state)
{
    static const char *const plain[] = {"", "a b", "\303\244", "\342\202\254 \360\237\230\200"};
    static const char *const others[] = {"\n", "a\033", "\177", "\302\233", "a\303", "\377"};
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        assert_true(utf8_plain(plain[i]));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(utf8_plain(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),       cmocka_unit_test(test_all_short_sequences),
        cmocka_unit_test(test_valid),       cmocka_unit_test(test_control),
        cmocka_unit_test(test_copy_cleans), cmocka_unit_test(test_copy_cuts_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
