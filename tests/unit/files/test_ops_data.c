/* Open, read, write, and what copies and hashes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/files.h"
#include "support/sftp_peer.h"
#include "wire/file_note.h"

static const struct files_options plain = {.note_fd = -1};
static struct sftp_peer peer;

static int begin(void **state)
{
    (void)state;
    sftp_peer_serve(&peer, files_serve, &plain);
    sftp_peer_greet(&peer, false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return sftp_peer_close(&peer);
}

static void path_of(const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", peer.folder, name);
}

static uint32_t write_at(const uint8_t *handle, uint64_t offset, const char *text)
{
    return sftp_peer_status(&peer, SFTP_TYPE_WRITE, "hqs", handle, offset, text);
}

static void close_handle(const uint8_t *handle)
{
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_CLOSE, "h", handle), SFTP_STATUS_OK);
}

static void test_write_and_read(void **state)
{
    (void)state;
    uint8_t handle[SFTP_HANDLE_BYTES];
    sftp_peer_open(&peer, "new", SFTP_OPEN_READ | SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, handle);
    assert_int_equal(write_at(handle, 0, "hello"), SFTP_STATUS_OK);
    assert_int_equal(write_at(handle, 5, " world"), SFTP_STATUS_OK);
    assert_int_equal(write_at(handle, 0, "J"), SFTP_STATUS_OK);
    assert_string_equal(sftp_peer_read(&peer, handle, 0, 100), "Jello world");
    assert_string_equal(sftp_peer_read(&peer, handle, 6, 3), "wor");
    assert_string_equal(sftp_peer_read(&peer, handle, 11, 3), "");
    assert_int_equal(peer.status, SFTP_STATUS_EOF);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_READ, "hqu", handle, UINT64_C(0), 0U),
                     SFTP_TYPE_DATA);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_READ, "hqu", handle, UINT64_MAX, 10U),
                     SFTP_STATUS_BAD_MESSAGE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_WRITE, "hqs", handle, UINT64_MAX, "x"),
                     SFTP_STATUS_BAD_MESSAGE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sh", "fsync@openssh.com", handle),
                     SFTP_STATUS_OK);
    close_handle(handle);
    assert_string_equal(sftp_peer_get(&peer, "new"), "Jello world");
}

static void test_flags(void **state)
{
    (void)state;
    uint8_t handle[SFTP_HANDLE_BYTES];
    sftp_peer_put(&peer, "there", "0123456789");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_OPEN, "su-", "absent", SFTP_OPEN_WRITE),
                     SFTP_STATUS_NO_SUCH_FILE);
    assert_string_equal(peer.text, "No such file or directory");
    assert_int_equal(
        sftp_peer_status(&peer, SFTP_TYPE_OPEN, "su-", "absent", SFTP_OPEN_READ | SFTP_OPEN_CREAT),
        SFTP_STATUS_NO_SUCH_FILE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_OPEN, "su-", "there",
                                      SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_EXCL),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "File exists");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_OPEN, "su-", "there", SFTP_OPEN_TRUNC),
                     SFTP_STATUS_BAD_MESSAGE);
    /* What only reads does not truncate. */
    sftp_peer_open(&peer, "there", SFTP_OPEN_READ | SFTP_OPEN_TRUNC, handle);
    assert_int_equal(write_at(handle, 0, "x"), SFTP_STATUS_FAILURE);
    close_handle(handle);
    assert_string_equal(sftp_peer_get(&peer, "there"), "0123456789");
    sftp_peer_open(&peer, "there", SFTP_OPEN_WRITE, handle);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_READ, "hqu", handle, UINT64_C(0), 1U),
                     SFTP_STATUS_FAILURE);
    assert_int_equal(write_at(handle, 2, "ab"), SFTP_STATUS_OK);
    close_handle(handle);
    assert_string_equal(sftp_peer_get(&peer, "there"), "01ab456789");
    sftp_peer_open(&peer, "there", SFTP_OPEN_WRITE | SFTP_OPEN_TRUNC, handle);
    close_handle(handle);
    assert_string_equal(sftp_peer_get(&peer, "there"), "");
}

/* An offset inside of what is there contradicts appending: written twice is worse than refused. */
static void test_append(void **state)
{
    (void)state;
    uint8_t handle[SFTP_HANDLE_BYTES];
    sftp_peer_put(&peer, "log", "one\n");
    sftp_peer_open(&peer, "log", SFTP_OPEN_WRITE | SFTP_OPEN_APPEND, handle);
    assert_int_equal(write_at(handle, 0, "again\n"), SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text,
                        "opened to append, and the offset is before the end of the file");
    assert_int_equal(write_at(handle, 4, "two\n"), SFTP_STATUS_OK);
    assert_int_equal(write_at(handle, 1000, "three\n"), SFTP_STATUS_OK);
    assert_int_equal(write_at(handle, 7, "x"), SFTP_STATUS_FAILURE);
    close_handle(handle);
    assert_string_equal(sftp_peer_get(&peer, "log"), "one\ntwo\nthree\n");
}

static void test_modes(void **state)
{
    (void)state;
    char path[128];
    struct stat info;
    struct sftp_attrs attrs = {.flags = SFTP_ATTR_MODE, .mode = 0106755};
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_OPEN, "sua", "m",
                                    SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, &attrs),
                     SFTP_TYPE_HANDLE);
    path_of("m", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 06000, 0);
    assert_int_equal(info.st_mode & 0700, 0700);
    attrs.mode = 0104711;
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SETSTAT, "sa", "m", &attrs), SFTP_STATUS_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0711);
}

/* What is not a file is not opened: a FIFO would hang, a device would act. */
static void test_kinds(void **state)
{
    (void)state;
    char path[128];
    path_of("fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    path_of("dir", path);
    assert_int_equal(mkdir(path, 0700), 0);
    static const struct {
        const char *name;
        uint32_t flags;
        const char *text;
    } cases[] = {
        {"fifo", SFTP_OPEN_READ, "is a fifo"},
        {"fifo", SFTP_OPEN_WRITE, "is a fifo"},
        {"fifo", SFTP_OPEN_READ | SFTP_OPEN_WRITE | SFTP_OPEN_TRUNC, "is a fifo"},
        {"dir", SFTP_OPEN_READ, "is a directory"},
        {"dir", SFTP_OPEN_WRITE, "Is a directory"},
        {"/dev/null", SFTP_OPEN_WRITE, "is a device"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            sftp_peer_status(&peer, SFTP_TYPE_OPEN, "su-", cases[i].name, cases[i].flags),
            SFTP_STATUS_FAILURE);
        assert_string_equal(peer.text, cases[i].text);
    }
}

static void test_copy_data(void **state)
{
    (void)state;
    uint8_t from[SFTP_HANDLE_BYTES];
    uint8_t to[SFTP_HANDLE_BYTES];
    sftp_peer_put(&peer, "from", "0123456789");
    sftp_peer_open(&peer, "from", SFTP_OPEN_READ, from);
    sftp_peer_open(&peer, "to", SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, to);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shqqhq", "copy-data", from,
                                      UINT64_C(2), UINT64_C(3), to, UINT64_C(0)),
                     SFTP_STATUS_OK);
    assert_string_equal(sftp_peer_get(&peer, "to"), "234");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shqqhq", "copy-data", from,
                                      UINT64_C(5), UINT64_C(0), to, UINT64_C(3)),
                     SFTP_STATUS_OK);
    assert_string_equal(sftp_peer_get(&peer, "to"), "23456789");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shqqhq", "copy-data", from,
                                      UINT64_C(0), UINT64_C(0), from, UINT64_C(10)),
                     SFTP_STATUS_FAILURE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shqqhq", "copy-data", to,
                                      UINT64_C(0), UINT64_C(1), from, UINT64_C(0)),
                     SFTP_STATUS_FAILURE);
    /* To the end of a file that grows by it. */
    uint8_t again[SFTP_HANDLE_BYTES];
    sftp_peer_open(&peer, "from", SFTP_OPEN_WRITE, again);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shqqhq", "copy-data", from,
                                      UINT64_C(0), UINT64_C(0), again, UINT64_C(5)),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(peer.text, "source and target are one file");
    assert_string_equal(sftp_peer_get(&peer, "from"), "0123456789");
}

/* A copy that stops in the middle: what it has written counts. */
static void test_copy_in_part(void **state)
{
    enum { ROOM = 4 };
    const struct rlimit most = {.rlim_cur = ROOM, .rlim_max = ROOM};
    struct files_options noted = {.note_changes = true};
    struct file_note note;
    uint8_t data[FILE_NOTE_MAX_BYTES];
    uint8_t from[SFTP_HANDLE_BYTES];
    uint8_t to[SFTP_HANDLE_BYTES];
    int notes[2];
    (void)state;
    assert_int_equal(pipe2(notes, O_CLOEXEC | O_NONBLOCK), 0);
    noted.note_fd = notes[1];
    sftp_peer_serve(&peer, files_serve, &noted);
    sftp_peer_greet(&peer, false);
    sftp_peer_put(&peer, "from", "0123456789");
    sftp_peer_put(&peer, "to", "");
    sftp_peer_open(&peer, "from", SFTP_OPEN_READ, from);
    /* The kernel does not copy to the end of a file that is opened to append: copy_file_range(2). */
    sftp_peer_open(&peer, "to", SFTP_OPEN_WRITE | SFTP_OPEN_APPEND, to);
    assert_int_equal(prlimit(peer.pid, RLIMIT_FSIZE, &most, NULL), 0);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shqqhq", "copy-data", from,
                                      UINT64_C(0), UINT64_C(10), to, UINT64_C(0)),
                     SFTP_STATUS_FAILURE);
    assert_string_equal(sftp_peer_get(&peer, "to"), "0123");
    close_handle(to);
    ssize_t size = read(notes[0], data, sizeof data);
    assert_true(size > 0);
    assert_int_equal(file_note_take(data, (size_t)size, &note), size);
    assert_int_equal(note.op, FILE_OP_WRITE);
    assert_int_equal(note.bytes, ROOM);
    (void)close(notes[0]);
    (void)close(notes[1]);
}

/* SHA-256 of "abc": FIPS 180-2, B.1. */
static const uint8_t abc_hash[32] = {
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

static void expect_hash(void)
{
    assert_int_equal(peer.type, SFTP_TYPE_EXTENDED_REPLY);
    struct sftp_text word = sftp_read_text(&peer.body);
    assert_true(sftp_text_is(&word, "check-file"));
    word = sftp_read_text(&peer.body);
    assert_true(sftp_text_is(&word, "sha256"));
    assert_int_equal(sftp_reader_left(&peer.body), sizeof abc_hash);
    struct sftp_text hash = sftp_read_bytes(&peer.body, sizeof abc_hash);
    assert_memory_equal(hash.bytes, abc_hash, sizeof abc_hash);
}

static void test_check_file(void **state)
{
    (void)state;
    uint8_t handle[SFTP_HANDLE_BYTES];
    sftp_peer_put(&peer, "abc", "__abc__");
    sftp_peer_open(&peer, "abc", SFTP_OPEN_READ, handle);
    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "shsqqu", "check-file", handle,
                         "md5,sha256,sha512", UINT64_C(2), UINT64_C(3), 0U);
    expect_hash();
    (void)sftp_peer_call(&peer, SFTP_TYPE_EXTENDED, "sssqqu", "check-file-name", "abc", "sha256",
                         UINT64_C(2), UINT64_C(3), 256U);
    expect_hash();
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shsqqu", "check-file", handle,
                                      "md5", UINT64_C(0), UINT64_C(0), 0U),
                     SFTP_STATUS_FAILURE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "shsqqu", "check-file", handle,
                                      "sha256", UINT64_C(0), UINT64_C(0), 255U),
                     SFTP_STATUS_BAD_MESSAGE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sssqqu", "check-file-name", ".",
                                      "sha256", UINT64_C(0), UINT64_C(0), 0U),
                     SFTP_STATUS_FAILURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_and_read, begin, end),
        cmocka_unit_test_setup_teardown(test_flags, begin, end),
        cmocka_unit_test_setup_teardown(test_append, begin, end),
        cmocka_unit_test_setup_teardown(test_modes, begin, end),
        cmocka_unit_test_setup_teardown(test_kinds, begin, end),
        cmocka_unit_test_setup_teardown(test_copy_data, begin, end),
        cmocka_unit_test_teardown(test_copy_in_part, end),
        cmocka_unit_test_setup_teardown(test_check_file, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
