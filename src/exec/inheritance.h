/* What a process inherits from its parent beyond what spawn.c and helper.c set, as far as a command
 * must not have it from the server. afard(8) lists all of it, and what stays.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef EXEC_INHERITANCE_H
#define EXEC_INHERITANCE_H

#include <stdbool.h>

/* Whether this process is protected from the kernel's search for memory (oom_score_adj below 0). A
 * command is not to be: it would be spared, and others would die for it. */
bool inheritance_oom_protected(void);

/* Ends that, where it can be ended. System calls only: for a child in the server's memory. */
void inheritance_reset_oom(void);

/* For a command of another user: a session keyring of its own (the server's may hold root's keys),
 * and no personality(2) by which attacks on a program become easier. False: errno. */
bool inheritance_leave(void);

#endif
