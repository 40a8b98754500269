#include "copy/requests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERRNO_MAX = 200, HELLO_BYTES = 64, CLIENT_VERSION = 3 };

enum afar_status requests_init(struct requests *requests, struct afar_error *err)
{
    struct sftp_writer writer;
    *requests = (struct requests){.ring = calloc(REQUESTS_MAX, sizeof *requests->ring)};
    buffer_init(&requests->out, REQUESTS_OUT_BYTES);
    buffer_init(&requests->in, SFTP_LENGTH_BYTES + SFTP_PACKET_MAX_BYTES);
    if (requests->ring == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    sftp_begin(&writer, &requests->out, HELLO_BYTES);
    sftp_put_u8(&writer, SFTP_TYPE_INIT);
    sftp_put_u32(&writer, CLIENT_VERSION);
    sftp_put_word(&writer, "afar");
    sftp_put_word(&writer, "1");
    return sftp_end(&writer, err);
}

void requests_close(struct requests *requests)
{
    buffer_close(&requests->out);
    buffer_close(&requests->in);
    free(requests->ring);
    requests->ring = NULL;
}

size_t requests_under_way(const struct requests *requests)
{
    return requests->next - requests->first;
}

bool requests_have_room(const struct requests *requests)
{
    return requests_under_way(requests) < REQUESTS_USUAL &&
           requests->cost < REQUESTS_WINDOW_BYTES &&
           buffer_size(&requests->out) < REQUESTS_UNSENT_BYTES;
}

/* ---- out ------------------------------------------------------------------------------------- */

void requests_begin(struct requests *requests, struct sftp_writer *writer, enum sftp_type type,
                    size_t most_bytes)
{
    sftp_begin(writer, &requests->out, 1 + sizeof requests->next + most_bytes);
    sftp_put_u8(writer, (uint8_t)type);
    sftp_put_u32(writer, requests->next);
}

void requests_send(struct requests *requests, struct sftp_writer *writer,
                   const struct requests_call *call)
{
    bool fits = !requests->ended && requests_under_way(requests) < REQUESTS_MAX;
    if (!fits || sftp_end(writer, NULL) != AFAR_OK) {
        struct requests_answer none = {.type = 0};
        call->done(call, &none);
        return;
    }
    requests->ring[requests->next % REQUESTS_MAX] = *call;
    requests->next++;
    requests->cost += call->cost;
}

/* ---- in -------------------------------------------------------------------------------------- */

static enum afar_status take_version(struct requests *requests, struct sftp_reader *in,
                                     uint8_t type, struct afar_error *err)
{
    uint32_t version = sftp_read_u32(in);
    if (type != SFTP_TYPE_VERSION || in->failed || version != SFTP_VERSION)
        return afar_fail(err, AFAR_EPEER, "it does not speak SFTP version %d", SFTP_VERSION);
    requests->greeted = true;
    return AFAR_OK;
}

static enum afar_status take_answer(struct requests *requests, const uint8_t *body, size_t size,
                                    struct afar_error *err)
{
    struct requests_answer answer = {.type = 0};
    sftp_reader_init(&answer.body, body, size);
    answer.type = sftp_read_u8(&answer.body);
    if (!requests->greeted)
        return take_version(requests, &answer.body, answer.type, err);
    uint32_t id = sftp_read_u32(&answer.body);
    if (answer.body.failed || requests_under_way(requests) == 0 || id != requests->first)
        return afar_fail(err, AFAR_EPEER, "an answer to no request, or out of order");
    const struct requests_call call = requests->ring[id % REQUESTS_MAX];
    if (answer.type == SFTP_TYPE_STATUS) {
        answer.status = sftp_read_u32(&answer.body);
        answer.text = sftp_read_text(&answer.body);
    }
    bool fits = answer.type == SFTP_TYPE_STATUS || answer.type == call.expected;
    if (answer.body.failed || !fits)
        return afar_fail(err, AFAR_EPEER, "an answer of type %d where %d was expected", answer.type,
                         call.expected);
    requests->first++;
    requests->cost -= call.cost;
    call.done(&call, &answer);
    return AFAR_OK;
}

/* Completes an answer that has come in part. *used: how many bytes were for it. */
static enum afar_status take_rest(struct requests *requests, const uint8_t *data, size_t size,
                                  size_t *used, struct afar_error *err)
{
    const uint8_t *body = NULL;
    size_t body_bytes = 0;
    size_t whole = 0;
    size_t have = buffer_size(&requests->in);
    enum afar_status status =
        sftp_next(buffer_head(&requests->in), have, &body, &body_bytes, &whole, err);
    if (status != AFAR_EAGAIN)
        return status;
    *used = size < whole - have ? size : whole - have;
    status = buffer_append(&requests->in, data, *used, err);
    if (status != AFAR_OK)
        return status;
    have += *used;
    status = sftp_next(buffer_head(&requests->in), have, &body, &body_bytes, &whole, err);
    if (status != AFAR_OK)
        return status == AFAR_EAGAIN ? AFAR_OK : status;
    status = take_answer(requests, body, body_bytes, err);
    buffer_consume(&requests->in, whole);
    return status;
}

enum afar_status requests_take(struct requests *requests, const void *data, size_t size,
                               struct afar_error *err)
{
    const uint8_t *at = data;
    while (size > 0) {
        const uint8_t *body = NULL;
        size_t body_bytes = 0;
        size_t used = 0;
        enum afar_status status = AFAR_OK;
        if (buffer_size(&requests->in) > 0) {
            status = take_rest(requests, at, size, &used, err);
        } else {
            status = sftp_next(at, size, &body, &body_bytes, &used, err);
            if (status == AFAR_OK) {
                status = take_answer(requests, body, body_bytes, err);
            } else if (status == AFAR_EAGAIN) {
                used = size;
                status = buffer_append(&requests->in, at, size, err);
            }
        }
        if (status != AFAR_OK)
            return status;
        at += used;
        size -= used;
    }
    return AFAR_OK;
}

void requests_end(struct requests *requests)
{
    requests->ended = true;
    while (requests_under_way(requests) > 0) {
        struct requests_answer none = {.type = 0};
        const struct requests_call call = requests->ring[requests->first % REQUESTS_MAX];
        requests->first++;
        call.done(&call, &none);
    }
    requests->cost = 0;
}

/* ---- failures -------------------------------------------------------------------------------- */

/* Finds the errno whose text (strerror(3)) the server's message is. */
static const char *name_of(const char *text)
{
    for (int number = 1; number < ERRNO_MAX; number++) {
        const char *known = strerrordesc_np(number);
        if (known != NULL && strcmp(known, text) == 0)
            return strerrorname_np(number);
    }
    return NULL;
}

void requests_explain(const struct requests_answer *answer, struct afar_error *err)
{
    if (answer->type == 0) {
        (void)afar_fail(err, AFAR_ECLOSED, "the connection ended");
        (void)snprintf(err->reason, sizeof err->reason, "ECONNRESET");
        return;
    }
    size_t size = answer->text.size < 256 ? answer->text.size : 256;
    (void)afar_fail(err, AFAR_EREFUSED, "%.*s", (int)size, (const char *)answer->text.bytes);
    const char *name = name_of(err->message);
    if (name == NULL)
        name = answer->status == SFTP_STATUS_NO_SUCH_FILE        ? "ENOENT"
               : answer->status == SFTP_STATUS_PERMISSION_DENIED ? "EACCES"
                                                                 : "EIO";
    if (err->message[0] == '\0')
        (void)snprintf(err->message, sizeof err->message, "the server says no more than %u",
                       answer->status);
    (void)snprintf(err->reason, sizeof err->reason, "%s", name);
}
