#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/scripted_client.h"

// wrap: clock_now_ms

/* The client's time, where it stands still: on a busy machine 20 ms are soon over. */
static int64_t stopped_ms;

int64_t __real_clock_now_ms(void);
int64_t __wrap_clock_now_ms(void);
int64_t __wrap_clock_now_ms(void)
{
    return stopped_ms != 0 ? stopped_ms : __real_clock_now_ms();
}

static void script_whole_run(struct script *script)
{
    script_frame(script, "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":1000}");
    script_frame(script, "{\"type\":\"ping\",\"id\":9}");
    script_stdout(script, 1, 0, "hello ");
    script_stderr(script, 1, 1, "oops");
    script_stdout(script, 1, 2, "world");
    script_exit(script, 1, 3, 7);
}

static void expect_whole_run(const struct scripted_client *it)
{
    assert_string_equal(it->reader.text[0], "hello world");
    assert_string_equal(it->reader.text[1], "oops");
    assert_non_null(afar_receipt(it->client));
    assert_int_equal(afar_receipt(it->client)->code, 7);
}

static void test_receives_of_every_size(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 600; piece++) {
        void *fixture = NULL;
        (void)scripted_client_setup(&fixture);
        struct scripted_client *it = fixture;
        it->script.piece = piece;
        scripted_client_start(it, false, false);
        script_whole_run(&it->script);
        assert_int_equal(scripted_client_process(it), AFAR_OK);
        expect_whole_run(it);
        (void)scripted_client_teardown(&fixture);
    }
}

/* All that came before the cut has its effect; the receipt is there only where it came whole. */
static void test_a_cut_at_every_byte(void **state)
{
    (void)state;
    struct script whole;
    script_init(&whole);
    script_whole_run(&whole);
    size_t total = buffer_size(&whole.to_client);
    for (size_t cut = 0; cut <= total; cut++) {
        void *fixture = NULL;
        (void)scripted_client_setup(&fixture);
        struct scripted_client *it = fixture;
        scripted_client_start(it, false, false);
        script_bytes(&it->script, buffer_head(&whole.to_client), cut);
        /* First the pause, … */
        assert_int_equal(scripted_client_process(it), AFAR_OK);
        if (cut < total) {
            assert_null(afar_receipt(it->client));
            /* … then the end. */
            it->script.at_end = AFAR_ECLOSED;
            assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
            assert_non_null(strstr(it->err.message, "unknown"));
            assert_null(afar_receipt(it->client));
        } else {
            expect_whole_run(it);
        }
        (void)scripted_client_teardown(&fixture);
    }
    script_close(&whole);
}

static void test_sends_of_every_size(void **state)
{
    struct scripted_client *it = *state;
    struct message message;
    size_t taken = 0;
    scripted_client_run(it, true, 1000);
    it->script.send_room = 0;
    assert_int_equal(afar_write_stdin(it->client, "0123456789", 10, &taken, &it->err), AFAR_OK);
    assert_int_equal(afar_events(it->client), POLLIN | POLLOUT);
    while (afar_events(it->client) & POLLOUT) {
        it->script.send_room = 1;
        assert_int_equal(scripted_client_process(it), AFAR_OK);
    }
    assert_int_equal(afar_events(it->client), POLLIN);
    char payload[10];
    assert_true(script_next(&it->script, &message, payload));
    assert_int_equal(message.size, 10);
    assert_memory_equal(payload, "0123456789", 10);
    assert_false(script_next(&it->script, &message, NULL));
}

/* Little may wait for what comes next, but not for long. */
static void test_acks_soon(void **state)
{
    struct scripted_client *it = *state;
    struct message last;
    scripted_client_run(it, false, 100000);
    assert_true(afar_timeout(it->client) > 1000); /* a heartbeat */
    stopped_ms = __real_clock_now_ms();
    script_stdout(&it->script, 1, 0, "a");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(script_count(&it->script, MESSAGE_ACK, NULL), 0);
    assert_in_range(afar_timeout(it->client), 0, 20);
    int64_t due_ms = it->client->command.ack_by_ms;
    script_stdout(&it->script, 1, 1, "b");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_true(it->client->command.ack_by_ms == due_ms); /* not put off */
    stopped_ms = 0;

    it->client->command.ack_by_ms = 0; /* as if so much time had passed */
    assert_int_equal(afar_timeout(it->client), 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(script_count(&it->script, MESSAGE_ACK, &last), 1);
    assert_true(afar_timeout(it->client) > 1000);
    assert_int_equal(last.next, 2);
    assert_int_equal(last.id, 1);
    /* Nothing new: nothing to say. */
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(script_count(&it->script, MESSAGE_ACK, NULL), 0);
}

/* Frames of 46 + 54 bytes on the wire, a window of 1,000: one for every third. */
static void test_acks_for_each_quarter_of_the_window(void **state)
{
    struct scripted_client *it = *state;
    struct message message;
    scripted_client_run(it, false, 1000);
    for (unsigned i = 0; i < 9; i++) {
        char header[64];
        char payload[54] = {0};
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"stdout\",\"id\":1,\"seq\":%u,\"size\":54}", i);
        assert_int_equal(strlen(header) + 4, 46);
        script_payload(&it->script, header, payload, sizeof payload);
    }
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    for (unsigned next = 3; next <= 9; next += 3) {
        assert_true(script_next(&it->script, &message, NULL));
        assert_int_equal(message.type, MESSAGE_ACK);
        assert_int_equal(message.next, next);
    }
    assert_false(script_next(&it->script, &message, NULL));
}

static void test_no_ack_after_the_end(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 100000);
    script_stdout(&it->script, 1, 0, "a");
    script_exit(&it->script, 1, 1, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(script_count(&it->script, MESSAGE_ACK, NULL), 0);
}

static void expect_end(struct scripted_client *it, const char *message)
{
    it->script.at_end = AFAR_ECLOSED;
    assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
    assert_string_equal(it->err.message, message);
}

static void test_what_is_said_of_the_end(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    expect_end(it, "tcp://there:1 closed the connection before the command's receipt; whether it "
                   "finished is unknown");
}

static void test_an_end_that_was_announced(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    script_frame(&it->script, "{\"type\":\"closing\",\"reason\":\"drain\\u001bing\"}");
    expect_end(it, "tcp://there:1 closed the connection (drain?ing) before the command's receipt; "
                   "whether it finished is unknown");
}

static void test_an_end_that_was_explained(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"no\"}");
    expect_end(it, "tcp://there:1 closed the connection before it answered; whether the command "
                   "ran is unknown: no (bad_request)");
    assert_string_equal(it->err.reason, "bad_request");
}

/* ---- ends by which the server has surely not begun the command ------------------------------- */

static void expect_not_begun(struct scripted_client *it, enum afar_status status,
                             const char *reason)
{
    it->script.at_end = status;
    assert_int_equal(scripted_client_process(it), status);
    assert_string_equal(it->err.reason, reason);
    assert_null(strstr(it->err.message, "unknown"));
}

static void test_no_room(void **state)
{
    static const char *const codes[] = {"busy", "draining", "denied"};
    struct scripted_client *it = *state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char header[128];
        scripted_client_start(it, false, false);
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"error\",\"code\":\"%s\",\"message\":\"no\"}", codes[i]);
        script_frame(&it->script, header);
        expect_not_begun(it, AFAR_ECLOSED, codes[i]);
        assert_non_null(strstr(it->err.message, "has not begun the command: no ("));
        scripted_client_teardown(state);
        scripted_client_setup(state);
        it = *state;
    }
}

/* The request and this have crossed. The end itself need not have come. */
static void test_closing_before_any_answer(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"closing\",\"reason\":\"draining\"}");
    assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
    assert_string_equal(it->err.reason, "not_sent");
    assert_string_equal(it->err.message,
                        "tcp://there:1 closed the connection (draining) and has not begun the "
                        "command");
}

static void test_a_certificate_that_is_refused(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    expect_not_begun(it, AFAR_ETRUST, "not_sent");
}

/* After any answer, nobody knows. */
static void test_ends_after_an_answer(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    script_frame(&it->script, "{\"type\":\"queued\",\"id\":1,\"position\":1}");
    script_frame(&it->script, "{\"type\":\"closing\",\"reason\":\"draining\"}");
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    it->script.at_end = AFAR_ETRUST;
    assert_int_equal(scripted_client_process(it), AFAR_ETRUST);
    assert_string_equal(it->err.reason, "");
}

/* An old complaint tells nothing of a new command. */
static void test_a_complaint_about_something_else(void **state)
{
    struct scripted_client *it = *state;
    script_frame(&it->script, "{\"type\":\"error\",\"code\":\"busy\",\"message\":\"no\"}");
    scripted_client_start(it, false, false);
    it->script.at_end = AFAR_ECLOSED;
    assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
    assert_string_equal(it->err.reason, "");
    assert_non_null(strstr(it->err.message, "whether the command ran is unknown"));
}

static void test_a_reset_without_a_word(void **state)
{
    struct scripted_client *it = *state;
    it->client->scheme = ENDPOINT_TCP;
    it->script.at_end_errno = ECONNRESET;
    scripted_client_start(it, false, false);
    expect_end(it, "tcp://there:1 reset the connection without an answer; does it need tls:// or "
                   "another protocol?");
    assert_int_equal(it->err.sys_errno, ECONNRESET);
}

static void test_a_network_that_died(void **state)
{
    struct scripted_client *it = *state;
    it->script.at_end_errno = ETIMEDOUT;
    expect_end(it, "tcp://there:1: the script has ended; the connection ended");
}

/* The send fails because the server has gone; why it has gone is still to be read. */
static void test_a_failed_send_is_explained_by_what_was_received(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    it->script.on_send = AFAR_ECLOSED;
    assert_int_equal(afar_signal(it->client, "INT", &it->err), AFAR_OK);
    script_stdout(&it->script, 1, 0, "last words");
    script_frame(&it->script, "{\"type\":\"error\",\"code\":\"limit\",\"message\":\"enough\"}");
    assert_int_equal(scripted_client_process(it), AFAR_ECLOSED);
    assert_non_null(strstr(it->err.message, "enough (limit)"));
    assert_string_equal(it->reader.text[0], "last words");
}

static void test_a_failed_send_after_the_receipt(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 1000);
    it->script.on_send = AFAR_ECLOSED;
    assert_int_equal(afar_signal(it->client, "INT", &it->err), AFAR_OK);
    script_exit(&it->script, 1, 0, 0);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_non_null(afar_receipt(it->client));
}

static void test_trust_is_told_as_such(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_start(it, false, false);
    it->script.at_end = AFAR_ETRUST;
    assert_int_equal(scripted_client_process(it), AFAR_ETRUST);
    assert_string_equal(it->err.message, "tcp://there:1: the script has ended");
}

static void test_other_protocols(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
    } strays[] = {
        {"\x15\x03\x03\x00\x02\x02\x46", 7, "speaks TLS: connect with tls://"},
        {"HTTP/1.1 400 Bad Request\r\n", 26, "speaks HTTP: this is not an Afar server"},
        {"\xff\xff\xff\xff", 4, "65536 are allowed"},
        {"\x05\x00\x00\x00{...}", 9, "tcp://there:1: "},
    };
    for (size_t i = 0; i < sizeof strays / sizeof strays[0]; i++) {
        void *fixture = NULL;
        (void)scripted_client_setup(&fixture);
        struct scripted_client *it = fixture;
        scripted_client_start(it, false, false);
        script_bytes(&it->script, strays[i].bytes, strays[i].size);
        assert_int_equal(scripted_client_process(it), AFAR_EPEER);
        assert_non_null(strstr(it->err.message, strays[i].words));
        (void)scripted_client_teardown(&fixture);
    }
}

/* A turn ends after a megabyte, so that the caller's other work gets its own. */
static void test_a_turn_has_an_end(void **state)
{
    struct scripted_client *it = *state;
    char *payload = calloc(1, 65536);
    assert_non_null(payload);
    scripted_client_run(it, false, 1 << 30);
    it->client->command.delivery.callbacks.on_frame = NULL;
    for (unsigned i = 0; i < 40; i++) {
        char header[64];
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"stdout\",\"id\":1,\"seq\":%u,\"size\":65536}", i);
        script_payload(&it->script, header, payload, 65536);
    }
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_in_range(it->reader.bytes[0], 900000, 1200000);
    while (it->reader.bytes[0] < 40 * 65536)
        assert_int_equal(scripted_client_process(it), AFAR_OK);
    free(payload);
}

/* It ends as well where the server makes each byte cost much. The caller's poll(2) does not wait
 * then, whatever its descriptor has, so that nothing is forgotten. */
static void test_a_turn_ends_although_more_is_pending(void **state)
{
    struct scripted_client *it = *state;
    unsigned turns = 0;
    scripted_client_run(it, false, 100000);
    it->script.turn_bytes = 10;
    for (unsigned i = 0; i < 40; i++)
        script_stdout(&it->script, 1, i, "0123456789");
    size_t total = buffer_size(&it->script.to_client);
    while (buffer_size(&it->script.to_client) > 0) {
        size_t before = buffer_size(&it->script.to_client);
        assert_int_equal(scripted_client_process(it), AFAR_OK);
        assert_in_range(before - buffer_size(&it->script.to_client), 1, 200);
        turns++;
        if (buffer_size(&it->script.to_client) > 0) {
            assert_int_equal(afar_timeout(it->client), 0);
            assert_int_equal(afar_events(it->client), POLLIN | POLLOUT);
        }
    }
    assert_true(turns >= total / 200);
    assert_int_equal(it->reader.bytes[0], 400);
    if (afar_timeout(it->client) == 0) /* so slow a machine that the acknowledgement is due */
        assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_not_equal(afar_timeout(it->client), 0);
    assert_int_equal(afar_events(it->client), POLLIN);
}

/* Nor does waiting with a deadline outlast that. */
static void test_a_deadline_holds_although_more_is_pending(void **state)
{
    struct scripted_client *it = *state;
    scripted_client_run(it, false, 100000000);
    it->script.turn_bytes = 1;
    for (unsigned i = 0; i < 200000; i++)
        script_frame(&it->script, "{\"type\":\"pong\",\"id\":77}");
    assert_int_equal(afar_wait(it->client, 20, &it->err), AFAR_ETIMEDOUT);
    assert_true(buffer_size(&it->script.to_client) > 0);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, scripted_client_setup, scripted_client_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receives_of_every_size),
        cmocka_unit_test(test_a_cut_at_every_byte),
        TEST(test_sends_of_every_size),
        TEST(test_acks_soon),
        TEST(test_acks_for_each_quarter_of_the_window),
        TEST(test_no_ack_after_the_end),
        TEST(test_what_is_said_of_the_end),
        TEST(test_an_end_that_was_announced),
        TEST(test_an_end_that_was_explained),
        TEST(test_no_room),
        TEST(test_closing_before_any_answer),
        TEST(test_a_certificate_that_is_refused),
        TEST(test_ends_after_an_answer),
        TEST(test_a_complaint_about_something_else),
        TEST(test_a_reset_without_a_word),
        TEST(test_a_network_that_died),
        TEST(test_a_failed_send_is_explained_by_what_was_received),
        TEST(test_a_failed_send_after_the_receipt),
        TEST(test_trust_is_told_as_such),
        cmocka_unit_test(test_other_protocols),
        TEST(test_a_turn_has_an_end),
        TEST(test_a_turn_ends_although_more_is_pending),
        TEST(test_a_deadline_holds_although_more_is_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
