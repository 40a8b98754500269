/* Lines of a recording: whatever a terminal shows, in whatever pieces, is a string of JSON. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "job/cast.h"

enum { ROOM = 1 << 16 };

static void assert_text(struct buffer *out, const char *wanted)
{
    assert_int_equal(buffer_append(out, "", 1, NULL), AFAR_OK);
    assert_string_equal((const char *)buffer_head(out), wanted);
    buffer_close(out);
}

/* Its pieces, one event after another. */
static void assert_pieces(const char *const *pieces, const char *wanted)
{
    struct cast cast = {0};
    struct buffer out;
    buffer_init(&out, ROOM);
    for (size_t i = 0; pieces[i] != NULL; i++)
        assert_int_equal(
            cast_put_output(&cast, &out, 1500000 * (int64_t)(i + 1), pieces[i], strlen(pieces[i])),
            AFAR_OK);
    assert_text(&out, wanted);
}

#define PIECES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void output(void **state)
{
    (void)state;
    assert_pieces(PIECES("a\r\n\x1b[1m\"\\\x7f"),
                  "[1.500000, \"o\", \"a\\u000d\\u000a\\u001b[1m\\u0022\\u005c\\u007f\"]\n");
    assert_pieces(PIECES("\xc3\xa9\xe2\x82\xac"), "[1.500000, \"o\", \"\xc3\xa9\xe2\x82\xac\"]\n");
    /* Characters that are cut wait for their end. */
    assert_pieces(PIECES("a\xe2", "\x82",
                         "\xac"
                         "b"),
                  "[1.500000, \"o\", \"a\"]\n[4.500000, \"o\", \"\xe2\x82\xac"
                  "b\"]\n");
    assert_pieces(PIECES("\xf0\x9f", "\x98\x80"), "[3.000000, \"o\", \"\xf0\x9f\x98\x80\"]\n");
    /* What is none never was. */
    assert_pieces(PIECES("\xff\x80"), "[1.500000, \"o\", \"\xef\xbf\xbd\xef\xbf\xbd\"]\n");
    assert_pieces(PIECES("\xe2", "a"), "[3.000000, \"o\", \"\xef\xbf\xbd"
                                       "a\"]\n");
    assert_pieces(PIECES("\xc3", "\xc3", "\xa9"),
                  "[3.000000, \"o\", \"\xef\xbf\xbd\"]\n[4.500000, \"o\", \"\xc3\xa9\"]\n");
    assert_pieces(PIECES("\xed\xa0\x80"), "[1.500000, \"o\", "
                                          "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]\n");
}

static void events(void **state)
{
    (void)state;
    struct cast cast = {0};
    struct buffer out;
    buffer_init(&out, ROOM);
    assert_int_equal(cast_put_event(&cast, &out, 7, 'r', "80x24"), AFAR_OK);
    assert_int_equal(cast_put_output(&cast, &out, 8, "\xe2\x82", 2), AFAR_OK);
    assert_int_equal(cast_put_event(&cast, &out, 9, 'm', "end"), AFAR_OK);
    assert_text(&out, "[0.000007, \"r\", \"80x24\"]\n"
                      "[0.000009, \"o\", \"\xef\xbf\xbd\xef\xbf\xbd\"]\n"
                      "[0.000009, \"m\", \"end\"]\n");
    buffer_init(&out, 4);
    assert_int_equal(cast_put_event(&cast, &out, 9, 'm', "end"), AFAR_ELIMIT);
    assert_int_equal(cast_put_output(&cast, &out, 9, "abc", 3), AFAR_ELIMIT);
    buffer_close(&out);
}

/* What cast_fit allows has room, is cut between characters, and is not much less than could be. */
static void fitting(void **state)
{
    (void)state;
    static const char text[] = "a\r\n\xe2\x82\xac\x1b\xff\xf0\x9f\x98\x80\"b\xc3\xa9\xe2\x82";
    const size_t size = sizeof text - 1;
    size_t before = 0;
    for (uint64_t room = 0; room < 300; room++) {
        struct cast cast = {.held = {0xf0, 0x9f, 0x98}, .held_size = 3};
        struct buffer out;
        const size_t fits = cast_fit(text, size, room);
        buffer_init(&out, ROOM);
        assert_true(fits >= before && fits <= size);
        assert_true(fits == size || fits == 0 || ((uint8_t)text[fits] & 0xc0) != 0x80);
        assert_int_equal(cast_put_output(&cast, &out, INT64_MAX, text, fits), AFAR_OK);
        assert_true(fits == 0 || buffer_size(&out) <= room);
        assert_true(room < 2 * 64 + size * 6 || fits == size);
        before = fits;
        buffer_close(&out);
    }
}

static void headers(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, ROOM);
    const struct cast_header least = {.time_s = 5, .term = "dumb", .job = "j"};
    assert_int_equal(cast_put_header(&out, &least, NULL), AFAR_OK);
    assert_text(&out, "{\"version\": 2, \"width\": 80, \"height\": 24, \"timestamp\": 5, "
                      "\"env\": {\"TERM\": \"dumb\"}, \"afar\": {\"job\": \"j\"}}\n");
    buffer_init(&out, ROOM);
    const struct cast_header most = {.rows = 65535,
                                     .cols = 1,
                                     .time_s = 1764200000,
                                     .term = "xterm",
                                     .command = "sh -c 'a\n'",
                                     .shell = "/bin/sh",
                                     .job = "j",
                                     .identity = "cn:\"x\xff",
                                     .address = "::1",
                                     .rule = "all",
                                     .user = "u"};
    assert_int_equal(cast_put_header(&out, &most, NULL), AFAR_OK);
    assert_text(&out,
                "{\"version\": 2, \"width\": 1, \"height\": 65535, \"timestamp\": 1764200000, "
                "\"command\": \"sh -c 'a\\u000a'\", \"env\": {\"TERM\": \"xterm\", \"SHELL\": "
                "\"/bin/sh\"}, \"afar\": {\"job\": "
                "\"j\", \"identity\": \"cn:\\u0022x\xef\xbf\xbd\", \"address\": \"::1\", "
                "\"rule\": \"all\", \"user\": \"u\"}}\n");
    /* Of a long one its beginning, and no part of a character. */
    char command[CAST_COMMAND_BYTES + 3] = "";
    char wanted[CAST_COMMAND_BYTES + 32];
    memset(command, 'x', CAST_COMMAND_BYTES - 1);
    memcpy(command + CAST_COMMAND_BYTES - 1, "\xc3\xa9", 3);
    const struct cast_header is_long = {.term = "dumb", .job = "j", .command = command};
    buffer_init(&out, ROOM);
    assert_int_equal(cast_put_header(&out, &is_long, NULL), AFAR_OK);
    assert_int_equal(buffer_append(&out, "", 1, NULL), AFAR_OK);
    (void)snprintf(wanted, sizeof wanted, "\"command\": \"%.*s...\", \"env\"",
                   CAST_COMMAND_BYTES - 1, command);
    assert_non_null(strstr((const char *)buffer_head(&out), wanted));
    buffer_close(&out);
    struct afar_error err;
    buffer_init(&out, 10);
    assert_int_equal(cast_put_header(&out, &most, &err), AFAR_ELIMIT);
    buffer_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output),
        cmocka_unit_test(events),
        cmocka_unit_test(fitting),
        cmocka_unit_test(headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
