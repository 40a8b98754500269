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
#include "wire/tutorial.h"

static struct afar_error err;

static void test_upper_is_pythons(void **state)
{
    (void)state;
    uint8_t all[256];
    for (size_t i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    tutorial_upper(all, sizeof all);
    for (size_t i = 0; i < 256; i++)
        assert_int_equal(all[i], i >= 'a' && i <= 'z' ? i - 32 : i);
    tutorial_upper(all, 0);
}

static void test_headers(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 1000);
    assert_int_equal(tutorial_put_header(&out, TUTORIAL_SIZED, 258, NULL, &err), AFAR_OK);
    assert_int_equal(buffer_size(&out), 4);
    assert_memory_equal(buffer_head(&out), "\x02\x01\0\0", 4);
    buffer_clear(&out);

    assert_int_equal(
        tutorial_put_header(&out, TUTORIAL_HEADED, 7, "d41d8cd98f00b204e9800998ecf8427e", &err),
        AFAR_OK);
    static const char expected[] = "{\"filename\": \"a.txt\", \"total_size\": 7, \"md5\": "
                                   "\"d41d8cd98f00b204e9800998ecf8427e\"}";
    assert_int_equal(buffer_size(&out), 4 + strlen(expected));
    uint8_t prefix[4];
    frame_put_prefix(prefix, strlen(expected));
    assert_memory_equal(buffer_head(&out), prefix, 4);
    assert_memory_equal(buffer_head(&out) + 4, expected, strlen(expected));
    buffer_clear(&out);

    for (int kind = TUTORIAL_SIZED; kind <= TUTORIAL_HEADED; kind++) {
        const char *md5 = "d41d8cd98f00b204e9800998ecf8427e";
        assert_int_equal(tutorial_put_header(&out, (enum tutorial_reply)kind, INT32_MAX, md5, &err),
                         AFAR_OK);
        buffer_clear(&out);
        assert_int_equal(tutorial_put_header(&out, (enum tutorial_reply)kind,
                                             (uint64_t)INT32_MAX + 1, md5, &err),
                         AFAR_ELIMIT);
        assert_int_equal(
            tutorial_put_header(&out, (enum tutorial_reply)kind, UINT64_MAX, md5, &err),
            AFAR_ELIMIT);
        assert_int_equal(buffer_size(&out), 0);
        alloc_fault_arm(1);
        assert_int_equal(tutorial_put_header(&out, (enum tutorial_reply)kind, 1, md5, &err),
                         AFAR_ENOMEM);
        assert_true(alloc_fault_fired());
    }
    buffer_close(&out);
    buffer_init(&out, 3);
    assert_int_equal(tutorial_put_header(&out, TUTORIAL_SIZED, 1, NULL, &err), AFAR_ELIMIT);
}

/* A reply in bytes. `md5` NULL: sized. */
static size_t put_reply(uint8_t *out, const char *md5, const char *body)
{
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    assert_int_equal(tutorial_put_header(&buffer, md5 == NULL ? TUTORIAL_SIZED : TUTORIAL_HEADED,
                                         strlen(body), md5, NULL),
                     AFAR_OK);
    size_t size = buffer_size(&buffer);
    memcpy(out, buffer_head(&buffer), size);
    memcpy(out + size, body, strlen(body));
    buffer_close(&buffer);
    return size + strlen(body);
}

/* Takes one reply from a stream that comes in two parts, cut at `cut`, or byte by byte (0).
 * Returns how many bytes of the stream it took. */
static size_t take_reply(enum tutorial_reply kind, const uint8_t *stream, size_t total, size_t cut,
                         const char *expected_md5, const char *expected_body)
{
    struct tutorial_decoder decoder;
    tutorial_decoder_init(&decoder, kind);
    char text[256];
    size_t have = 0;
    size_t at = 0;
    enum afar_status status = AFAR_EAGAIN;
    while (status == AFAR_EAGAIN) {
        assert_true(at < total);
        size_t piece = cut == 0 ? 1 : at < cut ? cut - at : total - at;
        uint8_t *copy = malloc(piece);
        assert_non_null(copy);
        memcpy(copy, stream + at, piece);
        size_t used = 0;
        const uint8_t *body = NULL;
        size_t size = 0;
        status = tutorial_decoder_take(&decoder, copy, piece, &used, &body, &size, &err);
        assert_true(status == AFAR_OK || status == AFAR_EAGAIN);
        assert_true(used <= piece && size <= used);
        assert_true(status == AFAR_OK || used == piece);
        if (size > 0) {
            assert_ptr_equal(body + size, copy + used);
            memcpy(text + have, body, size);
        } else {
            assert_null(body);
        }
        have += size;
        at += used;
        free(copy);
    }
    assert_int_equal(have, strlen(expected_body));
    assert_memory_equal(text, expected_body, have);
    assert_true(decoder.total == have && decoder.taken == have);
    assert_string_equal(decoder.md5, expected_md5);
    tutorial_decoder_close(&decoder);
    return at;
}

/* §10: sticky packets. Three replies back to back, the second of them empty, cut everywhere. */
static void test_replies_back_to_back_cut_at_every_byte(void **state)
{
    (void)state;
    const char *const md5s[] = {NULL, "0123456789abcdef0123456789abcdef", "xxxxxx"};
    for (size_t m = 0; m < 3; m++) {
        enum tutorial_reply kind = md5s[m] == NULL ? TUTORIAL_SIZED : TUTORIAL_HEADED;
        const char *md5 = md5s[m] == NULL ? "" : md5s[m];
        uint8_t stream[512];
        size_t total = put_reply(stream, md5s[m], "total 0\n");
        size_t second = total;
        total += put_reply(stream + total, md5s[m], "");
        size_t third = total;
        total += put_reply(stream + total, md5s[m], "/tmp\n");
        for (size_t cut = 0; cut <= total; cut++) {
            assert_int_equal(take_reply(kind, stream, total, cut, md5, "total 0\n"), second);
            size_t left = total - second;
            size_t inner = cut < left ? cut : left;
            assert_int_equal(take_reply(kind, stream + second, left, inner, md5, ""),
                             third - second);
            left = total - third;
            inner = cut < left ? cut : left;
            assert_int_equal(take_reply(kind, stream + third, left, inner, md5, "/tmp\n"), left);
        }
    }
}

static void test_finished_stays_finished(void **state)
{
    (void)state;
    struct tutorial_decoder decoder;
    tutorial_decoder_init(&decoder, TUTORIAL_SIZED);
    size_t used = 9;
    const uint8_t *body = NULL;
    size_t size = 9;
    assert_int_equal(tutorial_decoder_take(&decoder, NULL, 0, &used, &body, &size, &err),
                     AFAR_EAGAIN);
    assert_true(used == 0 && size == 0);
    assert_int_equal(
        tutorial_decoder_take(&decoder, (const uint8_t *)"\0\0\0\0x", 5, &used, &body, &size, &err),
        AFAR_OK);
    assert_true(used == 4 && size == 0);
    assert_int_equal(
        tutorial_decoder_take(&decoder, (const uint8_t *)"x", 1, &used, &body, &size, &err),
        AFAR_OK);
    assert_true(used == 0 && size == 0);
    tutorial_decoder_close(&decoder);
}

/* Gives all of `data` to a fresh decoder. */
static enum afar_status take(enum tutorial_reply kind, const void *data, size_t size,
                             uint64_t *total, char *md5)
{
    struct tutorial_decoder decoder;
    tutorial_decoder_init(&decoder, kind);
    size_t used = 0;
    const uint8_t *body = NULL;
    size_t body_size = 0;
    enum afar_status status =
        tutorial_decoder_take(&decoder, data, size, &used, &body, &body_size, &err);
    if (total != NULL)
        *total = decoder.total;
    if (md5 != NULL)
        memcpy(md5, decoder.md5, sizeof decoder.md5);
    tutorial_decoder_close(&decoder);
    return status;
}

static enum afar_status take_headed(const char *json, uint64_t *total, char *md5)
{
    uint8_t data[1024];
    frame_put_prefix(data, strlen(json));
    memcpy(data + 4, json, strlen(json));
    return take(TUTORIAL_HEADED, data, 4 + strlen(json), total, md5);
}

static void test_sizes(void **state)
{
    (void)state;
    uint64_t total = 0;
    assert_int_equal(take(TUTORIAL_SIZED, "\xFF\xFF\xFF\x7F", 4, &total, NULL), AFAR_EAGAIN);
    assert_true(total == INT32_MAX);
    assert_int_equal(take(TUTORIAL_SIZED, "\0\0\0\x80", 4, NULL, NULL), AFAR_EPEER);
    assert_string_equal(err.message, "the server announces a negative size (-2147483648)");
    assert_int_equal(take(TUTORIAL_SIZED, "\xFF\xFF\xFF\xFF", 4, NULL, NULL), AFAR_EPEER);
    assert_string_equal(err.message, "the server announces a negative size (-1)");
    /* What looks like TLS or HTTP is a size here. */
    assert_int_equal(take(TUTORIAL_SIZED, "\x16\x03\0\0", 4, &total, NULL), AFAR_EAGAIN);
    assert_true(total == 790);
    assert_int_equal(take(TUTORIAL_SIZED, "\x16\x03\x01\0", 4, &total, NULL), AFAR_EAGAIN);
    assert_true(total == 66326);
    assert_int_equal(take(TUTORIAL_SIZED, "GET ", 4, NULL, NULL), AFAR_EAGAIN);

    assert_int_equal(take_headed("{\"total_size\": 2147483647}", &total, NULL), AFAR_EAGAIN);
    assert_true(total == INT32_MAX);
    assert_int_equal(take_headed("{\"total_size\": 9007199254740991}", &total, NULL), AFAR_EAGAIN);
    assert_true(total == UINT64_C(9007199254740991));
}

static void test_bad_headed_replies(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 1, 65537, INT32_MAX, 0x80000000U, UINT32_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t data[4];
        frame_put_prefix(data, lengths[i]);
        assert_int_equal(take(TUTORIAL_HEADED, data, 4, NULL, NULL), AFAR_EPEER);
    }
    const char *const bad[] = {
        "[]",
        "{}",
        "{\"total_size\"}",
        "{\"total_size\": -1}",
        "{\"total_size\": \"1\"}",
        "{\"total_size\": 1.5}",
        "{\"total_size\": 9007199254740992}",
        "{\"total_size\": 1, \"total_size\": 2}",
        "{\"total_size\": 1} x",
        "{\"total_size\": 1}{}",
        "{\"total_size\": 1, \"md5\": \"\\u0000\"}",
        "{\"total_size\": 1, \"md5\": \"\xFF\"}",
        "{\"total_size\": null}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (take_headed(bad[i], NULL, NULL) != AFAR_EPEER)
            fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(take(TUTORIAL_HEADED, "HTTP/1.1 400", 12, NULL, NULL), AFAR_EPEER);
    assert_string_equal(err.message, "the server speaks HTTP, not the tutorial's protocol");
    assert_int_equal(take(TUTORIAL_HEADED, "\x15\x03\x03\0\x02\x02\x46", 7, NULL, NULL),
                     AFAR_EPEER);
    assert_string_equal(err.message, "the server speaks TLS, not the tutorial's protocol");
}

static void test_header_of_the_largest_size(void **state)
{
    (void)state;
    enum { SIZE = FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES };
    uint8_t *data = malloc(SIZE);
    assert_non_null(data);
    memset(data, ' ', SIZE);
    frame_put_prefix(data, FRAME_HEADER_MAX_BYTES);
    memcpy(data + 4, "{\"total_size\": 0}", 17);
    assert_int_equal(take(TUTORIAL_HEADED, data, SIZE - 1, NULL, NULL), AFAR_EAGAIN);
    assert_int_equal(take(TUTORIAL_HEADED, data, SIZE, NULL, NULL), AFAR_OK);
    free(data);
}

static void test_md5_may_be_anything(void **state)
{
    (void)state;
    char md5[TUTORIAL_MD5_BYTES];
    assert_int_equal(
        take_headed("{\"filename\": \"a.txt\", \"total_size\": 0, \"md5\": \"xxxxxx\"}", NULL, md5),
        AFAR_OK);
    assert_string_equal(md5, "xxxxxx");
    assert_int_equal(take_headed("{\"total_size\": 0}", NULL, md5), AFAR_OK);
    assert_string_equal(md5, "");
    assert_int_equal(take_headed("{\"total_size\": 0, \"md5\": 5}", NULL, md5), AFAR_OK);
    assert_string_equal(md5, "");
    assert_int_equal(take_headed("{\"total_size\": 0, \"md5\": \"\\u001b[31m\"}", NULL, md5),
                     AFAR_OK);
    assert_string_equal(md5, "?[31m");
    assert_int_equal(
        take_headed("{\"total_size\": 0, \"md5\": \"0123456789012345678901234567890123456789\"}",
                    NULL, md5),
        AFAR_OK);
    assert_int_equal(strlen(md5), 32);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    int rounds = 0;
    for (int n = 1;; n++) {
        alloc_fault_arm(n);
        enum afar_status status =
            take_headed("{\"total_size\": 0, \"md5\": \"xxxxxx\"}", NULL, NULL);
        if (!alloc_fault_fired()) {
            assert_int_equal(status, AFAR_OK);
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
        rounds++;
    }
    assert_true(rounds >= 5);
}

static void test_mutations(void **state)
{
    (void)state;
    alloc_fault_arm(0);
    uint8_t good[512];
    size_t total = put_reply(good, "0123456789abcdef0123456789abcdef", "some output");
    uint32_t seed = 3;
    unsigned endings[3] = {0, 0, 0};
    for (int i = 0; i < 100000; i++) {
        uint8_t stream[512];
        memcpy(stream, good, total);
        for (unsigned changes = seed >> 30; changes > 0; changes--) {
            seed = seed * 1664525 + 1013904223;
            stream[(seed >> 8) % total] = (uint8_t)(seed >> 24);
        }
        seed = seed * 1664525 + 1013904223;
        size_t piece = 1 + (seed >> 16) % 40;
        struct tutorial_decoder decoder;
        tutorial_decoder_init(&decoder, (seed & 0x800) != 0 ? TUTORIAL_HEADED : TUTORIAL_SIZED);
        enum afar_status status = AFAR_EAGAIN;
        for (size_t at = 0; at < total && status == AFAR_EAGAIN;) {
            size_t size = piece < total - at ? piece : total - at;
            size_t used = 0;
            const uint8_t *body = NULL;
            size_t body_size = 0;
            status =
                tutorial_decoder_take(&decoder, stream + at, size, &used, &body, &body_size, NULL);
            if (status == AFAR_EPEER)
                break;
            assert_true(body_size <= used && used <= size && decoder.taken <= decoder.total);
            assert_true(status == AFAR_OK || used == size);
            at += used;
        }
        endings[status == AFAR_OK ? 0 : status == AFAR_EAGAIN ? 1 : 2]++;
        tutorial_decoder_close(&decoder);
    }
    assert_true(endings[0] > 1000 && endings[1] > 1000 && endings[2] > 1000);
}

static bool looks_like_http(const char *text)
{
    return tutorial_looks_like_http((const uint8_t *)text, strlen(text));
}

static void test_http_wherever_it_was_cut(void **state)
{
    (void)state;
    static const char request[] = "POST /x HTTP/1.1\r\nHost: localhost\r\n\r\ntouch /tmp/x\n";
    static const char *const commands[] = {"ls -l",
                                           "curl --http1.1 http://localhost/x",
                                           "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc localhost 80",
                                           "echo HTTP/1.1 is old",
                                           "GETTY",
                                           "PO",
                                           "Host: x",
                                           ""};
    /* Cut in two anywhere, one of the parts gives it away: the first, so that nothing comes after
     * it, or else the second. */
    for (size_t i = 0; i < strlen(request); i++) {
        char first[sizeof request];
        memcpy(first, request, i);
        first[i] = '\0';
        assert_true(looks_like_http(first) || looks_like_http(request + i));
    }
    assert_true(looks_like_http("post / http/1.0\r\nhost: x\r\n"));
    assert_true(looks_like_http("x y\r\nHOST: localhost\r\n"));
    assert_true(looks_like_http("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        assert_false(looks_like_http(commands[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upper_is_pythons),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_replies_back_to_back_cut_at_every_byte),
        cmocka_unit_test(test_finished_stays_finished),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bad_headed_replies),
        cmocka_unit_test(test_header_of_the_largest_size),
        cmocka_unit_test(test_md5_may_be_anything),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_http_wherever_it_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
