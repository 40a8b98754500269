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

#include "support/alloc_fault.h"
#include "wire/exec_request.h"
#include "wire/frame.h"

#define HOLDER "0123456789abc~!_"
#define TEN "xxxxxxxxxx"
#define LONG_KEY TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "xxxxxxxxx" /* 129 bytes */

static struct afar_error err;

/* NULL: the message is bad, and err says why. */
static struct exec_request *decode(const char *fields)
{
    char json[8192];
    int length = snprintf(json, sizeof json, "{\"type\":\"exec\",\"id\":1,%s}", fields);
    assert_true(length > 0 && (size_t)length < sizeof json);
    struct message message;
    assert_int_equal(message_decode(&message, (const uint8_t *)json, (size_t)length, NULL),
                     AFAR_OK);
    struct exec_request *request = message_take_exec(&message);
    assert_true((request != NULL) == (message.type == MESSAGE_EXEC));
    err = message.problem;
    message_close(&message);
    return request;
}

static void assert_bad(const char *fields, const char *problem)
{
    struct exec_request *request = decode(fields);
    if (request != NULL)
        fail_msg("accepted: %s", fields);
    if (strstr(err.message, problem) == NULL)
        fail_msg("%s: '%s' lacks '%s'", fields, err.message, problem);
}

static void test_least(void **state)
{
    (void)state;
    struct exec_request *request = decode("\"v\":1,\"argv\":[\"true\"]");
    assert_non_null(request);
    assert_string_equal(request->argv[0], "true");
    assert_null(request->argv[1]);
    assert_null(request->shell);
    assert_null(request->env);
    assert_null(request->cwd);
    assert_null(request->user);
    assert_null(request->key);
    assert_false(request->stdin_stream);
    assert_null(request->pty);
    assert_false(request->login);
    assert_false(request->digest);
    assert_true(request->timeout_ms == 0 && request->start_within_ms == 0);
    assert_int_equal(request->when_full, WHEN_FULL_BLOCK);
    assert_false(request->keep || request->leave);
    assert_string_equal(request->holder, "");
    assert_true(request->resume_ms == 0 && request->window_max == 0);
    assert_string_equal(request->unknown_must, "");
    exec_request_free(request);
    exec_request_free(NULL);
}

static void test_everything(void **state)
{
    (void)state;
    struct exec_request *request =
        decode("\"v\":1,\"shell\":\"ls | "
               "wc\",\"env\":[\"A=\",\"B=c=d\"],\"cwd\":\"/tmp\",\"user\":\"u\",\"key\":\"k\","
               "\"stdin\":\"stream\",\"pty\":true,\"digest\":\"sha256\",\"timeout_ms\":5,\"start_"
               "within_ms\":6,"
               "\"when_full\":\"cut\",\"keep\":true,\"leave\":true,\"resume_ms\":7,"
               "\"holder\":\"" HOLDER "\",\"window_max\":262144");
    assert_non_null(request);
    assert_null(request->argv);
    assert_string_equal(request->shell, "ls | wc");
    assert_string_equal(request->env[0], "A=");
    assert_string_equal(request->env[1], "B=c=d");
    assert_null(request->env[2]);
    assert_string_equal(request->cwd, "/tmp");
    assert_string_equal(request->user, "u");
    assert_string_equal(request->key, "k");
    assert_true(request->stdin_stream && request->pty != NULL && request->digest);
    assert_true(request->timeout_ms == 5 && request->start_within_ms == 6);
    assert_int_equal(request->when_full, WHEN_FULL_CUT);
    assert_true(request->keep && request->leave && request->resume_ms == 7);
    assert_string_equal(request->holder, HOLDER);
    assert_true(request->window_max == MESSAGE_WINDOW_MIN_BYTES);
    exec_request_free(request);
    request = decode("\"v\":1,\"shell\":\"x\",\"stdin\":\"none\",\"digest\":\"none\","
                     "\"when_full\":\"block\",\"keep\":false,\"resume_ms\":0");
    assert_non_null(request);
    assert_false(request->stdin_stream || request->digest || request->keep);
    exec_request_free(request);
}

static void test_bad_fields(void **state)
{
    (void)state;
    assert_bad("\"argv\":[\"a\"]", "\"v\" is missing");
    /* Whatever else another version has in it. */
    assert_bad("\"v\":2,\"argv\":{}", "speaks version 1");
    assert_string_equal(err.reason, "unsupported");
    assert_bad("\"v\":\"1\",\"argv\":[\"a\"]", "\"v\"");
    assert_bad("\"v\":1", "give one of");
    assert_bad("\"v\":1,\"argv\":[\"a\"],\"shell\":\"b\"", "give one of");
    assert_bad("\"v\":1,\"argv\":[\"a\"],\"login\":true", "give one of");
    assert_bad("\"v\":1,\"shell\":\"a\",\"login\":true", "give one of");
    assert_bad("\"v\":1,\"argv\":[]", "at least one word");
    const struct {
        const char *key;
        const char *values;
    } wrong[] = {
        {"argv", "1 null \"a\" {} [1] [\"a\",null] [[\"a\"]]"},
        {"shell", "1 null [\"a\"] true"},
        {"env", "1 null {\"A\":\"b\"} [\"A\"] [\"=b\"] [\"\"] [1]"},
        {"cwd", "1 null []"},
        {"user", "1 null []"},
        {"key", "1 null [] \"\" \"" LONG_KEY "\""},
        {"keep", "1 0 null \"true\""},
        {"leave", "1 0 null \"true\""},
        {"holder",
         "1 null [] \"\" \"123456789012345\" \"" HOLDER HOLDER HOLDER HOLDER "x\" "
         "\"123456789012345\\u007f\" \"123456789012345\\u0020\" \"12345678901234\u00e9\""},
        {"resume_ms", "-1 1.5 null \"1\" 9007199254740992 1000"}, /* without a holder */
        {"window_max", "-1 1.5 null \"1\" 0 262143"},
        {"stdin", "1 null true \"Stream\" \"\" \"streamstreamstreamstreamstreamstream\""},
        {"digest", "1 null true \"md5\" \"\""},
        {"when_full", "1 null \"\" \"drop\""},
        {"pty", "1 0 null \"true\" [] [{}]"},
        {"login", "1 0 null \"true\""},
        {"timeout_ms", "-1 1.5 null \"1\" 9007199254740992"},
        {"start_within_ms", "-1 1.5 null \"1\" 9007199254740992"},
        {"must", "1 null \"x\" [1] {}"},
        {"argc", "-1 1.5 null \"1\" [] 9007199254740991"},
        {"envc", "-1 1.5 null \"1\" [] 9007199254740991"},
        {"cwdc", "-1 1.5 null true 2 9007199254740991"},
        {"shellc", "-1 1.5 null true 2 9007199254740991"},
        {"home", "1 0 null \"true\""},
        {"login", "1 0 null \"true\""},
        {"shell_of", "1 null true \"root\" \"\""},
        {"env_if_allowed", "1 null {\"A\":\"b\"} [1]"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char values[1024];
        (void)snprintf(values, sizeof values, "%s", wrong[i].values);
        char *rest = NULL;
        for (char *value = strtok_r(values, " ", &rest); value != NULL;
             value = strtok_r(NULL, " ", &rest)) {
            char fields[512];
            bool command = strcmp(wrong[i].key, "shell") == 0 || strcmp(wrong[i].key, "argv") == 0;
            (void)snprintf(fields, sizeof fields, "\"v\":1,%s\"%s\":%s,\"size\":1",
                           command ? "" : "\"shell\":\"x\",", wrong[i].key, value);
            assert_bad(fields, wrong[i].key);
        }
    }
}

static void test_number_of_words(void **state)
{
    (void)state;
    for (size_t count = EXEC_WORDS_MAX; count <= EXEC_WORDS_MAX + 1; count++) {
        size_t size = 64 + count * 4;
        char *json = malloc(size);
        assert_non_null(json);
        size_t used =
            (size_t)snprintf(json, size, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"");
        for (size_t i = 1; i < count; i++)
            used += (size_t)snprintf(json + used, size - used, ",\"\"");
        used += (size_t)snprintf(json + used, size - used, "]}");
        struct message message;
        assert_int_equal(message_decode(&message, (const uint8_t *)json, used, NULL), AFAR_OK);
        assert_int_equal(message.type, count > EXEC_WORDS_MAX ? MESSAGE_BAD : MESSAGE_EXEC);
        message_close(&message);
        free(json);
    }
}

static void test_must(void **state)
{
    (void)state;
    struct exec_request *request =
        decode("\"v\":1,\"shell\":\"x\",\"must\":[\"type\",\"v\",\"id\",\"size\",\"argv\","
               "\"shell\",\"env\",\"cwd\",\"user\",\"argc\","
               "\"envc\",\"cwdc\",\"stdin\",\"pty\",\"timeout_ms\",\"start_within_ms\",\"digest\","
               "\"must\",\"key\","
               "\"keep\",\"when_full\",\"home\",\"login\",\"shell_of\",\"shellc\","
               "\"env_if_allowed\"]");
    assert_non_null(request);
    assert_string_equal(request->unknown_must, "");
    exec_request_free(request);
    const struct {
        const char *names;
        const char *unknown;
    } musts[] = {
        {"[]", ""},
        {"[\"timeout_ms\",\"sandbox\",\"other\"]", "sandbox"},
        {"[\"Timeout_ms\"]", "Timeout_ms"},
        {"[\"\"]", "?"},
        {"[\"1234567890123456789012345678901234567890\"]", "1234567890123456789012345678901"},
    };
    for (size_t i = 0; i < sizeof musts / sizeof musts[0]; i++) {
        char fields[256];
        (void)snprintf(fields, sizeof fields, "\"v\":1,\"shell\":\"x\",\"sandbox\":1,\"must\":%s",
                       musts[i].names);
        request = decode(fields);
        assert_non_null(request);
        assert_string_equal(request->unknown_must, musts[i].unknown);
        exec_request_free(request);
    }
}

static void test_counts_and_payload_size(void **state)
{
    (void)state;
    assert_bad("\"v\":1,\"argc\":1", "do not describe a payload of 0 bytes");
    assert_bad("\"v\":1,\"shell\":\"x\",\"envc\":3,\"size\":2", "do not describe");
    assert_bad("\"v\":1,\"shell\":\"x\",\"size\":2", "do not describe");
    assert_bad(
        "\"v\":1,\"argc\":9007199254740991,\"envc\":9007199254740991,\"cwdc\":1,\"size\":1048576",
        "do not describe");
    assert_bad("\"v\":1,\"argv\":[\"a\"],\"argc\":1,\"size\":2", "both in JSON and in the payload");
    assert_bad("\"v\":1,\"argc\":1,\"env\":[],\"envc\":1,\"size\":4", "both in JSON");
    assert_bad("\"v\":1,\"argc\":1,\"cwd\":\"\",\"cwdc\":1,\"size\":4", "both in JSON");
    assert_bad("\"v\":1,\"argc\":1,\"shell\":\"x\",\"size\":2", "give one of");
}

/* The payload in a block of its own size, so that the sanitizers see a read beyond it. */
static enum afar_status take(const char *fields, const char *payload, size_t size,
                             struct exec_request **request)
{
    char sized[256];
    (void)snprintf(sized, sizeof sized, "\"v\":1,%s,\"size\":%zu", fields, size);
    *request = decode(sized);
    assert_non_null(*request);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, payload, size);
    enum afar_status status = exec_request_take_payload(*request, copy, size, &err);
    free(copy);
    return status;
}

static void test_payload(void **state)
{
    (void)state;
    static const char payload[] = "l\xFFs\0\0-l\0A=\xFE\0B=\0/t\xFD";
    struct exec_request *request = NULL;
    assert_int_equal(take("\"argc\":3,\"envc\":2,\"cwdc\":1", payload, sizeof payload, &request),
                     AFAR_OK);
    assert_string_equal(request->argv[0], "l\xFFs");
    assert_string_equal(request->argv[1], "");
    assert_string_equal(request->argv[2], "-l");
    assert_null(request->argv[3]);
    assert_string_equal(request->env[0], "A=\xFE");
    assert_string_equal(request->env[1], "B=");
    assert_null(request->env[2]);
    assert_string_equal(request->cwd, "/t\xFD");
    exec_request_free(request);

    /* Cut at each byte where the counts still could be right. */
    for (size_t size = 6; size < sizeof payload; size++) {
        assert_int_equal(take("\"argc\":3,\"envc\":2,\"cwdc\":1", payload, size, &request),
                         AFAR_EPEER);
        assert_string_equal(err.message, "the payload has fewer strings than the counts say");
        exec_request_free(request);
    }
    assert_int_equal(take("\"argc\":3,\"envc\":2", payload, sizeof payload, &request), AFAR_EPEER);
    assert_string_equal(err.message, "the payload has more strings than the counts say");
    exec_request_free(request);
    assert_int_equal(take("\"argc\":1", "a\0b", 3, &request), AFAR_EPEER);
    exec_request_free(request);
    assert_int_equal(take("\"argc\":1,\"envc\":1", "a\0b", 4, &request), AFAR_EPEER);
    assert_string_equal(err.message, "an entry of \"env\" is not NAME=value");
    exec_request_free(request);
    assert_int_equal(take("\"shell\":\"x\",\"envc\":1", "A=b", 4, &request), AFAR_OK);
    assert_string_equal(request->env[0], "A=b");
    exec_request_free(request);
}

static void test_a_million_words(void **state)
{
    (void)state;
    enum { COUNT = 1 << 20 };
    char *payload = calloc(COUNT, 1);
    assert_non_null(payload);
    struct exec_request *request = NULL;
    assert_int_equal(take("\"argc\":1048576", payload, COUNT, &request), AFAR_OK);
    assert_string_equal(request->argv[COUNT - 1], "");
    assert_null(request->argv[COUNT]);
    exec_request_free(request);
    free(payload);
}

static void assert_lists_equal(char *const *a, char *const *b)
{
    assert_int_equal(a == NULL, b == NULL);
    for (size_t i = 0; a != NULL; i++) {
        assert_int_equal(a[i] == NULL, b[i] == NULL);
        if (a[i] == NULL)
            return;
        assert_string_equal(a[i], b[i]);
    }
}

static void assert_texts_equal(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL)
        assert_string_equal(a, b);
}

/* Puts and decodes; the caller frees. *in_payload: which way the words went. */
static struct exec_request *round_trip(const struct exec_request *request, bool *in_payload)
{
    struct buffer out;
    buffer_init(&out, FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES + FRAME_PAYLOAD_MAX_BYTES);
    assert_int_equal(message_put_exec(&out, 7, request, NULL), AFAR_OK);
    struct decoder decoder;
    decoder_init(&decoder);
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    assert_int_equal(decoder_next(&decoder, buffer_head(&out), buffer_size(&out), &message,
                                  &payload, &used, NULL),
                     AFAR_OK);
    if (message.type != MESSAGE_EXEC)
        fail_msg("%s", message.problem.message);
    assert_int_equal(used, buffer_size(&out));
    *in_payload = message.size > 0;
    struct exec_request *got = message_take_exec(&message);
    if (message.size > 0)
        assert_int_equal(exec_request_take_payload(got, payload, message.size, NULL), AFAR_OK);
    message_close(&message);
    decoder_close(&decoder);
    buffer_close(&out);
    return got;
}

static void assert_round_trip(const struct exec_request *request, bool expect_payload)
{
    bool in_payload = false;
    struct exec_request *got = round_trip(request, &in_payload);
    assert_int_equal(in_payload, expect_payload);
    assert_lists_equal(got->argv, request->argv);
    assert_lists_equal(got->env, request->env);
    assert_texts_equal(got->shell, request->shell);
    assert_texts_equal(got->cwd, request->cwd);
    assert_texts_equal(got->user, request->user);
    assert_texts_equal(got->key, request->key);
    assert_int_equal(got->stdin_stream, request->stdin_stream);
    assert_int_equal(got->login, request->login);
    assert_int_equal(got->pty != NULL, request->pty != NULL);
    if (request->pty != NULL) {
        assert_string_equal(got->pty->term, request->pty->term);
        assert_string_equal(got->pty->color, request->pty->color);
        assert_memory_equal(&got->pty->size, &request->pty->size, sizeof got->pty->size);
        assert_int_equal(got->pty->utf8, request->pty->utf8);
        assert_int_equal(got->pty->locale_count, request->pty->locale_count);
        for (size_t i = 0; i < got->pty->locale_count; i++) {
            assert_string_equal(got->pty->locale[i].name, request->pty->locale[i].name);
            assert_string_equal(got->pty->locale[i].value, request->pty->locale[i].value);
        }
    }
    assert_int_equal(got->digest, request->digest);
    assert_true(got->timeout_ms == request->timeout_ms);
    assert_true(got->start_within_ms == request->start_within_ms);
    assert_int_equal(got->keep, request->keep);
    assert_int_equal(got->leave, request->leave);
    assert_string_equal(got->holder, request->holder);
    assert_true(got->resume_ms == request->resume_ms && got->window_max == request->window_max);
    assert_string_equal(got->unknown_must, "");
    assert_int_equal(got->when_full, request->when_full);
    exec_request_free(got);
}

static void test_round_trips(void **state)
{
    (void)state;
    char *plain[] = {(char *)"ls", (char *)"", (char *)"\"\\\n\x01\x7F\u4f60", NULL};
    char *bytes[] = {(char *)"ls", (char *)"\xFF\xFE", NULL};
    char *env[] = {(char *)"A=b", (char *)"C=", NULL};
    char *env_bytes[] = {(char *)"A=\xFF", NULL};
    char *none[] = {NULL};
    char *long_word = malloc(100000);
    assert_non_null(long_word);
    memset(long_word, '\x01', 99999);
    long_word[99999] = '\0';
    char *long_words[] = {(char *)"echo", long_word, NULL};

    struct pty_request pty = {.term = "xterm-256color",
                              .color = "truecolor",
                              .size = {.rows = 65535, .cols = 1, .xpixel = 2, .ypixel = 3},
                              .locale_count = 2,
                              .locale = {{"LANG", "en_GB.UTF-8"}, {"LC_ALL", ""}}};
    struct exec_request request = {.argv = plain};
    assert_round_trip(&request, false);
    request = (struct exec_request){.argv = plain, .env = none};
    assert_round_trip(&request, false);
    request = (struct exec_request){.argv = plain,
                                    .env = env,
                                    .cwd = (char *)"/tmp",
                                    .user = (char *)"u",
                                    .key = (char *)"k",
                                    .stdin_stream = true,
                                    .pty = &pty,
                                    .digest = true,
                                    .timeout_ms = MESSAGE_INTEGER_MAX,
                                    .start_within_ms = 1000000000000000,
                                    .keep = true,
                                    .leave = true,
                                    .holder = HOLDER,
                                    .resume_ms = 60000,
                                    .window_max = MESSAGE_INTEGER_MAX,
                                    .when_full = WHEN_FULL_CUT};
    assert_round_trip(&request, false);
    request.argv = bytes;
    assert_round_trip(&request, true);
    request.argv = long_words;
    assert_round_trip(&request, true);
    request = (struct exec_request){.login = true, .pty = &pty, .env = env_bytes};
    assert_round_trip(&request, true);
    request = (struct exec_request){.shell = (char *)"ls | wc"};
    assert_round_trip(&request, false);
    request = (struct exec_request){.shell = (char *)"x", .env = env_bytes};
    assert_round_trip(&request, true);
    request = (struct exec_request){.shell = (char *)"x", .cwd = (char *)"/\xFF"};
    assert_round_trip(&request, true);
    request = (struct exec_request){.argv = plain, .env = env, .cwd = long_word};
    assert_round_trip(&request, true);

    /* At the edge of what JSON is used for, with the bytes that escaping makes the most of. */
    for (size_t length = 8100; length < 8300; length++) {
        long_word[length] = '\0';
        request = (struct exec_request){.shell = (char *)"x", .cwd = long_word, .env = env};
        bool in_payload = false;
        struct exec_request *got = round_trip(&request, &in_payload);
        assert_string_equal(got->cwd, long_word);
        exec_request_free(got);
        long_word[length] = '\x01';
    }
    free(long_word);
}

static void test_many_words_go_into_the_payload(void **state)
{
    (void)state;
    char *words[5001];
    for (size_t i = 0; i < 5000; i++)
        words[i] = (char *)"";
    words[5000] = NULL;
    struct exec_request request = {.argv = words};
    assert_round_trip(&request, true);
}

/* A shell line that JSON cannot carry is the same command, spelled out. */
static void test_shell_line_of_any_bytes(void **state)
{
    (void)state;
    char *env[] = {(char *)"A=b", NULL};
    char *long_line = malloc(30001);
    assert_non_null(long_line);
    memset(long_line, ' ', 30000);
    long_line[30000] = '\0';
    char *const lines[] = {(char *)"printf '\xFF'", long_line};
    for (size_t i = 0; i < 2; i++) {
        struct exec_request request = {.shell = lines[i], .env = env, .timeout_ms = 5};
        bool in_payload = false;
        struct exec_request *got = round_trip(&request, &in_payload);
        assert_true(in_payload);
        assert_null(got->shell);
        assert_string_equal(got->argv[0], "/bin/sh");
        assert_string_equal(got->argv[1], "-c");
        assert_string_equal(got->argv[2], lines[i]);
        assert_null(got->argv[3]);
        assert_lists_equal(got->env, env);
        assert_true(got->timeout_ms == 5);
        exec_request_free(got);
    }
    free(long_line);
}

static void test_too_much(void **state)
{
    (void)state;
    char *word = malloc((1 << 20) + 1);
    assert_non_null(word);
    memset(word, 'a', 1 << 20);
    word[1 << 20] = '\0';
    char *argv[] = {word, NULL};
    struct exec_request request = {.argv = argv};
    struct buffer out;
    buffer_init(&out, (size_t)4 << 20);
    assert_int_equal(message_put_exec(&out, 1, &request, &err), AFAR_ELIMIT);
    assert_string_equal(err.message, "arguments and environment exceed 1048576 bytes");
    assert_int_equal(buffer_size(&out), 0);
    word[(1 << 20) - 1] = '\0';
    assert_int_equal(message_put_exec(&out, 1, &request, &err), AFAR_OK);
    buffer_close(&out);
    free(word);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    static const char payload[] = "ls\0A=b\0/";
    for (int n = 1;; n++) {
        struct exec_request request = {.payload_argc = 1, .payload_envc = 1, .payload_cwd = true};
        struct exec_request *copy = malloc(sizeof *copy);
        assert_non_null(copy);
        *copy = request;
        alloc_fault_arm(n);
        enum afar_status status =
            exec_request_take_payload(copy, (const uint8_t *)payload, sizeof payload, &err);
        bool fired = alloc_fault_fired();
        exec_request_free(copy);
        if (!fired) {
            assert_int_equal(status, AFAR_OK);
            assert_int_equal(n, 4);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_bad_fields),
        cmocka_unit_test(test_number_of_words),
        cmocka_unit_test(test_must),
        cmocka_unit_test(test_counts_and_payload_size),
        cmocka_unit_test(test_payload),
        cmocka_unit_test(test_a_million_words),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_many_words_go_into_the_payload),
        cmocka_unit_test(test_shell_line_of_any_bytes),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
