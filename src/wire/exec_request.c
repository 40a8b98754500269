#include "wire/exec_request.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "wire/frame.h"
#include "wire/json_field.h"

void exec_request_free(struct exec_request *request)
{
    if (request == NULL)
        return;
    strings_free(request->argv);
    strings_free(request->env);
    free(request->shell);
    free(request->cwd);
    free(request->user);
    free(request->key);
    free(request);
}

/* What a client may name in "must": everything that this version understands. */
static bool known_field(const char *name)
{
    static const char *const known[] = {"type",     "v",     "id",         "size",
                                        "argv",     "shell", "env",        "cwd",
                                        "user",     "argc",  "envc",       "cwdc",
                                        "stdin",    "pty",   "timeout_ms", "start_within_ms",
                                        "digest",   "must",  "key",        "on_disconnect",
                                        "when_full"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i]) == 0)
            return true;
    }
    return false;
}

static enum afar_status decode_must(struct exec_request *request, const cJSON *object,
                                    struct afar_error *err)
{
    char **names = NULL;
    enum afar_status status = json_get_strings(object, "must", EXEC_WORDS_MAX, &names, err);
    if (status != AFAR_OK || names == NULL)
        return status;
    for (char **name = names; *name != NULL && request->unknown_must[0] == '\0'; name++) {
        if (known_field(*name))
            continue;
        size_t length = strnlen(*name, sizeof request->unknown_must - 1);
        memcpy(request->unknown_must, *name, length);
        /* An empty name is unknown too, and must not look like none. */
        if (length == 0)
            request->unknown_must[0] = '?';
    }
    strings_free(names);
    return AFAR_OK;
}

static enum afar_status decode_choices(struct exec_request *request, const cJSON *object,
                                       struct afar_error *err)
{
    char word[MESSAGE_WORD_BYTES];
    enum afar_status status =
        json_get_string(object, "on_disconnect", false, word, sizeof word, err);
    if (status != AFAR_OK)
        return status;
    if (word[0] == '\0' || strcmp(word, "kill") == 0)
        request->on_disconnect = ON_DISCONNECT_KILL;
    else if (strcmp(word, "grace") == 0)
        request->on_disconnect = ON_DISCONNECT_GRACE;
    else if (strcmp(word, "detach") == 0)
        request->on_disconnect = ON_DISCONNECT_DETACH;
    else
        return afar_fail(err, AFAR_EPEER, "\"on_disconnect\" must be kill, grace or detach");

    status = json_get_string(object, "when_full", false, word, sizeof word, err);
    if (status != AFAR_OK)
        return status;
    if (word[0] == '\0' || strcmp(word, "block") == 0)
        request->when_full = WHEN_FULL_BLOCK;
    else if (strcmp(word, "cut") == 0)
        request->when_full = WHEN_FULL_CUT;
    else
        return afar_fail(err, AFAR_EPEER, "\"when_full\" must be block or cut");

    status = json_get_string(object, "stdin", false, word, sizeof word, err);
    if (status != AFAR_OK)
        return status;
    if (strcmp(word, "stream") == 0)
        request->stdin_stream = true;
    else if (word[0] != '\0' && strcmp(word, "none") != 0)
        return afar_fail(err, AFAR_EPEER, "\"stdin\" must be none or stream");

    status = json_get_string(object, "digest", false, word, sizeof word, err);
    if (status != AFAR_OK)
        return status;
    if (strcmp(word, "sha256") == 0)
        request->digest = true;
    else if (word[0] != '\0' && strcmp(word, "none") != 0)
        return afar_fail(err, AFAR_EPEER, "\"digest\" must be none or sha256");
    return AFAR_OK;
}

static enum afar_status decode_counts(struct exec_request *request, const cJSON *object,
                                      struct afar_error *err)
{
    uint64_t argc = 0;
    uint64_t envc = 0;
    uint64_t cwdc = 0;
    enum afar_status status = json_get_integer(object, "argc", false, &argc, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "envc", false, &envc, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "cwdc", false, &cwdc, err);
    if (status != AFAR_OK)
        return status;
    if (argc > FRAME_PAYLOAD_MAX_BYTES || envc > FRAME_PAYLOAD_MAX_BYTES || cwdc > 1)
        return afar_fail(err, AFAR_EPEER, "\"argc\", \"envc\" or \"cwdc\" is too large");
    if ((argc > 0 && request->argv != NULL) || (envc > 0 && request->env != NULL) ||
        (cwdc > 0 && request->cwd != NULL))
        return afar_fail(err, AFAR_EPEER, "argv, env or cwd given both in JSON and in the payload");
    request->payload_argc = (size_t)argc;
    request->payload_envc = (size_t)envc;
    request->payload_cwd = cwdc == 1;
    return AFAR_OK;
}

static enum afar_status decode_numbers(struct exec_request *request, const cJSON *object,
                                       struct afar_error *err)
{
    uint64_t version = 0;
    enum afar_status status = json_get_integer(object, "v", true, &version, err);
    if (status == AFAR_OK && version != MESSAGE_VERSION)
        status = afar_fail(err, AFAR_EPEER, "protocol version %llu, this server speaks %d",
                           (unsigned long long)version, MESSAGE_VERSION);
    if (status == AFAR_OK)
        status = json_get_integer(object, "timeout_ms", false, &request->timeout_ms, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "start_within_ms", false, &request->start_within_ms, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "pty", &request->pty, err);
    return status;
}

static enum afar_status check_env(char **env, struct afar_error *err)
{
    for (char **at = env; at != NULL && *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        if (equals == NULL || equals == *at)
            return afar_fail(err, AFAR_EPEER, "an entry of \"env\" is not NAME=value");
    }
    return AFAR_OK;
}

static enum afar_status check_command(const struct exec_request *request, struct afar_error *err)
{
    bool has_argv = request->argv != NULL || request->payload_argc > 0;
    if (has_argv == (request->shell != NULL))
        return afar_fail(err, AFAR_EPEER, "give either \"argv\" or \"shell\"");
    if (request->argv != NULL && request->argv[0] == NULL)
        return afar_fail(err, AFAR_EPEER, "\"argv\" must have at least one word");
    return check_env(request->env, err);
}

enum afar_status exec_request_decode(struct exec_request **request, const struct cJSON *object,
                                     struct afar_error *err)
{
    *request = NULL;
    struct exec_request *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a request");

    enum afar_status status = decode_numbers(made, object, err);
    if (status == AFAR_OK)
        status = json_get_strings(object, "argv", EXEC_WORDS_MAX, &made->argv, err);
    if (status == AFAR_OK)
        status = json_get_strings(object, "env", EXEC_WORDS_MAX, &made->env, err);
    if (status == AFAR_OK)
        status = json_get_text(object, "shell", &made->shell, err);
    if (status == AFAR_OK)
        status = json_get_text(object, "cwd", &made->cwd, err);
    if (status == AFAR_OK)
        status = json_get_text(object, "user", &made->user, err);
    if (status == AFAR_OK)
        status = json_get_text(object, "key", &made->key, err);
    if (status == AFAR_OK)
        status = decode_choices(made, object, err);
    if (status == AFAR_OK)
        status = decode_must(made, object, err);
    if (status == AFAR_OK)
        status = decode_counts(made, object, err);
    if (status == AFAR_OK)
        status = check_command(made, err);
    if (status == AFAR_OK) {
        *request = made;
        made = NULL;
    }
    exec_request_free(made);
    return status;
}

/* Takes the next NUL-terminated string. */
static enum afar_status take_string(const uint8_t **payload, size_t *size, char **string,
                                    struct afar_error *err)
{
    const uint8_t *end = *size == 0 ? NULL : memchr(*payload, 0, *size);
    if (end == NULL)
        return afar_fail(err, AFAR_EPEER, "the payload has fewer strings than the counts say");
    size_t length = (size_t)(end - *payload) + 1;
    *string = malloc(length);
    if (*string == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a request");
    memcpy(*string, *payload, length);
    *payload += length;
    *size -= length;
    return AFAR_OK;
}

static enum afar_status take_strings(const uint8_t **payload, size_t *size, size_t count,
                                     char ***strings, struct afar_error *err)
{
    if (count == 0)
        return AFAR_OK;
    /* Each string takes a byte at least: a count that cannot be right allocates nothing. */
    if (count > *size)
        return afar_fail(err, AFAR_EPEER, "the payload has fewer strings than the counts say");
    *strings = calloc(count + 1, sizeof **strings);
    if (*strings == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a request");
    for (size_t i = 0; i < count; i++) {
        enum afar_status status = take_string(payload, size, &(*strings)[i], err);
        if (status != AFAR_OK)
            return status;
    }
    return AFAR_OK;
}

enum afar_status exec_request_take_payload(struct exec_request *request, const uint8_t *payload,
                                           size_t size, struct afar_error *err)
{
    enum afar_status status =
        take_strings(&payload, &size, request->payload_argc, &request->argv, err);
    if (status == AFAR_OK)
        status = take_strings(&payload, &size, request->payload_envc, &request->env, err);
    if (status == AFAR_OK && request->payload_cwd)
        status = take_string(&payload, &size, &request->cwd, err);
    if (status == AFAR_OK && size > 0)
        status = afar_fail(err, AFAR_EPEER, "the payload has more strings than the counts say");
    if (status == AFAR_OK)
        status = check_env(request->env, err);
    return status;
}
