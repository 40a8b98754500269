// The spool: what is written is read again, and what is not there is told in numbers.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "keep/spool.h"

// wrap: pwritev

/* How many bytes may still be written to files; -1: any. A short write first, then ENOSPC. */
static long allowed = -1;
static unsigned writes;

ssize_t __real_pwritev(int fd, const struct iovec *parts, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int count, off_t offset);

ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    writes++;
    if (allowed < 0)
        return __real_pwritev(fd, parts, count, offset);
    if (allowed == 0) {
        errno = ENOSPC;
        return -1;
    }
    struct iovec part = parts[0];
    if (part.iov_len > (size_t)allowed)
        part.iov_len = (size_t)allowed;
    ssize_t written = __real_pwritev(fd, &part, 1, offset);
    allowed -= written > 0 ? written : 0;
    return written;
}

static char folder[64];
static int folder_fd = -1;
static const struct spool_limits plenty = {.bytes = 64 << 20, .when_full = WHEN_FULL_CUT};

static int set_up(void **state)
{
    (void)state;
    allowed = -1;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-spool-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    (void)close(folder_fd);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static struct spool *opened(const struct spool_limits *limits)
{
    struct spool *spool = NULL;
    assert_int_equal(spool_open(&spool, folder_fd, limits, NULL), AFAR_OK);
    return spool;
}

/* Byte `at` of a stream. */
static uint8_t byte_of(enum stream stream, uint64_t at)
{
    return (uint8_t)(at * 31 + at / 251 + (stream == STREAM_STDERR ? 7 : 0));
}

static void add(struct spool *spool, enum stream stream, size_t size)
{
    uint8_t data[SPOOL_RECORD_BYTES];
    uint64_t bytes[2];
    spool_bytes(spool, bytes);
    for (size_t i = 0; i < size; i++)
        data[i] = byte_of(stream, bytes[stream] + i);
    assert_int_equal(spool_append(spool, stream, data, size), AFAR_OK);
}

/* Reads all from a place on: what comes is right, what is missing is counted, and it ends where the
 * spool does. */
static uint64_t check_from(struct spool *spool, uint64_t seq, const uint64_t bytes[2])
{
    static uint8_t room[SPOOL_RECORD_BYTES];
    struct spool_cursor cursor = {.seq = seq, .bytes = {bytes[0], bytes[1]}, .fd = -1};
    struct spool_record record;
    uint64_t lost = 0;
    uint64_t end[2];
    enum spool_got got;
    for (;;) {
        const struct spool_cursor before = cursor;
        got = spool_next(spool, &cursor, room, sizeof room, &record);
        if (got == SPOOL_END)
            break;
        if (got == SPOOL_GAP) {
            assert_true(record.next > before.seq);
            lost += record.lost[0] + record.lost[1];
            assert_int_equal(cursor.bytes[0], before.bytes[0] + record.lost[0]);
            assert_int_equal(cursor.bytes[1], before.bytes[1] + record.lost[1]);
            continue;
        }
        assert_int_equal(got, SPOOL_FRAME);
        for (size_t i = 0; i < record.size; i++)
            assert_int_equal(room[i], byte_of(record.stream, before.bytes[record.stream] + i));
    }
    spool_bytes(spool, end);
    assert_int_equal(cursor.seq, spool_end(spool));
    assert_int_equal(cursor.bytes[0], end[0]);
    assert_int_equal(cursor.bytes[1], end[1]);
    spool_cursor_close(&cursor);
    return lost;
}

static uint64_t check_all(struct spool *spool)
{
    const uint64_t none[2] = {0, 0};
    return check_from(spool, 0, none);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct spool *spool = opened(&plenty);
    uint64_t bytes[2];
    for (int i = 0; i < 200; i++)
        add(spool, i % 3 == 0 ? STREAM_STDERR : STREAM_STDOUT, (size_t)(1 + i * 277) % 65536 + 1);
    assert_int_equal(check_all(spool), 0);
    for (uint64_t seq = 0; seq <= 200; seq += 7) {
        assert_true(spool_bytes_before(spool, seq, bytes));
        assert_int_equal(check_from(spool, seq, bytes), 0);
    }
    assert_false(spool_bytes_before(spool, 201, bytes));
    spool_free(spool);
    spool = opened(&plenty);
    assert_int_equal(spool_end(spool), 200);
    assert_int_equal(check_all(spool), 0);
    add(spool, STREAM_STDOUT, 100);
    assert_int_equal(check_all(spool), 0);
    spool_free(spool);
}

static void beginning_and_end_are_kept(void **state)
{
    const struct spool_limits little = {.bytes = 1 << 20, .when_full = WHEN_FULL_CUT};
    (void)state;
    struct spool *spool = opened(&little);
    uint64_t bytes[2];
    for (int i = 0; i < 2000; i++) {
        add(spool, i % 5 == 0 ? STREAM_STDERR : STREAM_STDOUT, 3000);
        if (i % 400 == 0)
            (void)check_all(spool);
    }
    uint64_t lost = check_all(spool);
    assert_true(lost > 4 << 20 && lost <= (2000 * 3000) - (3 << 18));
    assert_true(spool_bytes_before(spool, 50, bytes));
    assert_int_equal(bytes[0] + bytes[1], 150000);
    assert_false(spool_bytes_before(spool, 1000, bytes));
    assert_true(spool_bytes_before(spool, 1990, bytes));
    spool_free(spool);
    spool = opened(&little);
    assert_int_equal(check_all(spool), lost);
    spool_free(spool);
}

static void what_the_disk_refuses_is_a_gap(void **state)
{
    (void)state;
    for (long room = 0; room < 900; room++) {
        uint64_t half[2];
        struct spool *spool = opened(&plenty);
        const uint64_t before = spool_end(spool);
        const uint64_t lost_before = check_all(spool);
        uint64_t lost = 0;
        add(spool, STREAM_STDOUT, 300);
        allowed = room;
        add(spool, STREAM_STDERR, 200);
        add(spool, STREAM_STDOUT, 100);
        spool_bytes(spool, half);
        const uint64_t at = spool_end(spool);
        (void)check_all(spool);
        add(spool, STREAM_STDOUT, 50);
        allowed = -1;
        add(spool, STREAM_STDERR, 70);
        (void)spool_failure(spool, &lost);
        assert_int_equal(check_all(spool), lost_before + lost);
        /* A reader that had come so far within the gap. */
        (void)check_from(spool, at, half);
        assert_int_equal(spool_end(spool), before + 5);
        spool_free(spool);
    }
}

static void torn_ends_are_dropped(void **state)
{
    (void)state;
    struct spool *spool = opened(&plenty);
    char path[96];
    struct stat info;
    add(spool, STREAM_STDOUT, 10);
    add(spool, STREAM_STDERR, 20);
    add(spool, STREAM_STDOUT, 30);
    spool_free(spool);
    (void)snprintf(path, sizeof path, "%s/out.000001", folder);
    assert_int_equal(stat(path, &info), 0);
    for (off_t size = info.st_size; size >= 0; size--) {
        const uint64_t told[2] = {40, 20};
        assert_int_equal(truncate(path, size), 0);
        spool = opened(&plenty);
        const uint64_t end = spool_end(spool);
        assert_true(end <= 3);
        assert_int_equal(end == 3, size == info.st_size);
        assert_int_equal(check_all(spool), 0);
        spool_complete(spool, 3, told);
        assert_int_equal(spool_end(spool), 3);
        assert_int_equal(check_all(spool), end == 3 ? 0 : end == 2 ? 30 : end == 1 ? 50 : 60);
        spool_free(spool);
    }
}

static void damage_is_a_gap(void **state)
{
    (void)state;
    const struct spool_limits little = {
        .bytes = 1 << 20, .segment_bytes = 8192, .when_full = WHEN_FULL_CUT};
    struct spool *spool = opened(&little);
    char path[96];
    for (int i = 0; i < 20; i++)
        add(spool, STREAM_STDOUT, 1000);
    (void)snprintf(path, sizeof path, "%s/out.000002", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "!", 1, 2500), 1);
    (void)close(fd);
    uint64_t lost = check_all(spool);
    assert_true(lost >= 1000 && lost < 8192);
    spool_free(spool);
}

static void block_waits_for_acknowledgement(void **state)
{
    const struct spool_limits block = {.bytes = 1 << 20, .when_full = WHEN_FULL_BLOCK};
    static uint8_t data[SPOOL_RECORD_BYTES];
    (void)state;
    struct spool *spool = opened(&block);
    unsigned count = 0;
    while (!spool_is_full(spool)) {
        assert_int_equal(spool_append(spool, STREAM_STDOUT, data, sizeof data), AFAR_OK);
        count++;
    }
    assert_true(count >= 12 && count <= 16);
    uint64_t end = spool_end(spool);
    enum afar_status status = AFAR_OK;
    for (int i = 0; i < 3 && status == AFAR_OK; i++)
        status = spool_append(spool, STREAM_STDOUT, data, sizeof data);
    assert_int_equal(status, AFAR_EAGAIN);
    assert_true(spool_end(spool) <= end + 2);
    spool_release(spool, spool_end(spool));
    assert_false(spool_is_full(spool));
    assert_int_equal(spool_append(spool, STREAM_STDOUT, data, sizeof data), AFAR_OK);
    spool_free(spool);
}

/* From a time on; before the first, that is all, and after the last, nothing. */
static void since_a_time(void **state)
{
    const struct spool_limits little = {.bytes = 1 << 20, .segment_bytes = 1 << 16};
    static const uint8_t data[20000];
    uint64_t at_us[8];
    struct timespec now;
    (void)state;
    struct spool *spool = opened(&little);
    assert_int_equal(spool_since(spool, 0), 0);
    for (unsigned i = 0; i < 8; i++) {
        (void)usleep(2000);
        (void)clock_gettime(CLOCK_REALTIME, &now);
        at_us[i] = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        assert_int_equal(spool_append(spool, STREAM_STDOUT, data, sizeof data), AFAR_OK);
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(spool_since(spool, 0), 0);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(spool_since(spool, at_us[i]), i);
        assert_int_equal(spool_since(spool, at_us[7] + 1000000000), 8);
        spool_free(spool);
        spool = opened(&little);
    }
    spool_free(spool);
}

/* A receipt by somebody who could not read all of it: nothing is told beyond. */
static void less_than_there_is(void **state)
{
    struct spool_cursor cursor = {.fd = -1};
    struct spool_record record;
    const uint64_t bytes[2] = {3, 0};
    char room[16];
    (void)state;
    struct spool *spool = opened(&plenty);
    for (int i = 0; i < 3; i++)
        assert_int_equal(spool_append(spool, STREAM_STDOUT, "abc", 3), AFAR_OK);
    spool_free(spool);
    spool = opened(&plenty);
    spool_complete(spool, 1, bytes);
    assert_int_equal(spool_end(spool), 1);
    assert_int_equal(spool_next(spool, &cursor, room, sizeof room, &record), SPOOL_FRAME);
    assert_int_equal(spool_next(spool, &cursor, room, sizeof room, &record), SPOOL_END);
    spool_cursor_close(&cursor);
    spool_free(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(since_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(less_than_there_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(beginning_and_end_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_disk_refuses_is_a_gap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(torn_ends_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_a_gap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(block_waits_for_acknowledgement, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
