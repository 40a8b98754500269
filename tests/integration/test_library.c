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
#include <afar/keygen.h>
#include <afar/relay.h>

#include "support/afard.h"

static struct afard server;
static struct afar_context *context;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0",
                          "--listen", "tcp://127.0.0.1:0",
                          "--listen", "tcp://127.0.0.1:0?protocol=headed",
                          "--listen", "tcp://127.0.0.1:0?protocol=upper",
                          "--listen", "udp://127.0.0.1:0",
                          "--http",   "tcp://127.0.0.1:0",
                          NULL};
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
    static char entry[300000] = "A="; /* env_bytes is 256 KiB */
    const char *const env[] = {entry, NULL};
    memset(entry + 2, 'x', sizeof entry - 3);
    const struct afar_command too_much = AFAR_COMMAND_INIT(.argv = argv, .env = env);
    const struct afar_command plain = AFAR_COMMAND_INIT(.argv = argv);
    assert_int_equal(afar_start(client, &too_much, NULL, &err), AFAR_OK);
    assert_int_equal(afar_wait(client, test_deadline_ms(), &err), AFAR_EREFUSED);
    assert_string_equal(err.reason, "limit");
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

/* ---- errors ---------------------------------------------------------------------------------- */

static enum afar_status run_true(struct afar_client *client, struct afar_error *err)
{
    const char *argv[] = {"true", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    enum afar_status status = afar_start(client, &command, NULL, err);
    return status == AFAR_OK ? afar_wait(client, test_deadline_ms(), err) : status;
}

/* Else the last command's receipt would be taken for this one's. */
static void a_start_that_fails_leaves_no_receipt(void **state)
{
    (void)state;
    struct afar_client *client = connect_to(1);
    const struct afar_command none = AFAR_COMMAND_INIT(.shell = NULL);
    struct afar_error err = {0};
    assert_int_equal(run_true(client, &err), AFAR_OK);
    assert_non_null(afar_receipt(client));
    assert_int_equal(afar_start(client, &none, NULL, &err), AFAR_EINVAL);
    assert_null(afar_receipt(client));
    assert_int_equal(afar_wait(client, test_deadline_ms(), &err), AFAR_EINVAL);
    assert_int_equal(run_true(client, &err), AFAR_OK); /* the connection is still good */
    afar_close(client);
}

static void signals_that_there_are_none(void **state)
{
    (void)state;
    struct afar_client *client = connect_to(1);
    struct afar_error err = {0};
    bool seen = false;
    const char *argv[] = {"sleep", "1000", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_started = note_start, .user = &seen);
    assert_int_equal(afar_start(client, &command, &callbacks, &err), AFAR_OK);
    drive(client, started, &seen);
    static const char *const bogus[] = {"BOGUS", "SIGTERM", "term", "", "0", "65", "9"};
    for (size_t i = 0; i < sizeof bogus / sizeof bogus[0]; i++)
        assert_int_equal(afar_signal(client, bogus[i], &err), AFAR_EINVAL);
    /* One without a name, which the server understands too. */
    assert_int_equal(afar_signal(client, "40", &err), AFAR_OK);
    assert_int_equal(afar_wait(client, test_deadline_ms(), &err), AFAR_OK);
    assert_string_equal(afar_receipt(client)->signal, "40");
    afar_close(client);
}

/* What nobody but this test writes there. */
static const struct afar_error untouched = {.sys_errno = 4711, .message = "untouched"};

#define SUCCEEDS(call)                                           \
    do {                                                         \
        struct afar_error err = untouched;                       \
        assert_int_equal(call, AFAR_OK);                         \
        assert_memory_equal(&err, &untouched, sizeof untouched); \
    } while (0)

static void drop(void *user, const void *data, size_t size)
{
    (void)user;
    (void)data;
    (void)size;
}

static void a_command_leaves_the_error_alone(unsigned url)
{
    static char much[4 << 20];
    const char *argv[] = {"sh", "-c", "sleep 0.2; echo out; cat >/dev/null", NULL};
    const struct afar_command command =
        AFAR_COMMAND_INIT(.argv = argv, .with_stdin = true, .with_digest = true);
    struct afar_client *client = NULL;
    struct afar_pong pong = AFAR_PONG_INIT();
    size_t taken = 0;
    int64_t patience_ms = test_deadline_ms();
    SUCCEEDS(afar_connect(&client, context, server.url[url], patience_ms, &err));
    SUCCEEDS(afar_ping(client, patience_ms, &pong, &err));
    SUCCEEDS(afar_start(client, &command, NULL, &err));
    SUCCEEDS(afar_process(client, &err));
    SUCCEEDS(afar_write_stdin(client, much, sizeof much, &taken, &err)); /* some of it */
    assert_true(taken > 0 && taken < sizeof much);
    SUCCEEDS(afar_signal(client, "CONT", &err));
    SUCCEEDS(afar_close_output(client, 2, &err));
    SUCCEEDS(afar_close_stdin(client, &err));
    SUCCEEDS(afar_wait(client, patience_ms, &err));
    SUCCEEDS(afar_wait(client, patience_ms, &err));
    SUCCEEDS(afar_process(client, &err));
    afar_close(client);
}

static void errors_are_written_by_failures_only(void **state)
{
    (void)state;
    static const char folder[] = "/nowhere/sessions";
    const struct afar_credentials with_sessions =
        AFAR_CREDENTIALS_INIT(.ca_file = server.ca, .session_folder = folder);
    struct afar_context *made = NULL;
    struct afar_client *client = NULL;
    struct afar_shell_reply reply = AFAR_SHELL_REPLY_INIT();
    struct afar_health health = AFAR_HEALTH_INIT();
    struct afar_identity identity = AFAR_IDENTITY_INIT();
    const struct afar_keygen_options options = AFAR_KEYGEN_OPTIONS_INIT(.name = "ann", .days = 1);
    char pin[AFAR_PIN_BYTES];
    char http[600];
    char out[4];
    int64_t patience_ms = test_deadline_ms();
    a_command_leaves_the_error_alone(0);
    a_command_leaves_the_error_alone(1);
    SUCCEEDS(afar_context_new(&made, &with_sessions, &err));
    afar_context_free(made);
    SUCCEEDS(afar_context_new(&made, NULL, &err));
    SUCCEEDS(afar_connect(&client, made, server.url[2], patience_ms, &err));
    SUCCEEDS(afar_shell_run(client, "echo hello", drop, NULL, patience_ms, &reply, &err));
    afar_close(client);
    for (unsigned url = 3; url < 5; url++) {
        SUCCEEDS(afar_connect(&client, made, server.url[url], patience_ms, &err));
        SUCCEEDS(afar_upper(client, "abc", 3, out, patience_ms, &err));
        afar_close(client);
    }
    afar_context_free(made);
    (void)snprintf(http, sizeof http, "http%s", strchr(server.http, ':'));
    SUCCEEDS(afar_health(http, patience_ms, &health, &err));
    SUCCEEDS(afar_keygen(&identity, &options, &err));
    afar_identity_close(&identity);
    SUCCEEDS(afar_pin(server.ca, pin, &err));
}

static bool is_killed(struct afar_client *killer, const char *job)
{
    SUCCEEDS(afar_kill(killer, job, "KILL", test_deadline_ms(), &err));
    return true;
}

static void note_job(void *user, const char *job)
{
    (void)snprintf(user, 64, "%s", job);
}

static bool has_job(const struct afar_client *client, void *argument)
{
    (void)client;
    return *(const char *)argument != '\0';
}

static void a_kill_leaves_the_error_alone(void **state)
{
    (void)state;
    char job[64] = "";
    struct afar_client *client = connect_to(1);
    struct afar_client *killer = connect_to(1);
    const char *argv[] = {"sleep", "1000", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_started = note_job, .user = job);
    SUCCEEDS(afar_start(client, &command, &callbacks, &err));
    drive(client, has_job, job);
    assert_true(is_killed(killer, job));
    SUCCEEDS(afar_wait(client, test_deadline_ms(), &err));
    assert_int_equal(afar_receipt(client)->outcome, AFAR_OUTCOME_KILLED);
    afar_close(killer);
    afar_close(client);
}

static void ignore_job(void *user, const struct afar_job *job)
{
    (void)user;
    (void)job;
}

#define REFUSES(call)                                      \
    do {                                                   \
        err = (struct afar_error){.code = AFAR_OK};        \
        assert_int_equal(call, AFAR_EINVAL);               \
        assert_int_equal(err.code, AFAR_EINVAL);           \
        assert_non_null(strstr(err.message, "no client")); \
    } while (0)

/* As after an afar_connect whose failure was overlooked. */
static void no_client(void **state)
{
    (void)state;
    struct afar_client *const none = NULL;
    struct afar_error err;
    const char *argv[] = {"true", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    const struct afar_pty pty = AFAR_PTY_INIT(.rows = 24, .cols = 80);
    const struct afar_resume_options how = AFAR_RESUME_OPTIONS_INIT();
    struct afar_pong pong = AFAR_PONG_INIT();
    struct afar_shell_reply reply = AFAR_SHELL_REPLY_INIT();
    size_t done = 1;
    char out[4];
    REFUSES(afar_start(none, &command, NULL, &err));
    REFUSES(afar_write_stdin(none, "x", 1, &done, &err));
    assert_int_equal(done, 0);
    REFUSES(afar_close_stdin(none, &err));
    REFUSES(afar_close_output(none, 1, &err));
    REFUSES(afar_signal(none, "TERM", &err));
    REFUSES(afar_resize(none, &pty, &err));
    REFUSES(afar_pause(none, &err));
    REFUSES(afar_detach(none, &err));
    REFUSES(afar_resume(none, &how, &err));
    REFUSES(afar_probe(none, 1, &err));
    REFUSES(afar_process(none, &err));
    REFUSES(afar_wait(none, 1, &err));
    REFUSES(afar_ping(none, 1, &pong, &err));
    REFUSES(afar_kill(none, "job", "TERM", 1, &err));
    REFUSES(afar_jobs(none, true, ignore_job, NULL, 1, &err));
    REFUSES(afar_forget(none, "job", 1, &err));
    REFUSES(afar_shell_run(none, "ls", drop, NULL, 1, &reply, &err));
    REFUSES(afar_upper(none, "abc", 3, out, 1, &err));
    REFUSES(afar_relay_send(none, "x", 1, &done, &err));
    REFUSES(afar_relay_receive(none, out, 1, &done, &err));
    assert_int_equal(afar_process(none, NULL), AFAR_EINVAL);
    assert_int_equal(afar_fd(none), -1);
    assert_int_equal(afar_events(none), 0);
    assert_int_equal(afar_timeout(none), -1);
    assert_int_equal(afar_relay_events(none, true, true), 0);
    assert_false(afar_resumed(none) || afar_away(none) || afar_offers(none, "resume"));
    assert_string_equal(afar_why_away(none), "");
    assert_string_equal(afar_features(none), "");
    assert_null(afar_receipt(none));
    assert_int_equal(afar_exit_status(NULL), 125);
    afar_keep_session(none);
    afar_set_heartbeat(none, 1, 1);
    afar_close(none);
    afar_context_free(NULL);
    afar_identity_close(NULL);
}

/* TLS without credentials: the system's CAs decide, and no certificate is shown. */
static void tls_without_a_context(void **state)
{
    (void)state;
    struct afar_context *empty = NULL;
    assert_int_equal(afar_context_new(&empty, NULL, NULL), AFAR_OK);
    struct afar_context *contexts[] = {NULL, empty};
    for (size_t i = 0; i < 2; i++) {
        struct afar_client *client = NULL;
        struct afar_error err = {0};
        struct afar_pong pong = AFAR_PONG_INIT();
        assert_int_equal(setenv("SSL_CERT_FILE", "/dev/null", 1), 0);
        assert_int_equal(
            afar_connect(&client, contexts[i], server.url[0], test_deadline_ms(), &err),
            AFAR_ETRUST);
        assert_non_null(strstr(err.message, "CA that we do not trust"));
        assert_int_equal(setenv("SSL_CERT_FILE", server.ca, 1), 0);
        assert_int_equal(
            afar_connect(&client, contexts[i], server.url[0], test_deadline_ms(), &err), AFAR_OK);
        assert_int_equal(afar_ping(client, test_deadline_ms(), &pong, &err), AFAR_ETRUST);
        assert_non_null(strstr(err.message, "requires a client certificate"));
        afar_close(client);
    }
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
    afar_context_free(empty);
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
        cmocka_unit_test(a_start_that_fails_leaves_no_receipt),
        cmocka_unit_test(signals_that_there_are_none),
        cmocka_unit_test(errors_are_written_by_failures_only),
        cmocka_unit_test(a_kill_leaves_the_error_alone),
        cmocka_unit_test(no_client),
        cmocka_unit_test(tls_without_a_context),
        cmocka_unit_test(the_shared_library_exports_its_interface),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
