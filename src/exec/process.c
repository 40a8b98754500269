#include "exec/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

bool process_signal_group(pid_t leader, int number)
{
    return kill(-leader, number) == 0;
}

static uint64_t to_us(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

enum afar_status process_reap(struct process *process, struct process_end *end,
                              struct afar_error *err)
{
    int status = 0;
    struct rusage usage = {0};
    pid_t pid = wait4(process->pid, &status, WNOHANG, &usage);
    if (pid == 0)
        return AFAR_EAGAIN;
    if (pid < 0)
        return afar_fail_errno(err, errno, "cannot wait for process %d", (int)process->pid);

    *end = (struct process_end){
        .exited = WIFEXITED(status),
        .code = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .core_dumped = WIFSIGNALED(status) && WCOREDUMP(status),
        .user_us = to_us(usage.ru_utime),
        .system_us = to_us(usage.ru_stime),
        .max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024, /* getrusage(2): kilobytes */
    };
    (void)close(process->pidfd);
    process->pidfd = -1;
    process->pid = -1;
    return AFAR_OK;
}

bool process_has_ended(const struct process *process)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
}

bool process_has_exited(const struct process *process)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0 && info.si_code == CLD_EXITED;
}
