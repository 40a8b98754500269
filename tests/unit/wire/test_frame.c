// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc_fault.h"
#include "wire/frame.h"

static size_t put_frame(uint8_t *out, const char *json, const void *payload, size_t size)
{
    size_t header_bytes = strlen(json);
    frame_put_prefix(out, header_bytes);
    memcpy(out + FRAME_PREFIX_BYTES, json, header_bytes);
    if (size > 0)
        memcpy(out + FRAME_PREFIX_BYTES + header_bytes, payload, size);
    return FRAME_PREFIX_BYTES + header_bytes + size;
}

/* ---- payloads that nobody wants -------------------------------------------------------------- */

static unsigned asked;

static bool wants_exec(void *user, const struct message *message)
{
    assert_ptr_equal(user, &asked);
    asked++;
    return message->type == MESSAGE_EXEC;
}

static void test_unwanted_payload(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t first = put_frame(data, "{\"type\":\"ping\",\"id\":1,\"size\":10}", "0123456789", 10);
    size_t size =
        first + put_frame(data + first, "{\"type\":\"ping\",\"id\":2,\"size\":1}", "x", 1);
    struct decoder decoder;
    struct message message;
    const uint8_t *payload = data;
    size_t used = 0;
    asked = 0;
    decoder_init(&decoder);
    decoder_ask(&decoder, wants_exec, &asked);
    /* Its first three bytes have come. */
    assert_int_equal(decoder_next(&decoder, data, first - 7, &message, &payload, &used, NULL),
                     AFAR_OK);
    assert_int_equal(message.id, 1);
    assert_int_equal(message.size, 10);
    assert_null(payload);
    assert_int_equal(used, first - 7);
    message_close(&message);
    assert_int_equal(decoder_skip(&decoder, 3), 3);
    assert_int_equal(decoder_skip(&decoder, 0), 0);
    assert_int_equal(decoder_skip(&decoder, size - (first - 4)), 4);
    assert_int_equal(decoder_skip(&decoder, size - first), 0);
    /* One that is there as a whole costs nothing, and is given out as ever. */
    assert_int_equal(
        decoder_next(&decoder, data + first, size - first, &message, &payload, &used, NULL),
        AFAR_OK);
    assert_int_equal(message.id, 2);
    assert_ptr_equal(payload, data + size - 1);
    assert_int_equal(used, size - first);
    assert_int_equal(asked, 1);
    message_close(&message);
    /* And one that is wanted is waited for. */
    size = put_frame(data, "{\"type\":\"exec\",\"v\":1,\"id\":3,\"argc\":1,\"size\":2}", "a", 2);
    assert_int_equal(decoder_next(&decoder, data, size - 1, &message, &payload, &used, NULL),
                     AFAR_EAGAIN);
    assert_int_equal(used, size);
    assert_int_equal(asked, 2);
    decoder_close(&decoder);
}

static void test_prefix_is_little_endian(void **state)
{
    (void)state;
    uint8_t prefix[4];
    frame_put_prefix(prefix, 0x01020304);
    assert_memory_equal(prefix, "\x04\x03\x02\x01", 4);
    frame_put_prefix(prefix, 2);
    assert_memory_equal(prefix, "\x02\0\0\0", 4);
}

static void test_whole_frame(void **state)
{
    (void)state;
    uint8_t data[128];
    size_t size =
        put_frame(data, "{\"type\":\"stdin\",\"id\":1,\"offset\":7,\"size\":5}", "hello", 5);
    struct decoder decoder;
    decoder_init(&decoder);
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    assert_int_equal(decoder_next(&decoder, data, size, &message, &payload, &used, NULL), AFAR_OK);
    assert_int_equal(used, size);
    assert_int_equal(message.type, MESSAGE_STDIN);
    assert_int_equal(message.offset, 7);
    assert_int_equal(message.size, 5);
    assert_ptr_equal(payload, data + size - 5);
    message_close(&message);
    decoder_close(&decoder);
}

/* The bytes come in pieces of each size; every piece is given in a block of its own, so that a
 * read beyond what has come is seen by the sanitizers. Three frames, two of them back to back in
 * one piece at times. */
static void test_pieces_of_every_size(void **state)
{
    (void)state;
    uint8_t stream[512];
    size_t total =
        put_frame(stream, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argc\":2,\"size\":5}", "ls\0l", 5);
    total += put_frame(stream + total, "{\"type\":\"ping\",\"id\":2}", NULL, 0);
    total += put_frame(stream + total, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":3}",
                       "abc", 3);
    static const enum message_type expected[] = {MESSAGE_EXEC, MESSAGE_PING, MESSAGE_STDIN};

    for (size_t piece = 1; piece <= total; piece++) {
        struct decoder decoder;
        decoder_init(&decoder);
        size_t start = 0;
        size_t have = 0;
        size_t found = 0;
        while (start < total) {
            uint8_t *copy = malloc(have > 0 ? have : 1);
            assert_non_null(copy);
            memcpy(copy, stream + start, have);
            struct message message;
            const uint8_t *payload = NULL;
            size_t used = 0;
            enum afar_status status =
                decoder_next(&decoder, copy, have, &message, &payload, &used, NULL);
            if (status == AFAR_EAGAIN) {
                assert_true(used > have);
                assert_true(start + used <= total);
                have += piece < total - start - have ? piece : total - start - have;
            } else {
                assert_int_equal(status, AFAR_OK);
                assert_true(found < 3);
                assert_int_equal(message.type, expected[found]);
                if (message.type == MESSAGE_STDIN)
                    assert_memory_equal(payload, "abc", 3);
                message_close(&message);
                found++;
                start += used;
                have -= used;
            }
            free(copy);
        }
        assert_int_equal(found, 3);
        assert_int_equal(have, 0);
        decoder_close(&decoder);
    }
}

static enum afar_status next(const uint8_t *data, size_t size, size_t *used, struct afar_error *err)
{
    struct decoder decoder;
    decoder_init(&decoder);
    struct message message;
    const uint8_t *payload = NULL;
    enum afar_status status = decoder_next(&decoder, data, size, &message, &payload, used, err);
    if (status == AFAR_OK)
        message_close(&message);
    decoder_close(&decoder);
    return status;
}

static void test_again_says_how_much(void **state)
{
    (void)state;
    uint8_t data[64];
    size_t size = put_frame(data, "{\"type\":\"ping\",\"id\":1,\"size\":9}", NULL, 0);
    size_t used = 0;
    assert_int_equal(next(NULL, 0, &used, NULL), AFAR_EAGAIN);
    assert_int_equal(used, 4);
    assert_int_equal(next(data, 3, &used, NULL), AFAR_EAGAIN);
    assert_int_equal(used, 4);
    assert_int_equal(next(data, 4, &used, NULL), AFAR_EAGAIN);
    assert_int_equal(used, size);
    assert_int_equal(next(data, size - 1, &used, NULL), AFAR_EAGAIN);
    assert_int_equal(used, size);
    assert_int_equal(next(data, size, &used, NULL), AFAR_EAGAIN);
    assert_int_equal(used, size + 9);
}

static void test_bad_lengths(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1, 65537, 0x10000000, INT32_MAX, 0x80000000U, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t data[4];
        frame_put_prefix(data, bad[i]);
        size_t used = 0;
        struct afar_error err;
        assert_int_equal(next(data, 4, &used, &err), AFAR_EPEER);
        assert_non_null(strstr(err.message, "frame header of "));
    }
    uint8_t data[4];
    size_t used = 0;
    frame_put_prefix(data, 65536);
    assert_int_equal(next(data, 4, &used, NULL), AFAR_EAGAIN);
    assert_int_equal(used, 65540);
    frame_put_prefix(data, 2);
    assert_int_equal(next(data, 4, &used, NULL), AFAR_EAGAIN);
    assert_int_equal(used, 6);
}

static void test_header_of_the_largest_size(void **state)
{
    (void)state;
    size_t size = FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES;
    uint8_t *data = malloc(size);
    assert_non_null(data);
    memset(data, ' ', size);
    frame_put_prefix(data, FRAME_HEADER_MAX_BYTES);
    memcpy(data + 4, "{\"type\":\"ping\",\"id\":1}", 22);
    size_t used = 0;
    assert_int_equal(next(data, size - 1, &used, NULL), AFAR_EAGAIN);
    assert_int_equal(next(data, size, &used, NULL), AFAR_OK);
    assert_int_equal(used, size);
    free(data);
}

static void test_payload_sizes(void **state)
{
    (void)state;
    uint8_t data[128];
    size_t used = 0;
    struct afar_error err;
    size_t size =
        put_frame(data, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":1048576}", NULL, 0);
    assert_int_equal(next(data, size, &used, &err), AFAR_EAGAIN);
    assert_int_equal(used, size + 1048576);
    const char *const bad[] = {"{\"type\":\"ping\",\"id\":1,\"size\":1048577}",
                               "{\"type\":\"ping\",\"id\":1,\"size\":-1}",
                               "{\"type\":\"ping\",\"id\":1,\"size\":4.5}",
                               "{\"type\":\"ping\",\"id\":1,\"size\":1e300}",
                               "{\"type\":\"ping\",\"id\":1,\"size\":\"4\"}",
                               "{\"type\":\"ping\",\"id\":1,\"size\":null}",
                               "{\"type\":\"ping\",\"id\":1,\"size\":9007199254740992}",
                               "{\"type\":\"ping\",\"id\":1,\"size\":4,\"size\":5}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size = put_frame(data, bad[i], NULL, 0);
        assert_int_equal(next(data, size, &used, &err), AFAR_EPEER);
    }
}

/* Bad content keeps the framing: the next frame is found. */
static void test_bad_content_is_skipped_whole(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t size = put_frame(data, "{\"type\":\"signal\",\"id\":7,\"size\":3}", "xyz", 3);
    size_t total = size + put_frame(data + size, "{\"type\":\"ping\",\"id\":8}", NULL, 0);
    struct decoder decoder;
    decoder_init(&decoder);
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    assert_int_equal(decoder_next(&decoder, data, total, &message, &payload, &used, NULL), AFAR_OK);
    assert_int_equal(message.type, MESSAGE_BAD);
    assert_true(message.has_id);
    assert_int_equal(message.id, 7);
    assert_string_equal(message.problem.message, "the field \"name\" is missing");
    assert_int_equal(used, size);
    message_close(&message);
    assert_int_equal(
        decoder_next(&decoder, data + used, total - used, &message, &payload, &used, NULL),
        AFAR_OK);
    assert_int_equal(message.type, MESSAGE_PING);
    message_close(&message);
    decoder_close(&decoder);
}

static void test_close_frees_a_waiting_message(void **state)
{
    (void)state;
    uint8_t data[128];
    size_t size = put_frame(
        data, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"x\",\"envc\":1,\"size\":9}", NULL,
        0);
    struct decoder decoder;
    decoder_init(&decoder);
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    assert_int_equal(decoder_next(&decoder, data, size, &message, &payload, &used, NULL),
                     AFAR_EAGAIN);
    decoder_close(&decoder);
    decoder_close(&decoder);
}

static void test_stray_protocols(void **state)
{
    (void)state;
    const char *const requests[] = {
        "GET / HTTP/1.1\r\n", "HEAD /",    "POST / ", "PUT /",   "DELETE /",
        "CONNECT a",          "OPTIONS *", "TRACE /", "PATCH /", "PRI * HTTP/2.0",
        "HTTP/1.1 400 Bad"};
    size_t used = 0;
    struct afar_error err;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const uint8_t *data = (const uint8_t *)requests[i];
        assert_string_equal(frame_stray_protocol(data, strlen(requests[i])), "HTTP");
        assert_int_equal(next(data, strlen(requests[i]), &used, &err), AFAR_EPEER);
        assert_string_equal(err.message, "the peer speaks HTTP, not Afar's protocol");
    }
    static const uint8_t hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    static const uint8_t alert[] = {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46};
    assert_string_equal(frame_stray_protocol(hello, sizeof hello), "TLS");
    assert_string_equal(frame_stray_protocol(alert, sizeof alert), "TLS");
    assert_null(frame_stray_protocol(hello, 2));
    assert_string_equal(frame_stray_protocol(hello, 3), "TLS");
    assert_string_equal(frame_stray_protocol((const uint8_t *)"GET ", 4), "HTTP");
    assert_string_equal(frame_stray_protocol((const uint8_t *)"CONNECT ", 8), "HTTP");
    assert_string_equal(frame_stray_protocol((const uint8_t *)"HTTP/", 5), "HTTP");
    assert_int_equal(next(hello, sizeof hello, &used, &err), AFAR_EPEER);
    assert_string_equal(err.message, "the peer speaks TLS, not Afar's protocol");
    assert_int_equal(next(alert, sizeof alert, &used, &err), AFAR_EPEER);

    const char *const commands[] = {"GETTY", "ls -l", "get /",  "POSTGRES=1 x", "HTTP_PROXY=x curl",
                                    "",      "PUT",   "OPTIONS"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        assert_null(frame_stray_protocol((const uint8_t *)commands[i], strlen(commands[i])));
}

static void test_out_of_memory(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t size = put_frame(data,
                            "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"env\":[\"b=c\"]"
                            ",\"cwd\":\"/\",\"must\":[\"v\"]}",
                            NULL, 0);
    int rounds = 0;
    for (int n = 1;; n++) {
        size_t used = 0;
        struct afar_error err;
        alloc_fault_arm(n);
        enum afar_status status = next(data, size, &used, &err);
        if (!alloc_fault_fired()) {
            assert_int_equal(status, AFAR_OK);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
        assert_int_equal(err.code, AFAR_ENOMEM);
        rounds++;
    }
    assert_true(rounds > 20);
}

/* A message is kept while its payload is awaited; without memory for that, nothing is. */
static void test_out_of_memory_while_waiting(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t size =
        put_frame(data, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argc\":1,\"size\":9}", NULL, 0);
    enum afar_status status = AFAR_ENOMEM;
    for (int n = 1; status != AFAR_EAGAIN; n++) {
        struct decoder decoder;
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        struct afar_error err;
        decoder_init(&decoder);
        alloc_fault_arm(n);
        status = decoder_next(&decoder, data, size, &message, &payload, &used, &err);
        assert_int_equal(status, alloc_fault_fired() ? AFAR_ENOMEM : AFAR_EAGAIN);
        decoder_close(&decoder);
    }
}

/* Mutated streams: any answer is right that keeps its promises. */
static void test_mutations(void **state)
{
    (void)state;
    alloc_fault_arm(0);
    uint8_t good[512];
    size_t total = put_frame(
        good, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argc\":1,\"envc\":1,\"cwdc\":1,\"size\":9}",
        "ls\0a=b\0/", 9);
    total += put_frame(good + total, "{\"type\":\"ack\",\"id\":1,\"next\":3,\"stdin\":9}", NULL, 0);
    total +=
        put_frame(good + total,
                  "{\"type\":\"stdin\",\"id\":1,\"offset\":5,\"eof\":true,\"size\":4}", "abcd", 4);
    static const char alphabet[] = "{}[]\",:\\u0019-.e truefals\x01\xFF";
    uint32_t seed = 11;
    unsigned endings[2] = {0, 0};
    for (int i = 0; i < 60000; i++) {
        uint8_t stream[512];
        memcpy(stream, good, total);
        for (unsigned changes = seed >> 30; changes > 0; changes--) {
            seed = seed * 1664525 + 1013904223;
            size_t at = (seed >> 8) % total;
            stream[at] =
                (uint8_t)((seed & 0x80) != 0 ? alphabet[(seed >> 20) % (sizeof alphabet - 1)]
                                             : (int)(seed >> 24));
        }
        seed = seed * 1664525 + 1013904223;
        size_t piece = 1 + (seed >> 16) % 64;
        struct decoder decoder;
        decoder_init(&decoder);
        size_t start = 0;
        size_t have = 0;
        enum afar_status status = AFAR_OK;
        while (start + have < total || status == AFAR_OK) {
            struct message message;
            const uint8_t *payload = NULL;
            size_t used = 0;
            status = decoder_next(&decoder, stream + start, have, &message, &payload, &used, NULL);
            if (status == AFAR_EAGAIN) {
                assert_true(used > have);
                if (start + have == total)
                    break;
                have += piece < total - start - have ? piece : total - start - have;
                continue;
            }
            if (status != AFAR_OK) {
                assert_int_equal(status, AFAR_EPEER);
                break;
            }
            assert_true(used <= have && used >= message.size);
            assert_ptr_equal(payload + message.size, stream + start + used);
            if (message.exec != NULL && message.size > 0)
                (void)exec_request_take_payload(message.exec, payload, message.size, NULL);
            message_close(&message);
            start += used;
            have -= used;
        }
        endings[status == AFAR_EPEER]++;
        decoder_close(&decoder);
    }
    assert_true(endings[0] > 1000 && endings[1] > 1000);
}

/* Less than the protocol allows, and the least that it may be. */
static void test_own_limits(void **state)
{
    (void)state;
    static uint8_t data[FRAME_PREFIX_BYTES + 600 + 65537];
    char json[600];
    struct message message;
    const uint8_t *payload = NULL;
    struct afar_error err;
    size_t used = 0;
    for (int over = 0; over < 2; over++) {
        struct decoder decoder;
        decoder_init(&decoder);
        decoder_limit(&decoder, 512, 65536);
        int length = snprintf(json, sizeof json, "{\"type\":\"ping\",\"id\":1,\"x\":\"%0*d\"}",
                              483 + over, 1);
        assert_int_equal(length, 512 + over);
        size_t size = put_frame(data, json, NULL, 0);
        assert_int_equal(decoder_next(&decoder, data, size, &message, &payload, &used, &err),
                         over == 0 ? AFAR_OK : AFAR_ELIMIT);
        assert_false(decoder.payload_over);
        decoder_close(&decoder);

        decoder_init(&decoder);
        decoder_limit(&decoder, 512, 65536);
        (void)snprintf(json, sizeof json,
                       "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argc\":1,\"size\":%d}", 65536 + over);
        size = put_frame(data, json, NULL, 0) + 65536;
        assert_int_equal(decoder_next(&decoder, data, size, &message, &payload, &used, &err),
                         over == 0 ? AFAR_OK : AFAR_ELIMIT);
        if (over == 0)
            message_close(&message);
        assert_int_equal(decoder.payload_over, over == 1);
        decoder_close(&decoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix_is_little_endian),
        cmocka_unit_test(test_unwanted_payload),
        cmocka_unit_test(test_whole_frame),
        cmocka_unit_test(test_pieces_of_every_size),
        cmocka_unit_test(test_again_says_how_much),
        cmocka_unit_test(test_bad_lengths),
        cmocka_unit_test(test_header_of_the_largest_size),
        cmocka_unit_test(test_payload_sizes),
        cmocka_unit_test(test_bad_content_is_skipped_whole),
        cmocka_unit_test(test_close_frees_a_waiting_message),
        cmocka_unit_test(test_stray_protocols),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_out_of_memory_while_waiting),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_own_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
