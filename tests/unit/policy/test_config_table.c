#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "policy/config_table.h"
#include "wire/output_log.h"
#include "wire/tutorial.h"

static void assert_says(const char *name, const char *expected)
{
    char text[AFAR_ERROR_MESSAGE_BYTES];
    config_key_unknown(name, text, sizeof text);
    assert_string_equal(text, expected);
}

/* What the code that uses the table takes for granted. */
static void test_table_is_sound(void **state)
{
    (void)state;
    size_t count = 0;
    const struct config_key *keys = config_keys(&count);
    assert_in_range(count, 1, CONFIG_KEYS_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(config_key_find(keys[i].name), &keys[i]); /* so no name is there twice */
        assert_true(keys[i].offset < sizeof(struct config));
        assert_true(strlen(keys[i].help) > 0);
        for (const char *c = keys[i].name; *c != '\0'; c++)
            assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
        for (size_t j = 0; j < i; j++)
            assert_true(keys[j].offset != keys[i].offset);
        if (keys[i].kind == CONFIG_NUMBER) {
            assert_true(keys[i].min <= keys[i].preset);
            assert_true(keys[i].preset <= keys[i].max);
            assert_true(keys[i].max <= INT64_MAX); /* durations are added to an int64_t */
        }
    }
}

static void test_limits_of_the_wire(void **state)
{
    (void)state;
    assert_int_equal(config_key_find("output_log_bytes")->min, OUTPUT_LOG_CAPACITY_MIN);
    assert_int_equal(config_key_find("stdin_bytes")->min, MESSAGE_STDIN_CREDIT_BYTES);
    assert_int_equal(config_key_find("collect_max_bytes")->max, TUTORIAL_SIZE_MAX);
}

static void test_find(void **state)
{
    (void)state;
    assert_non_null(config_key_find("workers"));
    assert_null(config_key_find("Workers"));
    assert_null(config_key_find("worker"));
    assert_null(config_key_find(""));
    assert_null(config_key_find("workers "));
}

static void test_one_suggestion(void **state)
{
    (void)state;
    assert_says("listten", "unknown key 'listten': did you mean 'listen' (a URL to listen at, may "
                           "be given again)?");
    assert_says("tls-key",
                "unknown key 'tls-key': did you mean 'tls_key' (its private key, a PEM file)?");
    /* Upper case is two letters away here. */
    assert_says("LInger_max_ms",
                "unknown key 'LInger_max_ms': did you mean 'linger_max_ms' (the same, silent or "
                "not)?");
    /* A beginning. */
    assert_says("udp_rate", "unknown key 'udp_rate': did you mean 'udp_rate_per_second' (upper "
                            "over UDP: datagrams answered)?");
    /* A key is the beginning. */
    assert_says("listeners", "unknown key 'listeners': did you mean 'listen' (a URL to listen at, "
                             "may be given again)?");
}

static void test_several_suggestions(void **state)
{
    (void)state;
    assert_says("log", "unknown key 'log': did you mean 'log_level' or 'log_format'?");
    assert_says("collect", "unknown key 'collect': did you mean 'collect_memory_bytes' or "
                           "'collect_max_bytes'?");
    /* Four would fit; three are named. */
    assert_says("tls", "unknown key 'tls': did you mean 'tls_cert', 'tls_key' or "
                       "'tls_client_ca'?");
}

static void test_nearest_wins(void **state)
{
    (void)state;
    /* One letter from linger_ms; linger_max_ms begins alike. */
    assert_says("linger_m", "unknown key 'linger_m': did you mean 'linger_ms' (silence before "
                            "output held open after a command's end is cut; 0: no limit)?");
}

static void test_no_suggestion(void **state)
{
    (void)state;
    assert_says("", "unknown key ''; afard.conf(5) lists the keys");
    assert_says("x", "unknown key 'x'; afard.conf(5) lists the keys");
    assert_says("lo", "unknown key 'lo'; afard.conf(5) lists the keys");
    assert_says("port", "unknown key 'port'; afard.conf(5) lists the keys");
}

static void test_long_names(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'w', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    char text[AFAR_ERROR_MESSAGE_BYTES];
    config_key_unknown(name, text, sizeof text);
    assert_non_null(strstr(text, "www'; afard.conf(5)"));

    /* Every length around what is compared letter by letter. */
    for (size_t size = 20; size < 40; size++) {
        memcpy(name, "listen", 6);
        memset(name + 6, 'x', size - 6);
        name[size] = '\0';
        config_key_unknown(name, text, sizeof text);
        assert_true((strstr(text, "'listen'") != NULL) == (size < 32));
    }
}

static void test_text_is_cut(void **state)
{
    (void)state;
    char whole[AFAR_ERROR_MESSAGE_BYTES];
    config_key_unknown("tls", whole, sizeof whole);
    for (size_t size = 1; size <= strlen(whole) + 1; size++) {
        char text[AFAR_ERROR_MESSAGE_BYTES];
        memset(text, '#', sizeof text);
        config_key_unknown("tls", text, size);
        assert_int_equal(strlen(text), size - 1);
        assert_memory_equal(text, whole, size - 1);
        assert_int_equal(text[size], '#');
    }
}

/* What afard.conf(5) says of a key, from its ".It Cm KEY" to the next; its lines joined by blanks.
 */
static bool read_manual(const char *key, char *text, size_t size)
{
    char line[256];
    char wanted[64];
    bool found = false;
    FILE *manual = fopen("src/afard/afard.conf.5", "r");
    if (manual == NULL)
        skip(); /* not started in the source's folder */
    (void)snprintf(wanted, sizeof wanted, ".It Cm %s\n", key);
    text[0] = '\0';
    while (fgets(line, sizeof line, manual) != NULL) {
        if (strncmp(line, ".It ", 4) == 0 && found)
            break;
        found = found || strcmp(line, wanted) == 0;
        size_t used = strlen(text);
        if (found && used + strlen(line) < size)
            memcpy(text + used, line, strlen(line) + 1);
    }
    (void)fclose(manual);
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\n')
            *c = ' ';
    }
    return found;
}

/* Every key with its range and default. */
static void test_manual_agrees(void **state)
{
    (void)state;
    size_t count = 0;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        char text[2000];
        char expected[64];
        if (!read_manual(keys[i].name, text, sizeof text))
            fail_msg("%s is not in the manual", keys[i].name);
        if (keys[i].kind != CONFIG_NUMBER)
            continue;
        (void)snprintf(expected, sizeof expected, "From %" PRIu64, keys[i].min);
        if (strstr(text, expected) == NULL)
            fail_msg("%s: the manual does not say '%s'", keys[i].name, expected);
        (void)snprintf(expected, sizeof expected, "default %" PRIu64, keys[i].preset);
        if (strstr(text, expected) == NULL)
            fail_msg("%s: the manual does not say '%s'", keys[i].name, expected);
        /* That of all durations is said once. */
        size_t length = strlen(keys[i].name);
        bool duration = length > 3 && strcmp(keys[i].name + length - 3, "_ms") == 0;
        (void)snprintf(expected, sizeof expected, "to %" PRIu64, keys[i].max);
        if ((!duration || keys[i].max != INT32_MAX) && strstr(text, expected) == NULL)
            fail_msg("%s: the manual does not say '%s'", keys[i].name, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sound),
        cmocka_unit_test(test_limits_of_the_wire),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_one_suggestion),
        cmocka_unit_test(test_several_suggestions),
        cmocka_unit_test(test_nearest_wins),
        cmocka_unit_test(test_no_suggestion),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_text_is_cut),
        cmocka_unit_test(test_manual_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
