/* The user's side of a command that runs on a terminal: keys and escape commands, sizes, stops.
 *
 * Owns:    our terminal's mode (tty.h), and keys that the connection does not take yet.
 * Threads: one.
 * Blocks:  as tty.h.
 * Limits:  while CONSOLE_KEYS_BYTES of keys wait, no more are read; or, with `drops`, more are
 *          dropped with a bell. A size is sent at most once in SIZE_EACH_MS. */
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
    bool own;     /* we have one too, and its keys go to the command */
    bool follows; /* not own, but undo the modes that shown output has set */
    bool drops;   /* while away: drop keys that have no room, but still look for escape commands */
    int link_fd;  /* the connection's socket, for its state; borrowed; -1: none */
    struct tty tty;
    struct escape escape;
    bool size_changed;                 /* the server must be told … */
    int64_t size_from_ms;              /* … at this time or later */
    bool nudged;                       /* first send a size wrong by one row: forces a redraw */
    bool replays;                      /* first comes output that another terminal has shown … */
    uint64_t replay;                   /* … of this many bytes; then … */
    char modes[TERM_MODES_TEXT_BYTES]; /* … write these modes */
    size_t start;                      /* keys that were not taken yet: start to end */
    size_t end;
    char keys[INPUT_BYTES + 1];
};

/* `with_input`: the command reads our standard input. `host` and `command` are borrowed. */
void console_init(struct console *console, const char *host, const struct afar_command *command,
                  bool with_input, int escape_character);

/* For output without keys: on a terminal, the modes that it sets are undone at the end. */
void console_follow_only(struct console *console);

/* The command runs: makes the terminal raw. */
void console_begin(struct console *console);

/* Restores the terminal's mode; with `undo` also the modes that the command has set; else those
 * stay, and are followed no further. May be repeated. */
void console_leave(struct console *console, bool undo);

/* True if keys should be read now. */
bool console_wants_keys(const struct console *console);

/* Takes what was read, up to an escape command that the caller must carry out: returns it.
 * ESCAPE_HANG_UP also if the terminal is gone. */
enum escape_action console_take(struct console *console, struct input *input);

/* Call with output before it is written (foresee), and with what was written (follow). */
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

/* The command was on another terminal before. Prepares this one for `replay` bytes that were shown
 * there, and then for its screen. */
void console_begin_screen(struct console *console, const char *modes, uint64_t replay);

/* How many of these bytes may be written before console_replayed is called with their number. */
size_t console_part(const struct console *console, const void *data, size_t size);
void console_replayed(struct console *console, uint64_t size);

/* Shows a message about the connection: by report(), or, while the terminal is raw, on a line of
 * its own; on the alternate screen in the last row. Then console_redraw makes the command draw that
 * row again. */
void console_tell(const struct console *console, const char *text);
void console_redraw(struct console *console);

/* Our terminal's size has changed. */
void console_resized(struct console *console);

/* Stops this program and the other processes of its process group by TSTP or TTOU, until continued.
 * Call console_leave first, and tell the server. */
void console_stop(int number);

/* Call after a stop, in the foreground or not. */
void console_continued(struct console *console);

/* Sends the size if that is due. */
void console_tick(struct console *console, struct afar_client *client, int64_t now_ms);

/* Milliseconds until console_tick is due; -1: never. */
int console_timeout(const struct console *console, int64_t now_ms);

#endif
