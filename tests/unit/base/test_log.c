// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/log.h"
#include "base/utf8.h"
#include "support/alloc_fault.h"

struct fixture {
    int fds[2];
    char line[4096];
    size_t size;
};

static int open_pipe(void **state)
{
    static struct fixture fixture;
    *state = &fixture;
    return pipe2(fixture.fds, O_CLOEXEC | O_NONBLOCK);
}

static int close_pipe(void **state)
{
    struct fixture *fixture = *state;
    close(fixture->fds[0]);
    close(fixture->fds[1]);
    return 0;
}

/* Reads what was written; "" for nothing. */
static const char *written(struct fixture *fixture)
{
    ssize_t got = read(fixture->fds[0], fixture->line, sizeof fixture->line - 1);
    fixture->size = got < 0 ? 0 : (size_t)got;
    fixture->line[fixture->size] = '\0';
    return fixture->line;
}

static void test_levels(void **state)
{
    struct fixture *fixture = *state;
    struct log *log = log_new(fixture->fds[1], LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    assert_true(log_enabled(log, LOG_LEVEL_ERROR));
    assert_true(log_enabled(log, LOG_LEVEL_WARN));
    assert_false(log_enabled(log, LOG_LEVEL_INFO));
    assert_false(log_enabled(NULL, LOG_LEVEL_ERROR));
    log_write(log, LOG_LEVEL_INFO, "no");
    log_write(NULL, LOG_LEVEL_ERROR, "no");
    assert_string_equal(written(fixture), "");
    log_write(log, LOG_LEVEL_WARN, "yes %d", 7);
    assert_non_null(strstr(written(fixture), " warn yes 7\n"));
    log_free(log);
    log_free(NULL);
}

static void test_text_line(void **state)
{
    struct fixture *fixture = *state;
    struct log *log = log_new(fixture->fds[1], LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_write(log, LOG_LEVEL_DEBUG, "a\nb\tc\x7F\xFF\xC2\x9B\u4f60 \"q\" \\");
    const char *line = written(fixture);
    unsigned parts[7];
    int end = 0;
    assert_int_equal(sscanf(line, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %n", &parts[0], &parts[1],
                            &parts[2], &parts[3], &parts[4], &parts[5], &parts[6], &end),
                     7);
    assert_int_equal(end, 25);
    assert_string_equal(line + end, "debug a\\x0ab\\x09c\\x7f\\xff\\xc2\\x9b\u4f60 \"q\" \\\n");
    /* Without being a control character, it turns the text around. */
    log_write(log, LOG_LEVEL_DEBUG, "(cn:\u202ebob\u2066)\u2028");
    line = written(fixture);
    assert_string_equal(line + end, "debug (cn:\\u202ebob\\u2066)\\u2028\n");
    /* Nor can these be seen. */
    log_write(log, LOG_LEVEL_DEBUG, "(cn:b\u200bo\ufeffb\U000E0041)");
    line = written(fixture);
    assert_string_equal(line + end, "debug (cn:b\\u200bo\\ufeffb\\U000e0041)\n");
    log_free(log);
}

static void test_json_line(void **state)
{
    struct fixture *fixture = *state;
    struct log *log = log_new(fixture->fds[1], LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    log_write(log, LOG_LEVEL_ERROR, "a\n\"b\" \\ \xFF\xC2\x9B\u4f60");
    const char *line = written(fixture);
    assert_int_equal(line[fixture->size - 1], '\n');
    assert_true(utf8_valid(line, fixture->size));
    cJSON *object = cJSON_Parse(line);
    assert_non_null(object);
    assert_string_equal(cJSON_GetObjectItem(object, "level")->valuestring, "error");
    assert_string_equal(cJSON_GetObjectItem(object, "message")->valuestring,
                        "a\\x0a\"b\" \\ \\xff\\xc2\\x9b\u4f60");
    assert_int_equal(strlen(cJSON_GetObjectItem(object, "time")->valuestring), 24);
    cJSON_Delete(object);
    log_free(log);
}

/* Whatever is cut, a line stays a line, and JSON stays JSON. */
static void test_long_lines_are_cut_whole(void **state)
{
    struct fixture *fixture = *state;
    const char *const units[] = {"a", "\u4f60", "\xFF", "\"", "\n", "\U000E0041"};
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        for (size_t size = 900; size < 1100; size++) {
            char text[8192] = "";
            size_t used = 0;
            for (; used + strlen(units[u]) <= size; used += strlen(units[u]))
                memcpy(text + used, units[u], strlen(units[u]));
            for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
                struct log *log = log_new(fixture->fds[1], LOG_LEVEL_INFO, (enum log_format)format);
                log_write(log, LOG_LEVEL_INFO, "%s", text);
                log_free(log);
                const char *line = written(fixture);
                assert_true(fixture->size <= 1024);
                assert_ptr_equal(strchr(line, '\n'), line + fixture->size - 1);
                assert_true(utf8_valid(line, fixture->size));
                if (format != LOG_FORMAT_JSON)
                    continue;
                cJSON *object = cJSON_Parse(line);
                assert_non_null(object);
                cJSON_Delete(object);
            }
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    struct afar_error err;
    enum log_level level = LOG_LEVEL_ERROR;
    enum log_format format = LOG_FORMAT_TEXT;
    assert_int_equal(log_level_parse("debug", &level, &err), AFAR_OK);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("error", &level, &err), AFAR_OK);
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_int_equal(log_level_parse("Debug", &level, &err), AFAR_EINVAL);
    assert_int_equal(log_level_parse("", &level, &err), AFAR_EINVAL);
    assert_int_equal(log_format_parse("json", &format, &err), AFAR_OK);
    assert_int_equal(format, LOG_FORMAT_JSON);
    assert_int_equal(log_format_parse("text", &format, &err), AFAR_OK);
    assert_int_equal(format, LOG_FORMAT_TEXT);
    assert_int_equal(log_format_parse("xml", &format, &err), AFAR_EINVAL);
    assert_string_equal(err.message, "'xml' is not a log format: text or json");
}

static void test_out_of_memory(void **state)
{
    (void)state;
    alloc_fault_arm(1);
    assert_null(log_new(2, LOG_LEVEL_INFO, LOG_FORMAT_TEXT));
    assert_true(alloc_fault_fired());
}

/* Nobody reads, and the descriptor would block. */
static void test_a_reader_that_does_not_read(void **state)
{
    enum { LINES = 1000 };
    struct fixture *fixture = *state;
    unsigned long long lost = 0;
    assert_int_equal(fcntl(fixture->fds[1], F_SETFL, 0), 0);
    struct log *log = log_new(fixture->fds[1], LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    for (int i = 0; i < LINES; i++)
        log_write(log, LOG_LEVEL_INFO, "line %d %0500d", i, 0);
    unsigned written_lines = 0;
    for (const char *text = written(fixture); *text != '\0'; text = written(fixture)) {
        for (; *text != '\0'; text++)
            written_lines += *text == '\n';
    }
    assert_in_range(written_lines, 1, LINES - 1);
    log_write(log, LOG_LEVEL_INFO, "the next");
    const char *text = strstr(written(fixture), " warn ");
    assert_non_null(text);
    assert_int_equal(sscanf(text, " warn %llu lines were lost", &lost), 1);
    assert_int_equal(lost + written_lines, LINES);
    assert_non_null(strstr(text, "info the next\n"));
    log_write(log, LOG_LEVEL_INFO, "and on");
    assert_null(strstr(written(fixture), "lost")); /* told once */
    log_free(log);
    log_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levels, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_text_line, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_json_line, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_long_lines_are_cut_whole, open_pipe, close_pipe),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test_setup_teardown(test_a_reader_that_does_not_read, open_pipe, close_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
