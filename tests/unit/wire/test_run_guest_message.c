#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/seeded.h"
#include "support/talk.h"

static void test_refused(void **state)
{
    (void)state;
    talk_open((struct run_guest_setup){.resume_ms = 60000});
    run_guest_begin(&talk.guest, 1);
    run_guest_sent(&talk.guest);
    talk_hear("{\"type\":\"error\",\"id\":1,\"code\":\"superseded\",\"message\":\"m\"}",
              RUN_GUEST_REFUSED);
    assert_int_equal(talk.guest.state, RUN_GUEST_ENDED);
    talk_close();

    /* It could not be started: a receipt is all that comes. */
    talk_open((struct run_guest_setup){.resume_ms = 60000});
    run_guest_begin(&talk.guest, 1);
    run_guest_sent(&talk.guest);
    talk_hear("{\"type\":\"exit\",\"id\":1,\"seq\":0,\"outcome\":\"spawn_failed\"}",
              RUN_GUEST_EXIT);
    run_guest_taken(&talk.guest, 1);
    assert_int_equal(run_guest_finish(&talk.guest, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_ACK);
    talk_close();

    talk_start_resumable();
    talk_hear("{\"type\":\"error\",\"id\":1,\"code\":\"bad_request\",\"message\":\"m\"}",
              RUN_GUEST_REFUSED);
    talk_close();
}

static void test_attached_must_fit(void **state)
{
    (void)state;
    talk_start_resumable();
    talk_output(1, 0, 10);
    static const char whole[] = "{\"type\":\"attached\",\"id\":5,\"job\":\"%s\",\"window\":1000,"
                                "\"state\":\"running\",\"first\":%d,\"end\":9,\"first_bytes\":{"
                                "\"stdout\":%d},\"stdin\":%d}";
    static const struct {
        const char *job;
        int first;
        int bytes;
        int received;
        const char *why;
    } wrong[] = {
        {"another", 1, 10, 0, "another job"},
        {JOB, 0, 10, 0, "frame 1 was asked for"},
        {JOB, 1, 11, 0, "the server counts 11"},
        {JOB, 1, 10, 1, "the server has 1 bytes of stdin"},
    };
    talk_come_back(5);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char json[512];
        (void)snprintf(json, sizeof json, whole, wrong[i].job, wrong[i].first, wrong[i].bytes,
                       wrong[i].received);
        talk_hear_bad(json, wrong[i].why);
    }
    talk_hear_bad(STARTED_AS("5"), "twice");
    talk_hear_bad("{\"type\":\"stdout\",\"id\":5,\"seq\":1,\"size\":1}", "before the command");
    talk_attached(5, "\"state\":\"running\",\"first\":1,\"end\":9,\"first_bytes\":{\"stdout\":10}");
    talk_hear_bad(
        "{\"type\":\"attached\",\"id\":5,\"job\":\"" JOB
        "\",\"window\":1000,\"state\":\"running\",\"first\":1,\"end\":9,\"first_bytes\":{}}",
        "twice");
    talk_hear_bad(STARTED_AS("5"), "twice");
    talk_hear_bad("{\"type\":\"stdout\",\"id\":5,\"seq\":2,\"size\":1}", "output is lost");
    talk_hear_bad("{\"type\":\"ack\",\"id\":5,\"stdin\":1}", "0 were sent");
    talk_close();
}

/* What the command wrote to a stream that was closed is not missed in the receipt. */
static void test_counts(void **state)
{
    (void)state;
    for (int closed = 0; closed <= 1; closed++) {
        talk_start_resumable();
        talk_output(1, 0, 10);
        if (closed != 0)
            run_guest_close_output(&talk.guest, &talk.out, STREAM_STDOUT);
        static const char json[] =
            "{\"type\":\"exit\",\"id\":1,\"seq\":1,\"outcome\":\"exited\",\"code\":0,\"bytes\":{"
            "\"stdout\":11}}";
        if (closed != 0)
            talk_hear(json, RUN_GUEST_EXIT);
        else
            talk_hear_bad(json, "the receipt counts 11 bytes of stdout, but 10 have come");
        talk_close();
    }
    talk_start_resumable();
    talk_output(1, 0, 10);
    talk_hear("{\"type\":\"exit\",\"id\":1,\"seq\":1,\"outcome\":\"server_lost\"}", RUN_GUEST_EXIT);
    talk_close();

    /* Only of what is kept some may be missing. */
    static const char cut[] =
        "{\"type\":\"cut\",\"id\":1,\"seq\":0,\"next\":50,\"stdout\":100,\"stderr\":7}";
    talk_start_resumable();
    talk_hear_bad(cut, "a command that is not kept");
    talk_close();
    talk_open((struct run_guest_setup){.resume_ms = 60000, .stdin_stream = true, .keep = true});
    talk_start();
    talk_hear(cut, RUN_GUEST_LACK);
    assert_true(talk.guest.cut_bytes[0] == 100 && talk.guest.cut_bytes[1] == 7);
    talk_hear_bad("{\"type\":\"cut\",\"id\":1,\"seq\":49,\"next\":51}", "output is lost");
    talk_output(1, 50, 1);
    run_guest_taken(&talk.guest, 50);
    talk_come_back(5);
    assert_true(talk.last.attach.next == 51 && talk.last.attach.ack == 50);
    assert_true(talk.last.attach.next_bytes[0] == 101 && talk.last.attach.next_bytes[1] == 7);
    talk_close();
}

static void expect_answer(const char *code, const char *more, enum run_guest_event expected)
{
    char json[256];
    (void)snprintf(json, sizeof json,
                   "{\"type\":\"error\",\"id\":5,\"code\":\"%s\",\"message\":\"m\"%s}", code, more);
    talk_hear(json, expected);
}

static void test_answers_to_an_attach(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        const char *more;
        enum run_guest_event event;
        const char *words;
    } answers[] = {
        {"superseded", "", RUN_GUEST_FAILED, "another client has taken the command over"},
        {"stale", "", RUN_GUEST_DROP, NULL},
        {"busy", "", RUN_GUEST_DROP, NULL},
        {"draining", "", RUN_GUEST_DROP, NULL},
        {"internal", "", RUN_GUEST_DROP, NULL},
        {"gone", "", RUN_GUEST_FAILED, "does not hold the output"},
        {"denied", "", RUN_GUEST_FAILED, "m; whether the command finished is unknown"},
        {"unsupported", "", RUN_GUEST_FAILED, "m; whether"},
        {"not_found", "", RUN_GUEST_FAILED, "does not know the command; whether the command fin"},
        {"not_found", ",\"server\":\"s1\"", RUN_GUEST_FAILED, "does not know"},
        {"not_found", ",\"server\":\"s2\"", RUN_GUEST_DROP, NULL},
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        talk_start_resumable();
        talk_come_back(5);
        expect_answer(answers[i].code, answers[i].more, answers[i].event);
        if (answers[i].event == RUN_GUEST_FAILED) {
            assert_int_equal(talk.guest.state, RUN_GUEST_ENDED);
            assert_non_null(strstr(talk.err.message, answers[i].words));
            assert_string_equal(talk.err.reason, answers[i].code);
        } else {
            assert_int_equal(talk_lose(3000), RUN_GUEST_RETRY);
            assert_int_equal(run_guest_deadline_ms(&talk.guest), 3100);
        }
        talk_close();
    }
    /* When the server says when. */
    talk_start_resumable();
    talk_come_back(5);
    expect_answer("busy", ",\"retry_after_ms\":4000", RUN_GUEST_DROP);
    assert_int_equal(talk_lose(1000), RUN_GUEST_RETRY);
    assert_int_equal(run_guest_deadline_ms(&talk.guest), 5000);
    talk_close();
    /* While it runs. */
    talk_start_resumable();
    talk_hear("{\"type\":\"error\",\"id\":1,\"code\":\"stale\",\"message\":\"m\"}", RUN_GUEST_DROP);
    assert_int_equal(talk_lose(1000), RUN_GUEST_RETRY);
    talk_close();
    talk_start_resumable();
    talk_hear("{\"type\":\"error\",\"id\":1,\"code\":\"superseded\",\"message\":\"m\"}",
              RUN_GUEST_FAILED);
    talk_close();
    /* Turned away at the door: for now, or for good. */
    talk_start_resumable();
    talk_come_back(5);
    talk_hear("{\"type\":\"error\",\"code\":\"busy\",\"message\":\"m\"}", RUN_GUEST_NOTHING);
    assert_int_equal(talk_lose(3000), RUN_GUEST_RETRY);
    assert_true(run_guest_connect_now(&talk.guest, 9000));
    assert_int_equal(run_guest_connected(&talk.guest, 6, &talk.out, NULL), AFAR_OK);
    talk_hear("{\"type\":\"error\",\"code\":\"denied\",\"message\":\"m\"}", RUN_GUEST_NOTHING);
    assert_int_equal(talk_lose(9000), RUN_GUEST_OVER);
    talk_close();
}

/* The exec may still be on its way when the first attach arrives. */
static void test_lost_before_the_answer(void **state)
{
    (void)state;
    enum run_guest_event event = RUN_GUEST_NOTHING;
    talk_open((struct run_guest_setup){.resume_ms = 60000, .stdin_stream = true});
    run_guest_begin(&talk.guest, 1);
    assert_int_equal(talk_give("abc"), 3);
    run_guest_sent(&talk.guest);
    talk_come_back(5); /* since 2000 */
    assert_string_equal(talk.last.job, "");
    assert_true(talk.last.attach.resume && talk.last.attach.has_next && talk.last.attach.next == 0);
    static const char not_found[] = "{\"type\":\"error\",\"id\":5,\"code\":\"not_found\","
                                    "\"message\":\"m\",\"server\":\"s1\"}";
    assert_int_equal(talk_hear_at(3999, not_found, &event), AFAR_OK);
    assert_int_equal(event, RUN_GUEST_DROP);
    assert_int_equal(talk_lose(4000), RUN_GUEST_RETRY);
    assert_true(run_guest_connect_now(&talk.guest, 5000));
    assert_int_equal(run_guest_connected(&talk.guest, 5, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_hear_at(4000, not_found, &event), AFAR_OK);
    assert_int_equal(event, RUN_GUEST_FAILED);
    assert_non_null(strstr(talk.err.message, "whether the command ran is unknown"));
    talk_close();

    /* It has arrived: then all goes on from the beginning. */
    talk_open((struct run_guest_setup){.resume_ms = 60000, .stdin_stream = true});
    run_guest_begin(&talk.guest, 1);
    assert_int_equal(talk_give("abc"), 3);
    run_guest_sent(&talk.guest);
    talk_come_back(5);
    talk_attached(5, "\"state\":\"starting\",\"first\":0,\"end\":0,\"first_bytes\":{},\"stdin\":1");
    talk_expect_stdin(5, 1, "bc", false);
    talk_hear(STARTED_AS("5"), RUN_GUEST_STARTED);
    talk_hear_bad(STARTED_AS("5"), "twice");
    talk_output(5, 0, 1);
    talk_close();
}

static void test_taking_over(void **state)
{
    (void)state;
    talk_open((struct run_guest_setup){.resume_ms = 60000, .job = JOB, .stdin_stream = true});
    assert_int_equal(run_guest_connected(&talk.guest, 5, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_ATTACH);
    assert_string_equal(talk.last.job, JOB);
    assert_true(!talk.last.attach.resume && !talk.last.attach.has_next &&
                talk.last.attach.attempt == 1);
    assert_int_equal(talk_give("x"), 0);
    talk_attached(5, "\"state\":\"running\",\"first\":7,\"end\":9,\"first_bytes\":{\"stdout\":70},"
                     "\"stdin\":30,\"taken\":20");
    assert_true(talk.guest.next_seq == 7 && talk.guest.bytes[0] == 70 && talk.guest.taken == 7);
    assert_int_equal(talk_give("abc"), 3); /* behind what there was */
    talk_expect_stdin(5, 30, "abc", false);
    talk_output(5, 7, 5);
    /* From now on it is this one's. */
    talk_come_back(5);
    assert_true(talk.last.attach.resume && talk.last.attach.attempt == 2 &&
                talk.last.attach.next == 8);
    talk_attached(5, "\"state\":\"running\",\"first\":8,\"end\":9,\"first_bytes\":{\"stdout\":75},"
                     "\"stdin\":31,\"taken\":31,\"stdin_eof\":true");
    talk_expect_stdin(5, 31, "bc", false);
    assert_int_equal(talk_give("nobody reads it"), 15); /* others have ended it */
    talk_close();

    talk_open((struct run_guest_setup){.resume_ms = 60000, .job = JOB});
    assert_int_equal(talk_lose(0), RUN_GUEST_NOT_SENT);
    assert_int_equal(run_guest_connected(&talk.guest, 5, &talk.out, NULL), AFAR_OK);
    expect_answer("not_found", "", RUN_GUEST_REFUSED);
    talk_close();

    /* Lost before it was attached: it takes it over again. */
    talk_open((struct run_guest_setup){.resume_ms = 60000, .job = JOB});
    assert_int_equal(run_guest_connected(&talk.guest, 5, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_lose(2000), RUN_GUEST_RETRY);
    assert_true(run_guest_connect_now(&talk.guest, 2000));
    assert_int_equal(run_guest_connected(&talk.guest, 6, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_ATTACH);
    assert_true(!talk.last.attach.resume && talk.last.attach.attempt == 2);
    talk_close();
    talk_open((struct run_guest_setup){.job = JOB});
    assert_int_equal(run_guest_connected(&talk.guest, 5, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_lose(2000), RUN_GUEST_OVER);
    assert_string_equal(talk.err.message, "the command may run on");
    talk_close();
}

/* An exec that the server could not read was not begun. */
static void test_exec_unread(void **state)
{
    static const char *const codes[] = {"limit", "bad_request", "internal"};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        for (int heard = 0; heard < 2; heard++) {
            char json[128];
            (void)snprintf(json, sizeof json,
                           "{\"type\":\"error\",\"code\":\"%s\",\"message\":\"m\"}", codes[i]);
            talk_open((struct run_guest_setup){.resume_ms = 60000});
            run_guest_begin(&talk.guest, 1);
            run_guest_sent(&talk.guest);
            if (heard != 0)
                talk_hear("{\"type\":\"queued\",\"id\":1,\"position\":1}", RUN_GUEST_NOTHING);
            talk_hear(json, RUN_GUEST_NOTHING);
            assert_int_equal(talk_lose(2000),
                             i == 0 && heard == 0 ? RUN_GUEST_NOT_SENT : RUN_GUEST_RETRY);
            talk_close();
        }
    }
}

/* Output that lies before the first frame would be missing. */
static void test_attached_for_an_exec(void **state)
{
    static const char whole[] = "{\"type\":\"attached\",\"id\":1,\"job\":\"" JOB
                                "\",\"window\":1000,\"resume_ms\":60000,\"kept\":true,"
                                "\"state\":\"%s\",\"first\":%d,\"end\":9,"
                                "\"first_bytes\":{\"stdout\":%d}}";
    static const struct {
        bool keep;
        bool named;
        const char *job_state;
        int first;
        int bytes;
        bool fits;
    } cases[] = {
        {false, false, "running", 0, 0, false}, {false, false, "ended", 3, 100, false},
        {true, false, "running", 0, 0, true},   {true, false, "running", 3, 0, false},
        {true, false, "ended", 0, 100, false},  {true, true, "ended", 3, 100, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[512];
        (void)snprintf(json, sizeof json, whole, cases[i].job_state, cases[i].first,
                       cases[i].bytes);
        talk_open((struct run_guest_setup){
            .resume_ms = 60000, .keep = cases[i].keep, .stdin_again = cases[i].named});
        run_guest_begin(&talk.guest, 1);
        run_guest_sent(&talk.guest);
        if (cases[i].fits)
            talk_hear(json, RUN_GUEST_ATTACHED);
        else
            talk_hear_bad(json, "another command");
        talk_close();
    }
}

/* A name under which a command is known already: `attached` answers the exec. */
static void test_known_name(void **state)
{
    (void)state;
    talk_open((struct run_guest_setup){
        .resume_ms = 60000, .stdin_stream = true, .keep = true, .stdin_again = true});
    run_guest_begin(&talk.guest, 5);
    assert_int_equal(talk_give("01234"), 5);
    run_guest_sent(&talk.guest);
    talk_expect_stdin(5, 0, "01234", false);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":9,\"first_bytes\":{},\"stdin\":8,"
                     "\"taken\":8,\"kept\":true");
    assert_true(talk.guest.kept);
    assert_int_equal(talk_give("56789"), 3); /* the server has them */
    assert_int_equal(buffer_size(&talk.out), 0);
    assert_int_equal(talk_give("89"), 2);
    talk_expect_stdin(5, 8, "89", false);
    /* Where it has less than was sent, it has that too by now. */
    talk_close();
    talk_open((struct run_guest_setup){
        .resume_ms = 60000, .stdin_stream = true, .keep = true, .stdin_again = true});
    run_guest_begin(&talk.guest, 5);
    assert_int_equal(talk_give("01234"), 5);
    run_guest_sent(&talk.guest);
    buffer_clear(&talk.out);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":9,\"first_bytes\":{},\"stdin\":2");
    assert_int_equal(buffer_size(&talk.out), 0);
    assert_int_equal(talk_give("56"), 2);
    talk_expect_stdin(5, 5, "56", false);
    talk_close();

    /* Also without a ring: what was put is on its way. */
    talk_open((struct run_guest_setup){.stdin_stream = true, .keep = true, .stdin_again = true});
    run_guest_begin(&talk.guest, 5);
    assert_int_equal(talk_give("01234"), 5);
    run_guest_sent(&talk.guest);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":9,\"first_bytes\":{},\"stdin\":2");
    talk_close();

    /* It has ended: what it was given is of no account. */
    talk_open((struct run_guest_setup){.resume_ms = 60000, .stdin_stream = true});
    talk_start();
    assert_int_equal(talk_give("01234"), 5);
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":4}", RUN_GUEST_ROOM);
    talk_come_back(5);
    talk_attached(5, "\"state\":\"ended\",\"first\":0,\"end\":1,\"first_bytes\":{},\"kept\":true");
    assert_int_equal(talk_give("more"), 4);
    assert_int_equal(buffer_size(&talk.out), 0);
    assert_int_equal(talk_lose(0), RUN_GUEST_RETRY);
    talk_close();
    talk_open((struct run_guest_setup){.keep = true});
    run_guest_begin(&talk.guest, 5);
    run_guest_sent(&talk.guest);
    talk_attached(5,
                  "\"state\":\"running\",\"first\":0,\"end\":1,\"first_bytes\":{},\"kept\":true");
    assert_int_equal(talk_lose(0), RUN_GUEST_OVER);
    assert_string_equal(talk.err.message, "the command is kept, and may run on");
    talk_close();
}

static uint64_t any_number(struct seeded *seeded)
{
    return seeded_below(seeded, 4) == 0 ? seeded_next(seeded) >> 11 : seeded_below(seeded, 12);
}

/* Sound messages in any order, with any numbers: whatever a server says, nothing breaks. */
static void any_message(struct seeded *seeded, struct message *message)
{
    static const enum message_type types[] = {
        MESSAGE_STARTED, MESSAGE_ATTACHED, MESSAGE_STDOUT, MESSAGE_CUT,
        MESSAGE_EXIT,    MESSAGE_ACK,      MESSAGE_ERROR,  MESSAGE_DETACHED,
    };
    static const char *const codes[] = {"busy", "denied", "stale", "superseded", "not_found"};
    *message = (struct message){.type = types[seeded_below(seeded, 8)],
                                .has_id = seeded_below(seeded, 8) > 0,
                                .id = 1 + seeded_below(seeded, 2),
                                .seq = any_number(seeded),
                                .size = seeded_below(seeded, 100),
                                .window = any_number(seeded),
                                .credit = any_number(seeded),
                                .resume_ms = any_number(seeded),
                                .has_stdin_acked = true,
                                .stdin_acked = any_number(seeded),
                                .retry_after_ms = any_number(seeded),
                                .job = JOB};
    (void)snprintf(message->word, sizeof message->word, "%s", codes[seeded_below(seeded, 5)]);
    if (message->type == MESSAGE_ATTACHED)
        message->attached =
            (struct message_attached){.state = (enum message_job_state)seeded_below(seeded, 5),
                                      .first = any_number(seeded),
                                      .first_bytes = {any_number(seeded), 0},
                                      .stdin_received = any_number(seeded),
                                      .stdin_eof = seeded_below(seeded, 4) == 0};
    if (message->type == MESSAGE_ATTACHED && seeded_below(seeded, 2) == 0)
        message->attached.stdin_taken = message->attached.stdin_received;
    if (message->type == MESSAGE_CUT)
        message->cut = (struct message_cut){.next = message->seq + 1 + any_number(seeded)};
}

static void test_anything_may_come(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct seeded seeded = {seed};
        enum run_guest_event event = RUN_GUEST_NOTHING;
        talk_open((struct run_guest_setup){.resume_ms = any_number(&seeded),
                                           .job = seeded_below(&seeded, 3) == 0 ? JOB : NULL,
                                           .stdin_stream = true,
                                           .stdin_again = seeded_below(&seeded, 2) == 0,
                                           .stdin_credit = 1 + seeded_below(&seeded, 20)});
        for (int i = 0; i < 60; i++) {
            struct message message;
            int64_t now_ms = i * 1000;
            any_message(&seeded, &message);
            if (talk.guest.state == RUN_GUEST_NEW && talk.guest.takes_over)
                (void)run_guest_connected(&talk.guest, 1, &talk.out, NULL);
            else if (talk.guest.state == RUN_GUEST_NEW)
                run_guest_begin(&talk.guest, 1);
            run_guest_sent(&talk.guest);
            if (run_guest_connect_now(&talk.guest, now_ms))
                (void)run_guest_connected(&talk.guest, 2, &talk.out, NULL);
            (void)run_guest_message(&talk.guest, &message, now_ms, &talk.out, &event, NULL);
            (void)talk_give("0123456789");
            assert_true(buffer_size(&talk.guest.ring) <= talk.guest.stdin_credit);
            if (event == RUN_GUEST_DROP || seeded_below(&seeded, 10) == 0)
                (void)talk_lose(now_ms);
        }
        talk_close();
    }
}

/* With window_max the credit is what the last `ack` has said. */
static void test_credit_grows_and_shrinks(void **state)
{
    (void)state;
    talk_open((struct run_guest_setup){
        .resume_ms = 60000, .stdin_stream = true, .stdin_credit = 4, .window_max = 300000});
    talk_start();
    assert_int_equal(talk_give("0123456789"), 4);
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":0,\"credit\":6}", RUN_GUEST_ROOM);
    assert_int_equal(talk_give("456789"), 2);
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":2,\"credit\":8}", RUN_GUEST_ROOM);
    assert_int_equal(talk_give("6789ab"), 4);
    /* What was sent under the larger one is kept until it is acknowledged. */
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":4,\"credit\":4}", RUN_GUEST_ROOM);
    assert_int_equal(talk_give("abcdef"), 0);
    assert_int_equal(buffer_size(&talk.guest.ring), 6);
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":9}", RUN_GUEST_ROOM);
    assert_int_equal(talk_give("abcdef"), 3);
    /* However much it is, not more than can be kept here. */
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":9,\"credit\":9007199254740991}",
              RUN_GUEST_ROOM);
    assert_int_equal(talk.guest.stdin_credit, RUN_GUEST_RING_MAX_BYTES);
    talk_hear_bad("{\"type\":\"ack\",\"id\":1,\"stdin\":14}", "were sent");
    talk_close();
}

/* A client that has not said window_max goes by `started` alone. */
static void test_credit_is_final_without_window_max(void **state)
{
    (void)state;
    talk_open(
        (struct run_guest_setup){.resume_ms = 60000, .stdin_stream = true, .stdin_credit = 4});
    talk_start();
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":0,\"credit\":6}", RUN_GUEST_NOTHING);
    assert_int_equal(talk_give("0123456789"), 4);
    talk_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_attached_must_fit),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_answers_to_an_attach),
        cmocka_unit_test(test_lost_before_the_answer),
        cmocka_unit_test(test_taking_over),
        cmocka_unit_test(test_exec_unread),
        cmocka_unit_test(test_attached_for_an_exec),
        cmocka_unit_test(test_known_name),
        cmocka_unit_test(test_anything_may_come),
        cmocka_unit_test(test_credit_grows_and_shrinks),
        cmocka_unit_test(test_credit_is_final_without_window_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
