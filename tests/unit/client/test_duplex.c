#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/scripted_client.h"

static enum afar_status count(void *user, const uint8_t *data, size_t size, struct afar_error *err)
{
    size_t *left = user;
    (void)data;
    (void)err;
    *left -= size;
    return *left == 0 ? AFAR_OK : AFAR_EAGAIN;
}

static void test_what_comes_unasked(void **state)
{
    struct scripted_client *it = *state;
    size_t left = 3;
    script_bytes(&it->script, "abc", 3);
    assert_int_equal(duplex_exchange(it->client, "x", 1, count, &left, DEADLINE_NEVER, &it->err),
                     AFAR_EPEER);
    assert_non_null(strstr(it->err.message, "was not asked for"));
    assert_int_equal(buffer_size(&it->script.from_client), 0);
}

static void test_a_server_that_has_gone(void **state)
{
    struct scripted_client *it = *state;
    size_t left = 3;
    it->script.at_end = AFAR_ECLOSED;
    assert_int_equal(duplex_exchange(it->client, "x", 1, count, &left, DEADLINE_NEVER, &it->err),
                     AFAR_ECLOSED);
    assert_int_equal(client_check(it->client, PROTOCOL_AFAR, &it->err), AFAR_ECLOSED);
}

static void test_a_send_that_fails(void **state)
{
    struct scripted_client *it = *state;
    size_t left = 3;
    it->script.on_send = AFAR_ECLOSED;
    assert_int_equal(duplex_exchange(it->client, "x", 1, count, &left, DEADLINE_NEVER, &it->err),
                     AFAR_ECLOSED);
}

static void test_no_reply_in_time(void **state)
{
    struct scripted_client *it = *state;
    size_t left = 3;
    assert_int_equal(
        duplex_exchange(it->client, "x", 1, count, &left, clock_deadline_ms(5), &it->err),
        AFAR_ETIMEDOUT);
    assert_int_equal(client_check(it->client, PROTOCOL_AFAR, &it->err), AFAR_ETIMEDOUT);
}

static enum afar_status swallow(void *user, const uint8_t *data, size_t size,
                                struct afar_error *err)
{
    (void)user;
    (void)data;
    (void)size;
    (void)err;
    return AFAR_EAGAIN;
}

/* However much of it comes. */
static void test_a_reply_without_end(void **state)
{
    struct scripted_client *it = *state;
    enum { BYTES = 16 << 20 };
    uint8_t *data = calloc(1, BYTES);
    assert_non_null(data);
    script_bytes(&it->script, data, BYTES);
    free(data);
    it->script.answers = true;
    it->script.piece = 1;
    assert_int_equal(
        duplex_exchange(it->client, "x", 1, swallow, NULL, clock_deadline_ms(1), &it->err),
        AFAR_ETIMEDOUT);
    assert_true(buffer_size(&it->script.to_client) > 0);
}

/* A peer that returns what it gets through small buffers: one that first sent everything would wait
 * for ever. */
static void test_both_directions_at_once(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    int pair[2];
    int small = 4096;
    struct transport *transport = NULL;
    struct afar_client *client = NULL;
    struct afar_error err;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char piece[1000];
        (void)close(pair[0]);
        for (;;) {
            ssize_t got = read(pair[1], piece, sizeof piece);
            if (got <= 0 || write(pair[1], piece, (size_t)got) != got)
                break;
        }
        _exit(0);
    }
    (void)close(pair[1]);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(transport_plain_new(&transport, pair[0], NULL), AFAR_OK);
    assert_int_equal(afar_client_new_on_transport(&client, transport, "pair", NULL), AFAR_OK);
    char *data = calloc(1, BYTES);
    assert_non_null(data);
    size_t left = BYTES;
    assert_int_equal(
        duplex_exchange(client, data, BYTES, count, &left, clock_deadline_ms(60000), &err),
        AFAR_OK);
    free(data);
    afar_close(client);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_comes_unasked),  TEST(test_a_server_that_has_gone),
        TEST(test_a_send_that_fails),   TEST(test_no_reply_in_time),
        TEST(test_a_reply_without_end), cmocka_unit_test(test_both_directions_at_once),
    };
    (void)signal(SIGCHLD, SIG_IGN); /* the children need no waiting for */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
