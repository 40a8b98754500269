#include "support/script.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "net/transport_ops.h"

struct script_end {
    struct transport base;
    struct script *script;
};

static struct script *script_of(struct transport *transport)
{
    return list_object(transport, struct script_end, base)->script;
}

static enum afar_status end_handshake(struct transport *transport, struct afar_error *err)
{
    (void)transport;
    (void)err;
    return AFAR_OK;
}

static void end_begin(struct transport *transport)
{
    struct script *script = script_of(transport);
    script->turn_left = script->turn_bytes;
}

static enum afar_status end_recv(struct transport *transport, void *data, size_t size,
                                 size_t *received, struct afar_error *err)
{
    struct script *script = script_of(transport);
    size_t left = buffer_size(&script->to_client);
    if (script->answers && script->sends == 0)
        return afar_fail(err, AFAR_EAGAIN, "the script waits");
    if (left == 0) {
        (void)afar_fail(err, script->at_end, "the script has ended");
        if (err != NULL)
            err->sys_errno = script->at_end_errno;
        return script->at_end;
    }
    if (script->turn_bytes > 0 && script->turn_left == 0)
        return afar_fail(err, AFAR_EAGAIN, "later");
    *received = left < size ? left : size;
    if (script->turn_bytes > 0) {
        *received = *received < script->turn_left ? *received : script->turn_left;
        script->turn_left -= *received;
    }
    if (script->piece > 0 && *received > script->piece)
        *received = script->piece;
    memcpy(data, buffer_head(&script->to_client), *received);
    buffer_consume(&script->to_client, *received);
    return AFAR_OK;
}

static enum afar_status end_send(struct transport *transport, const void *data, size_t size,
                                 size_t *sent, struct afar_error *err)
{
    struct script *script = script_of(transport);
    if (script->on_send != AFAR_OK)
        return afar_fail(err, script->on_send, "the script takes nothing");
    *sent = size < script->send_room ? size : script->send_room;
    if (*sent == 0)
        return afar_fail(err, AFAR_EAGAIN, "the script is full");
    script->send_room -= *sent;
    script->sends++;
    assert_int_equal(buffer_append(&script->from_client, data, *sent, NULL), AFAR_OK);
    return AFAR_OK;
}

/* A short piece does not mean that this was all: what follows, if only the end, is known
 * already. */
static bool end_pending(const struct transport *transport)
{
    const struct script *script = script_of((struct transport *)transport);
    const bool bound = script->piece > 0 || script->turn_bytes > 0;
    const bool more = bound && buffer_size(&script->to_client) > 0;
    return more || script->at_end != AFAR_EAGAIN;
}

static void end_shutdown(struct transport *transport)
{
    (void)transport;
}

static void end_identity(const struct transport *transport, struct identity *identity)
{
    (void)transport;
    memset(identity, 0, sizeof *identity);
}

static const char *end_alpn(const struct transport *transport)
{
    (void)transport;
    return "";
}

static bool end_resumed(const struct transport *transport)
{
    (void)transport;
    return true;
}

static void end_free(struct transport *transport)
{
    script_of(transport)->freed = true;
    free(list_object(transport, struct script_end, base));
}

static const struct transport_ops ops = {
    .handshake = end_handshake,
    .begin = end_begin,
    .recv = end_recv,
    .send = end_send,
    .pending = end_pending,
    .shutdown = end_shutdown,
    .identity = end_identity,
    .alpn = end_alpn,
    .resumed = end_resumed,
    .free = end_free,
};

void script_init(struct script *script)
{
    *script = (struct script){.send_room = SIZE_MAX, .at_end = AFAR_EAGAIN};
    buffer_init(&script->to_client, SCRIPT_BYTES);
    buffer_init(&script->from_client, SCRIPT_BYTES);
    decoder_init(&script->decoder);
}

void script_close(struct script *script)
{
    buffer_close(&script->to_client);
    buffer_close(&script->from_client);
    decoder_close(&script->decoder);
}

struct transport *script_transport(struct script *script)
{
    struct script_end *end = calloc(1, sizeof *end);
    assert_non_null(end);
    end->base =
        (struct transport){.ops = &ops, .fd = -1, .recv_events = POLLIN, .send_events = POLLOUT};
    end->script = script;
    return &end->base;
}

void script_bytes(struct script *script, const void *data, size_t size)
{
    assert_int_equal(buffer_append(&script->to_client, data, size, NULL), AFAR_OK);
}

void script_payload(struct script *script, const char *header, const void *payload, size_t size)
{
    uint8_t prefix[FRAME_PREFIX_BYTES];
    frame_put_prefix(prefix, strlen(header));
    script_bytes(script, prefix, sizeof prefix);
    script_bytes(script, header, strlen(header));
    script_bytes(script, payload, size);
}

void script_frame(struct script *script, const char *header)
{
    script_payload(script, header, NULL, 0);
}

static void put_output(struct script *script, const char *type, unsigned id, unsigned seq,
                       const char *text)
{
    char header[128];
    (void)snprintf(header, sizeof header, "{\"type\":\"%s\",\"id\":%u,\"seq\":%u,\"size\":%zu}",
                   type, id, seq, strlen(text));
    script_payload(script, header, text, strlen(text));
}

void script_stdout(struct script *script, unsigned id, unsigned seq, const char *text)
{
    put_output(script, "stdout", id, seq, text);
    script->output[0] += strlen(text);
}

void script_stderr(struct script *script, unsigned id, unsigned seq, const char *text)
{
    put_output(script, "stderr", id, seq, text);
    script->output[1] += strlen(text);
}

void script_exit(struct script *script, unsigned id, unsigned seq, unsigned code)
{
    char header[192];
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exit\",\"id\":%u,\"seq\":%u,\"outcome\":\"exited\",\"code\":%u,"
                   "\"bytes\":{\"stdout\":%zu,\"stderr\":%zu}}",
                   id, seq, code, script->output[0], script->output[1]);
    script->output[0] = script->output[1] = 0;
    script_frame(script, header);
}

bool script_next(struct script *script, struct message *message, void *payload)
{
    const uint8_t *at = NULL;
    size_t used = 0;
    if (buffer_size(&script->from_client) == 0)
        return false;
    enum afar_status status =
        decoder_next(&script->decoder, buffer_head(&script->from_client),
                     buffer_size(&script->from_client), message, &at, &used, NULL);
    if (status == AFAR_EAGAIN)
        return false;
    assert_int_equal(status, AFAR_OK);
    assert_int_not_equal(message->type, MESSAGE_BAD);
    if (payload != NULL)
        memcpy(payload, at, message->size);
    if (message->exec != NULL)
        assert_int_equal(exec_request_take_payload(message->exec, at, message->size, NULL),
                         AFAR_OK);
    buffer_consume(&script->from_client, used);
    return true;
}

size_t script_count(struct script *script, enum message_type type, struct message *last)
{
    size_t count = 0;
    struct message message;
    while (script_next(script, &message, NULL)) {
        if (message.type == type) {
            count++;
            if (last != NULL)
                *last = message;
        }
        message_close(&message);
    }
    return count;
}
