#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_internal.h"

struct fixture {
    BIO_METHOD *method;
    BIO *bio;
    int peer_fd;
    int fd;
};

static struct fixture open_fixture(void)
{
    struct fixture fixture = {0};
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    fixture.fd = ends[0];
    fixture.peer_fd = ends[1];
    fixture.method = tls_bio_method_new();
    assert_non_null(fixture.method);
    fixture.bio = tls_bio_new(fixture.method, fixture.fd);
    assert_non_null(fixture.bio);
    return fixture;
}

static void close_fixture(struct fixture *fixture)
{
    BIO_free(fixture->bio);
    BIO_meth_free(fixture->method);
    assert_int_equal(close(fixture->fd), 0); /* the BIO has left it alone */
    if (fixture->peer_fd >= 0)
        (void)close(fixture->peer_fd);
}

static void test_reads_writes_and_waits(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture();
    char data[16];

    assert_int_equal(BIO_read(fixture.bio, data, sizeof data), -1);
    assert_true(BIO_should_read(fixture.bio));
    assert_int_equal(BIO_write(fixture.bio, "hello", 5), 5);
    assert_int_equal(BIO_flush(fixture.bio), 1);
    assert_int_equal(read(fixture.peer_fd, data, sizeof data), 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(write(fixture.peer_fd, "world", 5), 5);
    assert_int_equal(BIO_read(fixture.bio, data, 3), 3);
    assert_int_equal(BIO_read(fixture.bio, data, sizeof data), 2);
    assert_int_equal(BIO_eof(fixture.bio), 0);
    assert_int_equal(BIO_read(fixture.bio, data, 0), 0);
    assert_int_equal(BIO_write(fixture.bio, data, 0), 0);
    close_fixture(&fixture);
}

static void test_a_full_socket_is_waited_for(void **state)
{
    (void)state;
    static char block[65536];
    struct fixture fixture = open_fixture();
    int count = 0;

    for (int i = 0; i < 1000 && count >= 0; i++)
        count = BIO_write(fixture.bio, block, sizeof block);
    assert_int_equal(count, -1);
    assert_true(BIO_should_write(fixture.bio));
    assert_false(BIO_should_read(fixture.bio));
    close_fixture(&fixture);
}

static void test_an_end_is_no_wait_and_no_signal(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture();
    char data[16];

    assert_int_equal(close(fixture.peer_fd), 0);
    fixture.peer_fd = -1;
    assert_int_equal(BIO_read(fixture.bio, data, sizeof data), 0);
    assert_int_equal(BIO_eof(fixture.bio), 1);
    assert_false(BIO_should_retry(fixture.bio));
    assert_int_equal(BIO_write(fixture.bio, "x", 1), -1); /* SIGPIPE would end this test */
    assert_false(BIO_should_retry(fixture.bio));
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_writes_and_waits),
        cmocka_unit_test(test_a_full_socket_is_waited_for),
        cmocka_unit_test(test_an_end_is_no_wait_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
