/* A program on a terminal of its own: a pseudo terminal is its standard input, output and error,
 * and its controlling terminal (/dev/tty).
 *
 * Owns:    the process and the terminal, until terminal_finish.
 * Threads: one.
 * Blocks:  at most until the deadline (support/program.h).
 * Limits:  TERMINAL_BYTES of output; more fails the test, unless `forgets`. */
#ifndef SUPPORT_TERMINAL_H
#define SUPPORT_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TERMINAL_BYTES = 262144 };

struct terminal {
    pid_t pid;
    int fd;
    char text[TERMINAL_BYTES]; /* the output, NUL-terminated; lines end in \r\n */
    size_t size;
    size_t seen;  /* end of what terminal_await has found */
    bool forgets; /* if `text` is full, it is cleared for new output */
};

/* Starts argv[0], found as program_start does. */
void terminal_start(struct terminal *terminal, const char *const *argv);

/* The same on a terminal of this size. */
void terminal_start_at(struct terminal *terminal, const char *const *argv, unsigned short rows,
                       unsigned short cols);

/* Reads until `text` is in the output. */
void terminal_expect(struct terminal *terminal, const char *text);

/* The same, only in the output after the last terminal_await. */
void terminal_await(struct terminal *terminal, const char *text);

/* Changes the size, as a window does. */
void terminal_size(struct terminal *terminal, unsigned short rows, unsigned short cols);

/* Types keys; the terminal may echo them. */
void terminal_type(struct terminal *terminal, const char *keys);

/* Types much at a time. Output that comes meanwhile and all output before is dropped; from now on
 * `forgets` is set. */
void terminal_paste(struct terminal *terminal, const void *data, size_t size);

/* The same, but stops when nothing was accepted for `idle_ms`. Returns how many bytes were
 * accepted. */
size_t terminal_paste_some(struct terminal *terminal, const void *data, size_t size,
                           int64_t idle_ms);

/* Closes the master, as when the window is closed. */
void terminal_close(struct terminal *terminal);

/* Reads to the end; returns the exit status, or 128+N. */
int terminal_finish(struct terminal *terminal);

#endif
