// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "client/json_line.h"
#include "support/alloc_fault.h"

static void check(const char *header, const void *payload, size_t size, const char *expected)
{
    struct buffer line;
    buffer_init(&line, JSON_LINE_MAX_BYTES);
    assert_int_equal(
        json_line_render(&line, (const uint8_t *)header, strlen(header), payload, size, NULL),
        AFAR_OK);
    assert_string_equal((const char *)buffer_head(&line), expected);
    assert_int_equal(buffer_size(&line), strlen(expected) + 1);
    buffer_close(&line);
}

static void test_header_alone(void **state)
{
    (void)state;
    check("{\"type\":\"pong\"}", NULL, 0, "{\"type\":\"pong\"}");
    check("{\"a\":{\"b\":1}}", NULL, 0, "{\"a\":{\"b\":1}}");
}

static void test_line_breaks_in_the_header(void **state)
{
    (void)state;
    check("{\n \"type\":\r\n\"pong\"\t\n}\n ", "x", 1, "{  \"type\":  \"pong\",\"data\":\"x\"}");
}

static void test_text_is_escaped(void **state)
{
    (void)state;
    check("{\"a\":1}", "q\"b\\n\nr\rt\tz\0e\033d\177\xc3\xa9", 18,
          "{\"a\":1,\"data\":\"q\\\"b\\\\n\\nr\\rt\\tz\\u0000e\\u001bd\\u007f\xc3\xa9\"}");
}

/* Whoever shows the line on a terminal shall see text and nothing else. */
static void test_what_a_terminal_would_obey(void **state)
{
    (void)state;
    check("{\"a\":\"\x7F\xC2\x9B\"}", "\xC2\x9B\xE2\x80\xAE", 5,
          "{\"a\":\"\\u007f\\u009b\",\"data\":\"\\u009b\\u202e\"}");
}

static void test_other_bytes_are_base64(void **state)
{
    (void)state;
    check("{\"a\":1}", "\xff", 1, "{\"a\":1,\"data_base64\":\"/w==\"}");
    check("{\"a\":1}", "\xc3", 1, "{\"a\":1,\"data_base64\":\"ww==\"}");
    check("{\"a\":1}", "\xff\0a", 3, "{\"a\":1,\"data_base64\":\"/wBh\"}");
}

static void test_replaces_what_was_there(void **state)
{
    (void)state;
    struct buffer line;
    buffer_init(&line, JSON_LINE_MAX_BYTES);
    for (int i = 0; i < 2; i++)
        assert_int_equal(json_line_render(&line, (const uint8_t *)"{\"a\":1}", 7, NULL, 0, NULL),
                         AFAR_OK);
    assert_string_equal((const char *)buffer_head(&line), "{\"a\":1}");
    buffer_close(&line);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    static uint8_t payload[2000];
    memset(payload, 'a', sizeof payload);
    for (int n = 1;; n++) {
        struct buffer line;
        buffer_init(&line, JSON_LINE_MAX_BYTES);
        payload[0] = n % 2 == 0 ? 'a' : 0xFF;
        alloc_fault_arm(n);
        enum afar_status status =
            json_line_render(&line, (const uint8_t *)"{\"a\":1}", 7, payload, sizeof payload, NULL);
        buffer_close(&line);
        if (!alloc_fault_fired()) {
            assert_int_equal(status, AFAR_OK);
            assert_true(n > 1);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_alone),
        cmocka_unit_test(test_line_breaks_in_the_header),
        cmocka_unit_test(test_text_is_escaped),
        cmocka_unit_test(test_what_a_terminal_would_obey),
        cmocka_unit_test(test_other_bytes_are_base64),
        cmocka_unit_test(test_replaces_what_was_there),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
