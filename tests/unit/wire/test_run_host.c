// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/alloc_fault.h"
#include "wire/run_host.h"

#define ALICE "alice-0123456789"
#define CAROL "carol-holds-this-run"
#define BOB "bob-0123456789ab"
#define NEVER INT64_MAX

static struct run_host host;
static const int sessions[4];
static const void *const s1 = &sessions[0];
static const void *const s2 = &sessions[1];
static const void *const s3 = &sessions[2];
static struct run_host_displaced displaced;

static struct run_host_setup setup_of(uint64_t resume_ms)
{
    return (struct run_host_setup){.holder = ALICE,
                                   .resume_ms = resume_ms,
                                   .stdin_stream = true,
                                   .stdin_credit = 100,
                                   .window_bytes = 4096,
                                   .session = s1,
                                   .id = 7};
}

static void open_host(uint64_t resume_ms)
{
    const struct run_host_setup setup = setup_of(resume_ms);
    assert_int_equal(run_host_open(&host, &setup, 1000, NULL), AFAR_OK);
}

static struct message_attach attach_of(const char *holder, uint64_t attempt, bool resume)
{
    struct message_attach attach = {.attempt = attempt, .resume = resume};
    memcpy(attach.holder, holder, strlen(holder) + 1);
    return attach;
}

static struct message_attach resume_from(uint64_t attempt, uint64_t next, uint64_t ack,
                                         uint64_t bytes)
{
    struct message_attach attach = attach_of(ALICE, attempt, true);
    attach.has_next = attach.has_next_bytes = true;
    attach.next = next;
    attach.ack = ack;
    attach.next_bytes[STREAM_STDOUT] = bytes;
    return attach;
}

static enum run_host_verdict attach(const void *session, struct message_attach attach)
{
    return run_host_attach(&host, session, 8, &attach, &displaced);
}

static void write_output(const char *text)
{
    uint8_t *room = NULL;
    size_t size = 0;
    assert_int_equal(output_log_reserve(host.log, &room, &size, NULL), AFAR_OK);
    memcpy(room, text, strlen(text));
    output_log_commit(host.log, STREAM_STDOUT, strlen(text));
}

/* Sends whatever there is for the session; how many bytes. */
static size_t send_all(const void *session)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    size_t total = 0;
    while (run_host_peek(&host, session, &data, &size)) {
        run_host_sent(&host, session, size);
        total += size;
    }
    return total;
}

static enum run_host_after end_job(void)
{
    const struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED, .code = 0};
    enum run_host_after after = RUN_HOST_STOP;
    assert_int_equal(run_host_ended(&host, &receipt, false, &after, NULL), AFAR_OK);
    return after;
}

static void ack(const void *session, uint64_t next)
{
    bool resume = false;
    assert_int_equal(run_host_ack(&host, session, next, &resume, NULL), AFAR_OK);
}

/* As it was before anybody could come back. */
static void test_without_resume(void **state)
{
    (void)state;
    open_host(0);
    write_output("abc");
    assert_true(send_all(s1) > 0);
    assert_int_equal(run_host_over(&host), RUN_HOST_GOES_ON);
    assert_int_equal(end_job(), RUN_HOST_GOES_ON);
    assert_int_equal(run_host_over(&host), RUN_HOST_GOES_ON);
    assert_true(send_all(s1) > 0);
    /* The receipt has been handed to the socket: over, whatever was acknowledged. */
    assert_int_equal(run_host_over(&host), RUN_HOST_RELEASE);
    assert_null(host.session);
    run_host_close(&host);

    open_host(0);
    assert_int_equal(run_host_lost(&host, s2, 5), RUN_HOST_GOES_ON);
    assert_int_equal(run_host_lost(&host, s1, 5), RUN_HOST_RELEASE);
    run_host_close(&host);
}

static void test_receipt_is_held_until_it_has_arrived(void **state)
{
    (void)state;
    open_host(60000);
    write_output("abc");
    (void)end_job();
    (void)send_all(s1);
    assert_int_equal(run_host_over(&host), RUN_HOST_GOES_ON);
    ack(s1, 1);
    assert_int_equal(run_host_over(&host), RUN_HOST_GOES_ON);
    ack(s1, 2);
    assert_int_equal(run_host_over(&host), RUN_HOST_RELEASE);
    run_host_close(&host);

    /* Another request on the connection says the same; not before the receipt was sent. */
    open_host(60000);
    assert_int_equal(run_host_next(&host, s1), RUN_HOST_GOES_ON);
    (void)end_job();
    assert_int_equal(run_host_next(&host, s1), RUN_HOST_GOES_ON);
    (void)send_all(s1);
    assert_int_equal(run_host_next(&host, s2), RUN_HOST_GOES_ON);
    assert_int_equal(run_host_next(&host, s1), RUN_HOST_RELEASE);
    run_host_close(&host);
}

static void test_away_and_back(void **state)
{
    (void)state;
    open_host(60000);
    write_output("abc");
    write_output("de");
    size_t whole = send_all(s1);
    ack(s1, 1);
    assert_int_equal(run_host_deadline_ms(&host), NEVER);
    assert_int_equal(run_host_lost(&host, s1, 2000), RUN_HOST_GOES_ON);
    assert_int_equal(run_host_deadline_ms(&host), 62000);
    assert_null(host.session);
    write_output("f");
    assert_int_equal(send_all(s1), 0);
    assert_int_equal(run_host_time(&host, 61999), RUN_HOST_GOES_ON);

    assert_int_equal(attach(s2, resume_from(1, 1, 1, 3)), RUN_HOST_ATTACHED);
    assert_null(displaced.session);
    assert_int_equal(run_host_deadline_ms(&host), NEVER);
    assert_true(host.session == s2 && host.id == 8);
    struct message_attached attached;
    run_host_tell(&host, &attached);
    assert_true(attached.first == 1 && attached.end == 3);
    assert_true(attached.first_bytes[0] == 3 && attached.first_bytes[1] == 0);
    assert_true(send_all(s2) > 0 && send_all(s2) < whole);

    /* The end of the old connection, and all that still comes from it. */
    struct run_host_input input;
    bool resume = true;
    assert_int_equal(run_host_lost(&host, s1, 3000), RUN_HOST_GOES_ON);
    assert_true(host.session == s2);
    assert_int_equal(run_host_ack(&host, s1, 99, &resume, NULL), AFAR_OK);
    assert_false(resume);
    assert_int_equal(run_host_stdin(&host, s1, 50, 10, true, &input, NULL), AFAR_OK);
    assert_true(input.size == 0 && !input.eof && host.stdin_received == 0);
    assert_int_equal(run_host_detach(&host, s1), RUN_HOST_GOES_ON);
    run_host_close(&host);
}

static void test_nobody_comes_back(void **state)
{
    (void)state;
    open_host(1000);
    (void)run_host_lost(&host, s1, 5000);
    assert_int_equal(run_host_time(&host, 6000), RUN_HOST_STOP);
    assert_int_equal(run_host_deadline_ms(&host), NEVER);
    assert_int_equal(run_host_time(&host, 7000), RUN_HOST_GOES_ON);
    assert_int_equal(end_job(), RUN_HOST_RELEASE);
    run_host_close(&host);

    /* It had ended before. */
    open_host(1000);
    (void)end_job();
    (void)run_host_lost(&host, s1, 5000);
    assert_int_equal(run_host_time(&host, 6000), RUN_HOST_RELEASE);
    run_host_close(&host);

    /* Somebody comes while it is being ended, and gets the receipt. */
    open_host(1000);
    (void)run_host_lost(&host, s1, 5000);
    assert_int_equal(run_host_time(&host, 6000), RUN_HOST_STOP);
    assert_int_equal(attach(s2, resume_from(1, 0, 0, 0)), RUN_HOST_ATTACHED);
    assert_int_equal(end_job(), RUN_HOST_GOES_ON);
    (void)send_all(s2);
    ack(s2, 1);
    assert_int_equal(run_host_over(&host), RUN_HOST_RELEASE);
    run_host_close(&host);

    /* The server stops. */
    open_host(1000);
    run_host_hurry(&host, 5000);
    assert_int_equal(run_host_deadline_ms(&host), NEVER);
    (void)run_host_lost(&host, s1, 5000);
    run_host_hurry(&host, 5001);
    assert_int_equal(run_host_time(&host, 5001), RUN_HOST_STOP);
    run_host_close(&host);

    /* No time that is too long for the clock. */
    open_host(UINT64_MAX);
    (void)run_host_lost(&host, s1, 5000);
    assert_int_equal(run_host_deadline_ms(&host), NEVER);
    run_host_close(&host);
}

static void test_fences(void **state)
{
    (void)state;
    open_host(60000);
    write_output("abc");
    /* Half a frame is under way on the connection before. */
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_true(run_host_peek(&host, s1, &data, &size));
    run_host_sent(&host, s1, 5);

    assert_int_equal(attach(s2, resume_from(0, 0, 0, 0)), RUN_HOST_STALE);
    assert_int_equal(attach(s2, attach_of(BOB, 1, true)), RUN_HOST_SUPERSEDED);
    assert_true(host.session == s1 && output_log_inside_frame(host.log));
    assert_string_equal(run_host_code(RUN_HOST_STALE), "stale");
    assert_string_equal(run_host_code(RUN_HOST_SUPERSEDED), "superseded");
    assert_string_equal(run_host_code(RUN_HOST_GONE), "gone");
    assert_null(run_host_code(RUN_HOST_ATTACHED));
    assert_null(run_host_code(RUN_HOST_WATCH));

    /* The same holder comes, before the server has noticed that it had gone. */
    assert_int_equal(attach(s2, resume_from(3, 0, 0, 0)), RUN_HOST_ATTACHED);
    assert_true(displaced.session == s1);
    assert_string_equal(displaced.code, "stale");
    assert_false(output_log_inside_frame(host.log));
    assert_int_equal(attach(s3, resume_from(3, 0, 0, 0)), RUN_HOST_STALE);
    assert_int_equal(attach(s3, resume_from(2, 0, 0, 0)), RUN_HOST_STALE);
    assert_true(host.session == s2);

    /* Another takes it over; the first may not resume. */
    assert_int_equal(attach(s3, attach_of(BOB, 1, false)), RUN_HOST_ATTACHED);
    assert_true(displaced.session == s2);
    assert_string_equal(displaced.code, "superseded");
    assert_string_equal(host.holder, BOB);
    assert_int_equal(attach(s1, resume_from(9, 0, 0, 0)), RUN_HOST_SUPERSEDED);
    assert_int_equal(attach(s1, attach_of(BOB, 1, false)), RUN_HOST_STALE);

    /* What the first has sent before that arrives late, and changes nothing, also if there was a
     * third; what it sends now takes the run over. */
    assert_int_equal(attach(s1, attach_of(ALICE, 1, false)), RUN_HOST_STALE);
    assert_int_equal(attach(s1, attach_of(CAROL, 1, false)), RUN_HOST_ATTACHED);
    assert_int_equal(attach(s2, attach_of(ALICE, 1, false)), RUN_HOST_STALE);
    assert_int_equal(attach(s2, attach_of(BOB, 1, false)), RUN_HOST_STALE);
    assert_true(host.session == s1);
    assert_int_equal(attach(s2, attach_of(ALICE, 9, false)), RUN_HOST_ATTACHED);

    /* Whoever only watches is nobody's business here. */
    struct message_attach watch = attach_of(ALICE, 1, false);
    watch.watch = true;
    assert_int_equal(attach(s1, watch), RUN_HOST_WATCH);
    run_host_close(&host);

    /* Without a holder nobody resumes. */
    struct run_host_setup setup = setup_of(0);
    setup.holder = NULL;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
    assert_int_equal(attach(s2, resume_from(1, 0, 0, 0)), RUN_HOST_SUPERSEDED);
    run_host_close(&host);
    /* But who had a kept one may be unknown: then the first who comes back. */
    struct run_spool spool = {.bytes_before = NULL};
    setup.spool = &spool;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
    assert_int_equal(attach(s2, resume_from(1, 0, 0, 0)), RUN_HOST_ATTACHED);
    assert_int_equal(attach(s3, attach_of(BOB, 1, true)), RUN_HOST_SUPERSEDED);
    run_host_close(&host);
    run_host_close(&host);
}

static void test_what_is_held(void **state)
{
    (void)state;
    open_host(60000);
    for (int i = 0; i < 4; i++)
        write_output("ab");
    (void)send_all(s1);
    write_output("ab"); /* 4: never sent */
    ack(s1, 2);
    (void)run_host_lost(&host, s1, 0);
    assert_int_equal(attach(s2, resume_from(1, 1, 1, 2)), RUN_HOST_GONE);
    assert_int_equal(attach(s2, resume_from(1, 5, 2, 10)), RUN_HOST_GONE);
    assert_int_equal(attach(s2, resume_from(1, 6, 2, 12)), RUN_HOST_GONE);
    assert_int_equal(attach(s2, resume_from(1, 3, 4, 6)), RUN_HOST_GONE);
    assert_int_equal(attach(s2, resume_from(1, 3, 3, 5)), RUN_HOST_GONE); /* other bytes */
    assert_null(host.session);
    assert_int_equal(host.next_attempt, 1);

    /* `next` is not an acknowledgement: what lies between is still held. */
    size_t held = output_log_held(host.log);
    assert_int_equal(attach(s2, resume_from(1, 4, 3, 8)), RUN_HOST_ATTACHED);
    assert_int_equal(output_log_first(host.log), 3);
    assert_true(output_log_held(host.log) < held);
    assert_int_equal(output_log_cursor(host.log), 4);

    /* Who takes it over gets all that is held. */
    assert_int_equal(attach(s3, attach_of(BOB, 0, false)), RUN_HOST_ATTACHED);
    assert_int_equal(output_log_cursor(host.log), 3);
    run_host_close(&host);
}

static void expect_input(uint64_t offset, size_t size, bool eof, size_t skip, size_t news,
                         bool ended)
{
    struct run_host_input input;
    assert_int_equal(run_host_stdin(&host, s1, offset, size, eof, &input, NULL), AFAR_OK);
    assert_true(input.size == news && input.eof == ended);
    assert_true(news == 0 || input.skip == skip);
}

static void refuse_input(uint64_t offset, size_t size, const char *why)
{
    struct run_host_input input;
    struct afar_error err;
    assert_int_equal(run_host_stdin(&host, s1, offset, size, false, &input, &err), AFAR_EPEER);
    assert_non_null(strstr(err.message, why));
}

static void test_input(void **state)
{
    (void)state;
    uint64_t taken = 0;
    int64_t by_ms = 0;
    open_host(60000);
    refuse_input(1, 1, "gap");
    refuse_input(0, 101, "credit");
    expect_input(0, 60, false, 0, 60, false);
    expect_input(0, 60, false, 0, 0, false);
    expect_input(20, 60, false, 40, 20, false);
    assert_int_equal(host.stdin_received, 80);
    refuse_input(81, 1, "gap");
    refuse_input(80, 21, "credit");

    /* Little waits a while to be acknowledged, much does not. */
    assert_false(run_host_stdin_ack_due(&host, 1000, &taken, &by_ms));
    assert_true(by_ms == NEVER);
    run_host_stdin_taken(&host, 10);
    run_host_stdin_taken(&host, 5);
    assert_false(run_host_stdin_ack_due(&host, 1000, &taken, &by_ms));
    assert_true(by_ms == 1020);
    assert_false(run_host_stdin_ack_due(&host, 1019, &taken, &by_ms));
    assert_true(run_host_stdin_ack_due(&host, 1020, &taken, &by_ms) && taken == 10);
    /* Credit is of what was said, not of what was taken. */
    refuse_input(80, 21, "credit");
    run_host_stdin_acked(&host, 10);
    expect_input(80, 30, false, 0, 30, false);
    run_host_stdin_taken(&host, 60);
    assert_true(run_host_stdin_ack_due(&host, 1021, &taken, &by_ms) && taken == 60);

    /* An attach says it too. */
    struct message_attached attached;
    (void)run_host_lost(&host, s1, 0);
    assert_false(run_host_stdin_ack_due(&host, 2000, &taken, &by_ms));
    assert_int_equal(attach(s1, resume_from(1, 0, 0, 0)), RUN_HOST_ATTACHED);
    run_host_tell(&host, &attached);
    assert_true(attached.stdin_received == 110 && attached.stdin_taken == 60);
    assert_false(attached.stdin_eof);
    assert_false(run_host_stdin_ack_due(&host, 3000, &taken, &by_ms));
    assert_true(by_ms == NEVER);

    expect_input(100, 10, true, 0, 0, true);
    expect_input(110, 0, true, 0, 0, false);
    refuse_input(110, 1, "after its end");
    run_host_tell(&host, &attached);
    assert_true(attached.stdin_eof);
    (void)end_job();
    expect_input(500, 10, false, 0, 0, false);
    run_host_close(&host);

    struct run_host_setup setup = setup_of(0);
    setup.stdin_stream = false;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
    refuse_input(0, 1, "without");
    expect_input(0, 0, true, 0, 0, false);
    run_host_tell(&host, &attached);
    assert_true(attached.stdin_eof);
    run_host_close(&host);
}

static void test_leaving(void **state)
{
    (void)state;
    open_host(60000);
    assert_int_equal(run_host_detach(&host, s1), RUN_HOST_RELEASE);
    assert_null(host.session);
    run_host_close(&host);
}

static void test_window(void **state)
{
    (void)state;
    bool resume = true;
    struct run_host_setup setup = setup_of(60000);
    setup.window_max = 1000000;
    setup.window_most = 4000000;
    setup.window_bytes = 400;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
    write_output("abc");
    assert_int_equal(run_host_ack(&host, s1, 1, &resume, NULL), AFAR_EPEER);
    (void)send_all(s1);
    assert_int_equal(run_host_ack(&host, s1, 1, &resume, NULL), AFAR_OK);
    assert_true(resume);
    assert_int_equal(run_host_ack(&host, s1, 1, &resume, NULL), AFAR_OK);
    assert_false(resume);

    /* The least that everyone will hold. */
    struct message_attach more = resume_from(1, 1, 1, 3);
    more.window_max = 2000000;
    assert_int_equal(attach(s2, more), RUN_HOST_ATTACHED);
    assert_int_equal(host.window_max, 1000000);
    more.attempt = 2;
    more.window_max = 500000;
    assert_int_equal(attach(s2, more), RUN_HOST_ATTACHED);
    struct message_attached attached;
    run_host_tell(&host, &attached);
    assert_int_equal(attached.window_max, 500000);
    more = resume_from(3, 1, 1, 3);
    assert_int_equal(attach(s2, more), RUN_HOST_ATTACHED);
    assert_int_equal(host.window_max, 0);
    run_host_close(&host);
}

/* ---- kept ------------------------------------------------------------------------------------ */

enum { FRAME_BYTES = 10 };

/* Ten bytes a frame; of frames 3 to 6 nothing is known any more. */
static bool bytes_before(const struct run_spool *spool, uint64_t seq, uint64_t bytes[2])
{
    (void)spool;
    bytes[STREAM_STDOUT] = seq * FRAME_BYTES;
    bytes[STREAM_STDERR] = 0;
    return seq <= 3 || seq >= 7;
}

static const struct run_spool spool = {bytes_before};

static void fill(uint64_t end)
{
    while (output_log_end(host.log) < end)
        write_output("0123456789");
}

static void open_kept(void)
{
    struct run_host_setup setup = setup_of(0);
    setup.spool = &spool;
    setup.session = NULL;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
}

static void test_kept(void **state)
{
    (void)state;
    open_kept();
    assert_int_equal(run_host_deadline_ms(&host), NEVER);
    run_host_spooled(&host, 20);

    /* The server's own attach for the exec, then the window is filled. */
    assert_int_equal(attach(s1, attach_of(ALICE, 0, false)), RUN_HOST_ATTACHED);
    fill(9);
    assert_true(send_all(s1) > 0);
    struct message_attached attached;
    run_host_tell(&host, &attached);
    assert_true(attached.first == 9 && attached.end == 20 && attached.first_bytes[0] == 90);
    assert_int_equal(run_host_lost(&host, s1, 0), RUN_HOST_GOES_ON);
    assert_int_equal(run_host_time(&host, NEVER - 1), RUN_HOST_GOES_ON);

    /* Within the window, and outside it. */
    assert_int_equal(attach(s1, resume_from(1, 8, 7, 80)), RUN_HOST_ATTACHED);
    assert_int_equal(output_log_end(host.log), 9);
    assert_int_equal(attach(s1, resume_from(2, 2, 2, 20)), RUN_HOST_ATTACHED);
    assert_int_equal(output_log_end(host.log), 2);
    assert_int_equal(attach(s1, resume_from(3, 15, 15, 150)), RUN_HOST_ATTACHED);
    assert_int_equal(output_log_end(host.log), 15);
    run_host_tell(&host, &attached);
    assert_true(attached.first == 15 && attached.first_bytes[0] == 150);

    /* Among what is gone only who has counted can go on. */
    assert_int_equal(attach(s1, resume_from(4, 5, 5, 51)), RUN_HOST_ATTACHED);
    run_host_tell(&host, &attached);
    assert_true(attached.first == 5 && attached.first_bytes[0] == 51);
    struct message_attach unknown = resume_from(5, 4, 4, 0);
    unknown.has_next_bytes = false;
    assert_int_equal(attach(s1, unknown), RUN_HOST_GONE);
    /* Beyond the end; and where other bytes lie before: the spool has lost what the client has. */
    assert_int_equal(attach(s1, resume_from(5, 21, 21, 210)), RUN_HOST_GONE);
    assert_int_equal(attach(s1, resume_from(5, 20, 20, 199)), RUN_HOST_GONE);
    assert_int_equal(attach(s1, resume_from(5, 8, 9, 80)), RUN_HOST_GONE);
    assert_int_equal(attach(s1, resume_from(5, 20, 20, 200)), RUN_HOST_ATTACHED);
    run_host_close(&host);
}

static void test_kept_receipt(void **state)
{
    (void)state;
    open_kept();
    run_host_spooled(&host, 3);
    assert_int_equal(attach(s1, attach_of(ALICE, 0, false)), RUN_HOST_ATTACHED);
    fill(2);
    assert_int_equal(end_job(), RUN_HOST_GOES_ON);
    (void)send_all(s1);
    assert_int_equal(run_host_over(&host), RUN_HOST_GOES_ON);
    ack(s1, 3);
    assert_int_equal(run_host_over(&host), RUN_HOST_FREE);
    assert_null(host.session);

    /* Read again, from the beginning, by anybody. */
    assert_int_equal(attach(s2, attach_of(BOB, 0, false)), RUN_HOST_ATTACHED);
    assert_true(!host.ended && output_log_end(host.log) == 0);
    fill(2);
    (void)end_job();
    (void)send_all(s2);
    assert_int_equal(run_host_next(&host, s2), RUN_HOST_FREE);
    assert_int_equal(attach(s2, attach_of(BOB, 5, false)), RUN_HOST_ATTACHED);
    assert_int_equal(run_host_detach(&host, s2), RUN_HOST_FREE);
    run_host_close(&host);

    /* Who still holds frames of before gets no more until they are taken. */
    open_kept();
    run_host_spooled(&host, 9);
    assert_int_equal(attach(s1, resume_from(1, 8, 7, 80)), RUN_HOST_ATTACHED);
    fill(9);
    assert_int_equal(send_all(s1), 0);
    ack(s1, 8);
    assert_true(send_all(s1) > 0);
    run_host_close(&host);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    const struct run_host_setup setup = setup_of(60000);
    const struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED};
    enum run_host_after after = RUN_HOST_GOES_ON;
    alloc_fault_arm(1);
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    run_host_close(&host);
    open_host(60000);
    alloc_fault_arm(1);
    assert_int_equal(run_host_ended(&host, &receipt, false, &after, NULL), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    assert_false(host.ended);
    (void)end_job();
    run_host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_resume),
        cmocka_unit_test(test_receipt_is_held_until_it_has_arrived),
        cmocka_unit_test(test_away_and_back),
        cmocka_unit_test(test_nobody_comes_back),
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_what_is_held),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_kept_receipt),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
