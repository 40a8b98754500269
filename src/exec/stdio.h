/* The standard streams of a child: the ends that it gets, and ours.
 *
 * Owns:    all of its descriptors, close-on-exec, until they are taken out (as -1) or stdio_close.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef EXEC_STDIO_H
#define EXEC_STDIO_H

#include <stdbool.h>

#include "base/error.h"
#include "exec/pty.h"

struct stdio {
    int child[3]; /* the first -1: /dev/null, which is at every seat */
    int ours[3];  /* non-blocking; -1: there is none */
};

/* Three pipes, or two without `stdin_pipe`. AFAR_ESYSTEM; then too there is something to close. */
enum afar_status stdio_open_pipes(struct stdio *stdio, bool stdin_pipe, struct afar_error *err);

/* A terminal: ours are two descriptors of one master, the child's three of its slave. As
 * pty_open; then too there is something to close. */
enum afar_status stdio_open_terminal(struct stdio *stdio, const struct pty_wish *wish,
                                     char name[PTY_NAME_BYTES], struct afar_error *err);

void stdio_close(struct stdio *stdio);

#endif
