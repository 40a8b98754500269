#include "support/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/buffer.h"
#include "wire/frame.h"
#include "wire/json_check.h"
#include "wire/message.h"

enum { LENGTH_BYTES = 2 };

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* cJSON must parse to the end what our check accepts, and strings must contain no NUL. */
static void check_json(const uint8_t *text, size_t size)
{
    const char *end = NULL;
    if (json_check_text(text, size, NULL) != AFAR_OK)
        return;
    require(memchr(text, 0, size) == NULL);
    cJSON *tree = cJSON_ParseWithLengthOpts((const char *)text, size, &end, 0);
    require(tree != NULL);
    for (; end < (const char *)text + size; end++)
        require(*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n');
    cJSON_Delete(tree);
}

/* Decodes what was encoded; it must be one whole frame. */
static struct message read_back(const struct buffer *out)
{
    struct decoder decoder;
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    decoder_init(&decoder);
    require(decoder_next(&decoder, buffer_head(out), buffer_size(out), &message, &payload, &used,
                         NULL) == AFAR_OK);
    require(used == buffer_size(out));
    decoder_close(&decoder);
    return message;
}

static bool same_processes(const struct afar_processes *a, const struct afar_processes *b)
{
    bool same = a->count == b->count;
    for (int i = 0; i < AFAR_PROCESSES_NAMED; i++)
        same = same && a->first[i].pid == b->first[i].pid &&
               strcmp(a->first[i].name, b->first[i].name) == 0;
    return same;
}

/* A limit without a name is no limit. */
static bool same_limit(const struct afar_limit *a, const struct afar_limit *b)
{
    return strcmp(a->name, b->name) == 0 &&
           (a->name[0] == '\0' ||
            (a->by == b->by && a->ms == b->ms && a->bytes == b->bytes && a->count == b->count));
}

static bool same_receipt(const struct afar_receipt *a, const struct afar_receipt *b)
{
    return a->outcome == b->outcome && a->code == b->code && strcmp(a->signal, b->signal) == 0 &&
           a->core_dumped == b->core_dumped && a->stdio_held_open == b->stdio_held_open &&
           strcmp(a->error_name, b->error_name) == 0 &&
           strcmp(a->error_stage, b->error_stage) == 0 && strcmp(a->message, b->message) == 0 &&
           a->stdin_bytes == b->stdin_bytes && a->stdout_bytes == b->stdout_bytes &&
           a->stderr_bytes == b->stderr_bytes && a->user_us == b->user_us &&
           a->system_us == b->system_us && a->max_rss_bytes == b->max_rss_bytes &&
           a->queued_us == b->queued_us && a->spawn_us == b->spawn_us && a->run_us == b->run_us &&
           a->drain_us == b->drain_us && same_limit(&a->limit, &b->limit) &&
           a->killed_by == b->killed_by && same_processes(&a->ended, &b->ended) &&
           same_processes(&a->held_by, &b->held_by);
}

/* Encodes `attached` or `started` again. */
static enum afar_status put_started(struct buffer *out, const struct message *message)
{
    /* A server's names are letters and digits; the input's may be anything. */
    const struct message_started started = {.job = "j",
                                            .window = message->window,
                                            .credit = message->credit,
                                            .resume_ms = message->resume_ms,
                                            .kept = message->kept};
    if (message->type == MESSAGE_STARTED)
        return message_put_started(out, message->id, &started, NULL);
    return message_put_attached(out, message->id, &started, &message->attached, NULL);
}

static enum afar_status put_again(struct buffer *out, const struct message *message)
{
    size_t put = 0;
    switch (message->type) {
    case MESSAGE_EXIT:
        return message_put_exit(out, message->id, message->seq, &message->receipt, false, NULL);
    case MESSAGE_ERROR:
        return message_put_error(out, message->has_id, message->id, message->word, message->text,
                                 message->retry_after_ms, NULL);
    case MESSAGE_KILL:
        return message_put_kill(out, message->id, message->job, message->name, NULL);
    case MESSAGE_FORGET:
        return message_put_forget(out, message->id, message->job, NULL);
    case MESSAGE_RESIZE:
        return message_put_resize(out, message->id, &message->screen, NULL);
    case MESSAGE_PAUSE:
        return message_put_pause(out, message->id, NULL);
    case MESSAGE_ROOM:
        return message_put_room(out, message->id, message->window, message->credit, NULL);
    case MESSAGE_QUEUED:
        return message_put_queued(out, message->id, message->position, NULL);
    case MESSAGE_STARTED:
    case MESSAGE_ATTACHED:
        return put_started(out, message);
    case MESSAGE_ATTACH:
        return message_put_attach(out, message->id, message->job[0] != '\0' ? message->job : NULL,
                                  &message->attach, NULL);
    case MESSAGE_JOBS:
        if (message->jobs == NULL)
            return message_put_jobs(out, message->id, message->job, message->all, NULL);
        return message_put_jobs_answer(out, message->id, message->jobs->job, message->jobs->count,
                                       message->jobs->more, &put, NULL);
    default:
        return AFAR_EINVAL;
    }
}

static bool same_attach(const struct message_attach *a, const struct message_attach *b)
{
    return strcmp(a->holder, b->holder) == 0 && a->attempt == b->attempt &&
           a->resume == b->resume && a->has_next == b->has_next && a->next == b->next &&
           a->ack == b->ack && a->has_next_bytes == b->has_next_bytes &&
           a->next_bytes[0] == b->next_bytes[0] && a->next_bytes[1] == b->next_bytes[1] &&
           a->watch == b->watch && a->output == b->output && a->follow == b->follow &&
           a->window_max == b->window_max;
}

static bool same_attached(const struct message_attached *a, const struct message_attached *b)
{
    return a->state == b->state && a->first == b->first && a->end == b->end &&
           a->first_bytes[0] == b->first_bytes[0] && a->first_bytes[1] == b->first_bytes[1] &&
           a->stdin_received == b->stdin_received && a->stdin_taken == b->stdin_taken &&
           a->stdin_eof == b->stdin_eof && a->window_max == b->window_max;
}

static bool same_jobs(const struct message_jobs *a, const struct message_jobs *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->count < b->count || (a->count > b->count && !b->more))
        return false;
    for (size_t i = 0; i < b->count; i++) {
        if (strcmp(a->job[i].job, b->job[i].job) != 0 || a->job[i].state != b->job[i].state ||
            a->job[i].age_ms != b->job[i].age_ms || strcmp(a->job[i].key, b->job[i].key) != 0)
            return false;
    }
    return true;
}

/* A message that was understood must be the same after encoding and decoding. */
static void check_again(const struct message *message)
{
    struct buffer out;
    buffer_init(&out, (size_t)1 << 20);
    enum afar_status status = put_again(&out, message);
    if (status == AFAR_OK) {
        struct message again = read_back(&out);
        require(again.type == message->type && again.has_id == message->has_id);
        require(again.id == message->id && again.seq == message->seq);
        require(strcmp(again.word, message->word) == 0 && strcmp(again.text, message->text) == 0);
        bool started = message->type == MESSAGE_STARTED || message->type == MESSAGE_ATTACHED;
        require(started || strcmp(again.job, message->job) == 0);
        require(strcmp(again.name, message->name) == 0);
        require(again.window == message->window && again.credit == message->credit);
        require(again.resume_ms == message->resume_ms && again.kept == message->kept);
        require(again.all == message->all && same_jobs(message->jobs, again.jobs));
        require(message->type != MESSAGE_ATTACH || same_attach(&again.attach, &message->attach));
        require(message->type != MESSAGE_ATTACHED ||
                same_attached(&again.attached, &message->attached));
        require(again.position == message->position);
        require(memcmp(&again.screen, &message->screen, sizeof again.screen) == 0);
        require(again.retry_after_ms == message->retry_after_ms);
        require(message->type != MESSAGE_EXIT || same_receipt(&again.receipt, &message->receipt));
        message_close(&again);
    }
    buffer_close(&out);
}

/* A terminal request contains harmless, terminated text. */
static void check_pty(const struct pty_request *pty)
{
    if (pty == NULL)
        return;
    require(pty_is_term(pty->term) && pty_is_value(pty->color));
    require(pty->locale_count <= PTY_LOCALES_MAX);
    for (size_t i = 0; i < pty->locale_count; i++)
        require(pty_is_locale_name(pty->locale[i].name) && pty_is_value(pty->locale[i].value));
}

/* The words of an exec fill its payload exactly, each with its NUL. */
static void check_payload(struct message *message, const uint8_t *payload, size_t size)
{
    if (message->exec == NULL)
        return;
    enum afar_status status = exec_request_take_payload(message->exec, payload, size, NULL);
    require(status == AFAR_OK || status == AFAR_EPEER);
    if (status == AFAR_OK)
        require((message->exec->argv != NULL) + (message->exec->shell != NULL) +
                    (message->exec->subsystem != NULL) + message->exec->login ==
                1);
    check_pty(message->exec->pty);
}

void fuzz_message(const uint8_t *data, size_t size)
{
    struct message message;
    struct afar_error err;
    if (size < LENGTH_BYTES)
        return;
    size_t header_bytes = (size_t)data[0] | (size_t)data[1] << 8;
    data += LENGTH_BYTES;
    size -= LENGTH_BYTES;
    if (header_bytes > size)
        header_bytes = size;
    /* Separate blocks, so that a sanitizer detects a read beyond their ends. */
    size_t payload_bytes = size - header_bytes;
    uint8_t *header = malloc(header_bytes > 0 ? header_bytes : 1);
    uint8_t *payload = malloc(payload_bytes > 0 ? payload_bytes : 1);
    require(header != NULL && payload != NULL);
    if (header_bytes > 0)
        memcpy(header, data, header_bytes);
    if (payload_bytes > 0)
        memcpy(payload, data + header_bytes, payload_bytes);

    check_json(header, header_bytes);
    enum afar_status status = message_decode(&message, header, header_bytes, &err);
    require(status == AFAR_OK || (status == AFAR_EPEER && err.message[0] != '\0'));
    if (status == AFAR_OK) {
        check_again(&message);
        check_payload(&message, payload, payload_bytes);
        message_close(&message);
    }
    free(header);
    free(payload);
}
