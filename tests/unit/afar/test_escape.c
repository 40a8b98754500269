#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "afar/escape.h"

#define BEGIN "\x1b[200~"
#define END "\x1b[201~"

/* What the command gets, with what is done as <…> at its place. */
static void type(int character, const char *keys, bool marked, size_t piece, char *got)
{
    static const char *const names[] = {"",          "<hang up>", "<detach>",
                                        "<suspend>", "<state>",   "<help>"};
    struct escape escape;
    char out[256];
    size_t size = strlen(keys);
    escape_init(&escape, character);
    got[0] = '\0';
    for (size_t at = 0; at < size;) {
        size_t length = size - at < piece ? size - at : piece;
        size_t out_size = 0;
        enum escape_action action = ESCAPE_NOTHING;
        size_t taken = escape_take(&escape, keys + at, length, marked, out, &out_size, &action);
        assert_true(taken > 0 && taken <= length);
        assert_true(taken == length || action != ESCAPE_NOTHING);
        assert_true(out_size <= taken + 1);
        strncat(got, out, out_size);
        strcat(got, names[action]);
        at += taken;
    }
    if (escape.held)
        strcat(got, "<held>");
}

static const struct {
    int character;
    bool marked;
    const char *keys;
    const char *got;
} table[] = {
    {'~', false, "ls\r", "ls\r"},
    {'~', false, "~.", "<hang up>"},
    {'~', false, "~d", "<detach>"},
    {'~', false, "~\x1a", "<suspend>"},
    {'~', false, "~s", "<state>"},
    {'~', false, "~?", "<help>"},
    {'~', false, "x~.", "x~."},
    {'~', false, "x\r~.", "x\r<hang up>"},
    {'~', false, "x\n~.", "x\n<hang up>"},
    {'~', false, "~", "<held>"},
    {'~', false, "~~", "~"},
    {'~', false, "~~.", "~."},
    {'~', false, "~~~.", "~~."},
    {'~', false, "\r~~.\r~.", "\r~.\r<hang up>"},
    {'~', false, "~x", "~x"},
    {'~', false, "~x~.", "~x~."},
    {'~', false, "~\r~.", "~\r<hang up>"},
    {'~', false, "~ .", "~ ."},
    {'~', false, "~?~?x", "<help><help>x"},
    {'~', false, "~?ls\r", "<help>ls\r"},
    {'~', false, "\x10\x11", "\x10\x11"}, /* docker's keys are a program's here */
    {'~', false, "cd ~/x\r~/bin/y\r", "cd ~/x\r~/bin/y\r"},
    /* Another character, or none. */
    {ESCAPE_NONE, false, "~.", "~."},
    {ESCAPE_NONE, false, "\r\xff.", "\r\xff."},
    {0x1d, false, "~.\x1d.", "~.\x1d."},
    {0x1d, false, "\x1d.", "<hang up>"},
    {0x1d, false, "\x1d\x1d", "\x1d"},
    {0xe9, false, "\xe9.", "<hang up>"},
    /* Pastes, where they are marked. */
    {'~', true, BEGIN "x\r~.\r" END "~.", BEGIN "x\r~.\r" END "~."},
    {'~', true, BEGIN "~." END "\r~.", BEGIN "~." END "\r<hang up>"},
    {'~', true, "\x1b" BEGIN "\r~." END "\r~.", "\x1b" BEGIN "\r~." END "\r<hang up>"},
    {'~', true, "\x1b[20" BEGIN "\r~?", "\x1b[20" BEGIN "\r~?"},
    {'~', true, BEGIN "\r~." BEGIN "\r~." END "\r~?", BEGIN "\r~." BEGIN "\r~." END "\r<help>"},
    {'~', true, END "\r~.", END "\r<hang up>"},
    {'~', false, BEGIN "\r~.", BEGIN "\r<hang up>"},
};

static void tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (size_t piece = 1; piece < 40; piece++) {
            char got[512];
            type(table[i].character, table[i].keys, table[i].marked, piece, got);
            if (strcmp(got, table[i].got) != 0)
                fail_msg("%zu, in pieces of %zu: '%s', not '%s'", i, piece, got, table[i].got);
        }
    }
}

/* A program that ends without saying that pastes are no longer marked leaves us no way in. */
static void a_paste_that_never_ends(void **state)
{
    (void)state;
    struct escape escape;
    char out[64];
    size_t out_size = 0;
    enum escape_action action = ESCAPE_NOTHING;
    escape_init(&escape, '~');
    (void)escape_take(&escape, BEGIN "\r", 7, true, out, &out_size, &action);
    (void)escape_take(&escape, "x\r", 2, false, out, &out_size, &action);
    assert_int_equal(escape_take(&escape, "~.", 2, false, out, &out_size, &action), 2);
    assert_int_equal(action, ESCAPE_HANG_UP);
}

static void characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int character; /* 999: refused */
    } texts[] = {{"~", '~'},    {"none", ESCAPE_NONE},
                 {"^]", 0x1d},  {"^@", 0},
                 {"^_", 0x1f},  {"^", '^'},
                 {"%", '%'},    {"", 999},
                 {"no", 999},   {"^^", 0x1e},
                 {"^a", 999},   {"^]x", 999},
                 {"\n", 999},   {"\r", 999},
                 {"\xe9", 0xe9}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int character = 999;
        assert_int_equal(escape_parse(texts[i].text, &character), texts[i].character != 999);
        assert_int_equal(character, texts[i].character);
    }
}

static void names(void **state)
{
    (void)state;
    static const struct {
        int character;
        const char *name;
    } wanted[] = {{'~', "~"},   {0x1d, "^]"},          {0, "^@"},
                  {0x7f, "^?"}, {ESCAPE_NONE, "none"}, {0xe9, "\\351"}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char name[ESCAPE_NAME_BYTES];
        escape_name(wanted[i].character, name);
        assert_string_equal(name, wanted[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(a_paste_that_never_ends),
        cmocka_unit_test(characters),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
