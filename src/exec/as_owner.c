#include "exec/as_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 32 };

int as_owner_open(pid_t pid, const char *path)
{
    char process[PATH_BYTES];
    struct stat owner;
    (void)snprintf(process, sizeof process, "/proc/%d", (int)pid);
    if (stat(process, &owner) != 0)
        return -1;
    if (owner.st_uid == geteuid()) {
        errno = EACCES;
        return -1;
    }
    int dumpable = prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
    (void)setfsgid(owner.st_gid);
    (void)setfsuid(owner.st_uid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int failed = errno;
    (void)setfsuid(geteuid());
    (void)setfsgid(getegid());
    /* Both have made it what /proc/sys/fs/suid_dumpable says. */
    (void)prctl(PR_SET_DUMPABLE, dumpable == 1 ? 1UL : 0UL, 0UL, 0UL, 0UL);
    errno = failed;
    return fd;
}
