// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/alloc_fault.h"
#include "support/scripted_client.h"

static void test_urls_that_cannot_be_connected_to(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum afar_status status;
        const char *words;
    } bad[] = {
        {"ftp://x", AFAR_EINVAL, "scheme"},
        {"tcp://127.0.0.1:0", AFAR_EINVAL, "where"},
        {"tcp://:1", AFAR_EINVAL, "where"},
        {"", AFAR_EINVAL, ""},
        {NULL, AFAR_EINVAL, "NULL"},
        {"unix:///nonexistent/socket", AFAR_ESYSTEM, "/nonexistent/socket"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct afar_error err = {0};
        struct afar_client *client = NULL;
        assert_int_equal(afar_connect(&client, NULL, bad[i].url, 1000, &err), bad[i].status);
        assert_null(client);
        assert_non_null(strstr(err.message, bad[i].words));
    }
    struct afar_health health = AFAR_HEALTH_INIT();
    assert_int_equal(afar_health(NULL, 1000, &health, NULL), AFAR_EINVAL);
    afar_close(NULL);
}

static int listen_unix(char path[64], char url[80])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(path, 64, "/tmp/test_client.%ld", (long)getpid());
    (void)snprintf(url, 80, "unix://%s", path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static void test_connects(void **state)
{
    (void)state;
    char path[64];
    char url[80];
    struct afar_error err;
    struct afar_client *client = NULL;
    int listener = listen_unix(path, url);
    assert_int_equal(afar_connect(&client, NULL, url, 1000, &err), AFAR_OK);
    assert_true(afar_fd(client) >= 0);
    assert_int_equal(afar_events(client), POLLIN);
    assert_false(afar_resumed(client));
    assert_null(afar_receipt(client));
    afar_close(client);

    for (int n = 1;; n++) {
        alloc_fault_arm(n);
        enum afar_status status = afar_connect(&client, NULL, url, 1000, NULL);
        if (!alloc_fault_fired()) {
            assert_int_equal(status, AFAR_OK);
            assert_true(n > 1);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
        assert_null(client);
    }
    afar_close(client);
    (void)close(listener);
    (void)unlink(path);
}

static void test_events(void **state)
{
    struct scripted_client *it = *state;
    assert_int_equal(afar_events(it->client), POLLIN);
    scripted_client_run(it, true, 1000);
    assert_int_equal(afar_events(it->client), POLLIN);
    assert_int_equal(afar_signal(it->client, "INT", &it->err), AFAR_OK);
    assert_int_equal(afar_events(it->client), POLLIN | POLLOUT);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(afar_events(it->client), POLLIN);
    assert_true(afar_resumed(it->client));
}

static void test_a_broken_one_stays_broken(void **state)
{
    struct scripted_client *it = *state;
    struct afar_error why;
    struct afar_error err;
    (void)afar_fail(&why, AFAR_ETRUST, "for a reason");
    assert_int_equal(client_break(it->client, &why, &err), AFAR_ETRUST);
    assert_string_equal(err.message, "for a reason");
    assert_int_equal(client_break(it->client, &why, NULL), AFAR_ETRUST);
    assert_int_equal(client_check(it->client, PROTOCOL_AFAR, NULL), AFAR_ETRUST);
    assert_int_equal(client_check(it->client, PROTOCOL_SIZED, &err), AFAR_EINVAL);
    assert_int_equal(afar_process(it->client, &err), AFAR_ETRUST);
    assert_int_equal(afar_wait(it->client, 0, &err), AFAR_ETRUST);
    assert_int_equal(afar_fd(it->client), -1);
}

/* ---- goodbye --------------------------------------------------------------------------------- */

struct goodbye {
    struct afar_client *client;
    int peer;
};

static void *close_it(void *user)
{
    struct goodbye *goodbye = user;
    afar_close(goodbye->client);
    return NULL;
}

/* A connection by TCP with small buffers, and a command on it that a server would wait for. */
static void begin_goodbye(struct goodbye *goodbye)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int little = 4096;
    struct transport *transport = NULL;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    goodbye->peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(goodbye->peer >= 0);
    (void)close(listener);
    assert_int_equal(transport_plain_new(&transport, fd, NULL), AFAR_OK);
    assert_int_equal(afar_client_new_on_transport(&goodbye->client, transport, "test", NULL),
                     AFAR_OK);
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = (const char *const[]){"x", NULL},
                                                          .resume_ms = 60000, .with_stdin = true);
    assert_int_equal(afar_start(goodbye->client, &command, NULL, NULL), AFAR_OK);
}

/* More than the way holds, both ways. */
static void fill_the_way(const struct goodbye *goodbye)
{
    static const char data[200000];
    size_t taken = 0;
    assert_int_equal(afar_write_stdin(goodbye->client, data, sizeof data, &taken, NULL), AFAR_OK);
    pump_send(goodbye->client);
    assert_true(buffer_size(&goodbye->client->out) > 0);
    assert_true(send(goodbye->peer, data, 50000, MSG_DONTWAIT) > 0);
}

/* However much is unread and unsent, it arrives whole, and behind it an end, and not a reset. */
static void test_goodbye_arrives(void **state)
{
    static const char last[] = "{\"type\":\"detach\",\"id\":1}";
    static char got[400000];
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct goodbye goodbye;
        pthread_t thread;
        size_t size = 0;
        ssize_t some = 0;
        begin_goodbye(&goodbye);
        assert_true(send(goodbye.peer, got, 5000, MSG_DONTWAIT) > 0);
        if (full == 1)
            fill_the_way(&goodbye);
        assert_int_equal(pthread_create(&thread, NULL, close_it, &goodbye), 0);
        do {
            some = recv(goodbye.peer, got + size, sizeof got - size, 0);
            size += some > 0 ? (size_t)some : 0;
        } while (some > 0);
        assert_int_equal(some, 0);
        assert_true(size > sizeof last);
        assert_memory_equal(got + size - (sizeof last - 1), last, sizeof last - 1);
        (void)close(goodbye.peer);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

/* Who does not read is not waited for, much longer than for a second. */
static void test_goodbye_to_the_deaf(void **state)
{
    struct goodbye goodbye;
    (void)state;
    begin_goodbye(&goodbye);
    fill_the_way(&goodbye);
    const int64_t began_ms = clock_now_ms();
    afar_close(goodbye.client);
    assert_in_range(clock_now_ms() - began_ms, 900, 30000);
    (void)close(goodbye.peer);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_that_cannot_be_connected_to),
        cmocka_unit_test(test_connects),
        TEST(test_events),
        TEST(test_a_broken_one_stays_broken),
        cmocka_unit_test(test_goodbye_arrives),
        cmocka_unit_test(test_goodbye_to_the_deaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
