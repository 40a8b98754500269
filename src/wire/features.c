#include "wire/features.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

/* In the order of enum feature. */
static const char *const names[] = {"detach", "digest",          "home",      "kill", "pty",
                                    "resume", "start_within_ms", "subsystem", "user", "keep",
                                    "leave",  "forward",         "times"};

enum { NAME_COUNT = sizeof names / sizeof names[0] };

void features_write(char out[FEATURES_BYTES], unsigned features)
{
    char *at = stpcpy(out, "[");
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if ((features & 1U << i) == 0)
            continue;
        at = stpcpy(at, at == out + 1 ? "\"" : ",\"");
        at = stpcpy(at, names[i]);
        at = stpcpy(at, "\"");
    }
    (void)stpcpy(at, "]");
}

static bool is_word(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

enum afar_status features_decode(const struct cJSON *object, char *words, size_t size,
                                 struct afar_error *err)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, "features");
    const cJSON *item = NULL;
    size_t used = 0;
    words[0] = '\0';
    if (array != NULL && !cJSON_IsArray(array))
        return afar_fail(err, AFAR_EPEER, "\"features\" must be an array");
    cJSON_ArrayForEach(item, array)
    {
        if (!cJSON_IsString(item))
            return afar_fail(err, AFAR_EPEER, "\"features\" must be strings");
        const char *word = item->valuestring;
        if (!is_word(word) || used + 1 + strlen(word) >= size)
            continue;
        used += (size_t)snprintf(words + used, size - used, "%s%s", used > 0 ? " " : "", word);
    }
    return AFAR_OK;
}
