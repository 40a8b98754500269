/* A chdir or execve that hangs, as on a dead network file system, delays no other job, and can be
 * given up, also where not even KILL ends it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/hung.h"
#include "support/raw.h"

#define ARGS(...)         \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static struct hung hung;

/* Skips the test where this machine does not let us. */
static void start_server(enum hung_kind kind, const char *const *args)
{
    if (!hung_start(&hung, kind, args))
        skip();
}

/* A request for a program, or a directory, where all hangs. */
static void ask_hung(int fd, bool in_chdir)
{
    char header[256];
    if (in_chdir)
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"true\"],"
                       "\"cwd\":\"%s\"}",
                       hung.folder);
    else
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"%s/true\"]}", hung.folder);
    raw_send_frame(fd, header);
}

static int start_hung(bool in_chdir)
{
    int fd = raw_connect(hung.port);
    ask_hung(fd, in_chdir);
    return fd;
}

static void expect(int fd, const char *const *parts)
{
    char *header = raw_read_header(fd, NULL);
    assert_non_null(header);
    for (; *parts != NULL; parts++) {
        if (strstr(header, *parts) == NULL)
            fail_msg("%s is not in %s", *parts, header);
    }
    free(header);
}

#define EXPECT(fd, ...) expect(fd, ARGS(__VA_ARGS__))

/* A command that does not hang. */
static void expect_served(int fd, int id)
{
    char header[128];
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exec\",\"v\":1,\"id\":%d,\"argv\":[\"true\"]}", id);
    raw_send_frame(fd, header);
    EXPECT(fd, "\"started\"");
    EXPECT(fd, "\"exit\"", "\"code\":0");
}

/* ---- what can be killed ---------------------------------------------------------------------- */

static void nobody_is_delayed(void **state)
{
    enum { HUNG = 6 };
    int fds[HUNG];
    (void)state;
    start_server(HUNG_KILLABLE, ARGS("--set", "spawn_timeout_ms=0", "--set", "kill_grace_ms=100"));
    for (int i = 0; i < HUNG; i++)
        fds[i] = start_hung(i % 2 == 0);
    int other = raw_connect(hung.port);
    for (int i = 1; i <= 3; i++)
        expect_served(other, i);
    /* Those that hang do so still, and are known. */
    for (int i = 0; i < HUNG; i++) {
        raw_send_frame(fds[i], "{\"type\":\"ping\",\"id\":2}");
        EXPECT(fds[i], "\"pong\"", "\"id\":2");
    }
    /* Their clients go, and with them the half-made children; else the server could not end. */
    for (int i = 0; i < HUNG; i++)
        (void)close(fds[i]);
    (void)close(other);
    hung_stop(&hung);
}

static void it_is_given_up_after_a_while(void **state)
{
    (void)state;
    start_server(HUNG_KILLABLE,
                 ARGS("--set", "spawn_timeout_ms=100", "--set", "kill_grace_ms=100"));
    int fd = start_hung(true);
    EXPECT(fd, "\"exit\"", "\"spawn_failed\"", "ETIMEDOUT", "\"chdir\"");
    (void)close(fd);
    fd = start_hung(false);
    /* It may have begun for all that anybody knows, and had no time to. */
    EXPECT(fd, "\"started\"");
    EXPECT(fd, "\"exit\"", "\"timed_out\"", "\"KILL\"");
    (void)close(fd);
    hung_stop(&hung);
}

/* A client that does not want it any more learns that it has not begun. */
static void a_detach_ends_it(void **state)
{
    (void)state;
    start_server(HUNG_KILLABLE, ARGS("--set", "spawn_timeout_ms=0", "--set", "kill_grace_ms=100"));
    int fd = start_hung(true);
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":2}");
    EXPECT(fd, "\"pong\"");
    raw_send_frame(fd, "{\"type\":\"detach\",\"id\":1}");
    EXPECT(fd, "{\"type\":\"detached\",\"id\":1}");
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":3,\"argv\":[\"true\"]}");
    EXPECT(fd, "\"started\"", "\"id\":3");
    EXPECT(fd, "\"exit\"", "\"id\":3", "\"code\":0");
    (void)close(fd);
    /* In its execve nobody can tell: it counts as begun, and is ended. */
    fd = start_hung(false);
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":2}");
    EXPECT(fd, "\"pong\"");
    raw_send_frame(fd, "{\"type\":\"detach\",\"id\":1}");
    char *header = raw_read_header(fd, NULL);
    assert_non_null(header);
    bool begun = strstr(header, "\"started\"") != NULL; /* or it had not come so far */
    assert_true(begun || strstr(header, "\"detached\"") != NULL);
    free(header);
    if (begun)
        EXPECT(fd, "{\"type\":\"detached\",\"id\":1}");
    (void)close(fd);
    hung_stop(&hung);
}

/* The server goes down although a spawn hangs. */
static void a_drain_ends_it(void **state)
{
    (void)state;
    start_server(HUNG_KILLABLE, ARGS("--set", "spawn_timeout_ms=0", "--set", "kill_grace_ms=100"));
    int fd = start_hung(true);
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":2}");
    EXPECT(fd, "\"pong\"");
    assert_int_equal(kill(hung.server.pid, SIGTERM), 0);
    program_expect(&hung.server, 2, "draining: 1 jobs");
    hung_stop(&hung);
    EXPECT(fd, "\"exit\"", "\"killed\"");
    (void)close(fd);
}

/* ---- paths that a client chose --------------------------------------------------------------- */

/* The rules are applied without a look at them: that would hang in the server itself. */
static void the_server_touches_no_such_path(void **state)
{
    enum { HUNG = 20 };
    char file[] = "/tmp/afar-hang-rules-XXXXXX";
    int fds[HUNG];
    (void)state;
    int rules = mkstemp(file);
    static const char text[] = "[allow x]\nclient = any\ncommand = /bin/true\n";
    assert_int_equal(write(rules, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    assert_int_equal(close(rules), 0);
    if (!hung_start(&hung, HUNG_KILLABLE, ARGS("-c", file, "--set", "spawn_timeout_ms=0"))) {
        assert_int_equal(unlink(file), 0);
        skip();
    }
    for (int i = 0; i < HUNG; i++)
        fds[i] = start_hung(false);
    for (int i = 0; i < HUNG; i++) {
        EXPECT(fds[i], "\"error\"", "\"denied\"");
        (void)close(fds[i]);
    }
    int other = raw_connect(hung.port);
    expect_served(other, 1);
    (void)close(other);
    hung_stop(&hung);
    assert_int_equal(unlink(file), 0);
}

/* ---- what not even KILL ends ----------------------------------------------------------------- */

enum { SHARE = 8 /* of a worker's threads, for one identity */, SOMEBODY = 54872 };

static char socket_path[80];

/* By the Unix socket, so that it is a client of its own. */
static int connect_as(uid_t uid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(seteuid(uid), 0);
    int failed = connect(fd, (const struct sockaddr *)&address, sizeof address);
    assert_int_equal(seteuid(0) | failed, 0);
    return fd;
}

static void start_beyond_kill(const char *setting)
{
    char url[128];
    (void)snprintf(socket_path, sizeof socket_path, "/tmp/afar-hang-%d.sock", (int)getpid());
    (void)snprintf(url, sizeof url, "unix://%s", socket_path);
    start_server(HUNG_BEYOND_KILL,
                 ARGS("--listen", url, "--set", "spawn_timeout_ms=600", "--set", setting));
    assert_int_equal(chmod(socket_path, 0666), 0);
}

static void expect_counter(const char *text)
{
    assert_int_equal(kill(hung.server.pid, SIGUSR1), 0);
    program_expect(&hung.server, 2, text);
}

/* Two clients fill all threads with what cannot be ended; a third is served meanwhile and
 * afterwards, and they hear that theirs was given up. */
static void stuck_threads_are_replaced(void **state)
{
    int anonymous[2 * SHARE];
    int somebody[SHARE];
    (void)state;
    start_beyond_kill("max_stuck_spawns=32");
    int other = connect_as(0);
    expect_served(other, 1);
    for (int i = 0; i < 2 * SHARE; i++)
        anonymous[i] = start_hung(i % 2 == 0);
    for (int i = 0; i < SHARE; i++) {
        somebody[i] = connect_as(SOMEBODY);
        ask_hung(somebody[i], i % 2 == 0);
    }
    expect_served(other, 2);
    for (int i = 0; i < SHARE; i++)
        EXPECT(somebody[i], "\"exit\"", "\"spawn_failed\"", "ETIMEDOUT", "\"spawn\"",
               "does not respond");
    for (int i = 0; i < 2 * SHARE; i++) /* the share hangs, the rest never had its turn */
        EXPECT(anonymous[i], "\"exit\"", "\"spawn_failed\"", "ETIMEDOUT");
    expect_counter("spawns_stuck=16");
    expect_served(other, 3);
    /* They keep their places, and so their client has no more, until the kernel lets go. */
    raw_send_frame(anonymous[0], "{\"type\":\"exec\",\"v\":1,\"id\":9,\"argv\":[\"true\"]}");
    EXPECT(anonymous[0], "\"exit\"", "\"spawn_failed\"", "ETIMEDOUT", "\"queue\"");
    assert_int_equal(kill(hung.daemon, SIGKILL), 0);
    bool again = false;
    for (int id = 10; !again; id++) {
        char header[128];
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"exec\",\"v\":1,\"id\":%d,\"argv\":[\"true\"]}", id);
        raw_send_frame(anonymous[0], header);
        char *answer = raw_read_header(anonymous[0], NULL);
        assert_non_null(answer);
        again = strstr(answer, "started") != NULL;
        free(answer);
        assert_true(id < 1000);
    }
    EXPECT(anonymous[0], "\"exit\"", "\"code\":0");
    for (int i = 0; i < SHARE; i++)
        (void)close(somebody[i]);
    for (int i = 0; i < 2 * SHARE; i++)
        (void)close(anonymous[i]);
    (void)close(other);
    hung_stop(&hung);
}

/* The bound on what is replaced. */
static void no_more_than_so_many_are(void **state)
{
    int fds[3];
    (void)state;
    start_beyond_kill("max_stuck_spawns=1");
    for (int i = 0; i < 3; i++)
        fds[i] = start_hung(true);
    for (int i = 0; i < 3; i++)
        EXPECT(fds[i], "\"exit\"", "\"spawn_failed\"", "ETIMEDOUT");
    expect_counter("spawns_stuck=3 max_stuck_spawns=2");
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
    hung_stop(&hung);
}

/* A client that leaves, and a server that ends, do not wait for it. */
static void nobody_waits_for_it(void **state)
{
    (void)state;
    start_beyond_kill("spawn_timeout_ms=0");
    int gone = start_hung(true);
    hung_expect(&hung);
    (void)close(gone);
    program_expect(&hung.server, 2, "its start hangs in the kernel and cannot be ended");
    int fd = start_hung(true);
    hung_expect(&hung);
    assert_int_equal(kill(hung.server.pid, SIGTERM), 0);
    program_expect(&hung.server, 2, "draining: ");
    assert_int_equal(kill(hung.server.pid, SIGTERM), 0); /* at once */
    program_expect(&hung.server, 2, "2 commands could not be killed and still run");
    EXPECT(fd, "\"exit\"", "\"killed\"");
    (void)close(fd);
    program_finish(&hung.server, NULL, 0);
    assert_int_equal(program_exit_status(&hung.server), 0);
    program_close(&hung.server);
    assert_int_equal(access(socket_path, F_OK), -1);
    assert_int_equal(rmdir(hung.folder), 0);
}

int main(int argc, char **argv)
{
    int status = 0;
    if (hung_main(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_delayed),
        cmocka_unit_test(it_is_given_up_after_a_while),
        cmocka_unit_test(a_detach_ends_it),
        cmocka_unit_test(a_drain_ends_it),
        cmocka_unit_test(the_server_touches_no_such_path),
        cmocka_unit_test(stuck_threads_are_replaced),
        cmocka_unit_test(no_more_than_so_many_are),
        cmocka_unit_test(nobody_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
