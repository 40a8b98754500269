// wrap: connect getaddrinfo poll pthread_create socket
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/lookup.h"

/* ---- A network of our own: what the resolver says, and how addresses behave ------------------ */

static const char *const *resolved; /* NULL-terminated numeric hosts; NULL: the real resolver */
static const char *swallowed;       /* addresses from which never an answer comes begin so */
static const char *answers;         /* … but not this one */
static int resolver_fails;          /* an EAI_ code; 0: it does not */
static int connect_errno;           /* how the next connect fails; 0: it does not */
static int poll_interrupts;
static int socket_errno;
static int connects;

enum { TRIED_MAX = 64, FDS_MAX = 1024 };
static char tried[TRIED_MAX][ADDRESS_TEXT_BYTES]; /* what was connected to */
static bool is_swallowed[FDS_MAX];                /* by descriptor */

/* A resolver that hangs until this pipe is closed; -1: it does not. */
static atomic_int hang_fd = -1;
static atomic_int hanging;

static void wait_for_resolver(int fd)
{
    char byte = 0;
    (void)atomic_fetch_add(&hanging, 1);
    (void)!read(fd, &byte, 1);
    (void)atomic_fetch_sub(&hanging, 1);
}

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **list);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **list);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **list)
{
    struct addrinfo **tail = list;
    int fd = atomic_load(&hang_fd);
    if (fd >= 0) {
        wait_for_resolver(fd); /* nobody waits for us any more, and the tests have gone on */
        return EAI_AGAIN;
    }
    if (resolver_fails != 0)
        return resolver_fails;
    if (resolved == NULL)
        return __real_getaddrinfo(host, port, hints, list);
    for (const char *const *at = resolved; *at != NULL; at++) {
        int rc = __real_getaddrinfo(*at, port, hints, tail);
        if (rc != 0)
            return rc;
        tail = &(*tail)->ai_next;
    }
    return 0;
}

int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    char text[ADDRESS_TEXT_BYTES];
    if (connects < TRIED_MAX)
        address_format(address, size, tried[connects], sizeof tried[connects]);
    connects++;
    assert_true(fd < FDS_MAX);
    is_swallowed[fd] = false;
    if (connect_errno != 0) {
        errno = connect_errno;
        connect_errno = 0;
        return -1;
    }
    address_format(address, size, text, sizeof text);
    bool answered = answers != NULL && strncmp(text, answers, strlen(answers)) == 0;
    if (swallowed != NULL && strncmp(text, swallowed, strlen(swallowed)) == 0 && !answered) {
        is_swallowed[fd] = true;
        errno = EINPROGRESS;
        return -1;
    }
    return __real_connect(fd, address, size);
}

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (poll_interrupts > 0) {
        poll_interrupts--;
        errno = EINTR;
        return -1;
    }
    /* An unconnected socket would be "ready" with a hang-up. */
    struct pollfd shown[FDS_MAX];
    memcpy(shown, fds, count * sizeof *fds);
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].fd >= 0 && is_swallowed[fds[i].fd])
            shown[i].fd = -1;
    }
    int ready = __real_poll(shown, count, timeout_ms);
    for (nfds_t i = 0; i < count; i++)
        fds[i].revents = shown[i].fd >= 0 ? shown[i].revents : 0;
    return ready;
}

static int thread_errno;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    return thread_errno != 0 ? thread_errno
                             : __real_pthread_create(thread, attributes, run, argument);
}

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
    if (socket_errno != 0) {
        errno = socket_errno;
        return -1;
    }
    return __real_socket(family, type, protocol);
}

static int reset(void **state)
{
    (void)state;
    resolved = NULL;
    swallowed = answers = NULL;
    resolver_fails = 0;
    connect_errno = poll_interrupts = socket_errno = connects = 0;
    memset(is_swallowed, 0, sizeof is_swallowed);
    return 0;
}

static char folder[] = "/tmp/afar-test-dial-XXXXXX";
static char unix_url[64];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(unix_url, sizeof unix_url, "unix://%s/s", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

static struct endpoint parsed(const char *url)
{
    struct endpoint endpoint;
    assert_int_equal(endpoint_parse(&endpoint, url, NULL), AFAR_OK);
    return endpoint;
}

static struct listener *listening(const char *url, int backlog)
{
    struct endpoint endpoint = parsed(url);
    struct listener *listener = NULL;
    struct afar_error err;
    if (listener_open(&listener, &endpoint, backlog, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return listener;
}

/* A port at which nobody listens: one that was free a moment ago. */
static struct endpoint dead_end(void)
{
    struct listener *listener = listening("tcp://127.0.0.1:0", 1);
    struct endpoint endpoint = *listener_endpoint(listener);
    listener_free(listener);
    return endpoint;
}

static int64_t soon(void)
{
    return clock_deadline_ms(10000);
}

static void test_connects(void **state)
{
    (void)state;
    const char *const urls[] = {"tcp://127.0.0.1:0", "tls://[::1]:0", "udp://127.0.0.1:0",
                                unix_url};

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct listener *listener = listening(urls[i], 5);
        const struct endpoint *endpoint = listener_endpoint(listener);
        struct afar_error err;
        int fd = -1;

        if (dial(endpoint, soon(), &fd, &err) != AFAR_OK)
            fail_msg("%s", err.message);
        assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        if (endpoint->scheme == ENDPOINT_TCP || endpoint->scheme == ENDPOINT_TLS) {
            int one = 0;
            socklen_t size = sizeof one;
            assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &size), 0);
            assert_int_equal(one, 1);
        }
        assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1); /* connected, udp too */
        (void)close(fd);
        assert_int_equal(dial(endpoint, DEADLINE_NEVER, &fd, &err), AFAR_OK);
        (void)close(fd);
        listener_free(listener);
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct endpoint endpoint = dead_end();
    struct afar_error err;
    char expected[200];
    int fd = 0;

    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_int_equal(fd, -1);
    assert_int_equal(err.sys_errno, ECONNREFUSED);
    (void)snprintf(expected, sizeof expected,
                   "cannot connect to tcp://127.0.0.1:%u: Connection refused; is afard running "
                   "there?",
                   endpoint.port);
    assert_string_equal(err.message, expected);

    /* A name may mean several addresses: say which. */
    static const char *const one[] = {"127.0.0.1", NULL};
    resolved = one;
    strcpy(endpoint.host, "build7");
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    (void)snprintf(expected, sizeof expected,
                   "cannot connect to tcp://build7:%u (127.0.0.1:%u): Connection refused; is afard "
                   "running there?",
                   endpoint.port, endpoint.port);
    assert_string_equal(err.message, expected);
}

static void test_no_unix_socket(void **state)
{
    (void)state;
    struct endpoint endpoint = parsed(unix_url);
    struct afar_error err;
    int fd = 0;

    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_int_equal(fd, -1);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_non_null(strstr(err.message, unix_url));
    assert_non_null(strstr(err.message, "No such file or directory; is afard running there?"));
    connect_errno = EACCES;
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_non_null(strstr(err.message, "Permission denied; is this user allowed to?"));
}

static void test_the_next_address_is_tried(void **state)
{
    (void)state;
    static const char *const both[] = {"::1", "127.0.0.1", NULL};
    struct listener *listener = listening("tcp://127.0.0.1:0", 5);
    struct endpoint endpoint = *listener_endpoint(listener);
    struct afar_error err;
    int fd = -1;

    resolved = both;
    strcpy(endpoint.host, "build7");
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_OK);
    assert_int_equal(connects, 2);
    (void)close(fd);
    listener_free(listener);

    /* The last one's failure is what is reported. */
    connects = 0;
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_int_equal(connects, 2);
    assert_non_null(strstr(err.message, "(127.0.0.1:"));
}

/* An address that never answers uses up its share of the time, not that of the next one. */
static void test_no_answer(void **state)
{
    (void)state;
    static const char *const both[] = {"127.0.0.2", "127.0.0.1", NULL};
    struct listener *listener = listening("tcp://127.0.0.1:0", 5);
    struct endpoint endpoint = *listener_endpoint(listener);
    struct afar_error err;
    int fd = 0;

    swallowed = "127.0.0.";
    assert_int_equal(dial(&endpoint, clock_deadline_ms(20), &fd, &err), AFAR_ETIMEDOUT);
    assert_int_equal(fd, -1);
    assert_int_equal(err.sys_errno, ETIMEDOUT);
    assert_non_null(strstr(err.message, "no answer in time; is the address right"));

    swallowed = "127.0.0.2:";
    resolved = both;
    connects = 0;
    enum afar_status status = dial(&endpoint, clock_deadline_ms(200), &fd, &err);
    assert_int_equal(connects, 2); /* there was time left for the second */
    if (status == AFAR_OK)
        (void)close(fd);
    listener_free(listener);
}

static void expect_order(const char *const *addresses, const char *const *expected)
{
    struct endpoint endpoint = dead_end();
    struct afar_error err;
    char text[ADDRESS_TEXT_BYTES];
    int fd = -1;
    resolved = addresses;
    strcpy(endpoint.host, "build7");
    connects = 0;
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    for (int i = 0; expected[i] != NULL; i++) {
        bool v6 = strchr(expected[i], ':') != NULL;
        assert_true(i < connects);
        (void)snprintf(text, sizeof text, v6 ? "[%s]:%u" : "%s:%u", expected[i], endpoint.port);
        assert_string_equal(tried[i], text);
    }
}

/* The resolver's order, but the families in turn. */
static void test_the_order(void **state)
{
    (void)state;
    static const char *const mixed[] = {"::1", "::1", "::1", "127.0.0.1", "127.0.0.2", NULL};
    static const char *const in_turn[] = {"::1", "127.0.0.1", "::1", "127.0.0.2", "::1", NULL};
    static const char *const one[] = {"127.0.0.3", "127.0.0.1", "127.0.0.2", NULL};
    static const char *const v4_first[] = {"127.0.0.3", "127.0.0.1", "::1", NULL};
    static const char *const v4_in_turn[] = {"127.0.0.3", "::1", "127.0.0.1", NULL};
    expect_order(mixed, in_turn);
    expect_order(one, one);
    expect_order(v4_first, v4_in_turn);
}

/* An address that never answers delays the next one by a moment, whatever the deadline; and those
 * that had begun are closed. */
static void test_a_race(void **state)
{
    (void)state;
    static const char *const several[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1", NULL};
    struct listener *listener = listening("tcp://127.0.0.1:0", 5);
    struct endpoint endpoint = *listener_endpoint(listener);
    struct afar_error err;
    int fd = -1;
    int before = dup(0);
    (void)close(before);
    for (int i = 0; i < 2; i++) {
        /* Only these three; ".1" answers. */
        swallowed = "127.0.0.";
        resolved = several;
        strcpy(endpoint.host, "build7");
        connects = 0;
        answers = "127.0.0.1:";
        assert_int_equal(
            dial(&endpoint, i == 0 ? DEADLINE_NEVER : clock_deadline_ms(3600000), &fd, &err),
            AFAR_OK);
        assert_int_equal(connects, 4);
        assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
        (void)close(fd);
        int after = dup(0);
        (void)close(after);
        assert_int_equal(after, before);
    }
    listener_free(listener);
}

/* Of a name with hundreds of addresses so many are tried, and so many at a time. */
static void test_bounds(void **state)
{
    (void)state;
    static const char *many[201];
    struct endpoint endpoint = dead_end();
    struct afar_error err;
    int fd = -1;
    for (int i = 0; i < 200; i++)
        many[i] = "127.0.0.1";
    resolved = many;
    strcpy(endpoint.host, "build7");
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_int_equal(connects, 64);
}

/* ---- a resolver that does not answer --------------------------------------------------------- */

static void expect_hanging(int count)
{
    int64_t deadline_ms = soon();
    while (atomic_load(&hanging) != count && clock_now_ms() < deadline_ms)
        (void)usleep(1000);
    assert_int_equal(atomic_load(&hanging), count);
}

static void test_the_resolver_hangs(void **state)
{
    (void)state;
    struct endpoint endpoint = parsed("tcp://build7:1");
    struct endpoint number = dead_end();
    struct endpoint here = parsed("tcp://localhost:1");
    struct afar_error err;
    int fd = 0;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    atomic_store(&hang_fd, pipes[0]);
    for (int i = 0; i < LOOKUPS_MAX; i++) {
        assert_int_equal(dial(&endpoint, clock_deadline_ms(5), &fd, &err), AFAR_ETIMEDOUT);
        assert_int_equal(fd, -1);
        assert_non_null(strstr(err.message, "cannot resolve 'build7': no answer in time"));
    }
    /* Those that nobody waits for are counted. */
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ELIMIT);
    assert_int_equal(dial(&endpoint, soon(), &fd, NULL), AFAR_ELIMIT);
    expect_hanging(LOOKUPS_MAX);
    atomic_store(&hang_fd, -1);
    /* What needs no resolver does not wait for one. */
    assert_int_equal(dial(&number, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ECONNREFUSED);
    assert_int_equal(dial(&here, soon(), &fd, &err), AFAR_ESYSTEM);
    (void)close(pipes[1]);
    expect_hanging(0);
    int64_t deadline_ms = soon();
    (void)close(pipes[0]);
    /* Their places are free again. */
    static const char *const one[] = {"127.0.0.1", NULL};
    resolved = one;
    enum afar_status status = AFAR_ELIMIT;
    while (status == AFAR_ELIMIT && clock_now_ms() < deadline_ms)
        status = dial(&endpoint, soon(), &fd, &err);
    assert_int_equal(status, AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ECONNREFUSED);
}

static void test_the_resolver_fails(void **state)
{
    (void)state;
    struct endpoint endpoint = parsed("tcp://build7:1");
    struct afar_error err;
    int fd = 0;
    resolver_fails = EAI_NONAME;
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_string_equal(err.message, "cannot resolve 'build7': Name or service not known");
    thread_errno = EAGAIN;
    assert_int_equal(dial(&endpoint, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_non_null(strstr(err.message, "cannot start a thread"));
    thread_errno = 0;
}

static void test_interruptions(void **state)
{
    (void)state;
    struct listener *listener = listening("tcp://127.0.0.1:0", 5);
    struct listener *local = listening(unix_url, 5);
    struct afar_error err;
    int fd = -1;

    poll_interrupts = 3;
    connect_errno = 0;
    assert_int_equal(dial(listener_endpoint(listener), soon(), &fd, &err), AFAR_OK);
    (void)close(fd);
    connect_errno = EINTR;
    assert_int_equal(dial(listener_endpoint(local), soon(), &fd, &err), AFAR_OK);
    assert_int_equal(connects, 3);
    (void)close(fd);
    listener_free(listener);
    listener_free(local);
}

/* A Unix socket's queue is full: connect(2) waits, and poll(2) could not. */
static void test_full_unix_queue(void **state)
{
    (void)state;
    struct listener *listener = listening(unix_url, 0);
    struct afar_error err;
    int fds[64];
    int count = 0;
    enum afar_status status = AFAR_OK;

    while (count < 64) {
        status = dial(listener_endpoint(listener), clock_deadline_ms(20), &fds[count], &err);
        if (status != AFAR_OK)
            break;
        count++;
    }
    assert_true(count >= 1);
    assert_int_equal(status, AFAR_ETIMEDOUT);
    assert_non_null(strstr(err.message, "no answer in time"));
    while (count > 0)
        (void)close(fds[--count]);
    listener_free(listener);
}

static void test_system_errors(void **state)
{
    (void)state;
    struct endpoint inet = parsed("tcp://127.0.0.1:1");
    struct endpoint local = parsed(unix_url);
    struct endpoint nobody = parsed("tcp://:1");
    struct afar_error err;
    int fd = 0;

    socket_errno = EMFILE;
    assert_int_equal(dial(&inet, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EMFILE);
    assert_non_null(strstr(err.message, "Too many open files"));
    assert_int_equal(dial(&local, soon(), &fd, &err), AFAR_ESYSTEM);
    socket_errno = ENOMEM;
    assert_int_equal(dial(&inet, soon(), &fd, &err), AFAR_ENOMEM);
    assert_int_equal(dial(&inet, soon(), &fd, NULL), AFAR_ENOMEM);
    socket_errno = 0;
    connect_errno = ENETUNREACH;
    assert_int_equal(dial(&inet, soon(), &fd, &err), AFAR_ESYSTEM);
    assert_non_null(strstr(err.message, "Network is unreachable; is there a network to it?"));
    assert_int_equal(dial(&nobody, soon(), &fd, &err), AFAR_EINVAL);
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_connects, reset),
        cmocka_unit_test_setup(test_refused, reset),
        cmocka_unit_test_setup(test_no_unix_socket, reset),
        cmocka_unit_test_setup(test_the_next_address_is_tried, reset),
        cmocka_unit_test_setup(test_no_answer, reset),
        cmocka_unit_test_setup(test_the_order, reset),
        cmocka_unit_test_setup(test_a_race, reset),
        cmocka_unit_test_setup(test_bounds, reset),
        cmocka_unit_test_setup(test_the_resolver_hangs, reset),
        cmocka_unit_test_setup(test_the_resolver_fails, reset),
        cmocka_unit_test_setup(test_interruptions, reset),
        cmocka_unit_test_setup(test_full_unix_queue, reset),
        cmocka_unit_test_setup(test_system_errors, reset),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
