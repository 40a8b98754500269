#include "exec/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/family.h"

bool process_signal_group(pid_t leader, int number)
{
    return kill(-leader, number) == 0;
}

/* For one that forks faster than it can be found; what is found is stopped, and cannot fork. */
enum { ROUNDS_MAX = 8 };

/* All are found before any is signalled: the children of a dead parent are handed to another and no
 * longer recognised. The group comes first, so that a shell does not go on to its next command
 * because the one before was ended. */
static bool signal_family(const struct family *family, pid_t leader, int number)
{
    bool group = process_signal_group(leader, number);
    (void)family_signal(family, number);
    return group;
}

bool process_signal_tree(pid_t leader, int number)
{
    struct family *family = family_new();
    if (family == NULL) /* the group gets its signal, and the rest falls to the linger limit */
        return process_signal_group(leader, number);
    size_t found = family_add_descendants(family, leader);
    /* Before a KILL they are stopped until no new ones are found: they might fork while we look. */
    for (int round = 0; number == SIGKILL && found > 0 && round < ROUNDS_MAX; round++) {
        (void)signal_family(family, leader, SIGSTOP);
        found = family_add_descendants(family, leader);
    }
    bool group = signal_family(family, leader, number);
    family_free(family);
    return group;
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
