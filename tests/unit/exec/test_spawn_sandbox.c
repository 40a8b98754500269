/* In a sandbox that forbids a child to leave the table of descriptors that it shares with the
 * server, commands are spawned all the same. */
// wrap: syscall
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/process.h"
#include "exec/seats.h"
#include "exec/spawn.h"

/* Called by the child too, in our memory and on its own small stack. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

static volatile bool forbidden;
static volatile unsigned refusals;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

IN_CHILD long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    bool leaves = number == SYS_unshare || (number == SYS_close_range && c != 0);
    if (forbidden && leaves) {
        refusals++;
        errno = EPERM;
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

static void run(struct seats *seats)
{
    static char *environment[] = {"PATH=/bin:/usr/bin", NULL};
    char *argv[] = {"sh", "-c", "read x; echo got $x; exit 6", NULL};
    const struct spawn_request request = {
        .argv = argv, .env = environment, .stdin_pipe = true, .seats = seats};
    struct spawn_result result;
    struct afar_error err;
    struct process_end end;
    char text[16] = "";
    if (spawn_process(&request, NULL, &result, &err) != AFAR_OK)
        fail_msg("%s: %s", result.stage, err.message);
    assert_int_equal(write(result.stdin_fd, "it\n", 3), 3);
    struct process process = {.pid = result.pid, .pidfd = result.pidfd};
    struct pollfd wait = {.fd = process.pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 60000), 1);
    assert_int_equal(read(result.stdout_fd, text, sizeof text - 1), 7);
    assert_string_equal(text, "got it\n");
    assert_int_equal(process_reap(&process, &end, NULL), AFAR_OK);
    assert_int_equal(end.code, 6);
    (void)close(result.stdin_fd);
    (void)close(result.stdout_fd);
    (void)close(result.stderr_fd);
}

static void it_goes_without(void **state)
{
    (void)state;
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind forks where clone shares memory\n");
        skip();
    }
    struct seats *seats = seats_open();
    assert_non_null(seats);
    run(seats);
    assert_int_equal(refusals, 0);
    forbidden = true;
    for (int i = 0; i < 2 * SEATS; i++) /* and every seat is given back */
        run(seats);
    assert_int_equal(refusals, 2 * 2 * SEATS);
    forbidden = false;
    run(seats);
    seats_close(seats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_goes_without)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
