#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "wire/term_modes.h"

#define E "\x1b"

static void describe(char out[2048], const char *text)
{
    escape_text(out, 2048, text, ESCAPE_TERMINAL);
}

static void assert_undo(const char *written, size_t size, const char *expected)
{
    struct term_modes modes = {0};
    char text[TERM_MODES_TEXT_BYTES];
    term_modes_feed(&modes, written, size);
    size_t length = term_modes_undo(modes.set, text);
    assert_int_equal(length, strlen(text));
    if (strcmp(text, expected) != 0) {
        char shown[3][2048];
        describe(shown[0], written);
        describe(shown[1], text);
        describe(shown[2], expected);
        fail_msg("%s: undone by '%s', not '%s'", shown[0], shown[1], shown[2]);
    }
    assert_true(term_modes_at_rest(&modes));
    /* A byte at a time it means the same. */
    struct term_modes again = {0};
    for (size_t i = 0; i < size; i++)
        term_modes_feed(&again, written + i, 1);
    assert_int_equal(again.set, modes.set);
    /* What undoes it has undone it, and nothing is left to do. */
    term_modes_feed(&modes, text, length);
    assert_int_equal(modes.set, 0);
    assert_int_equal(term_modes_undo(modes.set, text), 0);
}

static const struct {
    const char *written;
    const char *undone;
} table[] = {
    {"", ""},
    {"plain text\r\n\tand \xc3\xa9\xe2\x82\xac\x9b?1049h", ""},
    {E "[31mred" E "[0m" E "[1;4m" E "[m", ""},
    {E "[31mred", E "[0m"},
    {E "[0;31m", E "[0m"},
    {E "[31;0m", ""},
    {E "[38;5;0m", E "[0m"},
    {E "[38;2;0;0;0m", E "[0m"},
    {E "[48;2;1;2;3;0m", ""},
    {E "[38:2::0:0:0m", E "[0m"},
    {E "[38:2::0:0:0;0m", ""},
    {E "[4:0m", E "[0m"},
    {E "[?1000h", E "[?1000l"},
    {E "[?1000h" E "[?1000l", ""},
    {E "[?1000;1002;1003;1006h", E "[?1006l" E "[?1003l" E "[?1002l" E "[?1000l"},
    {E "[?9h" E "[?1004h" E "[?1005h" E "[?1015h" E "[?1016h",
     E "[?1016l" E "[?1015l" E "[?1005l" E "[?1004l" E "[?9l"},
    {E "[?2004h", E "[?2004l"},
    {E "[?2026h", E "[?2026l"},
    {E "[?1h" E "=", E "[?1l" E ">"},
    {E "[?1h" E "=" E "[?1l" E ">", ""},
    {E "[?25l", E "[?25h"},
    {E "[?25l" E "[?25h", ""},
    {E "[?7l", E "[?7h"},
    {E "[?12;25h", ""},
    {E "[?1049h", E "[?1049l"},
    {E "[?47h", E "[?47l"},
    {E "[?1047h", E "[?1047l"},
    {E "[?1049h" E "[?47l", ""},
    {E "[?47h" E "[?1049h", E "[?1049l"},
    {E "[?1049h" E "[1;24r" E "[?25l", E "[r" E "[?25h" E "[?1049l"},
    {E "[2;5r", E "7" E "[r" E "8"},
    {E "[2;5r" E "[r", ""},
    {E "[2;5r" E "[1r", ""},
    {E "(0", E "(B"},
    {E "(0lqk" E "(B", ""},
    {E ")0", ""},
    {"\x0e", "\x0f"},
    {"\x0e\x0f", ""},
    {E "[5 q", E "[0 q"},
    {E "[5 q" E "[ q", ""},
    {E "[0 q", ""},
    {E "[>1u", E "[<1u"},
    {E "[>1u" E "[>3u", E "[<2u"},
    {E "[>1u" E "[>3u" E "[<u", E "[<1u"},
    {E "[>1u" E "[<9u", ""},
    {E "[=1u", E "[=0u"},
    {E "[=1u" E "[=0u", ""},
    {E "[>4;2m", E "[>4m"},
    {E "[>4;2m" E "[>4;m", ""},
    {E "[>4;2m" E "[>4m", ""},
    /* Resets. */
    {E "[?1049h" E "[?1000h" E "=" E "[31m" E "c", ""},
    {E "[?1049h" E "[?1000h" E "=" E "[31m" E "[?25l" E "[!p", E "[?1000l" E "[?1049l"},
    /* In a string nothing is a sequence; it ends by ST, some by BEL, and by CAN. */
    {E "]0;"
       "[?1049h title\x07" E "[?2004h",
     E "[?2004l"},
    {E "]52;c;[?1000h" E "\\", ""},
    {E "P1$r[?1000h\x07still" E "\\" E "[?1004h", E "[?1004l"},
    {E "_G[?1000h" E "\\", ""},
    {E "^x" E "\\" E "X[?9h" E "\\", ""},
    {E "]0;x\x18" E "[?9h", E "[?9l"},
    {E "]0;x" E "[?9h", E "[?9l"}, /* cut short by another sequence */
    /* Sequences that are cut, interrupted or odd. */
    {E "[?100\x18h", ""},
    {E "[?10\n00h", E "[?1000l"},
    {E "[?1000" E "[?9h", E "[?9l"},
    {E E "[?9h", E "[?9l"},
    {E "[?1000\xc3\xa9h", ""},
    {E "[1?1000h", ""},
    {E "[?1000$h", ""},
    {E "[??1000h", ""},
    {E "[1000h", ""},
    {E "[?99999999999999999999h", ""},
    {E "[?65535h", ""},
    {E "[;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;m", ""},
    {E "[?s" E "[?1000r", ""},
    {E "#8" E "7" E "8" E "M", ""},
};

static void tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_undo(table[i].written, strlen(table[i].written), table[i].undone);
}

/* What sets them again is what was set. */
static void set_again(void **state)
{
    (void)state;
    static const struct {
        const char *written;
        const char *again;
    } redo[] = {
        {"", ""},
        {E "[?25l" E "[?1000h" E "[?1049h", E "[?1049h" E "[?1000h" E "[?25l"},
        {E "[2;5r" E "[?9h", E "[?9h"}, /* of a screen of another size */
        {E "=" E "[?1h" E "[3 q", E "[?1h" E "=" E "[3 q"},
        {E "[>4;2m" E "[>5u" E "[>5u", E "[>4;2m" E "[>5u" E "[>5u"},
        {E "[=3u", E "[=3u"},
        {E "[31m" E "[?2026h", ""},
    };
    for (size_t i = 0; i < sizeof redo / sizeof redo[0]; i++) {
        struct term_modes modes = {0};
        char text[TERM_MODES_TEXT_BYTES];
        term_modes_feed(&modes, redo[i].written, strlen(redo[i].written));
        assert_int_equal(term_modes_redo(&modes, text), strlen(redo[i].again));
        assert_string_equal(text, redo[i].again);
    }
}

static void at_rest(void **state)
{
    (void)state;
    static const struct {
        const char *written;
        bool rest;
    } ends[] = {{"x", true},          {E, false},          {E "[", false},      {E "[?10", false},
                {E "]0;x", false},    {E "]0;x" E, false}, {E "(", false},      {E "[1?", false},
                {E "]0;x\x07", true}, {E "[m", true},      {E "P" E "\\", true}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct term_modes modes = {0};
        term_modes_feed(&modes, ends[i].written, strlen(ends[i].written));
        assert_int_equal(term_modes_at_rest(&modes), ends[i].rest);
    }
    struct term_modes modes = {0};
    assert_false(term_modes_alternate(modes.set));
    term_modes_feed(&modes, E "[?1047h", 8);
    assert_true(term_modes_alternate(modes.set));
}

/* However much is set, it fits. */
static void the_most(void **state)
{
    (void)state;
    struct term_modes modes = {
        .set = UINT32_MAX, .kitty_flags = 255, .cursor_shape = 255, .other_keys = 255};
    char text[TERM_MODES_TEXT_BYTES];
    assert_true(term_modes_undo(UINT32_MAX, text) < sizeof text);
    assert_true(term_modes_redo(&modes, text) < sizeof text);
    assert_true(sizeof modes <= 512);
    for (int i = 0; i < 100; i++)
        term_modes_feed(&modes, E "[>1u", 5);
    assert_true(term_modes_undo(modes.set, text) < sizeof text);
    assert_non_null(strstr(text, E "[<15u"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(set_again),
        cmocka_unit_test(at_rest),
        cmocka_unit_test(the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
