/* Frames of which only a part comes: they hold neither memory nor a connection for long, and a
 * client gets no more memory than what it may do needs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"

enum {
    PAYLOAD = 1 << 20, /* the largest */
    CONNECTIONS = 100,
    MEMORY_KIB = 16 * 1024, /* for all of them; their payloads are six times that */
};

static struct afard server;
static char config[64];
static char audit[64];
static uint8_t *bytes; /* PAYLOAD of them */

static int set_up(void **state)
{
    (void)state;
    bytes = calloc(1, PAYLOAD);
    return bytes == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(bytes);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (config[0] != '\0')
        (void)unlink(config);
    if (audit[0] != '\0')
        (void)unlink(audit);
    config[0] = audit[0] = '\0';
    return afard_stop(&server);
}

static void make_file(char path[64], const char *text)
{
    (void)snprintf(path, 64, "/tmp/afar-unfinished-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

/* A server whose clients over tcp may run nothing, with an audit log. */
static void start_with_rules(void)
{
    char setting[96];
    make_file(config, "[allow none]\nclient = uid:12345\ncommand = /bin/true\n");
    make_file(audit, "");
    (void)snprintf(setting, sizeof setting, "audit_log=%s", audit);
    const char *args[] = {"-c", config, "--listen", "tcp://127.0.0.1:0", "--set", setting, NULL};
    afard_start(&server, args);
}

static void expect(int fd, const char *first, const char *second)
{
    char *header = raw_read_header(fd, NULL);
    if (header == NULL)
        fail_msg("closed instead of %s", first);
    if (strstr(header, first) == NULL || strstr(header, second) == NULL)
        fail_msg("%s or %s is not in %s", first, second, header);
    free(header);
}

static void expect_closed(int fd)
{
    size_t size = 0;
    free(raw_read_rest(fd, &size));
    assert_int_equal(size, 0);
    (void)close(fd);
}

static void expect_audit(const char *first, const char *second)
{
    struct program grep;
    const char *argv[] = {"grep", "-F", first, audit, NULL};
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    bool found = false;
    while (!found && clock_now_ms() < deadline_ms) { /* nobody waits for these lines */
        (void)program_run(&grep, argv, NULL, 0);
        found = strstr(grep.stdout_data, second) != NULL;
        program_close(&grep);
    }
    if (!found)
        fail_msg("no line of the audit log has %s and %s", first, second);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void the_rest_does_not_come(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "frame_timeout_ms=200", NULL};
    afard_start(&server, args);
    /* Of the length, of the header, of a payload that is waited for, and of one that is not. */
    static const char exec[] = "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argc\":1,\"size\":1000}";
    static const char ping[] = "{\"type\":\"ping\",\"id\":1,\"size\":1000}";
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = raw_connect(afard_port(&server, 0));
    raw_send(fds[0], "\x20", 1);
    raw_send(fds[1], "\x20\0\0\0{\"type\"", 11);
    raw_send_frame_with(fds[2], exec, bytes, 999);
    raw_send_frame_with(fds[3], ping, bytes, 999);
    expect(fds[3], "\"pong\"", "");
    for (int i = 0; i < 4; i++)
        expect_closed(fds[i]);
    afard_expect_log(&server, "the rest of a frame has not come in time (frame_timeout_ms)");
}

/* It counts from the first byte, not from the last; and also while a command runs. */
static void drop_by_drop(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "frame_timeout_ms=300", NULL};
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd,
                   "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"cat\"],\"stdin\":\"stream\"}");
    expect(fd, "\"started\"", "");
    raw_send_frame_with(fd, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":100000}", bytes, 1);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};
    while (poll(&end, 1, 20) == 0 && clock_now_ms() < deadline_ms)
        raw_send(fd, "x", 1);
    assert_true((end.revents & POLLRDHUP) != 0);
    (void)close(fd);
    afard_expect_calm(&server); /* and the command is gone */
}

/* Frame upon frame, each in two pieces: none of them takes long. */
static void one_after_the_other(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "frame_timeout_ms=10000", NULL};
    static const char ping[] = "\x20\0\0\0{\"type\":\"ping\",\"id\":1,\"x\":12345}";
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    raw_send(fd, ping, 10);
    for (int i = 0; i < 20; i++) {
        raw_send(fd, ping + 10, sizeof ping - 1 - 10);
        raw_send(fd, ping, 10);
        expect(fd, "\"pong\"", "");
    }
    (void)close(fd);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* So many connections, each with nearly all of a frame that has the largest payload. */
static void hold(int fds[CONNECTIONS], const char *header)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = raw_connect(afard_port(&server, 0));
        raw_send_frame_with(fds[i], header, bytes, PAYLOAD - 1);
    }
}

static void expect_little_memory(long before_kib)
{
    const char *sanitizers = getenv("SAN");
    long grown_kib = afard_peak_kib(&server) - before_kib;
    if (sanitizers != NULL && *sanitizers != '\0')
        return; /* theirs is larger than what is measured */
    if (grown_kib > MEMORY_KIB)
        fail_msg("%ld KiB for %d connections", grown_kib, CONNECTIONS);
}

static void who_may_run_nothing(void **state)
{
    (void)state;
    static int fds[CONNECTIONS];
    start_with_rules();
    long before_kib = afard_peak_kib(&server);
    hold(fds, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argc\":1,\"size\":1048576}");
    for (int i = 0; i < CONNECTIONS; i++)
        expect(fds[i], "\"denied\"", "no rule lets this client (anonymous) run anything");
    expect_little_memory(before_kib);
    expect_audit("\"event\":\"denied\"", "no rule lets this client (anonymous) run anything");
    /* The rest may come, and the next frame is understood. */
    raw_send(fds[0], bytes, 1);
    raw_send_frame(fds[0], "{\"type\":\"ping\",\"id\":2}");
    expect(fds[0], "\"pong\"", "\"id\":2");
    for (int i = 0; i < CONNECTIONS; i++)
        (void)close(fds[i]);
}

/* Its headers are short. */
static void long_header_of_who_may_run_nothing(void **state)
{
    (void)state;
    static char header[6000];
    start_with_rules();
    int fd = raw_connect(afard_port(&server, 0));
    (void)snprintf(header, sizeof header, "{\"type\":\"ping\",\"id\":1,\"x\":\"%0*d\"}", 4000, 1);
    raw_send_frame(fd, header);
    expect(fd, "\"pong\"", "\"id\":1");
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\",\"%0*d\"]}", 4096, 1);
    raw_send_frame(fd, header);
    expect(fd, "\"denied\"", "no rule lets this client (anonymous) run anything");
    expect_closed(fd);
    expect_audit("\"event\":\"denied\"", "anonymous");
    assert_int_equal(afard_stop(&server), 0);
    (void)unlink(audit);
    (void)unlink(config);
    config[0] = audit[0] = '\0';

    /* Others may send as much as is configured. */
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, header);
    expect(fd, "\"started\"", "");
    expect(fd, "\"exit\"", "\"code\":0");
    (void)close(fd);
}

static void payloads_that_nobody_wants(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"type\":\"ping\",\"id\":1,\"size\":1048576}",
        "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":1048576}",
    };
    static int fds[CONNECTIONS];
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    long before_kib = afard_peak_kib(&server);
    for (size_t which = 0; which < sizeof headers / sizeof headers[0]; which++) {
        hold(fds, headers[which]);
        for (int i = 0; i < CONNECTIONS; i++) {
            raw_send(fds[i], bytes, 1);
            raw_send_frame(fds[i], "{\"type\":\"ping\",\"id\":7}");
            char *header = raw_read_header(fds[i], NULL);
            while (header != NULL && strstr(header, "\"id\":7") == NULL) {
                free(header);
                header = raw_read_header(fds[i], NULL);
            }
            assert_non_null(header);
            free(header);
        }
        expect_little_memory(before_kib);
        for (int i = 0; i < CONNECTIONS; i++)
            (void)close(fds[i]);
    }
}

/* What is of use comes through, in pieces too. */
static void wanted_payload(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    static const char words[] = "sh\0-c\0echo $# $0\0zero\0one\0two";
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    char header[96];
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argc\":6,\"size\":%zu}", sizeof words);
    raw_send_frame_with(fd, header, words, 5);
    raw_send(fd, words + 5, sizeof words - 5);
    expect(fd, "\"started\"", "");
    char *output = NULL;
    free(raw_read_header(fd, &output));
    assert_non_null(output);
    assert_memory_equal(output, "2 zero\n", 7);
    free(output);
    expect(fd, "\"exit\"", "\"code\":0");
    (void)close(fd);
}

/* ---- the tutorial's -------------------------------------------------------------------------- */

/* As much as the kernel and the server take within a moment; half a MiB of it is to be read. */
static void send_what_fits(int fd)
{
    size_t sent = 0;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    while (sent < PAYLOAD && poll(&ready, 1, 5) == 1) {
        ssize_t count = send(fd, bytes, PAYLOAD - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count <= 0)
            return;
        sent += (size_t)count;
    }
}

/* What comes while a command runs is kept as far as it could be a command; more is not read. */
static void while_a_command_runs(void **state)
{
    (void)state;
    static int fds[CONNECTIONS];
    const char *args[] = {"--listen", "tcp://127.0.0.1:0?protocol=sized", NULL};
    afard_start(&server, args);
    long before_kib = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = raw_connect(afard_port(&server, 0));
        raw_send(fds[i], "sleep 1000", 10);
    }
    while (afard_children(&server) < CONNECTIONS)
        (void)poll(NULL, 0, 20);
    before_kib = afard_peak_kib(&server);
    for (int i = 0; i < CONNECTIONS; i++)
        send_what_fits(fds[i]);
    int probe = raw_connect(afard_port(&server, 0));
    raw_send(probe, "echo in", 7);
    char reply[7];
    assert_true(raw_read(probe, reply, sizeof reply));
    assert_memory_equal(reply, "\3\0\0\0in\n", sizeof reply);
    (void)close(probe);
    expect_little_memory(before_kib);
    for (int i = 0; i < CONNECTIONS; i++)
        raw_reset(fds[i]); /* a FIN would have to wait behind what is not read */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_rest_does_not_come, stop),
        cmocka_unit_test_teardown(drop_by_drop, stop),
        cmocka_unit_test_teardown(one_after_the_other, stop),
        cmocka_unit_test_teardown(who_may_run_nothing, stop),
        cmocka_unit_test_teardown(long_header_of_who_may_run_nothing, stop),
        cmocka_unit_test_teardown(payloads_that_nobody_wants, stop),
        cmocka_unit_test_teardown(wanted_payload, stop),
        cmocka_unit_test_teardown(while_a_command_runs, stop),
    };
    return cmocka_run_group_tests_name("unfinished", tests, set_up, tear_down);
}
