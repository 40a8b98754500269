/* Standard input and output of `afar run`: pipes and terminals, which are opened once more, and
 * those terminals that must not be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "afar/input.h"
#include "afar/output.h"
#include "support/program.h"

struct pty {
    int master;
    int slave;
};

static struct pty pty_open(void)
{
    struct pty pty;
    struct termios mode;
    assert_int_equal(openpty(&pty.master, &pty.slave, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(pty.slave, &mode), 0);
    cfmakeraw(&mode);
    assert_int_equal(tcsetattr(pty.slave, TCSANOW, &mode), 0);
    return pty;
}

static void pty_close(struct pty pty)
{
    (void)close(pty.master);
    (void)close(pty.slave);
}

/* Reads exactly this text within the deadline. */
static void expect_text(int fd, const char *text)
{
    char got[64] = "";
    size_t size = 0;
    while (size < strlen(text)) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, (int)test_deadline_ms()), 1);
        ssize_t some = read(fd, got + size, strlen(text) - size);
        assert_true(some > 0);
        size += (size_t)some;
    }
    assert_string_equal(got, text);
}

static struct input *input_new(int fd)
{
    struct input *input = calloc(1, sizeof *input);
    assert_non_null(input);
    input_open(input, fd);
    return input;
}

static void input_free(struct input *input)
{
    input_close(input);
    free(input);
}

/* Opened again, a master would be the master of another pair. */
static void test_a_masters_output(void **state)
{
    (void)state;
    struct output output;
    struct pty pty = pty_open();
    output_open(&output, pty.master, "it");
    assert_int_equal(output.kind, OUTPUT_CAREFUL);
    assert_int_equal(output.fd, pty.master);
    assert_int_equal(output_write(&output, "hello", 5), 5);
    expect_text(pty.slave, "hello");
    output_close(&output);
    pty_close(pty);
}

static void test_a_masters_input(void **state)
{
    (void)state;
    struct pty pty = pty_open();
    struct input *input = input_new(pty.master);
    assert_int_equal(input->own_fd, -1);
    assert_int_equal(write(pty.slave, "hello", 5), 5);
    assert_true(input_read(input));
    assert_int_equal(input->end - input->start, 5);
    assert_memory_equal(input->data, "hello", 5);
    input_free(input);
    pty_close(pty);
}

/* Nobody reads: the rest must be kept, and no write may wait. */
static void test_a_full_master(void **state)
{
    (void)state;
    static char much[1 << 20];
    struct output output;
    struct pty pty = pty_open();
    memset(much, '\n', sizeof much);
    output_open(&output, pty.master, "it");
    alarm((unsigned)(test_deadline_ms() / 1000));
    size_t done = output_write(&output, much, sizeof much);
    assert_true(done > 0 && done < sizeof much);
    assert_true(output.blocked);
    alarm(0);
    output_close(&output);
    pty_close(pty);
}

static void test_a_terminal_is_opened_once_more(void **state)
{
    (void)state;
    struct output output;
    struct pty pty = pty_open();
    struct input *input = input_new(pty.slave);
    output_open(&output, pty.slave, "it");
    assert_int_equal(output.kind, OUTPUT_NONBLOCKING);
    assert_int_not_equal(output.fd, pty.slave);
    assert_int_not_equal(input->fd, pty.slave);
    assert_int_equal(fcntl(pty.slave, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(output_write(&output, "hello", 5), 5);
    expect_text(pty.master, "hello");
    assert_false(input_read(input));
    assert_int_equal(write(pty.master, "x", 1), 1);
    assert_true(input_read(input));
    output_close(&output);
    input_free(input);
    pty_close(pty);
}

/* A session of its own on this terminal. */
static void begin_session(int slave)
{
    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) != 0)
        _exit(99);
}

static int status_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int write_from(int tty, int slave)
{
    struct output output;
    begin_session(slave);
    output_open(&output, tty, "it");
    bool careful = output.kind == OUTPUT_CAREFUL && output.fd == tty;
    size_t done = output_write(&output, "hello", 5);
    return careful && done == 5 ? 0 : 1;
}

/* The /dev/tty of one session, given to another one that has a terminal too. */
static void test_another_sessions_tty(void **state)
{
    (void)state;
    struct pty theirs = pty_open();
    struct pty ours = pty_open();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        begin_session(theirs.slave);
        int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
        pid_t child = tty < 0 ? -1 : fork();
        if (child == 0)
            _exit(write_from(tty, ours.slave));
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child)
            _exit(98);
        /* The terminal hangs up with its session: what is in it must be read before. */
        struct pollfd waiting = {.fd = theirs.master, .events = POLLIN};
        char got[8] = "";
        bool arrived = poll(&waiting, 1, 0) == 1 && read(theirs.master, got, 5) == 5 &&
                       strcmp(got, "hello") == 0;
        _exit(status == 0 && arrived ? 0 : 1);
    }
    assert_int_equal(status_of(pid), 0);
    struct pollfd nothing = {.fd = ours.master, .events = POLLIN};
    assert_true(poll(&nothing, 1, 0) == 0 || (nothing.revents & POLLIN) == 0);
    pty_close(theirs);
    pty_close(ours);
}

static void test_a_pipe_is_opened_once_more(void **state)
{
    (void)state;
    int pipes[2];
    struct output output;
    assert_int_equal(pipe(pipes), 0);
    struct input *input = input_new(pipes[0]);
    output_open(&output, pipes[1], "it");
    assert_int_equal(output.kind, OUTPUT_NONBLOCKING);
    assert_false(input_read(input));
    assert_int_equal(output_write(&output, "hello", 5), 5);
    assert_true(input_read(input));
    assert_int_equal(fcntl(pipes[0], F_GETFL) & O_NONBLOCK, 0);
    output_close(&output);
    input_free(input);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

/* ---- what is the end of the input, and what is an error -------------------------------------- */

static void expect_end(int fd, int failure)
{
    struct input *input = input_new(fd);
    assert_true(input_read(input));
    assert_true(input->ended);
    assert_int_equal(input->start, input->end);
    assert_int_equal(input->failure, failure);
    input_free(input);
    (void)close(fd);
}

static void test_ends(void **state)
{
    (void)state;
    struct pty pty = pty_open();
    expect_end(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
    expect_end(open("/dev/null", O_WRONLY | O_CLOEXEC), 0); /* as nohup(1) has it */
    (void)close(pty.master);
    expect_end(pty.slave, 0); /* the terminal has gone */
}

static void test_errors_are_no_ends(void **state)
{
    (void)state;
    int pair[2];
    expect_end(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), EISDIR);
    /* A file with a hole where the memory of no process is. */
    expect_end(open("/proc/self/mem", O_RDONLY | O_CLOEXEC), EIO);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(write(pair[0], "unread", 6), 6);
    (void)close(pair[1]);
    expect_end(pair[0], ECONNRESET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_masters_output),
        cmocka_unit_test(test_a_masters_input),
        cmocka_unit_test(test_a_full_master),
        cmocka_unit_test(test_a_terminal_is_opened_once_more),
        cmocka_unit_test(test_another_sessions_tty),
        cmocka_unit_test(test_a_pipe_is_opened_once_more),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_errors_are_no_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
