#include "exec/process.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

bool process_signal_group(pid_t leader, int number)
{
    return kill(-leader, number) == 0;
}

enum { DESCENDANTS_MAX = 1024, ROUNDS_MAX = 4 };

struct relative {
    pid_t pid;
    pid_t parent;
    int pidfd; /* -1: gone, or not ours */
};

struct family {
    struct relative members[DESCENDANTS_MAX];
    size_t count;
};

/* /proc/PID/task/TID/children (proc(5)) lists the children of one thread. */
static void add_children_of_thread(struct family *family, pid_t parent, const char *thread)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%.16s/children", (int)parent, thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    int pid = 0;
    while (family->count < DESCENDANTS_MAX && fscanf(file, "%d", &pid) == 1)
        family->members[family->count++] =
            (struct relative){.pid = pid, .parent = parent, .pidfd = -1};
    (void)fclose(file);
}

static void add_children(struct family *family, pid_t parent)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return;
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        if (task->d_name[0] != '.')
            add_children_of_thread(family, parent, task->d_name);
    }
    (void)closedir(tasks);
}

/* The parent of a process, or -1: field 4 of /proc/PID/stat, after the name in parentheses, which
 * may itself hold anything. */
static pid_t parent_of(pid_t pid)
{
    char path[64];
    char line[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    size_t size = fread(line, 1, sizeof line - 1, file);
    (void)fclose(file);
    line[size] = '\0';
    int parent = -1;
    for (size_t i = size; i-- > 0;) {
        if (line[i] == ')') {
            if (sscanf(line + i + 1, " %*c %d", &parent) != 1)
                parent = -1;
            break;
        }
    }
    return parent;
}

/* Between reading a pid and signalling it the pid may have been given to a stranger: the pidfd pins
 * whoever has it now, and the parent tells whether that one is ours. */
static void pin(struct relative *member)
{
    member->pidfd = (int)syscall(SYS_pidfd_open, member->pid, 0);
    if (member->pidfd >= 0 && parent_of(member->pid) != member->parent) {
        (void)close(member->pidfd);
        member->pidfd = -1;
    }
}

/* One walk. All are found before any is signalled: the children of a dead parent are handed to
 * another and no longer recognised. The group comes first, so that a shell does not go on to its
 * next command because the one before was ended. Returns how many descendants there were. */
static size_t signal_family(struct family *family, pid_t leader, int number)
{
    family->count = 0;
    add_children(family, leader);
    for (size_t i = 0; i < family->count; i++)
        add_children(family, family->members[i].pid);
    for (size_t i = 0; i < family->count; i++)
        pin(&family->members[i]);
    (void)process_signal_group(leader, number);
    for (size_t i = 0; i < family->count; i++) {
        if (family->members[i].pidfd < 0)
            continue;
        (void)syscall(SYS_pidfd_send_signal, family->members[i].pidfd, number, NULL, 0);
        (void)close(family->members[i].pidfd);
    }
    return family->count;
}

void process_signal_tree(pid_t leader, int number)
{
    struct family *family = malloc(sizeof *family);
    if (family == NULL) {
        /* The group gets its signal, and the rest falls to the linger limit. */
        (void)process_signal_group(leader, number);
        return;
    }
    /* Before a KILL they are stopped until no new ones are found: they might fork while we look. */
    size_t before = SIZE_MAX;
    for (int round = 0; number == SIGKILL && round < ROUNDS_MAX; round++) {
        size_t count = signal_family(family, leader, SIGSTOP);
        if (count == before || count == 0)
            break;
        before = count;
    }
    (void)signal_family(family, leader, number);
    free(family);
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
