/* The examples in PROTOCOL.md are what this code reads and writes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"
#include "wire/message.h"
#include "wire/output_log.h"

static FILE *open_text(void)
{
    const char *root = getenv("AFAR_SRC");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/src/wire/PROTOCOL.md", root != NULL ? root : ".");
    FILE *text = fopen(path, "re");
    if (text == NULL)
        fail_msg("cannot open %s", path);
    return text;
}

/* Reads hexadecimal digits, blanks between bytes allowed, up to the first other character. */
static size_t take_hex(const char *text, uint8_t *out, size_t space)
{
    size_t size = 0;
    unsigned byte = 0;
    int used = 0;
    while (size < space && sscanf(text, " %2x%n", &byte, &used) == 1) {
        out[size++] = (uint8_t)byte;
        text += used;
    }
    return size;
}

/* "    C 1e000000 {…} 6869": the frame's bytes, 0 for any other line. */
static size_t take_frame(const char *line, uint8_t *out, size_t space, bool *client)
{
    if (strncmp(line, "    C ", 6) != 0 && strncmp(line, "    S ", 6) != 0)
        return 0;
    *client = line[4] == 'C';
    size_t used = take_hex(line + 6, out, FRAME_PREFIX_BYTES);
    const char *start = strchr(line, '{');
    const char *end = strrchr(line, '}');
    assert_true(used == FRAME_PREFIX_BYTES && start != NULL && end != NULL);
    size_t header_bytes = (size_t)(end + 1 - start);
    assert_true(used + header_bytes <= space);
    memcpy(out + used, start, header_bytes);
    used += header_bytes;
    return used + take_hex(end + 1, out + used, space - used);
}

static bool from_client(enum message_type type)
{
    return type == MESSAGE_EXEC || type == MESSAGE_STDIN || type == MESSAGE_CLOSE ||
           type == MESSAGE_SIGNAL || type == MESSAGE_KILL || type == MESSAGE_PING ||
           type == MESSAGE_ATTACH || type == MESSAGE_DETACH || type == MESSAGE_FORGET;
}

static void put_cut(struct buffer *out, const struct message *message)
{
    char rest[MESSAGE_CUT_REST_BYTES];
    uint8_t head[MESSAGE_OUTPUT_HEAD_BYTES];
    size_t bytes = message_write_cut_rest(rest, message->seq, message->cut.next, message->cut.lost);
    size_t head_bytes = message_write_head(head, "cut", message->id, bytes);
    assert_int_equal(buffer_append(out, head, head_bytes, NULL), AFAR_OK);
    assert_int_equal(buffer_append(out, rest, bytes, NULL), AFAR_OK);
}

/* The set that is written as these words; fails where there is none. */
static unsigned features_of(const char *words)
{
    char json[FEATURES_BYTES];
    for (unsigned set = 0; set < 1U << 16; set++) {
        char text[FEATURES_BYTES] = "";
        features_write(json, set);
        for (const char *at = json; *at != '\0'; at++) {
            if (strchr("[\"]", *at) == NULL)
                (void)snprintf(text + strlen(text), 2, "%c", *at == ',' ? ' ' : *at);
        }
        if (strcmp(text, words) == 0)
            return set;
    }
    fail_msg("this server offers no set of features \"%s\"", words);
    return 0;
}

static void check_frame(const char *line, const uint8_t *data, size_t size, bool client)
{
    struct decoder decoder;
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    struct afar_error err;
    decoder_init(&decoder);
    enum afar_status status = decoder_next(&decoder, data, size, &message, &payload, &used, &err);
    if (status != AFAR_OK || used != size)
        fail_msg("%zu bytes, status %d, wants %zu: %s", size, (int)status, used, line);
    if (message.type == MESSAGE_BAD)
        fail_msg("%s: %s", message.problem.message, line);
    assert_int_not_equal(message.type, MESSAGE_UNKNOWN);
    if (message.type != MESSAGE_ACK && message.type != MESSAGE_JOBS)
        assert_int_equal(from_client(message.type), client);
    if (message.exec != NULL)
        assert_int_equal(exec_request_take_payload(message.exec, payload, message.size, &err),
                         AFAR_OK);

    /* Of the server's answers the code writes the very same bytes. */
    struct buffer out;
    buffer_init(&out, 10000);
    if (message.type == MESSAGE_EXIT)
        assert_int_equal(message_put_exit(&out, message.id, message.seq, &message.receipt,
                                          message.receipt.stdout_sha256[0] != '\0', &err),
                         AFAR_OK);
    const struct message_started started = {
        .job = message.job,
        .window = message.window,
        .credit = message.credit,
        .resume_ms = message.resume_ms,
        .kept = message.kept,
        .features = message.type == MESSAGE_STARTED ? features_of(message.text) : 0,
        .server = message.server[0] != '\0' ? message.server : NULL};
    if (message.type == MESSAGE_STARTED)
        assert_int_equal(message_put_started(&out, message.id, &started, &err), AFAR_OK);
    if (message.type == MESSAGE_ATTACHED)
        assert_int_equal(message_put_attached(&out, message.id, &started, &message.attached, &err),
                         AFAR_OK);
    if (message.type == MESSAGE_CUT)
        put_cut(&out, &message);
    if (message.type == MESSAGE_PONG)
        assert_int_equal(
            message_put_pong(&out, message.id, message.word, features_of(message.text), &err),
            AFAR_OK);
    if (message.type == MESSAGE_ERROR && message.server[0] != '\0')
        assert_int_equal(
            message_put_not_found(&out, message.id, message.text, message.server, &err), AFAR_OK);
    else if (message.type == MESSAGE_ERROR)
        assert_int_equal(message_put_error(&out, message.has_id, message.id, message.word,
                                           message.text, message.retry_after_ms, &err),
                         AFAR_OK);
    if (buffer_size(&out) > 0) {
        assert_int_equal(buffer_size(&out), size);
        assert_memory_equal(buffer_head(&out), data, size);
    }
    buffer_close(&out);
    message_close(&message);
    decoder_close(&decoder);
}

static void test_examples(void **state)
{
    (void)state;
    FILE *text = open_text();
    char line[4096];
    uint8_t frame[4096];
    uint8_t second[4096];
    uint8_t dump[4096];
    size_t second_bytes = 0;
    size_t dump_bytes = 0;
    int frames = 0;
    while (fgets(line, sizeof line, text) != NULL) {
        bool client = false;
        size_t size = take_frame(line, frame, sizeof frame, &client);
        if (size > 0) {
            check_frame(line, frame, size, client);
            if (++frames == 2) {
                memcpy(second, frame, size);
                second_bytes = size;
            }
        } else if (strncmp(line, "    000000", 10) == 0) {
            assert_int_equal(strtoul(line, NULL, 16), dump_bytes);
            char *end = strchr(line, '|');
            assert_non_null(end);
            *end = '\0';
            dump_bytes += take_hex(line + 12, dump + dump_bytes, sizeof dump - dump_bytes);
        }
    }
    (void)fclose(text);
    assert_true(frames >= 20);
    assert_int_equal(dump_bytes, second_bytes);
    assert_memory_equal(dump, second, second_bytes);
}

/* The numbers that the text gives are the code's. */
static void test_limits(void **state)
{
    (void)state;
    const struct {
        const char *text;
        unsigned long value;
    } limits[] = {
        {"65,536", FRAME_HEADER_MAX_BYTES},
        {"1,048,576", FRAME_PAYLOAD_MAX_BYTES},
        {"262,144", MESSAGE_STDIN_CREDIT_BYTES},
        {"262,144 from this server", OUTPUT_LOG_CHUNK_MAX_BYTES},
    };
    FILE *file = open_text();
    static char text[65536];
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    (void)fclose(file);
    assert_true(size > 10000 && size < sizeof text - 1);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        unsigned long value = 0;
        for (const char *at = limits[i].text; *at != '\0' && *at != ' '; at++) {
            if (*at != ',')
                value = value * 10 + (unsigned long)(*at - '0');
        }
        assert_int_equal(value, limits[i].value);
        assert_non_null(strstr(text, limits[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
