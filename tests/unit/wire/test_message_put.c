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
#include "wire/frame.h"
#include "wire/message.h"

enum { OUT_LIMIT = 4 + 65536 + (1 << 20) };

/* Each of these puts one message; `check` looks at what was decoded from it. */
struct put_case {
    enum afar_status (*put)(struct buffer *out, struct afar_error *err);
    void (*check)(const struct message *message, const uint8_t *payload);
};

static const uint64_t ID = MESSAGE_INTEGER_MAX;

static enum afar_status put_stdin(struct buffer *out, struct afar_error *err)
{
    return message_put_stdin(out, ID, MESSAGE_INTEGER_MAX - 1, "a\0b", 3, true, err);
}
static void check_stdin(const struct message *message, const uint8_t *payload)
{
    assert_int_equal(message->type, MESSAGE_STDIN);
    assert_true(message->offset == MESSAGE_INTEGER_MAX - 1 && message->eof && message->size == 3);
    assert_memory_equal(payload, "a\0b", 3);
}

static enum afar_status put_empty_stdin(struct buffer *out, struct afar_error *err)
{
    return message_put_stdin(out, ID, 5, NULL, 0, false, err);
}
static void check_empty_stdin(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_STDIN);
    assert_true(message->offset == 5 && !message->eof && message->size == 0);
}

static enum afar_status put_close(struct buffer *out, struct afar_error *err)
{
    return message_put_close(out, ID, STREAM_STDERR, err);
}
static void check_close(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_CLOSE);
    assert_int_equal(message->stream, STREAM_STDERR);
}

static enum afar_status put_signal(struct buffer *out, struct afar_error *err)
{
    return message_put_signal(out, ID, "USR1", err);
}
static void check_signal(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_SIGNAL);
    assert_string_equal(message->name, "USR1");
}

static enum afar_status put_kill(struct buffer *out, struct afar_error *err)
{
    return message_put_kill(out, ID, "0123456789abcdef0123456789abcdef", "TERM", err);
}
static void check_kill(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_KILL);
    assert_string_equal(message->job, "0123456789abcdef0123456789abcdef");
    assert_string_equal(message->name, "TERM");
}

static enum afar_status put_ack(struct buffer *out, struct afar_error *err)
{
    return message_put_ack(out, ID, MESSAGE_INTEGER_MAX, err);
}
static void check_ack(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_ACK);
    assert_true(message->has_next && !message->has_stdin_acked);
    assert_true(message->next == MESSAGE_INTEGER_MAX);
}

static enum afar_status put_stdin_ack(struct buffer *out, struct afar_error *err)
{
    return message_put_stdin_ack(out, ID, 1000000000000000, 0, err);
}
static void check_stdin_ack(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_ACK);
    assert_true(!message->has_next && message->has_stdin_acked);
    assert_true(message->stdin_acked == 1000000000000000 && message->credit == 0);
}

static enum afar_status put_credit(struct buffer *out, struct afar_error *err)
{
    return message_put_stdin_ack(out, ID, 7, 4194304, err);
}
static void check_credit(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_ACK);
    assert_true(!message->has_next && message->stdin_acked == 7 && message->credit == 4194304);
}

static enum afar_status put_ping(struct buffer *out, struct afar_error *err)
{
    return message_put_ping(out, ID, err);
}
static void check_ping(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_PING);
}

static enum afar_status put_pong(struct buffer *out, struct afar_error *err)
{
    return message_put_pong(out, ID, "0.1.0", FEATURE_DIGEST | FEATURE_USER, err);
}
static void check_pong(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_PONG);
    assert_string_equal(message->word, "0.1.0");
    assert_string_equal(message->text, "digest user");
}

static enum afar_status put_started(struct buffer *out, struct afar_error *err)
{
    const struct message_started started = {.job = "0123456789abcdef0123456789abcdef",
                                            .window = 2097152,
                                            .credit = 1048576,
                                            .features = FEATURE_KILL,
                                            .tty = "/dev/pts/7"};
    return message_put_started(out, ID, &started, err);
}
static void check_started(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_STARTED);
    assert_string_equal(message->job, "0123456789abcdef0123456789abcdef");
    assert_true(message->window == 2097152);
    assert_true(message->credit == 1048576);
    assert_string_equal(message->text, "kill");
    assert_string_equal(message->tty, "/dev/pts/7");
}

static enum afar_status put_exit(struct buffer *out, struct afar_error *err)
{
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED, .code = 255};
    return message_put_exit(out, ID, MESSAGE_INTEGER_MAX, &receipt, false, err);
}
static void check_exit(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_EXIT);
    assert_true(message->seq == MESSAGE_INTEGER_MAX);
    assert_int_equal(message->receipt.code, 255);
}

static enum afar_status put_done(struct buffer *out, struct afar_error *err)
{
    return message_put_done(out, ID, err);
}
static void check_done(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_DONE);
}

static enum afar_status put_detach(struct buffer *out, struct afar_error *err)
{
    return message_put_detach(out, ID, err);
}
static void check_detach(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_DETACH);
}

static enum afar_status put_detached(struct buffer *out, struct afar_error *err)
{
    return message_put_detached(out, ID, err);
}
static void check_detached(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_DETACHED);
}

static enum afar_status put_resize(struct buffer *out, struct afar_error *err)
{
    const struct screen_size size = {.rows = 65535, .cols = 132, .xpixel = 0, .ypixel = 1};
    return message_put_resize(out, ID, &size, err);
}
static void check_resize(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_RESIZE);
    assert_true(message->screen.rows == 65535 && message->screen.cols == 132);
    assert_true(message->screen.xpixel == 0 && message->screen.ypixel == 1);
}

static enum afar_status put_pause(struct buffer *out, struct afar_error *err)
{
    return message_put_pause(out, ID, err);
}
static void check_pause(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_PAUSE);
}

static enum afar_status put_room(struct buffer *out, struct afar_error *err)
{
    return message_put_room(out, ID, MESSAGE_INTEGER_MAX, 7, err);
}
static void check_room(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_ROOM);
    assert_true(message->window == MESSAGE_INTEGER_MAX && message->credit == 7);
}

static enum afar_status put_error(struct buffer *out, struct afar_error *err)
{
    return message_put_error(out, true, ID, "busy", "no\nroom \"here\" \xFF", 1000000000000000,
                             err);
}
static void check_error(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_ERROR);
    assert_string_equal(message->word, "busy");
    assert_string_equal(message->text, "no?room \"here\" ?");
    assert_true(message->retry_after_ms == 1000000000000000);
}

static enum afar_status put_closing(struct buffer *out, struct afar_error *err)
{
    return message_put_closing(out, "draining", err);
}
static void check_closing(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_CLOSING);
    assert_string_equal(message->word, "draining");
}

static enum afar_status put_exec(struct buffer *out, struct afar_error *err)
{
    char *argv[] = {(char *)"ls", (char *)"-l", NULL};
    char *env[] = {(char *)"A=b", NULL};
    struct exec_request request = {.argv = argv, .env = env, .cwd = (char *)"/", .digest = true};
    return message_put_exec(out, ID, &request, err);
}
static void check_exec(const struct message *message, const uint8_t *payload)
{
    (void)payload;
    assert_int_equal(message->type, MESSAGE_EXEC);
    assert_string_equal(message->exec->argv[1], "-l");
}

static enum afar_status put_exec_payload(struct buffer *out, struct afar_error *err)
{
    char *argv[] = {(char *)"ls", (char *)"\xFF", NULL};
    struct exec_request request = {.argv = argv};
    return message_put_exec(out, ID, &request, err);
}
static void check_exec_payload(const struct message *message, const uint8_t *payload)
{
    assert_int_equal(message->type, MESSAGE_EXEC);
    assert_int_equal(message->size, 5);
    assert_memory_equal(payload, "ls\0\xFF", 5);
}

static const struct put_case cases[] = {
    {put_stdin, check_stdin},
    {put_empty_stdin, check_empty_stdin},
    {put_close, check_close},
    {put_signal, check_signal},
    {put_kill, check_kill},
    {put_ack, check_ack},
    {put_stdin_ack, check_stdin_ack},
    {put_credit, check_credit},
    {put_ping, check_ping},
    {put_pong, check_pong},
    {put_started, check_started},
    {put_exit, check_exit},
    {put_done, check_done},
    {put_detach, check_detach},
    {put_detached, check_detached},
    {put_error, check_error},
    {put_closing, check_closing},
    {put_exec, check_exec},
    {put_exec_payload, check_exec_payload},
    {put_resize, check_resize},
    {put_pause, check_pause},
    {put_room, check_room},
};

enum { CASES = sizeof cases / sizeof cases[0] };

static void test_round_trip(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, OUT_LIMIT);
    for (size_t i = 0; i < CASES; i++)
        assert_int_equal(cases[i].put(&out, NULL), AFAR_OK);
    struct decoder decoder;
    decoder_init(&decoder);
    for (size_t i = 0; i < CASES; i++) {
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        assert_int_equal(decoder_next(&decoder, buffer_head(&out), buffer_size(&out), &message,
                                      &payload, &used, NULL),
                         AFAR_OK);
        if (message.type == MESSAGE_BAD)
            fail_msg("%zu: %s", i, message.problem.message);
        if (message.type != MESSAGE_CLOSING)
            assert_true(message.has_id && message.id == ID);
        cases[i].check(&message, payload);
        message_close(&message);
        buffer_consume(&out, used);
    }
    assert_int_equal(buffer_size(&out), 0);
    decoder_close(&decoder);
}

/* Whatever fails, nothing is added. */
static void test_full_buffer(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct buffer whole;
        buffer_init(&whole, OUT_LIMIT);
        assert_int_equal(cases[i].put(&whole, NULL), AFAR_OK);
        struct buffer out;
        struct afar_error err;
        buffer_init(&out, buffer_size(&whole));
        assert_int_equal(buffer_append(&out, "x", 1, NULL), AFAR_OK);
        assert_int_equal(cases[i].put(&out, &err), AFAR_ELIMIT);
        assert_int_equal(err.code, AFAR_ELIMIT);
        assert_int_equal(buffer_size(&out), 1);
        buffer_consume(&out, 1);
        assert_int_equal(cases[i].put(&out, &err), AFAR_OK);
        assert_int_equal(buffer_size(&out), buffer_size(&whole));
        assert_memory_equal(buffer_head(&out), buffer_head(&whole), buffer_size(&out));
        buffer_close(&whole);
        buffer_close(&out);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    int rounds = 0;
    for (size_t i = 0; i < CASES; i++) {
        for (int n = 1;; n++) {
            struct buffer out;
            struct afar_error err;
            buffer_init(&out, OUT_LIMIT);
            alloc_fault_arm(n);
            enum afar_status status = cases[i].put(&out, &err);
            size_t added = buffer_size(&out);
            buffer_close(&out);
            if (!alloc_fault_fired()) {
                assert_int_equal(status, AFAR_OK);
                break;
            }
            assert_int_equal(status, AFAR_ENOMEM);
            assert_int_equal(added, 0);
            rounds++;
        }
    }
    assert_true(rounds > 100);
}

static void test_error_without_id(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, OUT_LIMIT);
    assert_int_equal(message_put_error(&out, false, 7, "bad_request", "m", 0, NULL), AFAR_OK);
    static const char expected[] =
        "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"m\"}";
    assert_int_equal(buffer_size(&out), 4 + strlen(expected));
    assert_memory_equal(buffer_head(&out) + 4, expected, strlen(expected));
    buffer_close(&out);
}

static void test_what_no_header_can_carry(void **state)
{
    (void)state;
    struct buffer out;
    struct afar_error err;
    buffer_init(&out, (size_t)4 << 20);
    assert_int_equal(message_put_signal(&out, 1, "\xFF", &err), AFAR_EINVAL);
    struct exec_request request = {.shell = (char *)"x", .user = (char *)"\xFF"};
    assert_int_equal(message_put_exec(&out, 1, &request, &err), AFAR_EINVAL);
    request = (struct exec_request){.shell = (char *)"x", .key = (char *)"\xC3"};
    assert_int_equal(message_put_exec(&out, 1, &request, &err), AFAR_EINVAL);

    char *long_text = malloc(70000);
    assert_non_null(long_text);
    memset(long_text, 'k', 69999);
    long_text[69999] = '\0';
    request.key = long_text;
    assert_int_equal(message_put_exec(&out, 1, &request, &err), AFAR_ELIMIT);
    free(long_text);

    static uint8_t big[(1 << 20) + 1];
    assert_int_equal(message_put_stdin(&out, 1, 0, big, sizeof big, false, &err), AFAR_ELIMIT);
    assert_int_equal(buffer_size(&out), 0);
    assert_int_equal(message_put_stdin(&out, 1, 0, big, sizeof big - 1, false, &err), AFAR_OK);
    buffer_close(&out);

    /* Longer than any caller's: an id is 32 digits. */
    char job[900];
    memset(job, 'j', sizeof job);
    job[sizeof job - 1] = '\0';
    const struct message_started started = {.job = job, .window = 1};
    assert_int_equal(message_put_started(&out, 1, &started, &err), AFAR_EBUG);
}

static void test_output_head(void **state)
{
    (void)state;
    const struct {
        uint64_t id;
        enum stream stream;
        uint64_t seq;
        size_t size;
        uint64_t time_us;
    } heads[] = {
        {1, STREAM_STDOUT, 0, 1, 0},
        {MESSAGE_INTEGER_MAX, STREAM_STDERR, MESSAGE_INTEGER_MAX, FRAME_PAYLOAD_MAX_BYTES, 0},
        {MESSAGE_INTEGER_MAX, STREAM_STDERR, MESSAGE_INTEGER_MAX, FRAME_PAYLOAD_MAX_BYTES,
         MESSAGE_INTEGER_MAX},
    };
    for (size_t i = 0; i < 3; i++) {
        uint8_t head[MESSAGE_OUTPUT_HEAD_BYTES];
        size_t size = message_write_output_head(head, heads[i].id, heads[i].stream, heads[i].seq,
                                                heads[i].size, heads[i].time_us);
        struct message message;
        assert_int_equal(message_decode(&message, head + 4, size - 4, NULL), AFAR_OK);
        assert_int_equal(message.type,
                         heads[i].stream == STREAM_STDOUT ? MESSAGE_STDOUT : MESSAGE_STDERR);
        assert_true(message.id == heads[i].id && message.seq == heads[i].seq &&
                    message.size == heads[i].size && message.time_us == heads[i].time_us);
        message_close(&message);
        size_t most = message_output_head_most(heads[i].seq, heads[i].size, heads[i].time_us);
        assert_true(i == 0 ? most == size + 15 : most == size); /* 16 digits of the id, or one */
    }
    /* Numbers no caller has: still within the array. */
    uint8_t head[MESSAGE_OUTPUT_HEAD_BYTES];
    assert_true(message_write_output_head(head, UINT64_MAX, STREAM_STDOUT, UINT64_MAX, SIZE_MAX,
                                          1) < sizeof head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_full_buffer),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_error_without_id),
        cmocka_unit_test(test_what_no_header_can_carry),
        cmocka_unit_test(test_output_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
