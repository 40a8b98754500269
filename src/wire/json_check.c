#include "wire/json_check.h"

#include <stdbool.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"

/* Inside a string, at a backslash. Returns how many bytes belong to the escape, 0 for a bad one. */
static size_t escape_length(const uint8_t *text, size_t size)
{
    if (size < 2)
        return 0;
    if (text[1] != 'u')
        return 2;
    if (size < 6 || memcmp(text + 2, "0000", 4) == 0)
        return 0;
    return 6;
}

enum afar_status json_check_text(const uint8_t *text, size_t size, struct afar_error *err)
{
    if (memchr(text, 0, size) != NULL)
        return afar_fail(err, AFAR_EPEER, "the header has a NUL byte");
    if (!utf8_valid(text, size))
        return afar_fail(err, AFAR_EPEER, "the header is not UTF-8");

    bool in_string = false;
    unsigned depth = 0;
    size_t at = 0;
    while (at < size) {
        uint8_t byte = text[at];
        size_t length = 1;
        if (in_string && byte == '\\') {
            length = escape_length(text + at, size - at);
            if (length == 0)
                return afar_fail(err, AFAR_EPEER, "the header has a bad escape or an escaped NUL");
        } else if (in_string && byte < 0x20) {
            return afar_fail(err, AFAR_EPEER, "the header has a control character in a string");
        } else if (byte == '"') {
            in_string = !in_string;
        } else if (!in_string && (byte == '{' || byte == '[')) {
            depth++;
            if (depth > JSON_DEPTH_MAX)
                return afar_fail(err, AFAR_EPEER, "the header is nested more than %d deep",
                                 JSON_DEPTH_MAX);
        } else if (!in_string && (byte == '}' || byte == ']') && depth > 0) {
            depth--;
        }
        at += length;
    }
    return AFAR_OK;
}

/* Quadratic, but the header's 64 KiB hold no more than a few thousand keys; JSON_KEYS_MAX keeps
 * the worst case at half a million comparisons of short strings that mostly differ in the first
 * byte. */
static enum afar_status check_object(const cJSON *object, struct afar_error *err)
{
    unsigned count = 0;
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        if (++count > JSON_KEYS_MAX)
            return afar_fail(err, AFAR_EPEER, "an object in the header has more than %d keys",
                             JSON_KEYS_MAX);
        for (const cJSON *later = item->next; later != NULL; later = later->next) {
            if (strcmp(item->string, later->string) == 0)
                return afar_fail(err, AFAR_EPEER, "the header has the key \"%.64s\" twice",
                                 item->string);
        }
    }
    return AFAR_OK;
}

enum afar_status json_check_keys(const struct cJSON *tree, struct afar_error *err)
{
    if (cJSON_IsObject(tree)) {
        enum afar_status status = check_object(tree, err);
        if (status != AFAR_OK)
            return status;
    }
    /* As deep as json_check_text let the text be. */
    for (const cJSON *item = tree->child; item != NULL; item = item->next) {
        enum afar_status status = json_check_keys(item, err);
        if (status != AFAR_OK)
            return status;
    }
    return AFAR_OK;
}
