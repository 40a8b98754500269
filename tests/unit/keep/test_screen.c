/* Where a terminal that has seen nothing can begin to read, and what it is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "keep/screen.h"
#include "support/seeded.h"

#define E "\x1b"

enum { OUTPUT_BYTES = 300000, CUTS = 200 };

static uint8_t output[OUTPUT_BYTES];

/* As the keeper does: a frame for each part. Returns the number of the next one. */
static uint64_t feed(struct screen *screen, uint64_t seq, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        bool point = false;
        size_t part = screen_feed(screen, at, size, &point);
        assert_true(part > 0 && part <= size);
        seq++;
        if (point)
            screen_mark(screen, seq);
        at += part;
        size -= part;
    }
    return seq;
}

static uint64_t feed_text(struct screen *screen, uint64_t seq, const char *text)
{
    return feed(screen, seq, text, strlen(text));
}

/* Lines of so many bytes in all. */
static uint64_t feed_lines(struct screen *screen, uint64_t seq, size_t size)
{
    memset(output, 'x', sizeof output);
    for (size_t at = 79; at < size; at += 80)
        output[at] = '\n';
    return feed(screen, seq, output, size);
}

static void it_begins_with_the_program(void **state)
{
    (void)state;
    struct screen screen;
    struct screen_point found;
    screen_begin(&screen, 0, 0);
    assert_true(screen_find(&screen, 0, &found));
    (void)feed_text(&screen, 0, "a\nb\n$ ");
    assert_true(screen_find(&screen, 6, &found));
    assert_true(found.seq == 0 && found.bytes == 0);
    assert_false(screen_find(&screen, 5, &found)); /* nothing so near the end */
}

static void the_oldest_within_the_tail(void **state)
{
    (void)state;
    struct screen screen;
    struct screen_point found;
    screen_begin(&screen, 0, 0);
    (void)feed_lines(&screen, 0, 40000);
    assert_true(screen_find(&screen, 10000, &found));
    assert_true(found.bytes >= 30000 && found.bytes <= 30000 + SCREEN_POINT_BYTES + 80);
    assert_true(found.bytes % 80 == 0);
    assert_true(screen_find(&screen, 40000, &found) && found.seq == 0);
    /* They are so many that they reach further than what is asked for by default. */
    (void)feed_lines(&screen, found.seq, 200000);
    assert_true(screen_find(&screen, 65536, &found));
    assert_true(screen.bytes - found.bytes > 60000);
    /* Not known from the beginning. */
    screen_begin(&screen, 7, 1000);
    assert_false(screen_find(&screen, 10000, &found));
    (void)feed_text(&screen, 7, "rest of a line\nwhole");
    assert_true(screen_find(&screen, 10000, &found));
    assert_true(found.seq == 8 && found.bytes == 1015);
}

static void another_screen(void **state)
{
    (void)state;
    struct screen screen;
    struct screen_point found;
    char modes[TERM_MODES_TEXT_BYTES];
    screen_begin(&screen, 0, 0);
    uint64_t seq = feed_lines(&screen, 0, 20000);
    seq = feed_text(&screen, seq, "$ vim\n" E "[?1049h" E "[?25lline\nline\n");
    assert_false(screen_find(&screen, 65536, &found));
    (void)term_modes_redo(&screen.modes, modes);
    assert_string_equal(modes, E "[?1049h" E "[?25l");
    seq = feed_lines(&screen, seq, 20000);
    assert_false(screen_find(&screen, 65536, &found));
    /* From where it is left on, and nothing of before. */
    const uint64_t before = screen.bytes;
    seq = feed_text(&screen, seq, "x" E "[?1049l" E "[?25h$ ");
    assert_true(screen_find(&screen, 65536, &found));
    assert_int_equal(found.bytes, before + 9);
    assert_int_equal(found.seq, seq - 1);
    /* One that comes and goes at once can be shown again with all that is around it. */
    (void)feed_text(&screen, seq, "less\n" E "[?1049h" E "[?1049l$ ");
    assert_true(screen_find(&screen, 65536, &found));
    assert_int_equal(found.bytes, before + 9);
}

/* Who sees nothing of before gets the beginning of what is under way, so that the rest is no text. */
static void in_the_middle_of_a_sequence(void **state)
{
    (void)state;
    static const struct {
        const char *written;
        const char *told; /* behind the modes */
    } table[] = {
        {"text", ""},
        {"text" E, E},
        {"text" E "[38;5", E "[38;5"},
        {E "[1m" E "[3\r\x7f"
           "8;5",
         E "[38;5"},
        {E "[3" E "[", E "["},
        {E "[38;5;1m", ""},
        {E "(", E "("},
        {E "]0;title", E "]0;title"},
        {E "]0;title" E, E}, /* half of its end, which alone is nothing */
        {E "]0;\xc3\xa9", E "]9999;"},
        {E "]0;012345678901234567890123456789012345678901234567890123456789",
         E "]0;012345678901234567890123456789012345678901234567890123456789"},
        {E "]0;01234567890123456789012345678901234567890123456789012345678901", E "]9999;"},
        {E "Pq01234567890123456789012345678901234567890123456789012345678901", E "X"},
        {E "[0;1;2;3;4;5;6;7;8;9;0;1;2;3;4;5;6;7;8;9;0;1;2;3;4;5;6;7;8;9;0;1;2", E "["},
        {E "]0;01234567890123456789012345678901234567890123456789012345678901\x07" E "[3", E "[3"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (size_t piece = 1; piece <= 100; piece += 33) {
            struct screen screen;
            char told[TERM_MODES_TEXT_BYTES];
            uint64_t seq = 0;
            screen_begin(&screen, 0, 0);
            seq = feed_text(&screen, seq, E "[?1049h");
            for (const char *at = table[i].written; *at != '\0';) {
                const size_t size = strnlen(at, piece);
                seq = feed(&screen, seq, at, size);
                at += size;
            }
            screen_tell(&screen, false, told);
            assert_string_equal(told, E "[?1049h");
            screen_tell(&screen, true, told);
            assert_int_equal(strncmp(told, E "[?1049h", 8), 0);
            assert_string_equal(told + 8, table[i].told);
        }
    }
}

/* Of bytes in any pieces: a point is the end of a line and no part of a sequence; what is read from
 * there on sets the same modes. */
static void any_output(void **state)
{
    (void)state;
    static const char *const words[] = {
        "text ",          "\r\n",          "\n",        E "[31m",    E "[0m",
        E "[1;24r",       E "]0;a\nb\x07", E "[?2004h", E "[?2004l", "\xc3\xa9",
        E "P\n\n" E "\\", E "(0",          E "(B"};
    struct seeded seeded = {.state = 16};
    size_t size = 0;
    while (size < OUTPUT_BYTES - 16) {
        const char *word = words[seeded_below(&seeded, sizeof words / sizeof words[0])];
        memcpy(output + size, word, strlen(word));
        size += strlen(word);
    }
    for (int i = 0; i < CUTS; i++) {
        struct screen screen;
        struct screen_point found;
        const size_t end = seeded_below(&seeded, (unsigned)size);
        uint64_t seq = 0;
        screen_begin(&screen, 0, 0);
        for (size_t at = 0; at < end;) {
            size_t part = seeded_size(&seeded, 4096);
            part = part < end - at ? part : end - at;
            seq = feed(&screen, seq, output + at, part);
            at += part;
        }
        assert_int_equal(screen.bytes, end);
        assert_true(screen_find(&screen, 65536, &found) || end < SCREEN_POINT_BYTES);
        if (!screen_find(&screen, 65536, &found) || found.bytes == 0)
            continue;
        assert_int_equal(output[found.bytes - 1], '\n');
        struct term_modes there = {0};
        term_modes_feed(&there, output, found.bytes);
        assert_true(term_modes_at_rest(&there));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_the_program),
        cmocka_unit_test(the_oldest_within_the_tail),
        cmocka_unit_test(another_screen),
        cmocka_unit_test(in_the_middle_of_a_sequence),
        cmocka_unit_test(any_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
