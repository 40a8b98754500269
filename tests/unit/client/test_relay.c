/* A connection that another program passes on, from both sides. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <afar/relay.h>

static int ends[2];
static struct afar_client *client;

/* TLS is another's, so it needs no context. */
static int set_up(void **state)
{
    struct afar_error err;
    (void)state;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    const struct afar_route route = AFAR_ROUTE_INIT(.stream = ends[0], .ready = true);
    return afar_connect_by(&client, NULL, "tls://server.example", &route, &err) != AFAR_OK;
}

static int tear_down(void **state)
{
    (void)state;
    afar_close(client);
    return close(ends[1]);
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    char data[8];
    size_t size = 0;
    struct afar_error err;
    assert_int_equal(afar_relay_receive(client, data, sizeof data, &size, &err), AFAR_EAGAIN);
    assert_int_equal(afar_relay_events(client, true, true), POLLIN | POLLOUT);
    assert_int_equal(afar_relay_events(client, false, false), 0);
    assert_int_equal(afar_relay_send(client, "up", 2, &size, &err), AFAR_OK);
    assert_int_equal(size, 2);
    assert_int_equal(read(ends[1], data, sizeof data), 2);
    assert_memory_equal(data, "up", 2);
    assert_int_equal(write(ends[1], "down", 4), 4);
    assert_int_equal(afar_relay_receive(client, data, 3, &size, &err), AFAR_OK);
    assert_int_equal(size, 3);
    assert_int_equal(afar_relay_receive(client, data + 3, sizeof data - 3, &size, &err), AFAR_OK);
    assert_int_equal(size, 1);
    assert_memory_equal(data, "down", 4);
    assert_int_equal(shutdown(ends[1], SHUT_RDWR), 0);
    assert_int_equal(afar_relay_receive(client, data, sizeof data, &size, &err), AFAR_ECLOSED);
    assert_int_equal(size, 0);
    assert_int_equal(afar_relay_send(client, "x", 1, &size, &err), AFAR_ECLOSED);
}

/* Others may have counted up from 1 there. */
static void ids_are_not_those_of_others(void **state)
{
    (void)state;
    char data[128] = "";
    struct afar_pong pong = AFAR_PONG_INIT();
    const char *id = NULL;
    assert_int_equal(afar_ping(client, 1, &pong, NULL), AFAR_ETIMEDOUT);
    assert_true(read(ends[1], data + 1, sizeof data - 2) > 4);
    id = strstr(data + 5, "\"id\":");
    assert_non_null(id);
    assert_true(strtoull(id + 5, NULL, 10) > UINT32_MAX);
}

static void a_route_that_is_ready_has_a_stream(void **state)
{
    (void)state;
    struct afar_client *none = NULL;
    struct afar_error err;
    const struct afar_route route = AFAR_ROUTE_INIT(.ready = true);
    assert_int_equal(afar_connect_by(&none, NULL, "tls://server.example", &route, &err),
                     AFAR_EINVAL);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_pass_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_are_not_those_of_others, set_up, tear_down),
        cmocka_unit_test(a_route_that_is_ready_has_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
