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

static void test_subsystem(void **state)
{
    (void)state;
    struct exec_request *request =
        decode("\"v\":1,\"subsystem\":\"sftp\",\"stdin\":\"stream\",\"cwd\":\"/tmp\","
               "\"user\":\"u\",\"timeout_ms\":5,\"start_within_ms\":6,\"digest\":\"sha256\","
               "\"holder\":\"" HOLDER "\",\"resume_ms\":7,\"must\":[\"subsystem\"]");
    assert_non_null(request);
    assert_string_equal(request->subsystem, "sftp");
    assert_null(request->argv);
    assert_null(request->shell);
    assert_string_equal(request->unknown_must, "");
    exec_request_free(request);
#define SFTP "\"v\":1,\"subsystem\":\"sftp\""
#define STREAM ",\"stdin\":\"stream\""
    assert_bad(SFTP, "needs \"stdin\":\"stream\"");
    assert_bad(SFTP STREAM ",\"argv\":[\"a\"]", "give one of");
    assert_bad(SFTP STREAM ",\"shell\":\"a\"", "give one of");
    assert_bad(SFTP STREAM ",\"argc\":1,\"size\":2", "give one of");
    assert_bad(SFTP STREAM ",\"env\":[\"A=b\"]", "does not go with env");
    assert_bad(SFTP STREAM ",\"envc\":1,\"size\":4", "does not go with env");
    assert_bad(SFTP STREAM ",\"pty\":true", "does not go with env, pty");
    assert_bad(SFTP STREAM ",\"keep\":true", "does not go with env, pty, keep");
    assert_bad(SFTP STREAM ",\"key\":\"k\"", "does not go with env, pty, keep and key");
    assert_bad("\"v\":1,\"subsystem\":\"\"" STREAM, "has 0 bytes");
    assert_bad("\"v\":1,\"subsystem\":\"" TEN TEN TEN "xxx\"" STREAM, "has 33 bytes");
    assert_bad("\"v\":1,\"subsystem\":1" STREAM, "subsystem");
}

static void test_forward(void **state)
{
    (void)state;
    struct exec_request *request =
        decode("\"v\":1,\"forward\":\"[::1]:80\",\"stdin\":\"stream\",\"user\":\"u\","
               "\"timeout_ms\":5,\"start_within_ms\":6,\"digest\":\"sha256\",\"leave\":true,"
               "\"holder\":\"" HOLDER "\",\"resume_ms\":7,\"must\":[\"forward\"]");
    assert_non_null(request);
    assert_string_equal(request->forward, "[::1]:80");
    assert_null(request->argv);
    assert_string_equal(request->unknown_must, "");
    exec_request_free(request);
#define DB "\"v\":1,\"forward\":\"db:80\""
    assert_bad(DB, "\"forward\" needs \"stdin\":\"stream\"");
    assert_bad(DB STREAM ",\"argv\":[\"a\"]", "give one of");
    assert_bad(DB STREAM ",\"subsystem\":\"sftp\"", "give one of");
    assert_bad(DB STREAM ",\"login\":true", "give one of");
    assert_bad(DB STREAM ",\"env\":[\"A=b\"]", "does not go with env");
    assert_bad(DB STREAM ",\"pty\":true", "does not go with env, pty");
    assert_bad(DB STREAM ",\"keep\":true", "does not go with env, pty, keep");
    assert_bad(DB STREAM ",\"cwd\":\"/\"", "does not go with cwd");
    assert_bad(DB STREAM ",\"cwdc\":1,\"size\":2", "does not go with cwd");
    assert_bad(DB STREAM ",\"home\":true", "does not go with cwd and home");
    assert_bad("\"v\":1,\"forward\":\"db\"" STREAM, "\"forward\": 'db': host:port");
    assert_bad("\"v\":1,\"forward\":\"db:0\"" STREAM, "is not a port");
    assert_bad("\"v\":1,\"forward\":1" STREAM, "forward");
}

static void test_home(void **state)
{
    (void)state;
    struct exec_request *request =
        decode("\"v\":1,\"shell\":\"x\",\"home\":true,\"shell_of\":\"user\","
               "\"env_if_allowed\":[\"A=b\"]");
    assert_non_null(request);
    assert_true(request->home && request->shell_of_user && !request->login);
    assert_string_equal(request->env_if_allowed[0], "A=b");
    exec_request_free(request);
    request = decode("\"v\":1,\"login\":true");
    assert_non_null(request);
    assert_true(request->login && request->argv == NULL && request->shell == NULL);
    exec_request_free(request);
    assert_bad("\"v\":1,\"login\":true,\"shell\":\"x\"", "give one of");
    assert_bad("\"v\":1,\"login\":true,\"argv\":[\"x\"]", "give one of");
    assert_bad("\"v\":1,\"shell\":\"x\",\"home\":true,\"cwd\":\"/\"", "\"home\"");
    assert_bad("\"v\":1,\"argv\":[\"x\"],\"shell_of\":\"user\"", "\"shell_of\" needs");
    assert_bad("\"v\":1,\"login\":true,\"env_if_allowed\":[\"A\"]", "NAME=value");
    assert_bad("\"v\":1,\"login\":true,\"env_if_allowed\":[\"=a\"]", "NAME=value");
    /* A line that JSON cannot carry. */
    request = decode("\"v\":1,\"home\":true,\"shellc\":1,\"envc\":1,\"size\":9");
    assert_non_null(request);
    assert_int_equal(exec_request_take_payload(request, (const uint8_t *)"A=b\0caf\xe9", 9, NULL),
                     AFAR_OK);
    assert_string_equal(request->shell, "caf\xe9");
    assert_string_equal(request->env[0], "A=b");
    exec_request_free(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subsystem),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
