#include "exec/family.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/proc.h"

enum kinship {
    OURS,
    /* Not known, and no longer to be known: it is dying, and its environment is gone. Its children
     * may be there still. */
    DYING,
    /* Not known yet: in an execve the new environment comes later than the old one goes. */
    STARTING,
    STRANGER
};

struct relative {
    pid_t pid;
    unsigned long long start;
    enum kinship kinship;
};

struct family {
    struct relative members[FAMILY_MAX];
    size_t count;
    size_t found; /* that are ours, in this walk */
};

struct family *family_new(void)
{
    struct family *family = proc_is_ours() ? malloc(sizeof *family) : NULL;
    if (family != NULL)
        family->count = family->found = 0;
    return family;
}

void family_free(struct family *family)
{
    free(family);
}

static struct relative *find(struct family *family, pid_t pid, const struct proc_stat *stat)
{
    for (size_t i = 0; i < family->count; i++) {
        if (family->members[i].pid == pid && family->members[i].start == stat->start)
            return &family->members[i];
    }
    return NULL;
}

/* Once ours, for ever ours. A stranger is only kept where something else was thought of it before:
 * there may be many. */
static void add(struct family *family, pid_t pid, const struct proc_stat *stat,
                enum kinship kinship)
{
    struct relative *member = find(family, pid, stat);
    if (member == NULL && kinship != STRANGER && family->count < FAMILY_MAX) {
        member = &family->members[family->count++];
        *member = (struct relative){.pid = pid, .start = stat->start, .kinship = STRANGER};
    }
    if (member == NULL || member->kinship == OURS)
        return;
    member->kinship = kinship;
    family->found += kinship == OURS;
}

static enum kinship judge(pid_t pid, struct proc_stat *stat, const struct family_mark *mark)
{
    if (stat->session == mark->session)
        return OURS;
    /* Twice: without an environment it may have been in an execve that is now done. */
    for (int look = 0; look < 2; look++) {
        enum proc_answer answer = proc_has_variable(pid, mark->variable);
        if (answer == PROC_YES || answer == PROC_NO)
            return answer == PROC_YES ? OURS : STRANGER;
        if (!proc_read_stat(pid, stat) || stat->dead)
            return STRANGER;
        if (stat->exiting)
            return DYING;
        /* What runs with more rights than ours is bare to us for ever. */
        if (answer == PROC_DENIED || stat->bare)
            return answer == PROC_DENIED ? STRANGER : STARTING;
    }
    return STRANGER;
}

/* `mark` NULL: all are ours. */
static void add_children_of_thread(struct family *family, pid_t parent, pid_t thread,
                                   const struct family_mark *mark)
{
    pid_t *pids = NULL;
    size_t count = proc_children(parent, thread, &pids);
    for (size_t i = 0; i < count; i++) {
        struct proc_stat stat;
        /* It may have ended meanwhile, and a stranger have got its pid. */
        if (!proc_read_stat(pids[i], &stat) || stat.dead || stat.parent != parent)
            continue;
        add(family, pids[i], &stat, mark == NULL ? OURS : judge(pids[i], &stat, mark));
    }
    free(pids);
}

static void add_children(struct family *family, pid_t parent, const struct family_mark *mark)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return;
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        if (task->d_name[0] != '.')
            add_children_of_thread(family, parent, (pid_t)strtol(task->d_name, NULL, 10), mark);
    }
    (void)closedir(tasks);
}

/* Theirs, and those of what is found by this. The pid of one that has ended may be a stranger's. */
static void add_children_of_members(struct family *family, const struct family_mark *mark)
{
    for (size_t i = 0; i < family->count; i++) {
        const struct relative *member = &family->members[i];
        struct proc_stat stat;
        if (member->kinship != STRANGER && proc_read_stat(member->pid, &stat) &&
            stat.start == member->start)
            add_children(family, member->pid, member->kinship == OURS ? NULL : mark);
    }
}

size_t family_add_descendants(struct family *family, pid_t parent)
{
    family->found = 0;
    add_children(family, parent, NULL);
    add_children_of_members(family, NULL);
    return family->found;
}

size_t family_add_marked(struct family *family, const pid_t *pids, size_t count,
                         const struct family_mark *mark)
{
    family->found = 0;
    for (size_t i = 0; i < count; i++) {
        struct proc_stat stat;
        if (proc_read_stat(pids[i], &stat) && !stat.dead)
            add(family, pids[i], &stat, judge(pids[i], &stat, mark));
    }
    add_children_of_members(family, mark);
    return family->found;
}

/* The pidfd names whoever has the pid now; the time of birth tells whether that is the one that was
 * found. False: it has ended. */
static bool signal_one(const struct relative *member, int number)
{
    struct proc_stat stat;
    int pidfd = (int)syscall(SYS_pidfd_open, member->pid, 0);
    if (pidfd < 0)
        return errno != ESRCH;
    bool there = proc_read_stat(member->pid, &stat) && stat.start == member->start && !stat.dead;
    if (there && syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) != 0)
        there = errno != ESRCH;
    (void)close(pidfd);
    return there;
}

size_t family_signal(const struct family *family, int number)
{
    size_t count = 0;
    for (size_t i = 0; i < family->count; i++) {
        const struct relative *member = &family->members[i];
        if (member->kinship == OURS)
            count += signal_one(member, number);
        else if (member->kinship == STARTING)
            count += signal_one(member, 0);
    }
    return count;
}
