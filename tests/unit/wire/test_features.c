#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <cjson/cJSON.h>

#include "wire/features.h"

static void test_write(void **state)
{
    (void)state;
    char json[FEATURES_BYTES];
    features_write(json, 0);
    assert_string_equal(json, "[]");
    features_write(json, FEATURE_USER);
    assert_string_equal(json, "[\"user\"]");
    features_write(json, FEATURE_DIGEST | FEATURE_KILL | FEATURE_START_WITHIN_MS | FEATURE_USER);
    assert_string_equal(json, "[\"digest\",\"kill\",\"start_within_ms\",\"user\"]");
    features_write(json, UINT32_MAX); /* all that there will be: no more than what has a name */
    assert_true(strlen(json) < sizeof json);
}

static enum afar_status decode(const char *text, char *words, size_t size)
{
    struct afar_error err;
    cJSON *object = cJSON_Parse(text);
    assert_non_null(object);
    memset(words, 'x', size);
    enum afar_status status = features_decode(object, words, size, &err);
    cJSON_Delete(object);
    return status;
}

static void test_decode(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *words;
    } good[] = {
        {"{}", ""},
        {"{\"features\":[]}", ""},
        {"{\"features\":[\"pty\"]}", "pty"},
        {"{\"features\":[\"a\",\"b_2\",\"a\"]}", "a b_2 a"},
        /* What could be taken for two words, or for something else on a terminal, is none. */
        {"{\"features\":[\"\",\"a b\",\"c\\u001b[2J\",\"D\",\"e\"]}", "e"},
    };
    static const char *const bad[] = {"{\"features\":\"pty\"}", "{\"features\":{}}",
                                      "{\"features\":[1]}", "{\"features\":[\"pty\",null]}"};
    char words[32];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(decode(good[i].json, words, sizeof words), AFAR_OK);
        assert_string_equal(words, good[i].words);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(decode(bad[i], words, sizeof words), AFAR_EPEER);
}

/* More than there is room for: whole words only. */
static void test_decode_much(void **state)
{
    (void)state;
    char words[8];
    assert_int_equal(decode("{\"features\":[\"abcd\",\"efg\",\"hi\",\"j\"]}", words, sizeof words),
                     AFAR_OK);
    assert_string_equal(words, "abcd hi");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
