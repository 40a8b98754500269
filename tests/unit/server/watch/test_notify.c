// wrap: sendto socket
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/watch/notify.h"

static int fault[4]; /* errnos with which the next calls of sendto fail; 0: no more */
static int socket_fault;

ssize_t __real_sendto(int fd, const void *data, size_t size, int flags,
                      const struct sockaddr *address, socklen_t length);
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags,
                      const struct sockaddr *address, socklen_t length);
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags,
                      const struct sockaddr *address, socklen_t length)
{
    if (fault[0] != 0) {
        errno = fault[0];
        memmove(fault, fault + 1, sizeof fault - sizeof fault[0]);
        return -1;
    }
    return __real_sendto(fd, data, size, flags, address, length);
}

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
    if (socket_fault != 0) {
        errno = socket_fault;
        socket_fault = 0;
        return -1;
    }
    return __real_socket(family, type, protocol);
}

static char folder[] = "/tmp/afar-test-notify-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* A manager that listens at `name`, as NOTIFY_SOCKET has it. */
static int manager(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    memcpy(address.sun_path, name, size);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)),
                     0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[256] = "";
    assert_int_equal(recv(fd, got, sizeof got - 1, 0), strlen(text));
    assert_string_equal(got, text);
}

static void test_addresses(void **state)
{
    (void)state;
    char names[2][80];
    (void)snprintf(names[0], sizeof names[0], "%s/notify", folder);
    (void)snprintf(names[1], sizeof names[1], "@afar-test-notify-%ld", (long)getpid());
    for (int i = 0; i < 2; i++) {
        struct notify notify;
        int fd = manager(names[i]);
        (void)setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(notify_open(&notify, NULL), AFAR_OK);
        assert_null(getenv("NOTIFY_SOCKET"));
        assert_int_equal(fcntl(notify.fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(notify_send(&notify, "READY=1\nSTATUS=x", NULL), AFAR_OK);
        assert_int_equal(notify_send(&notify, "STOPPING=1", NULL), AFAR_OK);
        expect(fd, "READY=1\nSTATUS=x");
        expect(fd, "STOPPING=1");
        notify_close(&notify);
        notify_close(&notify);
        assert_int_equal(notify.fd, -1);
        (void)close(fd);
        if (i == 0)
            assert_int_equal(unlink(names[i]), 0);
    }
}

static void test_nobody(void **state)
{
    (void)state;
    struct notify notify;
    (void)unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_open(&notify, NULL), AFAR_OK);
    assert_int_equal(notify.fd, -1);
    assert_int_equal(notify_send(&notify, "READY=1", NULL), AFAR_OK);
    notify_close(&notify);
}

static void test_bad_addresses(void **state)
{
    (void)state;
    char long_one[200];
    memset(long_one, 'x', sizeof long_one);
    long_one[0] = '/';
    long_one[108] = '\0'; /* sun_path has room for 107 and a NUL */
    const char *names[] = {"", "/", "@", "run/notify", "vsock:2:1", long_one};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct notify notify;
        struct afar_error err = {0};
        (void)setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(notify_open(&notify, &err), AFAR_EINVAL);
        assert_non_null(strstr(err.message, "NOTIFY_SOCKET"));
        assert_int_equal(notify.fd, -1);
        assert_null(getenv("NOTIFY_SOCKET"));
        assert_int_equal(notify_send(&notify, "READY=1", NULL), AFAR_OK);
    }
    long_one[107] = '\0';
    struct notify notify;
    (void)setenv("NOTIFY_SOCKET", long_one, 1);
    assert_int_equal(notify_open(&notify, NULL), AFAR_OK);
    assert_int_equal(notify_send(&notify, "READY=1", NULL), AFAR_ESYSTEM); /* nobody there */
    notify_close(&notify);
}

static void test_failures(void **state)
{
    (void)state;
    struct notify notify;
    struct afar_error err = {0};
    char name[80];
    (void)snprintf(name, sizeof name, "@afar-test-notify-%ld", (long)getpid());
    int fd = manager(name);
    (void)setenv("NOTIFY_SOCKET", name, 1);
    socket_fault = EMFILE;
    assert_int_equal(notify_open(&notify, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EMFILE);

    (void)setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(notify_open(&notify, NULL), AFAR_OK);
    fault[0] = fault[1] = EINTR; /* again at once */
    assert_int_equal(notify_send(&notify, "A=1", NULL), AFAR_OK);
    expect(fd, "A=1");
    fault[0] = ENOBUFS;
    assert_int_equal(notify_send(&notify, "A=1", &err), AFAR_EAGAIN);
    fault[0] = ECONNREFUSED;
    assert_int_equal(notify_send(&notify, "A=1", &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ECONNREFUSED);

    /* A manager that does not read: there is room for some, and then nothing blocks. */
    enum afar_status status = AFAR_OK;
    for (unsigned sent = 0; status == AFAR_OK && sent < 1000000; sent++)
        status = notify_send(&notify, "WATCHDOG=1", &err);
    assert_int_equal(status, AFAR_EAGAIN);
    expect(fd, "WATCHDOG=1");
    assert_int_equal(notify_send(&notify, "WATCHDOG=1", NULL), AFAR_OK);
    notify_close(&notify);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
