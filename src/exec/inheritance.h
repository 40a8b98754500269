/* Resets attributes of a process that commands must not inherit from the server, beyond those that
 * spawn.c and helper.c set. afard(8) lists all of them, and those that are inherited.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef EXEC_INHERITANCE_H
#define EXEC_INHERITANCE_H

#include <stdbool.h>

/* Whether this process is protected from the kernel's OOM killer (oom_score_adj below 0). Commands
 * must not be: the kernel would kill other processes instead. */
bool inheritance_oom_protected(void);

/* Ends this protection; ignores failure. Only makes system calls: for a child in the server's
 * memory. */
void inheritance_reset_oom(void);

/* For a command of another user: gives this process a new session keyring (the server's may hold
 * root's keys), and removes flags of personality(2) that make attacks on a program easier. False:
 * errno. */
bool inheritance_leave(void);

#endif
