// wrap: malloc calloc realloc strdup
/* output_log where frames are sent more than once, or not at all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/alloc_fault.h"
#include "support/frames.h"
#include "wire/frame.h"

/* All that is there, as frames of request `id` from `seq` on, up to the receipt or not. */
static void check_frames(struct output_log *log, uint64_t id, uint64_t seq, const char *letters,
                         bool receipt)
{
    struct buffer wire;
    char text[8];
    buffer_init(&wire, 100000);
    frames_send_all(log, &wire, 7);
    for (; *letters != '\0'; letters++) {
        struct message message = frames_receive(&wire, text, sizeof text);
        assert_true(message.type == MESSAGE_STDOUT || message.type == MESSAGE_STDERR);
        assert_true(message.id == id && message.seq == seq++);
        assert_true(text[0] == *letters && text[1] == '\0');
    }
    if (receipt) {
        struct message message = frames_receive(&wire, text, sizeof text);
        assert_true(message.type == MESSAGE_EXIT && message.id == id && message.seq == seq);
        assert_int_equal(message.receipt.code, 7);
    }
    assert_int_equal(buffer_size(&wire), 0);
    buffer_close(&wire);
}

static void test_sent_again_on_another_connection(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    struct afar_error err;
    uint64_t bytes[2];
    assert_int_equal(output_log_rewind(log, 2, 0, &err), AFAR_OK);
    assert_int_equal(output_log_rewind(log, 2, 1, &err), AFAR_EPEER);
    for (const char *at = "abcd"; *at != '\0'; at++)
        assert_int_equal(frames_add(log, *at == 'c' ? STREAM_STDERR : STREAM_STDOUT, at, 1),
                         AFAR_OK);
    check_frames(log, 2, 0, "abcd", false);
    assert_true(output_log_first(log) == 0 && output_log_end(log) == 4);
    assert_true(output_log_ever_sent(log) == 4);
    size_t held = output_log_held(log);

    /* From any frame, with any id; the count against the capacity stays. */
    check_frames(log, 2, 4, "", false);
    assert_int_equal(output_log_rewind(log, MESSAGE_INTEGER_MAX, 2, &err), AFAR_OK);
    check_frames(log, MESSAGE_INTEGER_MAX, 2, "cd", false);
    assert_int_equal(output_log_held(log), held);
    assert_int_equal(output_log_rewind(log, 3, 4, &err), AFAR_OK);
    assert_int_equal(output_log_rewind(log, 3, 5, &err), AFAR_EPEER);

    /* What is acknowledged is gone, and what it was is known. */
    assert_int_equal(output_log_ack(log, 1, &err), AFAR_OK);
    assert_int_equal(output_log_rewind(log, 3, 0, &err), AFAR_EPEER);
    assert_string_equal(err.message, "frame 0 is not held: 1 to 4 were sent and are");
    output_log_bytes_before(log, 3, bytes);
    assert_true(bytes[STREAM_STDOUT] == 2 && bytes[STREAM_STDERR] == 1);

    /* In the middle of a frame: it begins anew. */
    assert_int_equal(output_log_rewind(log, 4, 1, &err), AFAR_OK);
    (void)frames_send_most(log, 0);
    (void)frames_send_most(log, 3);
    assert_true(output_log_inside_frame(log));
    assert_int_equal(output_log_rewind(log, 5, 2, &err), AFAR_OK);
    assert_false(output_log_inside_frame(log));
    check_frames(log, 5, 2, "cd", false);

    /* The receipt likewise: sent is not acknowledged. */
    const struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED, .code = 7};
    assert_int_equal(output_log_finish(log, &receipt, false, NULL), AFAR_OK);
    check_frames(log, 5, 4, "", true);
    assert_true(output_log_finished(log) && !output_log_acknowledged(log));
    assert_int_equal(output_log_rewind(log, 6, 3, &err), AFAR_OK);
    assert_false(output_log_finished(log));
    check_frames(log, 6, 3, "d", true);
    assert_int_equal(output_log_ack(log, 4, &err), AFAR_OK);
    assert_false(output_log_acknowledged(log));
    assert_int_equal(output_log_ack(log, 5, &err), AFAR_OK);
    assert_true(output_log_finished(log) && output_log_acknowledged(log));
    assert_true(output_log_first(log) == 5 && output_log_held(log) == 0);
    assert_int_equal(output_log_rewind(log, 7, 5, &err), AFAR_OK);
    assert_true(output_log_finished(log));
    output_log_free(log);
}

/* Frames that were sent on the connection before may be acknowledged before they are sent again:
 * nothing that is under way goes. */
static void test_acknowledged_while_sent_again(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    for (const char *at = "abc"; *at != '\0'; at++)
        assert_int_equal(frames_add(log, STREAM_STDOUT, at, 1), AFAR_OK);
    check_frames(log, 1, 0, "abc", false);
    assert_int_equal(output_log_rewind(log, 2, 0, NULL), AFAR_OK);
    struct buffer wire;
    char text[8];
    const uint8_t *data = NULL;
    size_t size = 0;
    buffer_init(&wire, 10000);
    assert_true(output_log_peek(log, &data, &size));
    assert_int_equal(buffer_append(&wire, data, 5, NULL), AFAR_OK);
    output_log_sent(log, 5);
    assert_int_equal(output_log_ack(log, 3, NULL), AFAR_OK);
    assert_true(output_log_held(log) > 0);
    frames_send_all(log, &wire, 7);
    assert_int_equal(output_log_held(log), 0);
    for (uint64_t seq = 0; seq < 3; seq++)
        assert_true(frames_receive(&wire, text, sizeof text).seq == seq);
    buffer_close(&wire);
    output_log_free(log);
}

static void test_frames_that_are_gone(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    const uint64_t lost[2] = {MESSAGE_INTEGER_MAX, 7};
    assert_int_equal(frames_add(log, STREAM_STDOUT, "a", 1), AFAR_OK);
    assert_int_equal(output_log_add_cut(log, 10, lost, NULL), AFAR_OK);
    assert_int_equal(frames_add(log, STREAM_STDOUT, "b", 1), AFAR_OK);
    assert_true(output_log_end(log) == 11);

    struct buffer wire;
    char text[8];
    buffer_init(&wire, 10000);
    frames_send_all(log, &wire, 7);
    assert_true(frames_receive(&wire, text, sizeof text).seq == 0);
    struct message message = frames_receive(&wire, text, sizeof text);
    assert_true(message.type == MESSAGE_CUT && message.seq == 1 && message.cut.next == 10);
    assert_true(message.cut.lost[0] == MESSAGE_INTEGER_MAX && message.cut.lost[1] == 7);
    assert_true(frames_receive(&wire, text, sizeof text).seq == 10);
    buffer_close(&wire);

    /* It is one: sent again from its beginning only, and released as a whole. */
    assert_int_equal(output_log_rewind(log, 2, 5, NULL), AFAR_EPEER);
    assert_int_equal(output_log_rewind(log, 2, 1, NULL), AFAR_OK);
    size_t held = output_log_held(log);
    assert_int_equal(output_log_ack(log, 1, NULL), AFAR_OK);
    size_t without_a = output_log_held(log);
    assert_true(without_a < held);
    uint64_t bytes[2];
    output_log_bytes_before(log, 10, bytes);
    assert_true(bytes[0] == MESSAGE_INTEGER_MAX + 1 && bytes[1] == 7);
    frames_send_and_ack(log, 9);
    assert_int_equal(output_log_held(log), without_a);
    assert_int_equal(output_log_ack(log, 10, NULL), AFAR_OK);
    assert_true(output_log_held(log) < without_a);

    /* Filled from elsewhere, from any frame on. */
    const uint64_t before[2] = {5, 6};
    output_log_restart(log, 3, 4, 4, before);
    assert_true(output_log_held(log) == 0 && output_log_end(log) == 4);
    output_log_bytes_before(log, 4, bytes);
    assert_true(bytes[0] == 5 && bytes[1] == 6);
    assert_int_equal(frames_add(log, STREAM_STDOUT, "x", 1), AFAR_OK);
    assert_true(output_log_cursor(log) == 4);
    check_frames(log, 3, 4, "x", false);
    assert_true(output_log_cursor(log) == 5);

    /* The peer still holds frames 2 and 3: nothing is sent beside them. */
    output_log_restart(log, 3, 4, 2, before);
    assert_int_equal(frames_add(log, STREAM_STDOUT, "y", 1), AFAR_OK);
    check_frames(log, 3, 4, "", false);
    assert_int_equal(output_log_ack(log, 3, NULL), AFAR_OK);
    check_frames(log, 3, 4, "", false);
    assert_int_equal(output_log_ack(log, 5, NULL), AFAR_EPEER);
    assert_int_equal(output_log_ack(log, 4, NULL), AFAR_OK);
    check_frames(log, 3, 4, "y", false);
    assert_int_equal(output_log_ack(log, 5, NULL), AFAR_OK);
    while (output_log_add_cut(log, output_log_end(log) + 2, lost, NULL) == AFAR_OK)
        assert_true(output_log_held(log) <= output_log_capacity(log));
    assert_true(output_log_held(log) + 256 > output_log_capacity(log));
    alloc_fault_arm(1);
    output_log_restart(log, 3, 4, 4, before);
    assert_int_equal(output_log_add_cut(log, 7, lost, NULL), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    output_log_free(log);
}

static void expect_cut(struct buffer *wire, uint64_t seq, uint64_t next, uint64_t lost)
{
    char text[8];
    const struct message message = frames_receive(wire, text, sizeof text);
    assert_true(message.type == MESSAGE_CUT && message.seq == seq && message.cut.next == next);
    assert_true(message.cut.lost[0] == lost && message.cut.lost[1] == 0);
}

/* Gaps side by side are one, until something of it was sent. */
static void test_gaps_side_by_side(void **state)
{
    (void)state;
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    const uint64_t lost[2] = {9, 0};
    struct buffer wire;
    uint64_t bytes[2];
    buffer_init(&wire, 10000);
    assert_int_equal(frames_add(log, STREAM_STDOUT, "a", 1), AFAR_OK);
    for (uint64_t next = 2; next <= 99; next++)
        assert_int_equal(output_log_add_cut(log, next, lost, NULL), AFAR_OK);
    output_log_bytes_before(log, 99, bytes);
    assert_true(bytes[0] == 1 + 98 * 9 && bytes[1] == 0);
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_true(output_log_peek(log, &data, &size));
    assert_int_equal(buffer_append(&wire, data, size, NULL), AFAR_OK);
    output_log_sent(log, size);
    assert_int_equal(output_log_add_cut(log, 100, lost, NULL), AFAR_OK);
    assert_true(output_log_peek(log, &data, &size)); /* now its length is fixed */
    assert_int_equal(output_log_add_cut(log, 101, lost, NULL), AFAR_OK);
    frames_send_all(log, &wire, 7);
    assert_int_equal(output_log_add_cut(log, 102, lost, NULL), AFAR_OK);
    assert_int_equal(output_log_rewind(log, 1, 1, NULL), AFAR_OK);
    assert_int_equal(output_log_add_cut(log, 103, lost, NULL), AFAR_OK);
    char text[8];
    assert_true(frames_receive(&wire, text, sizeof text).seq == 0);
    expect_cut(&wire, 1, 100, 99 * 9);
    expect_cut(&wire, 100, 101, 9);
    frames_send_all(log, &wire, 7);
    expect_cut(&wire, 1, 100, 99 * 9);
    expect_cut(&wire, 100, 101, 9);
    expect_cut(&wire, 101, 103, 18);
    assert_int_equal(output_log_ack(log, 103, NULL), AFAR_OK);
    assert_int_equal(output_log_held(log), 0);
    buffer_close(&wire);
    output_log_free(log);
}

/* As much as it lets go. */
static void send_all(struct output_log *log)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    while (output_log_peek(log, &data, &size))
        output_log_sent(log, size);
}

/* It grows and shrinks; what it holds then is sent as far as it may be on its way at once. */
static void test_another_capacity(void **state)
{
    (void)state;
    static uint8_t data[OUTPUT_LOG_CHUNK_BYTES];
    struct output_log *log = output_log_new(1, OUTPUT_LOG_CAPACITY_MIN);
    struct afar_error err;
    const size_t large = (size_t)4 * OUTPUT_LOG_CAPACITY_MIN;
    size_t held = 0;
    output_log_resize(log, large);
    assert_int_equal(output_log_capacity(log), large);
    while (!output_log_is_full(log)) {
        uint8_t *room = NULL;
        size_t size = 0;
        assert_int_equal(output_log_reserve(log, &room, &size, &err), AFAR_OK);
        assert_true(size <= sizeof data); /* as at first: whoever has a small window can take it */
        output_log_commit(log, STREAM_STDOUT, size);
    }
    held = output_log_held(log);
    assert_true(held > large - 256 && held <= large && output_log_on_way(log) == 0);
    const uint64_t end = output_log_end(log);

    output_log_resize(log, 0);
    assert_int_equal(output_log_capacity(log), OUTPUT_LOG_CAPACITY_MIN);
    assert_int_equal(frames_add(log, STREAM_STDOUT, "x", 1), AFAR_EAGAIN);
    for (uint64_t acked = 0; acked < end; acked++) {
        send_all(log);
        assert_true(output_log_on_way(log) <= OUTPUT_LOG_CAPACITY_MIN);
        assert_true(output_log_ever_sent(log) > acked);
        if (acked == 2) { /* on another connection the same */
            assert_int_equal(output_log_rewind(log, 2, acked, &err), AFAR_OK);
            assert_int_equal(output_log_on_way(log), 0);
            send_all(log);
        }
        assert_int_equal(output_log_ack(log, acked + 1, &err), AFAR_OK);
    }
    assert_true(output_log_held(log) == 0 && output_log_on_way(log) == 0);
    assert_int_equal(output_log_released(log), held);
    output_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sent_again_on_another_connection),
        cmocka_unit_test(test_acknowledged_while_sent_again),
        cmocka_unit_test(test_frames_that_are_gone),
        cmocka_unit_test(test_gaps_side_by_side),
        cmocka_unit_test(test_another_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
