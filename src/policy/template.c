#include "policy/template.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES = 60, WORD_BYTES = 1024 }; /* lines of the configuration are shorter */

/* One word of the text, without its quotes. */
struct token {
    char word[WORD_BYTES];
    size_t size;
    bool quoted; /* at least in part */
};

static const char blanks[] = " \t";

/* Reads text up to the closing quote; `at` is behind the opening one. Returns what follows; NULL:
 * no closing quote, or an unknown escape. */
static const char *read_quoted(struct token *token, const char *at)
{
    token->quoted = true;
    for (; *at != '"' && token->size < WORD_BYTES; at++) {
        const bool escaped = *at == '\\';
        if (escaped)
            at++;
        if (*at == '\0' || (escaped && *at != '"' && *at != '\\'))
            return NULL;
        token->word[token->size++] = *at;
    }
    return *at == '"' ? at + 1 : NULL;
}

/* Skips blanks and reads one word from *at. AFAR_EAGAIN: there is none. */
static enum afar_status next_token(struct token *token, const char **at, struct afar_error *err)
{
    const char *text = *at + strspn(*at, blanks);
    const char *begin = text;
    token->size = 0;
    token->quoted = false;
    if (*text == '\0')
        return AFAR_EAGAIN;
    while (text != NULL && *text != '\0' && strchr(blanks, *text) == NULL &&
           token->size < WORD_BYTES) {
        if (*text == '"')
            text = read_quoted(token, text + 1);
        else if (*text == '\\' || *text == '\'')
            return afar_fail(err, AFAR_EINVAL,
                             "'%.*s': a word with \\ or ' in it must stand in \"…\"", SHOWN_BYTES,
                             begin);
        else
            token->word[token->size++] = *text++;
    }
    if (text == NULL || token->size >= WORD_BYTES)
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s': a quote that does not end, or an escape other than \\\" and \\\\",
                         SHOWN_BYTES, begin);
    token->word[token->size] = '\0';
    *at = text;
    return AFAR_OK;
}

static enum afar_status add_word(struct template *template, const struct token *token,
                                 struct afar_error *err)
{
    bool star = !token->quoted && strchr(token->word, '*') != NULL;
    if (template->rest)
        return afar_fail(err, AFAR_EINVAL, "'**' stands for all the rest: nothing can follow it");
    if (star && strcmp(token->word, "**") == 0) {
        template->rest = true;
        return AFAR_OK;
    }
    if (star && strcmp(token->word, "*") != 0)
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s': '*' stands for a whole word; as a part of one it must be quoted",
                         SHOWN_BYTES, token->word);
    bool *longer = realloc(template->any, (template->words.count + 1) * sizeof *longer);
    if (longer == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    longer[template->words.count] = star;
    template->any = longer;
    return words_add(&template->words, token->word, token->size, err);
}

enum afar_status template_parse(struct template *template, const char *text, struct afar_error *err)
{
    struct token token;
    *template = (struct template){0};
    enum afar_status status = next_token(&token, &text, err);
    while (status == AFAR_OK) {
        status = add_word(template, &token, err);
        if (status == AFAR_OK)
            status = next_token(&token, &text, err);
    }
    if (status != AFAR_EAGAIN)
        return status;
    if (template->words.count == 0 && !template->rest)
        return afar_fail(err, AFAR_EINVAL, "expected a command");
    return AFAR_OK;
}

void template_close(struct template *template)
{
    words_close(&template->words);
    free(template->any);
    template->any = NULL;
}

enum afar_status template_split(struct words *words, const char *text, struct afar_error *err)
{
    struct token token;
    enum afar_status status = next_token(&token, &text, err);
    while (status == AFAR_OK) {
        status = words_add(words, token.word, token.size, err);
        if (status == AFAR_OK)
            status = next_token(&token, &text, err);
    }
    return status == AFAR_EAGAIN ? AFAR_OK : status;
}

bool template_match_arguments(const struct template *template, char *const *argv)
{
    size_t i = 1;
    if (argv[0] == NULL)
        return false;
    for (; i < template->words.count; i++) {
        if (argv[i] == NULL)
            return false;
        if (!template->any[i] && strcmp(argv[i], template->words.at[i]) != 0)
            return false;
    }
    return template->rest || argv[i] == NULL;
}

bool template_any_program(const struct template *template)
{
    return template->words.count == 0 || template->any[0];
}
