#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "client/delivery.h"
#include "support/slow_reader.h"

enum { WIRE_BYTES = 100 };

static struct afar_error err;

static void begin(struct delivery *delivery, struct slow_reader *reader, size_t window)
{
    const struct afar_callbacks callbacks = slow_reader_callbacks(reader, 1);
    *delivery = (struct delivery){0};
    assert_int_equal(delivery_begin(delivery, &callbacks, false, &err), AFAR_OK);
    delivery->window = window;
}

static enum afar_status add(struct delivery *delivery, enum stream stream, const char *text)
{
    const struct frame_view frame = {.header = (const uint8_t *)"{\"h\":1}",
                                     .header_size = 7,
                                     .payload = (const uint8_t *)text,
                                     .size = strlen(text),
                                     .wire_bytes = WIRE_BYTES};
    assert_int_equal(delivery_count(delivery, delivery->next_seq, &err), AFAR_OK);
    return delivery_add(delivery, stream, &frame, &err);
}

static void test_taken_at_once(void **state)
{
    (void)state;
    struct delivery delivery;
    struct slow_reader reader;
    begin(&delivery, &reader, 0);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "abc"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDERR, ""), AFAR_OK);
    assert_true(delivery_done(&delivery));
    assert_int_equal(delivery_next(&delivery), 2);
    assert_int_equal(reader.calls, 1);
    assert_string_equal(reader.frames, "{\"h\":1,\"data\":\"abc\"}\n{\"h\":1}\n");
    delivery_close(&delivery);
}

/* In pieces of every size, each frame is acknowledged when it is whole and shown once. */
static void test_taken_in_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= 7; piece++) {
        struct delivery delivery;
        struct slow_reader reader;
        begin(&delivery, &reader, 1000);
        reader.limit[0] = piece;
        assert_int_equal(add(&delivery, STREAM_STDOUT, "abcdef"), AFAR_OK);
        assert_int_equal(add(&delivery, STREAM_STDOUT, "ghi"), AFAR_OK);
        while (!delivery_done(&delivery)) {
            size_t before = reader.bytes[0];
            assert_int_equal(delivery_next(&delivery), before < 6 ? 0 : 1);
            assert_int_equal(delivery_retry(&delivery, &err), AFAR_OK);
            assert_true(reader.bytes[0] > before);
        }
        assert_int_equal(delivery_next(&delivery), 2);
        assert_string_equal(reader.text[0], "abcdefghi");
        assert_string_equal(reader.frames,
                            "{\"h\":1,\"data\":\"abcdef\"}\n{\"h\":1,\"data\":\"ghi\"}\n");
        delivery_close(&delivery);
    }
}

/* A stream that is stuck does not hold up the other, but holds up the acknowledgement. */
static void test_one_stream_is_stuck(void **state)
{
    (void)state;
    struct delivery delivery;
    struct slow_reader reader;
    begin(&delivery, &reader, 1000);
    reader.limit[0] = 0;
    assert_int_equal(add(&delivery, STREAM_STDERR, "1"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "2"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDERR, "3"), AFAR_OK);
    assert_string_equal(reader.text[1], "13");
    assert_int_equal(delivery_next(&delivery), 1);
    reader.limit[0] = 1;
    assert_int_equal(delivery_retry(&delivery, &err), AFAR_OK);
    assert_int_equal(delivery_next(&delivery), 3);
    delivery_close(&delivery);
}

/* What was kept of both comes out in the order in which it came. */
static void test_kept_frames_keep_their_order(void **state)
{
    (void)state;
    struct delivery delivery;
    struct slow_reader reader;
    begin(&delivery, &reader, 1000);
    reader.limit[0] = reader.limit[1] = 0;
    assert_int_equal(add(&delivery, STREAM_STDERR, "1"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "2"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDERR, ""), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "4"), AFAR_OK);
    reader.limit[0] = reader.limit[1] = 9;
    assert_int_equal(delivery_retry(&delivery, &err), AFAR_OK);
    assert_string_equal(reader.frames, "{\"h\":1,\"data\":\"1\"}\n{\"h\":1,\"data\":\"2\"}\n"
                                       "{\"h\":1}\n{\"h\":1,\"data\":\"4\"}\n");
    delivery_close(&delivery);
}

/* What on_cut has heard, and how much had been taken then. */
struct cut_reader {
    struct slow_reader reader; /* first: the other callbacks' */
    char cuts[256];
};

static void note_cut(void *user, uint64_t stdout_bytes, uint64_t stderr_bytes)
{
    struct cut_reader *heard = user;
    const size_t used = strlen(heard->cuts);
    (void)snprintf(heard->cuts + used, sizeof heard->cuts - used, "%zu %zu: %u %u\n",
                   heard->reader.bytes[0], heard->reader.bytes[1], (unsigned)stdout_bytes,
                   (unsigned)stderr_bytes);
}

static void cut(struct delivery *delivery, uint64_t frames, uint64_t out, uint64_t error)
{
    const struct frame_view frame = {
        .header = (const uint8_t *)"{\"c\":1}", .header_size = 7, .wire_bytes = WIRE_BYTES};
    const uint64_t seq = delivery->next_seq;
    assert_int_equal(
        delivery_cut(delivery, seq, seq + frames, (uint64_t[2]){out, error}, &frame, &err),
        AFAR_OK);
}

static void begin_with_cuts(struct delivery *delivery, struct cut_reader *heard)
{
    begin(delivery, &heard->reader, 1000);
    delivery->callbacks.on_cut = note_cut;
    heard->cuts[0] = '\0';
}

static void test_a_cut_has_its_place(void **state)
{
    (void)state;
    struct delivery delivery;
    struct cut_reader heard;
    struct slow_reader *const reader = &heard.reader;
    begin_with_cuts(&delivery, &heard);
    cut(&delivery, 3, 50, 0);
    assert_string_equal(heard.cuts, "0 0: 50 0\n");
    reader->limit[0] = 1;
    assert_int_equal(add(&delivery, STREAM_STDOUT, "abc"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDERR, "d"), AFAR_OK);
    cut(&delivery, 5, 10, 20);
    cut(&delivery, 2, 1, 2); /* these two became one while they waited */
    assert_int_equal(add(&delivery, STREAM_STDERR, "e"), AFAR_OK);
    cut(&delivery, 1, 7, 0);
    assert_string_equal(heard.cuts, "0 0: 50 0\n");
    assert_string_equal(reader->text[1], "d");
    assert_int_equal(delivery_retry(&delivery, &err), AFAR_OK);
    assert_string_equal(heard.cuts, "0 0: 50 0\n");
    assert_int_equal(delivery_next(&delivery), 3);
    reader->limit[0] = 9;
    reader->limit[1] = 0;
    assert_int_equal(delivery_retry(&delivery, &err), AFAR_OK);
    assert_string_equal(heard.cuts, "0 0: 50 0\n3 1: 11 22\n");
    assert_int_equal(delivery_next(&delivery), 12);
    assert_false(delivery_done(&delivery));
    reader->limit[1] = 9;
    assert_int_equal(delivery_retry(&delivery, &err), AFAR_OK);
    assert_string_equal(heard.cuts, "0 0: 50 0\n3 1: 11 22\n3 2: 7 0\n");
    assert_int_equal(delivery_next(&delivery), 14);
    assert_true(delivery_done(&delivery));
    assert_int_equal(delivery.kept_bytes, 0);
    assert_string_equal(reader->frames,
                        "{\"c\":1}\n{\"h\":1,\"data\":\"d\"}\n{\"h\":1,\"data\":\"abc\"}\n"
                        "{\"c\":1}\n{\"c\":1}\n{\"h\":1,\"data\":\"e\"}\n{\"c\":1}\n");
    delivery_close(&delivery);
}

static void test_a_cut_is_left(void **state)
{
    (void)state;
    struct delivery delivery;
    struct cut_reader heard;
    begin_with_cuts(&delivery, &heard);
    heard.reader.limit[1] = 0;
    assert_int_equal(add(&delivery, STREAM_STDERR, "d"), AFAR_OK);
    cut(&delivery, 5, 10, 20);
    assert_int_equal(delivery_begin(&delivery, NULL, false, &err), AFAR_OK);
    assert_true(delivery_done(&delivery));
    delivery_close(&delivery);
}

static void test_more_than_the_window(void **state)
{
    (void)state;
    struct delivery delivery;
    struct slow_reader reader;
    begin(&delivery, &reader, 2 * WIRE_BYTES);
    reader.limit[0] = 0;
    assert_int_equal(add(&delivery, STREAM_STDOUT, "a"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "b"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "c"), AFAR_EPEER);
    assert_non_null(strstr(err.message, "window of 200 bytes"));
    delivery_close(&delivery);
}

/* What the server said is only what it begins with. */
static void test_a_window_that_grows(void **state)
{
    (void)state;
    struct delivery delivery;
    struct slow_reader reader;
    begin(&delivery, &reader, 2 * WIRE_BYTES);
    delivery.window_max = 3 * WIRE_BYTES;
    reader.limit[0] = 0;
    assert_int_equal(add(&delivery, STREAM_STDOUT, "a"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "b"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "c"), AFAR_OK);
    assert_int_equal(add(&delivery, STREAM_STDOUT, "d"), AFAR_EPEER);
    assert_non_null(strstr(err.message, "window of 300 bytes"));
    delivery_close(&delivery);
}

/* However large the window is: of one that has grown since the client knows nothing. */
static void test_acknowledges_half_a_mebibyte(void **state)
{
    (void)state;
    struct delivery delivery;
    struct slow_reader reader;
    begin(&delivery, &reader, (size_t)64 << 20);
    for (size_t i = 0; i <= 524288 / WIRE_BYTES; i++) {
        assert_false(delivery_ack_due(&delivery, true));
        assert_int_equal(add(&delivery, STREAM_STDOUT, "a"), AFAR_OK);
    }
    assert_true(delivery_ack_due(&delivery, true));
    delivery_close(&delivery);
}

static void test_acknowledgements(void **state)
{
    (void)state;
    struct delivery delivery;
    struct slow_reader reader;
    begin(&delivery, &reader, 8 * WIRE_BYTES);
    assert_false(delivery_ack_due(&delivery, false));
    assert_int_equal(add(&delivery, STREAM_STDOUT, "a"), AFAR_OK);
    assert_true(delivery_ack_due(&delivery, false));
    assert_false(delivery_ack_due(&delivery, true));
    assert_int_equal(add(&delivery, STREAM_STDOUT, "b"), AFAR_OK);
    assert_true(delivery_ack_due(&delivery, true));
    delivery_acked(&delivery);
    assert_false(delivery_ack_due(&delivery, false));
    delivery_close(&delivery);
}

static size_t take_too_much(void *user, const void *data, size_t size)
{
    (void)user;
    (void)data;
    return size + 1;
}

static void test_a_callback_that_takes_too_much(void **state)
{
    (void)state;
    const struct afar_callbacks callbacks = AFAR_CALLBACKS_INIT(.on_stdout = take_too_much);
    struct delivery delivery = {0};
    assert_int_equal(delivery_begin(&delivery, &callbacks, false, &err), AFAR_OK);
    delivery.window = 1000;
    assert_int_equal(add(&delivery, STREAM_STDOUT, "a"), AFAR_EINVAL);
    delivery_close(&delivery);
}

static void test_begins_afresh(void **state)
{
    (void)state;
    struct delivery delivery;
    struct slow_reader reader;
    begin(&delivery, &reader, 1000);
    reader.limit[1] = 0;
    assert_int_equal(add(&delivery, STREAM_STDERR, "old"), AFAR_OK);
    assert_false(delivery_done(&delivery));
    assert_int_equal(delivery_begin(&delivery, NULL, true, &err), AFAR_OK);
    assert_true(delivery_done(&delivery));
    assert_int_equal(delivery_next(&delivery), 0);
    delivery_close(&delivery);
    delivery_close(&delivery);
}

/* An empty stream's sums. */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_sums_are_missed_only_where_they_were_asked_for(void **state)
{
    (void)state;
    struct delivery delivery = {0};
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED};
    assert_int_equal(delivery_begin(&delivery, NULL, true, &err), AFAR_OK);
    assert_int_equal(delivery_verify(&delivery, &receipt, &err), AFAR_EPEER);
    assert_int_equal(delivery_begin(&delivery, NULL, true, &err), AFAR_OK);
    delivery.begun_before = true;
    assert_int_equal(delivery_verify(&delivery, &receipt, &err), AFAR_OK);
    /* Where they are there, they must be right. */
    (void)strcpy(receipt.stdout_sha256, EMPTY);
    (void)strcpy(receipt.stderr_sha256, "e3b0");
    assert_int_equal(delivery_verify(&delivery, &receipt, &err), AFAR_EPEER);
    delivery_close(&delivery);
}

/* Nobody reads it any more: not all of it has come, nor what the sums are of. */
static void test_sums_of_a_closed_stream_say_nothing(void **state)
{
    (void)state;
    struct delivery delivery = {0};
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED,
                                   .stdout_sha256 = "1",
                                   .stderr_sha256 = EMPTY,
                                   .stdout_bytes = 7};
    assert_int_equal(delivery_begin(&delivery, NULL, true, &err), AFAR_OK);
    delivery_close_stream(&delivery, STREAM_STDOUT);
    assert_int_equal(delivery_verify(&delivery, &receipt, &err), AFAR_OK);
    delivery_close(&delivery);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_at_once),
        cmocka_unit_test(test_taken_in_pieces),
        cmocka_unit_test(test_one_stream_is_stuck),
        cmocka_unit_test(test_kept_frames_keep_their_order),
        cmocka_unit_test(test_a_cut_has_its_place),
        cmocka_unit_test(test_a_cut_is_left),
        cmocka_unit_test(test_more_than_the_window),
        cmocka_unit_test(test_a_window_that_grows),
        cmocka_unit_test(test_acknowledges_half_a_mebibyte),
        cmocka_unit_test(test_acknowledgements),
        cmocka_unit_test(test_a_callback_that_takes_too_much),
        cmocka_unit_test(test_begins_afresh),
        cmocka_unit_test(test_sums_are_missed_only_where_they_were_asked_for),
        cmocka_unit_test(test_sums_of_a_closed_stream_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
