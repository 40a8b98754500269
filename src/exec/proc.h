/* What /proc tells of other processes (proc(5)). All of it may be out of date when it is read.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  proc_has_variable reads another process's memory, which waits for its page faults.
 * Limits:  PROC_ENVIRON_MAX_BYTES of an environment. */
#ifndef EXEC_PROC_H
#define EXEC_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PROC_ENVIRON_MAX_BYTES = 8 << 20 };

struct proc_stat {
    bool dead;    /* a zombie: nothing of it runs any more */
    bool exiting; /* on its way there: has no environment left, but may have children */
    bool bare;    /* in the middle of an execve: has no environment yet (or nobody may look) */
    pid_t parent;
    pid_t session;
    unsigned long long start; /* since boot, in ticks: with the pid, the name of one process */
};

/* False where /proc is missing, or is that of another pid namespace and speaks of other processes.
 */
bool proc_is_ours(void);

/* False: there is no such process. */
bool proc_read_stat(pid_t pid, struct proc_stat *stat);

/* The children of one thread. *pids: the caller's, to be freed, NULL where there are none. Those
 * that end and are reaped meanwhile can hide others that do not. */
size_t proc_children(pid_t pid, pid_t thread, pid_t **pids);

enum proc_answer { PROC_NO, PROC_YES, PROC_EMPTY, PROC_DENIED };

/* Whether the environment that the process was started with has this "NAME=value". PROC_EMPTY:
 * there is none, at least not now: see exiting and bare; or no such process. PROC_DENIED: we may
 * not read it, or may not any more: newer kernels give what has no memory left to root. */
enum proc_answer proc_has_variable(pid_t pid, const char *variable);

#endif
