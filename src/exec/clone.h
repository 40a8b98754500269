/* A child in our memory, on a stack of its own: clone(2) as spawn.c needs it, and where it is to be
 * in a cgroup, clone3(2) straight into that.
 *
 * To begin there costs nothing. To move there later, by a write to cgroup.procs, waits for every
 * processor of the machine (the kernel's synchronize_rcu): 5 to 20 ms, unless somebody else has moved
 * just before. libc has no wrapper of clone3.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  until the child has gone on to execve or its end (CLONE_VFORK).
 * Limits:  clone3 on x86-64 and aarch64, from Linux 5.7 on, and where no sandbox forbids it; elsewhere
 *          the child moves by itself. */
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
    int *pidfd;        /* written before the child runs; after a failure it may be anything */
    int cgroup_fd;     /* of a cgroup's directory (O_PATH will do); -1: ours */
    /* For the child, set before it runs: of the cgroup.procs to which it has to write "0"; -1: it is
     * where it belongs, or, where move_errno is not 0, cannot move for that reason. */
    int procs_fd;
    int move_errno;
};

/* -1 with errno: there is no child. EAGAIN, ENOMEM and whatever clone(2) says. */
pid_t clone_child(struct clone_order *order);

/* clone3.c. Only by clone3, and into order->cgroup_fd. Also ENOSYS, where it is not to be had, and
 * what it says of the cgroup (EBADF, EACCES, EBUSY, EOPNOTSUPP). */
pid_t clone_into_cgroup(const struct clone_order *order);

/* The CLONE_… of both. */
int clone_flags(const struct clone_order *order);

#endif
