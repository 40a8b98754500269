/* A file description of our own for a pipe or terminal, so that O_NONBLOCK is set there and not on
 * one that other programs share.
 *
 * Owns:    nothing; the descriptor is the caller's.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef AFAR_REOPEN_H
#define AFAR_REOPEN_H

#include <stdbool.h>
#include <sys/stat.h>

/* Whether `fd`, of which `info` is, is a terminal. */
bool reopen_is_terminal(int fd, const struct stat *info);

/* Opens the pipe or terminal that `fd` refers to once more, non-blocking and close-on-exec, with
 * `access` O_RDONLY or O_WRONLY; `info` is fd's. -1: that would give another thing or did not work:
 * use `fd` itself, with care. */
int reopen_own(int fd, const struct stat *info, int access);

#endif
