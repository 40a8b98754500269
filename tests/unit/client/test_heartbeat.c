#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/scripted_client.h"

/* As if so much time had passed since. */
static void pass(struct scripted_client *it, int64_t ms)
{
    it->client->heartbeat.heard_ms -= ms;
    it->client->heartbeat.beaten_ms -= ms;
}

static size_t pings(struct scripted_client *it)
{
    return script_count(&it->script, MESSAGE_PING, NULL);
}

static void silence_is_asked_about(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    assert_in_range(afar_timeout(it->client), 1, 30000);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(pings(it), 0);
    pass(it, 30000);
    assert_int_equal(afar_timeout(it->client), 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(pings(it), 1); /* and not another at once */
    script_frame(&it->script, "{\"type\":\"pong\",\"id\":2}");
    script_stdout(&it->script, 1, 0, "still here");
    script_exit(&it->script, 1, 1, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
    assert_string_equal(it->reader.text[0], "still here");
}

static void a_silent_server_is_given_up(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    for (int i = 0; i < 3; i++) {
        pass(it, 30000);
        assert_int_equal(scripted_client_process(it), AFAR_OK);
        assert_int_equal(pings(it), 1);
    }
    pass(it, 30000);
    assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
    assert_non_null(strstr(it->err.message, "no sign of life"));
    assert_null(afar_receipt(it->client));
    assert_int_equal(afar_fd(it->client), -1);
    /* What afar_resume says is the same. */
    const struct afar_resume_options how = AFAR_RESUME_OPTIONS_INIT();
    it->err.message[0] = '\0';
    assert_int_equal(afar_resume(it->client, &how, &it->err), AFAR_ECLOSED);
    assert_non_null(strstr(it->err.message, "no sign of life"));
}

/* A client that was stopped for long reads first what has come meanwhile. */
static void what_has_come_meanwhile_counts(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    script_frame(&it->script, "{\"type\":\"ping\",\"id\":1}");
    pass(it, 1000000);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(script_count(&it->script, MESSAGE_PONG, NULL), 1);
}

static void nothing_is_asked_without_a_command(void **state)
{
    struct scripted_client *it = *state;
    pass(it, 1000000);
    assert_int_equal(afar_timeout(it->client), -1);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    scripted_client_run(it, false, 1000);
    script_exit(&it->script, 1, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(afar_timeout(it->client), -1);
    assert_int_equal(pings(it), 0);
}

static void it_can_be_switched_off(void **state)
{
    struct scripted_client *it = *state;
    afar_set_heartbeat(it->client, 0, 0);
    scripted_client_run(it, false, 1000);
    pass(it, 1000000);
    assert_int_equal(afar_timeout(it->client), -1);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(pings(it), 0);
    afar_set_heartbeat(it->client, 10, 0); /* asks, but for ever */
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(pings(it), 1);
}

/* A server that has never said anything has as long as connecting had. */
static void the_first_answer_has_a_limit(void **state)
{
    struct scripted_client *it = *state;
    it->client->patience_ms = 10000;
    scripted_client_start(it, false, false);
    assert_in_range(afar_timeout(it->client), 1, 5000);
    it->client->heartbeat.ask_at_ms -= 5000;
    it->client->heartbeat.answer_by_ms -= 5000;
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(pings(it), 1);
    assert_in_range(afar_timeout(it->client), 1, 5000);
    it->client->heartbeat.answer_by_ms -= 5000;
    assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
    assert_non_null(strstr(it->err.message, "is it an Afar server?"));
}

static void a_first_answer_lifts_it(void **state)
{
    struct scripted_client *it = *state;
    it->client->patience_ms = 10000;
    scripted_client_run(it, false, 1000);
    assert_in_range(afar_timeout(it->client), 10001, 30000);
    script_exit(&it->script, 1, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(pings(it), 0);
    /* Nor is it for the next command on the connection. */
    scripted_client_start(it, false, false);
    assert_in_range(afar_timeout(it->client), 10001, 30000);
}

static void a_probe(void **state)
{
    struct scripted_client *it = *state;
    assert_int_equal(afar_probe(it->client, 5000, NULL), AFAR_EINVAL);
    scripted_client_run(it, false, 1000);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(afar_probe(it->client, 5000, NULL), AFAR_OK);
        assert_in_range(afar_timeout(it->client), 1, 5000);
        assert_int_equal(scripted_client_process(it), AFAR_OK);
        assert_int_equal(pings(it), 1);
        if (i == 0) {
            script_frame(&it->script, "{\"type\":\"pong\",\"id\":2}");
            assert_int_equal(scripted_client_process(it), AFAR_OK);
            assert_in_range(afar_timeout(it->client), 5001, 30000);
        }
    }
    it->client->heartbeat.answer_by_ms -= 5000;
    assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
    assert_non_null(strstr(it->err.message, "no sign of life"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(silence_is_asked_about, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(a_silent_server_is_given_up, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(what_has_come_meanwhile_counts, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_asked_without_a_command, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(it_can_be_switched_off, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(the_first_answer_has_a_limit, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(a_first_answer_lifts_it, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(a_probe, scripted_client_setup, scripted_client_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
