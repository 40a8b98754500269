/* Connections that processes share: begun on demand, used by the next ones, and gone when nobody
 * uses them; and what becomes of a command when the share dies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/process_wait.h"

enum { STREAM_BYTES = 3 << 20, LOOK_MS = 10, AT_ONCE = 6, NOBODY = 65534, PATH_BYTES = 160 };

static struct afard server;
static char run_folder[96];
static char starts[96]; /* a line for each time that the command of counted() began */

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--http", "tcp://127.0.0.1:0",
                          "--set",    "resume_ms=20000",   NULL};
    afard_start_tls(&server, args);
    (void)snprintf(run_folder, sizeof run_folder, "%s/run", server.folder);
    (void)snprintf(starts, sizeof starts, "%s/starts", server.folder);
    assert_int_equal(mkdir(run_folder, 0700), 0);
    return setenv("XDG_RUNTIME_DIR", run_folder, 1);
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* ---- what is shared -------------------------------------------------------------------------- */

/* The processes that `afar share --list` names; the last one's number in *pid. */
static unsigned shares(pid_t *pid)
{
    static const char mark[] = " pid ";
    struct program program;
    unsigned count = 0;
    const char *argv[] = {"afar", "share", "--list", NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    for (const char *at = program.stdout_data; (at = strstr(at, mark)) != NULL; count++) {
        at += sizeof mark - 1;
        *pid = (pid_t)atoi(at);
    }
    program_close(&program);
    return count;
}

static bool is_late(int64_t deadline_ms)
{
    (void)poll(NULL, 0, LOOK_MS);
    return clock_now_ms() > deadline_ms;
}

/* Waits until there is one, and returns it. */
static pid_t expect_share(void)
{
    pid_t pid = 0;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (shares(&pid) != 1)
        assert_false(is_late(deadline_ms));
    return pid;
}

static void expect_connections(double count)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_metric(&server, "afard_connections") != count)
        assert_false(is_late(deadline_ms));
}

static double accepted(void)
{
    return afard_metric(&server, "afard_connections_accepted_total");
}

/* What is in the folder of shares, without the names that begin with a dot. */
static unsigned files(char path[PATH_BYTES], const char *end)
{
    unsigned count = 0;
    char folder[PATH_BYTES];
    struct dirent *entry = NULL;
    (void)snprintf(folder, sizeof folder, "%s/afar", run_folder);
    DIR *dir = opendir(folder);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (entry->d_name[0] == '.' || dot == NULL || (end != NULL && strcmp(dot, end) != 0))
            continue;
        if (path != NULL)
            assert_true(snprintf(path, PATH_BYTES, "%s/%s", folder, entry->d_name) < PATH_BYTES);
        count++;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

static int stop_shares(void **state)
{
    pid_t pid = 0;
    struct program program;
    const char *argv[] = {"afar", "share", "--stop", NULL};
    (void)state;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    do {
        if (program_run(&program, argv, NULL, 0) != 0 || is_late(deadline_ms))
            return -1;
        program_close(&program);
    } while (shares(&pid) > 0);
    expect_connections(0);
    (void)unlink(starts);
    return 0;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void start(struct program *program, const char *idle, const char *line)
{
    const char *argv[] = {"afar", "run", "--share", idle, server.url[0],
                          "--",   "sh",  "-c",      line, NULL};
    program_start(program, argv, NULL);
}

/* The output is read to its end: a share that holds it would keep this from returning. */
static void run(const char *idle, const char *line, const char *output, int status)
{
    struct program program;
    start(&program, idle, line);
    program_finish(&program, NULL, 0);
    if (program_exit_status(&program) != status || strcmp(program.stdout_data, output) != 0 ||
        program.stderr_size > 0)
        fail_msg("%s: status %d, '%s' '%s'", line, program_exit_status(&program),
                 program.stdout_data, program.stderr_data);
    program_close(&program);
}

/* A share with its connections; how many the server has accepted then. */
static double warm(pid_t *pid)
{
    double before = accepted();
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    run("10m", "echo one", "one\n", 0);
    *pid = expect_share();
    while (accepted() != before + 3) /* the run's own, and two that wait */
        assert_false(is_late(deadline_ms));
    expect_connections(2);
    return before + 3;
}

static const char *counted(void)
{
    static char line[PATH_BYTES];
    (void)snprintf(line, sizeof line, "echo x >>%s; echo ready; cat", starts);
    return line;
}

static void expect_one_start(void)
{
    struct stat found;
    assert_int_equal(stat(starts, &found), 0);
    assert_int_equal(found.st_size, 2);
}

/* ---- on demand ------------------------------------------------------------------------------- */

static void the_second_run_has_no_connection_of_its_own(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = warm(&pid);
    for (int i = 0; i < 5; i++)
        run("10m", "echo more; exit 3", "more\n", 3);
    assert_true(accepted() == before);
    assert_int_equal(expect_share(), pid);
    /* Who has not asked for it has none. */
    const char *argv[] = {"afar", "run", server.url[0], "--", "true", NULL};
    struct program program;
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    program_close(&program);
    assert_true(accepted() == before + 1);
}

static void it_holds_nothing_of_who_began_it(void **state)
{
    (void)state;
    char path[64];
    char target[256];
    pid_t pid = 0;
    (void)warm(&pid);
    assert_int_equal(getsid(pid) == getsid(0), 0);
    (void)snprintf(path, sizeof path, "/proc/%d/cwd", (int)pid);
    ssize_t size = readlink(path, target, sizeof target - 1);
    assert_int_equal(size, 1);
    for (int fd = 0; fd < 3; fd++) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        size = readlink(path, target, sizeof target - 1);
        assert_true(size > 0);
        target[size] = '\0';
        assert_string_equal(target, "/dev/null");
    }
}

static void it_is_the_users_alone(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    struct stat found;
    pid_t pid = 0;
    (void)warm(&pid);
    assert_int_equal(files(path, ".sock"), 1);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0700);
    /* A folder that others may use is none. */
    assert_int_equal(chmod(path, 0755), 0);
    double before = accepted();
    run("10m", "echo two", "two\n", 0);
    assert_true(accepted() == before + 1);
    assert_int_equal(chmod(path, 0700), 0);
}

static void it_ends_when_it_is_idle(void **state)
{
    (void)state;
    run("300ms", "echo one", "one\n", 0);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (accepted() < 1 || afard_metric(&server, "afard_connections") != 0 ||
           files(NULL, NULL) != 0)
        assert_false(is_late(deadline_ms));
}

static void many_at_once_make_one(void **state)
{
    (void)state;
    struct program program[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++)
        start(&program[i], "10m", "echo one");
    for (int i = 0; i < AT_ONCE; i++) {
        program_finish(&program[i], NULL, 0);
        assert_string_equal(program[i].stdout_data, "one\n");
        program_close(&program[i]);
    }
    (void)expect_share();
    assert_int_equal(files(NULL, ".lock"), 1);
    /* And through it. */
    for (int i = 0; i < AT_ONCE; i++)
        start(&program[i], "10m", "echo two");
    for (int i = 0; i < AT_ONCE; i++) {
        program_finish(&program[i], NULL, 0);
        assert_string_equal(program[i].stdout_data, "two\n");
        program_close(&program[i]);
    }
    (void)expect_share();
}

/* ---- through it ------------------------------------------------------------------------------ */

static void streams_pass_byte_by_byte(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = warm(&pid);
    struct program program;
    char *data = malloc(STREAM_BYTES);
    assert_non_null(data);
    uint32_t number = 7;
    for (size_t i = 0; i < STREAM_BYTES; i++) {
        number = number * 1103515245 + 12345;
        data[i] = (char)(number >> 16);
    }
    for (int i = 0; i < 2; i++) { /* the second on the connection of the first */
        start(&program, "10m", "tee /dev/stderr");
        program_finish(&program, data, STREAM_BYTES);
        assert_int_equal(program_exit_status(&program), 0);
        assert_int_equal(program.stdout_size, STREAM_BYTES);
        assert_int_equal(program.stderr_size, STREAM_BYTES);
        assert_memory_equal(program.stdout_data, data, STREAM_BYTES);
        assert_memory_equal(program.stderr_data, data, STREAM_BYTES);
        program_close(&program);
    }
    free(data);
    assert_true(accepted() == before);
}

static void signals_and_terminals_pass(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = warm(&pid);
    struct program program;
    start(&program, "10m",
          "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    program_expect(&program, 1, "ready\n");
    assert_int_equal(kill(program.pid, SIGTERM), 0);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 7);
    assert_string_equal(program.stdout_data, "ready\ncaught\n");
    program_close(&program);
    const char *argv[] = {"afar", "run", "-t", "--share", "10m", server.url[0], "--", "tty", NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    assert_int_equal(strncmp(program.stdout_data, "/dev/pts/", 9), 0);
    program_close(&program);
    assert_true(accepted() == before);
}

/* Its command ends, and its connection is nobody's any more. */
static void a_client_that_is_killed_ends_its_command(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = warm(&pid);
    struct program program;
    const char *argv[] = {"afar",
                          "run",
                          "--share",
                          "10m",
                          "--reconnect",
                          "0",
                          server.url[0],
                          "--",
                          "sh",
                          "-c",
                          "echo $$; exec sleep 600",
                          NULL};
    program_start(&program, argv, NULL);
    program_expect(&program, 1, "\n");
    assert_int_equal(kill(program.pid, SIGKILL), 0);
    program_finish(&program, NULL, 0);
    expect_processes_gone(program.stdout_data);
    program_close(&program);
    expect_connections(1);
    run("10m", "echo next", "next\n", 0);
    assert_true(accepted() <= before + 1); /* where none is left, one more is opened */
}

/* ---- when it is of no use -------------------------------------------------------------------- */

static void one_that_hangs_costs_a_connection(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = warm(&pid);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    struct program program;
    start(&program, "10m", counted());
    program_finish(&program, "in", 2);
    assert_int_equal(program_exit_status(&program), 0);
    assert_string_equal(program.stdout_data, "ready\nin");
    program_close(&program);
    expect_one_start();
    assert_true(accepted() == before + 1);
    assert_int_equal(kill(pid, SIGCONT), 0);
}

static void one_that_was_killed_is_replaced(void **state)
{
    (void)state;
    pid_t pid = 0;
    (void)warm(&pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    expect_process_gone(pid);
    assert_int_equal(files(NULL, ".sock"), 1); /* of the dead */
    run("10m", "echo two", "two\n", 0);
    assert_int_not_equal(expect_share(), pid);
}

static void a_command_outlives_the_share(void **state)
{
    (void)state;
    pid_t pid = 0;
    (void)warm(&pid);
    struct program program;
    start(&program, "10m", counted());
    program_expect(&program, 1, "ready\n");
    assert_int_equal(kill(pid, SIGKILL), 0);
    program_finish(&program, "the rest", 8);
    if (program_exit_status(&program) != 0)
        fail_msg("status %d: %s", program_exit_status(&program), program.stderr_data);
    assert_string_equal(program.stdout_data, "ready\nthe rest");
    program_close(&program);
    expect_one_start();
}

static void expect_connections_of(const struct afard *other, double count)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_metric(other, "afard_connections") != count)
        assert_false(is_late(deadline_ms));
}

static void run_at(const struct afard *other)
{
    struct program program;
    const char *argv[] = {"afar", "run", "--share", "10m",     other->url[0],
                          "--",   "sh",  "-c",      counted(), NULL};
    if (program_run(&program, argv, NULL, 0) != 0 || program.stderr_size > 0)
        fail_msg("status %d: %s", program_exit_status(&program), program.stderr_data);
    assert_string_equal(program.stdout_data, "ready\n");
    program_close(&program);
    expect_one_start();
    assert_int_equal(unlink(starts), 0);
}

static void a_connection_that_the_server_closed_is_not_given(void **state)
{
    (void)state;
    struct afard other;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",    "--http", "tcp://127.0.0.1:0",
                          "--set",    "idle_timeout_ms=1000", NULL};
    afard_start(&other, args);
    run_at(&other);
    pid_t pid = expect_share();
    for (int i = 0; i < 2; i++) {
        expect_connections_of(&other, 0); /* idle for too long: it is not opened again and again */
        run_at(&other);
        run_at(&other);
    }
    assert_int_equal(expect_share(), pid);
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
    pid_t pid = expect_share();
    expect_connections_of(&other, 2);
    memcpy(url, other.url[0], sizeof url);
    assert_int_equal(afard_stop(&other), 0);
    const char *again[] = {"--listen", url, "--http", "tcp://127.0.0.1:0", NULL};
    afard_start(&other, again);
    run_at(&other);
    double before = 3;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_metric(&other, "afard_connections_accepted_total") != before)
        assert_false(is_late(deadline_ms));
    expect_connections_of(&other, 2);
    run_at(&other);
    assert_true(afard_metric(&other, "afard_connections_accepted_total") == before);
    assert_int_equal(expect_share(), pid);
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
    char path[PATH_BYTES];
    pid_t pid = 0;
    (void)warm(&pid);
    assert_int_equal(files(path, ".sock"), 1);
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 1700000000}};
    assert_int_equal(utimensat(AT_FDCWD, server.client_cert, times, 0), 0);
    int fd = dial(path); /* it looks at the files now, and not some seconds later */
    expect_process_gone(pid);
    (void)close(fd);
    run("10m", "echo two", "two\n", 0);
    assert_int_not_equal(expect_share(), pid);
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
    char path[PATH_BYTES];
    pid_t pid = 0;
    int status = 0;
    if (geteuid() != 0)
        skip();
    (void)warm(&pid);
    assert_int_equal(files(path, ".sock"), 1);
    assert_int_equal(answers(path), 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(seteuid(NOBODY) != 0 || setfsuid(0) < 0 ? 2 : answers(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- by hand, and as ssh --------------------------------------------------------------------- */

static void ssh(const char *const *options, int status, const char *says)
{
    struct program program;
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "ssh", "-o", "ControlPath=/tmp/none/%C"};
    unsigned count = 4;
    for (; *options != NULL; options++)
        argv[count++] = *options;
    argv[count] = NULL;
    int ended = program_run(&program, argv, NULL, 0);
    if (ended != status || strstr(program.stderr_data, says) == NULL)
        fail_msg("status %d: '%s'", ended, program.stderr_data);
    program_close(&program);
}

static void ssh_persists_and_is_asked(void **state)
{
    (void)state;
    char running[64];
    const char *check[] = {"-O", "check", server.url[0], NULL};
    const char *end[] = {"-O", "exit", server.url[0], NULL};
    const char *begin[] = {
        "-o", "ControlMaster=auto", "-o", "ControlPersist=1m", server.url[0], "true", NULL};
    const char *plain[] = {server.url[0], "true", NULL};
    const char *none[] = {"-S", "none", server.url[0], "true", NULL};
    ssh(check, 255, "Control socket connect(/tmp/none/%C): No such file or directory");
    double before = accepted() + 3;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    ssh(begin, 0, "");
    pid_t pid = expect_share();
    while (accepted() != before || afard_metric(&server, "afard_connections") != 2)
        assert_false(is_late(deadline_ms));
    (void)snprintf(running, sizeof running, "Master running (pid=%d)", (int)pid);
    ssh(check, 0, running);
    ssh(plain, 0, "");
    assert_true(accepted() == before);
    struct program program;
    const char *argv[] = {"afar", "ssh", none[0], none[1], none[2], none[3], NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    program_close(&program);
    assert_true(accepted() == before + 1);
    ssh(end, 0, "Exit request sent.");
    expect_process_gone(pid);
    ssh(check, 255, "No such file or directory");
}

static void it_is_begun_and_stopped_by_hand(void **state)
{
    (void)state;
    pid_t pid = 0;
    struct program program;
    const char *begin[] = {"afar", "share", server.url[0], NULL};
    const char *stop[] = {"afar", "share", "--stop", server.url[0], NULL};
    assert_int_equal(program_run(&program, begin, NULL, 0), 0);
    program_close(&program);
    assert_int_equal(shares(&pid), 1);
    assert_int_equal(program_run(&program, stop, NULL, 0), 0);
    program_close(&program);
    expect_process_gone(pid);
    assert_int_equal(program_run(&program, stop, NULL, 0), 125);
    program_close(&program);
    assert_int_equal(files(NULL, NULL), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, stop_shares)
    const struct CMUnitTest tests[] = {
        TEST(the_second_run_has_no_connection_of_its_own),
        TEST(it_holds_nothing_of_who_began_it),
        TEST(it_is_the_users_alone),
        TEST(it_ends_when_it_is_idle),
        TEST(many_at_once_make_one),
        TEST(streams_pass_byte_by_byte),
        TEST(signals_and_terminals_pass),
        TEST(a_client_that_is_killed_ends_its_command),
        TEST(one_that_hangs_costs_a_connection),
        TEST(one_that_was_killed_is_replaced),
        TEST(a_command_outlives_the_share),
        TEST(a_connection_that_the_server_closed_is_not_given),
        TEST(it_outlives_a_restart_of_the_server),
        TEST(a_changed_certificate_ends_sharing),
        TEST(another_user_is_refused),
        TEST(ssh_persists_and_is_asked),
        TEST(it_is_begun_and_stopped_by_hand),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
