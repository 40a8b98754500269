#include "policy/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHOWN_BYTES = 100, LINK_BYTES = 64 };

/* ---- directories ----------------------------------------------------------------------------- */

/* Opens `path` (O_PATH) as a process with that root would resolve it (openat2(2), RESOLVE_IN_ROOT).
 * -1: errno. */
static int open_in_root(const char *root, const char *path, int flags)
{
    const struct open_how how = {.flags = (unsigned long long)(O_PATH | O_CLOEXEC | flags),
                                 .resolve = RESOLVE_IN_ROOT};
    int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return -1;
    int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
    int failed = errno;
    (void)close(root_fd);
    errno = failed;
    return fd;
}

/* The kernel's name of an open directory. */
static bool name_of(int fd, char name[PATH_MAX])
{
    char link[LINK_BYTES];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, name, PATH_MAX - 1);
    if (size <= 0 || name[0] != '/')
        return false;
    name[size] = '\0';
    return true;
}

/* Removes the path of the root from `name`. */
static bool strip_root(char name[PATH_MAX], const char *root)
{
    char real[PATH_MAX];
    if (realpath(root, real) == NULL)
        return false;
    size_t size = strlen(real);
    if (strcmp(real, "/") == 0)
        return true;
    if (strncmp(name, real, size) != 0 || (name[size] != '/' && name[size] != '\0'))
        return false;
    memmove(name, name + size, strlen(name + size) + 1);
    if (name[0] == '\0')
        memcpy(name, "/", 2);
    return true;
}

static bool real_directory(const char *directory, const char *root, char real[PATH_MAX])
{
    if (root == NULL)
        return realpath(directory, real) != NULL;
    int fd = open_in_root(root, directory, O_DIRECTORY);
    if (fd < 0)
        return false;
    bool known = name_of(fd, real) && strip_root(real, root);
    (void)close(fd);
    return known;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* "/usr/bin/../bin/git" → "/usr/bin/git". */
char *resolve_path(const char *path, const char *root)
{
    char directory[PATH_MAX];
    char real[PATH_MAX];
    const char *name = strrchr(path, '/');
    if (name == NULL || (size_t)(name - path) >= sizeof directory - 1)
        return NULL;
    size_t size = (size_t)(name - path) + 1; /* with the slash, as the directory can be "/" */
    memcpy(directory, path, size);
    directory[size] = '\0';
    name++;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return NULL;
    if (!real_directory(directory, root, real))
        return NULL;
    char *made = NULL;
    const char *slash = strcmp(real, "/") == 0 ? "" : "/";
    return asprintf(&made, "%s%s%s", real, slash, name) < 0 ? NULL : made;
}

static bool is_executable(const struct stat *info)
{
    return S_ISREG(info->st_mode) && (info->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
}

/* Whether execve would accept it, as far as this can be known without being the user that runs it.
 * In another root, a link counts as a program: its target is not looked at. */
static bool is_program(const char *path, const char *root)
{
    char whole[PATH_MAX];
    struct stat status;
    int size = snprintf(whole, sizeof whole, "%s%s", root == NULL ? "" : root, path);
    if (size < 0 || (size_t)size >= sizeof whole ||
        fstatat(AT_FDCWD, whole, &status, root == NULL ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (root != NULL && S_ISLNK(status.st_mode))
        return true;
    return is_executable(&status);
}

/* Looks for the program in one directory. *path: NULL if it is not there. */
static enum afar_status try_one(const char *directory, size_t size, const char *name,
                                const char *root, char **path, struct afar_error *err)
{
    char *candidate = NULL;
    if (asprintf(&candidate, "%.*s/%s", (int)size, directory, name) < 0)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a path");
    *path = resolve_path(candidate, root);
    free(candidate);
    if (*path != NULL && !is_program(*path, root)) {
        free(*path);
        *path = NULL;
    }
    return AFAR_OK;
}

/* Only absolute directories: empty and relative ones depend on the working directory, which the
 * client can choose. */
enum afar_status resolve_name(const char *name, const char *path, const char *root, char **found,
                              struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    const char *at = path;
    bool bare = name[0] != '\0' && strchr(name, '/') == NULL;
    *found = NULL;
    while (bare && status == AFAR_OK && *found == NULL && *at != '\0') {
        size_t size = strcspn(at, ":");
        if (at[0] == '/')
            status = try_one(at, size, name, root, found, err);
        at += size;
        at += *at == ':';
    }
    if (status == AFAR_OK && *found == NULL)
        status = afar_fail(err, AFAR_EINVAL, "there is no program '%.*s'", SHOWN_BYTES, name);
    return status;
}

/* 0, or an errno. */
static int look_at(int fd, enum resolve_kind kind)
{
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0)
        return errno;
    if (kind == RESOLVE_DIRECTORY)
        return S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
    return is_executable(&info) ? 0 : EACCES;
}

enum afar_status resolve_look(const char *path, const char *root, enum resolve_kind kind,
                              struct afar_error *err)
{
    int fd = open_in_root(root != NULL ? root : "/", path, 0);
    int failed = look_at(fd, kind);
    if (fd >= 0)
        (void)close(fd);
    if (failed == 0)
        return AFAR_OK;
    return root == NULL ? afar_fail_errno(err, failed, "'%.*s'", SHOWN_BYTES, path)
                        : afar_fail_errno(err, failed, "'%.*s' in '%.*s'", SHOWN_BYTES, path,
                                          SHOWN_BYTES, root);
}
