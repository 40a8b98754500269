/* A program on a terminal of its own: standard input, output and error are a pseudo terminal, which
 * is also its controlling one (/dev/tty).
 *
 * Owns:    the process and the terminal, until terminal_finish.
 * Threads: one.
 * Blocks:  until the deadline at most (support/program.h).
 * Limits:  TERMINAL_BYTES of output are kept; more fails the test. */
#ifndef SUPPORT_TERMINAL_H
#define SUPPORT_TERMINAL_H

#include <stddef.h>
#include <sys/types.h>

enum { TERMINAL_BYTES = 16384 };

struct terminal {
    pid_t pid;
    int fd;
    char text[TERMINAL_BYTES]; /* what it has shown; NUL-terminated; lines end in \r\n */
    size_t size;
};

/* Starts argv[0] as program_start would. */
void terminal_start(struct terminal *terminal, const char *const *argv);

/* Reads until `text` has been shown. */
void terminal_expect(struct terminal *terminal, const char *text);

/* What a person would type; it is shown too, as terminals do. */
void terminal_type(struct terminal *terminal, const char *keys);

/* Reads to the end; the exit status, or 128+N. */
int terminal_finish(struct terminal *terminal);

#endif
