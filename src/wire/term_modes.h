/* Follows, from a program's output, which modes of a terminal the program has set: they must be
 * undone if the program goes away without doing so, and set again on a terminal that has not seen
 * the output.
 *
 * It parses escape sequences as terminals do, but does not know what is on the screen.
 *
 * Owns:    plain values, which may be copied; all zero: a terminal on which nothing is set.
 * Threads: any; one at a time.
 * Blocks:  never.
 * Limits:  only the first TERM_MODES_PARAMS parameters of a sequence count; no memory but the
 *          struct. */
#ifndef WIRE_TERM_MODES_H
#define WIRE_TERM_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TERM_MODES_PARAMS = 24,
    TERM_MODES_TEXT_BYTES = 512 /* enough to undo or set all modes */
};

/* A set of modes is the uint32_t `set`. It is all that undoing needs, so it can be shared with a
 * process that watches. */
enum term_mode {
    TERM_MOUSE_X10 = 1 << 0,       /* ?9 */
    TERM_MOUSE_BUTTONS = 1 << 1,   /* ?1000 */
    TERM_MOUSE_DRAG = 1 << 2,      /* ?1002 */
    TERM_MOUSE_ANY = 1 << 3,       /* ?1003 */
    TERM_FOCUS = 1 << 4,           /* ?1004 */
    TERM_MOUSE_UTF8 = 1 << 5,      /* ?1005 */
    TERM_MOUSE_SGR = 1 << 6,       /* ?1006 */
    TERM_MOUSE_URXVT = 1 << 7,     /* ?1015 */
    TERM_MOUSE_PIXELS = 1 << 8,    /* ?1016 */
    TERM_PASTE = 1 << 9,           /* ?2004: marks around pasted text */
    TERM_SYNCHRONIZED = 1 << 10,   /* ?2026: nothing is shown until it is reset */
    TERM_CURSOR_KEYS = 1 << 11,    /* ?1 */
    TERM_KEYPAD = 1 << 12,         /* ESC = */
    TERM_MARGINS = 1 << 13,        /* CSI top ; bottom r */
    TERM_CHARSET = 1 << 14,        /* ESC ( and any letter but B */
    TERM_SHIFTED_OUT = 1 << 15,    /* SO */
    TERM_ATTRIBUTES = 1 << 16,     /* CSI … m */
    TERM_CURSOR_SHAPE = 1 << 17,   /* CSI … SP q */
    TERM_NO_WRAP = 1 << 18,        /* ?7 reset */
    TERM_HIDDEN_CURSOR = 1 << 19,  /* ?25 reset */
    TERM_ALTERNATE_1049 = 1 << 20, /* the alternate screen, and how it was entered */
    TERM_ALTERNATE_1047 = 1 << 21,
    TERM_ALTERNATE_47 = 1 << 22,
    TERM_OTHER_KEYS = 1 << 23,  /* CSI > 4 ; … m */
    TERM_KITTY_KEYS = 1 << 24,  /* CSI = … u */
    TERM_KITTY_PUSHED = 1 << 25 /* CSI > … u; bits 25 to 28 count up to 15 of them */
};

struct term_modes {
    uint32_t set;
    /* The sequence that is being parsed. */
    uint8_t state;
    uint8_t count;        /* number of parameters */
    uint8_t prefix;       /* one of < = > ? after CSI; 0: none */
    uint8_t intermediate; /* the last; 0: none */
    uint8_t kitty_flags;  /* last pushed or set */
    uint8_t cursor_shape; /* the last one set */
    uint8_t other_keys;   /* last value of CSI > 4 ; … m */
    bool string_is_osc;   /* BEL ends an OSC string, too */
    bool too_many;        /* too many parameters: the rest is ignored */
    uint16_t param[TERM_MODES_PARAMS];
    bool sub[TERM_MODES_PARAMS]; /* the parameter followed a colon */
};

/* Parses what the program has written, in pieces of any size. */
void term_modes_feed(struct term_modes *modes, const void *data, size_t size);

/* Writes the sequences that undo exactly the modes in `set`; "" for 0. Returns their length. */
size_t term_modes_undo(uint32_t set, char out[TERM_MODES_TEXT_BYTES]);

/* Writes the sequences that set these modes on a terminal where nothing is set, the alternate
 * screen first. Omits what a program sets anyway when it redraws (attributes, the character set),
 * the margins, which belong to another screen size, and synchronized output, which would hide it.
 * Returns the length. */
size_t term_modes_redo(const struct term_modes *modes, char out[TERM_MODES_TEXT_BYTES]);

/* True if the parser is not in the middle of a sequence. */
bool term_modes_at_rest(const struct term_modes *modes);

/* True if the alternate screen is shown. */
bool term_modes_alternate(uint32_t set);

#endif
