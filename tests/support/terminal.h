/* A program on a terminal of its own: standard input, output and error are a pseudo terminal, which
 * is also its controlling one (/dev/tty).
 *
 * Owns:    the process and the terminal, until terminal_finish.
 * Threads: one.
 * Blocks:  until the deadline at most (support/program.h).
 * Limits:  TERMINAL_BYTES of output are kept; more fails the test, unless it is forgotten. */
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
    char text[TERMINAL_BYTES]; /* what it has shown; NUL-terminated; lines end in \r\n */
    size_t size;
    size_t seen;  /* terminal_await has come so far */
    bool forgets; /* what no more fits takes the place of what is there */
};

/* Starts argv[0] as program_start would. */
void terminal_start(struct terminal *terminal, const char *const *argv);

/* The same, at a terminal of this size. */
void terminal_start_at(struct terminal *terminal, const char *const *argv, unsigned short rows,
                       unsigned short cols);

/* Reads until `text` has been shown. */
void terminal_expect(struct terminal *terminal, const char *text);

/* The same, only in what came since the last terminal_await; and what stands before it there is
 * gone. */
void terminal_await(struct terminal *terminal, const char *text);

/* Its size, as a window would change it. */
void terminal_size(struct terminal *terminal, unsigned short rows, unsigned short cols);

/* What a person would type; it is shown too, as terminals do. */
void terminal_type(struct terminal *terminal, const char *keys);

/* Much that is typed at once. What is shown meanwhile is read and forgotten, as is all before it; and
 * it may be more than fits from now on. */
void terminal_paste(struct terminal *terminal, const void *data, size_t size);

/* The same without an end: until nothing has gone in for so long, or all has; so much has. */
size_t terminal_paste_some(struct terminal *terminal, const void *data, size_t size,
                           int64_t idle_ms);

/* As when the window is closed. */
void terminal_close(struct terminal *terminal);

/* Reads to the end; the exit status, or 128+N. */
int terminal_finish(struct terminal *terminal);

#endif
