#include "support/talk.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "wire/frame.h"

struct talk talk;
static uint8_t last_payload[4096];

void talk_open(struct run_guest_setup setup)
{
    if (setup.holder == NULL)
        setup.holder = HOLDER;
    buffer_init(&talk.out, (size_t)4 << 20);
    assert_int_equal(run_guest_open(&talk.guest, &setup, NULL), AFAR_OK);
}

void talk_close(void)
{
    run_guest_close(&talk.guest);
    buffer_close(&talk.out);
}

enum message_type talk_frame(void)
{
    struct decoder decoder;
    const uint8_t *payload = NULL;
    size_t used = 0;
    if (buffer_size(&talk.out) == 0)
        return MESSAGE_BAD;
    decoder_init(&decoder);
    assert_int_equal(decoder_next(&decoder, buffer_head(&talk.out), buffer_size(&talk.out),
                                  &talk.last, &payload, &used, NULL),
                     AFAR_OK);
    assert_true(talk.last.size < sizeof last_payload);
    memcpy(last_payload, payload, talk.last.size);
    message_close(&talk.last);
    buffer_consume(&talk.out, used);
    return talk.last.type;
}

enum afar_status talk_hear_at(int64_t now_ms, const char *json, enum run_guest_event *event)
{
    struct message message;
    assert_int_equal(message_decode(&message, (const uint8_t *)json, strlen(json), NULL), AFAR_OK);
    if (message.type == MESSAGE_BAD)
        fail_msg("%s: %s", json, message.problem.message);
    enum afar_status status =
        run_guest_message(&talk.guest, &message, now_ms, &talk.out, event, &talk.err);
    message_close(&message);
    return status;
}

void talk_hear(const char *json, enum run_guest_event expected)
{
    enum run_guest_event event = RUN_GUEST_DROP;
    enum afar_status status = talk_hear_at(1000, json, &event);
    if (status != AFAR_OK)
        fail_msg("%s: %s", json, talk.err.message);
    if (event != expected)
        fail_msg("%s: event %d", json, (int)event);
}

void talk_hear_bad(const char *json, const char *why)
{
    enum run_guest_event event = RUN_GUEST_NOTHING;
    assert_int_equal(talk_hear_at(1000, json, &event), AFAR_EPEER);
    if (strstr(talk.err.message, why) == NULL)
        fail_msg("%s: %s", json, talk.err.message);
}

void talk_start(void)
{
    run_guest_begin(&talk.guest, 1);
    assert_int_equal(talk.guest.state, RUN_GUEST_NEW);
    run_guest_sent(&talk.guest);
    assert_int_equal(talk.guest.state, RUN_GUEST_ASKED);
    talk_hear(STARTED, RUN_GUEST_STARTED);
    assert_int_equal(talk.guest.state, RUN_GUEST_RUN);
    buffer_clear(&talk.out);
}

void talk_start_resumable(void)
{
    talk_open((struct run_guest_setup){.resume_ms = 60000, .stdin_stream = true});
    talk_start();
}

enum run_guest_after talk_lose(int64_t now_ms)
{
    buffer_clear(&talk.out);
    return run_guest_lost(&talk.guest, RUN_GUEST_CUT, now_ms, 1U << 31, &talk.err);
}

void talk_come_back(uint64_t id)
{
    assert_int_equal(talk_lose(2000), RUN_GUEST_RETRY);
    assert_true(run_guest_connect_now(&talk.guest, run_guest_deadline_ms(&talk.guest)));
    assert_int_equal(run_guest_connected(&talk.guest, id, &talk.out, NULL), AFAR_OK);
    assert_int_equal(talk.guest.state, RUN_GUEST_ATTACH);
    assert_int_equal(talk_frame(), MESSAGE_ATTACH);
}

void talk_attached(uint64_t id, const char *more)
{
    char json[1024];
    (void)snprintf(json, sizeof json,
                   "{\"type\":\"attached\",\"id\":%llu,\"job\":\"" JOB "\",\"window\":1000,"
                   "\"resume_ms\":60000,\"server\":\"s1\",%s}",
                   (unsigned long long)id, more);
    talk_hear(json, RUN_GUEST_ATTACHED);
}

void talk_output(uint64_t id, uint64_t seq, unsigned size)
{
    char json[128];
    (void)snprintf(json, sizeof json, "{\"type\":\"stdout\",\"id\":%llu,\"seq\":%llu,\"size\":%u}",
                   (unsigned long long)id, (unsigned long long)seq, size);
    talk_hear(json, RUN_GUEST_OUTPUT);
}

size_t talk_give(const char *text)
{
    size_t taken = 0;
    assert_int_equal(run_guest_write(&talk.guest, &talk.out, text, strlen(text), &taken, NULL),
                     AFAR_OK);
    return taken;
}

void talk_expect_stdin(uint64_t id, uint64_t offset, const char *text, bool eof)
{
    assert_int_equal(talk_frame(), MESSAGE_STDIN);
    assert_true(talk.last.id == id && talk.last.offset == offset && talk.last.eof == eof);
    assert_int_equal(talk.last.size, strlen(text));
    assert_memory_equal(last_payload, text, talk.last.size);
}
