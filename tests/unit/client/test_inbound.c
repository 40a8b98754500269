#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
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
    assert_string_equal(it->reader.text[0], "one three");
    assert_string_equal(it->reader.text[1], "two ");
    assert_string_equal(it->reader.job, "j");
    assert_non_null(afar_receipt(it->client));
    assert_int_equal(afar_receipt(it->client)->code, 5);
    assert_string_equal(it->reader.frames,
                        "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":10000}\n"
                        "{\"type\":\"stdout\",\"id\":1,\"seq\":0,\"size\":4,\"data\":\"one \"}\n"
                        "{\"type\":\"stderr\",\"id\":1,\"seq\":1,\"size\":4,\"data\":\"two \"}\n"
                        "{\"type\":\"stdout\",\"id\":1,\"seq\":2,\"size\":5,\"data\":\"three\"}\n"
                        "{\"type\":\"exit\",\"id\":1,\"seq\":3,\"outcome\":\"exited\",\"code\":5,"
                        "\"bytes\":{\"stdout\":9,\"stderr\":4}}\n");
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
    assert_string_equal(it->reader.text[0], "a");
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

static void test_queued_at_the_wrong_time(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 10000);
    script_frame(&it->script, "{\"type\":\"queued\",\"id\":1,\"position\":1}");
    expect_broken(it, "after it had started");
}

static void test_queued_twice(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"queued\",\"id\":1,\"position\":1}");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    script_frame(&it->script, "{\"type\":\"queued\",\"id\":1,\"position\":1}");
    expect_broken(it, "twice");
}

/* ---- receipts that are not true -------------------------------------------------------------- */

struct lie {
    bool started;
    const char *fields; /* of the exit frame */
    const char *words;  /* NULL: it may be true */
};

/* After "six" on stdout and "four" on stderr, if it was started. */
static const struct lie lies[] = {
    {true, "\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":3,\"stderr\":4}", NULL},
    {true, "\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":2,\"stderr\":4}",
     "counts 2 bytes of stdout, but 3 have come"},
    {true, "\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":4,\"stderr\":4}",
     "counts 4 bytes of stdout, but 3 have come"},
    {true, "\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":3,\"stderr\":9000}",
     "counts 9000 bytes of stderr, but 4 have come"},
    {true, "\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":3}", "0 bytes of stderr"},
    {true, "\"outcome\":\"exited\",\"code\":0", "0 bytes of stdout"},
    {true, "\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdin\":1,\"stdout\":3,\"stderr\":4}",
     "1 bytes of stdin, but 0 were sent"},
    {true, "\"outcome\":\"killed\",\"bytes\":{\"stdout\":3,\"stderr\":4}", NULL},
    {true, "\"outcome\":\"killed\"", "0 bytes of stdout"},
    {true, "\"outcome\":\"output_limit\",\"bytes\":{\"stdout\":3,\"stderr\":4}", NULL},
    {true, "\"outcome\":\"server_lost\"", NULL},
    {true, "\"outcome\":\"spawn_failed\",\"bytes\":{\"stdout\":3,\"stderr\":4}",
     "\"spawn_failed\" of a command that had started"},
    {false, "\"outcome\":\"spawn_failed\"", NULL},
    {false, "\"outcome\":\"killed\"", NULL},
    {false, "\"outcome\":\"disconnected\"", NULL},
    {false, "\"outcome\":\"server_lost\"", NULL},
    {false, "\"outcome\":\"killed\",\"bytes\":{\"stdout\":1}", "1 bytes of stdout"},
    {false, "\"outcome\":\"exited\",\"code\":0", "\"exited\" of a command that had not started"},
    {false, "\"outcome\":\"signaled\",\"signal\":\"KILL\"", "\"signaled\" of a command"},
    {false, "\"outcome\":\"timed_out\"", "\"timed_out\" of a command that had not"},
    {false, "\"outcome\":\"output_limit\"", "\"output_limit\" of a command that had not"},
};

static void tell(struct scripted_client *it, const struct lie *lie)
{
    char header[256];
    if (lie->started) {
        scripted_client_run(it, false, 10000);
        script_stdout(&it->script, 1, 0, "six");
        script_stderr(&it->script, 1, 1, "four");
    } else {
        scripted_client_start(it, false, false);
    }
    (void)snprintf(header, sizeof header, "{\"type\":\"exit\",\"id\":1,\"seq\":%d,%s}",
                   lie->started ? 2 : 0, lie->fields);
    script_frame(&it->script, header);
}

static void test_lies(void **state)
{
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct scripted_client *it = *state;
        tell(it, &lies[i]);
        if (lies[i].words != NULL) {
            expect_broken(it, lies[i].words);
            assert_null(strstr(it->reader.frames, "\"exit\""));
        } else {
            assert_int_equal(scripted_client_process(it), AFAR_OK);
            assert_non_null(afar_receipt(it->client));
        }
        /* What had come was handed out all the same. */
        assert_string_equal(it->reader.text[0], lies[i].started ? "six" : "");
        scripted_client_teardown(state);
        scripted_client_setup(state);
    }
}

/* Whoever has closed a stream does not know what of it came too late. */
static void test_a_closed_stream_is_not_counted(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 10000);
    script_stdout(&it->script, 1, 0, "abc");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(afar_close_output(it->client, 1, NULL), AFAR_OK);
    script_frame(&it->script, "{\"type\":\"exit\",\"id\":1,\"seq\":1,\"outcome\":\"exited\","
                              "\"code\":0,\"bytes\":{\"stdout\":9}}");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
    /* Of the next command it is counted again. */
    scripted_client_run(it, false, 10000);
    script_frame(&it->script, "{\"type\":\"exit\",\"id\":2,\"seq\":0,\"outcome\":\"exited\","
                              "\"code\":0,\"bytes\":{\"stdout\":9}}");
    expect_broken(it, "9 bytes of stdout");
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
    assert_int_equal(it->reader.started, 0);
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
    assert_non_null(strstr(it->reader.frames, "\"busy\""));

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
    assert_string_equal(it->reader.text[0], "new");
    assert_int_equal(afar_receipt(it->client)->code, 0);
}

static void detach(struct scripted_client *it)
{
    struct message message = {0};
    assert_int_equal(afar_detach(it->client, NULL), AFAR_OK);
    assert_int_equal(afar_detach(it->client, NULL), AFAR_OK); /* said once */
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(script_count(&it->script, MESSAGE_DETACH, &message), 1);
    assert_int_equal(message.id, 1);
}

static void test_taken_back(void **state)
{
    struct scripted_client *it = *state;
    assert_int_equal(afar_detach(it->client, NULL), AFAR_EINVAL);
    scripted_client_start(it, true, false);
    detach(it);
    script_frame(&it->script, "{\"type\":\"detached\",\"id\":1}");
    assert_int_equal(scripted_client_process(it), AFAR_EREFUSED);
    assert_string_equal(it->err.reason, "detached");
    assert_non_null(strstr(it->err.message, "it was not begun"));
    assert_null(afar_receipt(it->client));
    /* The connection is still good. */
    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":2,\"job\":\"k\",\"window\":1000}");
    script_exit(&it->script, 2, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
}

/* The server would wait for us to come back, and is told that we do not. */
static void test_closed_before_it_began(void **state)
{
    struct scripted_client *it = *state;
    const struct afar_command command =
        AFAR_COMMAND_INIT(.argv = (const char *const[]){"true", NULL}, .resume_ms = 60000);
    assert_int_equal(afar_start(it->client, &command, NULL, &it->err), AFAR_OK);
    afar_close(it->client);
    it->client = NULL;
    assert_int_equal(script_count(&it->script, MESSAGE_DETACH, NULL), 1);
}

static void test_taken_back_when_it_had_begun(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    detach(it);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":\"k\",\"window\":1000}");
    script_frame(&it->script, "{\"type\":\"detached\",\"id\":1}");
    assert_int_equal(scripted_client_process(it), AFAR_EREFUSED);
    assert_non_null(strstr(it->err.message, "it had begun, and is ended"));
}

static void test_a_receipt_that_crosses_it(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    detach(it);
    script_exit(&it->script, 1, 0, 7);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(afar_receipt(it->client)->code, 7);
}

static void test_detached_unasked(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    script_frame(&it->script, "{\"type\":\"detached\",\"id\":1}");
    expect_broken(it, "that was not taken back");
}

static void test_given_up_while_it_ran(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    it->reader.limit[0] = 0;
    script_stdout(&it->script, 1, 0, "abc");
    script_frame(&it->script, "{\"type\":\"error\",\"id\":1,\"code\":\"internal\"}");
    /* Not before what came before it. */
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    it->reader.limit[0] = 3;
    assert_int_equal(scripted_client_process(it), AFAR_EREFUSED);
    assert_string_equal(it->reader.text[0], "abc");
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
        TEST(test_queued_at_the_wrong_time),
        TEST(test_queued_twice),
        TEST(test_lies),
        TEST(test_a_closed_stream_is_not_counted),
        TEST(test_windows_that_cannot_be),
        TEST(test_a_malformed_message),
        TEST(test_exit_alone),
        TEST(test_refused_and_then_the_next),
        TEST(test_given_up_while_it_ran),
        TEST(test_taken_back),
        TEST(test_closed_before_it_began),
        TEST(test_taken_back_when_it_had_begun),
        TEST(test_a_receipt_that_crosses_it),
        TEST(test_detached_unasked),
        TEST(test_what_is_ignored),
        TEST(test_a_ping_is_answered),
        TEST(test_a_flood_of_pings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
