/* Runs one line by the tutorial's shell protocols.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  until the reply is complete or the time is over.
 * Limits:  none. */
#ifndef AFAR_SHELL_LINE_H
#define AFAR_SHELL_LINE_H

#include "afar/remote.h"

/* Writes the output to standard output. `timeout_ms` 0: no limit but that of the connection for
 * the first answer. Returns the exit status: 0 once
 * the reply is complete, because the protocol has no other; but not if its MD5 is wrong. Errors were
 * reported. */
int shell_line_run(struct remote *remote, const char *line, int64_t timeout_ms);

#endif
