// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "support/alloc_fault.h"
#include "wire/message.h"
#include "wire/receipt.h"

static struct afar_error err;

static struct afar_receipt full(void)
{
    struct afar_receipt receipt = {
        .outcome = AFAR_OUTCOME_SPAWN_FAILED,
        .code = 126,
        .signal = "KILL",
        .core_dumped = true,
        .error_name = "ENOENT",
        .error_stage = "exec",
        .message = "lll: No such file",
        .stdin_bytes = 1,
        .stdout_bytes = 1000000000000000,
        .stderr_bytes = MESSAGE_INTEGER_MAX,
        .user_us = 4,
        .system_us = 5,
        .max_rss_bytes = 6,
        .queued_us = 7,
        .spawn_us = 8,
        .run_us = 9,
        .drain_us = 10,
        .stdio_held_open = true,
        .limit = {.name = "memory", .by = AFAR_BY_RULE, .bytes = 1 << 20},
        .killed_by = AFAR_KILLED_BY_SHUTDOWN,
        .ended =
            {.count = 5,
             .first = {{11, "sleep"}, {12, "\xc3\xa4"}, {13, ""}, {MESSAGE_INTEGER_MAX, "x y"}}},
        .held_by = {.count = 2, .first = {{11, "sleep"}, {12, "tail"}}},
        .left = {.count = 1, .first = {{14, "screen"}}},
        .leave_denied = true,
    };
    memset(receipt.stdout_sha256, 'a', 64);
    memset(receipt.stderr_sha256, 'b', 64);
    return receipt;
}

static struct afar_receipt round_trip(const struct afar_receipt *receipt, bool digest)
{
    cJSON *object = cJSON_CreateObject();
    assert_true(receipt_encode(receipt, digest, object));
    char *text = cJSON_PrintUnformatted(object);
    assert_true(utf8_valid(text, strlen(text)));
    cJSON *again = cJSON_Parse(text);
    struct afar_receipt got;
    memset(&got, 0xA5, sizeof got);
    if (receipt_decode(&got, again, &err) != AFAR_OK)
        fail_msg("%s: %s", text, err.message);
    cJSON_free(text);
    cJSON_Delete(object);
    cJSON_Delete(again);
    return got;
}

static void assert_processes_equal(const struct afar_processes *a, const struct afar_processes *b)
{
    assert_true(a->count == b->count);
    for (int i = 0; i < AFAR_PROCESSES_NAMED; i++) {
        assert_true(a->first[i].pid == b->first[i].pid);
        assert_string_equal(a->first[i].name, b->first[i].name);
    }
}

static void assert_receipts_equal(const struct afar_receipt *a, const struct afar_receipt *b)
{
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->code, b->code);
    assert_string_equal(a->signal, b->signal);
    assert_int_equal(a->core_dumped, b->core_dumped);
    assert_string_equal(a->error_name, b->error_name);
    assert_string_equal(a->error_stage, b->error_stage);
    assert_string_equal(a->message, b->message);
    assert_true(a->stdin_bytes == b->stdin_bytes);
    assert_true(a->stdout_bytes == b->stdout_bytes);
    assert_true(a->stderr_bytes == b->stderr_bytes);
    assert_string_equal(a->stdout_sha256, b->stdout_sha256);
    assert_string_equal(a->stderr_sha256, b->stderr_sha256);
    assert_true(a->user_us == b->user_us && a->system_us == b->system_us);
    assert_true(a->max_rss_bytes == b->max_rss_bytes);
    assert_true(a->queued_us == b->queued_us && a->spawn_us == b->spawn_us);
    assert_true(a->run_us == b->run_us && a->drain_us == b->drain_us);
    assert_int_equal(a->stdio_held_open, b->stdio_held_open);
    assert_string_equal(a->limit.name, b->limit.name);
    assert_int_equal(a->limit.by, b->limit.by);
    assert_true(a->limit.ms == b->limit.ms && a->limit.bytes == b->limit.bytes);
    assert_true(a->limit.count == b->limit.count);
    assert_int_equal(a->killed_by, b->killed_by);
    assert_processes_equal(&a->ended, &b->ended);
    assert_processes_equal(&a->held_by, &b->held_by);
    assert_processes_equal(&a->left, &b->left);
    assert_int_equal(a->leave_denied, b->leave_denied);
}

static void test_every_field(void **state)
{
    (void)state;
    struct afar_receipt receipt = full();
    receipt.code = -1; /* excluded by the signal */
    struct afar_receipt got = round_trip(&receipt, true);
    assert_receipts_equal(&got, &receipt);
    got = round_trip(&receipt, false);
    receipt.stdout_sha256[0] = receipt.stderr_sha256[0] = '\0';
    assert_receipts_equal(&got, &receipt);

    struct afar_receipt least = {.outcome = AFAR_OUTCOME_KILLED, .code = -1};
    got = round_trip(&least, false);
    assert_receipts_equal(&got, &least);

    struct afar_receipt stage_only = {
        .outcome = AFAR_OUTCOME_SPAWN_FAILED, .code = -1, .error_stage = "pipe"};
    got = round_trip(&stage_only, false);
    assert_receipts_equal(&got, &stage_only);

    struct afar_receipt name_only = {
        .outcome = AFAR_OUTCOME_SPAWN_FAILED, .code = -1, .error_name = "EIO"};
    got = round_trip(&name_only, false);
    assert_receipts_equal(&got, &name_only);
}

static void test_every_outcome(void **state)
{
    (void)state;
    for (int i = AFAR_OUTCOME_EXITED; i <= AFAR_OUTCOME_SERVER_LOST; i++) {
        enum afar_outcome outcome = AFAR_OUTCOME_EXITED;
        assert_true(message_outcome_parse(message_outcome_name((enum afar_outcome)i), &outcome));
        assert_int_equal(outcome, i);
        struct afar_receipt receipt = {.outcome = (enum afar_outcome)i, .code = i == 0 ? 3 : -1};
        if (i == AFAR_OUTCOME_SIGNALED)
            (void)snprintf(receipt.signal, sizeof receipt.signal, "TERM");
        struct afar_receipt got = round_trip(&receipt, false);
        assert_receipts_equal(&got, &receipt);
    }
    enum afar_outcome outcome = AFAR_OUTCOME_KILLED;
    assert_false(message_outcome_parse("Exited", &outcome));
    assert_false(message_outcome_parse("", &outcome));
    assert_int_equal(outcome, AFAR_OUTCOME_KILLED);
    assert_string_equal(message_outcome_name((enum afar_outcome)99), "unknown");
}

/* No number and no byte of a path may cost a client its receipt. */
static void test_strange_values_still_make_a_receipt(void **state)
{
    (void)state;
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED, .code = 0, .run_us = UINT64_MAX};
    memset(receipt.message, 0xFF, sizeof receipt.message - 1);
    receipt.message[0] = '\n';
    struct afar_receipt got = round_trip(&receipt, false);
    assert_true(got.run_us == MESSAGE_INTEGER_MAX);
    assert_int_equal(strlen(got.message), sizeof receipt.message - 1);
    assert_int_equal(strspn(got.message, "?"), sizeof receipt.message - 1);
}

static enum afar_status decode(const char *json, struct afar_receipt *receipt)
{
    cJSON *object = cJSON_Parse(json);
    if (object == NULL)
        fail_msg("not JSON: %s", json);
    enum afar_status status = receipt_decode(receipt, object, &err);
    cJSON_Delete(object);
    return status;
}

/* The log keeps room for it before it is known, and so does a file. */
static void test_no_receipt_is_too_large(void **state)
{
    (void)state;
    static const char fills[] = {'"', '\\', 'x', '\n', '\xff', '\x7f'};
    for (size_t i = 0; i < sizeof fills; i++) {
        struct afar_receipt receipt = full();
        struct buffer out;
        char *const texts[] = {receipt.signal,    receipt.error_name,    receipt.error_stage,
                               receipt.message,   receipt.stdout_sha256, receipt.stderr_sha256,
                               receipt.limit.name};
        const size_t sizes[] = {sizeof receipt.signal,        sizeof receipt.error_name,
                                sizeof receipt.error_stage,   sizeof receipt.message,
                                sizeof receipt.stdout_sha256, sizeof receipt.stderr_sha256,
                                sizeof receipt.limit.name};
        for (size_t text = 0; text < sizeof texts / sizeof texts[0]; text++) {
            memset(texts[text], fills[i], sizes[text]);
            texts[text][sizes[text] - 1] = '\0';
        }
        for (int process = 0; process < AFAR_PROCESSES_NAMED; process++) {
            receipt.ended.first[process] = (struct afar_process){.pid = UINT64_MAX};
            memset(receipt.ended.first[process].name, fills[i], AFAR_PROCESS_NAME_BYTES - 1);
        }
        receipt.ended.count = UINT64_MAX;
        receipt.held_by = receipt.left = receipt.ended;
        receipt.limit.ms = receipt.limit.bytes = receipt.limit.count = UINT64_MAX;
        receipt.stdin_bytes = receipt.stdout_bytes = receipt.stderr_bytes = UINT64_MAX;
        receipt.user_us = receipt.system_us = receipt.max_rss_bytes = UINT64_MAX;
        receipt.queued_us = receipt.spawn_us = receipt.run_us = receipt.drain_us = UINT64_MAX;
        buffer_init(&out, 65536);
        assert_int_equal(message_put_exit(&out, UINT64_MAX, UINT64_MAX, &receipt, true, &err),
                         AFAR_OK);
        if (buffer_size(&out) > MESSAGE_EXIT_BYTES)
            fail_msg("%zu bytes", buffer_size(&out));
        buffer_close(&out);
    }
}

static void test_words_of_later_versions(void **state)
{
    (void)state;
    struct afar_receipt receipt;
    assert_int_equal(decode("{\"outcome\":\"killed\",\"killed_by\":\"the weather\",\"limit\":"
                            "{\"name\":\"patience of the operator\",\"by\":\"fate\",\"ms\":3},"
                            "\"ended\":{\"count\":9,\"first\":[{\"pid\":1,\"name\":\"a\\nb\"},"
                            "{\"pid\":2,\"name\":\"a name that is too long\"},{\"pid\":3},"
                            "{\"pid\":4},{\"pid\":5,\"name\":7}]},\"held_by\":{\"count\":1}}",
                            &receipt),
                     AFAR_OK);
    assert_int_equal(receipt.killed_by, AFAR_KILLED_UNKNOWN);
    assert_string_equal(receipt.limit.name, "patience of the");
    assert_int_equal(receipt.limit.by, AFAR_BY_UNKNOWN);
    assert_int_equal(receipt.limit.ms, 3);
    assert_int_equal(receipt.ended.count, 9);
    assert_string_equal(receipt.ended.first[0].name, "a?b");
    assert_string_equal(receipt.ended.first[1].name, "a name that is ");
    assert_int_equal(receipt.ended.first[3].pid, 4);
    assert_int_equal(receipt.held_by.count, 1);
    assert_int_equal(receipt.held_by.first[0].pid, 0);
}

static void test_what_it_needs(void **state)
{
    (void)state;
    struct afar_receipt receipt;
    assert_int_equal(decode("{\"outcome\":\"exited\",\"code\":255}", &receipt), AFAR_OK);
    assert_int_equal(receipt.code, 255);
    assert_int_equal(decode("{\"outcome\":\"exited\"}", &receipt), AFAR_EPEER);
    assert_string_equal(err.message, "the field \"code\" is missing");
    assert_int_equal(decode("{\"outcome\":\"signaled\"}", &receipt), AFAR_EPEER);
    assert_string_equal(err.message, "the field \"signal\" is missing");
    static const char both[] = "{\"outcome\":\"timed_out\",\"code\":0,\"signal\":\"TERM\"}";
    assert_int_equal(decode(both, &receipt), AFAR_EPEER);
    assert_string_equal(err.message, "\"code\" and \"signal\" exclude each other");
    assert_int_equal(decode("{\"code\":0}", &receipt), AFAR_EPEER);
    assert_int_equal(decode("{\"outcome\":\"timed_out\"}", &receipt), AFAR_OK);
    assert_int_equal(receipt.code, -1);
    assert_int_equal(decode("{\"outcome\":\"vanished\",\"code\":0}", &receipt), AFAR_EPEER);
    assert_string_equal(err.message, "\"outcome\" is \"vanished\", which is not known");
}

static void test_wrong_fields(void **state)
{
    (void)state;
    const struct {
        const char *key;
        const char *values;
    } wrong[] = {
        {"code", "256 -1 1.5 \"0\" null true"},
        {"signal", "1 null \"1234567890123456\""},
        {"core_dumped", "1 null \"true\""},
        {"stdio_held_open", "1 null \"true\""},
        {"message", "1 null []"},
        {"error", "1 null [] \"ENOENT\""},
        {"error", "{\"errno\":1} {\"errno\":\"123456789012345678901234\"} {\"stage\":null} "
                  "{\"stage\":\"123456789012345678901234\"}"},
        {"bytes", "1 null [] {\"stdin\":-1} {\"stdout\":\"1\"} {\"stderr\":9007199254740992}"},
        {"usage", "1 {\"user_us\":null} {\"system_us\":1.5} {\"max_rss_bytes\":true}"},
        {"timing", "\"\" {\"queued_us\":-1} {\"spawn_us\":[]} {\"run_us\":{}} {\"drain_us\":\"\"}"},
        {"limit", "1 null [] {\"name\":1} {\"by\":null} {\"ms\":-1} {\"bytes\":\"1\"} "
                  "{\"count\":1.5}"},
        {"killed_by", "1 null {}"},
        {"ended", "1 null [] {} {\"count\":-1} {\"count\":1,\"first\":1} "
                  "{\"count\":1,\"first\":[1]} {\"count\":1,\"first\":[{}]} "
                  "{\"count\":1,\"first\":[{\"pid\":1,\"name\":1}]}"},
        {"held_by", "1 {\"count\":null}"},
        {"sha256", "1 {} {\"stdout\":\"a\"} {\"stderr\":\"a\"} {\"stdout\":1,\"stderr\":\"a\"}"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char values[512];
        (void)snprintf(values, sizeof values, "%s", wrong[i].values);
        char *rest = NULL;
        for (char *value = strtok_r(values, " ", &rest); value != NULL;
             value = strtok_r(NULL, " ", &rest)) {
            char json[1024];
            (void)snprintf(json, sizeof json, "{\"outcome\":\"killed\",\"%s\":%s}", wrong[i].key,
                           value);
            struct afar_receipt receipt;
            if (decode(json, &receipt) != AFAR_EPEER)
                fail_msg("accepted: %s", json);
        }
    }
    struct afar_receipt receipt;
    char json[512];
    (void)snprintf(json, sizeof json,
                   "{\"outcome\":\"killed\",\"sha256\":{\"stdout\":\"\",\"stderr\":\"%065d\"}}", 0);
    assert_int_equal(decode(json, &receipt), AFAR_EPEER);
    (void)snprintf(json, sizeof json, "{\"outcome\":\"killed\",\"message\":\"%0300d\"}", 0);
    assert_int_equal(decode(json, &receipt), AFAR_OK);
    assert_int_equal(strlen(receipt.message), AFAR_RECEIPT_MESSAGE_BYTES - 1);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct afar_receipt receipt = full();
    int rounds = 0;
    for (int n = 1;; n++) {
        alloc_fault_arm(0);
        cJSON *object = cJSON_CreateObject();
        alloc_fault_arm(n);
        bool ok = receipt_encode(&receipt, true, object);
        bool fired = alloc_fault_fired();
        cJSON_Delete(object);
        assert_int_equal(ok, !fired);
        if (!fired)
            break;
        rounds++;
    }
    assert_true(rounds > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_every_outcome),
        cmocka_unit_test(test_strange_values_still_make_a_receipt),
        cmocka_unit_test(test_no_receipt_is_too_large),
        cmocka_unit_test(test_words_of_later_versions),
        cmocka_unit_test(test_what_it_needs),
        cmocka_unit_test(test_wrong_fields),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
