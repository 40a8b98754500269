#include "exec/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
/* In the child, TSan's wrapper of clone marks the thread state as forked; with CLONE_VM that is our
 * thread's state, and TSan would no longer see our locks. __clone is glibc's other name of the same
 * function. */
int __clone(int (*)(void *), void *, int, void *, ...);
#define clone __clone
#endif

int clone_flags(const struct clone_order *order)
{
    return CLONE_VM | CLONE_VFORK | CLONE_PIDFD | (order->shares_files ? CLONE_FILES : 0);
}

pid_t clone_child(struct clone_order *order)
{
    order->procs_fd = -1;
    order->move_errno = 0;
    if (order->cgroup_fd >= 0) {
        pid_t pid = clone_into_cgroup(order);
        if (pid >= 0 || errno == EAGAIN || errno == ENOMEM)
            return pid;
        order->procs_fd = openat(order->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        order->move_errno = order->procs_fd < 0 ? errno : 0;
    }
    pid_t pid = clone(order->run, (char *)order->stack + order->stack_bytes,
                      clone_flags(order) | SIGCHLD, order->argument, order->pidfd);
    const int failed = errno;
    if (order->procs_fd >= 0)
        (void)close(order->procs_fd);
    errno = failed;
    return pid;
}
