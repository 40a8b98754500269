#include "wire/json_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"
#include "wire/message.h"

static enum afar_status missing(const char *key, struct afar_error *err)
{
    return afar_fail(err, AFAR_EPEER, "the field \"%s\" is missing", key);
}

enum afar_status json_get_integer(const struct cJSON *object, const char *key, bool required,
                                  uint64_t *value, struct afar_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item == NULL)
        return required ? missing(key, err) : AFAR_OK;
    double number = item->valuedouble;
    /* The negated comparison also catches NaN; the range makes the conversion defined. */
    if (!cJSON_IsNumber(item) || !(number >= 0 && number <= (double)MESSAGE_INTEGER_MAX) ||
        (double)(uint64_t)number != number)
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be a whole number from 0 to 2^53-1", key);
    *value = (uint64_t)number;
    return AFAR_OK;
}

enum afar_status json_get_bool(const struct cJSON *object, const char *key, bool *value,
                               struct afar_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item == NULL)
        return AFAR_OK;
    if (!cJSON_IsBool(item))
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be true or false", key);
    *value = cJSON_IsTrue(item);
    return AFAR_OK;
}

enum afar_status json_get_string(const struct cJSON *object, const char *key, bool required,
                                 char *value, size_t size, struct afar_error *err)
{
    value[0] = '\0';
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item == NULL)
        return required ? missing(key, err) : AFAR_OK;
    if (!cJSON_IsString(item))
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be a string", key);
    size_t length = strlen(item->valuestring);
    if (length >= size)
        return afar_fail(err, AFAR_EPEER, "\"%s\" has %zu bytes, %zu at most are allowed", key,
                         length, size - 1);
    memcpy(value, item->valuestring, length + 1);
    return AFAR_OK;
}

enum afar_status json_get_job(const struct cJSON *object, const char *key, bool required,
                              char *value, size_t size, struct afar_error *err)
{
    enum afar_status status = json_get_string(object, key, required, value, size, err);
    for (const char *at = value; status == AFAR_OK && *at != '\0'; at++) {
        if (!((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') ||
              (*at >= 'A' && *at <= 'Z')))
            status = afar_fail(err, AFAR_EPEER, "\"%s\" must be letters and digits", key);
    }
    if (status != AFAR_OK)
        value[0] = '\0';
    return status;
}

enum afar_status json_get_line(const struct cJSON *object, const char *key, char *value,
                               size_t size, struct afar_error *err)
{
    value[0] = '\0';
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item == NULL)
        return AFAR_OK;
    if (!cJSON_IsString(item))
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be a string", key);
    utf8_copy(value, size, item->valuestring);
    return AFAR_OK;
}

enum afar_status json_get_text(const struct cJSON *object, const char *key, char **value,
                               struct afar_error *err)
{
    *value = NULL;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item == NULL)
        return AFAR_OK;
    if (!cJSON_IsString(item))
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be a string", key);
    *value = strdup(item->valuestring);
    if (*value == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for \"%s\"", key);
    return AFAR_OK;
}

enum afar_status json_get_strings(const struct cJSON *object, const char *key, size_t max,
                                  char ***value, struct afar_error *err)
{
    *value = NULL;
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, key);
    if (array == NULL)
        return AFAR_OK;
    if (!cJSON_IsArray(array))
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be an array of strings", key);
    size_t count = (size_t)cJSON_GetArraySize(array);
    if (count > max)
        return afar_fail(err, AFAR_EPEER, "\"%s\" has %zu entries, %zu at most are allowed", key,
                         count, max);

    /* Pointers and bytes share one block: a header can hold thousands of words. */
    size_t bytes = (count + 1) * sizeof(char *);
    for (const cJSON *item = array->child; item != NULL; item = item->next) {
        if (!cJSON_IsString(item))
            return afar_fail(err, AFAR_EPEER, "\"%s\" must be an array of strings", key);
        bytes += strlen(item->valuestring) + 1;
    }
    char **strings = malloc(bytes);
    if (strings == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for \"%s\"", key);
    char *at = (char *)(strings + count + 1);
    size_t i = 0;
    for (const cJSON *item = array->child; item != NULL; item = item->next) {
        size_t length = strlen(item->valuestring) + 1;
        memcpy(at, item->valuestring, length);
        strings[i++] = at;
        at += length;
    }
    strings[i] = NULL;
    *value = strings;
    return AFAR_OK;
}

bool json_add_integer(struct cJSON *object, const char *key, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%" PRIu64,
                   value < MESSAGE_INTEGER_MAX ? value : MESSAGE_INTEGER_MAX);
    return cJSON_AddRawToObject(object, key, digits) != NULL;
}

bool json_add_positive(struct cJSON *object, const char *key, uint64_t value)
{
    return value == 0 || json_add_integer(object, key, value);
}
