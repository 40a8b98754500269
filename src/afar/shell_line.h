/* One line by the tutorial's shell protocols.
 *
 * Owns nothing; one thread; blocks until the reply is there or the time is over. */
#ifndef AFAR_SHELL_LINE_H
#define AFAR_SHELL_LINE_H

#include "afar/remote.h"

/* Writes the output to standard output. Returns the exit status: 0 once the reply is complete, as
 * the protocol tells no other. What else is to be said has been said. */
int shell_line_run(struct remote *remote, const char *line, int64_t timeout_ms);

#endif
