// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/alloc_fault.h"
#include "support/scripted_client.h"

static const char abc_sha256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char no_sha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void test_the_receipt_waits_for_the_output(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    it->reader.limit[0] = 1;
    script_stdout(&it->script, 1, 0, "abc");
    script_exit(&it->script, 1, 1, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(scripted_client_process(it), AFAR_OK);
        assert_null(afar_receipt(it->client));
        assert_null(strstr(it->reader.frames, "exit"));
    }
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
    assert_string_equal(it->reader.text[0], "abc");
    assert_non_null(strstr(it->reader.frames, "exit"));
}

/* The server may go as soon as it has sent the receipt, however long its delivery takes here. */
static void test_the_connection_ends_before_the_output_is_taken(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    it->reader.limit[1] = 0;
    script_stderr(&it->script, 1, 0, "abc");
    script_exit(&it->script, 1, 1, 4);
    it->script.at_end = AFAR_ECLOSED;
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(afar_fd(it->client), -1);
    assert_null(afar_receipt(it->client));
    it->reader.limit[1] = 3;
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
    assert_int_equal(afar_receipt(it->client)->code, 4);
    assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
}

static void finish_with_digests(struct scripted_client *it, const char *out, const char *err)
{
    char header[512];
    scripted_client_start(it, false, true);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":1000}");
    script_stdout(&it->script, 1, 0, "abc");
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exit\",\"id\":1,\"seq\":1,\"outcome\":\"exited\",\"code\":0,"
                   "\"bytes\":{\"stdout\":3},\"sha256\":{\"stdout\":\"%s\",\"stderr\":\"%s\"}}",
                   out, err);
    script_frame(&it->script, header);
}

static void test_digests_that_are_right(void **state)
{
    struct scripted_client *it = *state;
    finish_with_digests(it, abc_sha256, no_sha256);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
}

static void test_digests_that_are_wrong(void **state)
{
    struct scripted_client *it = *state;
    finish_with_digests(it, abc_sha256, abc_sha256);
    assert_int_equal(scripted_client_process(it), AFAR_EPEER);
    assert_non_null(strstr(it->err.message, "SHA-256 of stderr"));
    assert_null(afar_receipt(it->client));
}

static void test_digests_that_are_missing(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, true);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":1000}");
    script_exit(&it->script, 1, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_EPEER);
    assert_non_null(strstr(it->err.message, "SHA-256 of stdout"));
    assert_null(afar_receipt(it->client));
}

static void test_callbacks_may_be_absent(void **state)
{
    struct scripted_client *it = *state;
    const struct afar_command command = AFAR_COMMAND_INIT(.shell = "x");
    assert_int_equal(afar_start(it->client, &command, NULL, NULL), AFAR_OK);
    script_frame(&it->script, "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":10}");
    script_stdout(&it->script, 1, 0, "abc");
    script_stderr(&it->script, 1, 1, "abc");
    script_exit(&it->script, 1, 2, 0);
    assert_int_equal(afar_process(it->client, NULL), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
}

static void test_a_thousand_commands_in_a_row(void **state)
{
    struct scripted_client *it = *state;
    for (unsigned id = 1; id <= 1000; id++) {
        scripted_client_run(it, false, 1000);
        script_stdout(&it->script, id, 0, "x");
        script_exit(&it->script, id, 1, id % 256);
        assert_int_equal(scripted_client_process(it), AFAR_OK);
        assert_int_equal(afar_receipt(it->client)->code, id % 256);
    }
}

/* ---- afar_wait, over a real socket ----------------------------------------------------------- */

/* `server`: what the server says is written into it beforehand. */
static struct afar_client *connect_pair(int *server)
{
    int pair[2];
    struct transport *transport = NULL;
    struct afar_client *client = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(transport_plain_new(&transport, pair[0], NULL), AFAR_OK);
    assert_int_equal(afar_client_new_on_transport(&client, transport, "pair", NULL), AFAR_OK);
    *server = pair[1];
    return client;
}

static void say(int server, struct script *script)
{
    size_t size = buffer_size(&script->to_client);
    assert_int_equal(write(server, buffer_head(&script->to_client), size), size);
    buffer_clear(&script->to_client);
}

static void test_wait(void **state)
{
    (void)state;
    int server = -1;
    struct afar_error err;
    struct script script;
    struct slow_reader reader;
    const struct afar_callbacks callbacks = slow_reader_callbacks(&reader, 0);
    const struct afar_command command = AFAR_COMMAND_INIT(.shell = "x", .with_stdin = true);
    struct afar_client *client = connect_pair(&server);
    script_init(&script);
    assert_int_equal(afar_wait(client, 0, &err), AFAR_EINVAL);
    assert_int_equal(afar_start(client, &command, &callbacks, &err), AFAR_OK);
    assert_int_equal(afar_wait(client, 20, &err), AFAR_ETIMEDOUT);

    /* It takes a byte at a time, and then nothing. */
    script_frame(&script, "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":100}");
    script_stdout(&script, 1, 0, "abc");
    say(server, &script);
    reader.limit[0] = 1;
    assert_int_equal(afar_wait(client, 20, &err), AFAR_ETIMEDOUT);
    assert_string_equal(reader.text[0], "abc");
    reader.limit[0] = 0;
    script_stdout(&script, 1, 1, "def");
    script_exit(&script, 1, 2, 9);
    say(server, &script);
    assert_int_equal(afar_wait(client, 0, &err), AFAR_EAGAIN);
    reader.limit[0] = 2;
    assert_int_equal(afar_wait(client, 0, &err), AFAR_OK);
    assert_string_equal(reader.text[0], "abcdef");
    assert_int_equal(afar_receipt(client)->code, 9);
    assert_int_equal(afar_wait(client, 0, &err), AFAR_OK);

    /* Its stdin was closed. */
    uint8_t sent[4096];
    ssize_t got = read(server, sent, sizeof sent);
    assert_true(got > 0);
    assert_int_equal(buffer_append(&script.from_client, sent, (size_t)got, NULL), AFAR_OK);
    struct message last = {0};
    assert_int_equal(script_count(&script, MESSAGE_STDIN, &last), 1);
    assert_true(last.eof);
    script_close(&script);
    afar_close(client);
    (void)close(server);
}

static void test_wait_for_one_who_leaves(void **state)
{
    (void)state;
    int server = -1;
    struct afar_error err;
    const struct afar_command command = AFAR_COMMAND_INIT(.shell = "x");
    struct afar_client *client = connect_pair(&server);
    assert_int_equal(afar_start(client, &command, NULL, &err), AFAR_OK);
    (void)close(server);
    assert_int_equal(afar_wait(client, 0, &err), AFAR_ECLOSED);
    assert_null(afar_receipt(client));
    assert_int_equal(afar_wait(client, 0, &err), AFAR_ECLOSED);
    afar_close(client);
}

/* A server that is restarted says so, and closes, while the client does something else: that must
 * be seen before the next command is sent, in whatever pieces it came. */
static void test_start_after_the_servers_end(void **state)
{
    (void)state;
    static const char *const last[] = {
        NULL, "{\"type\":\"ping\",\"id\":7}", "{\"type\":\"closing\",\"reason\":\"draining\"}",
        "{\"type\":\"closing\",\"reason\":\"draining\"}" /* and stays */};
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        int server = -1;
        struct afar_error err;
        struct script script;
        const struct afar_command command = AFAR_COMMAND_INIT(.shell = "x");
        struct afar_client *client = connect_pair(&server);
        script_init(&script);
        if (last[i] != NULL) {
            script_frame(&script, last[i]);
            say(server, &script);
        }
        if (i < 3)
            assert_int_equal(shutdown(server, SHUT_WR), 0);
        assert_int_equal(afar_start(client, &command, NULL, &err), AFAR_ECLOSED);
        assert_string_equal(err.reason, "not_sent");
        assert_non_null(strstr(err.message, "the command was not sent"));
        assert_null(afar_receipt(client));
        assert_int_equal(afar_wait(client, 0, &err), AFAR_ECLOSED);
        afar_close(client);
        char sent[4096] = "";
        (void)!read(server, sent, sizeof sent - 1); /* nothing, or the answer to the ping */
        assert_null(memmem(sent, sizeof sent, "exec", 4));
        script_close(&script);
        (void)close(server);
    }
}

/* ---- out of memory --------------------------------------------------------------------------- */

/* One allocation of a whole run fails, each in turn: the run says so, leaks nothing, and never
 * shows a receipt. */
static void test_every_allocation(void **state)
{
    (void)state;
    struct script script;
    script_init(&script);
    for (int n = 1;; n++) {
        int server = -1;
        struct slow_reader reader;
        const struct afar_callbacks callbacks = slow_reader_callbacks(&reader, 1);
        static const char *const argv[] = {"a", "\xff", NULL};
        const struct afar_command command =
            AFAR_COMMAND_INIT(.argv = argv, .cwd = "/", .with_stdin = true, .with_digest = true);
        char header[512];
        size_t taken = 0;
        struct afar_client *client = connect_pair(&server);
        script_frame(&script, "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":1000}");
        script_frame(&script, "{\"type\":\"ping\",\"id\":9}");
        script_stdout(&script, 1, 0, "abc");
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"exit\",\"id\":1,\"seq\":1,\"outcome\":\"exited\",\"code\":0,"
                       "\"bytes\":{\"stdout\":3},\"sha256\":{\"stdout\":\"%s\",\"stderr\":\"%s\"}}",
                       abc_sha256, no_sha256);
        script_frame(&script, header);
        reader.limit[0] = 2; /* so that something is kept */

        alloc_fault_arm(n);
        enum afar_status status = afar_start(client, &command, &callbacks, NULL);
        say(server, &script);
        if (status == AFAR_OK)
            status = afar_write_stdin(client, "in", 2, &taken, NULL);
        if (status == AFAR_OK)
            status = afar_wait(client, 5000, NULL);
        bool has_receipt = afar_receipt(client) != NULL;
        bool fired = alloc_fault_fired();
        /* After the receipt it is the connection's matter, and the receipt counts. */
        if (fired && has_receipt) {
            assert_int_equal(status, AFAR_OK);
            assert_non_null(strstr(reader.frames, "exit"));
            status = afar_process(client, NULL);
        }
        afar_close(client);
        (void)close(server);
        if (!fired) {
            assert_int_equal(status, AFAR_OK);
            assert_true(has_receipt);
            assert_true(n > 20);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
    }
    script_close(&script);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_receipt_waits_for_the_output),
        TEST(test_the_connection_ends_before_the_output_is_taken),
        TEST(test_digests_that_are_right),
        TEST(test_digests_that_are_wrong),
        TEST(test_digests_that_are_missing),
        TEST(test_callbacks_may_be_absent),
        TEST(test_a_thousand_commands_in_a_row),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_wait_for_one_who_leaves),
        cmocka_unit_test(test_start_after_the_servers_end),
        cmocka_unit_test(test_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
