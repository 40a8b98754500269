// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/buffer.h"
#include "support/alloc_fault.h"

static void test_bytes_come_out_in_order(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    assert_int_equal(buffer_size(&buffer), 0);
    assert_null(buffer_head(&buffer));
    assert_int_equal(buffer_append(&buffer, "hello", 5, NULL), AFAR_OK);
    assert_int_equal(buffer_append(&buffer, " world", 6, NULL), AFAR_OK);
    assert_int_equal(buffer_size(&buffer), 11);
    buffer_consume(&buffer, 6);
    assert_int_equal(buffer_size(&buffer), 5);
    assert_memory_equal(buffer_head(&buffer), "world", 5);
    buffer_close(&buffer);
    assert_int_equal(buffer_size(&buffer), 0);
}

static void test_empty_holds_no_memory(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    assert_int_equal(buffer_append(&buffer, "", 0, NULL), AFAR_OK);
    assert_null(buffer.data);
    assert_int_equal(buffer_append(&buffer, "abc", 3, NULL), AFAR_OK);
    assert_non_null(buffer.data);
    buffer_consume(&buffer, 3);
    assert_null(buffer.data);
    assert_int_equal(buffer.capacity, 0);

    uint8_t *room = NULL;
    assert_int_equal(buffer_reserve(&buffer, 10, &room, NULL), AFAR_OK);
    assert_non_null(room);
    buffer_commit(&buffer, 0);
    assert_null(buffer.data);
    assert_int_equal(buffer_reserve(&buffer, 0, &room, NULL), AFAR_OK);
    assert_null(room);
    buffer_commit(&buffer, 0);
}

static void test_limit_is_exact(void **state)
{
    (void)state;
    struct buffer buffer;
    struct afar_error err;
    uint8_t *room = NULL;
    buffer_init(&buffer, 8);
    assert_int_equal(buffer_reserve(&buffer, 9, &room, &err), AFAR_ELIMIT);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX, &room, &err), AFAR_ELIMIT);
    assert_int_equal(buffer_append(&buffer, "12345678", 8, &err), AFAR_OK);
    assert_int_equal(buffer_append(&buffer, "9", 1, &err), AFAR_ELIMIT);
    assert_string_equal(err.message, "more than 8 bytes waiting");
    assert_int_equal(buffer_size(&buffer), 8);
    buffer_consume(&buffer, 1);
    assert_int_equal(buffer_append(&buffer, "9", 1, &err), AFAR_OK);
    assert_memory_equal(buffer_head(&buffer), "23456789", 8);
    buffer_close(&buffer);

    buffer_init(&buffer, 0);
    assert_int_equal(buffer_append(&buffer, "1", 1, &err), AFAR_ELIMIT);
}

/* A queue that stays nearly full while a little is taken and added must neither move everything
 * each time nor grow without bound. */
static void test_steady_queue_moves_rarely(void **state)
{
    (void)state;
    enum { LIMIT = 65536, FILL = 65000, ROUNDS = 200000 };
    struct buffer buffer;
    buffer_init(&buffer, LIMIT);
    uint32_t in = 0;
    uint32_t out = 0;
    while (buffer_size(&buffer) < FILL) {
        assert_int_equal(buffer_append(&buffer, &in, sizeof in, NULL), AFAR_OK);
        in++;
    }
    size_t moves = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t value = 0;
        memcpy(&value, buffer_head(&buffer), sizeof value);
        assert_int_equal(value, out);
        out++;
        buffer_consume(&buffer, sizeof value);
        size_t start = buffer.start;
        assert_int_equal(buffer_append(&buffer, &in, sizeof in, NULL), AFAR_OK);
        in++;
        if (buffer.start < start)
            moves++;
        assert_true(buffer.capacity <= (size_t)2 * LIMIT);
    }
    assert_true(moves <= 20); /* ROUNDS * 4 bytes / 65,000 between two moves, and the growing */
    buffer_close(&buffer);
}

/* Against a plain array. */
static void test_random_operations(void **state)
{
    (void)state;
    enum { LIMIT = 3000 };
    static uint8_t model[LIMIT];
    size_t held = 0;
    uint32_t seed = 1;
    uint8_t next = 0;
    struct buffer buffer;
    buffer_init(&buffer, LIMIT);
    for (int i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t size = seed >> 16 & 1023;
        if ((seed >> 8 & 1) != 0) {
            uint8_t piece[1024];
            for (size_t j = 0; j < size; j++)
                piece[j] = next++;
            enum afar_status status = buffer_append(&buffer, piece, size, NULL);
            assert_int_equal(status, held + size > LIMIT ? AFAR_ELIMIT : AFAR_OK);
            if (status == AFAR_OK) {
                memcpy(model + held, piece, size);
                held += size;
            }
        } else {
            size = size > held ? held : size;
            buffer_consume(&buffer, size);
            memmove(model, model + size, held - size);
            held -= size;
        }
        assert_int_equal(buffer_size(&buffer), held);
        if (held > 0)
            assert_memory_equal(buffer_head(&buffer), model, held);
        assert_true(buffer.capacity <= (size_t)2 * LIMIT);
    }
    buffer_close(&buffer);
}

static void test_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    struct afar_error err;
    buffer_init(&buffer, 100000);
    alloc_fault_arm(1);
    assert_int_equal(buffer_append(&buffer, "x", 1, &err), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    assert_int_equal(buffer_size(&buffer), 0);

    assert_int_equal(buffer_append(&buffer, "abc", 3, &err), AFAR_OK);
    buffer_consume(&buffer, 1);
    uint8_t *room = NULL;
    alloc_fault_arm(1);
    assert_int_equal(buffer_reserve(&buffer, 5000, &room, &err), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    assert_int_equal(buffer_size(&buffer), 2);
    assert_memory_equal(buffer_head(&buffer), "bc", 2);
    buffer_close(&buffer);
}

static size_t pace(struct buffer *buffer, size_t asked, size_t got)
{
    buffer_pace(buffer, asked, got);
    return buffer->pace_bytes;
}

/* While a stream is fast its memory stays, and what is asked for at once grows; a slow one, or
 * none, costs nothing. */
static void test_what_was_added_last_is_taken_back(void **state)
{
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 100);
    assert_int_equal(buffer_append(&buffer, "abcdef", 6, NULL), AFAR_OK);
    buffer_consume(&buffer, 1);
    buffer_take_back(&buffer, 2);
    assert_int_equal(buffer_size(&buffer), 3);
    assert_int_equal(buffer_append(&buffer, "x", 1, NULL), AFAR_OK);
    assert_memory_equal(buffer_head(&buffer), "bcdx", 4);
    buffer_take_back(&buffer, 4);
    assert_null(buffer.data);
    buffer_take_back(&buffer, 0);
    buffer_close(&buffer);
}

static void test_pace(void **state)
{
    (void)state;
    enum { LEAST = BUFFER_PACE_MIN_BYTES, MOST = BUFFER_PACE_MAX_BYTES };
    struct buffer buffer;
    uint8_t *room = NULL;
    buffer_init(&buffer, (size_t)4 * MOST);
    assert_int_equal(pace(&buffer, LEAST, LEAST - 1), LEAST);
    assert_false(buffer.kept);
    assert_int_equal(pace(&buffer, LEAST, LEAST), 2 * LEAST);
    assert_int_equal(pace(&buffer, 2 * LEAST, 2 * LEAST), MOST);
    assert_int_equal(pace(&buffer, MOST, MOST), MOST);
    assert_int_equal(pace(&buffer, MOST, MOST - 1), MOST);
    assert_true(buffer.kept);

    assert_int_equal(buffer_reserve(&buffer, MOST, &room, NULL), AFAR_OK);
    buffer_commit(&buffer, 10);
    buffer_consume(&buffer, 10);
    const uint8_t *data = buffer.data;
    assert_non_null(data);
    assert_int_equal(buffer_reserve(&buffer, MOST, &room, NULL), AFAR_OK);
    assert_ptr_equal(room, data); /* the same, from its start */
    buffer_commit(&buffer, 0);
    assert_non_null(buffer.data);

    assert_int_equal(pace(&buffer, MOST, 10), 2 * LEAST);
    assert_null(buffer.data);
    assert_int_equal(pace(&buffer, 2 * LEAST, 0), LEAST);
    assert_int_equal(pace(&buffer, LEAST, 0), LEAST);

    assert_int_equal(pace(&buffer, LEAST, LEAST), 2 * LEAST);
    assert_int_equal(pace(&buffer, LEAST, 0), 2 * LEAST); /* not asked for all: nothing to learn */
    assert_true(buffer.kept);
    assert_int_equal(buffer_append(&buffer, "abc", 3, NULL), AFAR_OK);
    buffer_rest(&buffer); /* what is in it stays in it */
    assert_int_equal(buffer.pace_bytes, LEAST);
    assert_int_equal(buffer_size(&buffer), 3);
    buffer_consume(&buffer, 3);
    assert_null(buffer.data);
    buffer_close(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_come_out_in_order),
        cmocka_unit_test(test_empty_holds_no_memory),
        cmocka_unit_test(test_limit_is_exact),
        cmocka_unit_test(test_steady_queue_moves_rarely),
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_out_of_memory_changes_nothing),
        cmocka_unit_test(test_what_was_added_last_is_taken_back),
        cmocka_unit_test(test_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
