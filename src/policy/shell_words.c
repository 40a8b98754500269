#include "policy/shell_words.h"

#include <stdlib.h>
#include <string.h>

struct splitter {
    const char *at; /* position in the line */
    char *word;     /* the current word; as large as the line */
    size_t size;    /* of the current word … */
    bool in_word;   /* … which may be empty ('') */
    bool simple;    /* the line, so far */
};

static bool is_special(char byte)
{
    /* take_byte handles backslashes and quotes first. */
    return strchr("$`;&|<>()*?[~#\n", byte) != NULL;
}

static void add(struct splitter *splitter, char byte)
{
    splitter->word[splitter->size++] = byte;
    splitter->in_word = true;
}

/* Reads '…', from the byte behind the first quote. */
static void take_single(struct splitter *splitter)
{
    splitter->in_word = true;
    for (; *splitter->at != '\'' && *splitter->at != '\0'; splitter->at++) {
        splitter->simple = splitter->simple && *splitter->at != '\n';
        add(splitter, *splitter->at);
    }
    splitter->simple = splitter->simple && *splitter->at == '\'';
}

/* Reads "…", from the byte behind the first quote. In it, a backslash is literal unless it stands
 * before one of $ ` " \ and newline (POSIX, 2.2.3). */
static void take_double(struct splitter *splitter)
{
    splitter->in_word = true;
    for (; *splitter->at != '"' && *splitter->at != '\0'; splitter->at++) {
        char byte = *splitter->at;
        if (byte == '\\' && splitter->at[1] != '\0' && strchr("$`\"\\\n", splitter->at[1]) != NULL)
            byte = *++splitter->at;
        else if (byte == '$' || byte == '`')
            splitter->simple = false;
        splitter->simple = splitter->simple && byte != '\n';
        add(splitter, byte);
    }
    splitter->simple = splitter->simple && *splitter->at == '"';
}

static void take_byte(struct splitter *splitter)
{
    char byte = *splitter->at;
    if (byte == '\'' || byte == '"') {
        splitter->at++;
        if (byte == '\'')
            take_single(splitter);
        else
            take_double(splitter);
    } else if (byte == '\\') {
        byte = *++splitter->at;
        splitter->simple = splitter->simple && byte != '\0' && byte != '\n';
        add(splitter, byte);
    } else {
        splitter->simple = splitter->simple && !is_special(byte);
        add(splitter, byte);
    }
    if (*splitter->at != '\0')
        splitter->at++;
}

/* Whether the first word is "NAME=value", which sets a variable for the command. A quoted word of
 * this form, which would name a program, is treated the same: it is not meant in practice. */
static bool is_assignment(const struct words *words)
{
    return words->count > 0 && strchr(words->at[0], '=') != NULL;
}

enum afar_status shell_words_split(const char *line, struct words *words, bool *simple,
                                   struct afar_error *err)
{
    struct splitter splitter = {.at = line, .simple = true, .word = malloc(strlen(line) + 1)};
    enum afar_status status = AFAR_OK;
    *words = (struct words){0};
    *simple = false;
    if (splitter.word == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a decision");
    while (status == AFAR_OK && splitter.simple) {
        char byte = *splitter.at;
        if (byte != ' ' && byte != '\t' && byte != '\0') {
            take_byte(&splitter);
            continue;
        }
        if (splitter.in_word)
            status = words_add(words, splitter.word, splitter.size, err);
        splitter.size = 0;
        splitter.in_word = false;
        if (byte == '\0')
            break;
        splitter.at++;
    }
    free(splitter.word);
    *simple = status == AFAR_OK && splitter.simple && words->count > 0 && !is_assignment(words);
    if (!*simple)
        words_close(words);
    return status;
}
