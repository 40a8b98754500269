#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "wire/sftp_attrs.h"

static struct buffer out;

static void write_attrs(const struct sftp_attrs *attrs, struct sftp_reader *reader)
{
    struct sftp_writer writer;
    buffer_clear(&out);
    sftp_begin(&writer, &out, SFTP_ATTRS_MAX_BYTES);
    sftp_put_attrs(&writer, attrs);
    assert_int_equal(sftp_end(&writer, NULL), AFAR_OK);
    sftp_reader_init(reader, buffer_head(&out) + SFTP_LENGTH_BYTES,
                     buffer_size(&out) - SFTP_LENGTH_BYTES);
}

/* Each set of fields is read as it was written, and no set reads into what follows. */
static void test_there_and_back(void **state)
{
    (void)state;
    buffer_init(&out, 4096);
    for (uint32_t flags = 0; flags < 64; flags++) {
        struct sftp_attrs attrs = {
            .flags = flags & 15, .has_ns = (flags & 16) != 0, .has_id = (flags & 32) != 0};
        struct sftp_attrs read;
        struct sftp_reader reader;
        if ((flags & SFTP_ATTR_SIZE) != 0)
            attrs.size = UINT64_C(0x1122334455667788);
        if ((flags & SFTP_ATTR_OWNER) != 0)
            attrs.uid = 1000, attrs.gid = 1001;
        if ((flags & SFTP_ATTR_MODE) != 0)
            attrs.mode = 0100644;
        if ((flags & SFTP_ATTR_TIMES) != 0)
            attrs.atime = 5, attrs.mtime = 6;
        if (attrs.has_ns)
            attrs.atime_ns = 7, attrs.mtime_ns = 999999999;
        if (attrs.has_id)
            attrs.device = UINT64_MAX, attrs.inode = 8;
        write_attrs(&attrs, &reader);
        sftp_read_attrs(&reader, &read);
        assert_false(reader.failed);
        assert_int_equal(sftp_reader_left(&reader), 0);
        assert_true(read.has_id == attrs.has_id && read.device == attrs.device);
        assert_true(read.inode == attrs.inode);
        assert_int_equal(read.flags, attrs.flags);
        assert_true(read.size == attrs.size && read.uid == attrs.uid && read.gid == attrs.gid);
        assert_true(read.mode == attrs.mode && read.atime == attrs.atime);
        assert_true(read.mtime == attrs.mtime && read.has_ns == attrs.has_ns);
        assert_true(read.atime_ns == attrs.atime_ns && read.mtime_ns == attrs.mtime_ns);
    }
    buffer_close(&out);
}

static bool reads(const uint8_t *data, size_t size, struct sftp_attrs *attrs)
{
    struct sftp_reader reader;
    sftp_reader_init(&reader, data, size);
    sftp_read_attrs(&reader, attrs);
    return !reader.failed;
}

static void test_pairs(void **state)
{
    (void)state;
    struct sftp_attrs attrs;
    static const uint8_t unknown[] = {0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'x', 0, 0, 0, 2, 1, 2};
    static const uint8_t many[] = {0x80, 0, 0, 0, 0, 0, 0, 17};
    static const uint8_t lies[] = {0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 'x', 0, 0, 0, 0};
    static const uint8_t shorter[] = {0x80, 0,   0,   0, 0, 0, 0, 1, 0, 0, 0,
                                      2,    'n', 's', 0, 0, 0, 4, 0, 0, 0, 1};
    static const uint8_t second[] = {0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0,    0,    2,    'n',
                                     's',  0, 0, 0, 8, 0, 0, 0, 1, 0x3b, 0x9a, 0xca, 0x00};
    assert_true(reads(unknown, sizeof unknown, &attrs));
    assert_false(attrs.has_ns);
    assert_false(reads(many, sizeof many, &attrs));
    assert_false(reads(lies, sizeof lies, &attrs));
    assert_false(reads(shorter, sizeof shorter, &attrs));
    assert_false(reads(second, sizeof second, &attrs)); /* a nanosecond too many */
    static const uint8_t cut[] = {0, 0, 0, SFTP_ATTR_SIZE, 0, 0, 0};
    assert_false(reads(cut, sizeof cut, &attrs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
