/* Preloaded into afard under valgrind, which knows no clone(2) that shares memory with its child
 * until that executes: here the child has a copy. Only for counting, and only for commands that can
 * be executed: what a child would tell the server by their common memory is lost. */
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int clone(int (*function)(void *), void *stack, int flags,
                                                 void *argument, ...)
{
    va_list more;
    (void)stack;
    (void)flags;
    va_start(more, argument);
    int *pidfd = va_arg(more, int *);
    va_end(more);
    /* The system call: valgrind has no pidfd_open(2), which fork(3) would need beside it. */
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL);
    if (pid == 0)
        _exit(function(argument));
    return pid;
}
