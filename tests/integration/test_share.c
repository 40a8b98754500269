/* Connections that processes share: begun on demand, used by the next ones, and gone when nobody
 * uses them. */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/process_wait.h"
#include "support/sharing.h"

enum { STREAM_BYTES = 3 << 20, AT_ONCE = 6 };

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

/* ---- on demand ------------------------------------------------------------------------------- */

static void the_second_run_has_no_connection_of_its_own(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = sharing_warm(&sharing, &pid);
    for (int i = 0; i < 5; i++)
        sharing_run(&sharing, "10m", "echo more; exit 3", "more\n", 3);
    assert_true(sharing_accepted(&sharing.server) == before);
    assert_int_equal(sharing_expect_one(), pid);
    /* Who has not asked for it has none. */
    const char *argv[] = {"afar", "run", sharing.server.url[0], "--", "true", NULL};
    struct program program;
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    program_close(&program);
    assert_true(sharing_accepted(&sharing.server) == before + 1);
}

static void it_holds_nothing_of_who_began_it(void **state)
{
    (void)state;
    char path[64];
    char target[256];
    pid_t pid = 0;
    (void)sharing_warm(&sharing, &pid);
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
    char path[SHARING_PATH_BYTES];
    struct stat found;
    pid_t pid = 0;
    (void)sharing_warm(&sharing, &pid);
    assert_int_equal(sharing_files(&sharing, path, ".sock"), 1);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0700);
    /* A folder that others may use is none. */
    assert_int_equal(chmod(path, 0755), 0);
    double before = sharing_accepted(&sharing.server);
    sharing_run(&sharing, "10m", "echo two", "two\n", 0);
    assert_true(sharing_accepted(&sharing.server) == before + 1);
    assert_int_equal(chmod(path, 0700), 0);
}

static void it_ends_when_it_is_idle(void **state)
{
    (void)state;
    sharing_run(&sharing, "300ms", "echo one", "one\n", 0);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (sharing_accepted(&sharing.server) < 1 ||
           afard_metric(&sharing.server, "afard_connections") != 0 ||
           sharing_files(&sharing, NULL, NULL) != 0)
        assert_false(sharing_is_late(deadline_ms));
}

static void many_at_once_make_one(void **state)
{
    (void)state;
    struct program program[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++)
        sharing_start(&sharing, &program[i], "10m", "echo one");
    for (int i = 0; i < AT_ONCE; i++) {
        program_finish(&program[i], NULL, 0);
        assert_string_equal(program[i].stdout_data, "one\n");
        program_close(&program[i]);
    }
    (void)sharing_expect_one();
    assert_int_equal(sharing_files(&sharing, NULL, ".lock"), 1);
    /* And through it. */
    for (int i = 0; i < AT_ONCE; i++)
        sharing_start(&sharing, &program[i], "10m", "echo two");
    for (int i = 0; i < AT_ONCE; i++) {
        program_finish(&program[i], NULL, 0);
        assert_string_equal(program[i].stdout_data, "two\n");
        program_close(&program[i]);
    }
    (void)sharing_expect_one();
}

/* ---- through it ------------------------------------------------------------------------------ */

static void streams_pass_byte_by_byte(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = sharing_warm(&sharing, &pid);
    struct program program;
    char *data = malloc(STREAM_BYTES);
    assert_non_null(data);
    uint32_t number = 7;
    for (size_t i = 0; i < STREAM_BYTES; i++) {
        number = number * 1103515245 + 12345;
        data[i] = (char)(number >> 16);
    }
    for (int i = 0; i < 2; i++) { /* the second on the connection of the first */
        sharing_start(&sharing, &program, "10m", "tee /dev/stderr");
        program_finish(&program, data, STREAM_BYTES);
        assert_int_equal(program_exit_status(&program), 0);
        assert_int_equal(program.stdout_size, STREAM_BYTES);
        assert_int_equal(program.stderr_size, STREAM_BYTES);
        assert_memory_equal(program.stdout_data, data, STREAM_BYTES);
        assert_memory_equal(program.stderr_data, data, STREAM_BYTES);
        program_close(&program);
    }
    free(data);
    assert_true(sharing_accepted(&sharing.server) == before);
}

static void signals_and_terminals_pass(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = sharing_warm(&sharing, &pid);
    struct program program;
    sharing_start(&sharing, &program, "10m",
                  "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    program_expect(&program, 1, "ready\n");
    assert_int_equal(kill(program.pid, SIGTERM), 0);
    program_finish(&program, NULL, 0);
    assert_int_equal(program_exit_status(&program), 7);
    assert_string_equal(program.stdout_data, "ready\ncaught\n");
    program_close(&program);
    const char *argv[] = {"afar", "run", "-t", "--share", "10m", sharing.server.url[0],
                          "--",   "tty", NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    assert_int_equal(strncmp(program.stdout_data, "/dev/pts/", 9), 0);
    program_close(&program);
    assert_true(sharing_accepted(&sharing.server) == before);
}

/* Its command ends, and its connection is nobody's any more. */
static void a_client_that_is_killed_ends_its_command(void **state)
{
    (void)state;
    pid_t pid = 0;
    double before = sharing_warm(&sharing, &pid);
    struct program program;
    const char *argv[] = {"afar",
                          "run",
                          "--share",
                          "10m",
                          "--reconnect",
                          "0",
                          sharing.server.url[0],
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
    sharing_expect_connections(&sharing.server, 1);
    sharing_run(&sharing, "10m", "echo next", "next\n", 0);
    assert_true(sharing_accepted(&sharing.server) <=
                before + 1); /* where none is left, one more is opened */
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
    const char *check[] = {"-O", "check", sharing.server.url[0], NULL};
    const char *end[] = {"-O", "exit", sharing.server.url[0], NULL};
    const char *begin[] = {
        "-o", "ControlMaster=auto", "-o", "ControlPersist=1m", sharing.server.url[0], "true", NULL};
    const char *plain[] = {sharing.server.url[0], "true", NULL};
    const char *none[] = {"-S", "none", sharing.server.url[0], "true", NULL};
    ssh(check, 255, "Control socket connect(/tmp/none/%C): No such file or directory");
    double before = sharing_accepted(&sharing.server) + 3;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    ssh(begin, 0, "");
    ssh(check, 0, "Master running"); /* at once */
    const char *unshared[] = {"afar", "ssh", "-S", "none", "-O", "check", sharing.server.url[0],
                              NULL};
    program_expect_run(unshared, "", 255, "", "No ControlPath specified");
    pid_t pid = sharing_expect_one();
    while (sharing_accepted(&sharing.server) != before ||
           afard_metric(&sharing.server, "afard_connections") != 2)
        assert_false(sharing_is_late(deadline_ms));
    (void)snprintf(running, sizeof running, "Master running (pid=%d)", (int)pid);
    ssh(check, 0, running);
    ssh(plain, 0, "");
    assert_true(sharing_accepted(&sharing.server) == before);
    struct program program;
    const char *argv[] = {"afar", "ssh", none[0], none[1], none[2], none[3], NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    program_close(&program);
    assert_true(sharing_accepted(&sharing.server) == before + 1);
    ssh(end, 0, "Exit request sent.");
    expect_process_gone(pid);
    ssh(check, 255, "No such file or directory");
}

/* ssh -M -fN …; ssh -O exit …: it is there when the first has returned, and the process in the
 * background ends with it, which closes standard error: with -v it keeps that. */
static void ssh_ends_its_master(void **state)
{
    (void)state;
    const char *begin[] = {"-v", "-M", "-fN", sharing.server.url[0], NULL};
    const char *check[] = {"-O", "check", sharing.server.url[0], NULL};
    struct program program;
    const char *argv[] = {"afar",   "ssh",    "-S",     "/tmp/none", begin[0],
                          begin[1], begin[2], begin[3], NULL};
    siginfo_t info = {0};
    program_start(&program, argv, NULL);
    assert_int_equal(waitid(P_PID, (id_t)program.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(info.si_status, 0);
    ssh(check, 0, "Master running");
    const char *end[] = {"-O", "exit", sharing.server.url[0], NULL};
    ssh(end, 0, "Exit request sent.");
    program_finish(&program, "", 0);
    program_close(&program);
    ssh(check, 255, "No such file or directory");
}

/* Waits until a share has taken its place; it cannot be used yet. */
static void expect_a_beginning(void)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (sharing_files(&sharing, NULL, ".lock") == 0)
        assert_false(sharing_is_late(deadline_ms));
    (void)poll(NULL, 0, 100);
}

/* A share that is still connecting is ended too, and is not there when it has connected. */
static void one_that_is_beginning_is_ended(void **state)
{
    (void)state;
    const char *url = sharing.server.url[0];
    const char *end[] = {"-O", "exit", url, NULL};
    const char *check[] = {"-O", "check", url, NULL};
    const char *serve[] = {"afar", "share", "--serve", "--share", "1h", url, NULL};
    const char *const stop[][5] = {{"afar", "share", "--stop", url, NULL},
                                   {"afar", "share", "--stop", NULL}};
    for (int i = 0; i < 3; i++) {
        struct program program;
        assert_int_equal(kill(sharing.server.program.pid, SIGSTOP), 0);
        program_start(&program, serve, NULL);
        expect_a_beginning();
        if (i == 0)
            ssh(end, 0, "Exit request sent.");
        else
            program_expect_run(stop[i - 1], "", 0, "", "");
        program_finish(&program, "", 0);
        program_close(&program);
        assert_int_equal(kill(sharing.server.program.pid, SIGCONT), 0);
        ssh(check, 255, "No such file or directory");
    }
    /* Who asks for one that is beginning gets it. */
    struct program program;
    assert_int_equal(kill(sharing.server.program.pid, SIGSTOP), 0);
    program_start(&program, serve, NULL);
    expect_a_beginning();
    struct program asks;
    const char *asking[] = {"afar", "ssh", "-S", "x", "-O", "check", url, NULL};
    program_start(&asks, asking, NULL);
    (void)poll(NULL, 0, 300);
    assert_int_equal(kill(sharing.server.program.pid, SIGCONT), 0);
    program_finish(&asks, NULL, 0);
    assert_int_equal(program_exit_status(&asks), 0);
    program_close(&asks);
    ssh(end, 0, "Exit request sent.");
    program_finish(&program, "", 0);
    program_close(&program);
}

/* As for `afar run`, without a word of ControlPersist. */
static void ssh_begins_one_by_the_file_of_hosts(void **state)
{
    (void)state;
    char path[SHARING_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/hosts", sharing.folder);
    FILE *hosts = fopen(path, "we");
    assert_non_null(hosts);
    assert_true(fprintf(hosts, "[shared]\nendpoint = %s\nshare = 1m\n", sharing.server.url[0]) > 0);
    assert_int_equal(fclose(hosts), 0);
    assert_int_equal(setenv("AFAR_HOSTS", path, 1), 0);
    struct program program;
    const char *argv[] = {"afar", "ssh", "shared", "true", NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    program_close(&program);
    (void)sharing_expect_one();
    (void)unsetenv("AFAR_HOSTS");
    (void)unlink(path);
}

static void it_is_begun_and_stopped_by_hand(void **state)
{
    (void)state;
    pid_t pid = 0;
    struct program program;
    const char *begin[] = {"afar", "share", sharing.server.url[0], NULL};
    const char *stop[] = {"afar", "share", "--stop", sharing.server.url[0], NULL};
    assert_int_equal(program_run(&program, begin, NULL, 0), 0);
    program_close(&program);
    assert_int_equal(sharing_count(&pid), 1);
    assert_int_equal(program_run(&program, stop, NULL, 0), 0);
    program_close(&program);
    expect_process_gone(pid);
    assert_int_equal(program_run(&program, stop, NULL, 0), 125);
    program_close(&program);
    assert_int_equal(sharing_files(&sharing, NULL, NULL), 0);
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
        TEST(ssh_persists_and_is_asked),
        TEST(ssh_ends_its_master),
        TEST(one_that_is_beginning_is_ended),
        TEST(ssh_begins_one_by_the_file_of_hosts),
        TEST(it_is_begun_and_stopped_by_hand),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
