// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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
        {"unix:///nonexistent/socket", AFAR_ESYSTEM, "/nonexistent/socket"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct afar_error err = {0};
        struct afar_client *client = NULL;
        assert_int_equal(afar_connect(&client, NULL, bad[i].url, 1000, &err), bad[i].status);
        assert_null(client);
        assert_non_null(strstr(err.message, bad[i].words));
    }
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

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_that_cannot_be_connected_to),
        cmocka_unit_test(test_connects),
        TEST(test_events),
        TEST(test_a_broken_one_stays_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
