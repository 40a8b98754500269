/* The standard streams of a child: the ends that it gets, and ours.
 *
 * Owns:    its descriptors, which are close-on-exec; a caller that takes one out sets it to -1.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef EXEC_STDIO_H
#define EXEC_STDIO_H

#include <stdbool.h>

#include "base/error.h"
#include "exec/pty.h"

struct stdio {
    int child[3]; /* the first is -1 for /dev/null, which a seat already has */
    int ours[3];  /* non-blocking; -1: there is none */
};

/* Makes three pipes, or two without `stdin_pipe`. AFAR_ESYSTEM. Call stdio_close in any case. */
enum afar_status stdio_open_pipes(struct stdio *stdio, bool stdin_pipe, struct afar_error *err);

/* Opens a terminal: ours are two descriptors of its master (0 and 1), the child's are three of its
 * slave. Writes its name to `name` and wish->tell. Errors as pty_open. Call stdio_close in any
 * case. */
enum afar_status stdio_open_terminal(struct stdio *stdio, const struct pty_wish *wish,
                                     char name[PTY_NAME_BYTES], struct afar_error *err);

void stdio_close(struct stdio *stdio);

#endif
