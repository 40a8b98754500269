// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "support/alloc_fault.h"
#include "wire/json_check.h"

static enum afar_status check(const char *text, size_t size, struct afar_error *err)
{
    /* A block of exactly that size, so that a read beyond it is seen by the sanitizers. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    enum afar_status status = json_check_text(copy, size, err);
    free(copy);
    return status;
}

static const char *const good[] = {
    "{}",
    " \t\r\n{ } \n",
    "[]",
    "\"\"",
    "0",
    "-0",
    "-1.5e+10",
    "1E5",
    "9007199254740991",
    "true",
    "false",
    "null",
    "[1,2 , 3]",
    "{\"a\":1,\"b\":[true,false,null,\"x\"]}",
    "{\"\":0}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u00e9\\uABCD\\ud83d\\ude00\"",
    "\"\x7F\u4f60\"",
    "\"\\uaAfF\\u0909\\ud7ff\\ue000\\ud800\\udc00\\udbff\\udfff\"",
    "[[[[[[[[]]]]]]]]",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}",
    "12345678901234567890123456789012",
};

static const char *const broken[] = {
    "",
    " ",
    "{",
    "}",
    "{]",
    "[}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\" 1}",
    "{\"a\":1 \"b\":2}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{}{}",
    "{}x",
    "{} ,",
    "01",
    "-01",
    "00",
    "1.",
    ".5",
    "+1",
    "-",
    "--1",
    "1e",
    "1e+",
    "1.e5",
    "0x10",
    "NaN",
    "Infinity",
    "truex",
    "tru",
    "True",
    "nul",
    "fals",
    "\"",
    "\"abc",
    "\"\\",
    "\"\\\"",
    "\"\\x41\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\uzzzz\"", /* which cJSON reads as a NUL */
    "\"\\u000g\"",
    "\"\\u0000\"",
    "{\"a\\u0000b\":1}",
    "\"\\ud800\"",
    "\"\\ud800x\"",
    "\"\\ud800\\u0041\"",
    "\"\\ud800\\uzzzz\"",
    "\"\\udc00\"",
    "\"a\nb\"",
    "\"a\x01\"",
    "\"a\tb\"",
    "{\x01}",
    "{\x0b}",
    "{\x0c\"a\":1}",
    "{}\x1f",
    "\xEF\xBB\xBF{}", /* a byte order mark */
    "\"\xFF\"",
    "\"\xC0\x80\"",
    "\"\xED\xA0\x80\"",
    "\"\xE4\xBD\"",
    "{\"a\":/**/1}",
    "[[[[[[[[[]]]]]]]]]",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}",
    "123456789012345678901234567890123",
};

static void test_good_text_passes_and_parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct afar_error err = {0};
        if (check(good[i], strlen(good[i]), &err) != AFAR_OK)
            fail_msg("%s: %s", good[i], err.message);
        /* The promise: what passes, cJSON parses. */
        cJSON *tree = cJSON_ParseWithLength(good[i], strlen(good[i]));
        if (tree == NULL)
            fail_msg("cJSON does not parse %s", good[i]);
        cJSON_Delete(tree);
    }
}

static void test_broken_text_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct afar_error err = {0};
        if (check(broken[i], strlen(broken[i]), &err) != AFAR_EPEER)
            fail_msg("passed: %s", broken[i]);
        assert_string_not_equal(err.message, "");
    }
    assert_int_equal(check("{}\0", 3, NULL), AFAR_EPEER);
    assert_int_equal(check("\"a\0b\"", 5, NULL), AFAR_EPEER);
    assert_int_equal(check("\0{}", 3, NULL), AFAR_EPEER);
}

/* No beginning of an object is one, and none is read beyond its end. */
static void test_cut_at_each_byte(void **state)
{
    (void)state;
    const char *text =
        "{\"a\\u00e9\":[1.5e-3,-20,true,false,null,\"\\ud83d\\ude00\u4f60\"],\"b\":{}}";
    assert_int_equal(check(text, strlen(text), NULL), AFAR_OK);
    for (size_t size = 0; size < strlen(text); size++)
        assert_int_equal(check(text, size, NULL), AFAR_EPEER);
}

static void test_messages_say_what_and_where(void **state)
{
    (void)state;
    struct afar_error err;
    (void)check("{\"a\":\"\\u0000\"}", 14, &err);
    assert_string_equal(err.message, "the header is not JSON: an escaped NUL at byte 12");
    (void)check("[[[[[[[[[", 9, &err);
    assert_string_equal(err.message, "the header is nested more than 8 deep");
    (void)check("{\"a\"", 4, &err);
    assert_string_equal(err.message, "the header is not JSON: no colon after a key at byte 4");
}

static enum afar_status parse(const char *text, struct afar_error *err)
{
    cJSON *tree = NULL;
    enum afar_status status = json_parse_object(&tree, (const uint8_t *)text, strlen(text), err);
    assert_true((tree != NULL) == (status == AFAR_OK));
    cJSON_Delete(tree);
    return status;
}

static void test_parse_takes_objects_only(void **state)
{
    (void)state;
    struct afar_error err;
    assert_int_equal(parse("{\"a\":1}", &err), AFAR_OK);
    const char *const others[] = {"[]", "[{}]", "1", "\"{}\"", "null", "true"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(parse(others[i], &err), AFAR_EPEER);
        assert_string_equal(err.message, "the header is not a JSON object");
    }
}

static void test_duplicate_keys_at_any_depth(void **state)
{
    (void)state;
    struct afar_error err;
    const char *const twice[] = {
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":2,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"x\":{\"a\":1,\"a\":2}}",
        "{\"x\":[1,{\"y\":[{\"a\":1,\"a\":2}]}]}",
        "{\"\":1,\"\":2}",
        "{\"x\":{\"x\":{\"x\":{\"x\":{\"x\":{\"x\":{\"a\":1,\"a\":2}}}}}}}",
    };
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++)
        assert_int_equal(parse(twice[i], &err), AFAR_EPEER);
    (void)parse(twice[0], &err);
    assert_string_equal(err.message, "the header has the key \"a\" twice");
    assert_int_equal(parse("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}],\"A\":1}", &err),
                     AFAR_OK);
}

/* Keys of one length that differ in their last bytes: the costliest to compare. */
static char *many_keys(size_t count, size_t width, bool last_again)
{
    size_t size = count * (width + 5) + 3;
    char *text = malloc(size);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, size, "{");
    for (size_t i = 0; i < count; i++) {
        size_t number = last_again && i + 1 == count ? 0 : i;
        used += (size_t)snprintf(text + used, size - used, "%s\"%0*zu\":1", i > 0 ? "," : "",
                                 (int)width, number);
    }
    (void)snprintf(text + used, size - used, "}");
    return text;
}

static void test_key_count_is_bounded(void **state)
{
    (void)state;
    struct afar_error err;
    char *text = many_keys(JSON_KEYS_MAX, 8, false);
    assert_int_equal(parse(text, &err), AFAR_OK);
    free(text);
    text = many_keys(JSON_KEYS_MAX, 8, true);
    assert_int_equal(parse(text, &err), AFAR_EPEER);
    free(text);
    text = many_keys(JSON_KEYS_MAX + 1, 8, false);
    assert_int_equal(parse(text, &err), AFAR_EPEER);
    assert_string_equal(err.message, "an object in the header has more than 1024 keys");
    free(text);
}

static void test_out_of_memory_is_not_bad_input(void **state)
{
    (void)state;
    int rounds = 0;
    for (int n = 1;; n++) {
        struct afar_error err;
        cJSON *tree = NULL;
        const char *text = "{\"a\":1,\"b\":[true,{\"c\":\"d\"}]}";
        alloc_fault_arm(n);
        enum afar_status status =
            json_parse_object(&tree, (const uint8_t *)text, strlen(text), &err);
        cJSON_Delete(tree);
        if (!alloc_fault_fired()) {
            assert_int_equal(status, AFAR_OK);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
        rounds++;
    }
    assert_true(rounds >= 6);
}

/* Bytes of a good header, changed at random: what passes must parse, and survive being parsed. */
static void test_mutations(void **state)
{
    (void)state;
    alloc_fault_arm(0);
    static const char alphabet[] = "{}[]\",:\\ud08/0123eE+-.tfn \n\x01\x7F\xC2\x9B\xFF";
    uint32_t seed = 7;
    static const size_t mutated[] = {13, 15, 19};
    unsigned passed = 0;
    for (int i = 0; i < 100000; i++) {
        char text[128];
        const char *start = good[mutated[i % 3]];
        size_t size = strlen(start);
        memcpy(text, start, size);
        for (unsigned changes = 1 + (seed >> 30); changes > 0; changes--) {
            seed = seed * 1664525 + 1013904223;
            size_t at = (seed >> 8) % size;
            text[at] = alphabet[(seed >> 20) % (sizeof alphabet - 1)];
        }
        if (check(text, size, NULL) != AFAR_OK)
            continue;
        passed++;
        cJSON *tree = cJSON_ParseWithLength(text, size);
        if (tree == NULL)
            fail_msg("cJSON does not parse %.*s", (int)size, text);
        cJSON_Delete(tree);
    }
    assert_true(passed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_text_passes_and_parses),
        cmocka_unit_test(test_broken_text_is_refused),
        cmocka_unit_test(test_cut_at_each_byte),
        cmocka_unit_test(test_messages_say_what_and_where),
        cmocka_unit_test(test_parse_takes_objects_only),
        cmocka_unit_test(test_duplicate_keys_at_any_depth),
        cmocka_unit_test(test_key_count_is_bounded),
        cmocka_unit_test(test_out_of_memory_is_not_bad_input),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
