#include "wire/pty_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "wire/json_field.h"

enum { KEY_BYTES = 64 };

void pty_request_init(struct pty_request *request)
{
    *request = (struct pty_request){.term = "dumb", .utf8 = true};
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum afar_status get_number(const cJSON *object, const char *prefix, const char *key,
                                   bool required, uint16_t *value, struct afar_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item == NULL && !required)
        return AFAR_OK;
    if (item == NULL)
        return afar_fail(err, AFAR_EPEER, "the field \"%s%s\" is missing", prefix, key);
    double number = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(number >= 0 && number <= UINT16_MAX) ||
        (double)(uint16_t)number != number)
        return afar_fail(err, AFAR_EPEER, "\"%s%s\" must be a whole number from 0 to %d", prefix,
                         key, UINT16_MAX);
    *value = (uint16_t)number;
    return AFAR_OK;
}

enum afar_status screen_size_decode(struct screen_size *size, const struct cJSON *object,
                                    const char *prefix, bool required, struct afar_error *err)
{
    enum afar_status status = get_number(object, prefix, "rows", required, &size->rows, err);
    if (status == AFAR_OK)
        status = get_number(object, prefix, "cols", required, &size->cols, err);
    if (status == AFAR_OK)
        status = get_number(object, prefix, "xpixel", false, &size->xpixel, err);
    if (status == AFAR_OK)
        status = get_number(object, prefix, "ypixel", false, &size->ypixel, err);
    return status;
}

/* Reads a string that `is_right` accepts. If it is absent `value` stays. */
static enum afar_status get_text(const cJSON *item, const char *key, bool (*is_right)(const char *),
                                 char *value, size_t size, struct afar_error *err)
{
    if (item == NULL)
        return AFAR_OK;
    if (!cJSON_IsString(item) || !is_right(item->valuestring))
        return afar_fail(err, AFAR_EPEER,
                         "\"%s\" must be a string of at most %zu letters, digits and few other "
                         "characters",
                         key, size - 1);
    memcpy(value, item->valuestring, strlen(item->valuestring) + 1);
    return AFAR_OK;
}

static enum afar_status get_locales(struct pty_request *request, const cJSON *object,
                                    struct afar_error *err)
{
    const cJSON *locales = cJSON_GetObjectItemCaseSensitive(object, "locale");
    const cJSON *item = NULL;
    if (locales == NULL)
        return AFAR_OK;
    if (!cJSON_IsObject(locales) || cJSON_GetArraySize(locales) > PTY_LOCALES_MAX)
        return afar_fail(err, AFAR_EPEER, "\"pty.locale\" must be an object of at most %d strings",
                         PTY_LOCALES_MAX);
    cJSON_ArrayForEach(item, locales)
    {
        char key[KEY_BYTES];
        struct pty_locale *locale = &request->locale[request->locale_count];
        if (!pty_is_locale_name(item->string))
            return afar_fail(err, AFAR_EPEER, "\"pty.locale\" has a name that is not LANG or LC_…");
        (void)snprintf(key, sizeof key, "pty.locale.%s", item->string);
        enum afar_status status =
            get_text(item, key, pty_is_value, locale->value, sizeof locale->value, err);
        if (status != AFAR_OK)
            return status;
        memcpy(locale->name, item->string, strlen(item->string) + 1);
        request->locale_count++;
    }
    return AFAR_OK;
}

static enum afar_status get_fields(struct pty_request *request, const cJSON *object,
                                   struct afar_error *err)
{
    const cJSON *utf8 = cJSON_GetObjectItemCaseSensitive(object, "utf8");
    if (utf8 != NULL && !cJSON_IsBool(utf8))
        return afar_fail(err, AFAR_EPEER, "\"pty.utf8\" must be true or false");
    request->utf8 = utf8 == NULL || cJSON_IsTrue(utf8);
    enum afar_status status = screen_size_decode(&request->size, object, "pty.", false, err);
    if (status == AFAR_OK)
        status = get_text(cJSON_GetObjectItemCaseSensitive(object, "term"), "pty.term", pty_is_term,
                          request->term, sizeof request->term, err);
    if (status == AFAR_OK)
        status = get_text(cJSON_GetObjectItemCaseSensitive(object, "color"), "pty.color",
                          pty_is_value, request->color, sizeof request->color, err);
    if (status == AFAR_OK)
        status = get_locales(request, object, err);
    return status;
}

enum afar_status pty_request_decode(struct pty_request **request, const struct cJSON *object,
                                    struct afar_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "pty");
    *request = NULL;
    if (item == NULL || cJSON_IsFalse(item))
        return AFAR_OK;
    if (!cJSON_IsTrue(item) && !cJSON_IsObject(item))
        return afar_fail(err, AFAR_EPEER, "\"pty\" must be an object, true or false");
    struct pty_request *made = malloc(sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a request");
    pty_request_init(made);
    enum afar_status status = cJSON_IsObject(item) ? get_fields(made, item, err) : AFAR_OK;
    if (status != AFAR_OK) {
        free(made);
        return status;
    }
    *request = made;
    return AFAR_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

bool pty_request_encode(const struct pty_request *request, struct cJSON *object)
{
    cJSON *pty = cJSON_AddObjectToObject(object, "pty");
    bool ok = pty != NULL && cJSON_AddStringToObject(pty, "term", request->term) != NULL &&
              json_add_positive(pty, "rows", request->size.rows) &&
              json_add_positive(pty, "cols", request->size.cols) &&
              json_add_positive(pty, "xpixel", request->size.xpixel) &&
              json_add_positive(pty, "ypixel", request->size.ypixel);
    if (request->color[0] != '\0')
        ok = ok && cJSON_AddStringToObject(pty, "color", request->color) != NULL;
    if (!request->utf8)
        ok = ok && cJSON_AddFalseToObject(pty, "utf8") != NULL;
    if (request->locale_count == 0)
        return ok;
    cJSON *locales = ok ? cJSON_AddObjectToObject(pty, "locale") : NULL;
    ok = locales != NULL;
    for (size_t i = 0; ok && i < request->locale_count; i++)
        ok = cJSON_AddStringToObject(locales, request->locale[i].name, request->locale[i].value) !=
             NULL;
    return ok;
}
