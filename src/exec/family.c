#include "exec/family.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "exec/proc.h"

enum { FIRST_ROOM = 64 };

enum kinship {
    OURS,
    /* Cannot be known any more: it exits, and its environment is gone. It may still have
     * children. */
    DYING,
    /* Not known yet: it is in an execve, and has no environment for a moment. */
    STARTING,
    STRANGER
};

struct relative {
    pid_t pid;
    enum kinship kinship;
    unsigned long long start;
    bool stopped;
    bool gone; /* when last checked */
    bool counted;
    bool denied;
    bool condemned;
};

struct family {
    struct relative *members;
    size_t count;
    size_t room;
    unsigned *index; /* hash table of 2 * room places: 1 + a member's position; 0: free */
    size_t at;       /* the next member for the function that works in parts */
    size_t found;    /* new members (OURS) in this round */
    bool spares;     /* see family_spare */
    struct afar_processes counted;
    struct candidate *candidates; /* proposed; still to be examined from next_candidate on */
    size_t candidate_count;
    size_t candidate_room;
    size_t next_candidate;
};

struct candidate {
    pid_t pid;
    pid_t parent; /* the parent that it must have; 0: any */
    enum family_claim claim;
};

/* ---- the set --------------------------------------------------------------------------------- */

struct family *family_new(void)
{
    return proc_is_ours() ? calloc(1, sizeof(struct family)) : NULL;
}

void family_free(struct family *family)
{
    if (family == NULL)
        return;
    free(family->members);
    free(family->index);
    free(family->candidates);
    free(family);
}

/* The place of a pid in the index, or the place where to put it. Half of the places are free. */
static unsigned *place_of(const struct family *family, pid_t pid)
{
    size_t places = 2 * family->room;
    size_t at = (size_t)pid * 2654435761U % places;
    while (family->index[at] != 0 && family->members[family->index[at] - 1].pid != pid)
        at = (at + 1) % places;
    return &family->index[at];
}

static void index_all(struct family *family)
{
    memset(family->index, 0, 2 * family->room * sizeof *family->index);
    for (size_t i = 0; i < family->count; i++)
        *place_of(family, family->members[i].pid) = (unsigned)i + 1;
}

static bool grow(struct family *family)
{
    size_t room = family->room == 0 ? FIRST_ROOM : 2 * family->room;
    unsigned *index = room > FAMILY_MAX ? NULL : calloc(2 * room, sizeof *index);
    struct relative *members =
        index == NULL ? NULL : realloc(family->members, room * sizeof *members);
    if (members == NULL) {
        free(index);
        return false;
    }
    free(family->index);
    family->members = members;
    family->index = index;
    family->room = room;
    index_all(family);
    return true;
}

/* Removes members that have ended. Only between two walks, as it changes positions. */
static void forget_gone(struct family *family)
{
    size_t kept = 0;
    for (size_t i = 0; i < family->count; i++) {
        if (!family->members[i].gone)
            family->members[kept++] = family->members[i];
    }
    family->count = kept;
    index_all(family);
}

static struct relative *find(struct family *family, pid_t pid, unsigned long long start)
{
    unsigned at = family->room == 0 ? 0 : *place_of(family, pid);
    struct relative *member = at == 0 ? NULL : &family->members[at - 1];
    if (member != NULL && member->start != start) {
        /* Another process has this pid now: the member has ended. */
        *member = (struct relative){.pid = pid, .start = start, .kinship = STRANGER};
    }
    return member;
}

static void count_in(struct afar_processes *processes, pid_t pid, const char *name)
{
    if (processes->count < AFAR_PROCESSES_NAMED) {
        struct afar_process *process = &processes->first[processes->count];
        process->pid = (uint64_t)pid;
        utf8_copy(process->name, sizeof process->name, name);
    }
    processes->count++;
}

/* Stores what a process is. OURS is never changed again. A stranger is not added, as there may be
 * many; but an entry of another kind can become one. */
static void put(struct family *family, pid_t pid, const struct proc_stat *stat,
                enum kinship kinship)
{
    struct relative *member = find(family, pid, stat->start);
    if (member == NULL && kinship != STRANGER && (family->count < family->room || grow(family))) {
        *place_of(family, pid) = (unsigned)family->count + 1;
        member = &family->members[family->count++];
        *member = (struct relative){.pid = pid, .start = stat->start, .kinship = STRANGER};
    }
    if (member == NULL || member->kinship == OURS)
        return;
    member->kinship = kinship;
    family->found += kinship == OURS;
}

void family_describe(const struct family *family, struct afar_processes *processes)
{
    *processes = family->counted;
}

/* ---- finding --------------------------------------------------------------------------------- */

void family_begin_round(struct family *family)
{
    if (family->room == FAMILY_MAX && family->count == family->room)
        forget_gone(family);
    family->at = family->found = family->candidate_count = family->next_candidate = 0;
}

size_t family_found(const struct family *family)
{
    return family->found;
}

static enum kinship judge(pid_t pid, struct proc_stat *stat, const struct family_mark *mark)
{
    char rest[2];
    /* Session 0: its leader is in another pid namespace. */
    if (mark->session > 0 && stat->session == mark->session)
        return OURS;
    switch (proc_find_mark(pid, stat, mark->variable, rest, sizeof rest)) {
    case PROC_MARKED:
        return rest[0] == '\0' ? OURS : STRANGER;
    case PROC_DYING:
        return DYING;
    case PROC_STARTING:
        return STARTING;
    case PROC_UNMARKED:
        break;
    }
    return STRANGER;
}

static void propose(struct family *family, const struct candidate *candidate)
{
    if (family->candidate_count == family->candidate_room) {
        size_t room = family->candidate_room == 0 ? FIRST_ROOM : 2 * family->candidate_room;
        struct candidate *grown = realloc(family->candidates, room * sizeof *grown);
        if (grown == NULL)
            return; /* the next round finds it */
        family->candidates = grown;
        family->candidate_room = room;
    }
    family->candidates[family->candidate_count++] = *candidate;
}

void family_propose(struct family *family, pid_t pid, enum family_claim claim)
{
    propose(family, &(struct candidate){.pid = pid, .claim = claim});
}

static void propose_children(struct family *family, pid_t parent, enum family_claim claim)
{
    char path[64];
    struct proc_numbers pids = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return;
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        if (task->d_name[0] != '.')
            proc_add_children(parent, (pid_t)strtol(task->d_name, NULL, 10), &pids);
    }
    (void)closedir(tasks);
    for (size_t i = 0; i < pids.count; i++)
        propose(family, &(struct candidate){.pid = pids.at[i], .parent = parent, .claim = claim});
    free(pids.at);
}

void family_propose_children(struct family *family, pid_t parent)
{
    propose_children(family, parent, FAMILY_SURE);
}

/* False: time is over. */
static bool look_at_candidates(struct family *family, const struct family_mark *mark,
                               int64_t until_us)
{
    while (family->next_candidate < family->candidate_count) {
        const struct candidate *candidate = &family->candidates[family->next_candidate++];
        struct proc_stat stat;
        /* It may have ended meanwhile, and another process may have its pid. */
        if (proc_read_stat(candidate->pid, &stat) && !stat.dead &&
            (candidate->parent == 0 || candidate->parent == stat.parent))
            put(family, candidate->pid, &stat,
                candidate->claim == FAMILY_SURE ? OURS : judge(candidate->pid, &stat, mark));
        if (clock_now_us() >= until_us)
            return false;
    }
    family->candidate_count = family->next_candidate = 0;
    return true;
}

/* The pidfd refers to the process that has the pid now; its start time tells whether that is the
 * member. */
static void signal_one(struct relative *member, int number)
{
    struct proc_stat stat;
    int pidfd = (int)syscall(SYS_pidfd_open, member->pid, 0);
    if (pidfd < 0) {
        member->gone = errno == ESRCH;
        return;
    }
    member->gone = !proc_read_stat(member->pid, &stat) || stat.start != member->start || stat.dead;
    member->denied = false;
    if (!member->gone && syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) != 0) {
        member->gone = errno == ESRCH;
        member->denied = errno == EPERM;
    }
    (void)close(pidfd);
}

/* Whether the member still has its pid. */
static bool is_there(const struct relative *member)
{
    struct proc_stat stat;
    return proc_read_stat(member->pid, &stat) && stat.start == member->start;
}

static void look_behind(struct family *family, struct relative *member, bool stop)
{
    if (member->kinship == STRANGER || member->gone || !is_there(member))
        return;
    if (stop && member->kinship == OURS && !member->stopped) {
        signal_one(member, SIGSTOP);
        member->stopped = true;
    }
    propose_children(family, member->pid, member->kinship == OURS ? FAMILY_SURE : FAMILY_MARKED);
}

bool family_walk(struct family *family, const struct family_mark *mark, bool stop, int64_t until_us)
{
    while (look_at_candidates(family, mark, until_us)) {
        if (family->at == family->count) {
            family->at = 0;
            return true;
        }
        look_behind(family, &family->members[family->at], stop);
        family->at++;
        if (clock_now_us() >= until_us)
            return false;
    }
    return false;
}

static bool is_meant(const struct family *family, const struct relative *member)
{
    return !member->gone && (member->kinship == OURS || member->kinship == STARTING) &&
           (!family->spares || member->condemned);
}

static bool is_spared(const struct family *family, const struct relative *member)
{
    return family->spares && !member->gone && member->kinship == OURS && !member->condemned;
}

bool family_look(struct family *family, bool count, int64_t until_us)
{
    while (family->at < family->count) {
        struct proc_stat stat;
        struct relative *member = &family->members[family->at++];
        if (is_meant(family, member) || is_spared(family, member)) {
            member->gone =
                !proc_read_stat(member->pid, &stat) || stat.start != member->start || stat.dead;
            if (is_spared(family, member))
                member->gone = stat.exiting;
            else if (count && !member->gone && !member->counted && !stat.exiting) {
                member->counted = true;
                count_in(&family->counted, member->pid, stat.name);
            }
        }
        if (clock_now_us() >= until_us)
            return false;
    }
    family->at = 0;
    return true;
}

bool family_find_holders(struct family *family, const ino_t *pipes, size_t count,
                         const char *terminal, struct afar_processes *holders, int64_t until_us)
{
    while (family->at < family->count) {
        struct proc_stat stat;
        struct relative *member = &family->members[family->at++];
        if (member->kinship == OURS && !member->gone &&
            (terminal != NULL ? proc_has_terminal(member->pid, terminal)
                              : proc_has_pipe(member->pid, pipes, count)) &&
            proc_read_stat(member->pid, &stat) && stat.start == member->start) {
            member->condemned = true;
            count_in(holders, member->pid, stat.name);
        }
        if (clock_now_us() >= until_us)
            return false;
    }
    family->at = 0;
    return true;
}

/* ---- signalling ------------------------------------------------------------------------------ */

bool family_signal(struct family *family, int number, int64_t until_us)
{
    while (family->at < family->count) {
        struct relative *member = &family->members[family->at++];
        if (is_meant(family, member))
            signal_one(member, member->kinship == OURS ? number : 0);
        if (clock_now_us() >= until_us)
            return false;
    }
    family->at = 0;
    return true;
}

size_t family_living(const struct family *family, size_t *denied)
{
    size_t living = 0;
    *denied = 0;
    for (size_t i = 0; i < family->count; i++) {
        const struct relative *member = &family->members[i];
        living += is_meant(family, member);
        *denied += is_meant(family, member) && member->denied;
    }
    return living;
}

/* ---- sparing --------------------------------------------------------------------------------- */

void family_spare(struct family *family, bool spares)
{
    family->spares = spares;
}

void family_condemn(struct family *family, pid_t pid, unsigned long long start)
{
    struct relative *member = find(family, pid, start);
    if (member != NULL && member->kinship == OURS)
        member->condemned = true;
}

size_t family_spared(const struct family *family)
{
    size_t spared = 0;
    for (size_t i = 0; i < family->count; i++)
        spared += is_spared(family, &family->members[i]);
    return spared;
}

static int compare_age(const void *a, const void *b)
{
    const struct family_member *first = a;
    const struct family_member *second = b;
    if (first->start != second->start)
        return first->start < second->start ? -1 : 1;
    return first->pid < second->pid ? -1 : first->pid > second->pid;
}

bool family_list(const struct family *family, struct family_member **members, size_t *count)
{
    *count = 0;
    *members = calloc(family->count + 1, sizeof **members);
    if (*members == NULL)
        return false;
    for (size_t i = 0; i < family->count; i++) {
        const struct relative *member = &family->members[i];
        if (is_spared(family, member))
            (*members)[(*count)++] =
                (struct family_member){.pid = member->pid, .start = member->start};
    }
    qsort(*members, *count, sizeof **members, compare_age);
    for (size_t i = 0; i < *count && i < AFAR_PROCESSES_NAMED; i++) {
        struct proc_stat stat;
        if (proc_read_stat((*members)[i].pid, &stat) && stat.start == (*members)[i].start)
            memcpy((*members)[i].name, stat.name, sizeof stat.name);
    }
    return true;
}
