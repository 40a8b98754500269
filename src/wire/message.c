#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "wire/exec_request.h"
#include "wire/features.h"
#include "wire/frame.h"
#include "wire/json_check.h"
#include "wire/json_field.h"
#include "wire/message_run.h"
#include "wire/receipt.h"

static const struct {
    const char *name;
    enum message_type type;
} types[] = {
    {"exec", MESSAGE_EXEC},         {"stdin", MESSAGE_STDIN},     {"close", MESSAGE_CLOSE},
    {"signal", MESSAGE_SIGNAL},     {"resize", MESSAGE_RESIZE},   {"detach", MESSAGE_DETACH},
    {"pause", MESSAGE_PAUSE},       {"attach", MESSAGE_ATTACH},   {"kill", MESSAGE_KILL},
    {"jobs", MESSAGE_JOBS},         {"ping", MESSAGE_PING},       {"pong", MESSAGE_PONG},
    {"ack", MESSAGE_ACK},           {"queued", MESSAGE_QUEUED},   {"started", MESSAGE_STARTED},
    {"stdout", MESSAGE_STDOUT},     {"stderr", MESSAGE_STDERR},   {"exit", MESSAGE_EXIT},
    {"error", MESSAGE_ERROR},       {"closing", MESSAGE_CLOSING}, {"done", MESSAGE_DONE},
    {"attached", MESSAGE_ATTACHED}, {"cut", MESSAGE_CUT},         {"forget", MESSAGE_FORGET},
    {"detached", MESSAGE_DETACHED}, {"room", MESSAGE_ROOM},
};

static enum message_type type_of(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, types[i].name) == 0)
            return types[i].type;
    }
    return MESSAGE_UNKNOWN;
}

static enum afar_status decode_close(struct message *message, const cJSON *object,
                                     struct afar_error *err)
{
    char name[8];
    enum afar_status status = json_get_string(object, "stream", true, name, sizeof name, err);
    if (status != AFAR_OK)
        return status;
    if (strcmp(name, "stdout") == 0)
        message->stream = STREAM_STDOUT;
    else if (strcmp(name, "stderr") == 0)
        message->stream = STREAM_STDERR;
    else
        return afar_fail(err, AFAR_EPEER, "\"stream\" must be \"stdout\" or \"stderr\"");
    return AFAR_OK;
}

static enum afar_status decode_stdin(struct message *message, const cJSON *object,
                                     struct afar_error *err)
{
    enum afar_status status = json_get_integer(object, "offset", true, &message->offset, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "eof", &message->eof, err);
    return status;
}

static enum afar_status decode_ack(struct message *message, const cJSON *object,
                                   struct afar_error *err)
{
    message->has_next = cJSON_GetObjectItemCaseSensitive(object, "next") != NULL;
    message->has_stdin_acked = cJSON_GetObjectItemCaseSensitive(object, "stdin") != NULL;
    if (!message->has_next && !message->has_stdin_acked)
        return afar_fail(err, AFAR_EPEER, "an ack needs \"next\" or \"stdin\"");
    enum afar_status status = json_get_integer(object, "next", false, &message->next, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "stdin", false, &message->stdin_acked, err);
    if (status == AFAR_OK && message->has_stdin_acked)
        status = json_get_integer(object, "credit", false, &message->credit, err);
    return status;
}

static enum afar_status decode_room(struct message *message, const cJSON *object,
                                    struct afar_error *err)
{
    enum afar_status status = json_get_integer(object, "window", true, &message->window, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "credit", true, &message->credit, err);
    return status;
}

static enum afar_status decode_kill(struct message *message, const cJSON *object,
                                    struct afar_error *err)
{
    enum afar_status status =
        json_get_string(object, "job", true, message->job, sizeof message->job, err);
    if (status == AFAR_OK)
        status = json_get_string(object, "name", true, message->name, sizeof message->name, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "shutdown", &message->shutdown, err);
    return status;
}

static enum afar_status decode_error(struct message *message, const cJSON *object,
                                     struct afar_error *err)
{
    enum afar_status status =
        json_get_string(object, "code", true, message->word, sizeof message->word, err);
    if (status == AFAR_OK)
        status = json_get_line(object, "message", message->text, sizeof message->text, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "retry_after_ms", false, &message->retry_after_ms, err);
    if (status == AFAR_OK)
        status =
            json_get_string(object, "server", false, message->server, sizeof message->server, err);
    return status;
}

static enum afar_status decode_pong(struct message *message, const cJSON *object,
                                    struct afar_error *err)
{
    enum afar_status status =
        json_get_string(object, "version", false, message->word, sizeof message->word, err);
    if (status == AFAR_OK)
        status = features_decode(object, message->text, sizeof message->text, err);
    return status;
}

static enum afar_status decode_output(struct message *message, const cJSON *object,
                                      struct afar_error *err)
{
    message->time_us = 0;
    enum afar_status status = json_get_integer(object, "seq", true, &message->seq, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "time_us", false, &message->time_us, err);
    return status;
}

static enum afar_status decode_exit(struct message *message, const cJSON *object,
                                    struct afar_error *err)
{
    enum afar_status status = json_get_integer(object, "seq", true, &message->seq, err);
    if (status == AFAR_OK)
        status = receipt_decode(&message->receipt, object, err);
    return status;
}

/* Decodes the fields of the message's type. AFAR_EPEER makes the message MESSAGE_BAD. */
static enum afar_status decode_fields(struct message *message, const cJSON *object,
                                      struct afar_error *err)
{
    switch (message->type) {
    case MESSAGE_EXEC:
        return exec_request_decode(&message->exec, object, message->size, err);
    case MESSAGE_STDIN:
        return decode_stdin(message, object, err);
    case MESSAGE_CLOSE:
        return decode_close(message, object, err);
    case MESSAGE_SIGNAL:
        return json_get_string(object, "name", true, message->name, sizeof message->name, err);
    case MESSAGE_RESIZE:
        return screen_size_decode(&message->screen, object, "", true, err);
    case MESSAGE_KILL:
        return decode_kill(message, object, err);
    case MESSAGE_ACK:
        return decode_ack(message, object, err);
    case MESSAGE_ROOM:
        return decode_room(message, object, err);
    case MESSAGE_STARTED:
        return message_decode_started(message, object, err);
    case MESSAGE_ATTACH:
        return message_decode_attach(message, object, err);
    case MESSAGE_ATTACHED:
        return message_decode_attached(message, object, err);
    case MESSAGE_CUT:
        return message_decode_cut(message, object, err);
    case MESSAGE_JOBS:
        return message_decode_jobs(message, object, err);
    case MESSAGE_FORGET:
        return json_get_string(object, "job", true, message->job, sizeof message->job, err);
    case MESSAGE_QUEUED:
        return json_get_integer(object, "position", true, &message->position, err);
    case MESSAGE_STDOUT:
    case MESSAGE_STDERR:
        return decode_output(message, object, err);
    case MESSAGE_EXIT:
        return decode_exit(message, object, err);
    case MESSAGE_ERROR:
        return decode_error(message, object, err);
    case MESSAGE_CLOSING:
        return json_get_string(object, "reason", false, message->word, sizeof message->word, err);
    case MESSAGE_PONG:
        return decode_pong(message, object, err);
    case MESSAGE_PAUSE:
    case MESSAGE_DETACH:
    case MESSAGE_DETACHED:
    case MESSAGE_PING:
    case MESSAGE_DONE:
    case MESSAGE_UNKNOWN:
    case MESSAGE_BAD:
        return AFAR_OK;
    }
    return afar_fail(err, AFAR_EBUG, "message type %d", (int)message->type);
}

static bool needs_id(enum message_type type)
{
    return type != MESSAGE_ERROR && type != MESSAGE_CLOSING && type != MESSAGE_UNKNOWN;
}

/* "size" says where the next frame starts: without it nothing after this frame can be read. */
static enum afar_status decode_size(struct message *message, const cJSON *object,
                                    struct afar_error *err)
{
    uint64_t size = 0;
    enum afar_status status = json_get_integer(object, "size", false, &size, err);
    if (status != AFAR_OK)
        return status;
    if (size > FRAME_PAYLOAD_MAX_BYTES)
        return afar_fail(err, AFAR_EPEER, "a payload of %llu bytes, %d at most are allowed",
                         (unsigned long long)size, FRAME_PAYLOAD_MAX_BYTES);
    message->size = (size_t)size;
    return AFAR_OK;
}

static enum afar_status decode_content(struct message *message, const cJSON *object,
                                       struct afar_error *err)
{
    char type[MESSAGE_WORD_BYTES];
    message->has_id = cJSON_GetObjectItemCaseSensitive(object, "id") != NULL;
    enum afar_status status = json_get_integer(object, "id", false, &message->id, err);
    if (status != AFAR_OK) {
        message->has_id = false;
        return status;
    }
    status = json_get_string(object, "type", true, type, sizeof type, err);
    if (status != AFAR_OK)
        return status;
    message->type = type_of(type);
    /* Kept so that the answer can name the type. */
    if (message->type == MESSAGE_UNKNOWN)
        memcpy(message->word, type, sizeof type);
    if (needs_id(message->type) && !message->has_id)
        return afar_fail(err, AFAR_EPEER, "\"%s\" needs an \"id\"", type);
    status = decode_fields(message, object, err);
    /* A bad resize must not end its command, as an answer with an id would. */
    if (status != AFAR_OK && message->type == MESSAGE_RESIZE)
        message->has_id = false;
    return status;
}

enum afar_status message_decode(struct message *message, const uint8_t *header, size_t size,
                                struct afar_error *err)
{
    *message = (struct message){.type = MESSAGE_BAD};

    cJSON *object = NULL;
    enum afar_status status = json_parse_object(&object, header, size, err);
    if (status == AFAR_OK)
        status = decode_size(message, object, err);
    if (status != AFAR_OK)
        goto out;

    status = decode_content(message, object, &message->problem);
    if (status == AFAR_EPEER || status == AFAR_EREFUSED) {
        message->type = MESSAGE_BAD;
        status = AFAR_OK;
    } else if (status != AFAR_OK && err != NULL) {
        *err = message->problem;
    }
out:
    if (status != AFAR_OK)
        message_close(message);
    cJSON_Delete(object);
    return status;
}

void message_close(struct message *message)
{
    exec_request_free(message->exec);
    message->exec = NULL;
    free(message->jobs);
    message->jobs = NULL;
}

struct exec_request *message_take_exec(struct message *message)
{
    struct exec_request *request = message->exec;
    message->exec = NULL;
    return request;
}
