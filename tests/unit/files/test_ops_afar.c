/* Our own requests, which other clients do not know. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/internal.h"
#include "support/sftp_peer.h"

static const struct files_options plain = {.note_fd = -1};
static struct sftp_peer peer;

/* SHA-256 of "abc" (FIPS 180-2, B.1) and of "abcde". */
static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
static const uint8_t abcde[32] = {0x36, 0xbb, 0xe5, 0x0e, 0xd9, 0x68, 0x41, 0xd1, 0x04, 0x43, 0xbc,
                                  0xb6, 0x70, 0xd6, 0x55, 0x4f, 0x0a, 0x34, 0xb7, 0x61, 0xbe, 0x67,
                                  0xec, 0x9c, 0x4a, 0x8a, 0xd2, 0xc0, 0xc4, 0x4c, 0xa4, 0x2c};
static const struct sftp_attrs mode_and_time = {.flags = SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
                                                .mode = 0104751,
                                                .atime = 1,
                                                .mtime = 1000000000,
                                                .has_ns = true,
                                                .mtime_ns = 123456789};
enum { NEW_ONLY = 1, FSYNC = 2, IN_PLACE = 4 };

static int begin(void **state)
{
    (void)state;
    sftp_peer_serve(&peer, files_serve, &plain);
    sftp_peer_greet(&peer, true);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return sftp_peer_close(&peer);
}

static void stat_of(const char *name, struct stat *info)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", peer.folder, name);
    assert_int_equal(lstat(path, info), 0);
}

/* Names that begin with a dot: there must be none that is left behind. */
static void expect_no_partials(void)
{
    char command[256];
    (void)snprintf(command, sizeof command, "test -z \"$(ls -A %s | grep '^[.]')\"", peer.folder);
    assert_int_equal(system(command), 0); /* NOLINT: the line is ours */
}

/* ---- only for those who ask ------------------------------------------------------------------ */

static void test_not_offered(void **state)
{
    (void)state;
    sftp_peer_serve(&peer, files_serve, &plain);
    sftp_peer_greet(&peer, false);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", "list@afar", ".", ""),
                     SFTP_STATUS_OP_UNSUPPORTED);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_STAT, "s", "."), SFTP_TYPE_ATTRS);
    assert_false(peer.attrs.has_ns);
    assert_int_equal(sftp_peer_close(&peer), 0);
    (void)begin(NULL);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_STAT, "s", "."), SFTP_TYPE_ATTRS);
    assert_true(peer.attrs.has_ns);
    static const char *const names[] = {"list@afar",    "get@afar",    "put@afar",
                                        "partial@afar", "commit@afar", "ranges@afar"};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "s", names[i]),
                         SFTP_STATUS_BAD_MESSAGE);
    assert_int_equal(sftp_peer_close(&peer), 0);
}

/* ---- list ------------------------------------------------------------------------------------ */

static void test_list(void **state)
{
    (void)state;
    enum { FILES = 5000 };
    char name[32];
    char last[256] = "";
    unsigned seen = 0;
    bool more = true;
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_MKDIR, "s-", "d"), 0);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "d/%d", (i * 7919) % FILES);
        sftp_peer_put(&peer, name, "");
    }
    while (more) {
        assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "sss", "list@afar", "d", last),
                         SFTP_TYPE_EXTENDED_REPLY);
        assert_true(sftp_reader_left(&peer.body) <= 262144);
        uint32_t count = sftp_read_u32(&peer.body);
        assert_true(count > 0);
        for (uint32_t i = 0; i < count; i++, seen++) {
            struct sftp_attrs attrs;
            struct sftp_text entry = sftp_read_text(&peer.body);
            sftp_read_attrs(&peer.body, &attrs);
            assert_true(attrs.has_ns && S_ISREG(attrs.mode) && entry.size < sizeof name);
            memcpy(name, entry.bytes, entry.size);
            name[entry.size] = '\0';
            assert_true(strcmp(last, name) < 0);
            (void)strcpy(last, name);
        }
        more = sftp_read_u8(&peer.body) != 0;
        assert_false(peer.body.failed);
        assert_int_equal(sftp_reader_left(&peer.body), 0);
    }
    assert_int_equal(seen, FILES);
    /* From anywhere, and what came meanwhile. */
    sftp_peer_put(&peer, "d/a", "");
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "sss", "list@afar", "d", "9999"),
                     SFTP_TYPE_EXTENDED_REPLY);
    assert_int_equal(sftp_read_u32(&peer.body), 1);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", "list@afar", "none", ""),
                     SFTP_STATUS_NO_SUCH_FILE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", "list@afar", "d/a", ""),
                     SFTP_STATUS_FAILURE);
}

/* ---- get and ranges -------------------------------------------------------------------------- */

static void expect_got(const char *name, uint32_t most, const char *data, bool eof)
{
    struct sftp_attrs attrs;
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "ssu", "get@afar", name, most),
                     SFTP_TYPE_EXTENDED_REPLY);
    sftp_read_attrs(&peer.body, &attrs);
    assert_true(attrs.has_ns && attrs.flags == 15);
    assert_int_equal(sftp_read_u8(&peer.body), eof);
    struct sftp_text text = sftp_read_text(&peer.body);
    assert_true(sftp_text_is(&text, data));
    struct sftp_text hash = sftp_read_text(&peer.body);
    uint8_t whole[FILE_NOTE_HASH_BYTES];
    assert_int_equal(hash.size, eof ? sizeof whole : 0);
    assert_true(hash_once(data, strlen(data), whole));
    if (eof)
        assert_memory_equal(hash.bytes, whole, sizeof whole);
    assert_int_equal(sftp_reader_left(&peer.body), 0);
}

static void test_get(void **state)
{
    (void)state;
    sftp_peer_put(&peer, "f", "abcde");
    sftp_peer_put(&peer, "e", "");
    expect_got("f", 100, "abcde", true);
    expect_got("f", 5, "abcde", true);
    expect_got("f", 4, "abcd", false);
    expect_got("e", 4, "", true);
    expect_got("f", 0, "", false);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "ssu", "get@afar", "none", 1U),
                     SFTP_STATUS_NO_SUCH_FILE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "ssu", "get@afar", ".", 1U),
                     SFTP_STATUS_FAILURE);
    /* Of size 0, and yet there is something in it. */
    if (access("/proc/self/status", R_OK) == 0) {
        struct sftp_attrs attrs;
        assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "ssu", "get@afar",
                                        "/proc/self/status", 65536U),
                         SFTP_TYPE_EXTENDED_REPLY);
        sftp_read_attrs(&peer.body, &attrs);
        assert_int_equal(attrs.size, 0);
        assert_int_equal(sftp_read_u8(&peer.body), 1);
        assert_true(sftp_read_u32(&peer.body) > 100);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    enum { HOLE = 1 << 20 };
    char path[128];
    uint8_t handle[SFTP_HANDLE_BYTES];
    (void)snprintf(path, sizeof path, "%s/sparse", peer.folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, HOLE), 1);
    assert_int_equal(pwrite(fd, "x", 1, (off_t)4 * HOLE), 1);
    assert_int_equal(ftruncate(fd, (off_t)8 * HOLE), 0);
    assert_int_equal(close(fd), 0);
    sftp_peer_open(&peer, "sparse", SFTP_OPEN_READ, handle);
    assert_int_equal(
        sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "shq", "ranges@afar", handle, UINT64_C(0)),
        SFTP_TYPE_EXTENDED_REPLY);
    uint32_t count = sftp_read_u32(&peer.body);
    uint64_t first = sftp_read_u64(&peer.body);
    uint64_t first_end = sftp_read_u64(&peer.body);
    if (count == 2) { /* a file system that has holes */
        assert_true(first <= HOLE && first_end > HOLE && first_end < UINT64_C(4) * HOLE);
        assert_true(sftp_read_u64(&peer.body) <= UINT64_C(4) * HOLE);
        assert_true(sftp_read_u64(&peer.body) > UINT64_C(4) * HOLE);
    } else {
        assert_int_equal(count, 1);
        assert_true(first == 0 && first_end == UINT64_C(8) * HOLE);
    }
    assert_int_equal(sftp_read_u8(&peer.body), 0);
    assert_int_equal(
        sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "shq", "ranges@afar", handle, UINT64_C(8) * HOLE),
        SFTP_TYPE_EXTENDED_REPLY);
    assert_int_equal(sftp_read_u32(&peer.body), 0);
}

/* ---- put ------------------------------------------------------------------------------------- */

static uint32_t put(const char *name, uint32_t flags, const struct sftp_attrs *attrs,
                    const uint8_t *hash, const char *data)
{
    return sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "ssuats", "put@afar", name, flags, attrs,
                            hash, hash != NULL ? (size_t)32 : (size_t)0, data);
}

static void test_put(void **state)
{
    (void)state;
    static const struct sftp_attrs none = {0};
    struct stat info;
    struct stat before;
    assert_int_equal(put("f", FSYNC, &mode_and_time, abc, "abc"), SFTP_STATUS_OK);
    assert_string_equal(sftp_peer_get(&peer, "f"), "abc");
    stat_of("f", &before);
    assert_int_equal(before.st_mode & 07777, 0751); /* never setuid */
    assert_true(before.st_mtim.tv_sec == 1000000000 && before.st_mtim.tv_nsec == 123456789);

    /* What arrived is not what was sent: the old file stays. */
    assert_int_equal(put("f", 0, &none, abc, "abd"), SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "the data was damaged on the way: its SHA-256 differs");
    assert_string_equal(sftp_peer_get(&peer, "f"), "abc");
    assert_int_equal(put("f", NEW_ONLY, &none, NULL, "new"), SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "File exists");
    assert_string_equal(sftp_peer_get(&peer, "f"), "abc");

    /* Replaced it is another file, of the old one's mode. */
    assert_int_equal(put("f", 0, &none, NULL, "x"), SFTP_STATUS_OK);
    stat_of("f", &info);
    assert_true(info.st_ino != before.st_ino && (info.st_mode & 07777) == 0751 &&
                info.st_size == 1);
    before = info;
    assert_int_equal(put("f", IN_PLACE, &none, NULL, "in place"), SFTP_STATUS_OK);
    stat_of("f", &info);
    assert_true(info.st_ino == before.st_ino && info.st_size == 8);

    /* Its own mode where it is replaced, the one that is asked for where it is new. */
    enum { KEEP_MODE = 8 };
    static const struct sftp_attrs other = {.flags = SFTP_ATTR_MODE, .mode = 0604};
    assert_int_equal(put("f", KEEP_MODE, &other, NULL, "x"), SFTP_STATUS_OK);
    stat_of("f", &info);
    assert_int_equal(info.st_mode & 07777, 0751);
    assert_int_equal(put("f", KEEP_MODE | IN_PLACE, &other, NULL, "y"), SFTP_STATUS_OK);
    stat_of("f", &info);
    assert_int_equal(info.st_mode & 07777, 0751);
    assert_int_equal(put("g", KEEP_MODE, &other, NULL, "x"), SFTP_STATUS_OK);
    stat_of("g", &info);
    assert_int_equal(info.st_mode & 07777, 0604);
    assert_int_equal(put("f", 0, &other, NULL, "x"), SFTP_STATUS_OK);
    stat_of("f", &info);
    assert_int_equal(info.st_mode & 07777, 0604);

    /* A link's file is replaced. */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_MKDIR, "s-", "d"), 0);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", "../f", "d/l"), 0);
    assert_int_equal(put("d/l", 0, &none, NULL, "by the link"), SFTP_STATUS_OK);
    stat_of("d/l", &info);
    assert_true(S_ISLNK(info.st_mode));
    assert_string_equal(sftp_peer_get(&peer, "f"), "by the link");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", "loop", "loop"), 0);
    assert_int_equal(put("loop", 0, &none, NULL, "x"), SFTP_STATUS_FAILURE);
    assert_int_equal(put("none/f", 0, &none, NULL, "x"), SFTP_STATUS_NO_SUCH_FILE);
    assert_int_equal(put("d", 0, &none, NULL, "x"), SFTP_STATUS_FAILURE);
    assert_int_equal(put("d/", 0, &none, NULL, "x"), SFTP_STATUS_FAILURE);
    expect_no_partials();

    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    assert_int_equal(put(longest, 0, &none, NULL, "x"), SFTP_STATUS_OK);
    expect_no_partials();
}

/* ---- partial and commit ---------------------------------------------------------------------- */

static uint64_t open_partial(const char *name, const char *tag, uint8_t *handle)
{
    if (sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "sss", "partial@afar", name, tag) !=
        SFTP_TYPE_EXTENDED_REPLY)
        fail_msg("%s", peer.text);
    struct sftp_text text = sftp_read_text(&peer.body);
    assert_int_equal(text.size, SFTP_HANDLE_BYTES);
    memcpy(handle, text.bytes, text.size);
    return sftp_read_u64(&peer.body);
}

static uint32_t commit(const uint8_t *handle, uint32_t flags, uint64_t size, const uint8_t *hash)
{
    return sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shuqat", "commit@afar", handle, flags, size,
                            &mode_and_time, hash, hash != NULL ? (size_t)32 : (size_t)0);
}

static uint32_t write_at(const uint8_t *handle, uint64_t offset, const char *text)
{
    return sftp_peer_status(&peer, SFTP_TYPE_WRITE, "hqs", handle, offset, text);
}

static void test_partial(void **state)
{
    (void)state;
    static const char partial[] = ".f.afar-3132333435363738";
    uint8_t handle[SFTP_HANDLE_BYTES];
    struct stat info;
    sftp_peer_put(&peer, "f", "old");
    assert_int_equal(open_partial("f", "12345678", handle), 0);
    assert_int_equal(write_at(handle, 0, "abc"), 0);
    assert_int_equal(write_at(handle, 3, "dX"), 0);
    assert_string_equal(sftp_peer_get(&peer, "f"), "old");
    assert_string_equal(sftp_peer_get(&peer, partial), "abcdX");
    stat_of(partial, &info);
    assert_int_equal(info.st_mode & 07777, 0600);

    /* It is ours as long as it is open. */
    assert_int_equal(
        sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", "partial@afar", "f", "12345678"),
        SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "another copy is under way");

    /* Cut, and gone on with: by what is there, and what has changed since. */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_CLOSE, "h", handle), 0);
    assert_int_equal(open_partial("f", "12345678", handle), 5);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "shsqqu", "check-file", handle,
                                    "sha256", UINT64_C(0), UINT64_C(3), 0U),
                     SFTP_TYPE_EXTENDED_REPLY);
    (void)sftp_read_text(&peer.body);
    (void)sftp_read_text(&peer.body);
    struct sftp_text hash = sftp_read_bytes(&peer.body, 32);
    assert_memory_equal(hash.bytes, abc, 32);
    assert_int_equal(commit(handle, 0, 5, abcde), SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "the data was damaged on the way: its SHA-256 differs");
    assert_string_equal(sftp_peer_get(&peer, "f"), "old");
    assert_int_equal(write_at(handle, 4, "e and a tail"), 0);
    assert_int_equal(commit(handle, NEW_ONLY, 5, abcde), SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "File exists");
    assert_int_equal(commit(handle, FSYNC, 5, abcde), SFTP_STATUS_OK);
    assert_string_equal(sftp_peer_get(&peer, "f"), "abcde");
    assert_null(sftp_peer_get(&peer, partial));
    stat_of("f", &info);
    assert_int_equal(info.st_mode & 07777, 0751);
    assert_true(info.st_mtim.tv_nsec == 123456789);
    assert_int_equal(commit(handle, 0, 5, abcde), SFTP_STATUS_FAILURE); /* it is closed */
    expect_no_partials();
}

/* Out of order, and by other ways than WRITE: the hash is of what is there. */
static void test_hash_of_what_is_there(void **state)
{
    (void)state;
    uint8_t handle[SFTP_HANDLE_BYTES];
    struct sftp_attrs shorter = {.flags = SFTP_ATTR_SIZE, .size = 1};
    assert_int_equal(open_partial("f", "12345678", handle), 0);
    assert_int_equal(write_at(handle, 0, "abX"), 0);
    assert_int_equal(write_at(handle, 3, "de"), 0);
    assert_int_equal(write_at(handle, 2, "c"), 0);
    assert_int_equal(commit(handle, 0, 5, abcde), SFTP_STATUS_OK);
    assert_int_equal(open_partial("f", "12345678", handle), 0);
    assert_int_equal(write_at(handle, 0, "abcde"), 0);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_FSETSTAT, "ha", handle, &shorter), 0);
    assert_int_equal(write_at(handle, 1, "bX"), 0);
    assert_int_equal(commit(handle, 0, 3, abc), SFTP_STATUS_FAILURE);
    assert_int_equal(commit(handle, 0, 9, abc), SFTP_STATUS_FAILURE);
    assert_int_equal(write_at(handle, 2, "c"), 0);
    assert_int_equal(commit(handle, 0, 3, abc), SFTP_STATUS_OK);
    sftp_peer_open(&peer, "f", SFTP_OPEN_WRITE, handle);
    assert_int_equal(commit(handle, 0, 3, abc), SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "the handle is not of a partial file");
}

/* A name that somebody else has put there is not written through. */
static void test_partial_in_the_way(void **state)
{
    (void)state;
    sftp_peer_put(&peer, "victim", "v");
    assert_int_equal(
        sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", "victim", ".f.afar-3132333435363738"), 0);
    assert_int_equal(
        sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", "partial@afar", "f", "12345678"),
        SFTP_STATUS_FAILURE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", "hardlink@openssh.com",
                                      "victim", ".f.afar-3132333435363739"),
                     0);
    assert_int_equal(
        sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", "partial@afar", "f", "12345679"),
        SFTP_STATUS_FAILURE);
    assert_string_equal(sftp_peer_get(&peer, "victim"), "v");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_offered),
        cmocka_unit_test_setup_teardown(test_list, begin, end),
        cmocka_unit_test_setup_teardown(test_get, begin, end),
        cmocka_unit_test_setup_teardown(test_ranges, begin, end),
        cmocka_unit_test_setup_teardown(test_put, begin, end),
        cmocka_unit_test_setup_teardown(test_partial, begin, end),
        cmocka_unit_test_setup_teardown(test_hash_of_what_is_there, begin, end),
        cmocka_unit_test_setup_teardown(test_partial_in_the_way, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
