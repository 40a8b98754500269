/* A process that puts our terminal in order where we were killed and could not.
 *
 * It waits for the end of a pipe that only we hold open. It touches nothing where we have said that
 * all is well, nor where somebody else, such as the shell, has already changed the terminal.
 *
 * Owns:    the process, the pipe, and a page that is shared with it.
 * Threads: one.
 * Blocks:  guard_dismiss: until it has ended, which is at once.
 * Limits:  it holds the terminal and the pipe, and no other descriptor. */
#ifndef AFAR_GUARD_H
#define AFAR_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

struct guard_page {
    _Atomic uint32_t modes; /* those of wire/term_modes.h that are to be undone */
};

struct guard {
    pid_t pid; /* 0: none */
    int pipe_fd;
    struct guard_page *page;
};

/* Starts it for the terminal `fd`, whose mode is `raw` from now on, and was `before`; `modes_fd` is
 * where modes are undone, -1: nowhere. False: errno; there is none then. */
bool guard_start(struct guard *guard, int fd, int modes_fd, const struct termios *before,
                 const struct termios *raw);

/* These are to be undone. */
void guard_note(struct guard *guard, uint32_t modes);

/* The terminal is in order: the guard ends. */
void guard_dismiss(struct guard *guard);

/* TCSADRAIN: TCSAFLUSH would throw away what was typed ahead. A signal may come while the terminal
 * takes what is on its way to it: then at once. False: errno. */
bool guard_set_mode(int fd, const struct termios *mode);

/* Whether both are the same setting. */
bool guard_same_modes(const struct termios *a, const struct termios *b);

#endif
