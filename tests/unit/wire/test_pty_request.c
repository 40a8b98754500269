// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "support/alloc_fault.h"
#include "wire/message.h"
#include "wire/pty_request.h"

#define TEN "xxxxxxxxxx"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define MOST SIXTY "xxxx" /* 64 bytes */

static struct afar_error err;

static enum afar_status decode(const char *pty, struct pty_request **request)
{
    char text[4096];
    (void)snprintf(text, sizeof text, "{\"pty\":%s}", pty);
    cJSON *object = cJSON_Parse(text);
    assert_non_null(object);
    enum afar_status status = pty_request_decode(request, object, &err);
    cJSON_Delete(object);
    return status;
}

static void none(void **state)
{
    (void)state;
    struct pty_request *request = NULL;
    cJSON *object = cJSON_CreateObject();
    assert_int_equal(pty_request_decode(&request, object, &err), AFAR_OK);
    assert_null(request);
    cJSON_Delete(object);
    assert_int_equal(decode("false", &request), AFAR_OK);
    assert_null(request);
}

static void the_least(void **state)
{
    (void)state;
    static const char *const least[] = {"true", "{}", "{\"unknown\":[1]}"};
    for (size_t i = 0; i < sizeof least / sizeof least[0]; i++) {
        struct pty_request *request = NULL;
        assert_int_equal(decode(least[i], &request), AFAR_OK);
        assert_string_equal(request->term, "dumb");
        assert_string_equal(request->color, "");
        assert_true(request->utf8);
        assert_true(request->size.rows == 0 && request->size.cols == 0);
        assert_int_equal(request->locale_count, 0);
        free(request);
    }
}

static void everything(void **state)
{
    (void)state;
    struct pty_request *request = NULL;
    assert_int_equal(
        decode("{\"term\":\"" MOST "\",\"rows\":65535,\"cols\":1,\"xpixel\":2,"
               "\"ypixel\":0,\"utf8\":false,\"color\":\"truecolor\",\"locale\":"
               "{\"LANG\":\"ca_ES@valencia\",\"LC_ALL\":\"\",\"LC_TIME\":\"C.UTF-8\"}}",
               &request),
        AFAR_OK);
    assert_string_equal(request->term, MOST);
    assert_true(request->size.rows == 65535 && request->size.cols == 1 &&
                request->size.xpixel == 2 && request->size.ypixel == 0);
    assert_false(request->utf8);
    assert_string_equal(request->color, "truecolor");
    assert_int_equal(request->locale_count, 3);
    assert_string_equal(request->locale[0].name, "LANG");
    assert_string_equal(request->locale[0].value, "ca_ES@valencia");
    assert_string_equal(request->locale[1].value, "");
    assert_string_equal(request->locale[2].name, "LC_TIME");
    free(request);
}

/* Each names its field. */
static void what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *pty;
        const char *field;
    } wrong[] = {
        {"1", "\"pty\""},
        {"\"xterm\"", "\"pty\""},
        {"[]", "\"pty\""},
        {"null", "\"pty\""},
        {"{\"rows\":-1}", "\"pty.rows\""},
        {"{\"rows\":65536}", "\"pty.rows\""},
        {"{\"rows\":1.5}", "\"pty.rows\""},
        {"{\"rows\":\"1\"}", "\"pty.rows\""},
        {"{\"rows\":null}", "\"pty.rows\""},
        {"{\"cols\":1e9}", "\"pty.cols\""},
        {"{\"xpixel\":-0.5}", "\"pty.xpixel\""},
        {"{\"ypixel\":true}", "\"pty.ypixel\""},
        {"{\"utf8\":1}", "\"pty.utf8\""},
        {"{\"term\":\"\"}", "\"pty.term\""},
        {"{\"term\":1}", "\"pty.term\""},
        {"{\"term\":\"../x\"}", "\"pty.term\""},
        {"{\"term\":\"-x\"}", "\"pty.term\""},
        {"{\"term\":\"a b\"}", "\"pty.term\""},
        {"{\"term\":\"a/b\"}", "\"pty.term\""},
        {"{\"term\":\"a\\u001b\"}", "\"pty.term\""},
        {"{\"term\":\"" MOST "x\"}", "\"pty.term\""},
        {"{\"color\":\"a;b\"}", "\"pty.color\""},
        {"{\"color\":\"" MOST "x\"}", "\"pty.color\""},
        {"{\"locale\":[]}", "\"pty.locale\""},
        {"{\"locale\":{\"PATH\":\"x\"}}", "\"pty.locale\""},
        {"{\"locale\":{\"LC_\":\"x\"}}", "\"pty.locale\""},
        {"{\"locale\":{\"LC_all\":\"x\"}}", "\"pty.locale\""},
        {"{\"locale\":{\"LD_PRELOAD\":\"x\"}}", "\"pty.locale\""},
        {"{\"locale\":{\"LC_" SIXTY "\":\"x\"}}", "\"pty.locale\""},
        {"{\"locale\":{\"LANG\":\"../../x\"}}", "\"pty.locale.LANG\""},
        {"{\"locale\":{\"LANG\":\"" MOST "x\"}}", "\"pty.locale.LANG\""},
        {"{\"locale\":{\"LANG\":1}}", "\"pty.locale.LANG\""},
        {"{\"locale\":{\"LC_A\":\"\",\"LC_B\":\"\",\"LC_C\":\"\",\"LC_D\":\"\",\"LC_E\":\"\","
         "\"LC_F\":\"\",\"LC_G\":\"\",\"LC_H\":\"\",\"LC_I\":\"\",\"LC_J\":\"\",\"LC_K\":\"\","
         "\"LC_L\":\"\",\"LC_M\":\"\",\"LC_N\":\"\",\"LC_O\":\"\",\"LC_P\":\"\",\"LC_Q\":\"\"}}",
         "\"pty.locale\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct pty_request *request = NULL;
        if (decode(wrong[i].pty, &request) != AFAR_EPEER)
            fail_msg("accepted: %s", wrong[i].pty);
        assert_null(request);
        if (strstr(err.message, wrong[i].field) == NULL)
            fail_msg("%s: '%s' lacks '%s'", wrong[i].pty, err.message, wrong[i].field);
    }
}

/* A resize that is malformed is no message of the request: the command must not end for it. */
static void a_bad_resize_has_no_id(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"type\":\"resize\",\"id\":1}",
        "{\"type\":\"resize\",\"id\":1,\"rows\":24}",
        "{\"type\":\"resize\",\"id\":1,\"rows\":24,\"cols\":65536}",
        "{\"type\":\"resize\",\"id\":1,\"rows\":\"24\",\"cols\":80}",
    };
    struct message message;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(message_decode(&message, (const uint8_t *)bad[i], strlen(bad[i]), &err),
                         AFAR_OK);
        assert_int_equal(message.type, MESSAGE_BAD);
        assert_false(message.has_id);
        message_close(&message);
    }
}

static void out_of_memory(void **state)
{
    (void)state;
    struct pty_request pty = {.term = "xterm",
                              .color = "c",
                              .size = {.rows = 1, .cols = 2},
                              .locale_count = 1,
                              .locale = {{"LANG", "C"}}};
    for (int n = 1;; n++) {
        cJSON *object = cJSON_CreateObject();
        alloc_fault_arm(n);
        bool ok = pty_request_encode(&pty, object);
        bool fired = alloc_fault_fired();
        cJSON_Delete(object);
        assert_true(ok != fired);
        if (!fired)
            break;
    }
    struct pty_request *request = NULL;
    cJSON *object = cJSON_Parse("{\"pty\":{}}");
    alloc_fault_arm(1);
    assert_int_equal(pty_request_decode(&request, object, &err), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    cJSON_Delete(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none),
        cmocka_unit_test(the_least),
        cmocka_unit_test(everything),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test(a_bad_resize_has_no_id),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
