#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "wire/file_note.h"

static void test_there_and_back(void **state)
{
    (void)state;
    uint8_t data[2 * FILE_NOTE_MAX_BYTES];
    struct file_note note;
    const struct file_note rename = {
        .op = FILE_OP_RENAME, .failed = EACCES, .path = "/a\nb", .to = "/c"};
    struct file_note write = {
        .op = FILE_OP_WRITE, .bytes = UINT64_C(1) << 40, .has_hash = true, .path = "/", .to = ""};
    memset(write.hash, 0xab, sizeof write.hash);
    size_t first = file_note_put(data, &rename);
    size_t second = file_note_put(data + first, &write);
    assert_true(first > 0 && second > 0);
    for (size_t have = 0; have < first; have++)
        assert_int_equal(file_note_take(data, have, &note), 0);
    assert_int_equal(file_note_take(data, first + second, &note), first);
    assert_int_equal(note.op, FILE_OP_RENAME);
    assert_int_equal(note.failed, EACCES);
    assert_false(note.has_hash);
    assert_string_equal(note.path, "/a\nb");
    assert_string_equal(note.to, "/c");
    assert_int_equal(file_note_take(data + first, second, &note), second);
    assert_string_equal(file_op_name(note.op), "write");
    assert_true(note.bytes == UINT64_C(1) << 40 && note.has_hash);
    assert_memory_equal(note.hash, write.hash, sizeof note.hash);
    assert_string_equal(note.path, "/");
    assert_string_equal(note.to, "");
    assert_false(file_op_is_lock(note.op));
    const struct file_note held = {
        .op = FILE_OP_HELD, .path = "/", .to = "", .file = {.device = 7, .inode = 1}};
    size_t third = file_note_put(data, &held);
    assert_int_equal(file_note_take(data, third, &note), third);
    assert_true(file_op_is_lock(note.op) && note.file.device == 7 && note.file.inode == 1);
}

static void test_limits(void **state)
{
    (void)state;
    uint8_t data[FILE_NOTE_MAX_BYTES];
    char path[FILE_NOTE_PATH_BYTES + 1];
    struct file_note note = {.op = FILE_OP_LINK, .has_hash = true, .path = path, .to = path};
    memset(path, 'a', sizeof path);
    path[FILE_NOTE_PATH_BYTES] = '\0';
    assert_int_equal(file_note_put(data, &note), 0);
    path[FILE_NOTE_PATH_BYTES - 1] = '\0';
    size_t size = file_note_put(data, &note);
    assert_in_range(size, 2 * FILE_NOTE_PATH_BYTES, FILE_NOTE_MAX_BYTES);
    assert_int_equal(file_note_take(data, size, &note), size);
    assert_int_equal(strlen(note.to), FILE_NOTE_PATH_BYTES - 1);
}

/* What no file server of ours says is not believed. */
static void test_nonsense(void **state)
{
    (void)state;
    uint8_t data[FILE_NOTE_MAX_BYTES];
    struct file_note note = {.op = FILE_OP_READ, .path = "/a", .to = "/b"};
    size_t size = file_note_put(data, &note);
    unsigned accepted = 0;
    for (size_t at = 0; at < size; at++) {
        uint8_t was = data[at];
        for (unsigned value = 0; value < 256; value++) {
            data[at] = (uint8_t)value;
            size_t used = file_note_take(data, size, &note);
            assert_true(used == 0 || used == SIZE_MAX || used == size);
            if (used == size)
                assert_true(note.op < FILE_OPS && strlen(note.path) == 2 && strlen(note.to) == 2);
            accepted += used == size ? 1 : 0;
        }
        data[at] = was;
    }
    assert_true(accepted > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
