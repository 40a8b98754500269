#include "afar/escape.h"

#include <stdio.h>
#include <string.h>

enum { CONTROL_Z = 0x1a, CONTROL_BITS = 0x1f };

/* Both have the same length, and differ in one byte. */
static const char paste_begins[] = "\x1b[200~";
static const char paste_ends[] = "\x1b[201~";
enum { MARK_BYTES = sizeof paste_begins - 1 };

bool escape_parse(const char *text, int *character)
{
    if (strcmp(text, "none") == 0)
        *character = ESCAPE_NONE;
    else if (text[0] == '^' && text[1] >= '@' && text[1] <= '_' && text[2] == '\0')
        *character = text[1] & CONTROL_BITS;
    else if (text[0] != '\0' && text[1] == '\0' && text[0] != '\n' && text[0] != '\r')
        *character = (unsigned char)text[0];
    else
        return false;
    return true;
}

void escape_name(int character, char out[ESCAPE_NAME_BYTES])
{
    if (character == ESCAPE_NONE)
        (void)snprintf(out, ESCAPE_NAME_BYTES, "none");
    else if (character < ' ' || character == 0x7f)
        (void)snprintf(out, ESCAPE_NAME_BYTES, "^%c", character ^ 0x40);
    else if (character < 0x7f)
        (void)snprintf(out, ESCAPE_NAME_BYTES, "%c", character);
    else
        (void)snprintf(out, ESCAPE_NAME_BYTES, "\\%o", (unsigned)(character & 0xff));
}

void escape_init(struct escape *escape, int character)
{
    *escape = (struct escape){.character = character, .line_begins = true};
}

/* Follows the marks of a paste, byte by byte. */
static void follow_paste(struct escape *escape, char key, bool marked)
{
    const char *mark = escape->pasting ? paste_ends : paste_begins;
    if (!marked) {
        escape->pasting = false;
        escape->mark = 0;
        return;
    }
    if (key != mark[escape->mark])
        escape->mark = 0; /* this byte may still begin another mark */
    if (key == mark[escape->mark])
        escape->mark++;
    if (escape->mark < MARK_BYTES)
        return;
    escape->mark = 0;
    escape->pasting = !escape->pasting;
}

static enum escape_action action_of(char key)
{
    switch (key) {
    case '.':
        return ESCAPE_HANG_UP;
    case 'd':
        return ESCAPE_DETACH;
    case CONTROL_Z:
        return ESCAPE_SUSPEND;
    case 's':
        return ESCAPE_STATE;
    case '?':
        return ESCAPE_HELP;
    default:
        return ESCAPE_NOTHING;
    }
}

/* Takes the key after the escape character. True: it was an escape command. */
static bool take_second(struct escape *escape, char key, char *out, size_t *used,
                        enum escape_action *action)
{
    escape->held = false;
    if ((unsigned char)key == escape->character) /* "~~" sends one */
        return false;
    *action = action_of(key);
    if (*action == ESCAPE_NOTHING) {
        out[(*used)++] = (char)escape->character;
        return false;
    }
    escape->line_begins = true; /* another escape command may follow */
    return true;
}

size_t escape_take(struct escape *escape, const char *keys, size_t size, bool marked, char *out,
                   size_t *out_size, enum escape_action *action)
{
    size_t used = 0;
    size_t at = 0;
    *action = ESCAPE_NOTHING;
    while (at < size && *action == ESCAPE_NOTHING) {
        char key = keys[at++];
        bool was_held = escape->held;
        if (was_held && take_second(escape, key, out, &used, action))
            break;
        follow_paste(escape, key, marked);
        if (!was_held && escape->line_begins && !escape->pasting &&
            (unsigned char)key == escape->character && escape->character != ESCAPE_NONE) {
            escape->held = true;
            continue;
        }
        escape->line_begins = (key == '\r' || key == '\n') && !escape->pasting;
        out[used++] = key;
    }
    *out_size = used;
    return at;
}
