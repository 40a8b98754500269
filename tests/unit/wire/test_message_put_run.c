// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/alloc_fault.h"
#include "wire/frame.h"
#include "wire/message.h"

#define JOB "0123456789abcdef0123456789abcdef"
#define HOLDER "ABCDEFGHIJKLMNOP"
#define SIXTEEN "sixteen-letters-"

static const uint64_t ID = MESSAGE_INTEGER_MAX;

struct put_case {
    enum afar_status (*put)(struct buffer *out, struct afar_error *err);
    void (*check)(const struct message *message);
};

static const struct message_started most_started = {.job = JOB,
                                                    .window = MESSAGE_INTEGER_MAX,
                                                    .credit = MESSAGE_INTEGER_MAX,
                                                    .resume_ms = MESSAGE_INTEGER_MAX,
                                                    .kept = true,
                                                    .server = SIXTEEN SIXTEEN SIXTEEN SIXTEEN};

static void check_facts(const struct message *message)
{
    assert_string_equal(message->job, JOB);
    assert_true(message->window == ID && message->credit == ID && message->resume_ms == ID);
    assert_true(message->kept);
    assert_string_equal(message->server, SIXTEEN SIXTEEN SIXTEEN SIXTEEN);
}

static enum afar_status put_started(struct buffer *out, struct afar_error *err)
{
    return message_put_started(out, ID, &most_started, err);
}
static void check_started(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_STARTED);
    check_facts(message);
}

static enum afar_status put_attached(struct buffer *out, struct afar_error *err)
{
    const struct message_attached attached = {.state = MESSAGE_JOB_STARTING,
                                              .first = 5,
                                              .end = ID,
                                              .first_bytes = {6, ID},
                                              .stdin_received = 8,
                                              .stdin_taken = 7,
                                              .stdin_eof = true,
                                              .window_max = MESSAGE_WINDOW_MIN_BYTES,
                                              .has_pty = true,
                                              .screen = {.rows = 65535, .cols = 3},
                                              .has_modes = true,
                                              .replay = ID,
                                              .modes = "\x1b[?1049h"};
    return message_put_attached(out, ID, &most_started, &attached, err);
}
static void check_attached(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_ATTACHED);
    check_facts(message);
    const struct message_attached *attached = &message->attached;
    assert_true(attached->state == MESSAGE_JOB_STARTING && attached->first == 5);
    assert_true(attached->end == ID && attached->stdin_received == 8 && attached->stdin_taken == 7);
    assert_true(attached->first_bytes[0] == 6 && attached->first_bytes[1] == ID);
    assert_true(attached->stdin_eof && attached->window_max == MESSAGE_WINDOW_MIN_BYTES);
    assert_true(attached->has_pty && attached->screen.rows == 65535 && attached->screen.cols == 3);
    assert_true(attached->has_modes && attached->replay == ID);
    assert_string_equal(attached->modes, "\x1b[?1049h");
}

static enum afar_status put_least_attached(struct buffer *out, struct afar_error *err)
{
    const struct message_started started = {.job = JOB, .window = 1};
    const struct message_attached attached = {.state = MESSAGE_JOB_ENDED};
    return message_put_attached(out, ID, &started, &attached, err);
}
static void check_least_attached(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_ATTACHED);
    assert_true(message->credit == 0 && message->resume_ms == 0 && !message->kept);
    assert_true(message->attached.state == MESSAGE_JOB_ENDED && !message->attached.stdin_eof);
    assert_false(message->attached.has_pty || message->attached.has_modes);
    assert_string_equal(message->server, "");
}

static enum afar_status put_attach(struct buffer *out, struct afar_error *err)
{
    const struct message_attach attach = {.holder = HOLDER,
                                          .attempt = ID,
                                          .resume = true,
                                          .has_next = true,
                                          .next = ID,
                                          .ack = 4,
                                          .has_next_bytes = true,
                                          .next_bytes = {5, ID},
                                          .output = true,
                                          .follow = true,
                                          .window_max = ID,
                                          .has_pty = true,
                                          .screen = {.rows = 3, .cols = 4, .ypixel = 65535},
                                          .tail = ID};
    return message_put_attach(out, ID, JOB, &attach, err);
}
static void check_attach(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_ATTACH);
    const struct message_attach *attach = &message->attach;
    assert_string_equal(message->job, JOB);
    assert_string_equal(attach->holder, HOLDER);
    assert_true(attach->attempt == ID && attach->resume && attach->has_next);
    assert_true(attach->next == ID && attach->ack == 4 && attach->window_max == ID);
    assert_true(!attach->watch && attach->output && attach->follow);
    assert_true(attach->has_next_bytes && attach->next_bytes[0] == 5);
    assert_true(attach->next_bytes[1] == ID);
    assert_true(attach->has_pty && attach->screen.rows == 3 && attach->screen.cols == 4);
    assert_true(attach->screen.ypixel == 65535 && attach->tail == ID);
}

static enum afar_status put_watch(struct buffer *out, struct afar_error *err)
{
    const struct message_attach attach = {.holder = HOLDER, .watch = true};
    return message_put_attach(out, ID, NULL, &attach, err);
}
static void check_watch(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_ATTACH);
    const struct message_attach *attach = &message->attach;
    assert_string_equal(message->job, "");
    assert_true(attach->watch && !attach->output && !attach->follow && !attach->resume);
    assert_true(!attach->has_next && attach->attempt == 0 && attach->window_max == 0);
    assert_true(!attach->has_pty && attach->tail == 0);
}

static enum afar_status put_detach(struct buffer *out, struct afar_error *err)
{
    return message_put_detach(out, ID, err);
}
static void check_detach(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_DETACH);
}

static enum afar_status put_detached(struct buffer *out, struct afar_error *err)
{
    return message_put_detached(out, ID, err);
}
static void check_detached(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_DETACHED);
}

static enum afar_status put_forget(struct buffer *out, struct afar_error *err)
{
    return message_put_forget(out, ID, JOB, err);
}
static void check_forget(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_FORGET);
    assert_string_equal(message->job, JOB);
}

static enum afar_status put_jobs(struct buffer *out, struct afar_error *err)
{
    return message_put_jobs(out, ID, JOB, true, err);
}
static void check_jobs(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_JOBS);
    assert_string_equal(message->job, JOB);
    assert_true(message->all && message->jobs == NULL);
}

static enum afar_status put_first_jobs(struct buffer *out, struct afar_error *err)
{
    return message_put_jobs(out, ID, NULL, false, err);
}
static void check_first_jobs(const struct message *message)
{
    assert_string_equal(message->job, "");
    assert_false(message->all);
}

static enum afar_status put_answer(struct buffer *out, struct afar_error *err)
{
    const struct message_job jobs[] = {
        {.job = JOB,
         .state = MESSAGE_JOB_RUNNING,
         .attached = true,
         .pty = true,
         .age_ms = 5,
         .code = -1},
        {.job = JOB,
         .state = MESSAGE_JOB_ENDED,
         .kept = true,
         .key = "k\xFF",
         .owner = "o",
         .command = "c\n\"",
         .age_ms = ID,
         .ended_ms = 1,
         .bytes = {2, 3},
         .has_outcome = true,
         .outcome = AFAR_OUTCOME_SIGNALED,
         .code = -1,
         .signal = "INT"},
    };
    size_t put = 0;
    enum afar_status status = message_put_jobs_answer(out, ID, jobs, 2, true, &put, err);
    assert_true(status != AFAR_OK || put == 2);
    return status;
}
static void check_answer(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_JOBS);
    assert_non_null(message->jobs);
    assert_true(message->jobs->count == 2 && message->jobs->more);
    const struct message_job *job = &message->jobs->job[0];
    assert_true(job->attached && job->pty && !job->kept && !job->has_outcome && job->age_ms == 5);
    job = &message->jobs->job[1];
    assert_string_equal(job->key, "k?");
    assert_string_equal(job->owner, "o");
    assert_string_equal(job->command, "c?\"");
    assert_true(job->kept && job->age_ms == ID && job->ended_ms == 1);
    assert_true(job->bytes[0] == 2 && job->bytes[1] == 3);
    assert_true(job->has_outcome && job->outcome == AFAR_OUTCOME_SIGNALED && job->code == -1);
    assert_string_equal(job->signal, "INT");
}

static enum afar_status put_not_found(struct buffer *out, struct afar_error *err)
{
    return message_put_not_found(out, ID, "no\nsuch", "s1", err);
}
static void check_not_found(const struct message *message)
{
    assert_int_equal(message->type, MESSAGE_ERROR);
    assert_string_equal(message->word, "not_found");
    assert_string_equal(message->text, "no?such");
    assert_string_equal(message->server, "s1");
}

static const struct put_case cases[] = {
    {put_started, check_started},
    {put_attached, check_attached},
    {put_least_attached, check_least_attached},
    {put_attach, check_attach},
    {put_watch, check_watch},
    {put_detach, check_detach},
    {put_detached, check_detached},
    {put_forget, check_forget},
    {put_jobs, check_jobs},
    {put_first_jobs, check_first_jobs},
    {put_answer, check_answer},
    {put_not_found, check_not_found},
};

enum { CASES = sizeof cases / sizeof cases[0] };

static void check_one(const struct put_case *put_case, struct buffer *out)
{
    struct decoder decoder;
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    decoder_init(&decoder);
    assert_int_equal(
        decoder_next(&decoder, buffer_head(out), buffer_size(out), &message, &payload, &used, NULL),
        AFAR_OK);
    if (message.type == MESSAGE_BAD)
        fail_msg("%s", message.problem.message);
    assert_true(message.has_id && message.id == ID && used == buffer_size(out));
    put_case->check(&message);
    message_close(&message);
    decoder_close(&decoder);
}

/* Whatever allocation fails, nothing is added. */
static void test_every_message(void **state)
{
    (void)state;
    int rounds = 0;
    for (size_t i = 0; i < CASES; i++) {
        for (int n = 1;; n++) {
            struct buffer out;
            buffer_init(&out, 100000);
            alloc_fault_arm(n);
            enum afar_status status = cases[i].put(&out, NULL);
            bool fired = alloc_fault_fired();
            if (!fired) {
                assert_int_equal(status, AFAR_OK);
                check_one(&cases[i], &out);
            } else {
                assert_int_equal(status, AFAR_ENOMEM);
                assert_int_equal(buffer_size(&out), 0);
            }
            buffer_close(&out);
            if (!fired)
                break;
            rounds++;
        }
    }
    assert_true(rounds > 100);
}

/* As many entries as one answer holds, and the rest in the next. */
static void test_pages_of_jobs(void **state)
{
    (void)state;
    enum { JOBS = 1000 };
    static struct message_job jobs[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i] = (struct message_job){.state = MESSAGE_JOB_RUNNING, .code = -1};
        (void)snprintf(jobs[i].job, sizeof jobs[i].job, "%032zu", i);
        memset(jobs[i].command, '"', i % sizeof jobs[i].command);
    }
    size_t seen = 0;
    size_t pages = 0;
    while (seen < JOBS) {
        struct buffer out;
        size_t put = 0;
        buffer_init(&out, 100000);
        assert_int_equal(
            message_put_jobs_answer(&out, 1, jobs + seen, JOBS - seen, false, &put, NULL), AFAR_OK);
        assert_true(put > 0 && put <= MESSAGE_JOBS_MAX);
        assert_true(buffer_size(&out) < MESSAGE_JOBS_BYTES + 100);
        struct message message;
        assert_int_equal(message_decode(&message, buffer_head(&out) + FRAME_PREFIX_BYTES,
                                        buffer_size(&out) - FRAME_PREFIX_BYTES, NULL),
                         AFAR_OK);
        assert_int_equal(message.jobs->count, put);
        assert_int_equal(message.jobs->more, seen + put < JOBS);
        for (size_t i = 0; i < put; i++)
            assert_string_equal(message.jobs->job[i].job, jobs[seen + i].job);
        message_close(&message);
        buffer_close(&out);
        seen += put;
        pages++;
    }
    assert_true(pages > 5 && pages < 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message),
        cmocka_unit_test(test_pages_of_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
