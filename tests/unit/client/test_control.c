#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/scripted_client.h"

static void test_ping(void **state)
{
    struct scripted_client *it = *state;
    struct afar_pong pong = AFAR_PONG_INIT();
    struct message message;
    /* One for somebody else comes first. */
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":77,\"version\":\"x\"}");
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":1,\"version\":\"1.\\u001b2\"}");
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_OK);
    assert_string_equal(pong.server_version, "1.?2");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_PING);
}

static void test_what_the_server_offers(void **state)
{
    struct scripted_client *it = *state;
    struct afar_pong pong = AFAR_PONG_INIT();
    assert_string_equal(afar_features(it->client), "");
    assert_false(afar_offers(it->client, "pty"));
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":1,\"features\":[\"pty2\",\"keep\"]}");
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_OK);
    assert_string_equal(afar_features(it->client), "pty2 keep");
    assert_true(afar_offers(it->client, "keep"));
    assert_true(afar_offers(it->client, "pty2"));
    static const char *const not_said[] = {"pty", "pty2 keep", "kee", "keep ", "y2", ""};
    for (size_t i = 0; i < sizeof not_said / sizeof not_said[0]; i++)
        assert_false(afar_offers(it->client, not_said[i]));
    /* One that says nothing takes nothing back; `started` says it as well. */
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":2}");
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_OK);
    assert_true(afar_offers(it->client, "keep"));
    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":3,\"job\":\"j\",\"window\":4096,"
                              "\"features\":[\"files\"]}");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_string_equal(afar_features(it->client), "files");
}

static void test_the_end_instead_of_an_answer(void **state)
{
    struct scripted_client *it = *state;
    struct afar_pong pong = AFAR_PONG_INIT();
    it->script.at_end = AFAR_ECLOSED;
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_ECLOSED);
    assert_string_equal(it->err.message, "tcp://there:1 closed the connection before it answered");
}

/* The answer counts although the connection ends right behind it. */
static void test_an_answer_and_the_end(void **state)
{
    struct scripted_client *it = *state;
    struct afar_pong pong = AFAR_PONG_INIT();
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":1,\"version\":\"2\"}");
    it->script.at_end = AFAR_ECLOSED;
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_OK);
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_ECLOSED);
}

static void test_no_answer_and_a_late_one(void **state)
{
    struct scripted_client *it = *state;
    struct afar_pong pong = AFAR_PONG_INIT();
    struct message message;
    assert_int_equal(afar_ping(it->client, 5, &pong, &it->err), AFAR_ETIMEDOUT);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_PING);
    assert_int_equal(message.id, 1);
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":1,\"version\":\"late\"}");
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":2,\"version\":\"now\"}");
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_OK);
    assert_string_equal(pong.server_version, "now");
}

static void test_kill(void **state)
{
    struct scripted_client *it = *state;
    struct message message;
    script_frame(&it->script, "{\"type\":\"done\",\"id\":1}");
    assert_int_equal(afar_kill(it->client, "abc", "TERM", 1000, &it->err), AFAR_OK);
    script_frame(&it->script,
                 "{\"type\":\"error\",\"id\":2,\"code\":\"not_found\",\"message\":\"no job\"}");
    assert_int_equal(afar_kill(it->client, "abc", "TERM", 1000, &it->err), AFAR_EREFUSED);
    assert_string_equal(it->err.reason, "not_found");
    assert_string_equal(it->err.message, "tcp://there:1 refused: no job (not_found)");
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":3}");
    assert_int_equal(afar_kill(it->client, "abc", "TERM", 1000, &it->err), AFAR_EPEER);
    assert_int_equal(afar_kill(it->client, "\xff", "TERM", 1000, &it->err), AFAR_EINVAL);
    assert_int_equal(afar_kill(it->client, NULL, "TERM", 1000, &it->err), AFAR_EINVAL);
    assert_int_equal(afar_kill(it->client, "abc", NULL, 1000, &it->err), AFAR_EINVAL);
    assert_int_equal(afar_forget(it->client, NULL, 1000, &it->err), AFAR_EINVAL);
    assert_false(afar_offers(it->client, NULL));
    /* The receive comes before the send, so all three have been sent only by the next turn. */
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    for (unsigned id = 1; id <= 3; id++) {
        assert_true(script_next(&it->script, &message, NULL));
        assert_int_equal(message.type, MESSAGE_KILL);
        assert_int_equal(message.id, id);
        assert_string_equal(message.job, "abc");
        assert_string_equal(message.name, "TERM");
    }
}

static void test_not_while_a_command_runs(void **state)
{
    struct scripted_client *it = *state;
    struct afar_pong pong = AFAR_PONG_INIT();
    scripted_client_run(it, false, 1000);
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_EINVAL);
    assert_int_equal(afar_kill(it->client, "abc", "TERM", 1000, &it->err), AFAR_EINVAL);
    script_exit(&it->script, 1, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":2}");
    assert_int_equal(afar_ping(it->client, 1000, &pong, &it->err), AFAR_OK);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ping),
        TEST(test_what_the_server_offers),
        TEST(test_the_end_instead_of_an_answer),
        TEST(test_an_answer_and_the_end),
        TEST(test_no_answer_and_a_late_one),
        TEST(test_kill),
        TEST(test_not_while_a_command_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
