/* A chdir or execve that hangs, as on a dead network file system, delays no other job, and can be
 * given up. The stand-in is a FUSE mount that nobody serves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/raw.h"

enum { EXIT_UNABLE = 77 };

/* Run as `test_hang --mount FOLDER PROGRAM ARGS…`: the program, in a mount namespace of its own in
 * which FOLDER hangs. The program inherits the mount's other end: were it closed, all would fail at
 * once instead of hanging. */
static int run_in_namespace(char **argv)
{
    char options[128];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return EXIT_UNABLE;
    int fd = open("/dev/fuse", O_RDWR); // NOLINT(android-cloexec-open)
    if (fd < 0)
        return EXIT_UNABLE;
    (void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd,
                   (unsigned)getuid(), (unsigned)getgid());
    if (mount("hang", argv[0], "fuse", MS_NOSUID | MS_NODEV, options) != 0)
        return EXIT_UNABLE;
    (void)execv(argv[1], argv + 1);
    return EXIT_UNABLE;
}

static struct program server;
static char folder[64];
static uint16_t port;

/* False: this machine does not let us. */
static bool start_server(const char *spawn_timeout)
{
    char self[256];
    char path[PROGRAM_TEXT_BYTES];
    struct program probe;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-hang-XXXXXX");
    assert_non_null(mkdtemp(folder));
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    const char *try[] = {self, "--mount", folder, "/bin/true", NULL};
    int able = program_run(&probe, try, NULL, 0);
    program_close(&probe);
    if (able != 0) {
        assert_int_equal(able, EXIT_UNABLE);
        assert_int_equal(rmdir(folder), 0);
        return false;
    }
    const char *argv[] = {self,
                          "--mount",
                          folder,
                          program_path("afard", path),
                          "--print-endpoints",
                          "--listen",
                          "tcp://127.0.0.1:0",
                          "--workers",
                          "1",
                          "--set",
                          spawn_timeout,
                          "--set",
                          "kill_grace_ms=100",
                          NULL};
    program_start(&server, argv, NULL);
    program_expect(&server, 1, "\n");
    port = (uint16_t)atoi(strrchr(server.stdout_data, ':') + 1);
    return true;
}

static void stop_server(void)
{
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    program_finish(&server, NULL, 0);
    assert_int_equal(program_exit_status(&server), 0);
    program_close(&server);
    assert_int_equal(rmdir(folder), 0);
}

static int start_hung(bool in_chdir)
{
    char header[256];
    int fd = raw_connect(port);
    if (in_chdir)
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"true\"],"
                       "\"cwd\":\"%s\"}",
                       folder);
    else
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"%s/tool\"]}", folder);
    raw_send_frame(fd, header);
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

#define EXPECT(fd, ...) expect(fd, (const char *const[]){__VA_ARGS__, NULL})

static void nobody_is_delayed(void **state)
{
    (void)state;
    enum { HUNG = 6 };
    int hung[HUNG];
    if (!start_server("spawn_timeout_ms=0")) {
        print_message("skipped: no privilege to mount FUSE in a namespace\n");
        skip();
    }
    for (int i = 0; i < HUNG; i++)
        hung[i] = start_hung(i % 2 == 0);
    int other = raw_connect(port);
    for (int i = 1; i <= 3; i++) {
        char header[128];
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"exec\",\"v\":1,\"id\":%d,\"argv\":[\"true\"]}", i);
        raw_send_frame(other, header);
        EXPECT(other, "\"started\"");
        EXPECT(other, "\"exit\"", "\"code\":0");
    }
    /* Those that hang do so still, and are known. */
    for (int i = 0; i < HUNG; i++) {
        raw_send_frame(hung[i], "{\"type\":\"ping\",\"id\":2}");
        EXPECT(hung[i], "\"pong\"", "\"id\":2");
    }
    /* Their clients go, and with them the half-made children; else the server could not end. */
    for (int i = 0; i < HUNG; i++)
        (void)close(hung[i]);
    (void)close(other);
    stop_server();
}

static void it_is_given_up_after_a_while(void **state)
{
    (void)state;
    if (!start_server("spawn_timeout_ms=100")) {
        print_message("skipped: no privilege to mount FUSE in a namespace\n");
        skip();
    }
    int fd = start_hung(true);
    EXPECT(fd, "\"exit\"", "\"spawn_failed\"", "ETIMEDOUT", "\"chdir\"");
    (void)close(fd);
    fd = start_hung(false);
    /* It may have begun for all that anybody knows, and had no time to. */
    EXPECT(fd, "\"started\"");
    EXPECT(fd, "\"exit\"", "\"timed_out\"", "\"KILL\"");
    (void)close(fd);
    stop_server();
}

/* A client that does not want it any more learns that it has not begun. */
static void a_detach_ends_it(void **state)
{
    (void)state;
    if (!start_server("spawn_timeout_ms=0")) {
        print_message("skipped: no privilege to mount FUSE in a namespace\n");
        skip();
    }
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
    stop_server();
}

/* The server goes down although a spawn hangs. */
static void a_drain_ends_it(void **state)
{
    (void)state;
    if (!start_server("spawn_timeout_ms=0")) {
        print_message("skipped: no privilege to mount FUSE in a namespace\n");
        skip();
    }
    int fd = start_hung(true);
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":2}");
    EXPECT(fd, "\"pong\"");
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    program_expect(&server, 2, "draining: 1 jobs");
    stop_server();
    EXPECT(fd, "\"exit\"", "\"killed\"");
    (void)close(fd);
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "--mount") == 0)
        return run_in_namespace(argv + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_delayed),
        cmocka_unit_test(it_is_given_up_after_a_while),
        cmocka_unit_test(a_detach_ends_it),
        cmocka_unit_test(a_drain_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
