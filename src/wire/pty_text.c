#include "wire/pty_text.h"

#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define ALNUM LETTERS "abcdefghijklmnopqrstuvwxyz0123456789"

static bool is_made_of(const char *text, const char *letters, size_t space)
{
    size_t length = strlen(text);
    return length < space && strspn(text, letters) == length;
}

bool pty_is_term(const char *text)
{
    return is_made_of(text, ALNUM "._+-", PTY_TERM_BYTES) && text[0] != '\0' &&
           strchr(ALNUM, text[0]) != NULL;
}

bool pty_is_value(const char *text)
{
    return is_made_of(text, ALNUM "._@+-", PTY_VALUE_BYTES);
}

bool pty_is_locale_name(const char *text)
{
    if (strcmp(text, "LANG") == 0)
        return true;
    return strncmp(text, "LC_", 3) == 0 && text[3] != '\0' &&
           is_made_of(text, LETTERS "_", PTY_LOCALE_NAME_BYTES);
}
