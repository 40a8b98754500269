#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/internal.h"

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

static size_t arrived(const struct fixture *fixture, char *data, size_t size)
{
    ssize_t count = read(fixture->peer_fd, data, size);
    return count > 0 ? (size_t)count : 0;
}

static void test_what_is_held_leaves_together(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture();
    char data[64];

    assert_int_equal(tls_bio_release(fixture.bio), AFAR_OK); /* nothing is held */
    assert_true(tls_bio_hold(fixture.bio));
    assert_int_equal(BIO_write(fixture.bio, "one ", 4), 4);
    assert_int_equal(BIO_write(fixture.bio, "two ", 4), 4);
    assert_int_equal(arrived(&fixture, data, sizeof data), 0);
    assert_int_equal(tls_bio_release(fixture.bio), AFAR_OK);
    assert_int_equal(BIO_write(fixture.bio, "three", 5), 5);
    assert_int_equal(arrived(&fixture, data, sizeof data), 13);
    assert_memory_equal(data, "one two three", 13);
    assert_true(tls_bio_hold(fixture.bio)); /* freed with the BIO */
    assert_int_equal(BIO_write(fixture.bio, "lost", 4), 4);
    close_fixture(&fixture);
}

/* Nothing may overtake it: that would be a record out of its order. */
static void test_what_is_held_comes_first(void **state)
{
    (void)state;
    static char block[65536];
    static char held[TLS_BATCH_BYTES];
    struct fixture fixture = open_fixture();
    int count = 0;
    size_t total = 0;

    for (int i = 0; i < 1000 && count >= 0; i++) {
        count = BIO_write(fixture.bio, block, sizeof block);
        total += count > 0 ? (size_t)count : 0;
    }
    memset(held, 'h', sizeof held);
    assert_true(tls_bio_hold(fixture.bio));
    assert_int_equal(BIO_write(fixture.bio, held, sizeof held), sizeof held);
    assert_int_equal(tls_bio_release(fixture.bio), AFAR_EAGAIN);
    assert_int_equal(BIO_write(fixture.bio, "behind", 6), 6); /* an alert, say: there is room */
    assert_int_equal(BIO_write(fixture.bio, block, sizeof block), -1);
    assert_true(BIO_should_write(fixture.bio));

    enum afar_status status = AFAR_EAGAIN;
    char tail[6] = "";
    size_t seen = 0;
    while (seen < total + sizeof held + 6) {
        size_t some = arrived(&fixture, block, sizeof block);
        if (some == 0) {
            status = tls_bio_release(fixture.bio);
            continue;
        }
        for (size_t i = 0; i < some; i++, seen++) {
            if (seen >= total && seen < total + sizeof held)
                assert_int_equal(block[i], 'h');
            if (seen >= total + sizeof held)
                tail[seen - total - sizeof held] = block[i];
        }
    }
    assert_int_equal(status, AFAR_OK);
    assert_memory_equal(tail, "behind", 6);
    close_fixture(&fixture);
}

static void test_a_broken_pipe_keeps_its_number(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture();
    assert_true(tls_bio_hold(fixture.bio));
    assert_int_equal(BIO_write(fixture.bio, "x", 1), 1);
    assert_int_equal(close(fixture.peer_fd), 0);
    fixture.peer_fd = -1;
    assert_int_equal(tls_bio_release(fixture.bio), AFAR_ESYSTEM);
    assert_int_equal(errno, EPIPE);
    close_fixture(&fixture);
}

/* What a guard has spent is read later. */
static void test_a_guard_is_asked(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture();
    struct tls_guard guard = {.broken_by = NULL};
    char data[16];
    assert_int_equal(write(fixture.peer_fd, "hello", 5), 5);
    assert_true(tls_bio_guard(fixture.bio, &guard));
    assert_int_equal(BIO_read(fixture.bio, data, 2), 2);
    assert_int_equal(guard.turn_bytes, 2);
    guard.turn_bytes = 1 << 24;
    assert_true(tls_guard_spent(&guard));
    assert_int_equal(BIO_read(fixture.bio, data, sizeof data), -1);
    assert_true(BIO_should_read(fixture.bio));
    tls_guard_begin(&guard);
    guard.turn_records = 1 << 16;
    assert_int_equal(BIO_read(fixture.bio, data, sizeof data), -1);
    tls_guard_begin(&guard);
    assert_int_equal(BIO_read(fixture.bio, data, sizeof data), 3);
    close_fixture(&fixture);
}

static void test_only_our_own_holds(void **state)
{
    (void)state;
    BIO *memory = BIO_new(BIO_s_mem());
    assert_non_null(memory);
    assert_false(tls_bio_hold(memory));
    assert_false(tls_bio_guard(memory, NULL));
    assert_int_equal(tls_bio_release(memory), AFAR_OK);
    BIO_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_held_leaves_together),
        cmocka_unit_test(test_what_is_held_comes_first),
        cmocka_unit_test(test_a_broken_pipe_keeps_its_number),
        cmocka_unit_test(test_a_guard_is_asked),
        cmocka_unit_test(test_only_our_own_holds),
        cmocka_unit_test(test_reads_writes_and_waits),
        cmocka_unit_test(test_a_full_socket_is_waited_for),
        cmocka_unit_test(test_an_end_is_no_wait_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
