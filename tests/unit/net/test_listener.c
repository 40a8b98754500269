// wrap: accept4 socket bind listen getsockname setsockopt fchmod lstat malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/listener.h"
#include "support/alloc_fault.h"

/* ---- Faults ---------------------------------------------------------------------------------- */

enum call {
    CALL_ACCEPT,
    CALL_SOCKET,
    CALL_BIND,
    CALL_LISTEN,
    CALL_NAME,
    CALL_OPTION,
    CALL_MODE,
    CALL_LSTAT,
    CALLS
};

static int fault[CALLS]; /* the errno with which the next such call fails; 0: none */
static int no_ipv6;

static bool fails(enum call call)
{
    if (fault[call] == 0)
        return false;
    errno = fault[call];
    fault[call] = 0;
    return true;
}

#define REAL_AND_WRAP(result, name, ...) \
    result __real_##name(__VA_ARGS__);   \
    result __wrap_##name(__VA_ARGS__);   \
    result __wrap_##name(__VA_ARGS__)

REAL_AND_WRAP(int, accept4, int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return fails(CALL_ACCEPT) ? -1 : __real_accept4(fd, address, size, flags);
}

REAL_AND_WRAP(int, socket, int family, int type, int protocol)
{
    if (no_ipv6 && family == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return fails(CALL_SOCKET) ? -1 : __real_socket(family, type, protocol);
}

REAL_AND_WRAP(int, bind, int fd, const struct sockaddr *address, socklen_t size)
{
    return fails(CALL_BIND) ? -1 : __real_bind(fd, address, size);
}

REAL_AND_WRAP(int, listen, int fd, int backlog)
{
    return fails(CALL_LISTEN) ? -1 : __real_listen(fd, backlog);
}

REAL_AND_WRAP(int, getsockname, int fd, struct sockaddr *address, socklen_t *size)
{
    return fails(CALL_NAME) ? -1 : __real_getsockname(fd, address, size);
}

REAL_AND_WRAP(int, setsockopt, int fd, int level, int option, const void *value, socklen_t size)
{
    return fails(CALL_OPTION) ? -1 : __real_setsockopt(fd, level, option, value, size);
}

REAL_AND_WRAP(int, fchmod, int fd, mode_t mode)
{
    return fails(CALL_MODE) ? -1 : __real_fchmod(fd, mode);
}

REAL_AND_WRAP(int, lstat, const char *path, struct stat *file)
{
    return fails(CALL_LSTAT) ? -1 : __real_lstat(path, file);
}

/* ---- What each test starts with -------------------------------------------------------------- */

static char folder[] = "/tmp/afar-test-listener-XXXXXX";
static char unix_url[128];
static char unix_path[64];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(unix_path, sizeof unix_path, "%s/s", folder);
    (void)snprintf(unix_url, sizeof unix_url, "unix://%s", unix_path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder); /* fails where a test has left something behind */
}

static int reset(void **state)
{
    (void)state;
    memset(fault, 0, sizeof fault);
    no_ipv6 = 0;
    return 0;
}

static struct endpoint parsed(const char *url)
{
    struct endpoint endpoint;
    assert_int_equal(endpoint_parse(&endpoint, url, NULL), AFAR_OK);
    return endpoint;
}

static enum afar_status try_open(const char *url, struct listener **listener,
                                 struct afar_error *err)
{
    struct endpoint endpoint = parsed(url);
    return listener_open(listener, &endpoint, 5, err);
}

static struct listener *opened(const char *url)
{
    struct listener *listener = NULL;
    struct afar_error err;
    if (try_open(url, &listener, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return listener;
}

static int connect_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", unix_path);
    int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static int connect_inet(const struct listener *listener, int family)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons(listener_endpoint(listener)->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons(listener_endpoint(listener)->port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = __real_socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int rc = family == AF_INET ? connect(fd, (const struct sockaddr *)&v4, sizeof v4)
                               : connect(fd, (const struct sockaddr *)&v6, sizeof v6);
    if (rc == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static int accepted(struct listener *listener, char peer[ADDRESS_TEXT_BYTES])
{
    struct pollfd waiting = {.fd = listener_fd(listener), .events = POLLIN};
    struct afar_error err;
    int fd = -1;
    assert_int_equal(poll(&waiting, 1, 10000), 1);
    if (listener_accept(listener, &fd, peer, NULL, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return fd;
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void test_accepts_tcp(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        int family;
        const char *peer;
        bool is_local;
    } cases[] = {
        {"tcp://127.0.0.1:0", AF_INET, "127.0.0.1:", true},
        {"tls://127.0.0.1:0", AF_INET, "127.0.0.1:", true},
        {"tcp://[::1]:0", AF_INET6, "[::1]:", true},
        {"tcp://0.0.0.0:0", AF_INET, "127.0.0.1:", false},
        {"tcp://[::]:0", AF_INET6, "[::1]:", false},
        {"tls://[::]:0", AF_INET, "127.0.0.1:", false}, /* [::] is every address */
        {"tcp://[0:0:0::0]:0", AF_INET, "127.0.0.1:", false},
        {"tcp://:0", AF_INET, "127.0.0.1:", false}, /* both families */
        {"tcp://:0", AF_INET6, "[::1]:", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listener *listener = opened(cases[i].url);
        char peer[ADDRESS_TEXT_BYTES];
        int one = 0;
        socklen_t size = sizeof one;

        assert_int_not_equal(listener_endpoint(listener)->port, 0);
        assert_int_equal(listener_is_local(listener), cases[i].is_local);
        assert_true((fcntl(listener_fd(listener), F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(listener_fd(listener), F_GETFD) & FD_CLOEXEC) != 0);
        int client = connect_inet(listener, cases[i].family);
        assert_true(client >= 0);
        int fd = accepted(listener, peer);
        assert_memory_equal(peer, cases[i].peer, strlen(cases[i].peer));
        assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &size), 0);
        assert_int_equal(one, 1);
        (void)close(fd);
        (void)close(client);
        listener_free(listener);
    }
}

static void test_v6_only_where_it_is_asked_for(void **state)
{
    (void)state;
    static const char *const urls[] = {"tcp://[::]:0?ipv6only=yes", "tls://:0?ipv6only=yes"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct listener *listener = opened(urls[i]);
        assert_int_equal(connect_inet(listener, AF_INET), -1);
        int fd = connect_inet(listener, AF_INET6);
        assert_true(fd >= 0);
        (void)close(fd);
        listener_free(listener);
    }
    struct listener *none = NULL;
    struct afar_error err;
    no_ipv6 = 1;
    assert_int_equal(try_open("tcp://:0?ipv6only=yes", &none, &err), AFAR_ESYSTEM);
    assert_null(none);
}

static void test_without_ipv6(void **state)
{
    (void)state;
    no_ipv6 = 1;
    struct listener *listener = opened("tcp://:0");
    int fd = connect_inet(listener, AF_INET);
    assert_true(fd >= 0);
    (void)close(fd);
    listener_free(listener);
    assert_int_equal(try_open("tcp://[::1]:0", &listener, NULL), AFAR_ESYSTEM);
    assert_null(listener);
}

static void test_a_restart_gets_its_port_back(void **state)
{
    (void)state;
    struct listener *listener = opened("tcp://127.0.0.1:0");
    char peer[ADDRESS_TEXT_BYTES];
    char url[ENDPOINT_URL_BYTES];

    /* The server closes first, so that the connection stays behind in TIME_WAIT at its port. */
    int client = connect_inet(listener, AF_INET);
    int fd = accepted(listener, peer);
    (void)close(fd);
    char byte = 0;
    assert_int_equal(read(client, &byte, 1), 0);
    (void)close(client);
    endpoint_format(listener_endpoint(listener), url, sizeof url);
    listener_free(listener);
    listener_free(opened(url));
}

static void test_taken_port(void **state)
{
    (void)state;
    struct listener *first = opened("tcp://127.0.0.1:0");
    struct listener *second = NULL;
    struct afar_error err;
    char url[ENDPOINT_URL_BYTES];

    endpoint_format(listener_endpoint(first), url, sizeof url);
    assert_int_equal(try_open(url, &second, &err), AFAR_ESYSTEM);
    assert_null(second);
    assert_int_equal(err.sys_errno, EADDRINUSE);
    assert_non_null(strstr(err.message, url));
    assert_non_null(strstr(err.message, "Address already in use"));
    listener_free(first);
}

static void test_names_that_do_not_resolve(void **state)
{
    (void)state;
    struct listener *listener = NULL;
    struct afar_error err;
    /* Refused by the resolver itself: a label has at most 63 bytes. */
    assert_int_equal(
        try_open("tcp://a23456789012345678901234567890123456789012345678901234567890123"
                 "4.invalid:0",
                 &listener, &err),
        AFAR_ESYSTEM);
    assert_non_null(strstr(err.message, "cannot listen at tcp://a2345"));
    assert_non_null(strstr(err.message, "cannot resolve"));
}

static void test_udp(void **state)
{
    (void)state;
    struct listener *listener = opened("udp://127.0.0.1:0");
    struct listener *second = NULL;
    struct afar_error err;
    char peer[ADDRESS_TEXT_BYTES];
    char url[ENDPOINT_URL_BYTES];
    int fd = 0;

    assert_true(listener_is_local(listener));
    assert_int_equal(listener_accept(listener, &fd, peer, NULL, &err), AFAR_EBUG);
    assert_int_equal(fd, -1);
    /* Two servers must not share the datagrams of one port. */
    endpoint_format(listener_endpoint(listener), url, sizeof url);
    assert_int_equal(try_open(url, &second, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EADDRINUSE);
    listener_free(listener);
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static void test_accept_errors(void **state)
{
    (void)state;
    static const int vanished[] = {EAGAIN,      ECONNABORTED, EPROTO, ENETDOWN,
                                   ENOPROTOOPT, EHOSTDOWN,    ENONET, EHOSTUNREACH,
                                   EOPNOTSUPP,  ENETUNREACH,  EPERM};
    static const int exhausted[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    struct listener *listener = opened("tcp://127.0.0.1:0");
    char peer[ADDRESS_TEXT_BYTES];
    struct afar_error err;
    int fd = 0;

    assert_int_equal(listener_accept(listener, &fd, peer, NULL, &err),
                     AFAR_EAGAIN); /* nobody there */
    assert_int_equal(fd, -1);
    for (size_t i = 0; i < sizeof vanished / sizeof vanished[0]; i++) {
        fault[CALL_ACCEPT] = vanished[i];
        assert_int_equal(listener_accept(listener, &fd, peer, NULL, &err), AFAR_EAGAIN);
        assert_int_equal(fd, -1);
    }
    for (size_t i = 0; i < sizeof exhausted / sizeof exhausted[0]; i++) {
        fault[CALL_ACCEPT] = exhausted[i];
        assert_int_equal(listener_accept(listener, &fd, peer, NULL, &err), AFAR_ESYSTEM);
        assert_int_equal(err.code, AFAR_ESYSTEM);
        assert_int_equal(err.sys_errno, exhausted[i]);
        fault[CALL_ACCEPT] = exhausted[i];
        assert_int_equal(listener_accept(listener, &fd, peer, NULL, NULL), AFAR_ESYSTEM);
    }
    int client = connect_inet(listener, AF_INET);
    fault[CALL_ACCEPT] = EINTR;
    fd = accepted(listener, peer);
    assert_int_equal(fault[CALL_ACCEPT], 0);
    (void)close(fd);
    (void)close(client);
    listener_free(listener);
}

/* ---- Unix sockets ---------------------------------------------------------------------------- */

static void test_unix_socket(void **state)
{
    (void)state;
    mode_t mask = umask(0); /* the mode must not depend on it */
    struct listener *listener = opened(unix_url);
    (void)umask(mask);
    char peer[ADDRESS_TEXT_BYTES];
    struct stat file;

    assert_true(listener_is_local(listener));
    assert_int_equal(stat(unix_path, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 07777, 0600);
    int client = connect_unix();
    assert_true(client >= 0);
    int fd = accepted(listener, peer);
    assert_string_equal(peer, "unix");
    (void)close(fd);
    (void)close(client);
    listener_free(listener);
    assert_int_equal(stat(unix_path, &file), -1); /* gone with its listener */
}

/* A server that was killed leaves its file behind. */
static void leave_stale_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", unix_path);
    int fd = __real_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(__real_bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(__real_listen(fd, 1), 0);
    assert_int_equal(close(fd), 0);
}

static void test_a_stale_socket_is_replaced(void **state)
{
    (void)state;
    struct stat file;
    leave_stale_socket();
    struct listener *listener = opened(unix_url);
    int client = connect_unix();
    assert_true(client >= 0);
    (void)close(client);
    listener_free(listener);
    assert_int_equal(stat(unix_path, &file), -1);
}

static void test_a_served_socket_is_left_alone(void **state)
{
    (void)state;
    struct listener *first = opened(unix_url);
    struct listener *second = NULL;
    struct afar_error err;

    assert_int_equal(try_open(unix_url, &second, &err), AFAR_ESYSTEM);
    assert_null(second);
    assert_int_equal(err.sys_errno, EADDRINUSE);
    assert_non_null(strstr(err.message, unix_url));
    assert_non_null(strstr(err.message, "another server listens there"));
    int client = connect_unix();
    assert_true(client >= 0);
    (void)close(client);
    listener_free(first);
}

static void test_other_files_are_never_removed(void **state)
{
    (void)state;
    struct listener *listener = NULL;
    struct afar_error err;
    struct stat file;

    int fd = open(unix_path, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(try_open(unix_url, &listener, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EEXIST);
    assert_non_null(strstr(err.message, "a file that is not a socket"));
    assert_int_equal(stat(unix_path, &file), 0);
    assert_int_equal(unlink(unix_path), 0);

    assert_int_equal(symlink("nowhere", unix_path), 0);
    assert_int_equal(try_open(unix_url, &listener, &err), AFAR_ESYSTEM);
    assert_int_equal(unlink(unix_path), 0);
    assert_int_equal(mkdir(unix_path, 0700), 0);
    assert_int_equal(try_open(unix_url, &listener, &err), AFAR_ESYSTEM);
    assert_int_equal(rmdir(unix_path), 0);
}

/* Whoever took the path over meanwhile keeps it. */
static void test_a_successors_file_is_not_removed(void **state)
{
    (void)state;
    struct listener *first = opened(unix_url);
    assert_int_equal(unlink(unix_path), 0);
    struct listener *second = opened(unix_url);
    listener_free(first);
    int client = connect_unix();
    assert_true(client >= 0);
    (void)close(client);
    listener_free(second);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct listener *listener = NULL;
    struct afar_error err;
    assert_int_equal(try_open("unix:///nowhere/at/all", &listener, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_string_equal(err.message,
                        "cannot listen at unix:///nowhere/at/all: cannot make the socket's file: "
                        "No such file or directory");
}

/* ---- Faults in opening: an error that names the URL, no descriptor and no file left ---------- */

static int lowest_free_fd(void)
{
    int fd = dup(0);
    assert_true(fd >= 0);
    (void)close(fd);
    return fd;
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        enum call call;
        bool of_unix;
        bool of_tcp;
    } calls[] = {
        {CALL_SOCKET, true, true},  {CALL_BIND, true, true},  {CALL_LISTEN, true, true},
        {CALL_OPTION, false, true}, {CALL_NAME, false, true}, {CALL_MODE, true, false},
        {CALL_LSTAT, true, false},
    };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (int pass = 0; pass < 2; pass++) {
            const char *url = pass == 0 ? unix_url : "tcp://[::1]:0";
            struct listener *listener = NULL;
            struct afar_error err;
            if (pass == 0 ? !calls[i].of_unix : !calls[i].of_tcp)
                continue;
            int free_fd = lowest_free_fd();
            fault[calls[i].call] = EACCES;
            assert_int_equal(try_open(url, &listener, &err), AFAR_ESYSTEM);
            assert_null(listener);
            assert_int_equal(fault[calls[i].call], 0);
            assert_int_equal(err.sys_errno, EACCES);
            assert_non_null(strstr(err.message, url));
            assert_int_equal(lowest_free_fd(), free_fd);
            (void)unlink(unix_path); /* where the file's identity could not be noted */
        }
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        struct listener *listener = NULL;
        struct afar_error err;
        alloc_fault_arm(n);
        enum afar_status status = try_open(unix_url, &listener, &err);
        bool fired = alloc_fault_fired();
        assert_int_equal(status, fired ? AFAR_ENOMEM : AFAR_OK);
        listener_free(listener);
        if (!fired)
            break;
    }
    listener_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_accepts_tcp, reset),
        cmocka_unit_test_setup(test_v6_only_where_it_is_asked_for, reset),
        cmocka_unit_test_setup(test_without_ipv6, reset),
        cmocka_unit_test_setup(test_a_restart_gets_its_port_back, reset),
        cmocka_unit_test_setup(test_taken_port, reset),
        cmocka_unit_test_setup(test_names_that_do_not_resolve, reset),
        cmocka_unit_test_setup(test_udp, reset),
        cmocka_unit_test_setup(test_accept_errors, reset),
        cmocka_unit_test_setup(test_unix_socket, reset),
        cmocka_unit_test_setup(test_a_stale_socket_is_replaced, reset),
        cmocka_unit_test_setup(test_a_served_socket_is_left_alone, reset),
        cmocka_unit_test_setup(test_other_files_are_never_removed, reset),
        cmocka_unit_test_setup(test_a_successors_file_is_not_removed, reset),
        cmocka_unit_test_setup(test_no_folder, reset),
        cmocka_unit_test_setup(test_faults, reset),
        cmocka_unit_test_setup(test_no_memory, reset),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
