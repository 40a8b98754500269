/* Opens files in /proc/PID of another user's process as that user. Root without CAP_SYS_PTRACE and
 * CAP_DAC_READ_SEARCH, which containers and units should not grant, may not open them as root.
 *
 * Owns:    nothing.
 * Threads: any; setfsuid(2) affects only the calling thread, but the dumpable flag, which it
 *          resets, is the process's: the last of several threads that leave restores it.
 * Blocks:  never (a lock is held for a few system calls that do not wait).
 * Limits:  needs CAP_SETUID and CAP_SETGID; processes that are not dumpable cannot be read. */
#ifndef EXEC_AS_OWNER_H
#define EXEC_AS_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

/* Opens `path`, a file in /proc/PID, for reading as the user and group of the process. Returns a
 * descriptor for the caller to close; -1: errno, EACCES also if its user is this process's user. */
int as_owner_open(pid_t pid, const char *path);

/* From here to as_owner_leave, this thread opens files as the user and group of process `pid`.
 * False: that process is gone (ENOENT) or has the same user (EACCES); then nothing has changed, and
 * as_owner_leave must not be called. */
bool as_owner_enter(pid_t pid);

/* Does not change errno. */
void as_owner_leave(void);

#endif
