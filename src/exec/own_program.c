#include "exec/own_program.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char own[] = "/proc/self/exe";

static bool find_path(char *path, size_t room)
{
    static const char child[] = "/../libexec/afar/afard-child-" AFAR_VERSION;
    ssize_t size = readlink(own, path, room - 1);
    if (size <= 0)
        return false;
    path[size] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash - path) + sizeof child > room)
        return false;
    memcpy(slash, child, sizeof child);
    return true;
}

/* Who can change `file` can change this program, too. */
static bool as_well_protected(const struct stat *file, const struct stat *this)
{
    const mode_t others = S_IWGRP | S_IWOTH;
    return file->st_uid == this->st_uid && (file->st_mode & others & ~this->st_mode) == 0 &&
           ((file->st_mode & S_IWGRP) == 0 || file->st_gid == this->st_gid);
}

int own_program_open(void)
{
    char path[PATH_MAX];
    struct stat file;
    struct stat this;
    if (!find_path(path, sizeof path) || stat(own, &this) != 0)
        return 0;
    int fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && as_well_protected(&file, &this) &&
        faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) == 0)
        return fd;
    (void)close(fd);
    return 0;
}
