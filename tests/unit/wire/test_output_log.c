// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc_fault.h"
#include "support/frames.h"
#include "wire/frame.h"
#include "wire/output_log.h"

enum { ID_DIGITS_MAX = 16 };

static void test_frames_in_order_at_any_piece_size(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 300; piece++) {
        struct output_log *log = output_log_new(42, OUTPUT_LOG_CAPACITY_MIN);
        struct buffer wire;
        buffer_init(&wire, 100000);
        assert_int_equal(frames_add(log, STREAM_STDOUT, "hello", 5), AFAR_OK);
        assert_int_equal(frames_add(log, STREAM_STDERR, "x", 1), AFAR_OK);
        assert_false(output_log_finished(log));
        struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED, .code = 3};
        assert_int_equal(output_log_finish(log, &receipt, false, NULL), AFAR_OK);
        assert_false(output_log_finished(log));
        frames_send_all(log, &wire, piece);
        assert_true(output_log_finished(log));

        char text[100];
        struct message message = frames_receive(&wire, text, sizeof text);
        assert_true(message.type == MESSAGE_STDOUT && message.id == 42 && message.seq == 0);
        assert_string_equal(text, "hello");
        message = frames_receive(&wire, text, sizeof text);
        assert_true(message.type == MESSAGE_STDERR && message.seq == 1);
        assert_string_equal(text, "x");
        message = frames_receive(&wire, text, sizeof text);
        assert_true(message.type == MESSAGE_EXIT && message.seq == 2);
        assert_int_equal(message.receipt.code, 3);
        assert_int_equal(buffer_size(&wire), 0);
        output_log_free(log);
    }
}

static void test_nothing_committed_is_no_frame(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    uint8_t *room = NULL;
    size_t size = 0;
    assert_int_equal(output_log_reserve(log, &room, &size, NULL), AFAR_OK);
    assert_int_equal(size, OUTPUT_LOG_CHUNK_BYTES);
    output_log_commit(log, STREAM_STDOUT, 0);
    const uint8_t *data = NULL;
    assert_false(output_log_peek(log, &data, &size));
    assert_int_equal(output_log_held(log), 0);
    assert_int_equal(frames_add(log, STREAM_STDOUT, "a", 1), AFAR_OK);
    struct buffer wire;
    buffer_init(&wire, 1000);
    frames_send_all(log, &wire, 1000);
    char text[8];
    assert_true(frames_receive(&wire, text, sizeof text).seq == 0);
    output_log_free(log);
}

/* What is reserved next, filled as far as `size`; where `size` is 0, all of it. Its room. */
static size_t fill(struct output_log *log, size_t size)
{
    uint8_t *room = NULL;
    size_t space = 0;
    assert_int_equal(output_log_reserve(log, &room, &space, NULL), AFAR_OK);
    assert_true(size <= space);
    size = size == 0 ? space : size;
    memset(room, 'x', size);
    output_log_commit(log, STREAM_STDOUT, size);
    return space;
}

/* A command that fills all that it is given room for gets more; one that does not, less again. */
static void test_larger_frames_while_output_is_fast(void **state)
{
    (void)state;
    enum { LEAST = OUTPUT_LOG_CHUNK_BYTES, MOST = OUTPUT_LOG_CHUNK_MAX_BYTES };
    struct output_log *log = output_log_new(1, (size_t)8 * MOST);
    assert_int_equal(fill(log, 0), LEAST);
    assert_int_equal(fill(log, 0), 2 * LEAST);
    assert_int_equal(fill(log, 0), MOST);
    assert_int_equal(fill(log, LEAST), MOST);
    assert_int_equal(fill(log, 0), MOST);
    frames_send_and_ack(log, 5);
    assert_int_equal(output_log_held(log), 0);
    assert_int_equal(fill(log, 10), MOST);
    assert_int_equal(fill(log, 10), LEAST);
    output_log_free(log);

    log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN); /* in which four must have room */
    for (int i = 0; i < 3; i++)
        assert_int_equal(fill(log, 0), LEAST);
    output_log_free(log);
}

/* Fast output needs no new memory for each frame, and quiet commands keep none. */
static void test_blocks_are_used_again(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, (size_t)8 * OUTPUT_LOG_CHUNK_MAX_BYTES);
    uint64_t frames = 0;
    for (; frames < 6; frames++)
        (void)fill(log, 0);
    for (int i = 0; i < 20; i++) {
        frames_send_and_ack(log, frames - 1); /* one is always under way */
        alloc_fault_arm(1);
        (void)fill(log, 0);
        assert_false(alloc_fault_fired());
        frames++;
    }
    frames_send_and_ack(log, frames);
    uint8_t *room = NULL;
    size_t space = 0;
    alloc_fault_arm(1);
    assert_int_equal(output_log_reserve(log, &room, &space, NULL), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    output_log_free(log);
}

static void test_full_until_acknowledged(void **state)
{
    (void)state;
    static uint8_t chunk[OUTPUT_LOG_CHUNK_BYTES];
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    assert_int_equal(output_log_capacity(log), OUTPUT_LOG_CAPACITY_MIN);
    struct buffer wire;
    buffer_init(&wire, (size_t)4 << 20);
    uint64_t frames = 0;
    for (;;) {
        uint8_t *room = NULL;
        size_t size = 0;
        enum afar_status status = output_log_reserve(log, &room, &size, NULL);
        if (status == AFAR_EAGAIN)
            break;
        assert_int_equal(status, AFAR_OK);
        assert_true(size >= 1 && size <= OUTPUT_LOG_CHUNK_BYTES);
        memset(room, 'x', size);
        output_log_commit(log, STREAM_STDOUT, size);
        assert_true(output_log_held(log) <= output_log_capacity(log));
        frames++;
    }
    assert_true(frames >= 4 && frames <= 6);
    /* Full means full: what is left could not hold a frame's head. */
    assert_true(output_log_held(log) + MESSAGE_OUTPUT_HEAD_BYTES >= output_log_capacity(log));

    /* What is held is what goes over the wire, but for the digits that the id does not have. */
    frames_send_all(log, &wire, SIZE_MAX);
    assert_int_equal(buffer_size(&wire) + frames * (ID_DIGITS_MAX - 1), output_log_held(log));

    /* Sent is not taken. */
    assert_int_equal(frames_add(log, STREAM_STDOUT, "y", 1), AFAR_EAGAIN);
    size_t before = output_log_held(log);
    assert_int_equal(output_log_ack(log, 1, NULL), AFAR_OK);
    size_t freed = before - output_log_held(log);
    assert_true(freed > OUTPUT_LOG_CHUNK_BYTES && freed < OUTPUT_LOG_CHUNK_BYTES + 128);
    assert_int_equal(frames_add(log, STREAM_STDOUT, chunk, 1000), AFAR_OK);
    assert_int_equal(output_log_ack(log, frames, NULL), AFAR_OK);
    assert_true(output_log_held(log) < 1200);

    /* The receipt always fits. */
    while (frames_add(log, STREAM_STDERR, chunk, 1) == AFAR_OK) {
    }
    size_t held = output_log_held(log);
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED, .code = 0};
    memset(receipt.message, '\"', sizeof receipt.message - 1);
    assert_int_equal(output_log_finish(log, &receipt, true, NULL), AFAR_OK);
    assert_int_equal(output_log_held(log), held);
    buffer_close(&wire);
    output_log_free(log);
}

static void test_acknowledgements(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    struct buffer wire;
    struct afar_error err;
    buffer_init(&wire, 10000);
    assert_int_equal(output_log_ack(log, 0, &err), AFAR_OK);
    assert_int_equal(output_log_ack(log, 1, &err), AFAR_EPEER);
    for (int i = 0; i < 3; i++)
        assert_int_equal(frames_add(log, STREAM_STDOUT, "abc", 3), AFAR_OK);
    size_t each = output_log_held(log) / 3;

    /* Beyond what was sent; half sent is not sent. */
    assert_int_equal(output_log_ack(log, 1, &err), AFAR_EPEER);
    (void)frames_send_most(log, 1);
    assert_true(output_log_inside_frame(log));
    assert_int_equal(output_log_ack(log, 1, &err), AFAR_EPEER);
    assert_string_equal(err.message, "ack of frame 1, only 0 were sent");
    output_log_sent(log, 0);
    output_log_sent(log, 1);
    assert_false(output_log_inside_frame(log));
    assert_int_equal(output_log_ack(log, 1, &err), AFAR_OK);
    assert_int_equal(output_log_held(log), 2 * each);
    assert_int_equal(output_log_ack(log, UINT64_MAX, &err), AFAR_EPEER);

    /* Going back and again. */
    assert_int_equal(output_log_ack(log, 0, &err), AFAR_OK);
    assert_int_equal(output_log_ack(log, 1, &err), AFAR_OK);
    assert_int_equal(output_log_held(log), 2 * each);

    /* In the middle of a frame the earlier ones can be acknowledged. */
    (void)frames_send_most(log, 0);
    size_t whole = frames_send_most(log, 5);
    assert_int_equal(output_log_ack(log, 2, &err), AFAR_OK);
    assert_int_equal(output_log_held(log), each);
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_true(output_log_peek(log, &data, &size));
    assert_true(size == 5 && whole > size);
    output_log_sent(log, size);
    assert_int_equal(output_log_ack(log, 3, &err), AFAR_OK);
    assert_int_equal(output_log_held(log), 0);

    /* Empty again, and numbering goes on. */
    assert_int_equal(frames_add(log, STREAM_STDOUT, "d", 1), AFAR_OK);
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_KILLED, .code = -1};
    assert_int_equal(output_log_finish(log, &receipt, false, &err), AFAR_OK);
    frames_send_all(log, &wire, 7);
    char text[8];
    assert_true(frames_receive(&wire, text, sizeof text).seq == 3);
    assert_true(frames_receive(&wire, text, sizeof text).seq == 4);
    assert_int_equal(output_log_ack(log, 6, &err), AFAR_EPEER);
    assert_int_equal(output_log_ack(log, 5, &err), AFAR_OK);
    assert_int_equal(output_log_held(log), 0);
    assert_true(output_log_finished(log));
    output_log_free(log);
    output_log_free(NULL);
}

static void test_freed_in_any_state(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    assert_int_equal(frames_add(log, STREAM_STDOUT, "abc", 3), AFAR_OK);
    (void)frames_send_most(log, 1);
    uint8_t *room = NULL;
    size_t size = 0;
    assert_int_equal(output_log_reserve(log, &room, &size, NULL), AFAR_OK);
    output_log_free(log);
}

static void test_cut_leaves_the_frame_under_way(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    output_log_cut(log); /* nothing there: nothing happens */
    for (int i = 0; i < 3; i++)
        assert_int_equal(frames_add(log, STREAM_STDOUT, "abc", 3), AFAR_OK);
    size_t each = output_log_held(log) / 3;
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED, .code = 0};
    assert_int_equal(output_log_finish(log, &receipt, false, NULL), AFAR_OK);
    struct buffer wire;
    buffer_init(&wire, 1000);
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_true(output_log_peek(log, &data, &size));
    assert_int_equal(buffer_append(&wire, data, 5, NULL), AFAR_OK);
    output_log_sent(log, 5);
    output_log_cut(log);
    assert_true(output_log_inside_frame(log));
    frames_send_all(log, &wire, 3);
    char text[8];
    assert_int_equal(frames_receive(&wire, text, sizeof text).type, MESSAGE_STDOUT);
    assert_string_equal(text, "abc");
    assert_int_equal(buffer_size(&wire), 0);
    /* The receipt has not been sent, and nothing else counts as sent either. */
    assert_false(output_log_finished(log));
    assert_int_equal(output_log_held(log), each);
    assert_int_equal(output_log_ack(log, 2, NULL), AFAR_EPEER);
    assert_int_equal(output_log_ack(log, 1, NULL), AFAR_OK);
    assert_int_equal(output_log_held(log), 0);
    output_log_free(log);

    /* A receipt that is under way itself stays one. */
    log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    assert_int_equal(output_log_finish(log, &receipt, false, NULL), AFAR_OK);
    (void)frames_send_most(log, 1);
    output_log_cut(log);
    assert_false(output_log_finished(log));
    frames_send_all(log, &wire, SIZE_MAX);
    assert_true(output_log_finished(log));
    buffer_close(&wire);
    output_log_free(log);
}

/* Random steps against a counter of what was produced, sent, taken. */
static void test_random_steps(void **state)
{
    (void)state;
    static uint8_t chunk[OUTPUT_LOG_CHUNK_BYTES];
    uint32_t seed = 5;
    struct output_log *log = output_log_new(9, OUTPUT_LOG_CAPACITY_MIN);
    struct buffer wire;
    buffer_init(&wire, (size_t)1 << 20);
    uint8_t produced = 0;
    uint8_t expected = 0;
    uint64_t received = 0;
    uint64_t acked = 0;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t amount = seed >> 8 & 0x1FFF;
        if (seed % 64 == 7) { /* the connection is cut: what it has not brought comes again */
            buffer_clear(&wire);
            assert_int_equal(output_log_rewind(log, seed % 16384, received, NULL), AFAR_OK);
        }
        switch (seed >> 30) {
        case 0:
        case 1: {
            uint8_t *room = NULL;
            size_t size = 0;
            if (output_log_reserve(log, &room, &size, NULL) != AFAR_OK)
                break;
            size = amount < size ? amount : size;
            for (size_t j = 0; j < size; j++)
                room[j] = produced++;
            output_log_commit(log, (seed & 64) != 0 ? STREAM_STDOUT : STREAM_STDERR, size);
            break;
        }
        case 2: {
            const uint8_t *data = NULL;
            size_t size = 0;
            if (!output_log_peek(log, &data, &size) || buffer_size(&wire) > 500000)
                break;
            size = amount < size ? amount : size;
            assert_int_equal(buffer_append(&wire, data, size, NULL), AFAR_OK);
            output_log_sent(log, size);
            break;
        }
        default: {
            struct decoder decoder;
            decoder_init(&decoder);
            struct message message;
            const uint8_t *payload = NULL;
            size_t used = 0;
            while (decoder_next(&decoder, buffer_head(&wire), buffer_size(&wire), &message,
                                &payload, &used, NULL) == AFAR_OK) {
                assert_true(message.seq == received++);
                for (size_t j = 0; j < message.size; j++)
                    chunk[j] = expected++;
                assert_memory_equal(payload, chunk, message.size);
                buffer_consume(&wire, used);
            }
            decoder_close(&decoder);
            if ((seed & 128) != 0)
                acked = received;
            assert_int_equal(output_log_ack(log, acked, NULL), AFAR_OK);
        }
        }
        assert_true(output_log_held(log) <= output_log_capacity(log));
    }
    assert_true(received > 1000);
    buffer_close(&wire);
    output_log_free(log);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    alloc_fault_arm(1);
    assert_null(output_log_new(1, OUTPUT_LOG_CAPACITY_MIN));
    assert_true(alloc_fault_fired());

    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    struct afar_error err;
    uint8_t *room = NULL;
    size_t size = 0;
    alloc_fault_arm(1);
    assert_int_equal(output_log_reserve(log, &room, &size, &err), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());

    /* Where the unused part cannot be given back, the frame is there nevertheless. */
    assert_int_equal(output_log_reserve(log, &room, &size, &err), AFAR_OK);
    memcpy(room, "abc", 3);
    alloc_fault_arm(1);
    output_log_commit(log, STREAM_STDOUT, 3);
    assert_true(alloc_fault_fired());
    assert_true(output_log_held(log) > 3);

    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED, .code = 0};
    int rounds = 0;
    for (int n = 1;; n++) {
        alloc_fault_arm(n);
        enum afar_status status = output_log_finish(log, &receipt, false, &err);
        if (!alloc_fault_fired()) {
            assert_int_equal(status, AFAR_OK);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
        rounds++;
    }
    assert_true(rounds > 10);
    struct buffer wire;
    buffer_init(&wire, 10000);
    frames_send_all(log, &wire, 10000);
    char text[8];
    assert_int_equal(frames_receive(&wire, text, sizeof text).type, MESSAGE_STDOUT);
    assert_string_equal(text, "abc");
    assert_int_equal(frames_receive(&wire, text, sizeof text).type, MESSAGE_EXIT);
    output_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_in_order_at_any_piece_size),
        cmocka_unit_test(test_nothing_committed_is_no_frame),
        cmocka_unit_test(test_larger_frames_while_output_is_fast),
        cmocka_unit_test(test_blocks_are_used_again),
        cmocka_unit_test(test_full_until_acknowledged),
        cmocka_unit_test(test_acknowledgements),
        cmocka_unit_test(test_freed_in_any_state),
        cmocka_unit_test(test_cut_leaves_the_frame_under_way),
        cmocka_unit_test(test_random_steps),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
