/* The encoding half of message.h. */
#include "wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"
#include "wire/exec_request.h"
#include "wire/features.h"
#include "wire/frame.h"
#include "wire/json_field.h"
#include "wire/put.h"
#include "wire/receipt.h"

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
                                       uint64_t credit, struct afar_error *err)
{
    if (credit > 0)
        return put_plain(out, NULL, 0, err,
                         "{\"type\":\"ack\",\"id\":%" PRIu64 ",\"stdin\":%" PRIu64
                         ",\"credit\":%" PRIu64 "}",
                         id, stdin_acked, credit);
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

enum afar_status message_put_resize(struct buffer *out, uint64_t id, const struct screen_size *size,
                                    struct afar_error *err)
{
    return put_plain(out, NULL, 0, err,
                     "{\"type\":\"resize\",\"id\":%" PRIu64
                     ",\"rows\":%u,\"cols\":%u,\"xpixel\":%u,\"ypixel\":%u}",
                     id, size->rows, size->cols, size->xpixel, size->ypixel);
}

enum afar_status message_put_pause(struct buffer *out, uint64_t id, struct afar_error *err)
{
    return put_plain(out, NULL, 0, err, "{\"type\":\"pause\",\"id\":%" PRIu64 "}", id);
}

enum afar_status message_put_detached(struct buffer *out, uint64_t id, struct afar_error *err)
{
    return put_plain(out, NULL, 0, err, "{\"type\":\"detached\",\"id\":%" PRIu64 "}", id);
}

enum afar_status message_put_signal(struct buffer *out, uint64_t id, const char *name,
                                    struct afar_error *err)
{
    cJSON *object = put_new_object("signal", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "name", name) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_kill(struct buffer *out, uint64_t id, const char *job,
                                  const char *name, struct afar_error *err)
{
    cJSON *object = put_new_object("kill", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "job", job) != NULL &&
              cJSON_AddStringToObject(object, "name", name) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_shutdown(struct buffer *out, uint64_t id, const char *job,
                                      struct afar_error *err)
{
    cJSON *object = put_new_object("kill", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "job", job) != NULL &&
              cJSON_AddStringToObject(object, "name", "TERM") != NULL &&
              cJSON_AddTrueToObject(object, "shutdown") != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_pong(struct buffer *out, uint64_t id, const char *version,
                                  unsigned features, struct afar_error *err)
{
    char words[FEATURES_BYTES];
    cJSON *object = put_new_object("pong", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "version", version) != NULL;
    features_write(words, features);
    if (features != 0)
        ok = ok && cJSON_AddRawToObject(object, "features", words) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_room(struct buffer *out, uint64_t id, uint64_t window, uint64_t credit,
                                  struct afar_error *err)
{
    return put_plain(out, NULL, 0, err,
                     "{\"type\":\"room\",\"id\":%" PRIu64 ",\"window\":%" PRIu64
                     ",\"credit\":%" PRIu64 "}",
                     id, window, credit);
}

enum afar_status message_put_queued(struct buffer *out, uint64_t id, uint64_t position,
                                    struct afar_error *err)
{
    return put_plain(out, NULL, 0, err,
                     "{\"type\":\"queued\",\"id\":%" PRIu64 ",\"position\":%" PRIu64 "}", id,
                     position);
}

enum afar_status message_put_exit_rest(struct buffer *out, uint64_t seq,
                                       const struct afar_receipt *receipt, bool digest,
                                       struct afar_error *err)
{
    cJSON *object = cJSON_CreateObject();
    bool ok = object != NULL && json_add_integer(object, "seq", seq) &&
              receipt_encode(receipt, digest, object);
    char *text = ok ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    if (text == NULL)
        return put_out_of_memory(err);
    text[0] = ','; /* replaces the object's { : the rest continues an object */
    enum afar_status status = utf8_valid(text, strlen(text))
                                  ? buffer_append(out, text, strlen(text), err)
                                  : put_not_utf8(err);
    cJSON_free(text);
    return status;
}

enum afar_status message_put_exit(struct buffer *out, uint64_t id, uint64_t seq,
                                  const struct afar_receipt *receipt, bool digest,
                                  struct afar_error *err)
{
    struct buffer header;
    uint8_t head[MESSAGE_OUTPUT_HEAD_BYTES];
    size_t head_bytes = message_write_head(head, "exit", id, 0);
    buffer_init(&header, FRAME_HEADER_MAX_BYTES);
    enum afar_status status =
        buffer_append(&header, head + FRAME_PREFIX_BYTES, head_bytes - FRAME_PREFIX_BYTES, err);
    if (status == AFAR_OK)
        status = message_put_exit_rest(&header, seq, receipt, digest, err);
    if (status == AFAR_OK)
        status =
            put_frame(out, (const char *)buffer_head(&header), buffer_size(&header), NULL, 0, err);
    buffer_close(&header);
    return status;
}

enum afar_status message_put_error(struct buffer *out, bool has_id, uint64_t id, const char *code,
                                   const char *text, uint64_t retry_after_ms,
                                   struct afar_error *err)
{
    char clean[MESSAGE_TEXT_BYTES];
    utf8_copy(clean, sizeof clean, text);
    cJSON *object = put_new_object("error", has_id, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "code", code) != NULL &&
              cJSON_AddStringToObject(object, "message", clean) != NULL;
    if (retry_after_ms > 0)
        ok = ok && json_add_integer(object, "retry_after_ms", retry_after_ms);
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_closing(struct buffer *out, const char *reason, struct afar_error *err)
{
    cJSON *object = put_new_object("closing", false, 0);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "reason", reason) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

size_t message_write_output_head(uint8_t out[MESSAGE_OUTPUT_HEAD_BYTES], uint64_t id,
                                 enum stream stream, uint64_t seq, size_t size, uint64_t time_us)
{
    char time[32] = "";
    /* Always fits: three numbers of at most 20 digits and 46 other bytes; a time is added only if
     * the time and the id have at most 16 digits. */
    if (time_us > 0 && time_us <= MESSAGE_INTEGER_MAX && id <= MESSAGE_INTEGER_MAX)
        (void)snprintf(time, sizeof time, ",\"time_us\":%" PRIu64, time_us);
    int length =
        snprintf((char *)out + FRAME_PREFIX_BYTES, MESSAGE_OUTPUT_HEAD_BYTES - FRAME_PREFIX_BYTES,
                 "{\"type\":\"%s\",\"id\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"size\":%zu%s}",
                 stream == STREAM_STDOUT ? "stdout" : "stderr", id, seq, size, time);
    frame_put_prefix(out, (size_t)length);
    return FRAME_PREFIX_BYTES + (size_t)length;
}

static size_t count_digits(uint64_t number)
{
    size_t digits = 1;
    for (; number >= 10; number /= 10)
        digits++;
    return digits;
}

size_t message_output_head_most(uint64_t seq, size_t size, uint64_t time_us)
{
    static const char without_numbers[] = "{\"type\":\"stdout\",\"id\":,\"seq\":,\"size\":}";
    static const char time[] = ",\"time_us\":";
    enum { ID_DIGITS = 16 }; /* of MESSAGE_INTEGER_MAX */
    return FRAME_PREFIX_BYTES + sizeof without_numbers - 1 + ID_DIGITS + count_digits(seq) +
           count_digits(size) + (time_us > 0 ? sizeof time - 1 + count_digits(time_us) : 0);
}

size_t message_write_head(uint8_t out[MESSAGE_OUTPUT_HEAD_BYTES], const char *type, uint64_t id,
                          size_t rest_bytes)
{
    int length =
        snprintf((char *)out + FRAME_PREFIX_BYTES, MESSAGE_OUTPUT_HEAD_BYTES - FRAME_PREFIX_BYTES,
                 "{\"type\":\"%s\",\"id\":%" PRIu64, type, id);
    frame_put_prefix(out, (size_t)length + rest_bytes);
    return FRAME_PREFIX_BYTES + (size_t)length;
}

size_t message_write_cut_rest(char out[MESSAGE_CUT_REST_BYTES], uint64_t seq, uint64_t next,
                              const uint64_t lost[2])
{
    /* Four numbers of at most 20 digits and 38 other bytes. */
    int length = snprintf(out, MESSAGE_CUT_REST_BYTES,
                          ",\"seq\":%" PRIu64 ",\"next\":%" PRIu64 ",\"stdout\":%" PRIu64
                          ",\"stderr\":%" PRIu64 "}",
                          seq, next, lost[STREAM_STDOUT], lost[STREAM_STDERR]);
    return (size_t)length;
}

/* ---- exec ------------------------------------------------------------------------------------ */

/* Escaping makes at most six bytes of one, so words of this total size fit in a header. */
enum { JSON_WORDS_BYTES = 8192 };

/* True if JSON can carry the text. Adds the text's size to *total. */
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

/* True if JSON can carry all words. A list of EXEC_WORDS_MAX words never passes, because each word
 * counts at least three bytes. */
static bool fits_list(char *const *strings, size_t *total)
{
    for (; strings != NULL && *strings != NULL; strings++) {
        if (!fits_text(*strings, total))
            return false;
    }
    return true;
}

static bool fits_json(const struct exec_request *request)
{
    size_t total = 0;
    return fits_text(request->cwd, &total) && fits_text(request->shell, &total) &&
           fits_list(request->argv, &total) && fits_list(request->env, &total);
}

static bool add_word(cJSON *array, const char *word)
{
    cJSON *item = array == NULL ? NULL : cJSON_CreateString(word);
    if (item != NULL && cJSON_AddItemToArray(array, item))
        return true;
    cJSON_Delete(item);
    return false;
}

static bool add_strings(cJSON *object, const char *key, char *const *strings)
{
    if (strings == NULL)
        return true;
    cJSON *array = cJSON_AddArrayToObject(object, key);
    for (size_t i = 0; array != NULL && strings[i] != NULL; i++) {
        if (!add_word(array, strings[i]))
            return false;
    }
    return array != NULL;
}

static bool add_text(cJSON *object, const char *key, const char *text)
{
    return text == NULL || cJSON_AddStringToObject(object, key, text) != NULL;
}

/* Makes a server refuse the request if it does not know the field. */
static bool add_must(cJSON *object, const char *name)
{
    cJSON *must = cJSON_GetObjectItemCaseSensitive(object, "must");
    if (must == NULL)
        must = cJSON_AddArrayToObject(object, "must");
    cJSON *item = must == NULL ? NULL : cJSON_CreateString(name);
    return item != NULL && cJSON_AddItemToArray(must, item);
}

/* Leaves out the entries that JSON cannot carry; the server may leave out entries, too. */
static bool add_optional(cJSON *object, char *const *env)
{
    size_t total = 0;
    cJSON *array = env == NULL ? NULL : cJSON_AddArrayToObject(object, "env_if_allowed");
    if (env != NULL && array == NULL)
        return false;
    for (; env != NULL && *env != NULL; env++) {
        size_t with = total;
        if (!fits_text(*env, &with))
            continue;
        total = with;
        if (!add_word(array, *env))
            return false;
    }
    return true;
}

static bool add_home(cJSON *object, const struct exec_request *request)
{
    bool ok = true;
    if (request->home)
        ok = cJSON_AddTrueToObject(object, "home") && add_must(object, "home");
    if (request->login)
        ok = ok && cJSON_AddTrueToObject(object, "login") && add_must(object, "login");
    if (request->shell_of_user)
        ok = ok && cJSON_AddStringToObject(object, "shell_of", "user") != NULL;
    return ok && add_optional(object, request->env_if_allowed);
}

static bool add_options(cJSON *object, const struct exec_request *request)
{
    bool ok = add_text(object, "subsystem", request->subsystem) &&
              add_text(object, "forward", request->forward) &&
              add_text(object, "user", request->user) && add_text(object, "key", request->key) &&
              json_add_positive(object, "timeout_ms", request->timeout_ms) &&
              json_add_positive(object, "start_within_ms", request->start_within_ms);
    if (request->stdin_stream)
        ok = ok && add_text(object, "stdin", "stream");
    if (request->digest)
        ok = ok && add_text(object, "digest", "sha256");
    if (request->pty != NULL)
        ok = ok && pty_request_encode(request->pty, object);
    if (request->when_full == WHEN_FULL_CUT)
        ok = ok && add_text(object, "when_full", "cut");
    if (request->keep)
        ok = ok && cJSON_AddTrueToObject(object, "keep") && add_must(object, "keep");
    if (request->leave)
        ok = ok && cJSON_AddTrueToObject(object, "leave");
    if (request->holder[0] != '\0')
        ok = ok && add_text(object, "holder", request->holder);
    return ok && add_home(object, request) &&
           json_add_positive(object, "resume_ms", request->resume_ms) &&
           json_add_positive(object, "window_max", request->window_max);
}

/* Appends the words to `payload`, each with its NUL. */
static enum afar_status put_words(struct buffer *payload, const struct exec_request *request,
                                  bool with_shell, struct afar_error *err)
{
    char *const *lists[] = {request->argv, request->env};
    enum afar_status status = AFAR_OK;
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; status == AFAR_OK && lists[l] != NULL && lists[l][i] != NULL; i++)
            status = buffer_append(payload, lists[l][i], strlen(lists[l][i]) + 1, err);
    }
    const char *const texts[] = {request->cwd, with_shell ? request->shell : NULL};
    for (size_t i = 0; i < 2 && status == AFAR_OK; i++) {
        if (texts[i] != NULL)
            status = buffer_append(payload, texts[i], strlen(texts[i]) + 1, err);
    }
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
    size_t total = 0;
    bool in_json = fits_json(request);
    bool shell_in_json = fits_text(request->shell, &total);
    enum afar_status status = in_json ? AFAR_OK : put_words(&payload, request, !shell_in_json, err);
    if (status != AFAR_OK)
        goto out;

    cJSON *object = put_new_object("exec", true, id);
    bool ok = object != NULL && json_add_integer(object, "v", MESSAGE_VERSION);
    if (in_json)
        ok = ok && add_strings(object, "argv", request->argv) &&
             add_strings(object, "env", request->env) && add_text(object, "cwd", request->cwd);
    else
        ok = ok && json_add_positive(object, "argc", count_strings(request->argv)) &&
             json_add_positive(object, "envc", count_strings(request->env)) &&
             json_add_positive(object, "cwdc", request->cwd != NULL ? 1 : 0) &&
             json_add_positive(object, "shellc", shell_in_json ? 0 : 1) &&
             json_add_positive(object, "size", buffer_size(&payload));
    if (shell_in_json)
        ok = ok && add_text(object, "shell", request->shell);
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
    if (request->home || fits_text(request->shell, &total))
        return put_exec(out, id, request, err);
    /* A server that does not know "home" does not know "shellc" either, so a shell line must not
     * stand in the payload by itself: send it as an argument of /bin/sh -c. */
    char sh[] = "/bin/sh";
    char option[] = "-c";
    char *words[] = {sh, option, request->shell, NULL};
    struct exec_request spelled_out = *request;
    spelled_out.shell = NULL;
    spelled_out.argv = words;
    return put_exec(out, id, &spelled_out, err);
}
