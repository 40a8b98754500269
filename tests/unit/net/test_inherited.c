// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/inherited.h"
#include "net/listener.h"
#include "support/alloc_fault.h"

enum { FIRST = 3 };

/* Whatever the test program has there, to begin with. */
static int kept[3] = {-1, -1, -1};

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        kept[i] = fcntl(FIRST + i, F_DUPFD_CLOEXEC, 100);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)close(FIRST + i);
        if (kept[i] < 0)
            continue;
        (void)dup2(kept[i], FIRST + i);
        (void)close(kept[i]);
    }
    return 0;
}

static void set_variables(const char *pid, const char *fds, const char *names)
{
    char own[24];
    (void)snprintf(own, sizeof own, "%ld", (long)getpid());
    (void)unsetenv("LISTEN_FDNAMES");
    (void)setenv("LISTEN_PID", pid != NULL ? pid : own, 1);
    (void)setenv("LISTEN_FDS", fds, 1);
    if (names != NULL)
        (void)setenv("LISTEN_FDNAMES", names, 1);
}

/* Puts descriptors at 3, 4, … */
static void open_some(int count)
{
    for (int i = 0; i < count; i++) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        if (fd != FIRST + i) {
            assert_int_equal(dup2(fd, FIRST + i), FIRST + i);
            (void)close(fd);
        }
        assert_int_equal(fcntl(FIRST + i, F_SETFD, 0), 0);
    }
}

static struct endpoint parsed(const char *url)
{
    struct endpoint endpoint;
    struct afar_error err;
    if (endpoint_parse(&endpoint, url, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return endpoint;
}

static int taken(struct inherited *inherited, const char *url)
{
    struct endpoint endpoint = parsed(url);
    struct afar_error err;
    int fd = -1;
    if (inherited_take(inherited, &endpoint, &fd, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return fd;
}

static void expect_not_there(struct inherited *inherited, const char *url, const char *says)
{
    struct endpoint endpoint = parsed(url);
    struct afar_error err = {0};
    int fd = 0;
    assert_int_equal(inherited_take(inherited, &endpoint, &fd, &err), AFAR_EINVAL);
    assert_int_equal(fd, -1);
    if (strstr(err.message, says) == NULL)
        fail_msg("%s", err.message);
}

static void test_names(void **state)
{
    (void)state;
    struct inherited *inherited = NULL;
    struct stat file;
    open_some(3);
    set_variables(NULL, "3", "afard.socket:admin:afard.socket");
    assert_int_equal(inherited_open(&inherited, NULL), AFAR_OK);
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(fcntl(FIRST + i, F_GETFD), FD_CLOEXEC);

    expect_not_there(inherited, "tcp+fd://Admin",
                     "tcp+fd://Admin: no such socket: those handed over are afard.socket, admin, "
                     "afard.socket");
    expect_not_there(inherited, "tcp+fd://afard.socket:3", "afard.socket:3: no such socket");
    assert_int_equal(taken(inherited, "tcp+fd://afard.socket:2"), FIRST + 2);
    expect_not_there(inherited, "tcp+fd://afard.socket:2", "those handed over are");
    assert_int_equal(taken(inherited, "tls+fd://admin"), FIRST + 1);
    assert_string_equal(inherited_close_next(inherited), "afard.socket");
    assert_int_equal(fstat(FIRST, &file), -1); /* closed */
    assert_null(inherited_close_next(inherited));
    expect_not_there(inherited, "tcp+fd://afard.socket", "or none is left");
    inherited_free(inherited);
    assert_int_equal(fstat(FIRST + 1, &file), 0); /* the caller's */
    assert_int_equal(fstat(FIRST + 2, &file), 0);
}

static void test_without_names(void **state)
{
    (void)state;
    struct inherited *inherited = NULL;
    struct stat file;
    open_some(2);
    set_variables(NULL, "2", NULL);
    assert_int_equal(inherited_open(&inherited, NULL), AFAR_OK);
    assert_int_equal(taken(inherited, "tcp+fd://unknown:2"), FIRST + 1);
    inherited_free(inherited); /* closes the other one */
    assert_int_equal(fstat(FIRST, &file), -1);
    inherited_free(NULL);
}

static void test_not_for_us(void **state)
{
    (void)state;
    static const char *const pids[] = {"1", "2147483647"};
    struct inherited *inherited = NULL;
    open_some(1);
    for (size_t i = 0; i < sizeof pids / sizeof pids[0]; i++) {
        set_variables(pids[i], "1", "a");
        assert_int_equal(inherited_open(&inherited, NULL), AFAR_OK);
        assert_null(inherited);
        assert_null(getenv("LISTEN_FDS")); /* nor for a command of ours */
        assert_int_equal(fcntl(FIRST, F_GETFD), 0);
    }
    set_variables(NULL, "0", "");
    assert_int_equal(inherited_open(&inherited, NULL), AFAR_OK);
    assert_null(inherited);
    assert_int_equal(inherited_open(&inherited, NULL), AFAR_OK); /* no variables at all */
    assert_null(inherited);
    expect_not_there(NULL, "tcp+fd://a", "none was handed over");
}

static void test_nonsense(void **state)
{
    (void)state;
    static const struct {
        const char *pid;
        const char *fds;
        const char *names;
        const char *says;
    } cases[] = {
        {"x", "1", NULL, "LISTEN_PID in the environment: 'x' is not"},
        {"", "1", NULL, "LISTEN_PID in the environment: '' is not"},
        {NULL, "-1", NULL, "LISTEN_FDS in the environment: '-1' is not"},
        {NULL, "65", NULL, "LISTEN_FDS in the environment: '65' is not"},
        {NULL, "2", "a", "LISTEN_FDNAMES in the environment has 1 names for 2 descriptors"},
        {NULL, "2", "a:b:c", "has 3 names for 2 descriptors"},
        {NULL, "3", "a:b:c", "LISTEN_FDS=3 in the environment, but descriptor 5 cannot be used"},
    };
    open_some(2);
    (void)close(FIRST + 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct inherited *inherited = NULL;
        struct afar_error err = {0};
        set_variables(cases[i].pid, cases[i].fds, cases[i].names);
        assert_int_equal(inherited_open(&inherited, &err), AFAR_EINVAL);
        assert_null(inherited);
        assert_null(getenv("LISTEN_FDS"));
        if (strstr(err.message, cases[i].says) == NULL)
            fail_msg("%s", err.message);
    }
    assert_true(fcntl(FIRST, F_GETFD) >= 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    open_some(1);
    for (int n = 1; n <= 2; n++) {
        struct inherited *inherited = NULL;
        struct afar_error err = {0};
        set_variables(NULL, "1", "a");
        alloc_fault_arm(n);
        enum afar_status status = inherited_open(&inherited, &err);
        assert_true(alloc_fault_fired());
        assert_int_equal(status, AFAR_ENOMEM);
        assert_null(inherited);
        assert_null(getenv("LISTEN_FDS"));
    }
}

/* ---- adopting -------------------------------------------------------------------------------- */

static char folder[] = "/tmp/afar-test-inherited-XXXXXX";

static int bound(int family, int type, const char *path, bool listening)
{
    struct sockaddr_storage address = {0};
    socklen_t size = 0;
    if (family == AF_UNIX) {
        struct sockaddr_un local = {.sun_family = AF_UNIX};
        memcpy(local.sun_path, path, strlen(path + 1) + 2); /* an abstract one begins with a NUL */
        size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path + 1) + 1);
        memcpy(&address, &local, sizeof local);
    } else if (family == AF_INET) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        v4.sin_addr.s_addr = htonl(strcmp(path, "any") == 0 ? INADDR_ANY : INADDR_LOOPBACK);
        size = sizeof v4;
        memcpy(&address, &v4, sizeof v4);
    } else {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
        size = sizeof v6;
        memcpy(&address, &v6, sizeof v6);
    }
    int fd = socket(family, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    if (listening)
        assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static struct listener *adopted(int fd, const char *url)
{
    struct endpoint endpoint = parsed(url);
    struct listener *listener = NULL;
    struct afar_error err;
    if (listener_adopt(&listener, fd, &endpoint, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(listener_fd(listener), fd);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return listener;
}

static void test_adopt_inet(void **state)
{
    (void)state;
    static const struct {
        int family;
        int type;
        const char *where;
        const char *url;
        const char *shown; /* up to the port */
        bool local;
    } cases[] = {
        {AF_INET, SOCK_STREAM, "", "tcp+fd://a?protocol=sized", "tcp://127.0.0.1:", true},
        {AF_INET, SOCK_STREAM, "any", "tcp+fd://a", "tcp://0.0.0.0:", false},
        {AF_INET, SOCK_STREAM, "any", "tls+fd://a", "tls://0.0.0.0:", false},
        {AF_INET6, SOCK_STREAM, "", "tls+fd://a", "tls://[::1]:", true},
        {AF_INET, SOCK_DGRAM, "", "udp+fd://a", "udp://127.0.0.1:", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd =
            bound(cases[i].family, cases[i].type, cases[i].where, cases[i].type == SOCK_STREAM);
        struct listener *listener = adopted(fd, cases[i].url);
        const struct endpoint *endpoint = listener_endpoint(listener);
        char url[ENDPOINT_URL_BYTES];
        endpoint_format(endpoint, url, sizeof url);
        assert_memory_equal(url, cases[i].shown, strlen(cases[i].shown));
        assert_true(endpoint->port > 0);
        assert_int_equal(endpoint->protocol, parsed(cases[i].url).protocol);
        assert_int_equal(listener_is_local(listener), cases[i].local);
        assert_false(listener_is_private(listener));
        listener_free(listener);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
    }
}

static void test_adopt_unix(void **state)
{
    (void)state;
    char path[64];
    char url[ENDPOINT_URL_BYTES];
    char shown[96];
    (void)snprintf(path, sizeof path, "%s/s", folder);
    (void)snprintf(shown, sizeof shown, "unix://%s", path);
    for (int mode = 0600; mode <= 0666; mode += 066) {
        int fd = bound(AF_UNIX, SOCK_STREAM, path, true);
        assert_int_equal(chmod(path, (mode_t)mode), 0);
        struct listener *listener = adopted(fd, "unix+fd://afard.socket");
        endpoint_format(listener_endpoint(listener), url, sizeof url);
        assert_string_equal(url, shown);
        assert_true(listener_is_local(listener));
        assert_int_equal(listener_is_private(listener), mode == 0600);
        listener_free(listener);
        assert_int_equal(unlink(path), 0); /* it is not ours: it is there still */
    }
    /* One without a file keeps the name by which it was handed over. */
    (void)snprintf(path, sizeof path, "%cafar-test-%ld", '\0', (long)getpid());
    (void)snprintf(path + 1, sizeof path - 1, "afar-test-%ld", (long)getpid());
    struct listener *listener = adopted(bound(AF_UNIX, SOCK_STREAM, path, true), "unix+fd://a:2");
    endpoint_format(listener_endpoint(listener), url, sizeof url);
    assert_string_equal(url, "unix+fd://a:2");
    assert_true(listener_is_local(listener));
    assert_false(listener_is_private(listener));
    listener_free(listener);
}

static void expect_unfit(int fd, const char *url, const char *says)
{
    struct endpoint endpoint = parsed(url);
    struct listener *listener = NULL;
    struct afar_error err = {0};
    assert_true(fd >= 0);
    assert_int_equal(listener_adopt(&listener, fd, &endpoint, &err), AFAR_EINVAL);
    assert_null(listener);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */
    if (strncmp(err.message, url, strlen(url)) != 0 || strstr(err.message, says) == NULL)
        fail_msg("%s", err.message);
}

static void test_adopt_unfit(void **state)
{
    (void)state;
    char path[64];
    (void)snprintf(path, sizeof path, "%s/s", folder);
    expect_unfit(open("/dev/null", O_RDWR | O_CLOEXEC), "tcp+fd://a", "it is not a socket");
    expect_unfit(bound(AF_INET, SOCK_STREAM, "", false), "tcp+fd://a", "it does not listen");
    expect_unfit(bound(AF_INET, SOCK_STREAM, "", false), "tls+fd://a:2", "it does not listen");
    expect_unfit(bound(AF_INET, SOCK_DGRAM, "", false), "tcp+fd://a", "it is not a stream socket");
    expect_unfit(bound(AF_INET, SOCK_STREAM, "", true), "udp+fd://a",
                 "it is not a datagram socket");
    expect_unfit(bound(AF_INET, SOCK_STREAM, "", true), "unix+fd://a", "it is not a Unix socket");
    expect_unfit(bound(AF_UNIX, SOCK_STREAM, path, true), "tcp+fd://a",
                 "it is a Unix socket: write unix+fd://");
    (void)unlink(path);
    expect_unfit(bound(AF_UNIX, SOCK_DGRAM, path, false), "unix+fd://a",
                 "it is not a stream socket");
    (void)unlink(path);
    expect_unfit(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), "tcp+fd://a",
                 "of another family than IPv4 and IPv6");
}

static void test_adopt_no_memory(void **state)
{
    (void)state;
    struct endpoint endpoint = parsed("tcp+fd://a");
    struct listener *listener = NULL;
    int fd = bound(AF_INET, SOCK_STREAM, "", true);
    alloc_fault_arm(1);
    enum afar_status status = listener_adopt(&listener, fd, &endpoint, NULL);
    assert_true(alloc_fault_fired());
    assert_int_equal(status, AFAR_ENOMEM);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_for_us, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test(test_adopt_inet),
        cmocka_unit_test(test_adopt_unix),
        cmocka_unit_test(test_adopt_unfit),
        cmocka_unit_test(test_adopt_no_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
