/* Reads /proc of other processes (proc(5)). All results may be outdated when they are returned.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  proc_get_variable and proc_find_mark, as they read another process's memory and wait for
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
    PROC_NAME_BYTES = 16 /* as in the kernel, with a NUL */
};

struct proc_stat {
    bool dead;    /* a zombie: no thread of it runs any more */
    bool exiting; /* it exits: has no environment any more, but may have children */
    bool bare;    /* in the middle of an execve: no environment yet; or we may not see it */
    pid_t parent;
    pid_t session;
    unsigned long long start;   /* ticks since boot; pid and start identify a process */
    char name[PROC_NAME_BYTES]; /* its own choice: may have any bytes */
};

/* False: /proc is missing, or shows the processes of another pid namespace. */
bool proc_is_ours(void);

/* False: there is no such process. */
bool proc_read_stat(pid_t pid, struct proc_stat *stat);

/* Whether the process with this pid and start time has ended; another may have its pid. */
bool proc_is_gone(pid_t pid, unsigned long long start);

/* A list of numbers; starts as {0}. The caller frees `at`. */
struct proc_numbers {
    pid_t *at;
    size_t count;
    size_t room;
    pid_t value; /* of a number that may continue in the next piece … */
    bool inside; /* … if there is one */
};

/* Reads once from a file of numbers and adds them. Returns the bytes read; 0: end of the file; -1:
 * out of memory, or it cannot be read. */
ssize_t proc_read_piece(int fd, struct proc_numbers *numbers);

/* Adds the children of one thread of process `pid`. If children are reaped meanwhile, others may be
 * missed. */
void proc_add_children(pid_t pid, pid_t thread, struct proc_numbers *pids);

enum proc_answer { PROC_NO, PROC_YES, PROC_EMPTY, PROC_DENIED };

/* Finds the first variable whose entry begins with `prefix` ("NAME=") in the environment that the
 * process was started with. PROC_YES: `value` is its value, cut to `size`; otherwise "".
 * PROC_EMPTY: there is no such process, or it has no environment now (see exiting and bare).
 * PROC_DENIED: we may not read it; newer kernels also answer so if the process has no memory any
 * more. `thread`: the thread by which the memory is read: pid itself or another of its threads. */
enum proc_answer proc_get_variable(pid_t pid, pid_t thread, const char *prefix, char *value,
                                   size_t size);

/* Whether a process has a mark: a variable whose entry begins with `prefix`. */
enum proc_mark {
    PROC_UNMARKED, /* it has none, has ended, or we may not read its environment */
    PROC_MARKED,
    PROC_DYING,   /* it exits and has no environment any more; it may have children */
    PROC_STARTING /* it is in an execve: try again soon */
};

/* As proc_get_variable, for a process at any moment of its life. *stat must have been read; it is
 * read again if necessary. */
enum proc_mark proc_find_mark(pid_t pid, struct proc_stat *stat, const char *prefix, char *value,
                              size_t size);

/* Whether the process has one of these pipes open. False also if we may not see it. */
bool proc_has_pipe(pid_t pid, const ino_t *pipes, size_t count);

/* The same for a terminal, by its name: /dev/pts/N. */
bool proc_has_terminal(pid_t pid, const char *name);

#endif
