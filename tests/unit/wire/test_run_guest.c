// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc_fault.h"
#include "support/talk.h"

static void test_plain_run(void **state)
{
    (void)state;
    talk_open((struct run_guest_setup){.stdin_stream = true});
    run_guest_begin(&talk.guest, 1);
    assert_int_equal(talk_give("early"), 5);
    run_guest_sent(&talk.guest);
    talk_expect_stdin(1, 0, "early", false);
    talk_hear("{\"type\":\"queued\",\"id\":1,\"position\":1}", RUN_GUEST_NOTHING);
    talk_hear("{\"type\":\"started\",\"id\":1,\"job\":\"" JOB "\",\"window\":1000}",
              RUN_GUEST_STARTED);
    assert_string_equal(talk.guest.job, JOB);
    talk_hear("{\"type\":\"stdout\",\"id\":2,\"seq\":5,\"size\":1}", RUN_GUEST_NOTHING);
    talk_output(1, 0, 10);
    talk_hear("{\"type\":\"stderr\",\"id\":1,\"seq\":1,\"size\":3}", RUN_GUEST_OUTPUT);
    assert_true(talk.guest.bytes[0] == 10 && talk.guest.bytes[1] == 3 && talk.guest.next_seq == 2);
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":5}", RUN_GUEST_ROOM);
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":4}", RUN_GUEST_NOTHING);
    run_guest_taken(&talk.guest, 1);
    assert_int_equal(run_guest_put_ack(&talk.guest, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_ACK);
    assert_int_equal(talk.last.next, 1);
    assert_int_equal(run_guest_put_ack(&talk.guest, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_BAD);
    run_guest_close_stdin(&talk.guest, &talk.out);
    talk_expect_stdin(1, 5, "", true);
    size_t taken = 0;
    assert_int_equal(run_guest_write(&talk.guest, &talk.out, "x", 1, &taken, NULL), AFAR_EINVAL);
    talk_hear("{\"type\":\"exit\",\"id\":1,\"seq\":2,\"outcome\":\"exited\",\"code\":0,\"bytes\":{"
              "\"stdout\":10,\"stderr\":3}}",
              RUN_GUEST_EXIT);
    talk_hear("{\"type\":\"stdout\",\"id\":1,\"seq\":3,\"size\":1}", RUN_GUEST_NOTHING);
    assert_int_equal(talk_give("nobody reads this"), 17);
    assert_int_equal(run_guest_finish(&talk.guest, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_BAD); /* nobody waits for an ack */
    assert_int_equal(talk.guest.state, RUN_GUEST_ENDED);
    talk_close();
}

static void test_lost_without_resume(void **state)
{
    (void)state;
    talk_open((struct run_guest_setup){0});
    run_guest_begin(&talk.guest, 1);
    assert_int_equal(talk_lose(0), RUN_GUEST_NOT_SENT);
    assert_int_equal(talk.guest.state, RUN_GUEST_NEW);
    run_guest_begin(&talk.guest, 2);
    run_guest_sent(&talk.guest);
    assert_int_equal(talk_lose(0), RUN_GUEST_OVER);
    assert_string_equal(talk.err.message, "whether the command ran is unknown");
    assert_int_equal(talk.guest.state, RUN_GUEST_ENDED);
    talk_close();

    talk_open((struct run_guest_setup){0});
    talk_start();
    assert_int_equal(talk_lose(0), RUN_GUEST_OVER);
    assert_string_equal(talk.err.message, "whether the command finished is unknown");
    assert_int_equal(run_guest_deadline_ms(&talk.guest), NEVER);
    talk_close();

    /* Asked for, and not granted. */
    talk_open((struct run_guest_setup){.resume_ms = 60000});
    run_guest_begin(&talk.guest, 1);
    run_guest_sent(&talk.guest);
    talk_hear("{\"type\":\"started\",\"id\":1,\"job\":\"" JOB "\",\"window\":1000}",
              RUN_GUEST_STARTED);
    assert_int_equal(talk_lose(0), RUN_GUEST_OVER);
    talk_close();

    /* Of a receipt that has come nothing is lost. */
    talk_open((struct run_guest_setup){0});
    talk_start();
    talk_hear("{\"type\":\"exit\",\"id\":1,\"seq\":0,\"outcome\":\"exited\",\"code\":0}",
              RUN_GUEST_EXIT);
    assert_int_equal(talk_lose(0), RUN_GUEST_COMPLETE);
    assert_int_equal(talk_lose(0), RUN_GUEST_COMPLETE);
    talk_close();
}

/* Who was turned away before anything was read of it may begin again. */
static void test_turned_away(void **state)
{
    (void)state;
    static const char *const words[] = {
        "{\"type\":\"error\",\"code\":\"busy\"}", "{\"type\":\"error\",\"code\":\"draining\"}",
        "{\"type\":\"error\",\"code\":\"denied\"}", "{\"type\":\"closing\"}"};
    for (size_t i = 0; i < 4; i++) {
        talk_open((struct run_guest_setup){.resume_ms = 60000});
        run_guest_begin(&talk.guest, 1);
        run_guest_sent(&talk.guest);
        talk_hear(words[i], RUN_GUEST_NOTHING);
        assert_int_equal(talk_lose(0), RUN_GUEST_NOT_SENT);
        assert_int_equal(talk.guest.state, RUN_GUEST_NEW);
        /* Not so where the server has begun with it; nor for what is another's complaint. */
        run_guest_begin(&talk.guest, 2);
        run_guest_sent(&talk.guest);
        talk_hear("{\"type\":\"queued\",\"id\":2,\"position\":1}", RUN_GUEST_NOTHING);
        talk_hear(words[i], RUN_GUEST_NOTHING);
        assert_int_equal(talk_lose(0), RUN_GUEST_RETRY);
        talk_close();
    }
    talk_open((struct run_guest_setup){.resume_ms = 60000});
    run_guest_begin(&talk.guest, 1);
    run_guest_sent(&talk.guest);
    talk_hear("{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"m\"}", RUN_GUEST_NOTHING);
    assert_int_equal(talk_lose(0), RUN_GUEST_RETRY);
    talk_close();

    talk_open((struct run_guest_setup){.resume_ms = 60000});
    run_guest_begin(&talk.guest, 1);
    run_guest_sent(&talk.guest);
    assert_int_equal(run_guest_lost(&talk.guest, RUN_GUEST_TURNED_AWAY, 0, 0, &talk.err),
                     RUN_GUEST_NOT_SENT);
    run_guest_begin(&talk.guest, 2);
    run_guest_sent(&talk.guest);
    assert_int_equal(talk_lose(0), RUN_GUEST_RETRY);
    talk_close();
}

static void test_back_off(void **state)
{
    (void)state;
    talk_start_resumable();
    assert_int_equal(talk_lose(10000), RUN_GUEST_RETRY);
    assert_int_equal(talk.guest.state, RUN_GUEST_AWAY);
    /* At once, then after 100 ms, 200 ms … 5 s; with half of the chance. */
    static const int64_t waits_ms[] = {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    int64_t now_ms = 10000;
    for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        assert_int_equal(run_guest_deadline_ms(&talk.guest), now_ms + waits_ms[i]);
        assert_false(waits_ms[i] > 0 &&
                     run_guest_connect_now(&talk.guest, now_ms + waits_ms[i] - 1));
        now_ms += waits_ms[i];
        assert_true(run_guest_connect_now(&talk.guest, now_ms));
        assert_false(run_guest_connect_now(&talk.guest, now_ms));
        assert_int_equal(run_guest_deadline_ms(&talk.guest), NEVER);
        assert_int_equal(talk_lose(now_ms), RUN_GUEST_RETRY);
    }
    /* ±20 %. */
    talk.guest.try_at_ms = NEVER;
    assert_int_equal(run_guest_lost(&talk.guest, RUN_GUEST_CUT, now_ms, 0, &talk.err),
                     RUN_GUEST_RETRY);
    assert_int_equal(run_guest_deadline_ms(&talk.guest), now_ms + 4000);
    talk.guest.try_at_ms = NEVER;
    assert_int_equal(run_guest_lost(&talk.guest, RUN_GUEST_CUT, now_ms, UINT32_MAX, &talk.err),
                     RUN_GUEST_RETRY);
    assert_in_range(run_guest_deadline_ms(&talk.guest), now_ms + 5990, now_ms + 6000);

    /* Until a tenth more than the server waits; and even after a long sleep once more. */
    talk.guest.try_at_ms = NEVER;
    assert_int_equal(talk_lose(75900), RUN_GUEST_RETRY);
    assert_int_equal(run_guest_deadline_ms(&talk.guest), 76000);
    assert_true(run_guest_connect_now(&talk.guest, 1000000));
    assert_int_equal(talk_lose(1000000), RUN_GUEST_OVER);
    assert_string_equal(talk.err.message, "whether the command finished is unknown");
    talk_close();
}

static void test_progress_resets_the_back_off(void **state)
{
    (void)state;
    talk_start_resumable();
    talk_come_back(5);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":9,\"first_bytes\":{}");
    /* A connection that was lost before it brought anything is one that did not work. */
    assert_int_equal(talk_lose(3000), RUN_GUEST_RETRY);
    assert_int_equal(run_guest_deadline_ms(&talk.guest), 3100);
    assert_true(run_guest_connect_now(&talk.guest, 3100));
    assert_int_equal(run_guest_connected(&talk.guest, 6, &talk.out, NULL), AFAR_OK);
    talk_attached(6, "\"state\":\"running\",\"first\":0,\"end\":9,\"first_bytes\":{}");
    talk_output(6, 0, 5);
    assert_int_equal(talk_lose(4000), RUN_GUEST_RETRY);
    assert_int_equal(run_guest_deadline_ms(&talk.guest), 4000);
    talk_close();
}

/* A network that cuts every connection within the same large frame: nobody waits for seconds. */
static void test_answers_bound_the_back_off(void **state)
{
    (void)state;
    talk_start_resumable();
    int64_t now_ms = 10000;
    assert_int_equal(talk_lose(now_ms), RUN_GUEST_RETRY);
    for (uint64_t id = 5; id < 15; id++) {
        now_ms = run_guest_deadline_ms(&talk.guest);
        assert_true(run_guest_connect_now(&talk.guest, now_ms));
        assert_int_equal(run_guest_connected(&talk.guest, id, &talk.out, NULL), AFAR_OK);
        assert_int_equal(talk_frame(), MESSAGE_ATTACH);
        talk_attached(id, "\"state\":\"running\",\"first\":0,\"end\":9,\"first_bytes\":{}");
        assert_int_equal(talk_lose(now_ms), RUN_GUEST_RETRY);
        assert_in_range(run_guest_deadline_ms(&talk.guest), now_ms + 1, now_ms + 100);
    }
    talk_close();
}

/* What the server has had by the connection before is progress too. */
static void test_input_is_progress(void **state)
{
    (void)state;
    talk_start_resumable();
    assert_int_equal(talk_give("input"), 5);
    assert_int_equal(talk_lose(1000), RUN_GUEST_RETRY);
    talk_come_back(5);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{},"
                     "\"stdin\":5,\"taken\":0");
    assert_int_equal(talk_lose(3000), RUN_GUEST_RETRY);
    assert_int_equal(run_guest_deadline_ms(&talk.guest), 3000);
    talk_close();
}

static void test_attach_says_what_is_had(void **state)
{
    (void)state;
    talk_open((struct run_guest_setup){.resume_ms = 60000, .window_max = 300000});
    talk_start();
    talk_output(1, 0, 10);
    talk_output(1, 1, 20);
    talk_output(1, 2, 5);
    run_guest_taken(&talk.guest, 2);
    talk_come_back(77);
    const struct message_attach *attach = &talk.last.attach;
    assert_true(talk.last.id == 77 && attach->resume && attach->has_next && attach->attempt == 1);
    assert_true(attach->next == 3 && attach->ack == 2 && attach->next_bytes[0] == 35);
    assert_true(attach->window_max == 300000);
    assert_string_equal(attach->holder, HOLDER);
    assert_string_equal(talk.last.job, JOB);
    /* Meanwhile the rest is taken: acknowledged once it is attached, and not before. */
    run_guest_taken(&talk.guest, 3);
    assert_int_equal(run_guest_put_ack(&talk.guest, &talk.out, NULL), AFAR_OK);
    assert_int_equal(buffer_size(&talk.out), 0);
    talk_attached(77,
                  "\"state\":\"running\",\"first\":3,\"end\":3,\"first_bytes\":{\"stdout\":35}");
    assert_int_equal(run_guest_put_ack(&talk.guest, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_ACK);
    assert_true(talk.last.id == 77 && talk.last.next == 3);

    /* Of the old request nothing is heard any more. */
    talk_hear("{\"type\":\"stdout\",\"id\":1,\"seq\":3,\"size\":1}", RUN_GUEST_NOTHING);
    talk_output(77, 3, 1);
    talk_come_back(2);
    assert_true(talk.last.attach.attempt == 2 && talk.last.attach.next == 4 &&
                talk.last.attach.ack == 3);
    talk_close();
}

static void test_stdin_is_sent_again(void **state)
{
    (void)state;
    talk_start_resumable();
    assert_int_equal(talk_give("0123456789"), 10);
    assert_int_equal(talk_give("abc"), 3);
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":4}", RUN_GUEST_ROOM);
    run_guest_close_stdin(&talk.guest, &talk.out);
    talk_come_back(5);
    assert_int_equal(talk_frame(), MESSAGE_BAD);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{},\"stdin\":7,"
                     "\"taken\":6");
    talk_expect_stdin(5, 7, "789abc", false);
    talk_expect_stdin(5, 13, "", true);
    assert_int_equal(talk_frame(), MESSAGE_BAD);
    assert_int_equal(talk.guest.stdin_acked, 6);

    /* What the server has once had it has; the rest again; the end as often as it takes. */
    talk_come_back(6);
    talk_attached(6, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{},\"stdin\":13,"
                     "\"taken\":6");
    talk_expect_stdin(6, 13, "", true);
    talk_come_back(7);
    talk_attached(7, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{},\"stdin\":13,"
                     "\"taken\":6,\"stdin_eof\":true");
    assert_int_equal(talk_frame(), MESSAGE_BAD);

    /* It cannot have less than it had. */
    talk_come_back(8);
    talk_hear_bad(
        "{\"type\":\"attached\",\"id\":8,\"job\":\"" JOB
        "\",\"window\":1000,\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{},"
        "\"stdin\":12}",
        "those from 13 on");
    talk_close();
}

static void test_credit(void **state)
{
    (void)state;
    talk_open(
        (struct run_guest_setup){.resume_ms = 60000, .stdin_stream = true, .stdin_credit = 10});
    talk_start();
    assert_int_equal(talk_give("0123456789ab"), 10);
    assert_int_equal(talk_give("ab"), 0);
    talk_hear("{\"type\":\"ack\",\"id\":1,\"stdin\":3}", RUN_GUEST_ROOM);
    assert_int_equal(talk_give("abcd"), 3);
    assert_int_equal(talk_lose(2000), RUN_GUEST_RETRY);
    assert_int_equal(talk_give("x"), 0); /* away */
    assert_true(run_guest_connect_now(&talk.guest, 2000));
    assert_int_equal(run_guest_connected(&talk.guest, 5, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_give("x"), 0); /* not attached yet */
    assert_int_equal(talk_frame(), MESSAGE_ATTACH);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{},\"stdin\":10,"
                     "\"taken\":10,\"credit\":20");
    talk_expect_stdin(5, 10, "abc", false);
    assert_int_equal(talk_give("0123456789012345678901234567890"), 17);
    talk_close();

    /* As much as the protocol always gives; without a ring the same. */
    static char much[300000];
    size_t taken = 0;
    for (uint64_t resume_ms = 0; resume_ms <= 60000; resume_ms += 60000) {
        talk_open((struct run_guest_setup){.resume_ms = resume_ms, .stdin_stream = true});
        talk_start();
        assert_int_equal(run_guest_write(&talk.guest, &talk.out, much, sizeof much, &taken, NULL),
                         AFAR_OK);
        assert_int_equal(taken, MESSAGE_STDIN_CREDIT_BYTES);
        assert_true(buffer_size(&talk.out) > taken);
        assert_int_equal(buffer_size(&talk.guest.ring), resume_ms > 0 ? taken : 0);
        talk_close();
    }
    /* No server makes us keep more than this. */
    talk_start_resumable();
    talk_come_back(5);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{},"
                     "\"credit\":9007199254740991");
    assert_int_equal(talk.guest.stdin_credit, RUN_GUEST_RING_MAX_BYTES);
    talk_close();
    talk_open((struct run_guest_setup){.resume_ms = 60000});
    assert_int_equal(run_guest_write(&talk.guest, &talk.out, "x", 1, &taken, NULL), AFAR_EINVAL);
    talk_close();
}

/* Where much waits to be sent, the rest of stdin waits for run_guest_push. */
static void test_push(void **state)
{
    (void)state;
    static char much[200000];
    size_t taken = 0;
    talk_start_resumable();
    assert_int_equal(run_guest_write(&talk.guest, &talk.out, much, sizeof much, &taken, NULL),
                     AFAR_OK);
    assert_int_equal(taken, sizeof much);
    talk_come_back(5);
    buffer_clear(&talk.out);
    assert_int_equal(buffer_append(&talk.out, much, 150000, NULL), AFAR_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(buffer_append(&talk.out, much, 150000, NULL), AFAR_OK);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{}");
    assert_int_equal(talk.guest.stdin_put, 0);
    assert_int_equal(talk_give("x"), 0);
    buffer_clear(&talk.out);
    assert_int_equal(run_guest_push(&talk.guest, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk.guest.stdin_put, sizeof much);
    assert_true(buffer_size(&talk.out) > sizeof much);
    talk_close();
}

static void test_closes_and_signals(void **state)
{
    (void)state;
    talk_start_resumable();
    run_guest_close_output(&talk.guest, &talk.out, STREAM_STDOUT);
    assert_int_equal(talk_frame(), MESSAGE_CLOSE);
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "INT", NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_SIGNAL);
    assert_int_equal(talk_lose(2000), RUN_GUEST_RETRY);

    /* While it is away: the last of each, in the order in which they were raised. */
    run_guest_close_output(&talk.guest, &talk.out, STREAM_STDERR);
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "USR1", NULL), AFAR_OK);
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "TERM", NULL), AFAR_OK);
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "USR1", NULL), AFAR_OK);
    assert_int_equal(buffer_size(&talk.out), 0);
    assert_true(run_guest_connect_now(&talk.guest, 2000));
    assert_int_equal(run_guest_connected(&talk.guest, 5, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_ATTACH);
    assert_int_equal(talk_frame(), MESSAGE_BAD);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{}");
    assert_int_equal(talk_frame(), MESSAGE_CLOSE);
    assert_int_equal(talk.last.stream, STREAM_STDOUT);
    assert_int_equal(talk_frame(), MESSAGE_CLOSE);
    assert_int_equal(talk.last.stream, STREAM_STDERR);
    assert_int_equal(talk_frame(), MESSAGE_SIGNAL);
    assert_string_equal(talk.last.name, "TERM");
    assert_int_equal(talk_frame(), MESSAGE_SIGNAL);
    assert_string_equal(talk.last.name, "USR1");
    assert_int_equal(talk_frame(), MESSAGE_BAD);

    /* A close again and again, a signal never. */
    talk_come_back(6);
    talk_attached(6, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{}");
    assert_int_equal(talk_frame(), MESSAGE_CLOSE);
    assert_int_equal(talk_frame(), MESSAGE_CLOSE);
    assert_int_equal(talk_frame(), MESSAGE_BAD);

    assert_int_equal(talk_lose(2000), RUN_GUEST_RETRY);
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "", NULL), AFAR_EINVAL);
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "1234567890123456", NULL),
                     AFAR_EINVAL);
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "\xFF", NULL), AFAR_EINVAL);
    for (int i = 0; i < RUN_GUEST_SIGNALS_MAX; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%d", i);
        assert_int_equal(run_guest_signal(&talk.guest, &talk.out, name, NULL), AFAR_OK);
    }
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "99", NULL), AFAR_ELIMIT);
    assert_int_equal(run_guest_signal(&talk.guest, &talk.out, "5", NULL), AFAR_OK);
    talk_close();
}

static void test_leaving(void **state)
{
    (void)state;
    talk_start_resumable();
    run_guest_detach(&talk.guest, &talk.out);
    assert_int_equal(talk_frame(), MESSAGE_DETACH);
    talk_hear("{\"type\":\"detached\",\"id\":1}", RUN_GUEST_LEFT);
    assert_int_equal(talk.guest.state, RUN_GUEST_ENDED);
    talk_close();

    /* The answer is lost: again; and where nobody knows it any more, it was done. */
    talk_start_resumable();
    run_guest_detach(&talk.guest, &talk.out);
    talk_come_back(5);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{}");
    assert_int_equal(talk_frame(), MESSAGE_DETACH);
    talk_come_back(5);
    talk_hear("{\"type\":\"error\",\"id\":5,\"code\":\"not_found\",\"server\":\"s1\"}",
              RUN_GUEST_LEFT);
    talk_close();

    /* It need not wait for the answer to its attach. */
    talk_start_resumable();
    talk_come_back(5);
    run_guest_detach(&talk.guest, &talk.out);
    assert_int_equal(talk_frame(), MESSAGE_DETACH);
    assert_int_equal(talk.last.id, 5);
    talk_attached(5, "\"state\":\"running\",\"first\":0,\"end\":0,\"first_bytes\":{}");
    talk_hear("{\"type\":\"detached\",\"id\":5}", RUN_GUEST_LEFT);
    talk_close();

    /* Or it is given up sooner. */
    talk_start_resumable();
    assert_int_equal(talk_lose(2000), RUN_GUEST_RETRY);
    assert_true(run_guest_connect_now(&talk.guest, 2000));
    assert_int_equal(talk_lose(2000), RUN_GUEST_RETRY);
    run_guest_hurry(&talk.guest, 2000, 50);
    assert_int_equal(run_guest_deadline_ms(&talk.guest), 2050);
    assert_true(run_guest_connect_now(&talk.guest, 2050));
    assert_int_equal(talk_lose(2050), RUN_GUEST_OVER);
    talk_close();
}

static void test_holders(void **state)
{
    (void)state;
    struct run_guest_setup setup = {.resume_ms = 1, .holder = "short"};
    assert_int_equal(run_guest_open(&talk.guest, &setup, &talk.err), AFAR_EINVAL);
    setup.holder = NULL;
    assert_int_equal(run_guest_open(&talk.guest, &setup, &talk.err), AFAR_EINVAL);
    setup = (struct run_guest_setup){.job = JOB};
    assert_int_equal(run_guest_open(&talk.guest, &setup, &talk.err), AFAR_EINVAL);
    setup = (struct run_guest_setup){0};
    assert_int_equal(run_guest_open(&talk.guest, &setup, &talk.err), AFAR_OK);
    run_guest_close(&talk.guest);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    size_t taken = 7;
    talk_start_resumable();
    alloc_fault_arm(1);
    assert_int_equal(run_guest_write(&talk.guest, &talk.out, "abc", 3, &taken, NULL), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    assert_int_equal(taken, 0);
    /* What could not be put waits. */
    alloc_fault_arm(2);
    assert_int_equal(talk_give("abc"), 3);
    assert_true(alloc_fault_fired());
    assert_int_equal(buffer_size(&talk.out), 0);
    alloc_fault_arm(1);
    run_guest_close_output(&talk.guest, &talk.out, STREAM_STDOUT);
    assert_true(alloc_fault_fired());
    assert_int_equal(run_guest_push(&talk.guest, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk_frame(), MESSAGE_CLOSE);
    talk_expect_stdin(1, 0, "abc", false);
    talk_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_run),
        cmocka_unit_test(test_lost_without_resume),
        cmocka_unit_test(test_turned_away),
        cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_progress_resets_the_back_off),
        cmocka_unit_test(test_answers_bound_the_back_off),
        cmocka_unit_test(test_input_is_progress),
        cmocka_unit_test(test_attach_says_what_is_had),
        cmocka_unit_test(test_stdin_is_sent_again),
        cmocka_unit_test(test_credit),
        cmocka_unit_test(test_push),
        cmocka_unit_test(test_closes_and_signals),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_holders),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
