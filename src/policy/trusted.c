#include "policy/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "policy/links.h"

enum { SHOWN_BYTES = 200 };

/* `others`: the mode bits that must not be set. */
static enum afar_status check(int fd, const char *path, mode_t others, struct afar_error *err)
{
    struct stat info;
    struct statvfs mount;
    if (fstat(fd, &info) != 0 || fstatvfs(fd, &mount) != 0)
        return afar_fail_errno(err, errno, "%.*s: cannot be examined", SHOWN_BYTES, path);
    if ((mount.f_flag & ST_RDONLY) != 0)
        return AFAR_OK;
    if (info.st_uid != 0 && info.st_uid != geteuid())
        return afar_fail(
            err, AFAR_EINVAL,
            "%.*s: it belongs to uid %u, who could change what clients may do: chown it "
            "to root or to the user that afard runs as",
            SHOWN_BYTES, path, (unsigned)info.st_uid);
    if ((info.st_mode & others) != 0)
        return afar_fail(
            err, AFAR_EINVAL,
            "%.*s: others can write to it and change what clients may do: chmod go-w it",
            SHOWN_BYTES, path);
    return AFAR_OK;
}

enum afar_status trusted_check(int fd, const char *path, struct afar_error *err)
{
    return check(fd, path, S_IWGRP | S_IWOTH, err);
}

/* ---- the folders above a file ---------------------------------------------------------------- */

static bool is_sticky(const char *folder)
{
    struct stat info;
    return stat(folder, &info) != 0 || (info.st_mode & S_ISVTX) != 0;
}

/* In a folder with the sticky bit, such as /tmp, each user can replace only their own files. */
static enum afar_status check_folder(const char *folder, struct afar_error *err)
{
    struct stat info;
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return afar_fail_errno(err, errno, "%.*s: cannot be examined", SHOWN_BYTES, folder);
    bool sticky = fstat(fd, &info) == 0 && (info.st_mode & S_ISVTX) != 0;
    enum afar_status status = check(fd, folder, sticky ? 0 : S_IWGRP | S_IWOTH, err);
    (void)close(fd);
    return status;
}

/* Checks all folders above `path`, up to "/" or, for a relative path, the working directory. */
static enum afar_status check_above(const char *path, struct afar_error *err)
{
    char folder[PATH_MAX];
    int size = snprintf(folder, sizeof folder, "%s", path);
    enum afar_status status = AFAR_OK;
    if (size < 0 || (size_t)size >= sizeof folder)
        return afar_fail(err, AFAR_EINVAL, "%.*s…: the path is too long", SHOWN_BYTES, path);
    char *slash = strrchr(folder, '/');
    while (slash != NULL && slash != folder && status == AFAR_OK) {
        *slash = '\0';
        status = check_folder(folder, err);
        slash = strrchr(folder, '/');
    }
    return status == AFAR_OK ? check_folder(slash == NULL ? "." : "/", err) : status;
}

/* One name on the way to a file, which may be a link in a folder that the path does not show. */
static enum afar_status check_step(void *user, const struct links_name *name,
                                   struct afar_error *err)
{
    const struct stat *info = name->info;
    (void)user;
    enum afar_status status = check_folder(name->folder, err);
    /* What a link leads to, its owner decides where only owners can replace what is theirs. */
    if (status == AFAR_OK && info != NULL && S_ISLNK(info->st_mode) && info->st_uid != 0 &&
        info->st_uid != geteuid() && is_sticky(name->folder))
        return afar_fail(err, AFAR_EINVAL,
                         "%.*s: the link belongs to uid %u, who could change what clients may do: "
                         "make it anew as root",
                         SHOWN_BYTES, name->place, (unsigned)info->st_uid);
    return status;
}

/* Checks the folders above the path as it was given, and all that are on the way to the file. */
static enum afar_status check_folders(const char *path, struct afar_error *err)
{
    enum afar_status status = check_above(path, err);
    return status == AFAR_OK ? links_follow(path, check_step, NULL, err) : status;
}

enum afar_status trusted_check_file(int fd, const char *path, struct afar_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return afar_fail_errno(err, errno, "%.*s: cannot be examined", SHOWN_BYTES, path);
    if (!S_ISREG(info.st_mode))
        return AFAR_OK;
    if (geteuid() != 0)
        return (info.st_mode & S_IWOTH) == 0 ? AFAR_OK : trusted_check(fd, path, err);
    enum afar_status status = trusted_check(fd, path, err);
    /* A deleted file (nlink 0) is in no folder. */
    return status == AFAR_OK && info.st_nlink > 0 ? check_folders(path, err) : status;
}

enum afar_status trusted_check_path(const char *path, struct afar_error *err)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return AFAR_OK;
    enum afar_status status = trusted_check_file(fd, path, err);
    (void)close(fd);
    return status;
}
