#include "copy/requests.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

struct seen {
    unsigned calls;
    uint8_t type;
    uint64_t offset;
    struct afar_error err;
};

static void done(const struct requests_call *call, struct requests_answer *answer)
{
    struct seen *seen = call->user;
    seen->calls++;
    seen->type = answer->type;
    seen->offset = call->offset;
    if (answer->type != call->expected)
        requests_explain(answer, &seen->err);
}

static void ask(struct requests *requests, struct seen *seen, uint64_t offset)
{
    struct sftp_writer writer;
    const struct requests_call call = {
        .done = done, .user = seen, .offset = offset, .expected = SFTP_TYPE_HANDLE, .cost = 100};
    requests_begin(requests, &writer, SFTP_TYPE_OPEN, 64);
    sftp_put_word(&writer, "x");
    requests_send(requests, &writer, &call);
}

/* The server's next packet: a type, an id, a text. */
static void put(struct buffer *from, uint8_t type, uint32_t id, const char *text)
{
    struct sftp_writer writer;
    sftp_begin(&writer, from, 512);
    sftp_put_u8(&writer, type);
    sftp_put_u32(&writer, id);
    if (type == SFTP_TYPE_STATUS)
        sftp_put_u32(&writer, SFTP_STATUS_FAILURE);
    if (type != SFTP_TYPE_VERSION)
        sftp_put_word(&writer, text);
    assert_int_equal(sftp_end(&writer, NULL), AFAR_OK);
}

static enum afar_status take(struct requests *requests, struct buffer *from, size_t piece)
{
    enum afar_status status = AFAR_OK;
    while (status == AFAR_OK && buffer_size(from) > 0) {
        size_t size = buffer_size(from) < piece ? buffer_size(from) : piece;
        status = requests_take(requests, buffer_head(from), size, NULL);
        buffer_consume(from, size);
    }
    buffer_clear(from);
    return status;
}

/* However the bytes are cut. */
static void test_answers(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 60; piece += 3) {
        struct requests requests;
        struct buffer from;
        struct seen seen = {.calls = 0};
        buffer_init(&from, 1 << 20);
        assert_int_equal(requests_init(&requests, NULL), AFAR_OK);
        ask(&requests, &seen, 1);
        ask(&requests, &seen, 2);
        assert_int_equal(requests.cost, 200);
        put(&from, SFTP_TYPE_VERSION, 3, "");
        put(&from, SFTP_TYPE_HANDLE, 0, "12345678");
        assert_int_equal(take(&requests, &from, piece), AFAR_OK);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.offset, 1);
        put(&from, SFTP_TYPE_STATUS, 1, "No space left on device");
        assert_int_equal(take(&requests, &from, piece), AFAR_OK);
        assert_int_equal(seen.offset, 2);
        assert_string_equal(seen.err.reason, "ENOSPC");
        assert_string_equal(seen.err.message, "No space left on device");
        assert_int_equal(requests.cost, 0);
        assert_int_equal(requests_under_way(&requests), 0);
        requests_close(&requests);
        buffer_close(&from);
    }
}

static void expect_refused(uint8_t type, uint32_t id)
{
    struct requests requests;
    struct buffer from;
    struct seen seen = {.calls = 0};
    buffer_init(&from, 1 << 20);
    assert_int_equal(requests_init(&requests, NULL), AFAR_OK);
    ask(&requests, &seen, 1);
    put(&from, SFTP_TYPE_VERSION, 3, "");
    put(&from, type, id, "12345678");
    assert_int_equal(take(&requests, &from, 1000), AFAR_EPEER);
    assert_int_equal(seen.calls, 0);
    requests_end(&requests);
    assert_int_equal(seen.calls, 1);
    assert_string_equal(seen.err.reason, "ECONNRESET");
    ask(&requests, &seen, 2); /* after the end: at once */
    assert_int_equal(seen.calls, 2);
    requests_close(&requests);
    buffer_close(&from);
}

static void test_wrong_answers(void **state)
{
    (void)state;
    expect_refused(SFTP_TYPE_HANDLE, 1);
    expect_refused(SFTP_TYPE_HANDLE, UINT32_MAX);
    expect_refused(SFTP_TYPE_DATA, 0);
    expect_refused(SFTP_TYPE_VERSION, 3);
}

/* Room ends before there is none at all; what ends others still goes out. */
static void test_room(void **state)
{
    struct requests requests;
    struct seen seen = {.calls = 0};
    (void)state;
    assert_int_equal(requests_init(&requests, NULL), AFAR_OK);
    for (unsigned i = 0; i < REQUESTS_USUAL; i++) {
        assert_true(requests_have_room(&requests));
        ask(&requests, &seen, i);
    }
    assert_false(requests_have_room(&requests));
    for (unsigned i = REQUESTS_USUAL; i < REQUESTS_MAX; i++)
        ask(&requests, &seen, i);
    assert_int_equal(seen.calls, 0);
    ask(&requests, &seen, REQUESTS_MAX);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.offset, REQUESTS_MAX);
    requests_end(&requests);
    assert_int_equal(seen.calls, REQUESTS_MAX + 1);
    requests_close(&requests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_wrong_answers),
                                       cmocka_unit_test(test_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
