#include "wire/json_check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"

/* cJSON 1.7 accepts more than JSON: a byte order mark, any byte below 0x21 as white space, 01 and
 * 1. as numbers, and an escape like \uzzzz, which it reads as a NUL. So the grammar is checked
 * here, and cJSON only ever builds the tree. */

struct reader {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    struct afar_error *err;
};

static enum afar_status bad(const struct reader *reader, const char *what)
{
    return afar_fail(reader->err, AFAR_EPEER, "the header is not JSON: %s at byte %zu", what,
                     (size_t)(reader->at - reader->start));
}

/* The next byte; 0 at the end, which is unambiguous because JSON text has no NUL byte. */
static uint8_t next_byte(const struct reader *reader)
{
    return reader->at < reader->end ? *reader->at : 0;
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
                                        *reader->at == '\r' || *reader->at == '\n'))
        reader->at++;
}

static bool skip_digits(struct reader *reader)
{
    const uint8_t *first = reader->at;
    while (next_byte(reader) >= '0' && next_byte(reader) <= '9')
        reader->at++;
    return reader->at > first;
}

static enum afar_status check_number(struct reader *reader)
{
    const uint8_t *first = reader->at;
    if (next_byte(reader) == '-')
        reader->at++;
    bool zero = next_byte(reader) == '0';
    const uint8_t *digits = reader->at;
    if (!skip_digits(reader) || (zero && reader->at - digits > 1))
        return bad(reader, "a bad number");
    if (next_byte(reader) == '.') {
        reader->at++;
        if (!skip_digits(reader))
            return bad(reader, "a bad number");
    }
    if (next_byte(reader) == 'e' || next_byte(reader) == 'E') {
        reader->at++;
        if (next_byte(reader) == '+' || next_byte(reader) == '-')
            reader->at++;
        if (!skip_digits(reader))
            return bad(reader, "a bad number");
    }
    if (reader->at - first > JSON_NUMBER_MAX_BYTES)
        return bad(reader, "a number that is too long");
    return AFAR_OK;
}

/* Reads the four digits of \uXXXX, past the "\u". */
static bool take_hex(struct reader *reader, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t byte = next_byte(reader);
        unsigned digit = 0;
        if (byte >= '0' && byte <= '9')
            digit = byte - '0';
        else if (byte >= 'a' && byte <= 'f')
            digit = byte - 'a' + 10U;
        else if (byte >= 'A' && byte <= 'F')
            digit = byte - 'A' + 10U;
        else
            return false;
        *code = *code * 16 + digit;
        reader->at++;
    }
    return true;
}

/* Reads an escape; the reader is at its backslash. */
static enum afar_status check_escape(struct reader *reader)
{
    reader->at++;
    uint8_t kind = next_byte(reader);
    if (kind == 0 || strchr("\"\\/bfnrtu", kind) == NULL)
        return bad(reader, "a bad escape");
    reader->at++;
    if (kind != 'u')
        return AFAR_OK;

    unsigned code = 0;
    if (!take_hex(reader, &code))
        return bad(reader, "a bad escape");
    if (code == 0)
        return bad(reader, "an escaped NUL");
    if (code < 0xD800 || code > 0xDFFF)
        return AFAR_OK;
    /* Half a surrogate pair is not a character. */
    unsigned low = 0;
    if (code > 0xDBFF || reader->end - reader->at < 2 || memcmp(reader->at, "\\u", 2) != 0)
        return bad(reader, "half a surrogate pair");
    reader->at += 2;
    if (!take_hex(reader, &low) || low < 0xDC00 || low > 0xDFFF)
        return bad(reader, "half a surrogate pair");
    return AFAR_OK;
}

static enum afar_status check_string(struct reader *reader)
{
    if (next_byte(reader) != '"')
        return bad(reader, "a string is missing");
    reader->at++;
    while (reader->at < reader->end && *reader->at != '"') {
        if (*reader->at < 0x20)
            return bad(reader, "a control character in a string");
        if (*reader->at != '\\') {
            reader->at++;
            continue;
        }
        enum afar_status status = check_escape(reader);
        if (status != AFAR_OK)
            return status;
    }
    if (reader->at == reader->end)
        return bad(reader, "a string without an end");
    reader->at++;
    return AFAR_OK;
}

static enum afar_status check_word(struct reader *reader, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return bad(reader, "an unknown word");
    reader->at += length;
    return AFAR_OK;
}

static enum afar_status check_value(struct reader *reader, unsigned depth);

/* The members of an object or array, past its opening bracket. */
static enum afar_status check_members(struct reader *reader, unsigned depth, uint8_t close)
{
    skip_space(reader);
    if (next_byte(reader) == close) {
        reader->at++;
        return AFAR_OK;
    }
    for (;;) {
        enum afar_status status = AFAR_OK;
        if (close == '}') {
            skip_space(reader);
            status = check_string(reader);
            skip_space(reader);
            if (status == AFAR_OK && next_byte(reader) != ':')
                status = bad(reader, "no colon after a key");
            if (status != AFAR_OK)
                return status;
            reader->at++;
        }
        status = check_value(reader, depth);
        if (status != AFAR_OK)
            return status;
        skip_space(reader);
        uint8_t byte = next_byte(reader);
        if (byte != ',' && byte != close)
            return bad(reader, "neither a comma nor a closing bracket");
        reader->at++;
        if (byte == close)
            return AFAR_OK;
    }
}

/* Recurses at most JSON_DEPTH_MAX deep. */
static enum afar_status check_value(struct reader *reader, unsigned depth)
{
    skip_space(reader);
    uint8_t byte = next_byte(reader);
    if (byte == '{' || byte == '[') {
        if (depth == JSON_DEPTH_MAX)
            return afar_fail(reader->err, AFAR_EPEER, "the header is nested more than %d deep",
                             JSON_DEPTH_MAX);
        reader->at++;
        return check_members(reader, depth + 1, byte == '{' ? '}' : ']');
    }
    if (byte == '"')
        return check_string(reader);
    if (byte == '-' || (byte >= '0' && byte <= '9'))
        return check_number(reader);
    if (byte == 't')
        return check_word(reader, "true");
    if (byte == 'f')
        return check_word(reader, "false");
    if (byte == 'n')
        return check_word(reader, "null");
    return bad(reader, "a value is missing");
}

enum afar_status json_check_text(const uint8_t *text, size_t size, struct afar_error *err)
{
    if (size > 0 && memchr(text, 0, size) != NULL)
        return afar_fail(err, AFAR_EPEER, "the header has a NUL byte");
    if (!utf8_valid(text, size))
        return afar_fail(err, AFAR_EPEER, "the header is not UTF-8");
    struct reader reader = {.start = text, .at = text, .end = text, .err = err};
    if (size > 0)
        reader.end = text + size;
    enum afar_status status = check_value(&reader, 0);
    if (status != AFAR_OK)
        return status;
    skip_space(&reader);
    if (reader.at != reader.end)
        return bad(&reader, "something after the end");
    return AFAR_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts the keys: comparing each with each would take milliseconds for a header made for that
 * purpose. */
static enum afar_status check_object(const cJSON *object, struct afar_error *err)
{
    const char *keys[JSON_KEYS_MAX];
    size_t count = 0;
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        if (count == JSON_KEYS_MAX)
            return afar_fail(err, AFAR_EPEER, "an object in the header has more than %d keys",
                             JSON_KEYS_MAX);
        keys[count++] = item->string;
    }
    if (count < 2)
        return AFAR_OK;
    qsort(keys, count, sizeof keys[0], compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return afar_fail(err, AFAR_EPEER, "the header has the key \"%.64s\" twice", keys[i]);
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
    /* Recurses only as deep as json_check_text allowed. */
    for (const cJSON *item = tree->child; item != NULL; item = item->next) {
        enum afar_status status = json_check_keys(item, err);
        if (status != AFAR_OK)
            return status;
    }
    return AFAR_OK;
}

enum afar_status json_parse_object(struct cJSON **tree, const uint8_t *text, size_t size,
                                   struct afar_error *err)
{
    *tree = NULL;
    enum afar_status status = json_check_text(text, size, err);
    if (status != AFAR_OK)
        return status;
    cJSON *parsed = cJSON_ParseWithLength((const char *)text, size);
    if (parsed == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a header of %zu bytes", size);
    if (!cJSON_IsObject(parsed)) {
        status = afar_fail(err, AFAR_EPEER, "the header is not a JSON object");
        goto out;
    }
    status = json_check_keys(parsed, err);
    if (status == AFAR_OK) {
        *tree = parsed;
        parsed = NULL;
    }
out:
    cJSON_Delete(parsed);
    return status;
}
