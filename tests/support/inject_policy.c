/* The wrappers for what rules and the audit log request from the system. */
// wrap: asprintf __asprintf_chk realpath __realpath_chk fstatat getcwd __getcwd_chk
// wrap: statvfs fstatvfs glob memfd_create openat mkdirat unlinkat fdatasync ftruncate
// wrap: getpwnam_r getpwuid_r getgrnam_r getgrouplist
#include "support/inject_internal.h"

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- memory ---------------------------------------------------------------------------------- */

static int format(int failure, char **text, const char *how, va_list arguments)
{
    if (failure != 0)
        return inject_fail(failure);
    int size = vasprintf(text, how, arguments);
    inject_allocated(size >= 0);
    return size;
}

int __wrap_asprintf(char **text, const char *how, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **text, const char *how, ...)
{
    va_list arguments;
    va_start(arguments, how);
    int size = format(FAILURE(CALL_MALLOC), text, how, arguments);
    va_end(arguments);
    return size;
}

int __wrap___asprintf_chk(char **text, int flag, const char *how, ...)
    __attribute__((format(printf, 3, 4)));
int __wrap___asprintf_chk(char **text, int flag, const char *how, ...)
{
    va_list arguments;
    (void)flag;
    va_start(arguments, how);
    int size = format(FAILURE(CALL_MALLOC), text, how, arguments);
    va_end(arguments);
    return size;
}

/* ---- files ----------------------------------------------------------------------------------- */

WRAPS(char *, realpath, const char *path, char *real);
char *__wrap_realpath(const char *path, char *real)
{
    int failure = FAILURE(CALL_REALPATH);
    return failure != 0 ? inject_fail_null(failure) : __real_realpath(path, real);
}

WRAPS(char *, __realpath_chk, const char *path, char *real, size_t size);
char *__wrap___realpath_chk(const char *path, char *real, size_t size)
{
    int failure = FAILURE(CALL_REALPATH);
    return failure != 0 ? inject_fail_null(failure) : __real___realpath_chk(path, real, size);
}

WRAPS(int, fstatat, int fd, const char *path, struct stat *status, int flags);
int __wrap_fstatat(int fd, const char *path, struct stat *status, int flags)
{
    int failure = FAILURE(CALL_FSTATAT);
    return failure != 0 ? inject_fail(failure) : __real_fstatat(fd, path, status, flags);
}

WRAPS(char *, getcwd, char *path, size_t size);
char *__wrap_getcwd(char *path, size_t size)
{
    int failure = FAILURE(CALL_GETCWD);
    return failure != 0 ? inject_fail_null(failure) : __real_getcwd(path, size);
}

WRAPS(char *, __getcwd_chk, char *path, size_t size, size_t room);
char *__wrap___getcwd_chk(char *path, size_t size, size_t room)
{
    int failure = FAILURE(CALL_GETCWD);
    return failure != 0 ? inject_fail_null(failure) : __real___getcwd_chk(path, size, room);
}

WRAPS(int, fdatasync, int fd);
int __wrap_fdatasync(int fd)
{
    int failure = FAILURE(CALL_FDATASYNC);
    return failure != 0 ? inject_fail(failure) : __real_fdatasync(fd);
}

WRAPS(int, ftruncate, int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
    int failure = FAILURE(CALL_FTRUNCATE);
    return failure != 0 ? inject_fail(failure) : __real_ftruncate(fd, size);
}

WRAPS(int, memfd_create, const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags)
{
    int failure = FAILURE(CALL_MEMFD_CREATE);
    return failure != 0 ? inject_fail(failure) : __real_memfd_create(name, flags);
}

WRAPS(int, openat, int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
    int failure = FAILURE(CALL_OPENAT);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return failure != 0 ? inject_fail(failure) : __real_openat(fd, path, flags, mode);
}

WRAPS(int, mkdirat, int fd, const char *path, mode_t mode);
int __wrap_mkdirat(int fd, const char *path, mode_t mode)
{
    int failure = FAILURE(CALL_MKDIRAT);
    return failure != 0 ? inject_fail(failure) : __real_mkdirat(fd, path, mode);
}

WRAPS(int, unlinkat, int fd, const char *path, int flags);
int __wrap_unlinkat(int fd, const char *path, int flags)
{
    int failure = FAILURE(CALL_UNLINKAT);
    return failure != 0 ? inject_fail(failure) : __real_unlinkat(fd, path, flags);
}

WRAPS(int, statvfs, const char *path, struct statvfs *mount);
int __wrap_statvfs(const char *path, struct statvfs *mount)
{
    int failure = FAILURE(CALL_STATVFS);
    return failure != 0 ? inject_fail(failure) : __real_statvfs(path, mount);
}

WRAPS(int, fstatvfs, int fd, struct statvfs *mount);
int __wrap_fstatvfs(int fd, struct statvfs *mount)
{
    int failure = FAILURE(CALL_STATVFS);
    return failure != 0 ? inject_fail(failure) : __real_fstatvfs(fd, mount);
}

/* It returns the kind of failure. */
WRAPS(int, glob, const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);
int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found)
{
    int failure = FAILURE(CALL_GLOB);
    return failure != 0 ? failure : __real_glob(pattern, flags, failed, found);
}

/* ---- users ----------------------------------------------------------------------------------- */

WRAPS(int, getpwnam_r, const char *name, struct passwd *entry, char *space, size_t size,
      struct passwd **result);
int __wrap_getpwnam_r(const char *name, struct passwd *entry, char *space, size_t size,
                      struct passwd **result)
{
    int failure = FAILURE(CALL_LOOK_UP);
    *result = NULL;
    return failure != 0 ? failure : __real_getpwnam_r(name, entry, space, size, result);
}

WRAPS(int, getpwuid_r, uid_t uid, struct passwd *entry, char *space, size_t size,
      struct passwd **result);
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *space, size_t size,
                      struct passwd **result)
{
    int failure = FAILURE(CALL_LOOK_UP);
    *result = NULL;
    return failure != 0 ? failure : __real_getpwuid_r(uid, entry, space, size, result);
}

WRAPS(int, getgrnam_r, const char *name, struct group *entry, char *space, size_t size,
      struct group **result);
int __wrap_getgrnam_r(const char *name, struct group *entry, char *space, size_t size,
                      struct group **result)
{
    int failure = FAILURE(CALL_LOOK_UP);
    *result = NULL;
    return failure != 0 ? failure : __real_getgrnam_r(name, entry, space, size, result);
}

/* It cannot report which failure: only the first is used. */
WRAPS(int, getgrouplist, const char *user, gid_t group, gid_t *groups, int *count);
int __wrap_getgrouplist(const char *user, gid_t group, gid_t *groups, int *count)
{
    return __real_getgrouplist(user, group, groups, count);
}
