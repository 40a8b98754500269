/* The encoding half of wire/message.h. */
#include "wire/message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"
#include "wire/exec_request.h"
#include "wire/features.h"
#include "wire/frame.h"
#include "wire/json_field.h"
#include "wire/receipt.h"

/* One frame: prefix, header, payload. Nothing is added unless all of it is. */
static enum afar_status put_frame(struct buffer *out, const char *header, size_t header_bytes,
                                  const void *payload, size_t size, struct afar_error *err)
{
    if (header_bytes > FRAME_HEADER_MAX_BYTES)
        return afar_fail(err, AFAR_ELIMIT, "a frame header of %zu bytes, %d at most are allowed",
                         header_bytes, FRAME_HEADER_MAX_BYTES);
    if (size > FRAME_PAYLOAD_MAX_BYTES)
        return afar_fail(err, AFAR_ELIMIT, "a payload of %zu bytes, %d at most are allowed", size,
                         FRAME_PAYLOAD_MAX_BYTES);
    uint8_t *room = NULL;
    enum afar_status status =
        buffer_reserve(out, FRAME_PREFIX_BYTES + header_bytes + size, &room, err);
    if (status != AFAR_OK)
        return status;
    frame_put_prefix(room, header_bytes);
    memcpy(room + FRAME_PREFIX_BYTES, header, header_bytes);
    if (size > 0)
        memcpy(room + FRAME_PREFIX_BYTES + header_bytes, payload, size);
    buffer_commit(out, FRAME_PREFIX_BYTES + header_bytes + size);
    return AFAR_OK;
}

/* For headers of numbers and fixed words, where nothing needs escaping. */
static enum afar_status put_plain(struct buffer *out, const void *payload, size_t size,
                                  struct afar_error *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static enum afar_status put_plain(struct buffer *out, const void *payload, size_t size,
                                  struct afar_error *err, const char *format, ...)
{
    char header[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(header, sizeof header, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof header)
        return afar_fail(err, AFAR_EBUG, "a plain header of %d bytes", length);
    return put_frame(out, header, (size_t)length, payload, size, err);
}

static enum afar_status out_of_memory(struct afar_error *err)
{
    return afar_fail(err, AFAR_ENOMEM, "out of memory for a frame");
}

/* Frees `object`. `ok`: whether building it succeeded. */
static enum afar_status put_object(struct buffer *out, cJSON *object, bool ok, const void *payload,
                                   size_t size, struct afar_error *err)
{
    char *header = ok ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    if (header == NULL)
        return out_of_memory(err);
    /* cJSON copies any byte; the peer would close the connection over it. */
    enum afar_status status =
        utf8_valid(header, strlen(header))
            ? put_frame(out, header, strlen(header), payload, size, err)
            : afar_fail(err, AFAR_EINVAL, "a name in the request is not UTF-8");
    cJSON_free(header);
    return status;
}

static cJSON *new_object(const char *type, bool has_id, uint64_t id)
{
    cJSON *object = cJSON_CreateObject();
    if (object == NULL || cJSON_AddStringToObject(object, "type", type) == NULL ||
        (has_id && !json_add_integer(object, "id", id))) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

enum afar_status message_put_stdin(struct buffer *out, uint64_t id, uint64_t offset,
                                   const void *data, size_t size, bool eof, struct afar_error *err)
{
    return put_plain(out, data, size, err,
                     "{\"type\":\"stdin\",\"id\":%" PRIu64 ",\"offset\":%" PRIu64
                     ",\"size\":%zu%s}",
                     id, offset, size, eof ? ",\"eof\":true" : "");
}

enum afar_status message_put_close(struct buffer *out, uint64_t id, enum stream stream,
                                   struct afar_error *err)
{
    return put_plain(out, NULL, 0, err, "{\"type\":\"close\",\"id\":%" PRIu64 ",\"stream\":\"%s\"}",
                     id, stream == STREAM_STDOUT ? "stdout" : "stderr");
}

enum afar_status message_put_ack(struct buffer *out, uint64_t id, uint64_t next,
                                 struct afar_error *err)
{
    return put_plain(out, NULL, 0, err,
                     "{\"type\":\"ack\",\"id\":%" PRIu64 ",\"next\":%" PRIu64 "}", id, next);
}

enum afar_status message_put_stdin_ack(struct buffer *out, uint64_t id, uint64_t stdin_acked,
                                       struct afar_error *err)
{
    return put_plain(out, NULL, 0, err,
                     "{\"type\":\"ack\",\"id\":%" PRIu64 ",\"stdin\":%" PRIu64 "}", id,
                     stdin_acked);
}

enum afar_status message_put_ping(struct buffer *out, uint64_t id, struct afar_error *err)
{
    return put_plain(out, NULL, 0, err, "{\"type\":\"ping\",\"id\":%" PRIu64 "}", id);
}

enum afar_status message_put_done(struct buffer *out, uint64_t id, struct afar_error *err)
{
    return put_plain(out, NULL, 0, err, "{\"type\":\"done\",\"id\":%" PRIu64 "}", id);
}

enum afar_status message_put_detach(struct buffer *out, uint64_t id, struct afar_error *err)
{
    return put_plain(out, NULL, 0, err, "{\"type\":\"detach\",\"id\":%" PRIu64 "}", id);
}

enum afar_status message_put_detached(struct buffer *out, uint64_t id, struct afar_error *err)
{
    return put_plain(out, NULL, 0, err, "{\"type\":\"detached\",\"id\":%" PRIu64 "}", id);
}

enum afar_status message_put_signal(struct buffer *out, uint64_t id, const char *name,
                                    struct afar_error *err)
{
    cJSON *object = new_object("signal", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "name", name) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_kill(struct buffer *out, uint64_t id, const char *job,
                                  const char *name, struct afar_error *err)
{
    cJSON *object = new_object("kill", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "job", job) != NULL &&
              cJSON_AddStringToObject(object, "name", name) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_pong(struct buffer *out, uint64_t id, const char *version,
                                  unsigned features, struct afar_error *err)
{
    char words[FEATURES_BYTES];
    cJSON *object = new_object("pong", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "version", version) != NULL;
    features_write(words, features);
    if (features != 0)
        ok = ok && cJSON_AddRawToObject(object, "features", words) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_queued(struct buffer *out, uint64_t id, uint64_t position,
                                    struct afar_error *err)
{
    return put_plain(out, NULL, 0, err,
                     "{\"type\":\"queued\",\"id\":%" PRIu64 ",\"position\":%" PRIu64 "}", id,
                     position);
}

enum afar_status message_put_started(struct buffer *out, uint64_t id, const char *job,
                                     uint64_t window, uint64_t credit, unsigned features,
                                     struct afar_error *err)
{
    char more[48] = "";
    char words[FEATURES_BYTES] = "";
    if (credit > 0)
        (void)snprintf(more, sizeof more, ",\"credit\":%" PRIu64, credit);
    if (features != 0)
        features_write(words, features);
    return put_plain(out, NULL, 0, err,
                     "{\"type\":\"started\",\"id\":%" PRIu64 ",\"job\":\"%s\",\"window\":%" PRIu64
                     "%s%s%s}",
                     id, job, window, more, features != 0 ? ",\"features\":" : "", words);
}

enum afar_status message_put_exit(struct buffer *out, uint64_t id, uint64_t seq,
                                  const struct afar_receipt *receipt, bool digest,
                                  struct afar_error *err)
{
    cJSON *object = new_object("exit", true, id);
    bool ok = object != NULL && json_add_integer(object, "seq", seq) &&
              receipt_encode(receipt, digest, object);
    size_t before = buffer_size(out);
    enum afar_status status = put_object(out, object, ok, NULL, 0, err);
    assert(buffer_size(out) - before <= MESSAGE_EXIT_BYTES);
    return status;
}

enum afar_status message_put_error(struct buffer *out, bool has_id, uint64_t id, const char *code,
                                   const char *text, uint64_t retry_after_ms,
                                   struct afar_error *err)
{
    char clean[MESSAGE_TEXT_BYTES];
    utf8_copy(clean, sizeof clean, text);
    cJSON *object = new_object("error", has_id, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "code", code) != NULL &&
              cJSON_AddStringToObject(object, "message", clean) != NULL;
    if (retry_after_ms > 0)
        ok = ok && json_add_integer(object, "retry_after_ms", retry_after_ms);
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_closing(struct buffer *out, const char *reason, struct afar_error *err)
{
    cJSON *object = new_object("closing", false, 0);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "reason", reason) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

size_t message_write_output_head(uint8_t out[MESSAGE_OUTPUT_HEAD_BYTES], uint64_t id,
                                 enum stream stream, uint64_t seq, size_t size)
{
    /* Three numbers of at most 20 digits and 46 other bytes: it always fits. */
    int length =
        snprintf((char *)out + FRAME_PREFIX_BYTES, MESSAGE_OUTPUT_HEAD_BYTES - FRAME_PREFIX_BYTES,
                 "{\"type\":\"%s\",\"id\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"size\":%zu}",
                 stream == STREAM_STDOUT ? "stdout" : "stderr", id, seq, size);
    frame_put_prefix(out, (size_t)length);
    return FRAME_PREFIX_BYTES + (size_t)length;
}

/* ---- exec ---------------------------------------------------------------------------------------
 */

/* Escaping at worst makes six bytes of one: so much always leaves room in the header. */
enum { JSON_WORDS_BYTES = 8192 };

/* Whether JSON can carry the text; adds its size to *total. */
static bool fits_text(const char *text, size_t *total)
{
    if (text == NULL)
        return true;
    size_t length = strlen(text);
    *total += length + 3;
    return *total <= JSON_WORDS_BYTES && utf8_valid(text, length);
}

static size_t count_strings(char *const *strings)
{
    size_t count = 0;
    while (strings != NULL && strings[count] != NULL)
        count++;
    return count;
}

/* Whether JSON can carry all words. No list of EXEC_WORDS_MAX could: each word counts three bytes
 * at least. */
static bool fits_json(const struct exec_request *request)
{
    size_t total = 0;
    char *const *lists[] = {request->argv, request->env};
    bool fits = fits_text(request->cwd, &total) && fits_text(request->shell, &total);
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; fits && lists[l] != NULL && lists[l][i] != NULL; i++)
            fits = fits_text(lists[l][i], &total);
    }
    return fits;
}

static bool add_strings(cJSON *object, const char *key, char *const *strings)
{
    if (strings == NULL)
        return true;
    cJSON *array = cJSON_AddArrayToObject(object, key);
    for (size_t i = 0; array != NULL && strings[i] != NULL; i++) {
        cJSON *item = cJSON_CreateString(strings[i]);
        if (item == NULL || !cJSON_AddItemToArray(array, item)) {
            cJSON_Delete(item);
            return false;
        }
    }
    return array != NULL;
}

static bool add_text(cJSON *object, const char *key, const char *text)
{
    return text == NULL || cJSON_AddStringToObject(object, key, text) != NULL;
}

static bool add_number(cJSON *object, const char *key, uint64_t number)
{
    return number == 0 || json_add_integer(object, key, number);
}

static bool add_options(cJSON *object, const struct exec_request *request)
{
    static const char *const disconnects[] = {"kill", "grace", "detach"};
    bool ok = add_text(object, "shell", request->shell) &&
              add_text(object, "user", request->user) && add_text(object, "key", request->key) &&
              add_number(object, "timeout_ms", request->timeout_ms) &&
              add_number(object, "start_within_ms", request->start_within_ms);
    if (request->stdin_stream)
        ok = ok && add_text(object, "stdin", "stream");
    if (request->digest)
        ok = ok && add_text(object, "digest", "sha256");
    if (request->pty)
        ok = ok && cJSON_AddTrueToObject(object, "pty");
    if (request->on_disconnect != ON_DISCONNECT_KILL)
        ok = ok && add_text(object, "on_disconnect", disconnects[request->on_disconnect]);
    if (request->when_full == WHEN_FULL_CUT)
        ok = ok && add_text(object, "when_full", "cut");
    return ok;
}

/* Puts the words into `payload`, each with its NUL. */
static enum afar_status put_words(struct buffer *payload, const struct exec_request *request,
                                  struct afar_error *err)
{
    char *const *lists[] = {request->argv, request->env};
    enum afar_status status = AFAR_OK;
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; status == AFAR_OK && lists[l] != NULL && lists[l][i] != NULL; i++)
            status = buffer_append(payload, lists[l][i], strlen(lists[l][i]) + 1, err);
    }
    if (status == AFAR_OK && request->cwd != NULL)
        status = buffer_append(payload, request->cwd, strlen(request->cwd) + 1, err);
    if (status == AFAR_ELIMIT)
        return afar_fail(err, AFAR_ELIMIT, "arguments and environment exceed %d bytes",
                         FRAME_PAYLOAD_MAX_BYTES);
    return status;
}

static enum afar_status put_exec(struct buffer *out, uint64_t id,
                                 const struct exec_request *request, struct afar_error *err)
{
    struct buffer payload;
    buffer_init(&payload, FRAME_PAYLOAD_MAX_BYTES);
    bool in_json = fits_json(request);
    enum afar_status status = in_json ? AFAR_OK : put_words(&payload, request, err);
    if (status != AFAR_OK)
        goto out;

    cJSON *object = new_object("exec", true, id);
    bool ok = object != NULL && json_add_integer(object, "v", MESSAGE_VERSION);
    if (in_json)
        ok = ok && add_strings(object, "argv", request->argv) &&
             add_strings(object, "env", request->env) && add_text(object, "cwd", request->cwd);
    else
        ok = ok && add_number(object, "argc", count_strings(request->argv)) &&
             add_number(object, "envc", count_strings(request->env)) &&
             add_number(object, "cwdc", request->cwd != NULL ? 1 : 0) &&
             add_number(object, "size", buffer_size(&payload));
    ok = ok && add_options(object, request);
    status = put_object(out, object, ok, buffer_head(&payload), buffer_size(&payload), err);
out:
    buffer_close(&payload);
    return status;
}

enum afar_status message_put_exec(struct buffer *out, uint64_t id,
                                  const struct exec_request *request, struct afar_error *err)
{
    size_t total = 0;
    if (fits_text(request->shell, &total))
        return put_exec(out, id, request, err);
    /* The payload has no place for a shell line of its own. */
    char sh[] = "/bin/sh";
    char option[] = "-c";
    char *words[] = {sh, option, request->shell, NULL};
    struct exec_request spelled_out = *request;
    spelled_out.shell = NULL;
    spelled_out.argv = words;
    return put_exec(out, id, &spelled_out, err);
}
