// wrap: recv
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/scripted_client.h"

static bool flood; /* whoever receives gets another answer than its own, without end */

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    if (!flood)
        return __real_recv(fd, data, size, flags);
    memset(data, '?', 1);
    return 1;
}

/* ---- streams --------------------------------------------------------------------------------- */

static void test_more_than_was_sent(void **state)
{
    struct scripted_client *it = *state;
    char out[3];
    it->client->protocol = PROTOCOL_UPPER;
    /* Unasked for: the script speaks before it is spoken to. */
    script_bytes(&it->script, "ABCD", 4);
    assert_int_equal(afar_upper(it->client, "abc", 3, out, 1000, &it->err), AFAR_EPEER);
}

static void test_sizes(void **state)
{
    struct scripted_client *it = *state;
    char out[3];
    assert_int_equal(afar_upper(it->client, "abc", 3, out, 1000, &it->err), AFAR_EINVAL);
    it->client->protocol = PROTOCOL_UPPER;
    assert_int_equal(afar_upper(it->client, "abc", 0, out, 1000, &it->err), AFAR_EINVAL);
    assert_int_equal(afar_upper(it->client, "abc", 65508, out, 1000, &it->err), AFAR_EINVAL);
    assert_int_equal(buffer_size(&it->script.from_client), 0);
}

/* ---- datagrams ------------------------------------------------------------------------------- */

enum manner {
    ANSWER_AT_ONCE,
    ANSWER_THE_SECOND,  /* the first was lost */
    ANSWER_OTHERS_FIRST /* an empty one, a late one, one that is too long */
};

static int bind_udp(char url[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(url, 64, "udp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void reply(int fd, const struct sockaddr_in *to, const char *data, size_t size)
{
    if (sendto(fd, data, size, 0, (const struct sockaddr *)to, sizeof *to) < 0)
        _exit(1);
}

/* In a process of its own: one question is answered. */
static void serve(int fd, enum manner manner, const char *answer)
{
    char question[100];
    struct sockaddr_in from = {0};
    int needed = manner == ANSWER_THE_SECOND ? 2 : 1;
    for (int i = 0; i < needed; i++) {
        socklen_t size = sizeof from;
        if (recvfrom(fd, question, sizeof question, 0, (struct sockaddr *)&from, &size) < 0)
            _exit(1);
    }
    if (manner == ANSWER_OTHERS_FIRST) {
        reply(fd, &from, "", 0);
        reply(fd, &from, "OLD", 3);
        reply(fd, &from, "ABCD", 4);
    }
    reply(fd, &from, answer, strlen(answer));
    _exit(0);
}

static enum afar_status ask(enum manner manner, const char *answer, int64_t timeout_ms,
                            struct afar_error *err)
{
    char url[64];
    char out[4] = "";
    struct afar_client *client = NULL;
    int fd = bind_udp(url);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        serve(fd, manner, answer);
    assert_int_equal(afar_connect(&client, NULL, url, 1000, err), AFAR_OK);
    enum afar_status status = afar_upper(client, "a\xe4z", 3, out, timeout_ms, err);
    if (status == AFAR_OK)
        assert_string_equal(out, "A\xe4Z");
    afar_close(client);
    (void)close(fd);
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    return status;
}

static void test_datagrams(void **state)
{
    (void)state;
    struct afar_error err;
    assert_int_equal(ask(ANSWER_AT_ONCE, "A\xe4Z", 0, &err), AFAR_OK);
    assert_int_equal(ask(ANSWER_THE_SECOND, "A\xe4Z", 0, &err), AFAR_OK);
    assert_int_equal(ask(ANSWER_OTHERS_FIRST, "A\xe4Z", 0, &err), AFAR_OK);
}

static void test_a_wrong_datagram(void **state)
{
    (void)state;
    struct afar_error err;
    assert_int_equal(ask(ANSWER_AT_ONCE, "???", 50, &err), AFAR_EPEER);
    assert_non_null(strstr(err.message, "not with what was sent"));
}

static void test_wrong_datagrams_without_end(void **state)
{
    (void)state;
    struct afar_error err;
    char url[64];
    char out[1];
    struct afar_client *client = NULL;
    int fd = bind_udp(url);
    assert_int_equal(afar_connect(&client, NULL, url, 1000, &err), AFAR_OK);
    flood = true;
    assert_int_equal(afar_upper(client, "a", 1, out, 20, &err), AFAR_EPEER);
    flood = false;
    assert_non_null(strstr(err.message, "not with what was sent"));
    (void)close(fd);
    afar_close(client);
}

static void test_silence(void **state)
{
    (void)state;
    struct afar_error err;
    char url[64];
    char out[1];
    struct afar_client *client = NULL;
    int fd = bind_udp(url);
    assert_int_equal(afar_connect(&client, NULL, url, 1000, &err), AFAR_OK);
    assert_int_equal(afar_upper(client, "a", 1, out, 20, &err), AFAR_ETIMEDOUT);
    assert_non_null(strstr(err.message, url));
    (void)close(fd);
    assert_int_equal(afar_upper(client, "a", 1, out, 20, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ECONNREFUSED);
    afar_close(client);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_more_than_was_sent),
        TEST(test_sizes),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_a_wrong_datagram),
        cmocka_unit_test(test_wrong_datagrams_without_end),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
