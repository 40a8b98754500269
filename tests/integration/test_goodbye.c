/* A client that does not come back says so, and is heard: also where it has not read all that it was
 * sent, where the command has just ended, and where its connection is lost just then. The server
 * would wait a minute for it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/cutter.h"
#include "support/echo_server.h"
#include "support/process_wait.h"
#include "support/raw.h"
#include "support/ruled.h"

/* What `resume_ms` would take is three times as long. */
enum { SOON_MS = 20000, STILL_MS = 300 };

#define HOLDER "\"holder\":\"0123456789abcdef\",\"resume_ms\":60000"

static struct afard server;
static char path[64];

/* One place: as long as it is taken nothing else runs. */
static int set_up(void **state)
{
    char url[96];
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/afar-goodbye-%d", (int)getpid());
    (void)snprintf(url, sizeof url, "unix://%s", path);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--listen", url, "--set", "max_jobs=1",
                          "--set",    "kill_grace_ms=200", NULL};
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static int connect_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char *header = raw_read_header(fd, NULL);
    assert_non_null(header);
    if (strstr(header, text) == NULL)
        fail_msg("%s is not in %s", text, header);
    free(header);
}

/* The place is free long before the server would stop waiting. */
static void expect_room(void)
{
    const int64_t began_ms = clock_now_ms();
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"true\"],"
                       "\"start_within_ms\":55000}");
    char *header = NULL;
    do {
        free(header);
        header = raw_read_header(fd, NULL);
        assert_non_null(header);
    } while (strstr(header, "\"exit\"") == NULL);
    free(header);
    (void)close(fd);
    assert_in_range(clock_now_ms() - began_ms, 0, SOON_MS);
}

/* Until no more comes: its window, or the way, is full. */
static void wait_until_full(int fd)
{
    int before = -1;
    int size = 0;
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    do {
        before = size;
        (void)poll(NULL, 0, STILL_MS);
        assert_int_equal(ioctl(fd, FIONREAD, &size), 0);
    } while ((size == 0 || size != before) && clock_now_ms() < deadline_ms);
}

/* Its kernel tells that there was unread output; that must not be all that is heard. The server, which
 * waits to send, sees everything at once. */
static void before_a_reset(void **state)
{
    char *pid = NULL;
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        int fd = tcp == 1 ? raw_connect(afard_port(&server, 0)) : connect_unix();
        raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1," HOLDER ",\"stdin\":\"stream\","
                           "\"argv\":[\"sh\",\"-c\",\"echo $$; exec yes\"]}");
        expect(fd, "\"started\"");
        free(raw_read_header(fd, &pid));
        pid[strcspn(pid, "\n")] = '\0';
        wait_until_full(fd);
        assert_int_equal(kill(server.program.pid, SIGSTOP), 0);
        raw_send_frame(fd, "{\"type\":\"detach\",\"id\":1}");
        if (tcp == 1)
            raw_reset(fd);
        else
            (void)close(fd);
        assert_int_equal(kill(server.program.pid, SIGCONT), 0);
        expect_room();
        expect_processes_gone(pid);
        free(pid);
        pid = NULL;
    }
    afard_expect_calm(&server);
}

/* The receipt was on its way: nobody comes to acknowledge it. */
static void behind_the_end(void **state)
{
    (void)state;
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1," HOLDER ",\"argv\":[\"true\"]}");
    expect(fd, "\"started\"");
    expect(fd, "\"exit\"");
    raw_send_frame(fd, "{\"type\":\"detach\",\"id\":1}");
    (void)close(fd);
    expect_room();
}

/* Whoever comes back only to say that it goes need not wait for an answer. */
static void behind_an_attach(void **state)
{
    (void)state;
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd,
                   "{\"type\":\"exec\",\"v\":1,\"id\":1," HOLDER ",\"argv\":[\"sleep\",\"1000\"]}");
    expect(fd, "\"started\"");
    (void)close(fd);
    fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"attach\",\"id\":1,\"holder\":\"0123456789abcdef\","
                       "\"attempt\":1,\"resume\":true,\"next\":0,\"ack\":0,\"next_bytes\":{}}");
    raw_send_frame(fd, "{\"type\":\"detach\",\"id\":1}");
    (void)close(fd);
    expect_room();
    afard_expect_calm(&server);
}

/* ---- what afar does -------------------------------------------------------------------------- */

static uint16_t port_of(struct program *program)
{
    const char *line = program_expect_after(program, 2, 0, " -> ");
    while (line > program->stderr_data && line[-1] != ':')
        line--;
    return (uint16_t)strtoul(line, NULL, 10);
}

static void start_port(struct program *program, const char *url, const struct echo_server *target,
                       int *fd)
{
    char spec[64];
    char data[100];
    (void)snprintf(spec, sizeof spec, "0:127.0.0.1:%u", target->port);
    program_start(program, WORDS("afar", "forward", url, spec), NULL);
    *fd = raw_connect(port_of(program));
    assert_true(raw_read(*fd, data, sizeof data));
}

static void stop(struct program *program)
{
    assert_int_equal(kill(program->pid, SIGTERM), 0);
    program_finish(program, NULL, 0);
    program_close(program);
}

/* Full in both directions, and then its local end is gone. */
static void a_channel_that_is_full(void **state)
{
    static const char data[65536];
    struct echo_server flood;
    struct program program;
    int fd = -1;
    (void)state;
    assert_true(echo_server_start(&flood, ECHO_FLOOD, false));
    start_port(&program, server.url[0], &flood, &fd);
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    while (poll(&waiting, 1, STILL_MS) > 0)
        (void)send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);
    wait_until_full(fd);
    raw_reset(fd);
    expect_room();
    stop(&program);
    echo_server_stop(&flood);
    afard_expect_calm(&server);
}

/* Its connection is lost, and is not to be had at once; meanwhile its local end goes. It comes back to
 * say so. */
static void a_channel_that_is_away(void **state)
{
    const struct cutter_plan plan = {.cuts = 0};
    struct cutter *cutter = cutter_start(afard_port(&server, 0), &plan);
    struct cutter_result result;
    struct echo_server flood;
    struct program program;
    char url[64];
    int fd = -1;
    (void)state;
    assert_true(echo_server_start(&flood, ECHO_FLOOD, false));
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%u", cutter_port(cutter));
    start_port(&program, url, &flood, &fd);
    cutter_refuse(cutter, 1);
    cutter_cut(cutter);
    const unsigned before = cutter_count(cutter);
    raw_reset(fd);
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (cutter_count(cutter) < before + 2 && clock_now_ms() < deadline_ms)
        (void)poll(NULL, 0, 5);
    assert_true(cutter_count(cutter) >= before + 2);
    cutter_refuse(cutter, 0);
    expect_room();
    stop(&program);
    cutter_stop(cutter, &result);
    echo_server_stop(&flood);
    afard_expect_calm(&server);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_a_reset),         cmocka_unit_test(behind_the_end),
        cmocka_unit_test(behind_an_attach),       cmocka_unit_test(a_channel_that_is_full),
        cmocka_unit_test(a_channel_that_is_away),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
