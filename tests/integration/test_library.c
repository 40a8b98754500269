/* libafar as its users use it: the example, and what only a program can do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <afar/afar.h>

#include "support/afard.h"

static struct afard server;
static struct afar_context *context;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0", NULL};
    afard_start_tls(&server, args);
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = server.ca, .cert_file = server.client_cert,
                              .key_file = server.client_key);
    return afar_context_new(&context, &credentials, NULL) == AFAR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    afar_context_free(context);
    return afard_stop(&server);
}

static struct afar_client *connect_to(unsigned url)
{
    struct afar_client *client = NULL;
    struct afar_error err = {0};
    if (afar_connect(&client, context, server.url[url], test_deadline_ms(), &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return client;
}

static void name_example(char path[PROGRAM_TEXT_BYTES], const char *name)
{
    const char *build = getenv("AFAR_BUILD");
    (void)snprintf(path, PROGRAM_TEXT_BYTES, "%s/tests/integration/%s",
                   build != NULL ? build : "build/release", name);
}

static void the_example(void **state)
{
    (void)state;
    char path[PROGRAM_TEXT_BYTES];
    name_example(path, "example");
    const char *argv[] = {path, server.url[1], "sh", "-c", "echo out; echo err >&2; exit 5", NULL};
    struct program program;
    assert_int_equal(program_run(&program, argv, NULL, 0), 5);
    assert_string_equal(program.stdout_data, "out\n");
    assert_string_equal(program.stderr_data, "err\n");
    program_close(&program);
}

static void the_example_in_cxx(void **state)
{
    (void)state;
    char path[PROGRAM_TEXT_BYTES];
    name_example(path, "example_cxx");
    if (access(path, X_OK) != 0) {
        print_message("there is no C++ compiler here\n");
        skip();
    }
    const char *argv[] = {path, server.url[1], "sh", "-c", "echo out; exit 5", NULL};
    struct program program;
    assert_int_equal(program_run(&program, argv, NULL, 0), 5);
    assert_string_equal(program.stdout_data, "out\n");
    assert_string_equal(program.stderr_data, "");
    program_close(&program);
}

/* Takes so many bytes and then no more until it is told. */
struct reader {
    size_t taken;
    size_t allowed;
};

static size_t take(void *user, const void *data, size_t size)
{
    struct reader *reader = user;
    (void)data;
    size_t room = reader->allowed - reader->taken;
    size_t now = size < room ? size : room;
    reader->taken += now;
    return now;
}

/* Polls and processes until `done` says so. */
static void drive(struct afar_client *client, bool (*done)(const struct afar_client *, void *),
                  void *argument)
{
    struct afar_error err = {0};
    while (!done(client, argument)) {
        struct pollfd wait = {.fd = afar_fd(client), .events = afar_events(client)};
        if (poll(&wait, 1, (int)test_deadline_ms()) == 0)
            fail_msg("nothing happened");
        if (afar_process(client, &err) != AFAR_OK)
            fail_msg("%s", err.message);
    }
}

static bool has_receipt(const struct afar_client *client, void *argument)
{
    (void)argument;
    return afar_receipt(client) != NULL;
}

static bool has_taken_all(const struct afar_client *client, void *argument)
{
    const struct reader *reader = argument;
    (void)client;
    return reader->taken == reader->allowed;
}

/* While the program takes nothing, the command waits and nothing is lost; signals get through. */
static void a_reader_that_pauses(void **state)
{
    (void)state;
    enum { TOTAL = 20000000 };
    for (unsigned url = 0; url < 2; url++) {
        struct afar_client *client = connect_to(url);
        struct reader reader = {.allowed = 1000};
        const char *argv[] = {"head", "-c", "20000000", "/dev/zero", NULL};
        const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv, .with_digest = true);
        const struct afar_callbacks callbacks =
            AFAR_CALLBACKS_INIT(.on_stdout = take, .user = &reader);
        assert_int_equal(afar_start(client, &command, &callbacks, NULL), AFAR_OK);
        drive(client, has_taken_all, &reader);
        for (unsigned i = 0; i < 50; i++)
            assert_int_equal(afar_process(client, NULL), AFAR_OK);
        assert_int_equal(reader.taken, 1000);
        assert_null(afar_receipt(client));
        reader.allowed = TOTAL;
        assert_int_equal(afar_process(client, NULL), AFAR_OK);
        drive(client, has_receipt, NULL);
        assert_int_equal(reader.taken, TOTAL);
        assert_int_equal(afar_receipt(client)->stdout_bytes, TOTAL);
        afar_close(client);
    }
}

static bool started(const struct afar_client *client, void *argument)
{
    (void)client;
    return *(const bool *)argument;
}

static void note_start(void *user, const char *job)
{
    bool *seen = user;
    *seen = strlen(job) == 32;
}

static void signals(void **state)
{
    (void)state;
    struct afar_client *client = connect_to(0);
    bool seen = false;
    const char *argv[] = {"sleep", "1000", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_started = note_start, .user = &seen);
    assert_int_equal(afar_signal(client, "TERM", NULL), AFAR_EINVAL);
    assert_int_equal(afar_start(client, &command, &callbacks, NULL), AFAR_OK);
    drive(client, started, &seen);
    assert_int_equal(afar_signal(client, "QUIT", NULL), AFAR_OK);
    drive(client, has_receipt, NULL);
    assert_int_equal(afar_receipt(client)->outcome, AFAR_OUTCOME_SIGNALED);
    assert_string_equal(afar_receipt(client)->signal, "QUIT");
    assert_int_equal(afar_exit_status(afar_receipt(client)), 131);
    afar_close(client);
}

static void input_is_taken_as_fast_as_it_is_read(void **state)
{
    (void)state;
    static char piece[65536];
    struct afar_client *client = connect_to(0);
    const char *argv[] = {"sleep", "1000", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv, .with_stdin = true);
    size_t total = 0;
    size_t taken = 1;
    bool seen = false;
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_started = note_start, .user = &seen);
    assert_int_equal(afar_start(client, &command, &callbacks, NULL), AFAR_OK);
    drive(client, started, &seen);
    /* `sleep` reads nothing: credit and pipe bound what is taken. */
    enum afar_status status = AFAR_OK;
    const time_t until = time(NULL) + test_deadline_ms() / 1000;
    for (unsigned idle = 0; idle < 20 || (total < 1048576 && time(NULL) < until);) {
        taken = 0;
        status = afar_write_stdin(client, piece, sizeof piece, &taken, NULL);
        total += taken;
        idle = taken > 0 ? 0 : idle + 1;
        struct pollfd wait = {.fd = afar_fd(client), .events = afar_events(client)};
        (void)poll(&wait, 1, 20);
        assert_int_equal(afar_process(client, NULL), AFAR_OK);
    }
    assert_int_equal(status, AFAR_EAGAIN);
    assert_in_range(total, 1048576, 1048576 + 262144);
    assert_int_equal(afar_signal(client, "KILL", NULL), AFAR_OK);
    drive(client, has_receipt, NULL);
    afar_close(client);
}

static void a_refusal_leaves_the_connection(void **state)
{
    (void)state;
    struct afar_client *client = connect_to(0);
    struct afar_error err = {0};
    const char *argv[] = {"true", NULL};
    const struct afar_command with_pty = AFAR_COMMAND_INIT(.argv = argv, .with_pty = true);
    const struct afar_command plain = AFAR_COMMAND_INIT(.argv = argv);
    assert_int_equal(afar_start(client, &with_pty, NULL, &err), AFAR_OK);
    assert_int_equal(afar_wait(client, test_deadline_ms(), &err), AFAR_EREFUSED);
    assert_string_equal(err.reason, "unsupported");
    assert_null(afar_receipt(client));
    assert_int_equal(afar_start(client, &plain, NULL, &err), AFAR_OK);
    assert_int_equal(afar_wait(client, test_deadline_ms(), &err), AFAR_OK);
    assert_int_equal(afar_receipt(client)->code, 0);

    struct afar_pong pong = AFAR_PONG_INIT();
    assert_int_equal(afar_ping(client, test_deadline_ms(), &pong, &err), AFAR_OK);
    assert_string_equal(pong.server_version, afar_version());
    assert_int_equal(afar_kill(client, "00", "TERM", test_deadline_ms(), &err), AFAR_EREFUSED);
    assert_string_equal(err.reason, "not_found");
    afar_close(client);
}

/* What is exported is what the header declares. */
static void the_shared_library_exports_its_interface(void **state)
{
    (void)state;
    char line[512];
    const char *build = getenv("AFAR_BUILD");
    (void)snprintf(
        line, sizeof line,
        "nm -D --defined-only %.300s/lib/libafar.so | awk '{print $3}' | grep -v ^afar_ | "
        "grep -cv '^_\\|^mangle_path$'; true", /* the latter is gcov's */
        build != NULL ? build : "build/release");
    const char *argv[] = {"sh", "-c", line, NULL};
    struct program program;
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    assert_string_equal(program.stdout_data, "0\n");
    program_close(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example),
        cmocka_unit_test(the_example_in_cxx),
        cmocka_unit_test(a_reader_that_pauses),
        cmocka_unit_test(signals),
        cmocka_unit_test(input_is_taken_as_fast_as_it_is_read),
        cmocka_unit_test(a_refusal_leaves_the_connection),
        cmocka_unit_test(the_shared_library_exports_its_interface),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
