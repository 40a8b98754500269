/* A request that its client does not want any more: detach, and INT or TERM to `afar` before the
 * command has begun. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/process_wait.h"
#include "support/impostor.h"
#include "support/raw.h"

static struct afard server;
static char audit_log[96];

/* One place: who comes second must wait. */
static int set_up(void **state)
{
    (void)state;
    char setting[128];
    (void)snprintf(audit_log, sizeof audit_log, "/tmp/afar-take-back-%d", (int)getpid());
    (void)snprintf(setting, sizeof setting, "audit_log=%s", audit_log);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "max_jobs=1",
                          "--set",    "kill_grace_ms=200", "--set", setting,
                          NULL};
    afard_start(&server, args);
    return 0;
}

/* The place is free. */
static int calm(void **state)
{
    (void)state;
    afard_expect_calm(&server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    int status = afard_stop(&server);
    (void)unlink(audit_log);
    return status;
}

static void expect(int fd, const char *text)
{
    char *header = raw_read_header(fd, NULL);
    assert_non_null(header);
    if (strstr(header, text) == NULL)
        fail_msg("%s is not in %s", text, header);
    free(header);
}

/* Whether the audit log has a line with all of these. */
static bool is_noted(const char *event, const char *text)
{
    char line[8192];
    bool found = false;
    FILE *file = fopen(audit_log, "re");
    assert_non_null(file);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, event) != NULL && strstr(line, text) != NULL;
    (void)fclose(file);
    return found;
}

static int occupy(void)
{
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"sleep\",\"1000\"]}");
    expect(fd, "\"started\"");
    return fd;
}

/* ---- the message ----------------------------------------------------------------------------- */

static void what_waits_is_never_begun(void **state)
{
    (void)state;
    int first = occupy();
    int second = raw_connect(afard_port(&server, 0));
    raw_send_frame(second, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"echo\",\"taken back\"],"
                           "\"start_within_ms\":1000000}");
    expect(second, "\"queued\"");
    raw_send_frame(second, "{\"type\":\"detach\",\"id\":1}");
    expect(second, "{\"type\":\"detached\",\"id\":1}");
    /* Its place in the queue is free, and the connection of use. */
    raw_send_frame(second, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\"],"
                           "\"start_within_ms\":1000000}");
    expect(second, "\"position\":1");
    (void)close(first);
    expect(second, "\"started\",\"id\":2");
    expect(second, "\"exit\"");
    (void)close(second);
    assert_false(is_noted("\"event\":\"start\"", "taken back"));
    assert_true(is_noted("taken back", "the client withdrew the request or disconnected"));
}

/* So it was noted before, too, that the server was shutting down. */
static void a_client_that_goes_is_noted_as_such(void **state)
{
    (void)state;
    int first = occupy();
    int second = raw_connect(afard_port(&server, 0));
    raw_send_frame(second, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"echo\",\"went away\"],"
                           "\"start_within_ms\":1000000}");
    expect(second, "\"queued\"");
    (void)close(second); /* the place stays taken until that is noted */
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (!is_noted("went away", "the client withdrew the request or disconnected") &&
           clock_now_ms() < deadline_ms)
        (void)usleep(20000);
    assert_true(is_noted("went away", "the client withdrew the request or disconnected"));
    assert_false(is_noted("\"event\":\"start\"", "went away"));
    (void)close(first);
}

static void what_runs_is_ended(void **state)
{
    (void)state;
    int fd = raw_connect(afard_port(&server, 0));
    char *payload = NULL;
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,"
                       "\"argv\":[\"sh\",\"-c\",\"echo $$; exec sleep 1000\"]}");
    expect(fd, "\"started\"");
    char *header = raw_read_header(fd, &payload);
    assert_non_null(strstr(header, "\"stdout\""));
    raw_send_frame(fd, "{\"type\":\"detach\",\"id\":1}");
    expect(fd, "{\"type\":\"detached\",\"id\":1}");
    expect_processes_gone(payload);
    free(header);
    free(payload);
    /* Nothing more of it comes, and it can be said twice. */
    raw_send_frame(fd, "{\"type\":\"detach\",\"id\":1}");
    raw_send_frame(fd, "{\"type\":\"detach\",\"id\":77}");
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\"],"
                       "\"start_within_ms\":1000000}");
    header = raw_read_header(fd, NULL);
    if (strstr(header, "\"queued\"") != NULL) { /* the first one may still be on its way out */
        free(header);
        header = raw_read_header(fd, NULL);
    }
    assert_non_null(strstr(header, "\"started\",\"id\":2"));
    free(header);
    expect(fd, "\"exit\",\"id\":2");
    (void)close(fd);
}

/* In the middle of an output frame: that is sent to its end first. */
static void in_the_middle_of_output(void **state)
{
    (void)state;
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"yes\"]}");
    expect(fd, "\"started\"");
    raw_send_frame(fd, "{\"type\":\"detach\",\"id\":1}");
    for (bool output = true; output;) {
        char *header = raw_read_header(fd, NULL);
        assert_non_null(header);
        output = strstr(header, "\"stdout\"") != NULL;
        if (!output)
            assert_string_equal(header, "{\"type\":\"detached\",\"id\":1}");
        free(header);
    }
    (void)close(fd);
    afard_expect_calm(&server);
}

/* ---- signals to the program ------------------------------------------------------------------ */

static void interrupt_while_queued(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char word[64];
        struct program program;
        afard_expect_calm(&server);
        int first = occupy();
        (void)snprintf(word, sizeof word, "interrupted by %d", numbers[i]);
        const char *argv[] = {"afar", "run", "--json",      "--start-within",
                              "1h",   "-n",  server.url[0], "--",
                              "echo", word,  NULL};
        program_start(&program, argv, NULL);
        program_expect(&program, 1, "\"queued\"");
        assert_int_equal(kill(program.pid, numbers[i]), 0);
        program_finish(&program, NULL, 0); /* while the first one goes on */
        assert_int_equal(program_exit_status(&program), 125);
        assert_non_null(strstr(program.stderr_data, "it was not begun"));
        program_close(&program);
        (void)close(first);
        afard_expect_calm(&server); /* whoever waited has had its turn */
        assert_false(is_noted("\"event\":\"start\"", word));
    }
}

/* Those that do not end programs are for the command, when it runs. */
static void other_signals_wait(void **state)
{
    (void)state;
    struct program program;
    int first = occupy();
    const char *argv[] = {"afar",        "run", "--json", "--start-within", "1h", "-n",
                          server.url[0], "--",  "sleep",  "1000",           NULL};
    program_start(&program, argv, NULL);
    program_expect(&program, 1, "\"queued\"");
    assert_int_equal(kill(program.pid, SIGUSR1), 0);
    (void)close(first);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 128 + SIGUSR1);
    program_close(&program);
}

/* A script of repl ends where its line was taken back; it does not go on with the next. */
static void a_script_ends_there(void **state)
{
    (void)state;
    struct impostor mute;
    impostor_open(&mute);
    const char *argv[] = {"afar", "repl", mute.url, NULL};
    impostor_start(&mute, argv);
    assert_int_equal(write(mute.program.in, "one\ntwo\n", 8), 8);
    impostor_expect(&mute, "\"shell\":\"one\"");
    assert_int_equal(kill(mute.program.pid, SIGTERM), 0);
    impostor_expect(&mute, "{\"type\":\"detach\",\"id\":1}");
    impostor_say(&mute, "{\"type\":\"detached\",\"id\":1}");
    program_finish(&mute.program, NULL, 0);
    assert_int_equal(program_exit_status(&mute.program), 125);
    impostor_forget(&mute);
    impostor_close(&mute);
}

/* ---- servers that do not answer -------------------------------------------------------------- */

/* It had until the test's deadline; it takes a second. */
static void expect_end_within(struct program *program, int64_t limit_ms)
{
    int64_t began_ms = clock_now_ms();
    program_finish(program, NULL, 0);
    assert_in_range(clock_now_ms() - began_ms, 0, limit_ms);
    assert_int_equal(program_exit_status(program), 125);
}

static void a_mute_server_and_an_interrupt(void **state)
{
    (void)state;
    struct impostor mute;
    impostor_open(&mute);
    const char *patient[] = {"--connect-timeout", "0", NULL};
    impostor_run(&mute, patient);
    assert_int_equal(kill(mute.program.pid, SIGINT), 0);
    expect_end_within(&mute.program, test_deadline_ms() / 2);
    assert_non_null(strstr(mute.program.stderr_data, "the server does not answer"));
    impostor_forget(&mute);
    /* A second one does not even wait for that. */
    impostor_run(&mute, patient);
    assert_int_equal(kill(mute.program.pid, SIGINT), 0);
    impostor_expect(&mute, "\"detach\"");
    assert_int_equal(kill(mute.program.pid, SIGINT), 0);
    expect_end_within(&mute.program, test_deadline_ms() / 2);
    impostor_forget(&mute);
    impostor_close(&mute);
}

/* --connect-timeout is for the first answer, too. */
static void a_mute_server(void **state)
{
    (void)state;
    struct impostor mute;
    impostor_open(&mute);
    const char *short_time[] = {"--connect-timeout", "300ms", NULL};
    impostor_run(&mute, short_time);
    impostor_expect(&mute, "\"ping\"");
    expect_end_within(&mute.program, test_deadline_ms() / 2);
    assert_non_null(strstr(mute.program.stderr_data, "is it an Afar server?"));
    impostor_forget(&mute);
    impostor_close(&mute);
}

#define STARTED "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":65536}"

static void begin(struct impostor *impostor)
{
    impostor_open(impostor);
    impostor_run(impostor, NULL);
    impostor_say(impostor, STARTED);
    impostor_say_with(impostor, "{\"type\":\"stdout\",\"id\":1,\"seq\":0,\"size\":2}", "x\n");
    program_expect(&impostor->program, 1, "x\n");
    assert_int_equal(kill(impostor->program.pid, SIGTERM), 0);
    impostor_expect(impostor, "\"signal\"");
    impostor_expect(impostor, "\"ping\"");
}

/* A server that falls silent is given up five seconds after the first signal. One that answers is
 * waited for, however long its command takes over the signal. */
static void a_server_that_falls_silent(void **state)
{
    (void)state;
    struct impostor slow;
    struct impostor mute;
    begin(&slow);
    impostor_say(&slow, "{\"type\":\"pong\",\"id\":2}");
    begin(&mute);
    expect_end_within(&mute.program, test_deadline_ms() / 2);
    assert_non_null(strstr(mute.program.stderr_data, "no sign of life"));
    impostor_say(&slow, "{\"type\":\"exit\",\"id\":1,\"seq\":1,\"outcome\":\"exited\",\"code\":9,"
                        "\"bytes\":{\"stdout\":2}}");
    assert_int_equal(impostor_finish(&slow), 9);
    impostor_forget(&slow);
    impostor_close(&slow);
    impostor_forget(&mute);
    impostor_close(&mute);
}

static void silence_has_an_option(void **state)
{
    (void)state;
    struct impostor mute;
    impostor_open(&mute);
    const char *options[] = {"--silence", "400ms", NULL};
    impostor_run(&mute, options);
    impostor_say(&mute, STARTED);
    impostor_expect(&mute, "\"ping\"");
    expect_end_within(&mute.program, test_deadline_ms() / 2);
    assert_non_null(strstr(mute.program.stderr_data, "no sign of life"));
    impostor_forget(&mute);
    impostor_close(&mute);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_waits_is_never_begun, calm),
        cmocka_unit_test_setup(a_client_that_goes_is_noted_as_such, calm),
        cmocka_unit_test_setup(what_runs_is_ended, calm),
        cmocka_unit_test_setup(in_the_middle_of_output, calm),
        cmocka_unit_test_setup(interrupt_while_queued, calm),
        cmocka_unit_test_setup(other_signals_wait, calm),
        cmocka_unit_test_setup(a_script_ends_there, calm),
        cmocka_unit_test_setup(a_mute_server_and_an_interrupt, calm),
        cmocka_unit_test_setup(a_mute_server, calm),
        cmocka_unit_test_setup(a_server_that_falls_silent, calm),
        cmocka_unit_test_setup(silence_has_an_option, calm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
