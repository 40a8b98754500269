#include "policy/trusted.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SHOWN_BYTES = 200 };

enum afar_status trusted_check(int fd, const char *path, struct afar_error *err)
{
    struct stat status;
    struct statvfs mount;
    if (fstat(fd, &status) != 0 || fstatvfs(fd, &mount) != 0)
        return afar_fail_errno(err, errno, "%.*s: cannot be looked at", SHOWN_BYTES, path);
    if ((mount.f_flag & ST_RDONLY) != 0)
        return AFAR_OK;
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return afar_fail(err, AFAR_EINVAL,
                         "%.*s: it belongs to uid %u, who could change the rules: chown it to root "
                         "or to the user that afard runs as",
                         SHOWN_BYTES, path, (unsigned)status.st_uid);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return afar_fail(err, AFAR_EINVAL,
                         "%.*s: others can write to it and change the rules: chmod go-w it",
                         SHOWN_BYTES, path);
    return AFAR_OK;
}
