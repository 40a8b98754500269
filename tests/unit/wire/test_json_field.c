// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "support/alloc_fault.h"
#include "wire/json_field.h"
#include "wire/message.h"

static struct afar_error err;

static enum afar_status integer(const char *text, bool required, uint64_t *value)
{
    cJSON *object = cJSON_Parse(text);
    assert_non_null(object);
    enum afar_status status = json_get_integer(object, "n", required, value, &err);
    cJSON_Delete(object);
    return status;
}

static void test_integers(void **state)
{
    (void)state;
    uint64_t value = 42;
    assert_int_equal(integer("{}", false, &value), AFAR_OK);
    assert_true(value == 42);
    assert_int_equal(integer("{\"N\":1}", true, &value), AFAR_EPEER);
    assert_string_equal(err.message, "the field \"n\" is missing");
    assert_int_equal(integer("{\"n\":0}", true, &value), AFAR_OK);
    assert_true(value == 0);
    assert_int_equal(integer("{\"n\":-0}", true, &value), AFAR_OK);
    assert_true(value == 0);
    assert_int_equal(integer("{\"n\":9007199254740991}", true, &value), AFAR_OK);
    assert_true(value == MESSAGE_INTEGER_MAX);
    assert_int_equal(integer("{\"n\":1e3}", true, &value), AFAR_OK);
    assert_true(value == 1000);
    const char *const bad[] = {
        "{\"n\":-1}",
        "{\"n\":1.5}",
        "{\"n\":9007199254740992}",
        "{\"n\":18446744073709551616}",
        "{\"n\":1e400}",
        "{\"n\":-1e400}",
        "{\"n\":\"1\"}",
        "{\"n\":true}",
        "{\"n\":null}",
        "{\"n\":[1]}",
        "{\"n\":{}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        value = 42;
        assert_int_equal(integer(bad[i], false, &value), AFAR_EPEER);
        assert_true(value == 42);
        assert_string_equal(err.message, "\"n\" must be a whole number from 0 to 2^53-1");
    }
}

static void test_bools(void **state)
{
    (void)state;
    cJSON *object = cJSON_Parse("{\"t\":true,\"f\":false,\"n\":1,\"s\":\"true\",\"z\":null}");
    bool value = true;
    assert_int_equal(json_get_bool(object, "x", &value, &err), AFAR_OK);
    assert_true(value);
    assert_int_equal(json_get_bool(object, "f", &value, &err), AFAR_OK);
    assert_false(value);
    assert_int_equal(json_get_bool(object, "t", &value, &err), AFAR_OK);
    assert_true(value);
    assert_int_equal(json_get_bool(object, "n", &value, &err), AFAR_EPEER);
    assert_int_equal(json_get_bool(object, "s", &value, &err), AFAR_EPEER);
    assert_int_equal(json_get_bool(object, "z", &value, &err), AFAR_EPEER);
    cJSON_Delete(object);
}

static void test_strings_are_bounded(void **state)
{
    (void)state;
    cJSON *object = cJSON_Parse("{\"s\":\"12345\",\"n\":1,\"e\":\"\"}");
    char value[6] = "x";
    assert_int_equal(json_get_string(object, "x", false, value, sizeof value, &err), AFAR_OK);
    assert_string_equal(value, "");
    assert_int_equal(json_get_string(object, "x", true, value, sizeof value, &err), AFAR_EPEER);
    assert_int_equal(json_get_string(object, "e", true, value, sizeof value, &err), AFAR_OK);
    assert_int_equal(json_get_string(object, "s", true, value, sizeof value, &err), AFAR_OK);
    assert_string_equal(value, "12345");
    assert_int_equal(json_get_string(object, "s", true, value, 5, &err), AFAR_EPEER);
    assert_string_equal(err.message, "\"s\" has 5 bytes, 4 at most are allowed");
    assert_string_equal(value, "");
    assert_int_equal(json_get_string(object, "n", true, value, sizeof value, &err), AFAR_EPEER);
    cJSON_Delete(object);
}

static void test_lines_for_people_are_cut_and_cleaned(void **state)
{
    (void)state;
    cJSON *object = cJSON_Parse("{\"s\":\"a\\u001b[1m\u4f60\",\"n\":1}");
    char value[64] = "x";
    assert_int_equal(json_get_line(object, "x", value, sizeof value, &err), AFAR_OK);
    assert_string_equal(value, "");
    assert_int_equal(json_get_line(object, "n", value, sizeof value, &err), AFAR_EPEER);
    assert_int_equal(json_get_line(object, "s", value, sizeof value, &err), AFAR_OK);
    assert_string_equal(value, "a?[1m\u4f60");
    assert_int_equal(json_get_line(object, "s", value, 7, &err), AFAR_OK);
    assert_string_equal(value, "a?[1m");
    cJSON_Delete(object);
}

static void test_text(void **state)
{
    (void)state;
    cJSON *object = cJSON_Parse("{\"s\":\"text\",\"n\":1}");
    char *value = (char *)&err;
    assert_int_equal(json_get_text(object, "x", &value, &err), AFAR_OK);
    assert_null(value);
    assert_int_equal(json_get_text(object, "n", &value, &err), AFAR_EPEER);
    assert_null(value);
    alloc_fault_arm(1);
    assert_int_equal(json_get_text(object, "s", &value, &err), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    assert_null(value);
    assert_int_equal(json_get_text(object, "s", &value, &err), AFAR_OK);
    assert_string_equal(value, "text");
    free(value);
    cJSON_Delete(object);
}

static void test_lists(void **state)
{
    (void)state;
    cJSON *object = cJSON_Parse(
        "{\"l\":[\"a\",\"\",\"bcd\"],\"e\":[],\"s\":\"x\",\"m\":[\"a\",1],\"o\":{\"a\":\"b\"}}");
    char **value = NULL;
    assert_int_equal(json_get_strings(object, "x", 3, &value, &err), AFAR_OK);
    assert_null(value);
    assert_int_equal(json_get_strings(object, "e", 0, &value, &err), AFAR_OK);
    assert_non_null(value);
    assert_null(value[0]);
    free(value);
    assert_int_equal(json_get_strings(object, "l", 3, &value, &err), AFAR_OK);
    assert_string_equal(value[0], "a");
    assert_string_equal(value[1], "");
    assert_string_equal(value[2], "bcd");
    assert_null(value[3]);
    free(value);
    assert_int_equal(json_get_strings(object, "l", 2, &value, &err), AFAR_EPEER);
    assert_string_equal(err.message, "\"l\" has 3 entries, 2 at most are allowed");
    assert_null(value);
    const char *const bad[] = {"s", "m", "o"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(json_get_strings(object, bad[i], 9, &value, &err), AFAR_EPEER);
        assert_null(value);
    }
    alloc_fault_arm(1);
    assert_int_equal(json_get_strings(object, "l", 3, &value, &err), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    assert_null(value);
    cJSON_Delete(object);
}

static void test_integers_are_written_with_all_digits(void **state)
{
    (void)state;
    const struct {
        uint64_t value;
        const char *text;
    } cases[] = {
        {0, "{\"n\":0}"},
        {2147483648, "{\"n\":2147483648}"},
        {UINT64_C(1000000000000000), "{\"n\":1000000000000000}"},
        {MESSAGE_INTEGER_MAX, "{\"n\":9007199254740991}"},
        {MESSAGE_INTEGER_MAX + 1, "{\"n\":9007199254740991}"},
        {UINT64_MAX, "{\"n\":9007199254740991}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cJSON *object = cJSON_CreateObject();
        assert_true(json_add_integer(object, "n", cases[i].value));
        char *text = cJSON_PrintUnformatted(object);
        assert_string_equal(text, cases[i].text);
        cJSON_free(text);
        cJSON_Delete(object);
    }
    cJSON *object = cJSON_CreateObject();
    alloc_fault_arm(1);
    assert_false(json_add_integer(object, "n", 1));
    assert_true(alloc_fault_fired());
    cJSON_Delete(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_bools),
        cmocka_unit_test(test_strings_are_bounded),
        cmocka_unit_test(test_lines_for_people_are_cut_and_cleaned),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_integers_are_written_with_all_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
