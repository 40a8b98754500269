/* A kept command's terminal is found in the middle of what its program writes, as it mostly is: whoever
 * comes sees no part of an escape sequence as text, on either screen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/keeping.h"
#include "support/seeded.h"
#include "support/terminal.h"
#include "wire/term_modes.h"

#define E "\x1b"

enum { CUTS = 200, WORDS_A_PIECE = 120, PIECE_BYTES = 16384 };

static struct keeping keeping;
static struct terminal person;
static int go_fd;   /* to the command: how much it is to write … */
static int done_fd; /* … and from it: that it has */
static int stream_fd;
static struct seeded seeded = {.state = 22};

/* All that is to be seen of these is x. */
static const char *const words[] = {"x",
                                    "xxxx",
                                    "\r\n",
                                    E "[38;5;17m",
                                    E "[0m",
                                    E "[12;40H",
                                    E "[?25l",
                                    E "[?25h",
                                    E "[2;20r",
                                    E "[r",
                                    E "[4 q",
                                    E "(0",
                                    E "(B",
                                    E "]0;a title\x07",
                                    E "]8;;http://host/\xc3\xa9" E "\\",
                                    E "P1$r0m" E "\\",
                                    E "[>4;2m",
                                    E "=",
                                    E "]52;c;VGhpcyBpcyBhIHRleHQgdGhhdCBpcyBwdXQgb24gdGhlIGNsaXBib2"
                                      "FyZCBhbmQgaXMgbG9uZ2VyIHRoYW4gYW55IG90aGVyIHNlcXVlbmNl\x07"};

/* What is written for the number: its end is "<number>" on the main screen, with no modes set. */
static size_t make_piece(unsigned number, char piece[PIECE_BYTES])
{
    size_t used = 0;
    const bool other = number % 2 != 0;
#define PUT(...) (used += (size_t)snprintf(piece + used, PIECE_BYTES - used, __VA_ARGS__))
    PUT("%s" E "[?2004h" E "[?1h", other ? E "[?1049h" : "");
    for (int i = 0; i < WORDS_A_PIECE; i++)
        PUT("%s", words[seeded_below(&seeded, sizeof words / sizeof words[0])]);
    PUT(E "[?2004l" E "[?1l" E "[>4;0m" E ">" E "(B" E "[r" E "[0 q" E "[?25h" E "[0m%s\r\n<%u>",
        other ? E "[?1049l" : "", number);
#undef PUT
    assert_true(used < PIECE_BYTES);
    return used;
}

static int make_channel(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", keeping.folder, name);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    char path[128];
    char line[512];
    keeping_open(&keeping, NULL);
    go_fd = make_channel("go");
    done_fd = make_channel("done");
    (void)snprintf(path, sizeof path, "%s/stream", keeping.folder);
    stream_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(stream_fd >= 0);
    (void)snprintf(line, sizeof line,
                   "cd %s; stty raw -echo; exec 3<stream 4<go 5>done; while read n <&4; do "
                   "dd bs=$n count=1 <&3 2>&-; echo >&5; done",
                   keeping.folder);
    assert_int_equal(keeping_afar(NULL, KEEPING_WORDS("run", "-d", "-t", "-s", "--once", "cut",
                                                      keeping.url, "--", line)),
                     0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)close(go_fd);
    assert_int_equal(keeping_afar(NULL, KEEPING_WORDS("wait", keeping.url, "once:cut")), 0);
    (void)close(done_fd);
    (void)close(stream_fd);
    keeping_close(&keeping);
    return 0;
}

/* The command writes these bytes, and has. */
static void show(const char *data, size_t size)
{
    struct pollfd done = {.fd = done_fd, .events = POLLIN};
    char line[32];
    assert_int_equal(write(stream_fd, data, size), size);
    const int length = snprintf(line, sizeof line, "%zu\n", size);
    assert_int_equal(write(go_fd, line, (size_t)length), length);
    assert_int_equal(poll(&done, 1, (int)test_deadline_ms()), 1);
    assert_int_equal(read(done_fd, line, 1), 1);
}

/* Of what has come to a terminal that had shown nothing, up to there. */
static void expect_no_rest(const char *shown, const char *end, unsigned number)
{
    struct term_modes modes = {0};
    for (const char *at = shown; at < end; at++) {
        const bool before = term_modes_at_rest(&modes);
        term_modes_feed(&modes, at, 1);
        if (!before || !term_modes_at_rest(&modes) || strchr("x\r\n", *at) != NULL)
            continue;
        /* The end of a piece, maybe of one before this, which is shown again. */
        const char *close = *at == '<' ? memchr(at, '>', (size_t)(end - at)) : NULL;
        const char *from = at - shown > 40 ? at - 40 : shown;
        if (close == NULL)
            fail_msg("cut %u: text is '%.20s', after '%.*s'", number, at, (int)(at - from), from);
        else
            at = close;
    }
}

static void at_any_point(void **state)
{
    (void)state;
    static char piece[PIECE_BYTES];
    char mark[32];
    const char *argv[] = {"afar", "attach", keeping.url, "once:cut", NULL};
    for (unsigned i = 0; i < CUTS; i++) {
        const size_t size = make_piece(i, piece);
        const size_t cut = 1 + seeded_below(&seeded, (unsigned)size - 40);
        show(piece, cut);
        terminal_start_at(&person, argv, (unsigned short)(20 + i % 7), 80);
        terminal_await(&person, E "[K"); /* it begins */
        show(piece + cut, size - cut);
        (void)snprintf(mark, sizeof mark, "<%u>", i);
        terminal_await(&person, mark);
        expect_no_rest(person.text, person.text + person.seen, i);
        terminal_type(&person, "~d");
        assert_int_equal(terminal_finish(&person), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_any_point, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
