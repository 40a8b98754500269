/* Each limit of the configuration: the newcomer is refused with a word, the others are served, and
 * it is counted. */
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
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"

static const char sleeping[] = "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"sleep\",\"1000\"]}";

static struct afard server;

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* What the server counts. It is asked until it says so: what was done to a connection may not have
 * reached its worker yet. */
static void expect_count(const char *text)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    for (;;) {
        size_t before = server.program.stderr_size;
        assert_int_equal(kill(server.program.pid, SIGUSR1), 0);
        (void)program_expect_after(&server.program, 2, before, "since the start: ");
        if (strstr(server.program.stderr_data + before, text) != NULL)
            return;
        if (clock_now_ms() > deadline_ms)
            fail_msg("'%s' did not come", text);
        (void)poll(NULL, 0, 20);
    }
}

/* A counter as it is now. */
static unsigned long counted(const char *name)
{
    static const char line[] = "since the start: ";
    size_t before = server.program.stderr_size;
    assert_int_equal(kill(server.program.pid, SIGUSR1), 0);
    const char *fresh = program_expect_after(&server.program, 2, before, line);
    const char *at = strstr(fresh, name);
    return at == NULL ? 0 : strtoul(at + strlen(name), NULL, 10);
}

static void expect(int fd, const char *const *parts)
{
    char *header = raw_read_header(fd, NULL);
    if (header == NULL)
        fail_msg("closed instead of %s", parts[0]);
    for (; *parts != NULL; parts++) {
        if (strstr(header, *parts) == NULL)
            fail_msg("%s is not in %s", *parts, header);
    }
    free(header);
}

#define EXPECT(fd, ...) expect(fd, (const char *const[]){__VA_ARGS__, NULL})

static void expect_closed(int fd)
{
    size_t size = 0;
    free(raw_read_rest(fd, &size));
    assert_int_equal(size, 0);
    (void)close(fd);
}

static void expect_pong(int fd, const char *id)
{
    char ping[64];
    (void)snprintf(ping, sizeof ping, "{\"type\":\"ping\",\"id\":%s}", id);
    raw_send_frame(fd, ping);
    EXPECT(fd, "\"pong\"", id);
}

/* A command that runs until somebody ends it; its job's id. */
static void start_sleeping(int fd, char job[33])
{
    raw_send_frame(fd, sleeping);
    char *started = raw_read_header(fd, NULL);
    assert_non_null(started);
    const char *at = strstr(started, "\"job\":\"");
    assert_non_null(at);
    (void)snprintf(job, 33, "%s", at + 7);
    free(started);
}

static void kill_job(int fd, const char *id, const char *job)
{
    char header[160];
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"kill\",\"id\":%s,\"job\":\"%.32s\",\"name\":\"KILL\"}", id, job);
    raw_send_frame(fd, header);
    EXPECT(fd, "\"done\"", id);
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Places that commands run on are nobody else's. */
static void connections_in_all(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "max_connections=2", NULL};
    char job[33];
    afard_start(&server, args);
    int first = raw_connect(afard_port(&server, 0));
    start_sleeping(first, job);
    int second = raw_connect(afard_port(&server, 0));
    start_sleeping(second, job);
    for (int i = 0; i < 3; i++) {
        int third = raw_connect(afard_port(&server, 0));
        EXPECT(third, "\"error\"", "\"busy\"", "max_connections", "retry_after_ms");
        expect_closed(third);
    }
    struct program client;
    const char *argv[] = {"afar", "run", server.url[0], "--", "true", NULL};
    assert_int_equal(program_run(&client, argv, NULL, 0), 125);
    assert_non_null(strstr(client.stderr_data, "no room"));
    program_close(&client);
    expect_pong(first, "2");
    expect_count("max_connections=4");
    afard_expect_log(&server, "refused: no room (max_connections)");
    (void)close(second);
    expect_pong(first, "3");
    (void)close(first);
    afard_expect_calm(&server);
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    program_close(&client);
}

static void connections_by_address(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "max_connections_per_address=1",
                          NULL};
    char job[33];
    afard_start(&server, args);
    int first = raw_connect(afard_port(&server, 0));
    start_sleeping(first, job);
    int second = raw_connect(afard_port(&server, 0));
    EXPECT(second, "\"busy\"", "max_connections_per_address");
    expect_closed(second);
    int other = raw_connect_from(afard_port(&server, 0), "127.0.0.2");
    expect_pong(other, "1");
    expect_count("max_connections_per_address=1");
    (void)close(first);
    (void)close(other);
}

/* Peers without a name cannot keep others out by doing nothing, nor by being many. */
static void idle_ones_make_room(void **state)
{
    (void)state;
    const char *args[] = {
        "--listen", "tcp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0?protocol=sized",
        "--set",    "max_connections=4", "--set",    "max_connections_per_address=2",
        NULL};
    char job[33];
    afard_start(&server, args);
    int busy = raw_connect_from(afard_port(&server, 0), "127.0.0.2");
    start_sleeping(busy, job);
    int idle = raw_connect_from(afard_port(&server, 0), "127.0.0.2");
    expect_pong(idle, "1");
    int third = raw_connect_from(afard_port(&server, 0), "127.0.0.2"); /* of two */
    EXPECT(idle, "\"closing\"", "\"idle\"");
    expect_closed(idle);
    expect_pong(third, "1");
    /* Four in all: then the address makes room that has the most without a request. */
    int few = raw_connect_from(afard_port(&server, 0), "127.0.0.3");
    int many[2];
    for (unsigned i = 0; i < 2; i++)
        many[i] = raw_connect_from(afard_port(&server, i), "127.0.0.4");
    EXPECT(third, "\"closing\"", "\"idle\"");
    expect_closed(third);
    expect_pong(few, "1");
    int one = raw_connect_from(afard_port(&server, 0), "127.0.0.5");
    EXPECT(many[0], "\"closing\"", "\"idle\"");
    expect_closed(many[0]);
    expect_pong(one, "1");
    raw_send(many[1], "echo sized", 10);
    char size[10];
    assert_true(raw_read(many[1], size, sizeof size));
    assert_memory_equal(size, "\6\0\0\0sized\n", sizeof size);
    expect_pong(busy, "2");
    expect_count("max_connections=2 max_connections_per_address=1");
    kill_job(one, "2", job);
    EXPECT(busy, "\"exit\"", "\"killed\"");
    (void)close(busy);
    (void)close(few);
    (void)close(one);
    (void)close(many[1]);
    afard_expect_calm(&server);
}

/* Who was turned away holds its place until it has gone or the time for that is over. If somebody
 * needs the place before, why it was turned away is not told anew. */
static void turned_away_and_in_the_way(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--set", "max_unauthenticated=1", NULL};
    struct program client;
    afard_start_tls(&server, args);
    const char *argv[] = {"afar", "run", server.url[0], "--", "true", NULL};
    int held = raw_connect(afard_port(&server, 0));
    raw_send(held, "this is no TLS at all\n", 22);
    expect_count("handshakes_failed=1");
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    program_close(&client);
    expect_count("max_unauthenticated=1");
    assert_null(strstr(server.program.stderr_data, "to make room for another connection"));
    (void)close(held);
    afard_expect_calm(&server);
}

/* Who has not shown who it is makes room for others; who has is served all the while. */
static void half_open_handshakes(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--set", "max_unauthenticated=2", NULL};
    struct program client;
    struct program inside;
    afard_start_tls(&server, args);
    const char *argv[] = {"afar", "run", server.url[0], "--", "echo", "in", NULL};
    const char *cat[] = {"afar", "run", server.url[0], "--", "sh", "-c", "echo in; cat", NULL};
    program_start(&inside, cat, NULL);
    program_expect(&inside, 1, "in\n");
    int held[3];
    for (int i = 0; i < 3; i++) {
        held[i] = raw_connect(afard_port(&server, 0));
        if (i < 2)
            expect_count(i == 0 ? "unauthenticated=1" : "unauthenticated=2");
    }
    expect_closed(held[0]);
    expect_count("max_unauthenticated=1");
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    assert_string_equal(client.stdout_data, "in\n");
    program_close(&client);
    expect_closed(held[1]);
    expect_count("max_unauthenticated=2");
    afard_expect_log(&server, "to make room for another connection");
    program_finish(&inside, "still\n", 6);
    assert_string_equal(inside.stdout_data, "in\nstill\n");
    program_close(&inside);
    (void)close(held[2]);
    afard_expect_calm(&server);
}

/* Those that cannot be accepted wait in the kernel; the server neither spins nor loses them. */
static void out_of_descriptors(void **state)
{
    (void)state;
    enum { CLIENTS = 10, PAUSE_MS = 100 };
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    struct rlimit before;
    int clients[CLIENTS];
    afard_start(&server, args);
    if (server.descriptors == 0) {
        print_message("skipped: only root sees how many descriptors a server has\n");
        skip();
    }
    struct rlimit few = {.rlim_cur = server.descriptors + 4};
    assert_int_equal(prlimit(server.program.pid, RLIMIT_NOFILE, NULL, &before), 0);
    few.rlim_max = before.rlim_max;
    assert_int_equal(prlimit(server.program.pid, RLIMIT_NOFILE, &few, NULL), 0);
    int64_t since_ms = clock_now_ms();
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = raw_connect(afard_port(&server, 0));
    expect_pong(clients[0], "1");
    afard_expect_log(&server, "not accepting for 100 ms");
    /* Each pause makes a line: so many lines, so many pauses, and no more of them than fit. */
    unsigned long pauses = 0;
    while (pauses < 3)
        pauses = counted("accept_pauses=");
    assert_true((int64_t)pauses <= (clock_now_ms() - since_ms) / PAUSE_MS + 1);
    expect_pong(clients[0], "2");
    assert_int_equal(prlimit(server.program.pid, RLIMIT_NOFILE, &before, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        expect_pong(clients[i], "3");
        (void)close(clients[i]);
    }
    afard_expect_calm(&server);
}

/* Its standard error is a pipe, which this test does not read meanwhile. */
static void a_log_that_nobody_reads(void **state)
{
    (void)state;
    enum { CLIENTS = 1500 };
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--log-level", "debug", NULL};
    afard_start(&server, args);
    for (int i = 0; i < CLIENTS; i++) {
        int fd = raw_connect(afard_port(&server, 0));
        expect_pong(fd, "1");
        (void)close(fd);
    }
    size_t before = server.program.stderr_size;
    (void)program_expect_after(&server.program, 2, before, "closed");
    /* The next line tells; of a connection there may be none until the minute's summary. */
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"true\"]}");
    EXPECT(fd, "\"started\"");
    EXPECT(fd, "\"exit\"", "\"code\":0");
    afard_expect_log(&server, "lines were lost");
    (void)close(fd);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void every_place_taken(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "max_jobs=1", NULL};
    char job[33];
    afard_start(&server, args);
    int first = raw_connect(afard_port(&server, 0));
    int second = raw_connect(afard_port(&server, 0));
    start_sleeping(first, job);
    raw_send_frame(second, sleeping);
    EXPECT(second, "\"error\"", "\"id\":1", "\"busy\"", "max_jobs", "\"retry_after_ms\":");
    expect_pong(second, "2");
    expect_pong(first, "7");
    kill_job(second, "3", job);
    EXPECT(first, "\"exit\"", "\"killed\"");
    raw_send_frame(second, "{\"type\":\"exec\",\"v\":1,\"id\":4,\"argv\":[\"true\"]}");
    EXPECT(second, "\"started\"");
    EXPECT(second, "\"exit\"", "\"code\":0");
    expect_count("max_jobs=1");
    (void)close(first);
    (void)close(second);
    afard_expect_calm(&server);
}

static void the_queue(void **state)
{
    (void)state;
    static const char waiting[] = "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"cat\"],"
                                  "\"stdin\":\"stream\",\"start_within_ms\":1000000}";
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "max_jobs=1",
                          "--set",    "max_queued=3",      NULL};
    char job[33];
    int fds[5];
    afard_start(&server, args);
    for (int i = 0; i < 5; i++)
        fds[i] = raw_connect(afard_port(&server, 0));
    start_sleeping(fds[0], job);
    raw_send_frame(fds[1], waiting);
    EXPECT(fds[1], "\"queued\"", "\"position\":1");
    raw_send_frame(fds[2], waiting);
    EXPECT(fds[2], "\"queued\"", "\"position\":2");
    raw_send_frame(fds[3], waiting);
    EXPECT(fds[3], "\"queued\"", "\"position\":3");
    raw_send_frame(fds[4], waiting);
    EXPECT(fds[4], "\"busy\"", "max_queued", "retry_after_ms");
    expect_pong(fds[1], "2"); /* while it waits */
    (void)close(fds[2]);      /* and this one leaves the queue */
    expect_count("queued=2");
    raw_send_frame(fds[4], "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\"],"
                           "\"start_within_ms\":50}");
    EXPECT(fds[4], "\"queued\"", "\"position\":3");
    EXPECT(fds[4], "\"error\"", "\"id\":2", "\"busy\"", "start_within_ms", "retry_after_ms");
    kill_job(fds[4], "3", job);
    EXPECT(fds[0], "\"exit\"", "\"killed\"");
    EXPECT(fds[1], "\"started\"");
    raw_send_frame(fds[1], "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"eof\":true}");
    EXPECT(fds[1], "\"exit\"", "\"code\":0");
    EXPECT(fds[3], "\"started\""); /* its turn, at once */
    raw_send_frame(fds[3], "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"eof\":true}");
    EXPECT(fds[3], "\"exit\"", "\"code\":0");
    expect_count("start_within=1");
    for (int i = 0; i < 5; i++) {
        if (i != 2)
            (void)close(fds[i]);
    }
    afard_expect_calm(&server);
}

/* A client's requests that wait for its own commands do not keep those of others out. */
static void the_queue_is_shared(void **state)
{
    (void)state;
    static const char waiting[] = "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"true\"],"
                                  "\"start_within_ms\":1000000}";
    enum { QUEUE = 256 };
    static int fds[QUEUE];
    char path[64];
    char url[80];
    char job[33];
    struct program client;
    (void)snprintf(path, sizeof path, "/tmp/afar-queue-%d", (int)getpid());
    (void)snprintf(url, sizeof url, "unix://%s", path);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--listen", url,
                          "--set",    "max_jobs=1",        NULL};
    afard_start(&server, args);
    int first = raw_connect(afard_port(&server, 0));
    start_sleeping(first, job);
    for (int i = 0; i < QUEUE; i++) {
        fds[i] = raw_connect(afard_port(&server, 0));
        raw_send_frame(fds[i], waiting);
        EXPECT(fds[i], "\"queued\"");
    }
    const char *argv[] = {"afar", "run", "--start-within", "1h", url, "--", "echo", "in", NULL};
    program_start(&client, argv, NULL);
    EXPECT(fds[QUEUE - 1], "\"error\"", "\"id\":1", "\"busy\"", "max_queued");
    expect_pong(fds[QUEUE - 1], "2");
    expect_count("max_queued=1");
    for (int i = 0; i < QUEUE; i++)
        (void)close(fds[i]);
    (void)close(first);
    program_finish(&client, NULL, 0);
    assert_string_equal(client.stdout_data, "in\n");
    program_close(&client);
    afard_expect_calm(&server);
}

static void a_drain_empties_the_queue(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "max_jobs=1",
                          "--set",    "drain_ms=1000000",  NULL};
    char job[33];
    afard_start(&server, args);
    int first = raw_connect(afard_port(&server, 0));
    int second = raw_connect(afard_port(&server, 0));
    start_sleeping(first, job);
    raw_send_frame(second, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"true\"],"
                           "\"start_within_ms\":1000000}");
    EXPECT(second, "\"queued\"");
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    EXPECT(second, "\"error\"", "\"draining\"");
    EXPECT(second, "\"closing\"");
    expect_closed(second);
    (void)close(first); /* ends the command, and with it the drain */
}

static void jobs_by_identity(void **state)
{
    (void)state;
    char path[64];
    char url[80];
    char job[33];
    struct program client;
    (void)snprintf(path, sizeof path, "/tmp/afar-limits-%d", (int)getpid());
    (void)snprintf(url, sizeof url, "unix://%s", path);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",       "--listen", url,
                          "--set",    "max_jobs_per_identity=1", NULL};
    afard_start(&server, args);
    int first = raw_connect(afard_port(&server, 0));
    int second = raw_connect(afard_port(&server, 0));
    start_sleeping(first, job);
    raw_send_frame(second, sleeping);
    EXPECT(second, "\"busy\"", "max_jobs_per_identity");
    const char *argv[] = {"afar", "run", url, "--", "true", NULL}; /* another identity */
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    program_close(&client);
    const char *late[] = {"afar",        "run", "--start-within", "50ms",
                          server.url[0], "--",  "true",           NULL};
    assert_int_equal(program_run(&client, late, NULL, 0), 125);
    assert_non_null(strstr(client.stderr_data, "busy"));
    program_close(&client);
    expect_count("max_jobs_per_identity=1");
    (void)close(first);
    (void)close(second);
    afard_expect_calm(&server);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void frames_that_are_too_large(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",   "--set", "header_bytes=512",
                          "--set",    "payload_bytes=65536", NULL};
    char header[600];
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    (void)snprintf(header, sizeof header, "{\"type\":\"ping\",\"id\":1,\"x\":\"%0*d\"}", 490, 1);
    raw_send_frame(fd, header);
    EXPECT(fd, "\"error\"", "\"limit\"", "512 are allowed here");
    expect_closed(fd);
    fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":65537}");
    EXPECT(fd, "\"error\"", "\"limit\"", "65536 are allowed here");
    expect_closed(fd);
    expect_count("header_bytes=1 payload_bytes=1");
}

static void commands_that_are_too_large(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "argv_bytes=10",
                          "--set",    "env_bytes=10",      NULL};
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"echo\",\"12345\"]}");
    EXPECT(fd, "\"error\"", "\"id\":1", "\"limit\"", "argv_bytes");
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\"],"
                       "\"env\":[\"A=34567890\"]}");
    EXPECT(fd, "\"error\"", "\"id\":2", "\"limit\"", "env_bytes");
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":3,\"argv\":[\"echo\",\"1234\"],"
                       "\"env\":[\"A=3456789\"]}");
    EXPECT(fd, "\"started\"");
    EXPECT(fd, "\"stdout\"");
    EXPECT(fd, "\"exit\"", "\"code\":0");
    expect_count("argv_bytes=1 env_bytes=1");
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(connections_in_all, tear_down),
        cmocka_unit_test_teardown(connections_by_address, tear_down),
        cmocka_unit_test_teardown(idle_ones_make_room, tear_down),
        cmocka_unit_test_teardown(half_open_handshakes, tear_down),
        cmocka_unit_test_teardown(turned_away_and_in_the_way, tear_down),
        cmocka_unit_test_teardown(out_of_descriptors, tear_down),
        cmocka_unit_test_teardown(a_log_that_nobody_reads, tear_down),
        cmocka_unit_test_teardown(every_place_taken, tear_down),
        cmocka_unit_test_teardown(the_queue, tear_down),
        cmocka_unit_test_teardown(the_queue_is_shared, tear_down),
        cmocka_unit_test_teardown(a_drain_empties_the_queue, tear_down),
        cmocka_unit_test_teardown(jobs_by_identity, tear_down),
        cmocka_unit_test_teardown(frames_that_are_too_large, tear_down),
        cmocka_unit_test_teardown(commands_that_are_too_large, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
