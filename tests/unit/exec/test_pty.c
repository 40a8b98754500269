// wrap: open ioctl fcntl tcgetattr tcsetattr fchown
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "exec/pty.h"
#include "exec/seats.h"
#include "exec/spawn.h"
#include "support/program.h"
#include "support/spawned.h"

static int fail_at; /* the nth wrapped call of this thread fails; 0: none */
static int fail_errno = EMFILE;

static bool fails(void)
{
    if (fail_at == 0 || --fail_at > 0)
        return false;
    errno = fail_errno;
    return true;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode)
{
    return fails() ? -1 : __real_open(path, flags, mode);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    return fails() ? -1 : __real_ioctl(fd, request, argument);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, long argument);
int __wrap_fcntl(int fd, int command, long argument)
{
    return fails() ? -1 : __real_fcntl(fd, command, argument);
}

int __real_tcgetattr(int fd, struct termios *modes);
int __wrap_tcgetattr(int fd, struct termios *modes);
int __wrap_tcgetattr(int fd, struct termios *modes)
{
    return fails() ? -1 : __real_tcgetattr(fd, modes);
}

int __real_tcsetattr(int fd, int when, const struct termios *modes);
int __wrap_tcsetattr(int fd, int when, const struct termios *modes);
int __wrap_tcsetattr(int fd, int when, const struct termios *modes)
{
    return fails() ? -1 : __real_tcsetattr(fd, when, modes);
}

int __real_fchown(int fd, uid_t user, gid_t group);
int __wrap_fchown(int fd, uid_t user, gid_t group);
int __wrap_fchown(int fd, uid_t user, gid_t group)
{
    return fails() ? -1 : __real_fchown(fd, user, group);
}

static char *environment[] = {"PATH=/bin:/usr/bin", "TERM=dumb", NULL};

static const struct pty_wish wish = {.size = {.rows = 33, .cols = 101}, .utf8 = true};

/* Reads to the end, which a master shows as EIO. */
static void read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
        ssize_t got = read(fd, text + used, size - 1 - used);
        if (got < 0) {
            assert_int_equal(errno, EIO);
            break;
        }
        used += (size_t)got;
    }
    text[used] = '\0';
}

static void run(const struct spawn_request *request, char text[SPAWNED_TEXT_BYTES])
{
    struct spawn_result result;
    struct afar_error err;
    unsigned before = spawned_descriptors();
    if (spawn_process(request, NULL, &result, &err) != AFAR_OK)
        fail_msg("%s: %s", result.stage, err.message);
    assert_int_equal(result.stderr_fd, -1);
    assert_int_equal(strncmp(result.terminal, "/dev/pts/", 9), 0);
    assert_true((fcntl(result.stdin_fd, F_GETFD, 0L) & FD_CLOEXEC) != 0);
    assert_true((fcntl(result.stdout_fd, F_GETFL, 0L) & O_NONBLOCK) != 0);
    read_all(result.stdout_fd, text, SPAWNED_TEXT_BYTES);
    (void)close(result.stdin_fd);
    (void)close(result.stdout_fd);
    spawned_reap(&result);
    assert_int_equal(spawned_descriptors(), before);
}

/* All three streams are it, it is the session's own, and has its size before the first command. */
static void a_command_on_a_terminal(void **state)
{
    (void)state;
    char *argv[] = {"sh", "-c",
                    "stty size; test -t 0 && test -t 1 && test -t 2 && echo here >/dev/tty; "
                    "ps -o pid=,sid=,tpgid= -p $$ | { read p s t; test $p = $s && test $p = $t && "
                    "echo leads; }; exec 2>/dev/null; stty -a | grep -o '.iutf8'",
                    NULL};
    struct spawn_request request = {.argv = argv, .env = environment, .terminal = &wish};
    char text[SPAWNED_TEXT_BYTES];
    run(&request, text);
    assert_string_equal(text, "33 101\r\nhere\r\nleads\r\n iutf8\r\n");
    /* The same from a seat. */
    request.seats = seats_open();
    assert_non_null(request.seats);
    run(&request, text);
    assert_string_equal(text, "33 101\r\nhere\r\nleads\r\n iutf8\r\n");
    seats_close(request.seats);
}

/* The last bytes are there, however late they are read. */
static void nothing_is_lost_at_the_end(void **state)
{
    (void)state;
    char *argv[] = {"sh", "-c", "head -c 3000 /dev/zero | tr '\\0' x", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .terminal = &wish};
    struct spawn_result result;
    char text[SPAWNED_TEXT_BYTES];
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    spawned_reap(&result);
    read_all(result.stdout_fd, text, sizeof text);
    assert_int_equal(strlen(text), 3000);
    (void)close(result.stdin_fd);
    (void)close(result.stdout_fd);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        struct pty_size asked;
        unsigned short rows;
        unsigned short cols;
    } table[] = {{{.rows = 50, .cols = 132, .xpixel = 7, .ypixel = 9}, 50, 132},
                 {{.rows = 0, .cols = 0}, 24, 80},
                 {{.rows = 0, .cols = 100}, 24, 80},
                 {{.rows = 65535, .cols = 65535}, 65535, 65535}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct pty_wish asked = {.size = table[i].asked};
        struct pty pty;
        struct winsize size;
        struct termios modes;
        assert_int_equal(pty_open(&pty, &asked, NULL), AFAR_OK);
        assert_int_equal(ioctl(pty.slave_fd, TIOCGWINSZ, &size), 0);
        assert_int_equal(size.ws_row, table[i].rows);
        assert_int_equal(size.ws_col, table[i].cols);
        assert_int_equal(size.ws_xpixel, table[i].asked.xpixel);
        assert_int_equal(tcgetattr(pty.slave_fd, &modes), 0);
        assert_int_equal(modes.c_iflag & IUTF8, 0);
        assert_int_equal(modes.c_cc[VERASE], 127);
        (void)close(pty.slave_fd);
        (void)close(pty.master_fd);
    }
}

/* A signal to the foreground group goes without a pid; any other is not for the terminal. */
static void signals(void **state)
{
    (void)state;
    char *argv[] = {"sh", "-c",
                    "trap 'echo caught; exit 0' INT; echo ready; while :; do sleep 0.1; done",
                    NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .terminal = &wish};
    struct spawn_result result;
    char text[SPAWNED_TEXT_BYTES] = "";
    size_t used = 0;
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    while (strstr(text, "ready\r\n") == NULL) {
        struct pollfd wait = {.fd = result.stdout_fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
        ssize_t got = read(result.stdout_fd, text + used, sizeof text - 1 - used);
        assert_true(got > 0);
        used += (size_t)got;
    }
    assert_int_equal(pty_signal(result.stdout_fd, SIGTERM), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(pty_signal(result.stdout_fd, SIGINT), 0);
    read_all(result.stdout_fd, text, sizeof text);
    assert_non_null(strstr(text, "caught"));
    (void)close(result.stdin_fd);
    (void)close(result.stdout_fd);
    spawned_reap(&result);
}

/* Closing both ends hangs up, and so ends a shell that ignores TERM. */
static void hang_up(void **state)
{
    (void)state;
    char *argv[] = {"sh", "-c", "trap '' TERM; sleep 1000", NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .terminal = &wish};
    struct spawn_result result;
    assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
    (void)close(result.stdin_fd);
    (void)close(result.stdout_fd);
    spawned_reap(&result);
}

static void the_slave_is_its_users(void **state)
{
    (void)state;
    const struct pty_wish asked = {.owned = true, .owner = 12345};
    struct pty pty;
    struct afar_error err;
    if (geteuid() != 0) {
        enum afar_status status = pty_open(&pty, &asked, &err);
        assert_int_equal(status, AFAR_ESYSTEM);
        assert_int_equal(err.sys_errno, EPERM);
        return;
    }
    struct stat info;
    assert_int_equal(pty_open(&pty, &asked, NULL), AFAR_OK);
    assert_int_equal(fstat(pty.slave_fd, &info), 0);
    assert_int_equal(info.st_uid, 12345);
    (void)close(pty.slave_fd);
    (void)close(pty.master_fd);
}

/* Each call fails once: nothing is left open, and what is said is said in words. */
static void each_call_fails(void **state)
{
    (void)state;
    char *argv[] = {"true", NULL};
    const struct pty_wish owned = {.utf8 = true, .owned = true, .owner = geteuid()};
    const struct spawn_request request = {.argv = argv, .env = environment, .terminal = &owned};
    struct afar_error err;
    int failed = 0;
    for (int at = 1;; at++) {
        struct spawn_result result;
        unsigned before = spawned_descriptors();
        fail_at = at;
        enum afar_status status = spawn_process(&request, NULL, &result, &err);
        bool fired = fail_at == 0;
        fail_at = 0;
        if (status == AFAR_OK) {
            (void)close(result.stdin_fd);
            (void)close(result.stdout_fd);
            spawned_reap(&result);
            assert_false(fired);
            break;
        }
        failed++;
        assert_int_equal(status, AFAR_ESYSTEM);
        assert_int_equal(err.sys_errno, fail_errno);
        assert_string_equal(result.stage, "terminal");
        assert_int_equal(spawned_descriptors(), before);
        assert_true(at < 50);
    }
    assert_true(failed >= 9); /* open, 4 ioctls, the modes, the owner, 3 copies */
}

static void what_is_said(void **state)
{
    (void)state;
    struct pty pty;
    struct afar_error err;
    fail_errno = ENOSPC;
    fail_at = 1;
    assert_int_equal(pty_open(&pty, &wish, &err), AFAR_ESYSTEM);
    assert_non_null(strstr(err.message, "all terminals are in use (kernel.pty.max)"));
    fail_errno = EMFILE;
}

int main(void)
{
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind makes a fork of a child that shares our memory\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_on_a_terminal),
        cmocka_unit_test(nothing_is_lost_at_the_end),
        cmocka_unit_test(sizes),
        cmocka_unit_test(signals),
        cmocka_unit_test(hang_up),
        cmocka_unit_test(the_slave_is_its_users),
        cmocka_unit_test(each_call_fails),
        cmocka_unit_test(what_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
