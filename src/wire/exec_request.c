#include "wire/exec_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/forward_target.h"
#include "wire/frame.h"
#include "wire/json_field.h"
#include "wire/message_run.h"

void exec_request_free(struct exec_request *request)
{
    if (request == NULL)
        return;
    free(request->argv);
    free(request->env);
    free(request->env_if_allowed);
    free(request->shell);
    free(request->subsystem);
    free(request->forward);
    free(request->cwd);
    free(request->user);
    free(request->key);
    free(request->pty);
    free(request);
}

/* The fields a client may name in "must": those that the server either obeys or refuses. window_max
 * is not here, because it is only a hint. */
static bool known_field(const char *name)
{
    static const char *const known[] = {
        "type",           "v",         "id",         "size",
        "argv",           "shell",     "env",        "cwd",
        "user",           "argc",      "envc",       "cwdc",
        "stdin",          "pty",       "timeout_ms", "start_within_ms",
        "digest",         "must",      "key",        "when_full",
        "keep",           "subsystem", "holder",     "resume_ms",
        "home",           "login",     "shell_of",   "shellc",
        "env_if_allowed", "leave",     "forward"};
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
        request->must_leave = request->must_leave || strcmp(*name, "leave") == 0;
        if (known_field(*name))
            continue;
        size_t length = strnlen(*name, sizeof request->unknown_must - 1);
        memcpy(request->unknown_must, *name, length);
        /* An empty name is unknown too, and must not look like none. */
        if (length == 0)
            request->unknown_must[0] = '?';
    }
    free(names);
    return AFAR_OK;
}

/* A field that is one of a few words. Absent: the first of them. */
struct choice {
    const char *key;
    const char *words[2];
    const char *expected;
};

static enum afar_status decode_choice(const cJSON *object, const struct choice *choice, size_t *at,
                                      struct afar_error *err)
{
    *at = 0;
    if (cJSON_GetObjectItemCaseSensitive(object, choice->key) == NULL)
        return AFAR_OK;
    char word[MESSAGE_WORD_BYTES];
    enum afar_status status = json_get_string(object, choice->key, true, word, sizeof word, err);
    if (status != AFAR_OK)
        return status;
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(word, choice->words[i]) == 0) {
            *at = i;
            return AFAR_OK;
        }
    }
    return afar_fail(err, AFAR_EPEER, "\"%s\" must be %s", choice->key, choice->expected);
}

/* The environment and the working directory in which the command starts. */
static enum afar_status decode_home(struct exec_request *request, const cJSON *object,
                                    struct afar_error *err)
{
    char word[MESSAGE_WORD_BYTES];
    enum afar_status status = json_get_bool(object, "home", &request->home, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "login", &request->login, err);
    if (status == AFAR_OK)
        status = json_get_strings(object, "env_if_allowed", EXEC_WORDS_MAX,
                                  &request->env_if_allowed, err);
    if (status != AFAR_OK || cJSON_GetObjectItemCaseSensitive(object, "shell_of") == NULL)
        return status;
    status = json_get_string(object, "shell_of", true, word, sizeof word, err);
    if (status == AFAR_OK && strcmp(word, "user") != 0)
        status = afar_fail(err, AFAR_EPEER, "\"shell_of\" must be user");
    request->shell_of_user = status == AFAR_OK;
    return status;
}

static enum afar_status decode_choices(struct exec_request *request, const cJSON *object,
                                       struct afar_error *err)
{
    static const struct choice choices[] = {
        {"when_full", {"block", "cut"}, "block or cut"},
        {"stdin", {"none", "stream"}, "none or stream"},
        {"digest", {"none", "sha256"}, "none or sha256"},
    };
    enum { CHOICES = sizeof choices / sizeof choices[0] };
    size_t at[CHOICES] = {0};
    for (size_t i = 0; i < CHOICES; i++) {
        enum afar_status status = decode_choice(object, &choices[i], &at[i], err);
        if (status != AFAR_OK)
            return status;
    }
    request->when_full = (enum when_full)at[0];
    request->stdin_stream = at[1] == 1;
    request->digest = at[2] == 1;
    return AFAR_OK;
}

static enum afar_status decode_counts(struct exec_request *request, const cJSON *object,
                                      size_t payload_bytes, struct afar_error *err)
{
    uint64_t argc = 0;
    uint64_t envc = 0;
    uint64_t cwdc = 0;
    uint64_t shellc = 0;
    enum afar_status status = json_get_integer(object, "argc", false, &argc, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "envc", false, &envc, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "cwdc", false, &cwdc, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "shellc", false, &shellc, err);
    if (status != AFAR_OK)
        return status;
    if (cwdc > 1 || shellc > 1)
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be 0 or 1", cwdc > 1 ? "cwdc" : "shellc");
    /* Each string takes a byte at least, its NUL; none of the four overflows 2^54. */
    const uint64_t all = argc + envc + cwdc + shellc;
    if (all > payload_bytes || (all == 0 && payload_bytes > 0))
        return afar_fail(err, AFAR_EPEER,
                         "\"argc\", \"envc\", \"cwdc\" and \"shellc\" do not describe a payload of "
                         "%zu bytes",
                         payload_bytes);
    if ((argc > 0 && request->argv != NULL) || (envc > 0 && request->env != NULL) ||
        (cwdc > 0 && request->cwd != NULL) || (shellc > 0 && request->shell != NULL))
        return afar_fail(err, AFAR_EPEER,
                         "argv, env, cwd or shell given both in JSON and in the payload");
    request->payload_argc = (size_t)argc;
    request->payload_envc = (size_t)envc;
    request->payload_cwd = cwdc == 1;
    request->payload_shell = shellc == 1;
    return AFAR_OK;
}

static enum afar_status decode_numbers(struct exec_request *request, const cJSON *object,
                                       struct afar_error *err)
{
    uint64_t version = 0;
    enum afar_status status = json_get_integer(object, "v", true, &version, err);
    if (status == AFAR_OK && version != MESSAGE_VERSION) {
        status = afar_fail(err, AFAR_EREFUSED,
                           "\"v\" is %llu, and this server speaks version %d of the protocol",
                           (unsigned long long)version, MESSAGE_VERSION);
        (void)snprintf(err->reason, sizeof err->reason, "unsupported");
    }
    if (status == AFAR_OK)
        status = json_get_integer(object, "timeout_ms", false, &request->timeout_ms, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "start_within_ms", false, &request->start_within_ms, err);
    if (status == AFAR_OK)
        status = pty_request_decode(&request->pty, object, err);
    return status;
}

/* Whether the run outlives its connection, for how long, and who may come back to it. */
static enum afar_status decode_survival(struct exec_request *request, const cJSON *object,
                                        struct afar_error *err)
{
    enum afar_status status = json_get_bool(object, "keep", &request->keep, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "leave", &request->leave, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "resume_ms", false, &request->resume_ms, err);
    if (status == AFAR_OK)
        status = message_get_holder(object, false, request->holder, err);
    if (status == AFAR_OK)
        status = message_get_window_max(object, &request->window_max, err);
    if (status == AFAR_OK)
        status = json_get_text(object, "key", &request->key, err);
    if (status != AFAR_OK)
        return status;
    if (request->resume_ms > 0 && request->holder[0] == '\0')
        return afar_fail(err, AFAR_EPEER, "\"resume_ms\" needs a \"holder\"");
    size_t length = request->key == NULL ? 1 : strlen(request->key);
    if (length == 0 || length >= MESSAGE_KEY_BYTES)
        return afar_fail(err, AFAR_EPEER, "\"key\" has %zu bytes, 1 to %d are allowed", length,
                         MESSAGE_KEY_BYTES - 1);
    return AFAR_OK;
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

/* A service has no arguments, no environment and no terminal. */
static enum afar_status check_service(const struct exec_request *request, const char *field,
                                      struct afar_error *err)
{
    if (request->env != NULL || request->payload_envc > 0 || request->pty != NULL ||
        request->keep || request->key != NULL)
        return afar_fail(err, AFAR_EPEER, "\"%s\" does not go with env, pty, keep and key", field);
    if (!request->stdin_stream)
        return afar_fail(err, AFAR_EPEER, "\"%s\" needs \"stdin\":\"stream\"", field);
    return AFAR_OK;
}

static enum afar_status check_subsystem(const struct exec_request *request, struct afar_error *err)
{
    size_t length = strlen(request->subsystem);
    if (length == 0 || length > EXEC_SUBSYSTEM_BYTES)
        return afar_fail(err, AFAR_EPEER, "\"subsystem\" has %zu bytes, 1 to %d are allowed",
                         length, EXEC_SUBSYSTEM_BYTES);
    return check_service(request, "subsystem", err);
}

static enum afar_status check_forward(const struct exec_request *request, struct afar_error *err)
{
    struct forward_target target;
    struct afar_error why;
    if (forward_target_parse(&target, request->forward, &why) != AFAR_OK)
        return afar_fail(err, AFAR_EPEER, "\"forward\": %s", why.message);
    if (request->cwd != NULL || request->payload_cwd || request->home)
        return afar_fail(err, AFAR_EPEER, "\"forward\" does not go with cwd and home");
    return check_service(request, "forward", err);
}

static enum afar_status check_command(const struct exec_request *request, struct afar_error *err)
{
    bool has_argv = request->argv != NULL || request->payload_argc > 0;
    bool has_shell = request->shell != NULL || request->payload_shell;
    int given = (has_argv ? 1 : 0) + (has_shell ? 1 : 0) + (request->login ? 1 : 0) +
                (request->subsystem != NULL ? 1 : 0) + (request->forward != NULL ? 1 : 0);
    if (given != 1)
        return afar_fail(
            err, AFAR_EPEER,
            "give one of \"argv\", \"shell\", \"login\", \"subsystem\" and \"forward\"");
    if (request->subsystem != NULL)
        return check_subsystem(request, err);
    if (request->forward != NULL)
        return check_forward(request, err);
    if (request->home && (request->cwd != NULL || request->payload_cwd))
        return afar_fail(err, AFAR_EPEER, "\"home\" does not go with \"cwd\"");
    if (request->shell_of_user && !has_shell)
        return afar_fail(err, AFAR_EPEER, "\"shell_of\" needs \"shell\"");
    if (request->argv != NULL && request->argv[0] == NULL)
        return afar_fail(err, AFAR_EPEER, "\"argv\" must have at least one word");
    enum afar_status status = check_env(request->env, err);
    return status == AFAR_OK ? check_env(request->env_if_allowed, err) : status;
}

enum afar_status exec_request_decode(struct exec_request **request, const struct cJSON *object,
                                     size_t payload_bytes, struct afar_error *err)
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
        status = json_get_text(object, "subsystem", &made->subsystem, err);
    if (status == AFAR_OK)
        status = json_get_text(object, "forward", &made->forward, err);
    if (status == AFAR_OK)
        status = json_get_text(object, "cwd", &made->cwd, err);
    if (status == AFAR_OK)
        status = json_get_text(object, "user", &made->user, err);
    if (status == AFAR_OK)
        status = decode_survival(made, object, err);
    if (status == AFAR_OK)
        status = decode_choices(made, object, err);
    if (status == AFAR_OK)
        status = decode_home(made, object, err);
    if (status == AFAR_OK)
        status = decode_must(made, object, err);
    if (status == AFAR_OK)
        status = decode_counts(made, object, payload_bytes, err);
    if (status == AFAR_OK)
        status = check_command(made, err);
    if (status == AFAR_OK) {
        *request = made;
        made = NULL;
    }
    exec_request_free(made);
    return status;
}

/* Returns the size of the first `count` NUL-terminated strings, 0 if there are fewer. */
static size_t measure(const uint8_t *payload, size_t size, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *end = used == size ? NULL : memchr(payload + used, 0, size - used);
        if (end == NULL)
            return 0;
        used = (size_t)(end - payload) + 1;
    }
    return used;
}

static enum afar_status too_few(struct afar_error *err)
{
    return afar_fail(err, AFAR_EPEER, "the payload has fewer strings than the counts say");
}

/* Pointers and bytes share one block, as in json_get_strings: a payload can hold a million words,
 * and one allocation for each would take 32 times the payload's size. */
static enum afar_status take_strings(const uint8_t **payload, size_t *size, size_t count,
                                     char ***strings, struct afar_error *err)
{
    if (count == 0)
        return AFAR_OK;
    size_t bytes = measure(*payload, *size, count);
    if (bytes == 0)
        return too_few(err);
    char **made = malloc((count + 1) * sizeof *made + bytes);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a request");
    char *at = (char *)(made + count + 1);
    memcpy(at, *payload, bytes);
    for (size_t i = 0; i < count; i++) {
        made[i] = at;
        at += strlen(at) + 1;
    }
    made[count] = NULL;
    *strings = made;
    *payload += bytes;
    *size -= bytes;
    return AFAR_OK;
}

static enum afar_status take_text(const uint8_t **payload, size_t *size, char **text,
                                  struct afar_error *err)
{
    size_t bytes = measure(*payload, *size, 1);
    if (bytes == 0)
        return too_few(err);
    *text = malloc(bytes);
    if (*text == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a request");
    memcpy(*text, *payload, bytes);
    *payload += bytes;
    *size -= bytes;
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
        status = take_text(&payload, &size, &request->cwd, err);
    if (status == AFAR_OK && request->payload_shell)
        status = take_text(&payload, &size, &request->shell, err);
    if (status == AFAR_OK && size > 0)
        status = afar_fail(err, AFAR_EPEER, "the payload has more strings than the counts say");
    if (status == AFAR_OK)
        status = check_env(request->env, err);
    return status;
}
