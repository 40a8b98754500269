#include "exec/clone.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined __x86_64__ || defined __aarch64__

/* The child returns from the system call with an empty stack and must not return from this
 * function: it calls `run`. Returns the child's pid, or a negative errno. */
__attribute__((noinline)) static long call(const struct clone_args *args,
                                           int (*run)(void *argument), void *argument)
{
#ifdef __x86_64__
    long result = SYS_clone3;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[argument], %%rdi\n\t"
                     "call *%[run]\n\t"
                     "ud2\n"
                     "1:"
                     : "+a"(result)
                     : "D"(args), "S"(sizeof *args), [run] "r"(run), [argument] "r"(argument)
                     : "rcx", "r11", "memory", "cc");
    return result;
#else
    register long number __asm__("x8") = SYS_clone3;
    register uintptr_t result __asm__("x0") = (uintptr_t)args;
    register size_t size __asm__("x1") = sizeof *args;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x0, %[argument]\n\t"
                     "blr %[run]\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(result)
                     : "r"(number), "r"(size), [run] "r"(run), [argument] "r"(argument)
                     : "x30", "memory", "cc");
    return (long)result;
#endif
}

pid_t clone_into_cgroup(const struct clone_order *order)
{
    const struct clone_args args = {.flags = (unsigned)clone_flags(order) | CLONE_INTO_CGROUP,
                                    .pidfd = (uintptr_t)order->pidfd,
                                    .exit_signal = SIGCHLD,
                                    .stack = (uintptr_t)order->stack,
                                    .stack_size = order->stack_bytes,
                                    .cgroup = (unsigned)order->cgroup_fd};
    long result = call(&args, order->run, order->argument);
    if (result >= 0)
        return (pid_t)result;
    errno = (int)-result;
    return -1;
}

#else

pid_t clone_into_cgroup(const struct clone_order *order)
{
    (void)order;
    errno = ENOSYS;
    return -1;
}

#endif
