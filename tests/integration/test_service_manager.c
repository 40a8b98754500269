/* afard under a service manager, which is this test: what it hears, and what its watchdog hears of
 * a worker that really hangs. */
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
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/threads.h"

enum { TEXT_BYTES = 1024 };

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char folder[] = "/tmp/afar-test-manager-XXXXXX";
static char address[64];
static int manager = -1;
static struct afard server;

static int set_up(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(address, sizeof address, "%s/notify", folder);
    (void)snprintf(local.sun_path, sizeof local.sun_path, "%s", address);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return bind(manager, (const struct sockaddr *)&local, sizeof local);
}

static int tear_down(void **state)
{
    (void)state;
    (void)close(manager);
    (void)unlink(address);
    return rmdir(folder);
}

static void start(const char *watchdog_usec, const char *const *args)
{
    (void)setenv("NOTIFY_SOCKET", address, 1);
    if (watchdog_usec != NULL)
        (void)setenv("WATCHDOG_USEC", watchdog_usec, 1);
    afard_start(&server, args);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
}

/* The next message but for signs of life; false: none came until the deadline. */
static bool receive(char text[TEXT_BYTES], int64_t deadline_ms, unsigned *alive)
{
    for (;;) {
        struct pollfd waiting = {.fd = manager, .events = POLLIN};
        int ready = poll(&waiting, 1, clock_poll_timeout(deadline_ms));
        if (ready == 0)
            return false;
        ssize_t size = recv(manager, text, TEXT_BYTES - 1, 0);
        if (size < 0)
            continue;
        text[size] = '\0';
        if (strcmp(text, "WATCHDOG=1") != 0)
            return true;
        if (alive != NULL && ++*alive >= 3)
            return true;
    }
}

static void expect(const char *begins)
{
    char text[TEXT_BYTES];
    if (!receive(text, clock_deadline_ms(test_deadline_ms()), NULL))
        fail_msg("'%s' did not come", begins);
    if (strncmp(text, begins, strlen(begins)) != 0)
        fail_msg("'%s' does not begin with '%s'", text, begins);
}

static void expect_life(void)
{
    char text[TEXT_BYTES];
    unsigned alive = 0;
    if (!receive(text, clock_deadline_ms(test_deadline_ms()), &alive))
        fail_msg("no sign of life");
    assert_string_equal(text, "WATCHDOG=1");
}

static void discard(void)
{
    char text[TEXT_BYTES];
    while (recv(manager, text, sizeof text, 0) >= 0)
        ;
}

/* ---- from ready to the end ------------------------------------------------------------------- */

static void test_its_life(void **state)
{
    (void)state;
    struct program job;
    struct program program;
    char text[TEXT_BYTES];
    start(NULL, WORDS("--listen", "tcp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0"));
    expect("READY=1\nSTATUS=2 listeners");
    int status = program_run(&program,
                             WORDS("afar", "run", server.url[0], "--", "sh", "-c",
                                   "env | grep -E 'NOTIFY_|WATCHDOG|LISTEN_' || true"),
                             NULL, 0);
    assert_int_equal(status, 0);
    assert_int_equal(program.stdout_size, 0); /* commands hear nothing of the manager */
    program_close(&program);

    const int64_t before_us = clock_now_us();
    (void)kill(server.program.pid, SIGHUP);
    assert_true(receive(text, clock_deadline_ms(test_deadline_ms()), NULL));
    long long told_us = 0;
    assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%lld\n", &told_us), 1);
    assert_in_range(told_us, before_us, clock_now_us());
    expect("READY=1\nSTATUS=2 listeners");

    program_start(
        &job, WORDS("afar", "run", server.url[0], "--", "sh", "-c", "echo begun; read line"), NULL);
    program_expect(&job, 1, "begun");
    (void)kill(server.program.pid, SIGTERM);
    expect("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=draining: 1 jobs");
    expect("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=draining: 1 jobs"); /* and again */
    program_finish(&job, "x\n", 2);
    assert_int_equal(program_exit_status(&job), 0);
    program_close(&job);
    program_finish(&server.program, NULL, 0);
    assert_int_equal(afard_stop(&server), 0);
    discard();
}

static void test_a_bad_reload(void **state)
{
    (void)state;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/afard.conf", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("workers = 2\n", file);
    (void)fclose(file);
    start(NULL, WORDS("-c", path, "--listen", "tcp://127.0.0.1:0"));
    expect("READY=1\nSTATUS=1 listeners");
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("workers = 3\n", file);
    (void)fclose(file);
    (void)kill(server.program.pid, SIGHUP);
    expect("RELOADING=1\n");
    expect("READY=1\nSTATUS=running as before, not reloaded: workers: changing it needs a restart");
    (void)unlink(path);
    assert_int_equal(afard_stop(&server), 0);
    discard();
}

static void test_nobody_reads(void **state)
{
    (void)state;
    (void)setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    (void)setenv("WATCHDOG_USEC", "20000", 1);
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0"));
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    afard_expect_log(&server, "service manager: cannot send to NOTIFY_SOCKET: No such file");
    struct program program;
    assert_int_equal(program_run(&program, WORDS("afar", "ping", server.url[0]), NULL, 0), 0);
    program_close(&program);
    assert_int_equal(afard_stop(&server), 0);
}

/* ---- the watchdog ---------------------------------------------------------------------------- */

static void test_signs_of_life(void **state)
{
    (void)state;
    struct program busy;
    char line[PROGRAM_TEXT_BYTES * 2];
    char afar[PROGRAM_TEXT_BYTES];
    start("60000", WORDS("--listen", "tcp://127.0.0.1:0", "--workers", "1"));
    expect("READY=1");
    expect_life(); /* idle: the worker is not even woken for it */
    (void)snprintf(line, sizeof line, "exec %s run %s -- yes >/dev/null",
                   program_path("afar", afar), server.url[0]);
    program_start(&busy, WORDS("sh", "-c", line), NULL);
    afard_expect_log(&server, "open");
    expect_life(); /* busy */
    expect_life();
    (void)kill(busy.pid, SIGTERM);
    program_finish(&busy, NULL, 0);
    program_close(&busy);
    assert_int_equal(afard_stop(&server), 0);
    discard();
}

static bool has_logged(const char *text)
{
    struct pollfd waiting = {.fd = server.program.err, .events = POLLIN};
    while (poll(&waiting, 1, 300) > 0) { /* five times the watchdog's interval */
        char piece[4096];
        ssize_t size = read(server.program.err, piece, sizeof piece - 1);
        if (size <= 0)
            return false;
        piece[size] = '\0';
        if (strstr(piece, text) != NULL)
            return true;
    }
    return false;
}

/* A busy worker is stopped: sooner or later in the middle of a turn, and not while it waits. Then
 * the signs of life end, and they come again when it goes on. */
static void test_a_worker_that_hangs(void **state)
{
    (void)state;
    struct program busy;
    struct threads threads;
    char line[PROGRAM_TEXT_BYTES * 2];
    char afar[PROGRAM_TEXT_BYTES];
    char text[TEXT_BYTES];
    start("120000", WORDS("--listen", "tcp://127.0.0.1:0", "--workers", "1"));
    expect("READY=1");
    (void)snprintf(line, sizeof line, "exec %s run %s -- yes >/dev/null",
                   program_path("afar", afar), server.url[0]);
    program_start(&busy, WORDS("sh", "-c", line), NULL);
    afard_expect_log(&server, "open");
    expect_life();
    bool possible = threads_seize(&threads, server.program.pid, NULL);
    bool hangs = false;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (possible && !hangs && clock_now_ms() < deadline_ms) {
        threads_freeze(&threads);
        hangs = has_logged("a worker hangs: one turn of its loop has lasted for ");
        if (!hangs)
            threads_thaw(&threads);
    }
    if (possible) {
        assert_true(hangs);
        discard();
        /* However long one waits, nothing comes. */
        assert_false(receive(text, clock_now_ms() + 300, &(unsigned){2}));
        threads_thaw(&threads);
        afard_expect_log(&server, "all workers go on");
        expect_life();
        threads_release(&threads);
    }
    (void)kill(busy.pid, SIGTERM);
    program_finish(&busy, NULL, 0);
    program_close(&busy);
    assert_int_equal(afard_stop(&server), 0);
    discard();
    if (!possible) {
        print_message("ptrace(2) is not allowed here: skipped\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_life),
        cmocka_unit_test(test_a_bad_reload),
        cmocka_unit_test(test_nobody_reads),
        cmocka_unit_test(test_signs_of_life),
        cmocka_unit_test(test_a_worker_that_hangs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
