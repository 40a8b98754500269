#include "server/remains.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/family.h"
#include "exec/proc.h"
#include "job/host.h"
#include "keep/jobdir.h"

enum {
    ROUNDS_MAX = 100, /* for a process that forks faster than it can be found */
    AGAIN_MS = 2,     /* for processes that are in an execve */
    KERNEL_THREADS = 2,
    PATH_BYTES = 64
};

struct remains {
    struct log *log;
    struct kept *kept;
    const struct cgroups *cgroups;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done; /* guarded by lock */
    atomic_bool cancelled;
    int64_t until_us;
    char boot[JOBDIR_BOOT_BYTES];
    char space[PATH_BYTES]; /* our pid namespace; "": unknown */
    size_t unknown;         /* processes of this round that are in an execve, so not yet known */
};

/* ---- names ----------------------------------------------------------------------------------- */

void remains_name(char name[REMAINS_NAME_BYTES], const char *random)
{
    char boot[JOBDIR_BOOT_BYTES];
    struct proc_stat stat;
    name[0] = '\0';
    if (!proc_is_ours() || !proc_read_stat(getpid(), &stat))
        return;
    jobdir_boot(boot);
    (void)snprintf(name, REMAINS_NAME_BYTES, SERVER_VARIABLE "%s.%ld.%llu.%s", boot, (long)getpid(),
                   stat.start, random);
}

/* Whether the server of that name ("BOOT.PID.START.RANDOM") ran since this machine was booted, and
 * has ended. */
static bool is_dead(const struct remains *remains, char *name)
{
    char *rest = NULL;
    const char *boot = strtok_r(name, ".", &rest);
    const char *pid = strtok_r(NULL, ".", &rest);
    const char *start = strtok_r(NULL, ".", &rest);
    if (start == NULL || strcmp(boot, remains->boot) != 0)
        return false;
    char *end = NULL;
    long number = strtol(pid, &end, 10);
    if (*end != '\0' || number <= 0 || number > INT32_MAX)
        return false;
    unsigned long long born = strtoull(start, &end, 10);
    if (*end != '\0')
        return false;
    return proc_is_gone((pid_t)number, born);
}

static void read_space(pid_t pid, char space[PATH_BYTES])
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%ld/ns/pid", (long)pid);
    ssize_t size = readlink(path, space, PATH_BYTES - 1);
    space[size > 0 ? size : 0] = '\0';
}

/* In another pid namespace, the pid in the name stands for another process. */
static bool is_in_our_space(const struct remains *remains, pid_t pid)
{
    char space[PATH_BYTES];
    read_space(pid, space);
    return strcmp(space, remains->space) == 0;
}

/* A kept job's process: its keeper looks after it, whatever it has in its environment. */
static bool is_kept(const struct remains *remains, pid_t pid)
{
    char job[MESSAGE_JOB_ID_BYTES];
    return remains->kept != NULL &&
           proc_get_variable(pid, pid, JOB_VARIABLE, job, sizeof job) == PROC_YES &&
           kept_is_live(remains->kept, job);
}

/* ---- the sweep ------------------------------------------------------------------------------- */

static bool is_remains(struct remains *remains, pid_t pid)
{
    char name[REMAINS_NAME_BYTES];
    struct proc_stat stat;
    if (!proc_read_stat(pid, &stat) || stat.dead || pid == KERNEL_THREADS ||
        stat.parent == KERNEL_THREADS)
        return false;
    enum proc_mark mark = proc_find_mark(pid, &stat, SERVER_VARIABLE, name, sizeof name);
    remains->unknown += mark == PROC_STARTING;
    return mark == PROC_MARKED && is_dead(remains, name) && is_in_our_space(remains, pid) &&
           !is_kept(remains, pid);
}

static bool is_over(const struct remains *remains)
{
    return atomic_load(&remains->cancelled) || clock_now_us() >= remains->until_us;
}

/* False: /proc cannot be listed. */
static bool propose_all(struct remains *remains, struct family *family)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    if (folder == NULL)
        return false;
    remains->unknown = 0;
    while ((entry = readdir(folder)) != NULL && !is_over(remains)) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid > 0 && is_remains(remains, (pid_t)pid))
            family_propose(family, (pid_t)pid, FAMILY_SURE);
    }
    (void)closedir(folder);
    return true;
}

static void tell(const struct remains *remains, struct family *family)
{
    struct afar_processes ended;
    char text[256];
    size_t used = 0;
    size_t denied = 0;
    family_describe(family, &ended);
    if (ended.count == 0)
        return;
    (void)family_living(family, &denied);
    for (size_t i = 0; i < AFAR_PROCESSES_NAMED && i < ended.count && used < sizeof text; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s %s (pid %llu)", i == 0 ? "" : ",",
                             ended.first[i].name, (unsigned long long)ended.first[i].pid);
    log_write(
        remains->log, LOG_LEVEL_WARN,
        "a server before this one was killed: %llu processes of its commands are ended:%s%s%s",
        (unsigned long long)ended.count, text, ended.count > AFAR_PROCESSES_NAMED ? ", …" : "",
        denied > 0 ? "; some may not be signalled" : "");
}

/* Stops all of them before killing them, as a stopped process cannot fork. */
static void sweep(struct remains *remains, struct family *family)
{
    /* is_remains has chosen the processes: this mark matches none. */
    const struct family_mark mark = {.variable = SERVER_VARIABLE "-"};
    size_t found = 1;
    for (int round = 0; round < ROUNDS_MAX && !is_over(remains); round++) {
        family_begin_round(family);
        if (!propose_all(remains, family))
            return;
        while (!family_walk(family, &mark, true, remains->until_us) && !is_over(remains))
            ;
        found = family_found(family);
        if (found == 0 && remains->unknown == 0)
            break;
        while (!family_look(family, true, remains->until_us) && !is_over(remains))
            ;
        while (!family_signal(family, SIGKILL, remains->until_us) && !is_over(remains))
            ;
        (void)poll(NULL, 0, AGAIN_MS);
        if (found == 0 && round >= 2) /* one that stays in execve longer is given up */
            break;
    }
}

static void *run(void *argument)
{
    struct remains *remains = argument;
    struct family *family = family_new();
    size_t groups = 0;
    if (family != NULL)
        sweep(remains, family);
    if (remains->cgroups != NULL)
        groups = cgroups_sweep(remains->cgroups, remains->until_us);
    if (family != NULL)
        tell(remains, family);
    if (groups > 0)
        log_write(remains->log, LOG_LEVEL_WARN,
                  "a server before this one was killed: %zu cgroups of its commands are ended",
                  groups);
    family_free(family);
    (void)pthread_mutex_lock(&remains->lock);
    remains->done = true;
    (void)pthread_cond_signal(&remains->changed);
    (void)pthread_mutex_unlock(&remains->lock);
    return NULL;
}

static bool wait_for(struct remains *remains)
{
    int64_t until_ms = clock_deadline_ms(REMAINS_WAIT_MS);
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    int failed = 0;
    (void)pthread_mutex_lock(&remains->lock);
    while (!remains->done && failed == 0)
        failed = pthread_cond_timedwait(&remains->changed, &remains->lock, &until);
    bool done = remains->done;
    (void)pthread_mutex_unlock(&remains->lock);
    return done;
}

struct remains *remains_sweep(struct log *log, struct kept *kept, const struct cgroups *cgroups)
{
    pthread_condattr_t attributes;
    struct remains *remains = calloc(1, sizeof *remains);
    if (remains == NULL) {
        log_write(log, LOG_LEVEL_WARN, "out of memory to look for what a killed server has left");
        return NULL;
    }
    remains->log = log;
    remains->kept = kept;
    remains->cgroups = cgroups;
    remains->until_us = clock_now_us() + (int64_t)REMAINS_MAX_MS * 1000;
    jobdir_boot(remains->boot);
    read_space(getpid(), remains->space);
    (void)pthread_mutex_init(&remains->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&remains->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (pthread_create(&remains->thread, NULL, run, remains) != 0) {
        log_write(log, LOG_LEVEL_WARN, "no thread to look for what a killed server has left");
        (void)pthread_cond_destroy(&remains->changed);
        (void)pthread_mutex_destroy(&remains->lock);
        free(remains);
        return NULL;
    }
    if (!wait_for(remains))
        log_write(
            log, LOG_LEVEL_WARN,
            "still looking for what a killed server left behind; continuing in the background");
    return remains;
}

bool remains_stop(struct remains *remains)
{
    if (remains == NULL)
        return true;
    atomic_store(&remains->cancelled, true);
    if (!wait_for(remains)) {
        (void)pthread_detach(remains->thread);
        return false;
    }
    (void)pthread_join(remains->thread, NULL);
    (void)pthread_cond_destroy(&remains->changed);
    (void)pthread_mutex_destroy(&remains->lock);
    free(remains);
    return true;
}
