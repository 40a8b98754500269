#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "afar/guard.h"
#include "support/program.h"
#include "wire/term_modes.h"

struct pair {
    int master;
    int slave;
    struct termios before;
    struct termios raw;
};

static struct pair pair_open(void)
{
    struct pair pair;
    assert_int_equal(openpty(&pair.master, &pair.slave, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(pair.slave, &pair.before), 0);
    pair.raw = pair.before;
    cfmakeraw(&pair.raw);
    assert_int_equal(tcsetattr(pair.slave, TCSANOW, &pair.raw), 0);
    assert_int_equal(tcgetattr(pair.slave, &pair.raw), 0);
    return pair;
}

static void pair_close(struct pair *pair)
{
    (void)close(pair->master);
    (void)close(pair->slave);
}

static bool is(const struct pair *pair, const struct termios *modes)
{
    struct termios now;
    assert_int_equal(tcgetattr(pair->slave, &now), 0);
    return guard_same_modes(&now, modes);
}

/* The guard's process and what it knows, without the one that it guards. */
static void die(struct guard *guard)
{
    (void)close(guard->pipe_fd);
    int status = -1;
    assert_int_equal(waitpid(guard->pid, &status, 0), guard->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void whoever_is_killed_leaves_it_in_order(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    struct guard guard;
    char text[64] = "";
    assert_true(guard_start(&guard, pair.slave, pair.slave, &pair.before, &pair.raw));
    guard_note(&guard, TERM_PASTE);
    guard_note(&guard, TERM_PASTE | TERM_HIDDEN_CURSOR);
    die(&guard);
    assert_true(is(&pair, &pair.before));
    assert_int_equal(read(pair.master, text, sizeof text - 1), 14);
    assert_string_equal(text, "\x1b[?2004l\x1b[?25h");
    pair_close(&pair);
}

static void all_is_well(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    struct guard guard;
    assert_true(guard_start(&guard, pair.slave, pair.slave, &pair.before, &pair.raw));
    guard_note(&guard, TERM_PASTE);
    pid_t pid = guard.pid;
    guard_dismiss(&guard);
    assert_int_equal(kill(pid, 0), -1); /* it has ended, and been waited for */
    assert_true(is(&pair, &pair.raw));
    struct pollfd wait = {.fd = pair.master, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 0), 0);
    guard_dismiss(&guard); /* once is enough */
    pair_close(&pair);
}

/* A shell that was faster is left alone. */
static void somebody_else_was_there(void **state)
{
    (void)state;
    struct pair pair = pair_open();
    struct guard guard;
    struct termios other = pair.raw;
    assert_true(guard_start(&guard, pair.slave, -1, &pair.before, &pair.raw));
    other.c_lflag |= ECHO;
    assert_int_equal(tcsetattr(pair.slave, TCSANOW, &other), 0);
    guard_note(&guard, TERM_PASTE);
    die(&guard);
    assert_true(is(&pair, &other));
    struct pollfd wait = {.fd = pair.master, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 0), 0);
    pair_close(&pair);
}

/* It must not keep a pipe of ours open, nor die of what the terminal sends. */
static void it_holds_nothing_and_stays(void **state)
{
    (void)state;
    static const int numbers[] = {SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGTTOU, SIGTERM};
    struct pair pair = pair_open();
    struct guard guard;
    int ends[2];
    char byte = 0;
    assert_int_equal(pipe2(ends, 0), 0);
    assert_true(guard_start(&guard, pair.slave, pair.slave, &pair.before, &pair.raw));
    (void)close(ends[1]);
    struct pollfd wait = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* the end: it has closed its copy */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_int_equal(kill(guard.pid, numbers[i]), 0);
    assert_int_equal(getpgid(guard.pid), guard.pid);
    die(&guard);
    assert_true(is(&pair, &pair.before));
    (void)close(ends[0]);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_killed_leaves_it_in_order),
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(somebody_else_was_there),
        cmocka_unit_test(it_holds_nothing_and_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
