/* Names, directories and attributes, without a fence. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/files.h"
#include "support/sftp_peer.h"

static const struct files_options plain = {.home = "/home/someone", .note_fd = -1};
static const struct files_options own_root = {
    .home = "/home/someone", .own_root = true, .note_fd = -1};
static struct sftp_peer peer;

static int begin(void **state)
{
    (void)state;
    sftp_peer_serve(&peer, files_serve, &plain);
    sftp_peer_greet(&peer, false);
    return 0;
}

/* Without libc's name services. */
static int begin_own_root(void **state)
{
    (void)state;
    sftp_peer_serve(&peer, files_serve, &own_root);
    sftp_peer_greet(&peer, false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return sftp_peer_close(&peer);
}

static uint32_t two(const char *extension, const char *from, const char *to)
{
    return sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", extension, from, to);
}

static void test_rename(void **state)
{
    (void)state;
    sftp_peer_put(&peer, "a", "A");
    sftp_peer_put(&peer, "b", "B");
    /* The draft's rename does not replace; OpenSSH's does. */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_RENAME, "ss", "a", "b"),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "File exists");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_RENAME, "ss", "a", "c"), SFTP_STATUS_OK);
    assert_null(sftp_peer_get(&peer, "a"));
    assert_string_equal(sftp_peer_get(&peer, "c"), "A");
    assert_int_equal(two("posix-rename@openssh.com", "c", "b"), SFTP_STATUS_OK);
    assert_string_equal(sftp_peer_get(&peer, "b"), "A");
    assert_int_equal(two("posix-rename@openssh.com", "none", "b"), SFTP_STATUS_NO_SUCH_FILE);
    assert_int_equal(two("hardlink@openssh.com", "b", "d"), SFTP_STATUS_OK);
    assert_int_equal(two("hardlink@openssh.com", "b", "d"), SFTP_STATUS_FAILURE);
    assert_string_equal(sftp_peer_get(&peer, "d"), "A");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_REMOVE, "s", "d"), SFTP_STATUS_OK);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_REMOVE, "s", "d"), SFTP_STATUS_NO_SUCH_FILE);
}

static void test_directories(void **state)
{
    (void)state;
    uint8_t handle[SFTP_HANDLE_BYTES];
    char name[32];
    unsigned seen = 0;
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_MKDIR, "s-", "d"), SFTP_STATUS_OK);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_MKDIR, "s-", "d"), SFTP_STATUS_FAILURE);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof name, "d/file-%03d", i);
        sftp_peer_put(&peer, name, "");
    }
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_RMDIR, "s", "d"), SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "Directory not empty");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_OPENDIR, "s", "d/file-000"),
                     SFTP_STATUS_FAILURE);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_OPENDIR, "s", "d"), SFTP_TYPE_HANDLE);
    memcpy(handle, peer.handle, sizeof handle);
    while (sftp_peer_call(&peer, SFTP_TYPE_READDIR, "h", handle) == SFTP_TYPE_NAME) {
        uint32_t count = sftp_read_u32(&peer.body);
        assert_true(count > 0 && sftp_reader_left(&peer.body) < 65536);
        for (uint32_t i = 0; i < count; i++, seen++) {
            struct sftp_attrs attrs;
            struct sftp_text entry = sftp_read_text(&peer.body);
            struct sftp_text line = sftp_read_text(&peer.body);
            sftp_read_attrs(&peer.body, &attrs);
            assert_true(line.size > entry.size && attrs.flags == 15 && !attrs.has_ns);
        }
        assert_false(peer.body.failed);
        assert_int_equal(sftp_reader_left(&peer.body), 0);
    }
    assert_int_equal(peer.type, SFTP_TYPE_STATUS);
    assert_int_equal(peer.status, SFTP_STATUS_EOF);
    assert_int_equal(seen, 502); /* "." and ".." too */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_READ, "hqu", handle, UINT64_C(0), 1U),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "the handle is a directory's");
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_FSTAT, "h", handle), SFTP_TYPE_ATTRS);
    assert_true(S_ISDIR(peer.attrs.mode));
}

static void test_links(void **state)
{
    (void)state;
    sftp_peer_put(&peer, "target", "text");
    /* OpenSSH's order: what it says, then where it is. */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", "target", "link"),
                     SFTP_STATUS_OK);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_READLINK, "s", "link"), SFTP_TYPE_NAME);
    assert_string_equal(peer.text, "target");
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_LSTAT, "s", "link"), SFTP_TYPE_ATTRS);
    assert_true(S_ISLNK(peer.attrs.mode));
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_STAT, "s", "link"), SFTP_TYPE_ATTRS);
    assert_true(S_ISREG(peer.attrs.mode) && peer.attrs.size == 4);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_READLINK, "s", "target"),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "Invalid argument");
}

static void test_setting(void **state)
{
    (void)state;
    char path[128];
    struct stat info;
    uint8_t handle[SFTP_HANDLE_BYTES];
    struct sftp_attrs attrs = {.flags = SFTP_ATTR_SIZE | SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
                               .size = 3,
                               .mode = 0600,
                               .atime = 1000000001,
                               .mtime = 1000000002,
                               .has_ns = true,
                               .atime_ns = 5,
                               .mtime_ns = 6};
    sftp_peer_put(&peer, "f", "0123456789");
    (void)snprintf(path, sizeof path, "%s/f", peer.folder);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SETSTAT, "sa", "f", &attrs), SFTP_STATUS_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size == 3 && (info.st_mode & 07777) == 0600);
    assert_true(info.st_atim.tv_sec == 1000000001 && info.st_mtim.tv_sec == 1000000002);
    assert_true(info.st_atim.tv_nsec == 5 && info.st_mtim.tv_nsec == 6);

    attrs = (struct sftp_attrs){.flags = SFTP_ATTR_SIZE | SFTP_ATTR_MODE, .size = 5, .mode = 0640};
    sftp_peer_open(&peer, "f", SFTP_OPEN_WRITE, handle);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_FSETSTAT, "ha", handle, &attrs),
                     SFTP_STATUS_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size == 5 && (info.st_mode & 07777) == 0640);

    /* Of a link itself. */
    attrs = (struct sftp_attrs){.flags = SFTP_ATTR_TIMES, .atime = 7, .mtime = 8};
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", "f", "l"), SFTP_STATUS_OK);
    assert_int_equal(
        sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "ssa", "lsetstat@openssh.com", "l", &attrs),
        SFTP_STATUS_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_mtim.tv_sec != 8);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_LSTAT, "s", "l"), SFTP_TYPE_ATTRS);
    assert_int_equal(peer.attrs.mtime, 8);
}

static void expect_name(const char *expected)
{
    if (peer.type != SFTP_TYPE_NAME)
        fail_msg("no name but: %s", peer.text);
    assert_string_equal(peer.text, expected);
}

static void test_paths(void **state)
{
    (void)state;
    char expected[128];
    (void)sftp_peer_call(&peer, SFTP_TYPE_REALPATH, "s", "");
    expect_name(peer.folder);
    (void)sftp_peer_call(&peer, SFTP_TYPE_REALPATH, "s", "./new");
    (void)snprintf(expected, sizeof expected, "%s/new", peer.folder);
    expect_name(expected);
    (void)sftp_peer_call(&peer, SFTP_TYPE_REALPATH, "s", "//etc/../etc/.");
    expect_name("/etc");
    (void)sftp_peer_call(&peer, SFTP_TYPE_REALPATH, "s", "/none-here");
    expect_name("/none-here");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_REALPATH, "s", "/none-here/below"),
                     SFTP_STATUS_NO_SUCH_FILE);
    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "ss", "home-directory", "");
    expect_name("/home/someone");
    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "ss", "home-directory", "root");
    expect_name("/root");
    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "ss", "expand-path@openssh.com", "~root");
    expect_name("/root");
    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "ss", "expand-path@openssh.com", ".");
    expect_name(peer.folder);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "ss", "expand-path@openssh.com",
                                      "~nobody-of-this-name/x"),
                     SFTP_STATUS_NO_SUCH_FILE);
}

static void test_what_there_is(void **state)
{
    (void)state;
    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "s", "limits@openssh.com");
    assert_int_equal(peer.type, SFTP_TYPE_EXTENDED_REPLY);
    assert_int_equal(sftp_read_u64(&peer.body), SFTP_PACKET_MAX_BYTES);
    assert_int_equal(sftp_read_u64(&peer.body), 261120);
    assert_int_equal(sftp_read_u64(&peer.body), 261120);
    assert_in_range(sftp_read_u64(&peer.body), 1, 4096);
    assert_int_equal(sftp_reader_left(&peer.body), 0);

    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "ss", "statvfs@openssh.com", ".");
    assert_int_equal(peer.type, SFTP_TYPE_EXTENDED_REPLY);
    assert_int_equal(sftp_reader_left(&peer.body), 11 * 8);

    static const uint8_t ids[] = {0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xf0};
    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "stt", "users-groups-by-id@openssh.com", ids,
                         sizeof ids, ids, (size_t)4);
    assert_int_equal(peer.type, SFTP_TYPE_EXTENDED_REPLY);
    static const uint8_t names[] = {0, 0, 0, 12, 0, 0, 0, 4, 'r', 'o', 'o', 't', 0,   0,
                                    0, 0, 0, 0,  0, 8, 0, 0, 0,   4,   'r', 'o', 'o', 't'};
    assert_int_equal(sftp_reader_left(&peer.body), sizeof names);
    struct sftp_text answer = sftp_read_bytes(&peer.body, sizeof names);
    assert_memory_equal(answer.bytes, names, sizeof names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rename, begin, end),
        cmocka_unit_test_setup_teardown(test_directories, begin, end),
        cmocka_unit_test_setup_teardown(test_links, begin, end),
        cmocka_unit_test_setup_teardown(test_setting, begin, end),
        cmocka_unit_test_setup_teardown(test_paths, begin, end),
        cmocka_unit_test_setup_teardown(test_what_there_is, begin, end),
        cmocka_unit_test_setup_teardown(test_paths, begin_own_root, end),
        cmocka_unit_test_setup_teardown(test_what_there_is, begin_own_root, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
