/* Users of a Unix socket are counted like addresses, but for root and our own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/listener.h"

enum { SOMEBODY = 12345, URL_BYTES = 96 };

static struct listener *listener;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char folder[] = "/tmp/afar-test-users-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    char url[URL_BYTES];
    struct endpoint endpoint;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
    (void)snprintf(url, sizeof url, "unix://%s/s", folder);
    return endpoint_parse(&endpoint, url, NULL) == AFAR_OK &&
                   listener_open(&listener, &endpoint, 5, NULL) == AFAR_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    listener_free(listener);
    return rmdir(folder);
}

/* Who is seen where a client with that uid connects. */
static struct address_group group_of(uid_t user)
{
    struct address_group group = {.size = 99};
    char peer[ADDRESS_TEXT_BYTES];
    int fd = -1;
    uid_t own = geteuid();
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    assert_int_equal(seteuid(user), 0);
    int rc = connect(client, (const struct sockaddr *)&address, sizeof address);
    assert_int_equal(seteuid(own), 0);
    assert_int_equal(rc, 0);
    assert_int_equal(listener_accept(listener, &fd, peer, &group, NULL), AFAR_OK);
    (void)close(fd);
    (void)close(client);
    return group;
}

static void own_user(void **state)
{
    (void)state;
    assert_int_equal(group_of(geteuid()).size, 0);
}

static void another_user(void **state)
{
    (void)state;
    struct address_group expected;
    if (geteuid() != 0) {
        print_message("skipped: only root can be somebody else\n");
        skip();
    }
    assert_int_equal(chmod(folder, 0711), 0);
    assert_int_equal(chmod(address.sun_path, 0666), 0);
    struct address_group group = group_of(SOMEBODY);
    address_group_user(SOMEBODY, &expected);
    assert_int_equal(group.size, expected.size);
    assert_memory_equal(group.bytes, expected.bytes, expected.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_user),
        cmocka_unit_test(another_user),
    };
    return cmocka_run_group_tests_name("listener, users", tests, set_up, tear_down);
}
