#include "support/frames.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "wire/frame.h"

enum afar_status frames_add(struct output_log *log, enum stream stream, const void *data,
                            size_t size)
{
    uint8_t *room = NULL;
    size_t space = 0;
    enum afar_status status = output_log_reserve(log, &room, &space, NULL);
    if (status != AFAR_OK)
        return status;
    assert_true(size <= space);
    memcpy(room, data, size);
    output_log_commit(log, stream, size);
    return AFAR_OK;
}

void frames_send_all(struct output_log *log, struct buffer *wire, size_t piece)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    bool inside = output_log_inside_frame(log);
    while (output_log_peek(log, &data, &size)) {
        assert_true(size > 0);
        assert_int_equal(output_log_inside_frame(log), inside);
        size_t now = size < piece ? size : piece;
        assert_int_equal(buffer_append(wire, data, now, NULL), AFAR_OK);
        output_log_sent(log, now);
        inside = now < size;
    }
    assert_false(output_log_inside_frame(log));
}

size_t frames_send_most(struct output_log *log, size_t less)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_true(output_log_peek(log, &data, &size));
    assert_true(less < size);
    output_log_sent(log, size - less);
    return size;
}

struct message frames_receive(struct buffer *wire, char *text, size_t space)
{
    struct decoder decoder;
    decoder_init(&decoder);
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    assert_int_equal(decoder_next(&decoder, buffer_head(wire), buffer_size(wire), &message,
                                  &payload, &used, NULL),
                     AFAR_OK);
    assert_true(message.size < space);
    memcpy(text, payload, message.size);
    text[message.size] = '\0';
    buffer_consume(wire, used);
    decoder_close(&decoder);
    return message;
}

void frames_send_and_ack(struct output_log *log, uint64_t next)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    while (output_log_peek(log, &data, &size))
        output_log_sent(log, size);
    assert_int_equal(output_log_ack(log, next, NULL), AFAR_OK);
}
