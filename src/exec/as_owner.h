/* Looking into a process of another user as that user would: root without CAP_SYS_PTRACE and
 * CAP_DAC_READ_SEARCH, which containers and units do well to withhold, may not do it as root.
 *
 * Owns:    nothing.
 * Threads: any; only the calling thread opens as another (setfsuid(2)).
 * Blocks:  never.
 * Limits:  needs CAP_SETUID and CAP_SETGID; processes that are not dumpable stay closed. */
#ifndef EXEC_AS_OWNER_H
#define EXEC_AS_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

/* Opens a file under /proc/PID for reading, as the user and group that the process runs as. -1:
 * errno; EACCES also where this is the same user, who could have opened it. */
int as_owner_open(pid_t pid, const char *path);

/* From here to as_owner_leave the thread opens as the user and group that the process runs as.
 * False: it is gone, or this is the same user; then nothing has changed. */
struct as_owner {
    int dumpable;
};
bool as_owner_enter(pid_t pid, struct as_owner *owner);
void as_owner_leave(const struct as_owner *owner);

#endif
