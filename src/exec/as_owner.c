#include "exec/as_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 32 };

bool as_owner_enter(pid_t pid, struct as_owner *owner)
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
    owner->dumpable = prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
    (void)setfsgid(info.st_gid);
    (void)setfsuid(info.st_uid);
    return true;
}

void as_owner_leave(const struct as_owner *owner)
{
    int failed = errno;
    (void)setfsuid(geteuid());
    (void)setfsgid(getegid());
    /* Both calls have set the flag to the value of /proc/sys/fs/suid_dumpable. */
    (void)prctl(PR_SET_DUMPABLE, owner->dumpable == 1 ? 1UL : 0UL, 0UL, 0UL, 0UL);
    errno = failed;
}

int as_owner_open(pid_t pid, const char *path)
{
    struct as_owner owner;
    if (!as_owner_enter(pid, &owner))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    as_owner_leave(&owner);
    return fd;
}
