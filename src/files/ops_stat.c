/* Attributes, by name and by handle. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files/internal.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* the same on all architectures; since Linux 6.6 */
#endif

static void answer_stat(struct request *request, bool follow)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct stat info;
    if (!path_read(request, path))
        return;
    int failed = path_stat(request->files, path, follow, &info);
    if (failed != 0)
        reply_errno(request, failed);
    else
        reply_attrs(request, &info);
}

void op_stat(struct request *request)
{
    answer_stat(request, true);
}

void op_lstat(struct request *request)
{
    answer_stat(request, false);
}

/* A directory's descriptor is that of its stream; -1: there is none (above the roots). */
static int fd_of(const struct handle *handle)
{
    return handle->dir != NULL ? dirfd(handle->dir) : handle->fd;
}

void op_fstat(struct request *request)
{
    struct stat info;
    const struct handle *handle = handle_read(request);
    if (handle == NULL)
        return;
    int fd = fd_of(handle);
    int failed = fd < 0                  ? path_stat(request->files, handle->path, true, &info)
                 : fstat(fd, &info) == 0 ? 0
                                         : errno;
    if (failed != 0)
        reply_errno(request, failed);
    else
        reply_attrs(request, &info);
}

/* ---- setting --------------------------------------------------------------------------------- */

mode_t attrs_mode(const struct files *files, const struct sftp_attrs *attrs, mode_t otherwise)
{
    /* Never setuid or setgid: they would give others the rights of the file's owner. */
    mode_t most = files->root_count > 0 ? 0777 : 01777;
    return ((attrs->flags & SFTP_ATTR_MODE) != 0 ? attrs->mode : otherwise) & most;
}

/* fchmod(2) does not accept an O_PATH descriptor. */
static int change_mode(int fd, mode_t mode)
{
    if (fchmod(fd, mode) == 0)
        return 0;
    if (errno != EBADF)
        return errno;
    if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOSYS)
        return errno;
    /* Before Linux 6.6: through /proc, if mounted. This still acts on the descriptor. */
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return chmod(link, mode) == 0 ? 0 : errno;
}

static int change_times(int fd, const struct sftp_attrs *attrs)
{
    const struct timespec times[2] = {
        {.tv_sec = (time_t)attrs->atime, .tv_nsec = attrs->has_ns ? (long)attrs->atime_ns : 0},
        {.tv_sec = (time_t)attrs->mtime, .tv_nsec = attrs->has_ns ? (long)attrs->mtime_ns : 0}};
    return utimensat(fd, "", times, AT_EMPTY_PATH) == 0 ? 0 : errno;
}

int attrs_apply(const struct files *files, int fd, const struct sftp_attrs *attrs)
{
    int failed = 0;
    if ((attrs->flags & SFTP_ATTR_SIZE) != 0 &&
        (attrs->size > INT64_MAX || ftruncate(fd, (off_t)attrs->size) != 0))
        failed = attrs->size > INT64_MAX ? EFBIG : errno;
    /* Before the mode, because a change of owner may clear bits of it. */
    if (failed == 0 && (attrs->flags & SFTP_ATTR_OWNER) != 0 &&
        fchownat(fd, "", attrs->uid, attrs->gid, AT_EMPTY_PATH) != 0)
        failed = errno;
    if (failed == 0 && (attrs->flags & SFTP_ATTR_MODE) != 0)
        failed = change_mode(fd, attrs_mode(files, attrs, 0));
    if (failed == 0 && (attrs->flags & SFTP_ATTR_TIMES) != 0)
        failed = change_times(fd, attrs);
    return failed;
}

static void set_stat(struct request *request, bool follow)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct sftp_attrs attrs;
    if (!path_read(request, path))
        return;
    sftp_read_attrs(&request->in, &attrs);
    if (request->in.failed) {
        reply_bad(request);
        return;
    }
    bool sized = (attrs.flags & SFTP_ATTR_SIZE) != 0;
    int flags = sized ? O_WRONLY | O_NONBLOCK | O_NOCTTY : O_PATH;
    int fd = path_open(request->files, path, flags | (follow ? 0 : O_NOFOLLOW), 0, true);
    int failed = fd < 0 ? errno : attrs_apply(request->files, fd, &attrs);
    if (fd >= 0)
        (void)close(fd);
    note_op(request->files, FILE_OP_ATTRIBUTES, path, NULL, failed);
    reply_errno(request, failed);
}

void op_setstat(struct request *request)
{
    set_stat(request, true);
}

void op_lsetstat(struct request *request)
{
    set_stat(request, false);
}

void op_fsetstat(struct request *request)
{
    struct sftp_attrs attrs;
    struct handle *handle = handle_read(request);
    if (handle == NULL)
        return;
    sftp_read_attrs(&request->in, &attrs);
    if (request->in.failed) {
        reply_bad(request);
        return;
    }
    /* Inside a fence a handle that was opened for reading may be in a root that is only read. */
    bool may = request->files->root_count == 0 || handle->writable;
    int fd = fd_of(handle);
    int failed = !may || fd < 0 ? EACCES : attrs_apply(request->files, fd, &attrs);
    if ((attrs.flags & SFTP_ATTR_SIZE) != 0)
        hash_changed(handle, attrs.size);
    note_op(request->files, FILE_OP_ATTRIBUTES, handle->path, NULL, failed);
    reply_errno(request, failed);
}

/* ---- file systems ---------------------------------------------------------------------------- */

/* OpenSSH's flags of statvfs@openssh.com. */
enum { STATVFS_READ_ONLY = 1, STATVFS_NO_SETUID = 2 };

static void answer_statvfs(struct request *request, const struct statvfs *info)
{
    struct sftp_writer writer;
    uint64_t flags = ((info->f_flag & ST_RDONLY) != 0 ? STATVFS_READ_ONLY : 0) |
                     ((info->f_flag & ST_NOSUID) != 0 ? STATVFS_NO_SETUID : 0);
    const uint64_t numbers[] = {info->f_bsize,  info->f_frsize, info->f_blocks, info->f_bfree,
                                info->f_bavail, info->f_files,  info->f_ffree,  info->f_favail,
                                info->f_fsid,   flags,          info->f_namemax};
    sftp_begin(&writer, &request->files->out, FILES_STATUS_BYTES);
    sftp_put_u8(&writer, SFTP_TYPE_EXTENDED_REPLY);
    sftp_put_u32(&writer, request->id);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sftp_put_u64(&writer, numbers[i]);
    if (sftp_end(&writer, NULL) != AFAR_OK)
        request->files->failed = true;
}

void op_statvfs(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct statvfs info;
    if (!path_read(request, path))
        return;
    int fd = path_open(request->files, path, O_PATH, 0, false);
    int failed = fd < 0 || fstatvfs(fd, &info) != 0 ? errno : 0;
    if (fd >= 0)
        (void)close(fd);
    if (failed != 0)
        reply_errno(request, failed);
    else
        answer_statvfs(request, &info);
}

void op_fstatvfs(struct request *request)
{
    struct statvfs info;
    const struct handle *handle = handle_read(request);
    if (handle == NULL)
        return;
    if (fstatvfs(fd_of(handle), &info) != 0)
        reply_errno(request, errno);
    else
        answer_statvfs(request, &info);
}
