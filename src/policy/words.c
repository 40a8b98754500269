#include "policy/words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void words_close(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->at[i]);
    free(words->at);
    *words = (struct words){0};
}

enum afar_status words_add(struct words *words, const char *text, size_t size,
                           struct afar_error *err)
{
    char **longer = realloc(words->at, (words->count + 2) * sizeof *longer);
    if (longer == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    words->at = longer;
    char *copy = strndup(text, size);
    words->at[words->count] = copy;
    if (copy == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    words->count++;
    words->at[words->count] = NULL;
    return AFAR_OK;
}

/* Whether no shell gives any character of the word a special meaning. */
static bool is_plain(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+./:,@%=";
    return word[0] != '\0' && word[strspn(word, plain)] == '\0';
}

/* Writes the word, quoted if necessary, to `out` unless that is NULL. Returns its length. */
static size_t quote(const char *word, char *out)
{
    static const char apostrophe[] = "'\\''";
    size_t used = 0;
    if (is_plain(word)) {
        if (out != NULL)
            memcpy(out, word, strlen(word));
        return strlen(word);
    }
    if (out != NULL)
        out[used] = '\'';
    used++;
    for (const char *at = word; *at != '\0'; at++) {
        size_t size = *at == '\'' ? sizeof apostrophe - 1 : 1;
        if (out != NULL)
            memcpy(out + used, *at == '\'' ? apostrophe : at, size);
        used += size;
    }
    if (out != NULL)
        out[used] = '\'';
    return used + 1;
}

enum afar_status words_quote(char *const *words, char **text, struct afar_error *err)
{
    size_t size = 1;
    for (char *const *at = words; *at != NULL; at++)
        size += quote(*at, NULL) + 1;
    char *made = malloc(size);
    *text = made;
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    size_t used = 0;
    for (char *const *at = words; *at != NULL; at++) {
        if (used > 0)
            made[used++] = ' ';
        used += quote(*at, made + used);
    }
    made[used] = '\0';
    return AFAR_OK;
}
