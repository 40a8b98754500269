/* Separates what is typed into keys for the command and escape commands for us, which follow Enter:
 *
 *     ~.  hang up    ~d  detach    ~^Z  suspend    ~s  state    ~?  help    ~~  a '~'
 *
 * A '~' at the beginning of a line is held back until the next byte; no other key is. Inside a
 * paste that the terminal has marked there are no escape commands.
 *
 * Owns:    nothing: plain values.
 * Threads: one.
 * Blocks:  never.
 * Limits:  one byte is held back. */
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

enum { ESCAPE_NONE = -1 }; /* no escape character: all is for the command */

struct escape {
    int character; /* 0 to 255, or ESCAPE_NONE */
    bool line_begins;
    bool held;
    bool pasting;
    unsigned char mark; /* how many bytes of a paste's mark have come */
};

/* Parses "~", "^]" (a control key), any one character, or "none". False: anything else. */
bool escape_parse(const char *text, int *character);

/* Writes it as escape_parse takes it: "~", "^]". */
enum { ESCAPE_NAME_BYTES = 8 };
void escape_name(int character, char out[ESCAPE_NAME_BYTES]);

void escape_init(struct escape *escape, int character);

/* Takes keys up to the first escape command: *action, or ESCAPE_NOTHING at the end of `keys`.
 * Writes the keys for the command to `out` (of `size` + 1 bytes), *out_size bytes. `marked`: the
 * program has asked the terminal to mark pastes. Returns how many keys were taken. */
size_t escape_take(struct escape *escape, const char *keys, size_t size, bool marked, char *out,
                   size_t *out_size, enum escape_action *action);

#endif
