#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "wire/message.h"

static struct message decoded;
static struct afar_error err;

/* The message lies in `decoded`; none of these tests' messages owns anything. */
static enum afar_status decode(const char *json)
{
    enum afar_status status = message_decode(&decoded, (const uint8_t *)json, strlen(json), &err);
    if (status == AFAR_OK)
        message_close(&decoded);
    return status;
}

static void assert_bad(const char *json, const char *problem)
{
    assert_int_equal(decode(json), AFAR_OK);
    if (decoded.type != MESSAGE_BAD)
        fail_msg("accepted: %s", json);
    assert_int_equal(decoded.problem.code, AFAR_EPEER);
    if (strstr(decoded.problem.message, problem) == NULL)
        fail_msg("%s: '%s' lacks '%s'", json, decoded.problem.message, problem);
}

static void assert_type(const char *json, enum message_type type)
{
    assert_int_equal(decode(json), AFAR_OK);
    if (decoded.type != type)
        fail_msg("%s: type %d, '%s'", json, (int)decoded.type, decoded.problem.message);
}

static void test_every_type(void **state)
{
    (void)state;
    assert_type("{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"x\"}", MESSAGE_EXEC);
    assert_type("{\"type\":\"stdin\",\"id\":1,\"offset\":9,\"eof\":true}", MESSAGE_STDIN);
    assert_int_equal(decoded.offset, 9);
    assert_true(decoded.eof);
    assert_type("{\"type\":\"close\",\"id\":1,\"stream\":\"stderr\"}", MESSAGE_CLOSE);
    assert_int_equal(decoded.stream, STREAM_STDERR);
    assert_type("{\"type\":\"close\",\"id\":1,\"stream\":\"stdout\"}", MESSAGE_CLOSE);
    assert_int_equal(decoded.stream, STREAM_STDOUT);
    assert_type("{\"type\":\"signal\",\"id\":1,\"name\":\"INT\"}", MESSAGE_SIGNAL);
    assert_string_equal(decoded.name, "INT");
    assert_type("{\"type\":\"resize\",\"id\":1,\"rows\":1,\"cols\":2}", MESSAGE_RESIZE);
    assert_type("{\"type\":\"pause\",\"id\":1}", MESSAGE_PAUSE);
    assert_type("{\"type\":\"detach\",\"id\":1}", MESSAGE_DETACH);
    assert_type("{\"type\":\"detached\",\"id\":1}", MESSAGE_DETACHED);
    assert_type("{\"type\":\"room\",\"id\":1,\"window\":5,\"credit\":0}", MESSAGE_ROOM);
    assert_true(decoded.window == 5 && decoded.credit == 0);
    assert_type("{\"type\":\"forget\",\"id\":1,\"job\":\"ab\"}", MESSAGE_FORGET);
    assert_string_equal(decoded.job, "ab");
    assert_type("{\"type\":\"kill\",\"id\":1,\"job\":\"0123456789abcdef0123456789abcdef\",\"name\":"
                "\"TERM\"}",
                MESSAGE_KILL);
    assert_string_equal(decoded.job, "0123456789abcdef0123456789abcdef");
    assert_string_equal(decoded.name, "TERM");
    assert_type("{\"type\":\"jobs\",\"id\":1}", MESSAGE_JOBS);
    assert_type("{\"type\":\"ping\",\"id\":0}", MESSAGE_PING);
    assert_true(decoded.has_id);
    assert_type("{\"type\":\"pong\",\"id\":1,\"version\":\"0.1.0\"}", MESSAGE_PONG);
    assert_string_equal(decoded.word, "0.1.0");
    assert_type("{\"type\":\"ack\",\"id\":1,\"next\":3}", MESSAGE_ACK);
    assert_true(decoded.has_next && !decoded.has_stdin_acked && decoded.next == 3);
    assert_type("{\"type\":\"ack\",\"id\":1,\"stdin\":4}", MESSAGE_ACK);
    assert_true(!decoded.has_next && decoded.has_stdin_acked && decoded.stdin_acked == 4);
    assert_type("{\"type\":\"ack\",\"id\":1,\"stdin\":4,\"next\":3}", MESSAGE_ACK);
    assert_true(decoded.has_next && decoded.has_stdin_acked);
    assert_type("{\"type\":\"started\",\"id\":1,\"job\":\"ab\",\"window\":8}", MESSAGE_STARTED);
    assert_true(decoded.window == 8);
    assert_type("{\"type\":\"stdout\",\"id\":1,\"seq\":5,\"size\":6}", MESSAGE_STDOUT);
    assert_true(decoded.seq == 5 && decoded.size == 6);
    assert_type("{\"type\":\"stderr\",\"id\":1,\"seq\":5}", MESSAGE_STDERR);
    assert_type("{\"type\":\"exit\",\"id\":1,\"seq\":5,\"outcome\":\"exited\",\"code\":0}",
                MESSAGE_EXIT);
    assert_type("{\"type\":\"error\",\"code\":\"busy\",\"message\":\"m\",\"retry_after_ms\":5}",
                MESSAGE_ERROR);
    assert_false(decoded.has_id);
    assert_string_equal(decoded.word, "busy");
    assert_string_equal(decoded.text, "m");
    assert_true(decoded.retry_after_ms == 5);
    assert_type("{\"type\":\"closing\"}", MESSAGE_CLOSING);
    assert_type("{\"type\":\"done\",\"id\":1}", MESSAGE_DONE);
    assert_type("{\"type\":\"teleport\"}", MESSAGE_UNKNOWN);
    assert_string_equal(decoded.word, "teleport");
    assert_type("{\"type\":\"Ping\",\"id\":1}", MESSAGE_UNKNOWN);
    assert_type("{\"type\":\"\"}", MESSAGE_UNKNOWN);
}

static void test_unknown_fields_are_ignored(void **state)
{
    (void)state;
    assert_type("{\"x\":[1.5,{\"y\":null}],\"type\":\"ping\",\"id\":1,\"ID\":\"x\",\"Size\":-1}",
                MESSAGE_PING);
    assert_int_equal(decoded.size, 0);
}

static void test_ids(void **state)
{
    (void)state;
    assert_type("{\"type\":\"ping\",\"id\":9007199254740991}", MESSAGE_PING);
    assert_true(decoded.id == MESSAGE_INTEGER_MAX);
    const char *const bad[] = {"9007199254740992",
                               "9007199254740993",
                               "-1",
                               "1.5",
                               "\"1\"",
                               "null",
                               "true",
                               "[]",
                               "{}",
                               "1e99"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char json[128];
        (void)snprintf(json, sizeof json, "{\"type\":\"ping\",\"id\":%s,\"size\":3}", bad[i]);
        assert_bad(json, "\"id\" must be a whole number");
        assert_false(decoded.has_id);
        assert_int_equal(decoded.size, 3);
    }
    const char *const need[] = {"exec",    "stdin",  "close",    "signal", "resize", "detach",
                                "attach",  "kill",   "jobs",     "ping",   "pong",   "ack",
                                "started", "stdout", "stderr",   "exit",   "done",   "attached",
                                "cut",     "forget", "detached", "room"};
    for (size_t i = 0; i < sizeof need / sizeof need[0]; i++) {
        char json[128];
        (void)snprintf(json, sizeof json, "{\"type\":\"%s\"}", need[i]);
        assert_bad(json, "needs an \"id\"");
    }
}

static void test_types_of_wrong_type(void **state)
{
    (void)state;
    assert_bad("{\"id\":1}", "the field \"type\" is missing");
    assert_bad("{}", "the field \"type\" is missing");
    assert_bad("{\"type\":1,\"id\":1}", "\"type\" must be a string");
    assert_bad("{\"type\":null,\"id\":1}", "\"type\" must be a string");
    assert_bad("{\"type\":\"12345678901234567890123456789012\",\"id\":1}", "31 at most");
}

/* One line for each field: a sound message with this field left out or wrong. */
static void test_every_field_wrong(void **state)
{
    (void)state;
    const struct {
        const char *type;
        const char *others; /* what else it needs, each followed by a comma */
        const char *key;
        const char *values; /* wrong ones, separated by blanks */
        bool required;
    } fields[] = {
        {"stdin", "", "offset", "-1 1.5 \"0\" null true [] {} 9007199254740992", true},
        {"stdin", "\"offset\":0,", "eof", "1 0 \"true\" null []", false},
        {"close", "", "stream", "1 null \"stdin\" \"\" \"STDOUT\" \"stdoutstdout\" []", true},
        {"signal", "", "name", "1 null \"1234567890123456\" [\"INT\"]", true},
        {"kill", "\"name\":\"INT\",", "job", "1 null \"012345678901234567890123456789012\" {}",
         true},
        {"kill", "\"job\":\"x\",", "name", "1 null \"1234567890123456\" []", true},
        {"ack", "", "next", "-1 1.5 \"0\" null true 9007199254740992", true},
        {"ack", "", "stdin", "-1 1.5 \"0\" null true 9007199254740992", true},
        {"ack", "\"next\":1,", "stdin", "-1 null", false},
        {"room", "\"credit\":1,", "window", "-1 null \"1\" 1.5", true},
        {"room", "\"window\":1,", "credit", "-1 null \"1\" 1.5", true},
        {"started", "\"window\":1,", "job", "1 null \"012345678901234567890123456789012\"", true},
        {"started", "\"job\":\"x\",", "window", "-1 null \"1\" 1.5", true},
        {"started", "\"job\":\"x\",\"window\":1,", "credit", "-1 null \"1\" 1.5", false},
        {"stdout", "", "seq", "-1 1.5 \"0\" null true 9007199254740992", true},
        {"stderr", "", "seq", "-1 1.5 \"0\" null true 9007199254740992", true},
        {"exit", "\"outcome\":\"exited\",\"code\":0,", "seq", "-1 null \"1\"", true},
        {"error", "", "code", "1 null \"12345678901234567890123456789012\"", true},
        {"error", "\"code\":\"busy\",", "message", "1 null []", false},
        {"error", "\"code\":\"busy\",", "retry_after_ms", "-1 null \"1\"", false},
        {"error", "\"code\":\"not_found\",", "server", "1 null []", false},
        {"forget", "", "job", "1 null \"012345678901234567890123456789012\" {}", true},
        {"closing", "", "reason", "1 null []", false},
        {"pong", "", "version", "1 null []", false},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char json[512];
        (void)snprintf(json, sizeof json, "{\"type\":\"%s\",%s\"id\":1}", fields[i].type,
                       fields[i].others);
        if (fields[i].required)
            assert_bad(json, fields[i].key);
        else
            assert_int_equal(decode(json), AFAR_OK);
        char values[256];
        (void)snprintf(values, sizeof values, "%s", fields[i].values);
        char *rest = NULL;
        for (char *value = strtok_r(values, " ", &rest); value != NULL;
             value = strtok_r(NULL, " ", &rest)) {
            (void)snprintf(json, sizeof json, "{\"type\":\"%s\",%s\"%s\":%s,\"id\":1,\"size\":77}",
                           fields[i].type, fields[i].others, fields[i].key, value);
            assert_bad(json, fields[i].key);
            assert_true(decoded.has_id && decoded.id == 1);
            assert_int_equal(decoded.size, 77);
        }
    }
}

/* A person's text never costs the message. */
static void test_long_texts_are_cut(void **state)
{
    (void)state;
    char json[2048];
    (void)snprintf(json, sizeof json,
                   "{\"type\":\"error\",\"code\":\"busy\",\"message\":\"%01000d\\u001b\"}", 7);
    assert_type(json, MESSAGE_ERROR);
    assert_int_equal(strlen(decoded.text), MESSAGE_TEXT_BYTES - 1);
    assert_type("{\"type\":\"error\",\"code\":\"busy\",\"message\":\"a\\u001b\\nb\"}",
                MESSAGE_ERROR);
    assert_string_equal(decoded.text, "a??b");
}

static void test_what_ends_the_framing(void **state)
{
    (void)state;
    const char *const lost[] = {
        "[]",
        "1",
        "\"ping\"",
        "null",
        "{\"type\":\"ping\",\"id\":1",
        "{\"type\":\"ping\",\"id\":1}x",
        "{\"type\":\"ping\",\"id\":1}{}",
        "{\"type\":\"ping\",\"type\":\"ping\",\"id\":1}",
        "{\"type\":\"ping\",\"id\":1,\"x\":{\"a\":[{\"b\":1,\"b\":2}]}}",
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"ls\\u0000; rm\"}",
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"ls\\uzzzz; rm\"}",
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"\xFF\"}",
        "{\"a\":[[[[[[[[1]]]]]]]]}",
        "{\"type\":\"ping\",\"id\":1,\"size\":1048577}",
    };
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        if (decode(lost[i]) != AFAR_EPEER)
            fail_msg("passed: %s", lost[i]);
        assert_int_equal(err.code, AFAR_EPEER);
    }
    assert_int_equal(message_decode(&decoded, (const uint8_t *)"{}\0", 3, &err), AFAR_EPEER);
    /* An error is not demanded. */
    assert_int_equal(message_decode(&decoded, (const uint8_t *)"[]", 2, NULL), AFAR_EPEER);
}

static void test_take_exec_moves(void **state)
{
    (void)state;
    const char *json = "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"x\"}";
    struct message message;
    assert_int_equal(message_decode(&message, (const uint8_t *)json, strlen(json), &err), AFAR_OK);
    struct exec_request *request = message_take_exec(&message);
    assert_non_null(request);
    assert_null(message.exec);
    assert_null(message_take_exec(&message));
    message_close(&message);
    assert_string_equal(request->shell, "x");
    exec_request_free(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_unknown_fields_are_ignored),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_types_of_wrong_type),
        cmocka_unit_test(test_every_field_wrong),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_what_ends_the_framing),
        cmocka_unit_test(test_take_exec_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
