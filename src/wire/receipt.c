#include "wire/receipt.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"
#include "wire/json_field.h"
#include "wire/message.h"

static const char *const outcome_names[] = {
    [AFAR_OUTCOME_EXITED] = "exited",
    [AFAR_OUTCOME_SIGNALED] = "signaled",
    [AFAR_OUTCOME_TIMED_OUT] = "timed_out",
    [AFAR_OUTCOME_OUTPUT_LIMIT] = "output_limit",
    [AFAR_OUTCOME_KILLED] = "killed",
    [AFAR_OUTCOME_DISCONNECTED] = "disconnected",
    [AFAR_OUTCOME_SPAWN_FAILED] = "spawn_failed",
    [AFAR_OUTCOME_SERVER_LOST] = "server_lost",
};

const char *message_outcome_name(enum afar_outcome outcome)
{
    size_t at = (size_t)outcome;
    return at < sizeof outcome_names / sizeof outcome_names[0] ? outcome_names[at] : "unknown";
}

bool message_outcome_parse(const char *name, enum afar_outcome *outcome)
{
    for (size_t i = 0; i < sizeof outcome_names / sizeof outcome_names[0]; i++) {
        if (strcmp(name, outcome_names[i]) == 0) {
            *outcome = (enum afar_outcome)i;
            return true;
        }
    }
    return false;
}

static enum afar_status get_object(const cJSON *object, const char *key, const cJSON **item,
                                   struct afar_error *err)
{
    *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (*item != NULL && !cJSON_IsObject(*item))
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be an object", key);
    return AFAR_OK;
}

static enum afar_status decode_ending(struct afar_receipt *receipt, const cJSON *object,
                                      struct afar_error *err)
{
    char outcome[MESSAGE_WORD_BYTES];
    enum afar_status status =
        json_get_string(object, "outcome", true, outcome, sizeof outcome, err);
    if (status != AFAR_OK)
        return status;
    if (!message_outcome_parse(outcome, &receipt->outcome))
        return afar_fail(err, AFAR_EPEER, "\"outcome\" is \"%s\", which is not known", outcome);

    uint64_t code = 0;
    receipt->code = -1;
    status = json_get_integer(object, "code", receipt->outcome == AFAR_OUTCOME_EXITED, &code, err);
    if (status == AFAR_OK && code > 255)
        status = afar_fail(err, AFAR_EPEER, "\"code\" must be 0 to 255");
    if (status == AFAR_OK && cJSON_GetObjectItemCaseSensitive(object, "code") != NULL)
        receipt->code = (int)code;
    if (status == AFAR_OK)
        status = json_get_string(object, "signal", receipt->outcome == AFAR_OUTCOME_SIGNALED,
                                 receipt->signal, sizeof receipt->signal, err);
    if (status == AFAR_OK && receipt->outcome == AFAR_OUTCOME_SIGNALED &&
        receipt->signal[0] == '\0')
        status = afar_fail(err, AFAR_EPEER, "\"signal\" is empty");
    if (status == AFAR_OK)
        status = json_get_bool(object, "core_dumped", &receipt->core_dumped, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "stdio_held_open", &receipt->stdio_held_open, err);
    if (status == AFAR_OK)
        status = json_get_line(object, "message", receipt->message, sizeof receipt->message, err);
    return status;
}

static enum afar_status decode_failure(struct afar_receipt *receipt, const cJSON *object,
                                       struct afar_error *err)
{
    const cJSON *failure = NULL;
    enum afar_status status = get_object(object, "error", &failure, err);
    if (status != AFAR_OK || failure == NULL)
        return status;
    status = json_get_string(failure, "errno", false, receipt->error_name,
                             sizeof receipt->error_name, err);
    if (status == AFAR_OK)
        status = json_get_string(failure, "stage", false, receipt->error_stage,
                                 sizeof receipt->error_stage, err);
    return status;
}

/* The numbers, by where they stand: one table for both directions. */
struct number_field {
    const char *group;
    const char *key;
    size_t offset;
};

#define NUMBER(group, key, member)                        \
    {                                                     \
        group, key, offsetof(struct afar_receipt, member) \
    }

static const struct number_field numbers[] = {
    NUMBER("bytes", "stdin", stdin_bytes),    NUMBER("bytes", "stdout", stdout_bytes),
    NUMBER("bytes", "stderr", stderr_bytes),  NUMBER("usage", "user_us", user_us),
    NUMBER("usage", "system_us", system_us),  NUMBER("usage", "max_rss_bytes", max_rss_bytes),
    NUMBER("timing", "queued_us", queued_us), NUMBER("timing", "spawn_us", spawn_us),
    NUMBER("timing", "run_us", run_us),       NUMBER("timing", "drain_us", drain_us),
};

enum { NUMBER_COUNT = sizeof numbers / sizeof numbers[0] };

enum afar_status receipt_decode(struct afar_receipt *receipt, const struct cJSON *object,
                                struct afar_error *err)
{
    *receipt = (struct afar_receipt){.code = -1};
    enum afar_status status = decode_ending(receipt, object, err);
    if (status == AFAR_OK)
        status = decode_failure(receipt, object, err);

    for (size_t i = 0; i < NUMBER_COUNT && status == AFAR_OK; i++) {
        const cJSON *group = NULL;
        status = get_object(object, numbers[i].group, &group, err);
        if (status != AFAR_OK || group == NULL)
            continue;
        uint64_t value = 0;
        status = json_get_integer(group, numbers[i].key, false, &value, err);
        memcpy((char *)receipt + numbers[i].offset, &value, sizeof value);
    }
    if (status != AFAR_OK)
        return status;

    const cJSON *digest = NULL;
    status = get_object(object, "sha256", &digest, err);
    if (status == AFAR_OK && digest != NULL)
        status = json_get_string(digest, "stdout", true, receipt->stdout_sha256,
                                 sizeof receipt->stdout_sha256, err);
    if (status == AFAR_OK && digest != NULL)
        status = json_get_string(digest, "stderr", true, receipt->stderr_sha256,
                                 sizeof receipt->stderr_sha256, err);
    return status;
}

static bool encode_numbers(const struct afar_receipt *receipt, cJSON *object)
{
    cJSON *group = NULL;
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        uint64_t value = 0;
        memcpy(&value, (const char *)receipt + numbers[i].offset, sizeof value);
        if (i == 0 || strcmp(numbers[i].group, numbers[i - 1].group) != 0)
            group = cJSON_AddObjectToObject(object, numbers[i].group);
        if (group == NULL || !json_add_integer(group, numbers[i].key, value))
            return false;
    }
    return true;
}

bool receipt_encode(const struct afar_receipt *receipt, bool digest, struct cJSON *object)
{
    bool ok = cJSON_AddStringToObject(object, "outcome", message_outcome_name(receipt->outcome));
    if (receipt->code >= 0)
        ok = ok && cJSON_AddNumberToObject(object, "code", receipt->code);
    if (receipt->signal[0] != '\0')
        ok = ok && cJSON_AddStringToObject(object, "signal", receipt->signal);
    if (receipt->core_dumped)
        ok = ok && cJSON_AddTrueToObject(object, "core_dumped");
    if (receipt->stdio_held_open)
        ok = ok && cJSON_AddTrueToObject(object, "stdio_held_open");
    if (receipt->message[0] != '\0') {
        /* It may quote a path of any bytes, and a frame that is not UTF-8 is no receipt. */
        char clean[AFAR_RECEIPT_MESSAGE_BYTES];
        utf8_copy(clean, sizeof clean, receipt->message);
        ok = ok && cJSON_AddStringToObject(object, "message", clean);
    }
    if (receipt->error_name[0] != '\0' || receipt->error_stage[0] != '\0') {
        cJSON *failure = ok ? cJSON_AddObjectToObject(object, "error") : NULL;
        ok = failure != NULL && cJSON_AddStringToObject(failure, "errno", receipt->error_name) &&
             cJSON_AddStringToObject(failure, "stage", receipt->error_stage);
    }
    ok = ok && encode_numbers(receipt, object);
    if (digest) {
        cJSON *group = ok ? cJSON_AddObjectToObject(object, "sha256") : NULL;
        ok = group != NULL && cJSON_AddStringToObject(group, "stdout", receipt->stdout_sha256) &&
             cJSON_AddStringToObject(group, "stderr", receipt->stderr_sha256);
    }
    return ok;
}
