/* A child process that restores our terminal if we are killed before we can.
 *
 * It waits for the end of a pipe that only we hold open. It changes nothing if we have said that
 * the terminal is in order, or if another program, such as the shell, has already changed the mode.
 *
 * Owns:    the process, the pipe, and a page that is shared with it.
 * Threads: one.
 * Blocks:  guard_dismiss: until the process has ended, which it does immediately.
 * Limits:  the process holds the terminal and the pipe, and no other descriptor. */
#ifndef AFAR_GUARD_H
#define AFAR_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

struct guard_page {
    _Atomic uint32_t modes; /* those of wire/term_modes.h to undo */
};

struct guard {
    pid_t pid; /* 0: none */
    int pipe_fd;
    struct guard_page *page;
};

/* Starts the guard for the terminal `fd`, whose mode is `raw` from now on and was `before`.
 * `modes_fd`: where to write what undoes modes; -1: nowhere. False: see errno; there is no guard
 * then. */
bool guard_start(struct guard *guard, int fd, int modes_fd, const struct termios *before,
                 const struct termios *raw);

/* Sets the modes to undo. */
void guard_note(struct guard *guard, uint32_t modes);

/* The terminal is in order: ends the guard. */
void guard_dismiss(struct guard *guard);

/* Sets the mode with TCSADRAIN (TCSAFLUSH would discard typed-ahead keys). If a signal interrupts
 * that wait, sets it immediately. False: see errno. */
bool guard_set_mode(int fd, const struct termios *mode);

/* True if both are the same mode. */
bool guard_same_modes(const struct termios *a, const struct termios *b);

#endif
