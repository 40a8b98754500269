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

static const char *const owner_names[] = {[AFAR_BY_UNKNOWN] = "",
                                          [AFAR_BY_REQUEST] = "request",
                                          [AFAR_BY_RULE] = "rule",
                                          [AFAR_BY_SERVER] = "server"};

static const char *const killer_names[] = {[AFAR_KILLED_UNKNOWN] = "",
                                           [AFAR_KILLED_BY_REQUEST] = "request",
                                           [AFAR_KILLED_BY_SHUTDOWN] = "shutdown",
                                           [AFAR_KILLED_BY_RECORD] = "record"};

const char *message_limit_owner_name(enum afar_limit_owner owner)
{
    size_t at = (size_t)owner;
    return owner_names[at < sizeof owner_names / sizeof owner_names[0] ? at : 0];
}

const char *message_killer_name(enum afar_killer killer)
{
    size_t at = (size_t)killer;
    return killer_names[at < sizeof killer_names / sizeof killer_names[0] ? at : 0];
}

/* The index of a word in a list; 0 if it is not known: a later server may have others. */
static size_t find_word(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 1; i < count; i++) {
        if (strcmp(words[i], word) == 0)
            return i;
    }
    return 0;
}

static enum afar_status get_object(const cJSON *object, const char *key, const cJSON **item,
                                   struct afar_error *err)
{
    *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (*item != NULL && !cJSON_IsObject(*item))
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be an object", key);
    return AFAR_OK;
}

/* Reads a word that is shown to people; control characters become '?'. */
static enum afar_status get_word(const cJSON *object, const char *key, bool required, char *word,
                                 size_t size, struct afar_error *err)
{
    char text[AFAR_DIGEST_HEX_BYTES];
    enum afar_status status = json_get_string(object, key, required, text, size, err);
    if (status == AFAR_OK)
        utf8_copy(word, size, text);
    return status;
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
        status = get_word(object, "signal", receipt->outcome == AFAR_OUTCOME_SIGNALED,
                          receipt->signal, sizeof receipt->signal, err);
    if (status == AFAR_OK && receipt->outcome == AFAR_OUTCOME_SIGNALED &&
        receipt->signal[0] == '\0')
        status = afar_fail(err, AFAR_EPEER, "\"signal\" is empty");
    if (status == AFAR_OK && receipt->code >= 0 && receipt->signal[0] != '\0')
        status = afar_fail(err, AFAR_EPEER, "\"code\" and \"signal\" exclude each other");
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
    status =
        get_word(failure, "errno", false, receipt->error_name, sizeof receipt->error_name, err);
    if (status == AFAR_OK)
        status = get_word(failure, "stage", false, receipt->error_stage,
                          sizeof receipt->error_stage, err);
    return status;
}

/* The numbers, each with its JSON group and key and its offset in the struct: one table for both
 * directions. */
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

static enum afar_status decode_limit(struct afar_receipt *receipt, const cJSON *object,
                                     struct afar_error *err)
{
    char by[MESSAGE_WORD_BYTES];
    struct afar_limit *limit = &receipt->limit;
    const cJSON *group = NULL;
    enum afar_status status = get_object(object, "limit", &group, err);
    if (status != AFAR_OK || group == NULL)
        return status;
    status = json_get_line(group, "name", limit->name, sizeof limit->name, err);
    if (status == AFAR_OK)
        status = json_get_line(group, "by", by, sizeof by, err);
    if (status == AFAR_OK)
        status = json_get_integer(group, "ms", false, &limit->ms, err);
    if (status == AFAR_OK)
        status = json_get_integer(group, "bytes", false, &limit->bytes, err);
    if (status == AFAR_OK)
        status = json_get_integer(group, "count", false, &limit->count, err);
    if (status == AFAR_OK)
        limit->by = (enum afar_limit_owner)find_word(
            owner_names, sizeof owner_names / sizeof owner_names[0], by);
    return status;
}

static enum afar_status decode_processes(struct afar_processes *processes, const cJSON *object,
                                         const char *key, struct afar_error *err)
{
    const cJSON *group = NULL;
    enum afar_status status = get_object(object, key, &group, err);
    if (status != AFAR_OK || group == NULL)
        return status;
    status = json_get_integer(group, "count", true, &processes->count, err);
    const cJSON *first = cJSON_GetObjectItemCaseSensitive(group, "first");
    if (status == AFAR_OK && first != NULL && !cJSON_IsArray(first))
        status = afar_fail(err, AFAR_EPEER, "\"first\" of \"%s\" must be an array", key);
    const cJSON *item = first != NULL ? first->child : NULL;
    for (size_t i = 0;
         status == AFAR_OK && item != NULL && i < AFAR_PROCESSES_NAMED && i < processes->count;
         i++) {
        struct afar_process *process = &processes->first[i];
        if (!cJSON_IsObject(item))
            return afar_fail(err, AFAR_EPEER, "\"first\" of \"%s\" must have objects", key);
        status = json_get_integer(item, "pid", true, &process->pid, err);
        if (status == AFAR_OK)
            status = json_get_line(item, "name", process->name, sizeof process->name, err);
        item = item->next;
    }
    return status;
}

/* Decodes the fields that later versions have added. */
static enum afar_status decode_reasons(struct afar_receipt *receipt, const cJSON *object,
                                       struct afar_error *err)
{
    char killer[MESSAGE_WORD_BYTES];
    enum afar_status status = decode_limit(receipt, object, err);
    if (status == AFAR_OK)
        status = json_get_line(object, "killed_by", killer, sizeof killer, err);
    if (status == AFAR_OK)
        receipt->killed_by = (enum afar_killer)find_word(
            killer_names, sizeof killer_names / sizeof killer_names[0], killer);
    if (status == AFAR_OK)
        status = decode_processes(&receipt->ended, object, "ended", err);
    if (status == AFAR_OK)
        status = decode_processes(&receipt->held_by, object, "held_by", err);
    if (status == AFAR_OK)
        status = decode_processes(&receipt->left, object, "left", err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "leave_denied", &receipt->leave_denied, err);
    return status;
}

enum afar_status receipt_decode(struct afar_receipt *receipt, const struct cJSON *object,
                                struct afar_error *err)
{
    *receipt = (struct afar_receipt){.code = -1};
    enum afar_status status = decode_ending(receipt, object, err);
    if (status == AFAR_OK)
        status = decode_failure(receipt, object, err);
    if (status == AFAR_OK)
        status = decode_reasons(receipt, object, err);

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
        status = get_word(digest, "stdout", true, receipt->stdout_sha256,
                          sizeof receipt->stdout_sha256, err);
    if (status == AFAR_OK && digest != NULL)
        status = get_word(digest, "stderr", true, receipt->stderr_sha256,
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
        if (value == 0 && numbers[i].offset == offsetof(struct afar_receipt, max_rss_bytes))
            continue; /* not known */
        if (group == NULL || !json_add_integer(group, numbers[i].key, value))
            return false;
    }
    return true;
}

/* Accepts any bytes: a receipt's frame must be UTF-8. Cleaned text takes at most two bytes of JSON
 * for each of its own, on which MESSAGE_EXIT_BYTES relies. */
static bool add_line(cJSON *object, const char *key, const char *text)
{
    char clean[AFAR_RECEIPT_MESSAGE_BYTES];
    utf8_copy(clean, sizeof clean, text);
    return cJSON_AddStringToObject(object, key, clean) != NULL;
}

static bool encode_limit(const struct afar_limit *limit, cJSON *object)
{
    const struct {
        const char *key;
        uint64_t value;
    } amounts[] = {{"ms", limit->ms}, {"bytes", limit->bytes}, {"count", limit->count}};
    if (limit->name[0] == '\0')
        return true;
    cJSON *group = cJSON_AddObjectToObject(object, "limit");
    bool ok = group != NULL && add_line(group, "name", limit->name);
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        ok = ok &&
             (amounts[i].value == 0 || json_add_integer(group, amounts[i].key, amounts[i].value));
    const char *by = message_limit_owner_name(limit->by);
    return ok && (by[0] == '\0' || cJSON_AddStringToObject(group, "by", by) != NULL);
}

static bool encode_processes(const struct afar_processes *processes, const char *key, cJSON *object)
{
    if (processes->count == 0)
        return true;
    cJSON *group = cJSON_AddObjectToObject(object, key);
    bool ok = group != NULL && json_add_integer(group, "count", processes->count);
    cJSON *first = ok ? cJSON_AddArrayToObject(group, "first") : NULL;
    ok = first != NULL;
    for (size_t i = 0; ok && i < AFAR_PROCESSES_NAMED && i < processes->count; i++) {
        const struct afar_process *process = &processes->first[i];
        cJSON *item = cJSON_CreateObject();
        ok = item != NULL && cJSON_AddItemToArray(first, item);
        if (!ok)
            cJSON_Delete(item);
        ok = ok && json_add_integer(item, "pid", process->pid) &&
             add_line(item, "name", process->name);
    }
    return ok;
}

/* How the command ended, and why. */
static bool encode_ending(const struct afar_receipt *receipt, cJSON *object)
{
    bool ok = cJSON_AddStringToObject(object, "outcome", message_outcome_name(receipt->outcome));
    if (receipt->code >= 0)
        ok = ok && cJSON_AddNumberToObject(object, "code", receipt->code);
    if (receipt->signal[0] != '\0')
        ok = ok && add_line(object, "signal", receipt->signal);
    if (receipt->core_dumped)
        ok = ok && cJSON_AddTrueToObject(object, "core_dumped");
    if (receipt->stdio_held_open)
        ok = ok && cJSON_AddTrueToObject(object, "stdio_held_open");
    if (receipt->message[0] != '\0')
        ok = ok && add_line(object, "message", receipt->message);
    if (receipt->error_name[0] != '\0' || receipt->error_stage[0] != '\0') {
        cJSON *failure = ok ? cJSON_AddObjectToObject(object, "error") : NULL;
        ok = failure != NULL && add_line(failure, "errno", receipt->error_name) &&
             add_line(failure, "stage", receipt->error_stage);
    }
    ok = ok && encode_limit(&receipt->limit, object);
    const char *killer = message_killer_name(receipt->killed_by);
    if (killer[0] != '\0')
        ok = ok && cJSON_AddStringToObject(object, "killed_by", killer) != NULL;
    if (receipt->leave_denied)
        ok = ok && cJSON_AddTrueToObject(object, "leave_denied") != NULL;
    return ok && encode_processes(&receipt->ended, "ended", object) &&
           encode_processes(&receipt->held_by, "held_by", object) &&
           encode_processes(&receipt->left, "left", object);
}

bool receipt_encode(const struct afar_receipt *receipt, bool digest, struct cJSON *object)
{
    bool ok = encode_ending(receipt, object) && encode_numbers(receipt, object);
    if (digest) {
        cJSON *group = ok ? cJSON_AddObjectToObject(object, "sha256") : NULL;
        ok = group != NULL && add_line(group, "stdout", receipt->stdout_sha256) &&
             add_line(group, "stderr", receipt->stderr_sha256);
    }
    return ok;
}
