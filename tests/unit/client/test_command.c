#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/scripted_client.h"

static enum afar_status start(struct scripted_client *it, const struct afar_command *command)
{
    return afar_start(it->client, command, NULL, &it->err);
}

static void test_the_request(void **state)
{
    struct scripted_client *it = *state;
    static const char *const argv[] = {"ls", "-l", NULL};
    static const char *const env[] = {"A=b", "C=", NULL};
    const struct afar_command command =
        AFAR_COMMAND_INIT(.argv = argv, .env = env, .cwd = "/tmp", .timeout_ms = 1500,
                          .with_stdin = true, .with_digest = true, .with_pty = true);
    struct message message;
    assert_int_equal(start(it, &command), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_EXEC);
    assert_int_equal(message.id, 1);
    assert_string_equal(message.exec->argv[1], "-l");
    assert_string_equal(message.exec->env[1], "C=");
    assert_string_equal(message.exec->cwd, "/tmp");
    assert_int_equal(message.exec->timeout_ms, 1500);
    assert_true(message.exec->stdin_stream);
    assert_true(message.exec->digest);
    assert_non_null(message.exec->pty);
    assert_string_equal(message.exec->pty->term, "dumb");
    message_close(&message);
}

static void test_bytes_that_are_no_utf8(void **state)
{
    struct scripted_client *it = *state;
    static const char *const argv[] = {"caf\xe9", "\x01\xff", NULL};
    static const char *const env[] = {"A=\xfe", NULL};
    const struct afar_command words = AFAR_COMMAND_INIT(.argv = argv, .env = env, .cwd = "/\xe9");
    struct message message;
    assert_int_equal(start(it, &words), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    assert_string_equal(message.exec->argv[0], "caf\xe9");
    assert_string_equal(message.exec->argv[1], "\x01\xff");
    assert_string_equal(message.exec->env[0], "A=\xfe");
    assert_string_equal(message.exec->cwd, "/\xe9");
    message_close(&message);
}

static void test_a_shell_line_that_is_no_utf8(void **state)
{
    struct scripted_client *it = *state;
    const struct afar_command line = AFAR_COMMAND_INIT(.shell = "echo \xff");
    struct message message;
    assert_int_equal(start(it, &line), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    assert_null(message.exec->shell);
    assert_string_equal(message.exec->argv[0], "/bin/sh");
    assert_string_equal(message.exec->argv[1], "-c");
    assert_string_equal(message.exec->argv[2], "echo \xff");
    message_close(&message);
}

static void test_bad_commands_are_not_sent(void **state)
{
    struct scripted_client *it = *state;
    static const char *const none[] = {NULL};
    static const char *const argv[] = {"x", NULL};
    static const char *const no_equals[] = {"A", NULL};
    static const char *const no_name[] = {"=b", NULL};
    const struct afar_command bad[] = {
        AFAR_COMMAND_INIT(),
        {.argv = argv}, /* without its size */
        AFAR_COMMAND_INIT(.argv = argv, .shell = "x"),
        AFAR_COMMAND_INIT(.argv = argv, .login = true),
        AFAR_COMMAND_INIT(.shell = "x", .login = true),
        AFAR_COMMAND_INIT(.argv = none),
        AFAR_COMMAND_INIT(.argv = argv, .env = no_equals),
        AFAR_COMMAND_INIT(.argv = argv, .env = no_name),
        AFAR_COMMAND_INIT(.argv = argv, .timeout_ms = -1),
        AFAR_COMMAND_INIT(.argv = argv, .watch = true),
        AFAR_COMMAND_INIT(.argv = argv, .key = "k", .watch = true),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(start(it, &bad[i]), AFAR_EINVAL);
    assert_int_equal(buffer_size(&it->script.from_client), 0);
    scripted_client_start(it, false, false);
    const struct afar_command second = AFAR_COMMAND_INIT(.argv = argv);
    assert_int_equal(start(it, &second), AFAR_EINVAL);
}

static void test_arguments_beyond_the_limit(void **state)
{
    struct scripted_client *it = *state;
    char *word = calloc(1, (1 << 20) + 1);
    assert_non_null(word);
    memset(word, 'a', 1 << 20);
    const char *const argv[] = {word, NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    assert_int_equal(start(it, &command), AFAR_ELIMIT);
    word[(1 << 20) - 1] = '\0';
    scripted_client_start(it, false, false);
    assert_null(afar_receipt(it->client));
    free(word);
}

/* Takes all stdin frames: their offsets must be without a gap. Returns the end of the last. */
static uint64_t collect_stdin(struct scripted_client *it, uint64_t from, size_t *eofs)
{
    struct message message;
    while (script_next(&it->script, &message, NULL)) {
        if (message.type != MESSAGE_STDIN)
            continue;
        assert_int_equal(message.offset, from);
        assert_true(message.size <= 65536);
        from += message.size;
        *eofs += message.eof ? 1 : 0;
    }
    return from;
}

static void test_stdin_is_sent_to_the_last_byte_of_its_credit(void **state)
{
    struct scripted_client *it = *state;
    static char data[MESSAGE_STDIN_CREDIT_BYTES + 1];
    size_t taken = 0;
    size_t eofs = 0;
    scripted_client_run(it, true, 1000);
    assert_int_equal(afar_write_stdin(it->client, data, sizeof data, &taken, &it->err), AFAR_OK);
    assert_int_equal(taken, MESSAGE_STDIN_CREDIT_BYTES);
    assert_int_equal(afar_write_stdin(it->client, data, 1, &taken, &it->err), AFAR_EAGAIN);
    assert_int_equal(taken, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(collect_stdin(it, 0, &eofs), MESSAGE_STDIN_CREDIT_BYTES);

    script_frame(&it->script, "{\"type\":\"ack\",\"id\":1,\"stdin\":3}");
    /* One that goes back says nothing new. */
    script_frame(&it->script, "{\"type\":\"ack\",\"id\":1,\"stdin\":2}");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(afar_write_stdin(it->client, data, 5, &taken, &it->err), AFAR_OK);
    assert_int_equal(taken, 3);
    assert_int_equal(afar_close_stdin(it->client, &it->err), AFAR_OK);
    assert_int_equal(afar_close_stdin(it->client, &it->err), AFAR_OK);
    assert_int_equal(afar_write_stdin(it->client, data, 5, &taken, &it->err), AFAR_EINVAL);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(collect_stdin(it, MESSAGE_STDIN_CREDIT_BYTES, &eofs),
                     MESSAGE_STDIN_CREDIT_BYTES + 3);
    assert_int_equal(eofs, 1);
}

/* A server may take more at once, in larger frames. */
static void test_a_server_that_gives_more_credit(void **state)
{
    struct scripted_client *it = *state;
    static char data[1000000];
    struct message message;
    size_t taken = 0;
    scripted_client_start(it, true, false);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":1000,"
                              "\"credit\":700000}");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(afar_write_stdin(it->client, data, sizeof data, &taken, &it->err), AFAR_OK);
    assert_int_equal(taken, 700000);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    uint64_t next = 0;
    size_t frames = 0;
    while (script_next(&it->script, &message, NULL)) {
        if (message.type != MESSAGE_STDIN)
            continue;
        assert_true(message.size <= MESSAGE_STDIN_FRAME_BYTES);
        assert_int_equal(message.offset, next);
        next += message.size;
        frames++;
    }
    assert_int_equal(next, 700000);
    assert_int_equal(frames, 3);
}

static void test_an_ack_of_more_than_was_sent(void **state)
{
    struct scripted_client *it = *state;
    size_t taken = 0;
    scripted_client_run(it, true, 1000);
    assert_int_equal(afar_write_stdin(it->client, "abc", 3, &taken, &it->err), AFAR_OK);
    script_frame(&it->script, "{\"type\":\"ack\",\"id\":1,\"stdin\":4}");
    assert_int_equal(scripted_client_process(it), AFAR_EPEER);
}

static void test_small_input_and_ack_leave_in_one_send(void **state)
{
    struct scripted_client *it = *state;
    size_t taken = 0;
    scripted_client_run(it, true, 1000);
    size_t before = it->script.sends;
    for (int i = 0; i < 3; i++)
        assert_int_equal(afar_write_stdin(it->client, "a", 1, &taken, &it->err), AFAR_OK);
    script_stdout(&it->script, 1, 0, "b");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(it->script.sends, before + 1);
}

static void test_input_after_the_end_is_dropped(void **state)
{
    struct scripted_client *it = *state;
    size_t taken = 0;
    scripted_client_run(it, true, 1000);
    script_exit(&it->script, 1, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
    assert_int_equal(afar_write_stdin(it->client, "abc", 3, &taken, &it->err), AFAR_OK);
    assert_int_equal(taken, 3);
    assert_int_equal(afar_close_stdin(it->client, &it->err), AFAR_OK);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(script_count(&it->script, MESSAGE_STDIN, NULL), 0);
}

static void test_without_stdin_nothing_is_taken(void **state)
{
    struct scripted_client *it = *state;
    size_t taken = 7;
    scripted_client_run(it, false, 1000);
    assert_int_equal(afar_write_stdin(it->client, "abc", 3, &taken, &it->err), AFAR_EINVAL);
    assert_int_equal(taken, 0);
}

/* Where the socket takes nothing, input must not pile up as frames of a byte each. */
static void test_bytes_one_by_one_do_not_pile_up(void **state)
{
    struct scripted_client *it = *state;
    size_t taken = 0;
    size_t total = 0;
    scripted_client_run(it, true, 1000);
    it->script.send_room = 0;
    while (afar_write_stdin(it->client, "a", 1, &taken, &it->err) == AFAR_OK)
        total += taken;
    assert_int_equal(it->err.code, AFAR_EAGAIN);
    assert_true(total > 1000);
    assert_true(buffer_size(&it->client->out) < CLIENT_OUT_MAX_BYTES);
    /* A signal still gets through. */
    assert_int_equal(afar_signal(it->client, "INT", &it->err), AFAR_OK);
}

static void test_signal_and_close(void **state)
{
    struct scripted_client *it = *state;
    struct message message;
    assert_int_equal(afar_signal(it->client, "INT", &it->err), AFAR_EINVAL);
    scripted_client_run(it, false, 1000);
    assert_int_equal(afar_signal(it->client, NULL, &it->err), AFAR_EINVAL);
    assert_int_equal(afar_close_output(it->client, 0, &it->err), AFAR_EINVAL);
    assert_int_equal(afar_close_output(it->client, 2, &it->err), AFAR_OK);
    assert_int_equal(afar_signal(it->client, "TERM", &it->err), AFAR_OK);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_CLOSE);
    assert_int_equal(message.stream, STREAM_STDERR);
    assert_true(script_next(&it->script, &message, NULL));
    assert_int_equal(message.type, MESSAGE_SIGNAL);
    assert_int_equal(message.id, 1);
    assert_string_equal(message.name, "TERM");
}

static void test_a_server_that_had_gone_before(void **state)
{
    struct scripted_client *it = *state;
    static const char *const argv[] = {"x", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    it->script.at_end = AFAR_ECLOSED;
    assert_int_equal(start(it, &command), AFAR_ECLOSED);
    assert_string_equal(it->err.message,
                        "the command was not sent: tcp://there:1 closed the connection");
    assert_int_equal(buffer_size(&it->script.from_client), 0);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_request),
        TEST(test_bytes_that_are_no_utf8),
        TEST(test_a_shell_line_that_is_no_utf8),
        TEST(test_bad_commands_are_not_sent),
        TEST(test_arguments_beyond_the_limit),
        TEST(test_stdin_is_sent_to_the_last_byte_of_its_credit),
        TEST(test_a_server_that_gives_more_credit),
        TEST(test_an_ack_of_more_than_was_sent),
        TEST(test_small_input_and_ack_leave_in_one_send),
        TEST(test_input_after_the_end_is_dropped),
        TEST(test_without_stdin_nothing_is_taken),
        TEST(test_bytes_one_by_one_do_not_pile_up),
        TEST(test_signal_and_close),
        TEST(test_a_server_that_had_gone_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
