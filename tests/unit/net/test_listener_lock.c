/* Servers that start together at one Unix socket: none takes another's fresh socket for a stale one.
 */
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
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/listener.h"

enum { SERVERS = 8, ROUNDS = 20, URL_BYTES = 96, MOMENT_MS = 100, FOR_EVER_MS = 1000000 };

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct endpoint endpoint;
static char folder[] = "/tmp/afar-test-lock-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    char url[URL_BYTES];
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
    (void)snprintf(url, sizeof url, "unix://%s/s", folder);
    return endpoint_parse(&endpoint, url, NULL) == AFAR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void leave_stale_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(close(fd), 0);
}

static void expect_opens(void)
{
    struct listener *listener = NULL;
    struct afar_error err;
    if (listener_open(&listener, &endpoint, 5, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    listener_free(listener);
}

/* Does what another server does while it starts, for so long. */
static pid_t lock_folder(int for_ms)
{
    char ready = 0;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (flock(fd, LOCK_EX) != 0 || write(pipes[1], &ready, 1) != 1)
            _exit(1);
        (void)poll(NULL, 0, for_ms);
        _exit(0);
    }
    assert_int_equal(close(pipes[1]), 0);
    assert_int_equal(read(pipes[0], &ready, 1), 1);
    assert_int_equal(close(pipes[0]), 0);
    return child;
}

static void end_child(pid_t child)
{
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_a_lock_is_waited_for(void **state)
{
    (void)state;
    leave_stale_socket();
    pid_t child = lock_folder(MOMENT_MS);
    expect_opens();
    end_child(child);
}

/* Not for ever, and then nothing is removed. */
static void test_a_lock_that_stays(void **state)
{
    (void)state;
    struct listener *listener = NULL;
    struct afar_error err;
    struct stat file;
    leave_stale_socket();
    pid_t child = lock_folder(FOR_EVER_MS);
    assert_int_equal(listener_open(&listener, &endpoint, 5, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EADDRINUSE);
    assert_non_null(strstr(err.message, "locked the folder"));
    assert_int_equal(lstat(address.sun_path, &file), 0);
    assert_int_equal(unlink(address.sun_path), 0);
    expect_opens(); /* where there is nothing to replace, it does no harm */
    end_child(child);
}

/* In a child: begins when the other end of go_fd is closed, and tells whether it listens ('0'). */
static _Noreturn void serve(int go_fd, int told_fd)
{
    struct listener *listener = NULL;
    char byte = 0;
    (void)!read(go_fd, &byte, 1);
    const bool opened = listener_open(&listener, &endpoint, 5, NULL) == AFAR_OK;
    const char told = opened ? '0' : '1';
    (void)!write(told_fd, &told, 1);
    (void)poll(NULL, 0, FOR_EVER_MS); /* it is killed: its file stays */
    _exit(0);
}

/* All at once, where a dead server has left its socket: one of them gets it. */
static void test_one_of_many(void **state)
{
    (void)state;
    leave_stale_socket();
    for (int round = 0; round < ROUNDS; round++) {
        int go[2];
        int told[2];
        pid_t children[SERVERS];
        char answers[SERVERS];
        int opened = 0;
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        for (int i = 0; i < SERVERS; i++) {
            children[i] = fork();
            assert_true(children[i] >= 0);
            if (children[i] == 0) {
                (void)close(go[1]);
                serve(go[0], told[1]);
            }
        }
        (void)close(go[1]);
        for (int i = 0; i < SERVERS; i++) {
            assert_int_equal(read(told[0], &answers[i], 1), 1);
            opened += answers[i] == '0' ? 1 : 0;
        }
        (void)close(go[0]);
        (void)close(told[0]);
        (void)close(told[1]);
        for (int i = 0; i < SERVERS; i++)
            end_child(children[i]);
        assert_int_equal(opened, 1);
    }
    assert_int_equal(unlink(address.sun_path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lock_is_waited_for),
        cmocka_unit_test(test_a_lock_that_stays),
        cmocka_unit_test(test_one_of_many),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
