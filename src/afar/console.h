/* The person's side of a command on a terminal: keys and what they ask of us, sizes, stops.
 *
 * Owns:    our terminal's mode (tty.h), and keys that the connection does not take yet.
 * Threads: one.
 * Blocks:  as tty.h.
 * Limits:  while CONSOLE_KEYS_BYTES of keys wait, no more are read, or they are dropped with a bell; a
 *          size is sent at most once in SIZE_EACH_MS. */
#ifndef AFAR_CONSOLE_H
#define AFAR_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/afar.h>

#include "afar/escape.h"
#include "afar/input.h"
#include "afar/tty.h"

enum { CONSOLE_KEYS_BYTES = 4096 };

struct console {
    const char *host;
    bool on;      /* the command has a terminal */
    bool own;     /* so have we, and its keys are the command's */
    bool follows; /* not own: what is shown here may set modes, which are undone at its end */
    bool drops;   /* keys that there is no room for: nobody takes any now, but some are for us */
    struct tty tty;
    struct escape escape;
    bool size_changed;    /* and was not told yet … */
    int64_t size_from_ms; /* … which may be done from then on */
    bool nudged;          /* a size that is wrong by one row was told, so that all is drawn again */
    bool replays;         /* what comes was shown before, on another terminal … */
    uint64_t replay;      /* … so much of it; then … */
    char modes[TERM_MODES_TEXT_BYTES]; /* … these hold */
    size_t start;                      /* of keys that were not taken yet */
    size_t end;
    char keys[INPUT_BYTES + 1];
};

/* `with_input`: our standard input is the command's. */
void console_init(struct console *console, const char *host, const struct afar_command *command,
                  bool with_input, int escape_character);

/* Not a person's command, but what it has shown: on a terminal what that sets is undone when it is
 * left. */
void console_follow_only(struct console *console);

/* The command runs: from now on keys are its. */
void console_begin(struct console *console);

/* The terminal is as it was; `undo`: what the command has set on it, too. May be repeated. */
void console_leave(struct console *console, bool undo);

/* Whether keys are to be read now. */
bool console_wants_keys(const struct console *console);

/* Takes what was read up to a key that asks for something that is not done here: the action.
 * ESCAPE_HANG_UP also where the terminal has gone. */
enum escape_action console_take(struct console *console, struct input *input);

/* The command's output, before it is written and when so much was. */
static inline void console_foresee(struct console *console, const void *data, size_t size)
{
    if (console->own || console->follows)
        tty_foresee(&console->tty, data, size);
}

static inline void console_follow(struct console *console, const void *data, size_t size)
{
    if (console->own || console->follows)
        tty_follow(&console->tty, data, size);
}

/* The command was on another terminal before: this one is made ready for what it has shown, of which
 * `replay` bytes come, and for its screen. */
void console_begin_screen(struct console *console, const char *modes, uint64_t replay);

/* How much of these bytes may be written before console_replayed is to be told. */
size_t console_part(const struct console *console, const void *data, size_t size);
void console_replayed(struct console *console, uint64_t size);

/* Something that is about the connection: as report() has it, or where each key is the command's as
 * one line of ours: on the other screen in its last row, of which console_redraw tells the command
 * that it is to be drawn again. */
void console_tell(const struct console *console, const char *text);
void console_redraw(struct console *console);

/* Our terminal has another size. */
void console_resized(struct console *console);

/* Stops this program, and all of its shell's job, until it is continued. The caller has called
 * console_leave and told the server. */
void console_stop(void);

/* It goes on, in the foreground or not. */
void console_continued(struct console *console);

/* Tells what size there is where that is due. */
void console_tick(struct console *console, struct afar_client *client, int64_t now_ms);

/* Milliseconds until then; -1: nothing is to be told. */
int console_timeout(const struct console *console, int64_t now_ms);

#endif
