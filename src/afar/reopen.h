/* Opens a pipe or terminal again, to get a file description of our own: O_NONBLOCK can be set there
 * without changing one that other programs share.
 *
 * Owns:    nothing; the descriptor is the caller's.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef AFAR_REOPEN_H
#define AFAR_REOPEN_H

#include <stdbool.h>
#include <sys/stat.h>

/* True if `fd`, whose fstat(2) result is `info`, is a terminal. */
bool reopen_is_terminal(int fd, const struct stat *info);

/* Opens the pipe or terminal `fd` again, non-blocking and close-on-exec, with `access` O_RDONLY or
 * O_WRONLY; `info` is fd's. -1: it failed, or would open something else: use `fd` itself, with
 * care. */
int reopen_own(int fd, const struct stat *info, int access);

#endif
