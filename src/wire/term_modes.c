#include "wire/term_modes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Based on P. Williams' state machine of the VT500's parser, without the states that no mode needs.
 * 8-bit controls are not recognized: in UTF-8 those bytes are parts of characters. */
enum state {
    GROUND,
    ESCAPE,              /* ESC */
    ESCAPE_INTERMEDIATE, /* ESC and 0x20 to 0x2f */
    CSI,                 /* ESC [ */
    CSI_IGNORE,          /* up to its final byte */
    STRING,              /* OSC, DCS, SOS, PM, APC: up to ST */
    STRING_ESCAPE        /* ESC in a string: begins ST or another sequence */
};

enum {
    BELL = 0x07,
    SHIFT_OUT = 0x0e,
    SHIFT_IN = 0x0f,
    CANCEL = 0x18,
    SUBSTITUTE = 0x1a,
    ESC = 0x1b,
    DELETE = 0x7f,
    PARAM_MAX = 65535,
    KITTY_PUSHED_MAX = 15
};

#define ALTERNATE ((uint32_t)TERM_ALTERNATE_1049 | TERM_ALTERNATE_1047 | TERM_ALTERNATE_47)
#define KITTY_PUSHED ((uint32_t)TERM_KITTY_PUSHED * KITTY_PUSHED_MAX)

/* The modes of DECSET, in the order in which they are undone. */
static const struct {
    uint32_t bit;
    uint16_t number;
    bool inverse; /* on by default: the bit says that it was reset */
} private_modes[] = {
    {TERM_MOUSE_PIXELS, 1016, false},
    {TERM_MOUSE_URXVT, 1015, false},
    {TERM_MOUSE_SGR, 1006, false},
    {TERM_MOUSE_UTF8, 1005, false},
    {TERM_FOCUS, 1004, false},
    {TERM_MOUSE_ANY, 1003, false},
    {TERM_MOUSE_DRAG, 1002, false},
    {TERM_MOUSE_BUTTONS, 1000, false},
    {TERM_MOUSE_X10, 9, false},
    {TERM_PASTE, 2004, false},
    {TERM_SYNCHRONIZED, 2026, false},
    {TERM_CURSOR_KEYS, 1, false},
    {TERM_NO_WRAP, 7, true},
    {TERM_HIDDEN_CURSOR, 25, true},
    {TERM_ALTERNATE_1049, 1049, false},
    {TERM_ALTERNATE_1047, 1047, false},
    {TERM_ALTERNATE_47, 47, false},
};

enum { PRIVATE_MODES = sizeof private_modes / sizeof private_modes[0] };

static void put_bit(struct term_modes *modes, uint32_t bit, bool on)
{
    modes->set = on ? modes->set | bit : modes->set & ~bit;
}

/* ---- what sequences do ----------------------------------------------------------------------- */

static void set_private(struct term_modes *modes, uint16_t number, bool on)
{
    for (size_t i = 0; i < PRIVATE_MODES; i++) {
        if (private_modes[i].number != number)
            continue;
        /* There is one alternate screen, however it is entered or left. */
        if ((private_modes[i].bit & ALTERNATE) != 0)
            put_bit(modes, ALTERNATE, false);
        put_bit(modes, private_modes[i].bit, on != private_modes[i].inverse);
    }
}

static uint16_t param(const struct term_modes *modes, size_t at)
{
    return at < modes->count ? modes->param[at] : 0;
}

/* Skips the parameters of colours: a 0 among them does not reset the attributes. */
static void set_attributes(struct term_modes *modes)
{
    if (modes->count == 0)
        put_bit(modes, TERM_ATTRIBUTES, false);
    for (size_t i = 0; i < modes->count; i++) {
        uint16_t number = modes->param[i];
        if (modes->sub[i])
            continue;
        put_bit(modes, TERM_ATTRIBUTES, number != 0);
        bool colour = number == 38 || number == 48 || number == 58;
        if (colour && i + 1 < modes->count && !modes->sub[i + 1])
            i += param(modes, i + 1) == 2 ? 4 : 2;
    }
}

static uint32_t pushed(uint32_t set)
{
    return (set & KITTY_PUSHED) / TERM_KITTY_PUSHED;
}

static void set_pushed(struct term_modes *modes, uint32_t count)
{
    uint32_t most = count > KITTY_PUSHED_MAX ? KITTY_PUSHED_MAX : count;
    modes->set = (modes->set & ~KITTY_PUSHED) | most * TERM_KITTY_PUSHED;
}

static void set_kitty_keys(struct term_modes *modes)
{
    uint32_t count = pushed(modes->set);
    uint32_t pops = param(modes, 0) > 0 ? param(modes, 0) : 1;
    switch (modes->prefix) {
    case '>':
        modes->kitty_flags = (uint8_t)param(modes, 0);
        set_pushed(modes, count + 1);
        break;
    case '<':
        set_pushed(modes, count > pops ? count - pops : 0);
        break;
    case '=':
        modes->kitty_flags = (uint8_t)param(modes, 0);
        put_bit(modes, TERM_KITTY_KEYS, modes->kitty_flags != 0);
        break;
    default:
        break;
    }
}

static void set_margins(struct term_modes *modes)
{
    put_bit(modes, TERM_MARGINS, param(modes, 0) > 1 || param(modes, 1) > 0);
}

/* DECSTR does not change the modes of mouse, pastes and screen. */
static void soft_reset(struct term_modes *modes)
{
    put_bit(modes,
            TERM_CURSOR_KEYS | TERM_KEYPAD | TERM_MARGINS | TERM_CHARSET | TERM_SHIFTED_OUT |
                TERM_ATTRIBUTES | TERM_NO_WRAP | TERM_HIDDEN_CURSOR,
            false);
}

static void end_csi(struct term_modes *modes, uint8_t final)
{
    const uint8_t prefix = modes->prefix;
    const uint8_t between = modes->intermediate;
    if (prefix == '?' && between == 0 && (final == 'h' || final == 'l')) {
        for (size_t i = 0; i < modes->count; i++)
            set_private(modes, modes->param[i], final == 'h');
    } else if (prefix == 0 && between == 0 && final == 'm') {
        set_attributes(modes);
    } else if (prefix == '>' && between == 0 && final == 'm' && param(modes, 0) == 4) {
        modes->other_keys = (uint8_t)param(modes, 1);
        put_bit(modes, TERM_OTHER_KEYS, modes->other_keys != 0);
    } else if (prefix == 0 && between == 0 && final == 'r') {
        set_margins(modes);
    } else if (between == 0 && final == 'u') {
        set_kitty_keys(modes);
    } else if (prefix == 0 && between == ' ' && final == 'q') {
        modes->cursor_shape = (uint8_t)param(modes, 0);
        put_bit(modes, TERM_CURSOR_SHAPE, modes->cursor_shape != 0);
    } else if (prefix == 0 && between == '!' && final == 'p') {
        soft_reset(modes);
    }
}

static void end_escape(struct term_modes *modes, uint8_t final)
{
    if (modes->intermediate == '(')
        put_bit(modes, TERM_CHARSET, final != 'B');
    else if (modes->intermediate != 0)
        return;
    else if (final == '=' || final == '>')
        put_bit(modes, TERM_KEYPAD, final == '=');
    else if (final == 'c') /* RIS resets everything */
        modes->set = 0;
}

/* ---- reading them ---------------------------------------------------------------------------- */

static void begin_csi(struct term_modes *modes)
{
    modes->state = CSI;
    modes->count = modes->prefix = 0;
    modes->too_many = false;
}

static void take_digit(struct term_modes *modes, uint8_t byte)
{
    if (modes->count == 0) {
        modes->param[0] = 0;
        modes->sub[0] = false;
        modes->count = 1;
    }
    if (modes->too_many)
        return;
    uint32_t value = (uint32_t)modes->param[modes->count - 1] * 10 + (byte - '0');
    modes->param[modes->count - 1] = (uint16_t)(value > PARAM_MAX ? PARAM_MAX : value);
}

static void take_separator(struct term_modes *modes, bool colon)
{
    if (modes->count == 0) {
        modes->param[0] = 0;
        modes->sub[0] = false;
        modes->count = 1;
    }
    if (modes->count == TERM_MODES_PARAMS) {
        modes->too_many = true;
        return;
    }
    modes->param[modes->count] = 0;
    modes->sub[modes->count] = colon;
    modes->count++;
}

static void take_csi(struct term_modes *modes, uint8_t byte)
{
    if (byte >= '0' && byte <= '9' && modes->intermediate == 0)
        take_digit(modes, byte);
    else if ((byte == ';' || byte == ':') && modes->intermediate == 0)
        take_separator(modes, byte == ':');
    else if (byte >= '<' && byte <= '?' && modes->count == 0 && modes->prefix == 0)
        modes->prefix = byte;
    else if (byte >= 0x20 && byte <= 0x2f)
        modes->intermediate = byte;
    else if (byte >= 0x30 && byte <= 0x3f)
        modes->state = CSI_IGNORE;
    else if (byte != DELETE) {
        if (byte < DELETE)
            end_csi(modes, byte);
        modes->state = GROUND;
    }
}

static void take_escape(struct term_modes *modes, uint8_t byte)
{
    bool first = modes->state == ESCAPE;
    if (byte >= 0x20 && byte <= 0x2f) {
        modes->intermediate = byte;
        modes->state = ESCAPE_INTERMEDIATE;
    } else if (first && byte == '[') {
        begin_csi(modes);
    } else if (first && strchr("]PX^_", byte) != NULL) {
        modes->string_is_osc = byte == ']';
        modes->state = STRING;
    } else if (byte != DELETE) {
        if (byte < DELETE)
            end_escape(modes, byte);
        modes->state = GROUND;
    }
}

static void begin_escape(struct term_modes *modes)
{
    modes->state = ESCAPE;
    modes->intermediate = 0;
}

/* Control characters take effect even in the middle of a sequence. */
static void take_control(struct term_modes *modes, uint8_t byte)
{
    bool in_string = modes->state == STRING || modes->state == STRING_ESCAPE;
    if (byte == ESC && in_string)
        modes->state = STRING_ESCAPE;
    else if (byte == ESC)
        begin_escape(modes);
    else if (byte == CANCEL || byte == SUBSTITUTE ||
             (byte == BELL && in_string && modes->string_is_osc))
        modes->state = GROUND;
    else if (!in_string && (byte == SHIFT_OUT || byte == SHIFT_IN))
        put_bit(modes, TERM_SHIFTED_OUT, byte == SHIFT_OUT);
}

static void take(struct term_modes *modes, uint8_t byte)
{
    if (byte < 0x20) {
        take_control(modes, byte);
        return;
    }
    switch ((enum state)modes->state) {
    case GROUND:
    case STRING:
        break;
    case STRING_ESCAPE: /* ST, or another sequence that ends the string */
        begin_escape(modes);
        take_escape(modes, byte);
        break;
    case ESCAPE:
    case ESCAPE_INTERMEDIATE:
        take_escape(modes, byte);
        break;
    case CSI:
        take_csi(modes, byte);
        break;
    case CSI_IGNORE:
        if (byte >= 0x40 && byte != DELETE)
            modes->state = GROUND;
        break;
    }
}

void term_modes_feed(struct term_modes *modes, const void *data, size_t size)
{
    const uint8_t *at = data;
    const uint8_t *end = at + size;
    while (at < end) {
        /* Skip text, which is most of the output. */
        while (modes->state == GROUND && at < end && *at >= 0x20)
            at++;
        if (at < end)
            take(modes, *at++);
    }
}

bool term_modes_at_rest(const struct term_modes *modes)
{
    return modes->state == GROUND;
}

bool term_modes_alternate(uint32_t set)
{
    return (set & ALTERNATE) != 0;
}

/* ---- writing them ---------------------------------------------------------------------------- */

struct text {
    char *out;
    size_t used;
};

/* TERM_MODES_TEXT_BYTES are enough for all that is ever put. */
__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(text->out + text->used, TERM_MODES_TEXT_BYTES - text->used, format, arguments);
    va_end(arguments);
    text->used += (size_t)length;
}

static void put_privates(struct text *text, uint32_t set, uint32_t of, bool undo)
{
    for (size_t i = 0; i < PRIVATE_MODES; i++) {
        if ((set & of & private_modes[i].bit) != 0)
            put(text, "\x1b[?%u%c", private_modes[i].number,
                private_modes[i].inverse == undo ? 'h' : 'l');
    }
}

size_t term_modes_undo(uint32_t set, char out[TERM_MODES_TEXT_BYTES])
{
    struct text text = {.out = out};
    const uint32_t last = ALTERNATE | TERM_NO_WRAP | TERM_HIDDEN_CURSOR;
    out[0] = '\0';
    if (pushed(set) > 0)
        put(&text, "\x1b[<%uu", (unsigned)pushed(set));
    if ((set & TERM_KITTY_KEYS) != 0)
        put(&text, "\x1b[=0u");
    if ((set & TERM_OTHER_KEYS) != 0)
        put(&text, "\x1b[>4m");
    put_privates(&text, set, ~last, true);
    /* Setting margins moves the cursor. Leaving the alternate screen restores it; on the normal
     * screen save and restore it here. */
    if ((set & TERM_MARGINS) != 0)
        put(&text, term_modes_alternate(set) ? "\x1b[r"
                                             : "\x1b"
                                               "7\x1b[r\x1b"
                                               "8");
    if ((set & TERM_KEYPAD) != 0)
        put(&text, "\x1b>");
    if ((set & TERM_CHARSET) != 0)
        put(&text, "\x1b(B");
    if ((set & TERM_SHIFTED_OUT) != 0)
        put(&text, "\x0f");
    if ((set & TERM_ATTRIBUTES) != 0)
        put(&text, "\x1b[0m");
    if ((set & TERM_CURSOR_SHAPE) != 0)
        put(&text, "\x1b[0 q");
    put_privates(&text, set, last, true);
    return text.used;
}

size_t term_modes_redo(const struct term_modes *modes, char out[TERM_MODES_TEXT_BYTES])
{
    struct text text = {.out = out};
    const uint32_t set = modes->set;
    out[0] = '\0';
    put_privates(&text, set, ALTERNATE, false);
    put_privates(&text, set, ~(ALTERNATE | TERM_SYNCHRONIZED), false);
    if ((set & TERM_KEYPAD) != 0)
        put(&text, "\x1b=");
    if ((set & TERM_CURSOR_SHAPE) != 0)
        put(&text, "\x1b[%u q", modes->cursor_shape);
    if ((set & TERM_OTHER_KEYS) != 0)
        put(&text, "\x1b[>4;%um", modes->other_keys);
    for (uint32_t i = 0; i < pushed(set); i++)
        put(&text, "\x1b[>%uu", modes->kitty_flags);
    if ((set & TERM_KITTY_KEYS) != 0)
        put(&text, "\x1b[=%uu", modes->kitty_flags);
    return text.used;
}
