/* The loop: packets, handles, the end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files/files.h"
#include "support/sftp_peer.h"

static const struct files_options plain = {.note_fd = -1};

static void test_greeting(void **state)
{
    (void)state;
    struct sftp_peer peer;
    static const uint8_t version_6[] = {0, 0, 0, 5, SFTP_TYPE_INIT, 0, 0, 0, 6};
    sftp_peer_serve(&peer, files_serve, &plain);
    sftp_peer_send_raw(&peer, version_6, sizeof version_6);
    assert_true(sftp_peer_receive(&peer));
    assert_int_equal(peer.type, SFTP_TYPE_VERSION);
    assert_int_equal(peer.id, 3);
    bool limits = false;
    while (sftp_reader_left(&peer.body) > 0) {
        struct sftp_text name = sftp_read_text(&peer.body);
        struct sftp_text value = sftp_read_text(&peer.body);
        assert_false(peer.body.failed);
        limits = limits || (sftp_text_is(&name, "limits@openssh.com") && sftp_text_is(&value, "1"));
    }
    assert_true(limits);
    assert_int_equal(sftp_peer_close(&peer), 0);
}

static void expect_end(const void *data, size_t size, const char *complaint)
{
    struct sftp_peer peer;
    sftp_peer_serve(&peer, files_serve, &plain);
    sftp_peer_send_raw(&peer, data, size);
    (void)shutdown(peer.to, SHUT_WR);
    while (sftp_peer_receive(&peer))
        ;
    assert_string_equal(sftp_peer_complaint(&peer), complaint);
    assert_int_equal(sftp_peer_close(&peer), 1);
}

static void test_broken_packets(void **state)
{
    (void)state;
    static const uint8_t old[] = {0, 0, 0, 5, SFTP_TYPE_INIT, 0, 0, 0, 2};
    static const uint8_t first[] = {0, 0, 0, 5, SFTP_TYPE_CLOSE, 0, 0, 0, 2};
    static const uint8_t zero[] = {0, 0, 0, 0};
    static const uint8_t no_id[] = {0, 0, 0, 5, SFTP_TYPE_INIT,  0, 0, 0, 3,
                                    0, 0, 0, 2, SFTP_TYPE_CLOSE, 0};
    static const uint8_t cut[] = {0, 0, 0, 5, SFTP_TYPE_INIT, 0, 0};
    expect_end(old, sizeof old, "sftp: the client speaks a version below 3\n");
    expect_end(first, sizeof first, "sftp: the client sent an invalid packet\n");
    expect_end(zero, sizeof zero, "sftp: a packet of 0 bytes, 1 to 262144 are allowed\n");
    expect_end(no_id, sizeof no_id, "sftp: the client sent an invalid packet\n");
    expect_end(cut, sizeof cut, "sftp: the client ended inside a packet\n");
    expect_end("SSH-2.0-OpenSSH", 15,
               "sftp: a packet of 1397966893 bytes, 1 to 262144 are allowed\n");

    uint8_t *large = calloc(1, 300 * 1024);
    assert_non_null(large);
    const uint8_t head[] = {0, 4, 0xb0, 0, SFTP_TYPE_INIT};
    memcpy(large, head, sizeof head);
    expect_end(large, 300 * 1024, "sftp: a packet of 307200 bytes, 1 to 262144 are allowed\n");
    free(large);
}

/* A request that lacks its fields is answered, and the next one is served. */
static void test_malformed_requests(void **state)
{
    (void)state;
    static const char *const named[] = {"posix-rename@openssh.com",
                                        "statvfs@openssh.com",
                                        "fstatvfs@openssh.com",
                                        "hardlink@openssh.com",
                                        "fsync@openssh.com",
                                        "lsetstat@openssh.com",
                                        "expand-path@openssh.com",
                                        "users-groups-by-id@openssh.com",
                                        "copy-data",
                                        "home-directory",
                                        "check-file",
                                        "check-file-name"};
    struct sftp_peer peer;
    sftp_peer_serve(&peer, files_serve, &plain);
    sftp_peer_greet(&peer, false);
    for (uint8_t type = SFTP_TYPE_OPEN; type <= SFTP_TYPE_SYMLINK; type++) {
        assert_int_equal(sftp_peer_status(&peer, type, ""), SFTP_STATUS_BAD_MESSAGE);
        assert_int_equal(sftp_peer_status(&peer, type, "u", 0xffffffffU), SFTP_STATUS_BAD_MESSAGE);
    }
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "s", named[i]),
                         SFTP_STATUS_BAD_MESSAGE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "s", "unheard-of"),
                     SFTP_STATUS_OP_UNSUPPORTED);
    assert_int_equal(sftp_peer_status(&peer, 99, ""), SFTP_STATUS_OP_UNSUPPORTED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_INIT, ""), SFTP_STATUS_OP_UNSUPPORTED);
    /* A NUL inside a path would name another file to the kernel. */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_REMOVE, "t", "a\0b", (size_t)3),
                     SFTP_STATUS_BAD_MESSAGE);
    char longest[5000];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_STAT, "t", longest, sizeof longest),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "File name too long");
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_STAT, "s", "."), SFTP_TYPE_ATTRS);
    assert_int_equal(sftp_peer_close(&peer), 0);
}

/* Far more answers than may wait: reading stops and goes on, nothing is lost or reordered, and the
 * end of the input does not cut them. */
static void test_answers_wait(void **state)
{
    (void)state;
    enum { REQUESTS = 100 };
    struct sftp_peer peer;
    uint8_t handle[SFTP_HANDLE_BYTES];
    sftp_peer_serve(&peer, files_serve, &plain);
    sftp_peer_greet(&peer, false);
    sftp_peer_put(&peer, "big", "");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/big", peer.folder);
    assert_int_equal(truncate(path, 1 << 20), 0);
    sftp_peer_open(&peer, "big", SFTP_OPEN_READ, handle);
    uint32_t first = peer.next_id;
    for (int i = 0; i < REQUESTS; i++)
        (void)sftp_peer_send(&peer, SFTP_TYPE_READ, "hqu", handle, (uint64_t)i, 0x7fffffffU);
    (void)shutdown(peer.to, SHUT_WR);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        assert_true(sftp_peer_receive(&peer));
        assert_int_equal(peer.type, SFTP_TYPE_DATA);
        assert_int_equal(peer.id, first + i);
        assert_int_equal(sftp_read_u32(&peer.body), SFTP_DATA_MAX_BYTES);
    }
    assert_false(sftp_peer_receive(&peer));
    assert_int_equal(sftp_peer_close(&peer), 0);
}

enum { FDS = 64, HANDLES = FDS - 16 };

static int serve_few(int in_fd, int out_fd, const struct files_options *options)
{
    const struct rlimit few = {.rlim_cur = 32, .rlim_max = FDS}; /* the hard one counts */
    if (setrlimit(RLIMIT_NOFILE, &few) != 0)
        return 99;
    return files_serve(in_fd, out_fd, options);
}

static void test_handles(void **state)
{
    (void)state;
    struct sftp_peer peer;
    uint8_t handles[HANDLES][SFTP_HANDLE_BYTES];
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: the limit of descriptors is not the system's own here\n");
        skip();
    }
    sftp_peer_serve(&peer, serve_few, &plain);
    sftp_peer_greet(&peer, false);
    sftp_peer_put(&peer, "a", "text");
    for (size_t i = 0; i < HANDLES; i++) {
        sftp_peer_open(&peer, "a", SFTP_OPEN_READ, handles[i]);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(handles[i], handles[j], SFTP_HANDLE_BYTES);
    }
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_OPEN, "su-", "a", SFTP_OPEN_READ),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "Too many open files");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_OPENDIR, "s", "."), SFTP_STATUS_FAILURE);
    assert_string_equal(sftp_peer_read(&peer, handles[HANDLES - 1], 0, 100), "text");

    /* One that is closed makes room for another, and its number is not known any more. */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_CLOSE, "h", handles[3]), SFTP_STATUS_OK);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_CLOSE, "h", handles[3]),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "no such handle is open");
    uint8_t again[SFTP_HANDLE_BYTES];
    sftp_peer_open(&peer, "a", SFTP_OPEN_READ, again);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_FSTAT, "h", handles[3]),
                     SFTP_STATUS_FAILURE);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_FSTAT, "h", again), SFTP_TYPE_ATTRS);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_FSTAT, "s", "1234567"), SFTP_STATUS_FAILURE);
    assert_int_equal(sftp_peer_close(&peer), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greeting),
        cmocka_unit_test(test_broken_packets),
        cmocka_unit_test(test_malformed_requests),
        cmocka_unit_test(test_answers_wait),
        cmocka_unit_test(test_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
