/* SOCKS, in pieces of every size; and what the server says of a forwarded connection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "afar/channel.h"
#include "afar/socks.h"

#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *what;
    const char *data;
    size_t size;
    const char *target; /* NULL: it is refused */
    const char *reply;  /* all that is sent before the connection is made, or at the refusal */
    size_t reply_size;
} table[] = {
    {"5, a name", BYTES("\5\1\0\5\1\0\3\3web\0\120"), "web:80", BYTES("\5\0")},
    {"5, IPv4", BYTES("\5\2\0\2\5\1\0\1\177\0\0\1\1\0"), "127.0.0.1:256", BYTES("\5\0")},
    {"5, IPv6", BYTES("\5\1\0\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\11"), "[::1]:9",
     BYTES("\5\0")},
    {"5, no method", BYTES("\5\1\2"), NULL, BYTES("\5\377")},
    {"5, none at all", BYTES("\5\0"), NULL, BYTES("\5\377")},
    {"5, BIND", BYTES("\5\1\0\5\2\0\1\177\0\0\1\0\1"), NULL, BYTES("\5\0\5\7\0\1\0\0\0\0\0\0")},
    {"5, UDP", BYTES("\5\1\0\5\3\0\1\177\0\0\1\0\1"), NULL, BYTES("\5\0\5\7\0\1\0\0\0\0\0\0")},
    {"5, an address of another kind", BYTES("\5\1\0\5\1\0\2\177\0\0\1\0\1"), NULL,
     BYTES("\5\0\5\10\0\1\0\0\0\0\0\0")},
    {"5, no name", BYTES("\5\1\0\5\1\0\3\0\0\120"), NULL, BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"5, a bad name", BYTES("\5\1\0\5\1\0\3\3a\nb\0\120"), NULL, BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"5, a name with a NUL", BYTES("\5\1\0\5\1\0\3\3a\0b\0\120"), NULL,
     BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"5, port 0", BYTES("\5\1\0\5\1\0\3\3web\0\0"), NULL, BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"5, then 4", BYTES("\5\1\0\4\1\0\3\3web\0\120"), NULL, BYTES("\5\0\5\1\0\1\0\0\0\0\0\0")},
    {"4", BYTES("\4\1\0\120\177\0\0\1me\0"), "127.0.0.1:80", BYTES("")},
    {"4, nobody", BYTES("\4\1\0\120\177\0\0\1\0"), "127.0.0.1:80", BYTES("")},
    {"4a", BYTES("\4\1\0\120\0\0\0\1me\0web\0"), "web:80", BYTES("")},
    {"4a, a bad name", BYTES("\4\1\0\120\0\0\0\1me\0w b\0"), NULL, BYTES("\0\133\0\0\0\0\0\0")},
    {"4, BIND", BYTES("\4\2\0\120\177\0\0\1\0"), NULL, BYTES("\0\133\0\0\0\0\0\0")},
    {"HTTP", BYTES("GET / HTTP/1.0\r\n"), NULL, BYTES("")},
    {"TLS", BYTES("\26\3\1"), NULL, BYTES("")},
    {"zeros", BYTES("\0\0\0"), NULL, BYTES("")},
};

/* Gives it in pieces of `piece` bytes, and looks at what it says to each. */
static void converse(size_t i, size_t piece)
{
    struct socks socks = {0};
    uint8_t held[SOCKS_REQUEST_BYTES];
    uint8_t replies[64];
    size_t size = 0;
    size_t given = 0;
    size_t replied = 0;
    enum socks_next next = SOCKS_MORE;
    while (next == SOCKS_MORE || next == SOCKS_ANSWER) {
        size_t used = 0;
        if (next == SOCKS_MORE) {
            size_t more = table[i].size - given < piece ? table[i].size - given : piece;
            if (more == 0)
                fail_msg("%s: it wants more", table[i].what);
            memcpy(held + size, table[i].data + given, more);
            given += more;
            size += more;
        }
        next = socks_take(&socks, held, size, &used);
        assert_true(used <= size);
        size -= used;
        memmove(held, held + used, size);
        if (next != SOCKS_MORE && next != SOCKS_CONNECT) {
            memcpy(replies + replied, socks.reply, socks.reply_size);
            replied += socks.reply_size;
        }
    }
    if ((next == SOCKS_CONNECT) != (table[i].target != NULL) ||
        (next == SOCKS_CONNECT && strcmp(socks.target, table[i].target) != 0))
        fail_msg("%s, by %zu: '%s'", table[i].what, piece, socks.target);
    if (replied != table[i].reply_size || memcmp(replies, table[i].reply, replied) != 0)
        fail_msg("%s, by %zu: %zu bytes, the last %u", table[i].what, piece, replied,
                 replied > 0 ? replies[replied - 1] : 0);
}

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (size_t piece = 1; piece <= table[i].size; piece++)
            converse(i, piece);
    }
}

/* It would wait for ever, if its reader did not count. */
static void test_endless(void **state)
{
    struct socks socks = {0};
    uint8_t data[SOCKS_REQUEST_BYTES];
    size_t used = 0;
    (void)state;
    memset(data, 'u', sizeof data);
    data[0] = 4;
    assert_int_equal(socks_take(&socks, data, sizeof data, &used), SOCKS_MORE);
    assert_int_equal(used, 0);
}

static void test_answers(void **state)
{
    struct socks five = {.version = 5};
    struct socks four = {.version = 4};
    static const uint8_t codes[] = {0, 1, 4, 5, 4, 6, 1};
    (void)state;
    for (unsigned end = FORWARD_ENDED; end <= FORWARD_FAILED; end++) {
        socks_answer(&five, (enum forward_end)end);
        assert_int_equal(five.reply_size, 10);
        assert_int_equal(five.reply[0], 5);
        assert_int_equal(five.reply[1], codes[end]);
        socks_answer(&four, (enum forward_end)end);
        assert_int_equal(four.reply_size, 8);
        assert_int_equal(four.reply[1], end == FORWARD_ENDED ? 90 : 91);
    }
}

/* ---- what the server says of it ---- */

static void count(void *user)
{
    ++*(int *)user;
}

static void hear(struct channel *channel, const char *text, size_t piece)
{
    for (size_t at = 0; text[at] != '\0'; at += piece) {
        size_t left = strlen(text + at);
        channel_hear(channel, text + at, left < piece ? left : piece);
        if (left < piece)
            return;
    }
}

static void test_channel(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 40; piece++) {
        int connected = 0;
        struct channel channel = {.connected = count, .user = &connected};
        hear(&channel, "odd words\nconnected 127.0.0.1:80\n", piece);
        assert_int_equal(connected, 1);
        assert_string_equal(channel.said, "odd words");
        channel_sees_output(&channel);
        assert_int_equal(connected, 1);
        channel_wrote(&channel, 3);
        hear(&channel, "eof 5\n", piece);
        assert_false(channel_output_is_over(&channel));
        channel_wrote(&channel, 2);
        assert_true(channel_output_is_over(&channel));
        assert_false(channel_output_is_over(&channel)); /* once */
        hear(&channel, "the connection was lost: x\n", piece);
        assert_string_equal(channel.said, "the connection was lost: x");
    }
}

/* Output tells, too; the line may come later. A line without end takes no more room. */
static void test_channel_odd(void **state)
{
    int connected = 0;
    struct channel channel = {.connected = count, .user = &connected};
    (void)state;
    channel_sees_output(&channel);
    hear(&channel, "connected x\n", 1);
    assert_int_equal(connected, 1);
    for (int i = 0; i < 5000; i++)
        channel_hear(&channel, "x", 1);
    channel_hear(&channel, "\n", 1);
    assert_int_equal(strlen(channel.said), CHANNEL_LINE_BYTES - 1);
    struct channel quiet = {.connected = NULL};
    channel_sees_output(&quiet);
    assert_true(quiet.is_connected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),    cmocka_unit_test(test_endless),
        cmocka_unit_test(test_answers),     cmocka_unit_test(test_channel),
        cmocka_unit_test(test_channel_odd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
