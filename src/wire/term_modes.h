/* Which modes of a terminal a program has set, as its output tells: what is to be undone when the
 * program goes away without doing so, and to be set again on a terminal that has not seen it.
 *
 * It reads escape sequences as terminals do, and knows nothing of what is on the screen.
 *
 * Owns:    plain values. A copy is a copy; zero is a terminal on which nothing was set.
 * Threads: any; one at a time.
 * Blocks:  never.
 * Limits:  TERM_MODES_PARAMS parameters of a sequence are looked at; no memory but the struct. */
#ifndef WIRE_TERM_MODES_H
#define WIRE_TERM_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TERM_MODES_PARAMS = 24,
    TERM_MODES_TEXT_BYTES = 512 /* what undoes or sets them all */
};

/* A set of these is the uint32_t `set`, which is all that undoing needs: it can be shared with a
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
    TERM_PASTE = 1 << 9,           /* ?2004: pastes come between marks */
    TERM_SYNCHRONIZED = 1 << 10,   /* ?2026: nothing is shown until it is reset */
    TERM_CURSOR_KEYS = 1 << 11,    /* ?1 */
    TERM_KEYPAD = 1 << 12,         /* ESC = */
    TERM_MARGINS = 1 << 13,        /* CSI top ; bottom r */
    TERM_CHARSET = 1 << 14,        /* ESC ( and anything but B */
    TERM_SHIFTED_OUT = 1 << 15,    /* SO */
    TERM_ATTRIBUTES = 1 << 16,     /* CSI … m */
    TERM_CURSOR_SHAPE = 1 << 17,   /* CSI … SP q */
    TERM_NO_WRAP = 1 << 18,        /* ?7 reset */
    TERM_HIDDEN_CURSOR = 1 << 19,  /* ?25 reset */
    TERM_ALTERNATE_1049 = 1 << 20, /* the other screen, and how it was asked for */
    TERM_ALTERNATE_1047 = 1 << 21,
    TERM_ALTERNATE_47 = 1 << 22,
    TERM_OTHER_KEYS = 1 << 23,  /* CSI > 4 ; … m */
    TERM_KITTY_KEYS = 1 << 24,  /* CSI = … u */
    TERM_KITTY_PUSHED = 1 << 25 /* CSI > … u, so often, up to 15: bits 25 to 28 */
};

struct term_modes {
    uint32_t set;
    /* Of a sequence that is under way. */
    uint8_t state;
    uint8_t count;        /* of parameters */
    uint8_t prefix;       /* one of < = > ? after CSI; 0: none */
    uint8_t intermediate; /* the last; 0: none */
    uint8_t kitty_flags;  /* the last that were pushed or set */
    uint8_t cursor_shape; /* the last */
    uint8_t other_keys;   /* the last value of CSI > 4 ; … m */
    bool string_is_osc;   /* BEL ends it, too */
    bool too_many;        /* parameters: the rest is not looked at */
    uint16_t param[TERM_MODES_PARAMS];
    bool sub[TERM_MODES_PARAMS]; /* it followed a colon */
};

/* What the program has written, in any pieces. */
void term_modes_feed(struct term_modes *modes, const void *data, size_t size);

/* Writes what undoes exactly these (term_modes.set): nothing for 0. Returns its length. */
size_t term_modes_undo(uint32_t set, char out[TERM_MODES_TEXT_BYTES]);

/* Writes what sets them on a terminal where nothing is set, the other screen first. Left out is
 * what a program that draws its screen again sets anyway: attributes, the character set, the
 * margins, which would be those of another size, and synchronized output, which would hide it. */
size_t term_modes_redo(const struct term_modes *modes, char out[TERM_MODES_TEXT_BYTES]);

/* Not in the middle of a sequence. */
bool term_modes_at_rest(const struct term_modes *modes);

/* The other screen is shown. */
bool term_modes_alternate(uint32_t set);

#endif
