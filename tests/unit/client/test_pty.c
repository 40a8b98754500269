#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "support/scripted_client.h"

static enum afar_status start(struct scripted_client *it, const struct afar_pty *pty)
{
    const struct afar_command command =
        AFAR_COMMAND_INIT(.with_stdin = true, .pty = pty, .login = true);
    return afar_start(it->client, &command, NULL, &it->err);
}

static void the_request(void **state)
{
    struct scripted_client *it = *state;
    static const char *const locale[] = {"LANG=en_GB.UTF-8", "LC_ALL=", NULL};
    const struct afar_pty pty =
        AFAR_PTY_INIT(.term = "xterm", .color = "truecolor", .locale = locale, .rows = 33,
                      .cols = 101, .xpixel = 7, .ypixel = 9, .no_utf8 = true);
    struct message message;
    assert_int_equal(start(it, &pty), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_EXEC);
    assert_true(message.exec->login);
    const struct pty_request *got = message.exec->pty;
    assert_string_equal(got->term, "xterm");
    assert_string_equal(got->color, "truecolor");
    assert_true(got->size.rows == 33 && got->size.cols == 101);
    assert_true(got->size.xpixel == 7 && got->size.ypixel == 9);
    assert_false(got->utf8);
    assert_int_equal(got->locale_count, 2);
    assert_string_equal(got->locale[0].name, "LANG");
    assert_string_equal(got->locale[0].value, "en_GB.UTF-8");
    assert_string_equal(got->locale[1].value, "");
    message_close(&message);
}

static void what_is_wrong_is_not_sent(void **state)
{
    struct scripted_client *it = *state;
    static const char *const path[] = {"PATH=x", NULL};
    static const char *const no_equals[] = {"LANG", NULL};
    static const char *const odd[] = {"LANG=a/b", NULL};
    static const char *const many[] = {
        "LC_A=", "LC_B=", "LC_C=", "LC_D=", "LC_E=", "LC_F=", "LC_G=", "LC_H=", "LC_I=",
        "LC_J=", "LC_K=", "LC_L=", "LC_M=", "LC_N=", "LC_O=", "LC_P=", "LC_Q=", NULL};
    const struct afar_pty bad[] = {
        {.term = "xterm"}, /* without its size */
        AFAR_PTY_INIT(.term = ""),
        AFAR_PTY_INIT(.term = "../x"),
        AFAR_PTY_INIT(.color = "a b"),
        AFAR_PTY_INIT(.locale = path),
        AFAR_PTY_INIT(.locale = no_equals),
        AFAR_PTY_INIT(.locale = odd),
        AFAR_PTY_INIT(.locale = many),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(start(it, &bad[i]), AFAR_EINVAL);
    assert_int_equal(buffer_size(&it->script.from_client), 0);
}

static void sizes_and_pauses(void **state)
{
    struct scripted_client *it = *state;
    const struct afar_pty pty = AFAR_PTY_INIT(.rows = 1, .cols = 2);
    const struct afar_pty bigger = AFAR_PTY_INIT(.rows = 3, .cols = 4, .xpixel = 5, .ypixel = 6);
    struct message message;
    assert_int_equal(afar_resize(it->client, &bigger, &it->err), AFAR_EINVAL);
    assert_int_equal(start(it, &pty), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    message_close(&message);

    assert_int_equal(afar_resize(it->client, &bigger, &it->err), AFAR_OK);
    assert_int_equal(afar_pause(it->client, &it->err), AFAR_OK);
    assert_int_equal(afar_process(it->client, &it->err), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_RESIZE);
    assert_int_equal(message.id, 1);
    assert_true(message.screen.rows == 3 && message.screen.cols == 4);
    assert_true(message.screen.xpixel == 5 && message.screen.ypixel == 6);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_PAUSE);
}

/* As the caller may hear of the end only later. */
static void after_the_end_nothing_is_done(void **state)
{
    struct scripted_client *it = *state;
    const struct afar_pty pty = AFAR_PTY_INIT(.rows = 1, .cols = 2);
    assert_int_equal(start(it, &pty), AFAR_OK);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":\"00\",\"window\":1000}");
    script_exit(&it->script, 1, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
    size_t sent = buffer_size(&it->script.from_client);
    assert_int_equal(afar_resize(it->client, &pty, &it->err), AFAR_OK);
    assert_int_equal(afar_pause(it->client, &it->err), AFAR_OK);
    assert_int_equal(afar_process(it->client, &it->err), AFAR_OK);
    assert_int_equal(buffer_size(&it->script.from_client), sent);
    assert_false(it->client->heartbeat.paused);
}

/* Silence counts again only when we have sent something. */
static void a_pause_lasts(void **state)
{
    struct scripted_client *it = *state;
    const struct afar_pty pty = AFAR_PTY_INIT(.rows = 1, .cols = 2);
    assert_int_equal(start(it, &pty), AFAR_OK);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":\"00\",\"window\":1000}");
    assert_int_equal(afar_process(it->client, &it->err), AFAR_OK);
    afar_set_heartbeat(it->client, 1, 1);
    assert_int_equal(afar_pause(it->client, &it->err), AFAR_OK);
    int64_t until_ms = clock_deadline_ms(20);
    while (clock_now_ms() < until_ms)
        assert_int_equal(afar_process(it->client, &it->err), AFAR_OK);
    assert_int_equal(afar_timeout(it->client), -1);
    afar_set_heartbeat(it->client, 1000, 1000000);
    assert_int_equal(afar_resize(it->client, &pty, &it->err), AFAR_OK);
    assert_int_equal(afar_process(it->client, &it->err), AFAR_OK);
    assert_true(afar_timeout(it->client) > 0);
}

static void no_terminal(void **state)
{
    struct scripted_client *it = *state;
    const struct afar_pty pty = AFAR_PTY_INIT(.rows = 1, .cols = 2);
    scripted_client_run(it, true, 1000);
    assert_int_equal(afar_resize(it->client, &pty, &it->err), AFAR_EINVAL);
    assert_int_equal(afar_pause(it->client, &it->err), AFAR_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_request, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_not_sent, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(sizes_and_pauses, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(after_the_end_nothing_is_done, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(a_pause_lasts, scripted_client_setup,
                                        scripted_client_teardown),
        cmocka_unit_test_setup_teardown(no_terminal, scripted_client_setup,
                                        scripted_client_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
