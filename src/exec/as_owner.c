#include "exec/as_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 32 };

/* The process's own flag, which is lost while any thread is another user. */
static struct {
    pthread_mutex_t lock;
    unsigned threads; /* that are another user now */
    int dumpable;     /* before the first of them was */
} others = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool as_owner_enter(pid_t pid)
{
    char process[PATH_BYTES];
    struct stat info;
    (void)snprintf(process, sizeof process, "/proc/%d", (int)pid);
    if (stat(process, &info) != 0)
        return false;
    if (info.st_uid == geteuid()) {
        errno = EACCES;
        return false;
    }
    (void)pthread_mutex_lock(&others.lock);
    if (others.threads++ == 0)
        others.dumpable = prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
    (void)setfsgid(info.st_gid);
    (void)setfsuid(info.st_uid);
    (void)pthread_mutex_unlock(&others.lock);
    return true;
}

void as_owner_leave(void)
{
    int failed = errno;
    (void)pthread_mutex_lock(&others.lock);
    (void)setfsuid(geteuid());
    (void)setfsgid(getegid());
    /* All these calls have set the flag to the value of /proc/sys/fs/suid_dumpable. */
    if (--others.threads == 0)
        (void)prctl(PR_SET_DUMPABLE, others.dumpable == 1 ? 1UL : 0UL, 0UL, 0UL, 0UL);
    (void)pthread_mutex_unlock(&others.lock);
    errno = failed;
}

int as_owner_open(pid_t pid, const char *path)
{
    if (!as_owner_enter(pid))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    as_owner_leave();
    return fd;
}
