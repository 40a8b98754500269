/* When a connection may be the next client's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "afar/share/track.h"

enum { FRAME_BYTES = 512, PAYLOAD_BYTES = 100 };

static struct track track;

static int set_up(void **state)
{
    (void)state;
    track_init(&track);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    track_close(&track);
    return 0;
}

/* A frame of this header, with room for a payload behind. */
static size_t frame(uint8_t out[FRAME_BYTES], const char *header)
{
    size_t size = strlen(header);
    frame_put_prefix(out, size);
    memcpy(out + FRAME_PREFIX_BYTES, header, size);
    return FRAME_PREFIX_BYTES + size;
}

static void client_says(const char *header)
{
    uint8_t data[FRAME_BYTES];
    size_t size = frame(data, header);
    assert_int_equal(track_from_client(&track, data, size), size);
}

static void server_says(const char *header)
{
    uint8_t data[FRAME_BYTES];
    size_t size = frame(data, header);
    assert_int_equal(track_from_server(&track, data, size), size);
}

#define EXEC "{\"type\":\"exec\",\"v\":1,\"id\":5000000000,\"argv\":[\"true\"]}"
#define STARTED                                                                             \
    "{\"type\":\"started\",\"id\":5000000000,\"job\":\"00000000000000000000000000000001\"," \
    "\"window\":65536}"

static void a_request_that_was_answered_is_over(void **state)
{
    (void)state;
    assert_true(track_is_idle(&track));
    client_says(EXEC);
    assert_false(track_is_idle(&track));
    server_says(STARTED);
    assert_false(track_is_idle(&track));
    server_says("{\"type\":\"error\",\"id\":5000000000,\"code\":\"denied\",\"message\":\"no\"}");
    assert_true(track_is_idle(&track));
    client_says("{\"type\":\"ack\",\"id\":5000000000,\"next\":1}");
    assert_true(track_is_idle(&track));
    client_says("{\"type\":\"ping\",\"id\":5000000001}");
    assert_false(track_is_idle(&track));
    server_says("{\"type\":\"pong\",\"id\":5000000001}");
    assert_true(track_is_idle(&track));
}

/* In pieces of every size; a payload is not waited for. */
static void pieces_are_put_together(void **state)
{
    (void)state;
    uint8_t data[FRAME_BYTES + PAYLOAD_BYTES] = {0};
    size_t head = frame(data, "{\"type\":\"stdin\",\"id\":5000000000,\"offset\":0,\"size\":100}");
    for (size_t piece = 1; piece < head + PAYLOAD_BYTES; piece++) {
        size_t passed = 0;
        for (size_t end = piece; passed < head + PAYLOAD_BYTES; end += piece) {
            size_t most = end < head + PAYLOAD_BYTES ? end : head + PAYLOAD_BYTES;
            size_t some = track_from_client(&track, data + passed, most - passed);
            assert_true(passed + some == 0 || passed + some == most);
            passed += some;
            assert_int_equal(track_is_idle(&track), passed == 0 || passed == head + PAYLOAD_BYTES);
        }
    }
    assert_true(track_is_idle(&track));
}

static void what_another_must_not_inherit(void **state)
{
    (void)state;
    static const char *const from_server[] = {
        "{\"type\":\"closing\",\"reason\":\"draining\"}",
        "{\"type\":\"error\",\"code\":\"busy\",\"message\":\"full\"}",
        "{\"type\":\"pong\",\"id\":5000000001}", "{\"type\":\"later\",\"id\":5000000001}"};
    for (size_t i = 0; i < sizeof from_server / sizeof from_server[0]; i++) {
        server_says(from_server[i]);
        assert_false(track_is_idle(&track));
        track_close(&track);
        track_init(&track);
    }
    /* The next client would count up from 1, too. */
    client_says("{\"type\":\"ping\",\"id\":1}");
    server_says("{\"type\":\"pong\",\"id\":1}");
    assert_false(track_is_idle(&track));
}

/* It is passed on, for the server to refuse. */
static void what_is_no_frame_is_passed(void **state)
{
    (void)state;
    static const uint8_t bad[] = "GET / HTTP/1.1\r\n";
    assert_int_equal(track_from_client(&track, bad, sizeof bad), sizeof bad);
    assert_false(track_is_idle(&track));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_that_was_answered_is_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pieces_are_put_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_another_must_not_inherit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_frame_is_passed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
