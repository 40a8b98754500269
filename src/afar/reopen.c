#include "afar/reopen.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Opening a pseudo-terminal's master again makes a new pseudo-terminal. */
static bool is_master(int fd)
{
    int number = 0;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* /dev/tty is a different terminal in each session: only TIOCGDEV tells which. */
static bool is_same_terminal(int one, int other)
{
    unsigned device = 0;
    unsigned other_device = 0;
    return ioctl(one, TIOCGDEV, &device) == 0 && ioctl(other, TIOCGDEV, &other_device) == 0 &&
           device == other_device;
}

static bool is_same(int one, int other, const struct stat *info)
{
    struct stat found;
    return fstat(other, &found) == 0 && info->st_dev == found.st_dev &&
           info->st_ino == found.st_ino && info->st_rdev == found.st_rdev &&
           is_same_terminal(one, other);
}

bool reopen_is_terminal(int fd, const struct stat *info)
{
    return S_ISCHR(info->st_mode) && isatty(fd) != 0;
}

int reopen_own(int fd, const struct stat *info, int access)
{
    char path[64];
    bool pipe = S_ISFIFO(info->st_mode);
    if (!pipe && is_master(fd))
        return -1;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    /* An inode identifies a pipe, but one inode may stand for several terminals. */
    if (own < 0 || pipe || is_same(fd, own, info))
        return own;
    (void)close(own);
    return -1;
}
