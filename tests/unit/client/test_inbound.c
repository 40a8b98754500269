#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/scripted_client.h"

static void test_output_in_order(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 10000);
    script_stdout(&it->script, 1, 0, "one ");
    script_stderr(&it->script, 1, 1, "two ");
    script_stdout(&it->script, 1, 2, "three");
    script_exit(&it->script, 1, 3, 5);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_string_equal(it->taker.text[0], "one three");
    assert_string_equal(it->taker.text[1], "two ");
    assert_string_equal(it->taker.job, "j");
    assert_non_null(afar_receipt(it->client));
    assert_int_equal(afar_receipt(it->client)->code, 5);
    assert_string_equal(
        it->taker.frames,
        "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":10000}\n"
        "{\"type\":\"stdout\",\"id\":1,\"seq\":0,\"size\":4,\"data\":\"one \"}\n"
        "{\"type\":\"stderr\",\"id\":1,\"seq\":1,\"size\":4,\"data\":\"two \"}\n"
        "{\"type\":\"stdout\",\"id\":1,\"seq\":2,\"size\":5,\"data\":\"three\"}\n"
        "{\"type\":\"exit\",\"id\":1,\"seq\":3,\"outcome\":\"exited\",\"code\":5}\n");
}

static void expect_broken(struct scripted_client *it, const char *words)
{
    assert_int_equal(scripted_client_process(it), AFAR_EPEER);
    assert_non_null(strstr(it->err.message, words));
    assert_non_null(strstr(it->err.message, "tcp://there:1"));
    assert_null(afar_receipt(it->client));
    /* And it stays so. */
    it->err = (struct afar_error){0};
    assert_int_equal(scripted_client_process(it), AFAR_EPEER);
    assert_non_null(strstr(it->err.message, words));
    assert_int_equal(afar_fd(it->client), -1);
    assert_int_equal(afar_events(it->client), 0);
    assert_int_equal(afar_signal(it->client, "INT", NULL), AFAR_EPEER);
}

static void test_a_gap(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 10000);
    script_stdout(&it->script, 1, 0, "a");
    script_stdout(&it->script, 1, 2, "c");
    expect_broken(it, "output is lost");
    assert_string_equal(it->taker.text[0], "a");
}

static void test_a_repeat(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 10000);
    script_stdout(&it->script, 1, 0, "a");
    script_stdout(&it->script, 1, 0, "a");
    expect_broken(it, "output is lost");
}

static void test_an_exit_that_leaves_a_gap(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 10000);
    script_exit(&it->script, 1, 1, 0);
    expect_broken(it, "output is lost");
}

static void test_output_before_started(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    script_stdout(&it->script, 1, 0, "a");
    expect_broken(it, "before the command had started");
}

static void test_started_twice(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 10000);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":1}");
    expect_broken(it, "twice");
}

static void test_windows_that_cannot_be(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    script_frame(&it->script,
                 "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":1073741825}");
    expect_broken(it, "window");
}

static void test_a_malformed_message(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":7,\"window\":1}");
    expect_broken(it, "malformed");
}

static void test_exit_alone(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"exit\",\"id\":1,\"seq\":0,\"outcome\":\"spawn_failed\","
                              "\"error\":{\"errno\":\"ENOENT\",\"stage\":\"exec\"}}");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(afar_exit_status(afar_receipt(it->client)), 127);
    assert_int_equal(it->taker.started, 0);
}

static void test_refused_and_then_the_next(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, true, false);
    script_frame(&it->script, "{\"type\":\"error\",\"id\":1,\"code\":\"busy\",\"message\":\"too "
                              "many\",\"retry_after_ms\":250}");
    assert_int_equal(scripted_client_process(it), AFAR_EREFUSED);
    assert_string_equal(it->err.reason, "busy");
    assert_string_equal(it->err.message, "tcp://there:1 refused the command: too many (busy); try "
                                         "again in 250 ms");
    assert_null(afar_receipt(it->client));
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(strstr(it->taker.frames, "\"busy\""));

    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":2,\"job\":\"k\",\"window\":1000}");
    /* What races the end of the first one is ignored. */
    script_stdout(&it->script, 1, 7, "old");
    script_exit(&it->script, 1, 9, 1);
    script_frame(&it->script, "{\"type\":\"error\",\"id\":1,\"code\":\"x\",\"message\":\"y\"}");
    script_frame(&it->script, "{\"type\":\"ack\",\"id\":1,\"stdin\":99}");
    script_stdout(&it->script, 2, 0, "new");
    script_exit(&it->script, 2, 1, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_string_equal(it->taker.text[0], "new");
    assert_int_equal(afar_receipt(it->client)->code, 0);
}

static void test_given_up_while_it_ran(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    it->taker.limit[0] = 0;
    script_stdout(&it->script, 1, 0, "abc");
    script_frame(&it->script, "{\"type\":\"error\",\"id\":1,\"code\":\"internal\"}");
    /* Not before what came before it. */
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    it->taker.limit[0] = 3;
    assert_int_equal(scripted_client_process(it), AFAR_EREFUSED);
    assert_string_equal(it->taker.text[0], "abc");
    assert_non_null(strstr(it->err.message, "gave the command up: no reason given (internal)"));
}

static void test_what_is_ignored(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    script_payload(&it->script, "{\"type\":\"hologram\",\"id\":1,\"size\":3}", "abc", 3);
    script_frame(&it->script, "{\"type\":\"hologram\"}");
    script_frame(&it->script, "{\"type\":\"jobs\",\"id\":1}");
    script_frame(&it->script, "{\"type\":\"done\",\"id\":1}");
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":77}");
    script_frame(&it->script, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"m\"}");
    script_frame(&it->script, "{\"type\":\"ack\",\"id\":1,\"next\":99}");
    script_exit(&it->script, 1, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
}

static void test_a_ping_is_answered(void **state)
{
    struct scripted_client *it = *state;
    struct message message;
    script_frame(&it->script, "{\"type\":\"ping\",\"id\":123}");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_PONG);
    assert_int_equal(message.id, 123);
    assert_string_equal(message.word, AFAR_VERSION);
}

/* A server that asks and asks, and never reads the answers, is not listened to for ever. */
static void test_a_flood_of_pings(void **state)
{
    struct scripted_client *it = *state;
    enum afar_status status = AFAR_OK;
    it->script.send_room = 0;
    for (int i = 0; i < 200 && status == AFAR_OK; i++) {
        for (int j = 0; j < 1000; j++)
            script_frame(&it->script, "{\"type\":\"ping\",\"id\":1}");
        status = scripted_client_process(it);
    }
    assert_int_equal(status, AFAR_ELIMIT);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_output_in_order),
        TEST(test_a_gap),
        TEST(test_a_repeat),
        TEST(test_an_exit_that_leaves_a_gap),
        TEST(test_output_before_started),
        TEST(test_started_twice),
        TEST(test_windows_that_cannot_be),
        TEST(test_a_malformed_message),
        TEST(test_exit_alone),
        TEST(test_refused_and_then_the_next),
        TEST(test_given_up_while_it_ran),
        TEST(test_what_is_ignored),
        TEST(test_a_ping_is_answered),
        TEST(test_a_flood_of_pings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
