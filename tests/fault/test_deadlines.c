/* Each deadline of the configuration: who lets it pass is cut off, and it is counted; who does not,
 * is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/raw.h"

static struct afard server;

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static void expect_count(const char *text)
{
    assert_int_equal(kill(server.program.pid, SIGUSR1), 0);
    afard_expect_log(&server, text);
}

/* Waits for the next frame, which must be of this type. */
static void expect_type(int fd, const char *type)
{
    char *header = raw_read_header(fd, NULL);
    if (header == NULL || strstr(header, type) == NULL)
        fail_msg("%s instead of %s", header == NULL ? "the end" : header, type);
    free(header);
}

static void expect_end(int fd)
{
    size_t size = 0;
    free(raw_read_rest(fd, &size));
    (void)close(fd);
}

static void handshake(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--set", "handshake_timeout_ms=100",
                          NULL};
    static const uint8_t begun[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    afard_start_tls(&server, args);
    int silent = raw_connect(afard_port(&server, 0));
    int half = raw_connect(afard_port(&server, 0));
    raw_send(half, begun, sizeof begun);
    expect_end(silent);
    expect_end(half);
    expect_count("handshake_timeout_ms=2");
    afard_expect_calm(&server);
}

static void first_request(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "first_request_timeout_ms=1500",
                          NULL};
    afard_start(&server, args);
    int active = raw_connect(afard_port(&server, 0));
    raw_send_frame(active, "{\"type\":\"ping\",\"id\":1}");
    expect_type(active, "pong");
    int silent = raw_connect(afard_port(&server, 0));
    int half = raw_connect(afard_port(&server, 0));
    raw_send(half, "\x10\x00", 2); /* half a frame is no request */
    expect_end(silent);
    expect_end(half);
    raw_send_frame(active, "{\"type\":\"ping\",\"id\":2}"); /* it has had its first */
    expect_type(active, "pong");
    expect_count("first_request_timeout_ms=2");
    (void)close(active);
    afard_expect_calm(&server);
}

static void idle(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "idle_timeout_ms=100", NULL};
    afard_start(&server, args);
    int busy = raw_connect(afard_port(&server, 0));
    raw_send_frame(busy, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"cat\"],"
                         "\"stdin\":\"stream\"}");
    expect_type(busy, "started");
    int quiet = raw_connect(afard_port(&server, 0));
    raw_send_frame(quiet, "{\"type\":\"ping\",\"id\":1}");
    expect_type(quiet, "pong");
    expect_end(quiet);
    expect_count("idle_timeout_ms=1");
    /* A command runs there, so it is not idle. */
    raw_send_frame(busy, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"eof\":true}");
    expect_type(busy, "exit");
    expect_end(busy);
}

static void a_client_that_takes_nothing(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "write_timeout_ms=300",
                          "--set",    "kill_grace_ms=100", "--set", "output_log_bytes=8388608",
                          NULL};
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    int small = 4096;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"yes\"]}");
    afard_expect_log(&server, "takes nothing");
    expect_count("write_timeout_ms=1");
    (void)close(fd);
    afard_expect_calm(&server);
}

/* One that answers may be silent for as long as its command is; one that does not has gone. */
static void heartbeats(void **state)
{
    (void)state;
    enum { BEATS = 20 };
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",         "--set", "heartbeat_ms=50",
                          "--set",    "heartbeat_timeout_ms=2000", "--set", "kill_grace_ms=100",
                          NULL};
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"sleep\",\"1000\"]}");
    for (int beats = 0; beats < BEATS;) {
        char *header = raw_read_header(fd, NULL);
        assert_non_null(header);
        if (strstr(header, "\"type\":\"ping\"") != NULL) {
            raw_send_frame(fd, "{\"type\":\"pong\",\"id\":1}"); /* any word is a sign of life */
            beats++;
        }
        free(header);
    }
    expect_type(fd, "\"type\":\"ping\"");
    expect_end(fd); /* no answer any more */
    expect_count("heartbeat_timeout_ms=1");
    afard_expect_calm(&server);

    struct program client;
    const char *argv[] = {"afar", "run", server.url[0],        "--",
                          "sh",   "-c",  "sleep 2; echo done", NULL};
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    assert_string_equal(client.stdout_data, "done\n");
    program_close(&client);
}

static void a_job(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "job_timeout_ms=100", NULL};
    struct program client;
    afard_start(&server, args);
    const char *longer[] = {"afar", "run",   "--timeout", "1h", server.url[0],
                            "--",   "sleep", "1000",      NULL};
    assert_int_equal(program_run(&client, longer, NULL, 0), 124);
    program_close(&client);
    expect_count("job_timeout=1");
    afard_expect_calm(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(handshake, tear_down),
        cmocka_unit_test_teardown(first_request, tear_down),
        cmocka_unit_test_teardown(idle, tear_down),
        cmocka_unit_test_teardown(a_client_that_takes_nothing, tear_down),
        cmocka_unit_test_teardown(heartbeats, tear_down),
        cmocka_unit_test_teardown(a_job, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
