#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/seats.h"

/* Whether both are open on one file. */
static bool same_file(int a, int b)
{
    struct stat first;
    struct stat second;
    assert_int_equal(fstat(a, &first), 0);
    assert_int_equal(fstat(b, &second), 0);
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static void taking_and_leaving(void **state)
{
    (void)state;
    struct seats *seats = seats_open();
    assert_non_null(seats);
    int ends[2];
    int first[SEATS];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const int fds[SEAT_DESCRIPTORS] = {STDIN_FILENO, ends[1], ends[1]};
    for (int i = 0; i < SEATS; i++) {
        first[i] = seats_take(seats, fds);
        assert_in_range(first[i], STDERR_FILENO + 1, ends[0] - SEAT_DESCRIPTORS);
        for (int j = 0; j < i; j++)
            assert_true(first[j] + SEAT_DESCRIPTORS <= first[i]);
        for (int j = 0; j < SEAT_DESCRIPTORS; j++) {
            assert_true(same_file(first[i] + j, fds[j]));
            assert_int_equal(fcntl(first[i] + j, F_GETFD), FD_CLOEXEC);
        }
    }
    assert_int_equal(seats_take(seats, fds), -1);
    seats_leave(seats, -1);
    assert_int_equal(seats_take(seats, fds), -1);

    /* The copies are closed: the pipe ends. */
    assert_int_equal(close(ends[1]), 0);
    for (int i = 0; i < SEATS; i++) {
        struct pollfd waiting = {.fd = ends[0], .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, 0), 0);
        seats_leave(seats, first[i]);
    }
    char byte = 0;
    assert_int_equal(read(ends[0], &byte, 1), 0);
    const int again[SEAT_DESCRIPTORS] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    assert_int_equal(seats_take(seats, again), first[0]);
    seats_leave(seats, first[0]);
    assert_int_equal(close(ends[0]), 0);
    seats_close(seats);
    assert_int_equal(fcntl(first[0], F_GETFD), -1);
}

static void a_descriptor_that_cannot_be_copied(void **state)
{
    (void)state;
    struct seats *seats = seats_open();
    const int bad[SEAT_DESCRIPTORS] = {STDIN_FILENO, STDOUT_FILENO, INT_MAX};
    const int good[SEAT_DESCRIPTORS] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    for (int i = 0; i < 2 * SEATS; i++)
        assert_int_equal(seats_take(seats, bad), -1);
    int first = seats_take(seats, good);
    assert_true(first > STDERR_FILENO);
    seats_leave(seats, first);
    seats_close(seats);
}

/* A seat is three in a row, also where the process was started with others open. */
static void holes(void **state)
{
    (void)state;
    int low = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int in_between = fcntl(low, F_DUPFD_CLOEXEC, low + 2);
    assert_int_equal(in_between, low + 2);
    assert_int_equal(close(low), 0);
    struct seats *seats = seats_open();
    const int good[SEAT_DESCRIPTORS] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    for (int i = 0; i < SEATS; i++) {
        int first = seats_take(seats, good);
        assert_true(first > in_between);
    }
    seats_close(seats);
    assert_int_equal(close(in_between), 0);
}

static void none(void **state)
{
    (void)state;
    const int good[SEAT_DESCRIPTORS] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    assert_int_equal(seats_take(NULL, good), -1);
    seats_leave(NULL, -1);
    seats_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taking_and_leaving),
        cmocka_unit_test(a_descriptor_that_cannot_be_copied),
        cmocka_unit_test(holes),
        cmocka_unit_test(none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
