/* What is typed at a remote terminal: keys for the command, and those that are for us, after Enter:
 *
 *     ~.  hang up    ~d  detach    ~^Z  suspend    ~s  state    ~?  help    ~~  a '~'
 *
 * A '~' at the beginning of a line is held until the next byte, and nothing else ever is. Inside of
 * a paste that the terminal marks as one nothing is for us.
 *
 * Owns:    plain values.
 * Threads: one.
 * Blocks:  never.
 * Limits:  one byte is held. */
#ifndef AFAR_ESCAPE_H
#define AFAR_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

enum escape_action {
    ESCAPE_NOTHING,
    ESCAPE_HANG_UP,
    ESCAPE_DETACH,
    ESCAPE_SUSPEND,
    ESCAPE_STATE,
    ESCAPE_HELP
};

enum { ESCAPE_NONE = -1 }; /* no character: all is for the command */

struct escape {
    int character; /* 0 to 255, or ESCAPE_NONE */
    bool line_begins;
    bool held;
    bool pasting;
    unsigned char mark; /* so much of a paste's mark has come */
};

/* "~", "^]" (a control key), any one character, "none". False: it is none of these. */
bool escape_parse(const char *text, int *character);

void escape_init(struct escape *escape, int character);

/* Takes keys up to the first that asks for something: *action says what, ESCAPE_NOTHING at the end
 * of `keys`. Writes to `out` (of `size` + 1 bytes) what is for the command, *out_size bytes.
 * `marked`: the program has asked for pastes to be marked. Returns how many were taken. */
size_t escape_take(struct escape *escape, const char *keys, size_t size, bool marked, char *out,
                   size_t *out_size, enum escape_action *action);

#endif
