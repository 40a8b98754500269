/* This program's own terminal while a remote command uses one: its mode, its size, and the modes
 * that the command has set on it.
 *
 * Owns:    the terminal's mode from tty_make_raw to tty_restore; meanwhile a guard process.
 * Threads: one.
 * Blocks:  tty_make_raw, tty_restore: until the terminal has shown what was written before (one
 *          stopped by Ctrl-S does not show it).
 * Limits:  none. */
#ifndef AFAR_TTY_H
#define AFAR_TTY_H

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include <afar/afar.h>

#include "afar/guard.h"
#include "wire/term_modes.h"

enum { TTY_LOCALES = 16 };

struct tty {
    bool raw;
    bool shows; /* standard output is a terminal: modes are followed and undone there */
    struct termios before;
    struct termios ours; /* the mode while raw */
    struct term_modes modes;
    struct guard guard;
};

/* The request for the command's terminal: like this one. */
struct tty_wish {
    struct afar_pty pty;
    const char *locale[TTY_LOCALES + 1]; /* pointers into the environment */
};
void tty_describe(struct tty_wish *wish, char *const *environment);

/* True if standard input is a terminal. */
bool tty_is_there(void);

void tty_init(struct tty *tty);

/* Makes the terminal raw: each key goes to the command. Does nothing if it is raw. False: see
 * errno; nothing has changed. */
bool tty_make_raw(struct tty *tty);

/* Restores the mode; with `undo` also what the command has set. Does nothing unless raw. */
void tty_restore(struct tty *tty, bool undo);

/* After a stop, during which the mode may have been changed: makes it raw again, with the modes
 * that the command had set. *changed: false if nothing had to be done. False: as tty_make_raw. */
bool tty_resume(struct tty *tty, bool *changed);

/* True if this program is in the terminal's foreground. */
bool tty_in_foreground(void);

/* True if another program is there. Neither is true of a terminal that does not control us. */
bool tty_in_background(void);

/* Call before this, or a part of it, is written to standard output: if we are killed during the
 * write, the guard undoes its modes too. */
void tty_foresee(struct tty *tty, const void *data, size_t size);

/* Call after standard output has taken this output of the command. */
void tty_follow(struct tty *tty, const void *data, size_t size);

/* Writes a few bytes, completely, as if the command had written them. */
void tty_put(struct tty *tty, const char *text);

/* Undoes the modes that were followed, on a terminal that is not raw. */
void tty_undo(struct tty *tty);

/* True if the command shows the alternate screen. */
bool tty_is_alternate(const struct tty *tty);

/* Writes a message over the last row, cut to its width; the cursor stays. Writes nothing in the
 * middle of an escape sequence. */
void tty_put_last_row(const struct tty *tty, const char *text);

/* Rings the bell, likewise not in the middle of an escape sequence. */
void tty_ring(const struct tty *tty);

/* Sets rows, cols and pixels of `pty`: the size of standard output, else of standard input, else of
 * the controlling terminal; 0 if none is known. */
void tty_size(struct afar_pty *pty);

/* Writes a message on a line of its own, as the terminal's mode needs it. */
void tty_say(const struct tty *tty, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
