/* What /proc tells of other processes (proc(5)). All of it may be out of date when it is read.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  proc_get_variable and proc_find_mark read another process's memory, which waits for
 *          its page faults.
 * Limits:  PROC_ENVIRON_MAX_BYTES of an environment, PROC_FDS_MAX of a process's descriptors. */
#ifndef EXEC_PROC_H
#define EXEC_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    PROC_ENVIRON_MAX_BYTES = 8 << 20,
    PROC_FDS_MAX = 1024,
    PROC_NAME_BYTES = 16 /* as the kernel keeps it, with a NUL */
};

struct proc_stat {
    bool dead;    /* a zombie: nothing of it runs any more */
    bool exiting; /* on its way there: has no environment left, but may have children */
    bool bare;    /* in the middle of an execve: has no environment yet (or nobody may look) */
    pid_t parent;
    pid_t session;
    unsigned long long start;   /* since boot, in ticks: with the pid, the name of one process */
    char name[PROC_NAME_BYTES]; /* what it calls itself: any bytes */
};

/* False where /proc is missing, or is that of another pid namespace and speaks of other processes.
 */
bool proc_is_ours(void);

/* False: there is no such process. */
bool proc_read_stat(pid_t pid, struct proc_stat *stat);

/* That process has ended: another one may have its pid. */
bool proc_is_gone(pid_t pid, unsigned long long start);

/* A list of numbers. `at` is the caller's, to be freed. */
struct proc_numbers {
    pid_t *at;
    size_t count;
    size_t room;
    pid_t value; /* while reading: of the number that may go on in the next piece */
    bool inside;
};

/* Reads once from a file of numbers and adds what came. Returns its bytes; 0: that was the end; -1:
 * out of memory, or it cannot be read. */
ssize_t proc_read_piece(int fd, struct proc_numbers *numbers);

/* Adds the children of one thread. Those that end and are reaped meanwhile can hide others that do
 * not. */
void proc_add_children(pid_t pid, pid_t thread, struct proc_numbers *pids);

enum proc_answer { PROC_NO, PROC_YES, PROC_EMPTY, PROC_DENIED };

/* Of the environment that the process was started with, the value of the first variable whose entry
 * begins with `prefix` ("NAME="), cut to fit; "" without PROC_YES. PROC_EMPTY: there is no
 * environment, at least not now: see exiting and bare; or no such process. PROC_DENIED: we may not
 * read it, or may not any more: newer kernels give what has no memory left to root. `thread`: by
 * whose memory it is read, pid itself or another of its threads. */
enum proc_answer proc_get_variable(pid_t pid, pid_t thread, const char *prefix, char *value,
                                   size_t size);

/* Whether a process has a mark, a variable whose entry begins with `prefix`. */
enum proc_mark {
    PROC_UNMARKED, /* it has none, or has ended, or we may never know */
    PROC_MARKED,
    PROC_DYING,   /* it has nothing left by which to tell; there may be children */
    PROC_STARTING /* in an execve: soon one can tell */
};

/* As proc_get_variable for one that may be at any moment of its life; *stat must have been read,
 * and is read again if need be. */
enum proc_mark proc_find_mark(pid_t pid, struct proc_stat *stat, const char *prefix, char *value,
                              size_t size);

/* Whether it has one of these pipes open. False too where we may not know. */
bool proc_has_pipe(pid_t pid, const ino_t *pipes, size_t count);

/* The same of a terminal, by its name: /dev/pts/N. */
bool proc_has_terminal(pid_t pid, const char *name);

#endif
