#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "wire/sftp.h"

static void test_reading(void **state)
{
    (void)state;
    static const uint8_t data[] = {7, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 2, 'h', 'i', 9};
    struct sftp_reader reader;
    sftp_reader_init(&reader, data, sizeof data);
    assert_int_equal(sftp_read_u8(&reader), 7);
    assert_int_equal(sftp_read_u32(&reader), 0x102);
    assert_int_equal(sftp_read_u64(&reader), 0x304);
    struct sftp_text text = sftp_read_text(&reader);
    assert_true(sftp_text_is(&text, "hi"));
    assert_false(sftp_text_is(&text, "h"));
    assert_false(sftp_text_is(&text, "hi!"));
    assert_int_equal(sftp_reader_left(&reader), 1);
    assert_false(reader.failed);
}

/* What is not there reads as nothing, and so does all behind it. */
static void test_reading_too_far(void **state)
{
    (void)state;
    static const uint8_t data[] = {0, 0, 0, 9, 'x', 'y'};
    struct sftp_reader reader;
    sftp_reader_init(&reader, data, sizeof data);
    struct sftp_text text = sftp_read_text(&reader);
    assert_true(reader.failed);
    assert_int_equal(text.size, 0);
    assert_int_equal(sftp_read_u8(&reader), 0);

    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 'x'};
    sftp_reader_init(&reader, huge, sizeof huge);
    text = sftp_read_text(&reader);
    assert_true(reader.failed);
    assert_int_equal(text.size, 0);
}

static void test_next(void **state)
{
    (void)state;
    static const uint8_t data[] = {0, 0, 0, 2, 'a', 'b', 0};
    static const uint8_t empty[] = {0, 0, 0, 0};
    static const uint8_t most[] = {0, 4, 0, 0, 1};
    static const uint8_t more[] = {0, 4, 0, 1, 1};
    const uint8_t *body = NULL;
    size_t size = 0;
    size_t used = 0;
    struct afar_error err;
    for (size_t have = 0; have < 6; have++) {
        assert_int_equal(sftp_next(data, have, &body, &size, &used, &err), AFAR_EAGAIN);
        assert_int_equal(used, have < 4 ? 4 : 6);
    }
    assert_int_equal(sftp_next(data, sizeof data, &body, &size, &used, &err), AFAR_OK);
    assert_ptr_equal(body, data + 4);
    assert_int_equal(size, 2);
    assert_int_equal(used, 6);
    assert_int_equal(sftp_next(empty, 4, &body, &size, &used, &err), AFAR_EPEER);
    assert_int_equal(sftp_next(most, 5, &body, &size, &used, &err), AFAR_EAGAIN);
    assert_int_equal(used, 4 + SFTP_PACKET_MAX_BYTES);
    assert_int_equal(sftp_next(more, 5, &body, &size, &used, &err), AFAR_EPEER);
    assert_string_equal(err.message, "a packet of 262145 bytes, 1 to 262144 are allowed");
}

static void test_writing(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0, 0, 0, 20, 5, 0, 0, 0, 9, 0,   0,   0,
                                       0, 0, 0, 0,  8, 0, 0, 0, 3, 'a', 'b', 'c'};
    struct buffer out;
    struct sftp_writer writer;
    buffer_init(&out, 4096);
    sftp_begin(&writer, &out, 100);
    sftp_put_u8(&writer, 5);
    size_t mark = sftp_mark(&writer);
    sftp_put_u32(&writer, 0);
    sftp_put_u64(&writer, 8);
    size_t end = sftp_mark(&writer);
    sftp_put_word(&writer, "taken back");
    sftp_rewind(&writer, end);
    sftp_put_text(&writer, "abc", 3);
    sftp_patch_u32(&writer, mark, 9);
    assert_int_equal(sftp_end(&writer, NULL), AFAR_OK);
    assert_int_equal(buffer_size(&out), sizeof expected);
    assert_memory_equal(buffer_head(&out), expected, sizeof expected);
    buffer_close(&out);
}

/* A packet that is not whole is not sent at all. */
static void test_writing_too_much(void **state)
{
    (void)state;
    struct buffer out;
    struct sftp_writer writer;
    buffer_init(&out, 64);
    sftp_begin(&writer, &out, 4);
    sftp_put_u32(&writer, 1);
    sftp_put_u8(&writer, 1);
    sftp_put_u8(&writer, 1);
    assert_null(sftp_put_room(&writer, 1));
    assert_int_equal(sftp_end(&writer, NULL), AFAR_ELIMIT);
    assert_int_equal(buffer_size(&out), 0);

    sftp_begin(&writer, &out, 100); /* more than the buffer may hold */
    sftp_put_u8(&writer, 1);
    sftp_patch_u32(&writer, 0, 1);
    assert_int_not_equal(sftp_end(&writer, NULL), AFAR_OK);
    assert_int_equal(buffer_size(&out), 0);
    buffer_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_reading_too_far),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_writing_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
