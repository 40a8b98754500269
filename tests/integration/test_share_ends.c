/* A share that hangs, dies, or has what nobody may have any more: what becomes of a command then. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/process_wait.h"
#include "support/sharing.h"

enum { NOBODY = 65534 };

static struct sharing sharing;

static int set_up(void **state)
{
    (void)state;
    return sharing_open(&sharing);
}

static int tear_down(void **state)
{
    (void)state;
    return sharing_close(&sharing);
}

static int stop_shares(void **state)
{
    (void)state;
    return sharing_stop(&sharing);
}

/* ---- when it is of no use -------------------------------------------------------------------- */

static void one_that_hangs_costs_a_connection(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = sharing_warm(&sharing, &pid);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    struct program program;
    sharing_start(&sharing, &program, "10m", sharing.counted);
    program_finish(&program, "in", 2);
    assert_int_equal(program_exit_status(&program), 0);
    assert_string_equal(program.stdout_data, "ready\nin");
    program_close(&program);
    sharing_expect_one_start(&sharing);
    assert_true(sharing_accepted(&sharing.server) == before + 1);
    assert_int_equal(kill(pid, SIGCONT), 0);
}

static rlim_t first_free_descriptor(pid_t pid)
{
    char path[64];
    struct stat found;
    rlim_t fd = 0;
    do {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, (int)fd);
    } while (lstat(path, &found) == 0 && fd++ < UINT8_MAX);
    return fd;
}

static void one_without_descriptors_costs_a_connection(void **state)
{
    (void)state;
    pid_t pid = 0;
    struct rlimit was;
    double before = sharing_warm(&sharing, &pid);
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &was), 0);
    /* Not less than it has: poll(2) fails for more descriptors than the limit. */
    const struct rlimit none = {.rlim_cur = first_free_descriptor(pid), .rlim_max = was.rlim_max};
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &none, NULL), 0);
    struct program program;
    sharing_start(&sharing, &program, "10m", sharing.counted);
    expect_process_rests(pid); /* meanwhile it is connected to, and cannot accept */
    program_finish(&program, "in", 2);
    assert_int_equal(program_exit_status(&program), 0);
    assert_string_equal(program.stdout_data, "ready\nin");
    program_close(&program);
    sharing_expect_one_start(&sharing);
    assert_true(sharing_accepted(&sharing.server) == before + 1);
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &was, NULL), 0);
}

static void one_that_was_killed_is_replaced(void **state)
{
    (void)state;
    pid_t pid = 0;
    (void)sharing_warm(&sharing, &pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    expect_process_gone(pid);
    assert_int_equal(sharing_files(&sharing, NULL, ".sock"), 1); /* of the dead */
    sharing_run(&sharing, "10m", "echo two", "two\n", 0);
    assert_int_not_equal(sharing_expect_one(), pid);
}

static void a_command_outlives_the_share(void **state)
{
    (void)state;
    pid_t pid = 0;
    (void)sharing_warm(&sharing, &pid);
    struct program program;
    sharing_start(&sharing, &program, "10m", sharing.counted);
    program_expect(&program, 1, "ready\n");
    assert_int_equal(kill(pid, SIGKILL), 0);
    program_finish(&program, "the rest", 8);
    if (program_exit_status(&program) != 0)
        fail_msg("status %d: %s", program_exit_status(&program), program.stderr_data);
    assert_string_equal(program.stdout_data, "ready\nthe rest");
    program_close(&program);
    sharing_expect_one_start(&sharing);
}

static void run_at(const struct afard *other)
{
    struct program program;
    const char *argv[] = {"afar", "run", "--share", "10m",           other->url[0],
                          "--",   "sh",  "-c",      sharing.counted, NULL};
    if (program_run(&program, argv, NULL, 0) != 0 || program.stderr_size > 0)
        fail_msg("status %d: %s", program_exit_status(&program), program.stderr_data);
    assert_string_equal(program.stdout_data, "ready\n");
    program_close(&program);
    sharing_expect_one_start(&sharing);
    assert_int_equal(unlink(sharing.starts), 0);
}

static void a_connection_that_the_server_closed_is_not_given(void **state)
{
    (void)state;
    struct afard other;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",    "--http", "tcp://127.0.0.1:0",
                          "--set",    "idle_timeout_ms=1000", NULL};
    afard_start(&other, args);
    run_at(&other);
    pid_t pid = sharing_expect_one();
    for (int i = 0; i < 2; i++) {
        sharing_expect_connections(&other,
                                   0); /* idle for too long: it is not opened again and again */
        run_at(&other);
        run_at(&other);
    }
    assert_int_equal(sharing_expect_one(), pid);
    assert_int_equal(afard_stop(&other), 0);
}

static void it_outlives_a_restart_of_the_server(void **state)
{
    (void)state;
    struct afard other;
    char url[512];
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--http", "tcp://127.0.0.1:0", NULL};
    afard_start(&other, args);
    run_at(&other);
    pid_t pid = sharing_expect_one();
    sharing_expect_connections(&other, 2);
    memcpy(url, other.url[0], sizeof url);
    assert_int_equal(afard_stop(&other), 0);
    const char *again[] = {"--listen", url, "--http", "tcp://127.0.0.1:0", NULL};
    afard_start(&other, again);
    run_at(&other);
    double before = 3;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_metric(&other, "afard_connections_accepted_total") != before)
        assert_false(sharing_is_late(deadline_ms));
    sharing_expect_connections(&other, 2);
    run_at(&other);
    assert_true(afard_metric(&other, "afard_connections_accepted_total") == before);
    assert_int_equal(sharing_expect_one(), pid);
    assert_int_equal(afard_stop(&other), 0);
}

/* A connection to the share's socket, as whoever. */
static int dial(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void a_changed_certificate_ends_sharing(void **state)
{
    (void)state;
    char path[SHARING_PATH_BYTES];
    pid_t pid = 0;
    (void)sharing_warm(&sharing, &pid);
    assert_int_equal(sharing_files(&sharing, path, ".sock"), 1);
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 1700000000}};
    assert_int_equal(utimensat(AT_FDCWD, sharing.server.client_cert, times, 0), 0);
    int fd = dial(path); /* it looks at the files now, and not some seconds later */
    expect_process_gone(pid);
    (void)close(fd);
    sharing_run(&sharing, "10m", "echo two", "two\n", 0);
    assert_int_not_equal(sharing_expect_one(), pid);
}

/* Whether a ping is answered. */
static int answers(const char *path)
{
    static const char ping[] = "\x16\0\0\0{\"type\":\"ping\",\"id\":1}";
    char byte = 0;
    int fd = dial(path);
    (void)!write(fd, ping, sizeof ping - 1);
    int answered = read(fd, &byte, 1) == 1;
    (void)close(fd);
    return answered;
}

static void another_user_is_refused(void **state)
{
    (void)state;
    char path[SHARING_PATH_BYTES];
    pid_t pid = 0;
    int status = 0;
    if (geteuid() != 0)
        skip();
    (void)sharing_warm(&sharing, &pid);
    assert_int_equal(sharing_files(&sharing, path, ".sock"), 1);
    assert_int_equal(answers(path), 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(seteuid(NOBODY) != 0 || setfsuid(0) < 0 ? 2 : answers(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, stop_shares)
    const struct CMUnitTest tests[] = {
        TEST(one_that_hangs_costs_a_connection),
        TEST(one_without_descriptors_costs_a_connection),
        TEST(one_that_was_killed_is_replaced),
        TEST(a_command_outlives_the_share),
        TEST(a_connection_that_the_server_closed_is_not_given),
        TEST(it_outlives_a_restart_of_the_server),
        TEST(a_changed_certificate_ends_sharing),
        TEST(another_user_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
