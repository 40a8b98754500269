#include "support/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "wire/frame.h"
#include "wire/message.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

static bool same_list(char *const *a, char *const *b)
{
    size_t i = 0;
    if (a == NULL || b == NULL)
        return (a == NULL || a[0] == NULL) && (b == NULL || b[0] == NULL);
    while (a[i] != NULL && b[i] != NULL && strcmp(a[i], b[i]) == 0)
        i++;
    return a[i] == NULL && b[i] == NULL;
}

/* A request that was understood must be the same after encoding and decoding. */
static void check_exec(const struct exec_request *request)
{
    struct buffer out;
    struct decoder decoder;
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    buffer_init(&out, (size_t)4 << 20);
    decoder_init(&decoder);
    require(message_put_exec(&out, 1, request, NULL) == AFAR_OK);
    require(decoder_next(&decoder, buffer_head(&out), buffer_size(&out), &message, &payload, &used,
                         NULL) == AFAR_OK);
    require(message.type == MESSAGE_EXEC && used == buffer_size(&out));
    struct exec_request *again = message.exec;
    require(exec_request_take_payload(again, payload, message.size, NULL) == AFAR_OK);
    if (again->shell == NULL && request->shell != NULL)
        require(strcmp(again->argv[2], request->shell) == 0);
    else
        require(same_list(again->argv, request->argv));
    require((again->subsystem == NULL) == (request->subsystem == NULL));
    require(again->subsystem == NULL || strcmp(again->subsystem, request->subsystem) == 0);
    require((again->forward == NULL) == (request->forward == NULL));
    require(again->forward == NULL || strcmp(again->forward, request->forward) == 0);
    require(same_list(again->env, request->env));
    require((again->cwd == NULL) == (request->cwd == NULL));
    require(again->cwd == NULL || strcmp(again->cwd, request->cwd) == 0);
    require(strcmp(again->holder, request->holder) == 0 && again->keep == request->keep);
    require(again->resume_ms == request->resume_ms && again->leave == request->leave);
    require(again->window_max == request->window_max);
    message_close(&message);
    decoder_close(&decoder);
    buffer_close(&out);
}

static void check_message(struct message *message, const uint8_t *payload)
{
    require(!message->has_id || message->id <= MESSAGE_INTEGER_MAX);
    require(message->size <= FRAME_PAYLOAD_MAX_BYTES);
    require((message->exec != NULL) == (message->type == MESSAGE_EXEC));
    require(utf8_valid(message->text, strlen(message->text)));
    require(message->type != MESSAGE_BAD || message->problem.code == AFAR_EPEER ||
            message->problem.code == AFAR_EREFUSED); /* an unsupported version */
    if (message->exec == NULL)
        return;
    enum afar_status status =
        exec_request_take_payload(message->exec, payload, message->size, NULL);
    require(status == AFAR_OK || status == AFAR_EPEER);
    if (status == AFAR_OK)
        check_exec(message->exec);
}

void fuzz_frame(const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    size_t piece = (size_t)data[0] + 1;
    data++;
    size--;
    struct decoder decoder;
    decoder_init(&decoder);
    size_t start = 0;
    size_t have = 0;
    for (;;) {
        /* A separate block, so that a sanitizer detects a read beyond its end. */
        uint8_t *copy = malloc(have > 0 ? have : 1);
        require(copy != NULL);
        if (have > 0)
            memcpy(copy, data + start, have);
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        enum afar_status status =
            decoder_next(&decoder, copy, have, &message, &payload, &used, NULL);
        bool more = false;
        if (status == AFAR_OK) {
            require(used <= have && payload + message.size == copy + used);
            check_message(&message, payload);
            message_close(&message);
            start += used;
            have -= used;
            more = true;
        } else if (status == AFAR_EAGAIN) {
            require(used > have);
            size_t left = size - start - have;
            have += piece < left ? piece : left;
            more = left > 0;
        } else {
            require(status == AFAR_EPEER);
        }
        free(copy);
        if (!more)
            break;
    }
    decoder_close(&decoder);
}
