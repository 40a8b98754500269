/* Makes a child that shares our memory until execve, on a stack of its own: with clone(2), or, if
 * it shall begin in a cgroup, with clone3(2).
 *
 * With clone3 the child begins in the cgroup at no cost. Moving there later, by a write to
 * cgroup.procs, waits for all processors of the machine (synchronize_rcu of the kernel): 5 to 20
 * ms, unless another process has moved just before. libc has no wrapper of clone3.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  until the child calls execve or ends (CLONE_VFORK).
 * Limits:  clone3 is used on x86-64 and aarch64, from Linux 5.7 on, unless a sandbox forbids it;
 *          otherwise the child has to move itself. */
#ifndef EXEC_CLONE_H
#define EXEC_CLONE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct clone_order {
    int (*run)(void *argument); /* must not return: execve or exit */
    void *argument;
    void *stack; /* aligned to 16 bytes */
    size_t stack_bytes;
    bool shares_files; /* CLONE_FILES */
    int *pidfd;        /* set before the child runs; undefined after a failure */
    int cgroup_fd;     /* of a cgroup's directory (O_PATH is enough); -1: the parent's cgroup */
    /* Set before the child runs: it must write "0" to procs_fd (cgroup.procs) to enter its cgroup.
     * -1: if move_errno is 0, it is already there; otherwise it cannot move, for that reason. */
    int procs_fd;
    int move_errno;
};

/* Returns the child's pid. -1: there is no child; errno is EAGAIN, ENOMEM or another of
 * clone(2). */
pid_t clone_child(struct clone_order *order);

/* The same with clone3 only, into order->cgroup_fd (clone3.c). Also ENOSYS if clone3 is not
 * available, and errors about the cgroup (EBADF, EACCES, EBUSY, EOPNOTSUPP). */
pid_t clone_into_cgroup(const struct clone_order *order);

/* The CLONE_… flags that both use. */
int clone_flags(const struct clone_order *order);

#endif
