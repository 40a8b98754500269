#include "policy/audit_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/escape.h"
#include "base/utf8.h"

enum { KEY_BYTES = 40 };

static void put(struct audit_text *text, const char *data, size_t size)
{
    if (text->status == AFAR_OK)
        text->status = buffer_append(text->out, data, size, text->err);
}

void audit_text_put(struct audit_text *text, const char *json)
{
    put(text, json, strlen(json));
}

/* `suffix` becomes part of the key. */
static void put_key(struct audit_text *text, const char *key, const char *suffix)
{
    char field[KEY_BYTES];
    (void)snprintf(field, sizeof field, ",\"%s%s\":", key, suffix);
    audit_text_put(text, field);
}

/* Bytes that are not UTF-8 become \ufffd. */
static void put_string(struct audit_text *text, const char *value, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)value;
    audit_text_put(text, "\"");
    while (size > 0) {
        char piece[ESCAPE_BYTES];
        size_t taken = 0;
        put(text, piece, escape_one(bytes, size, ESCAPE_STRING, piece, &taken));
        bytes += taken;
        size -= taken;
    }
    audit_text_put(text, "\"");
}

static void put_hex(struct audit_text *text, const char *value, size_t size)
{
    audit_text_put(text, "\"");
    for (size_t i = 0; i < size; i++) {
        char digits[3];
        (void)snprintf(digits, sizeof digits, "%02x", (unsigned)(unsigned char)value[i]);
        put(text, digits, 2);
    }
    audit_text_put(text, "\"");
}

/* How many of `size` bytes to write so that they are at most `most` and no character is split. */
static size_t cut(const char *value, size_t size, size_t most, bool is_text)
{
    if (size <= most)
        return size;
    while (is_text && most > 0 && ((unsigned char)value[most] & 0xC0) == 0x80)
        most--;
    return most;
}

static void add_hash(struct audit_text *text, const char *key, struct digest *digest)
{
    char hex[DIGEST_HEX_BYTES];
    put_key(text, key, "_cut");
    audit_text_put(text, "true");
    enum afar_status status = digest_finish(digest, hex, text->err);
    if (text->status == AFAR_OK)
        text->status = status;
    put_key(text, key, "_sha256");
    put_string(text, hex, text->status == AFAR_OK ? strlen(hex) : 0);
}

/* NULL: it failed now or before, and text->status says why. */
static struct digest *new_digest(struct audit_text *text)
{
    struct digest *digest = NULL;
    if (text->status == AFAR_OK)
        text->status = digest_new(&digest, "sha256", text->err);
    return digest;
}

static void update(struct audit_text *text, struct digest *digest, const void *data, size_t size)
{
    if (text->status == AFAR_OK && size > 0)
        text->status = digest_update(digest, data, size, text->err);
}

static void add(struct audit_text *text, const char *key, const char *value, size_t most,
                bool is_text)
{
    size_t size = strlen(value);
    size_t shown = cut(value, size, most, is_text);
    put_key(text, key, is_text ? "" : "_hex");
    if (is_text)
        put_string(text, value, shown);
    else
        put_hex(text, value, shown);
    struct digest *digest = shown < size ? new_digest(text) : NULL;
    if (digest == NULL)
        return;
    update(text, digest, value, size);
    add_hash(text, key, digest);
    digest_free(digest);
}

void audit_text_add(struct audit_text *text, const char *key, const char *value, size_t most)
{
    if (value != NULL)
        add(text, key, value, most, true);
}

void audit_text_add_exactly(struct audit_text *text, const char *key, const char *value,
                            size_t most)
{
    if (value != NULL)
        add(text, key, value, most, utf8_valid(value, strlen(value)));
}

void audit_text_add_number(struct audit_text *text, const char *key, uint64_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%" PRIu64, number);
    put_key(text, key, "");
    audit_text_put(text, digits);
}

static size_t length_of(const char *word, char end)
{
    const char *at = end == '\0' ? NULL : strchr(word, end);
    return at == NULL ? strlen(word) : (size_t)(at - word);
}

static void add_hash_of_words(struct audit_text *text, const char *key, char *const *words,
                              char end)
{
    struct digest *digest = new_digest(text);
    if (digest == NULL)
        return;
    for (; *words != NULL; words++) {
        update(text, digest, *words, length_of(*words, end));
        update(text, digest, "", 1);
    }
    add_hash(text, key, digest);
    digest_free(digest);
}

void audit_text_add_words(struct audit_text *text, const char *key, char *const *words, char end,
                          size_t most)
{
    bool is_text = true;
    bool is_cut = false;
    if (words == NULL)
        return;
    for (char *const *word = words; *word != NULL; word++)
        is_text = is_text && utf8_valid(*word, length_of(*word, end));
    put_key(text, key, is_text ? "" : "_hex");
    audit_text_put(text, "[");
    for (char *const *word = words; *word != NULL && !is_cut; word++) {
        size_t size = length_of(*word, end);
        size_t room = most > 0 ? most - 1 : 0; /* for the NUL */
        size_t shown = cut(*word, size, room, is_text);
        is_cut = most == 0 || shown < size;
        if (is_cut && shown == 0)
            break;
        if (word != words)
            audit_text_put(text, ",");
        if (is_text)
            put_string(text, *word, shown);
        else
            put_hex(text, *word, shown);
        most -= shown + 1;
    }
    audit_text_put(text, "]");
    if (is_cut)
        add_hash_of_words(text, key, words, end);
}
