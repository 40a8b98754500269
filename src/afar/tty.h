/* This program's own terminal while a command runs on one at the other side: its mode, its size,
 * and what the command has set on it.
 *
 * Owns:    the terminal's mode from tty_make_raw to tty_restore; a guard process meanwhile.
 * Threads: one.
 * Blocks:  tty_make_raw, tty_restore: until the terminal has shown what was written before (a
 *          terminal that is held back by Ctrl-S does not show it).
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
    bool shows; /* standard output is a terminal: what is set there is followed and undone */
    struct termios before;
    struct termios ours; /* while raw */
    struct term_modes modes;
    struct guard guard;
};

/* How the command's terminal is asked for: as this one is. */
struct tty_wish {
    struct afar_pty pty;
    const char *locale[TTY_LOCALES + 1]; /* point into the environment */
};
void tty_describe(struct tty_wish *wish, char *const *environment);

/* Standard input is a terminal. */
bool tty_is_there(void);

void tty_init(struct tty *tty);

/* From now on each key is the command's. False: errno; nothing has changed. Where it is raw already
 * nothing happens. */
bool tty_make_raw(struct tty *tty);

/* The terminal's mode is as before; with `undo` also what the command has set on it, and nothing
 * else. Nothing happens where it is not raw. */
void tty_restore(struct tty *tty, bool undo);

/* After a stop, in which somebody may have changed the mode: raw again, with what the command had
 * set. *changed: it was not so. False: as of tty_make_raw. */
bool tty_resume(struct tty *tty, bool *changed);

/* This program may use its terminal: it is not in the background. */
bool tty_in_foreground(void);

/* This is going to be written to standard output, or a part of it: whoever is killed in between
 * leaves it in order, too. */
void tty_foresee(struct tty *tty, const void *data, size_t size);

/* The command has written this, which standard output has taken. */
void tty_follow(struct tty *tty, const void *data, size_t size);

/* Writes it as if the command had, and all of it: a few bytes. */
void tty_put(struct tty *tty, const char *text);

/* Undoes what was followed, on a terminal that is not raw: nothing where nothing is set. */
void tty_undo(struct tty *tty);

/* The command shows the other screen. */
bool tty_is_alternate(const struct tty *tty);

/* Writes a line of ours over the last row, as much of it as it has room for; the cursor stays where
 * it is. Nothing in the middle of a sequence. */
void tty_put_last_row(const struct tty *tty, const char *text);

/* The bell, likewise. */
void tty_ring(const struct tty *tty);

/* Sets rows, cols and pixels of `pty`: the size of standard output, else of standard input, else of
 * the controlling terminal; 0 where none is known. */
void tty_size(struct afar_pty *pty);

/* One line of ours among the command's output; in its mode where it is raw. */
void tty_say(const struct tty *tty, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
