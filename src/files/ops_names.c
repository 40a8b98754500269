/* Names: made, removed, renamed, read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files/internal.h"

/* Reads a path and finds its place. False: the request has been answered, and noted as a failed
 * `op` unless it was malformed. */
static bool read_place(struct request *request, enum file_op op, struct place *place)
{
    if (!path_read(request, place->path))
        return false;
    if (path_place(request->files, place->path, place))
        return true;
    note_op(request->files, op, place->path, NULL, errno);
    reply_errno(request, errno);
    return false;
}

static void answer(const struct request *request, enum file_op op, const char *path, const char *to,
                   int failed)
{
    note_op(request->files, op, path, to, failed);
    reply_errno(request, failed);
}

static void unlink_as(struct request *request, int flags)
{
    struct place place;
    const enum file_op op = flags == 0 ? FILE_OP_REMOVE : FILE_OP_RMDIR;
    if (!read_place(request, op, &place))
        return;
    answer(request, op, place.path, NULL, unlinkat(place.dir, place.name, flags) == 0 ? 0 : errno);
    place_close(&place);
}

void op_remove(struct request *request)
{
    unlink_as(request, 0);
}

void op_rmdir(struct request *request)
{
    unlink_as(request, AT_REMOVEDIR);
}

void op_mkdir(struct request *request)
{
    struct place place;
    struct sftp_attrs attrs;
    if (!read_place(request, FILE_OP_MKDIR, &place))
        return;
    sftp_read_attrs(&request->in, &attrs);
    if (request->in.failed)
        reply_bad(request);
    else
        answer(request, FILE_OP_MKDIR, place.path, NULL,
               mkdirat(place.dir, place.name, attrs_mode(request->files, &attrs, 0777)) == 0
                   ? 0
                   : errno);
    place_close(&place);
}

/* Some file systems do not support RENAME_NOREPLACE. Then link the new name and remove the old one;
 * if it cannot be linked (a directory), check first whether the new name exists. */
int rename_at(int from_dir, const char *from, int to_dir, const char *to, bool new_only)
{
    struct stat info;
    if (!new_only)
        return renameat(from_dir, from, to_dir, to) == 0 ? 0 : errno;
    if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    if (linkat(from_dir, from, to_dir, to, 0) == 0)
        return unlinkat(from_dir, from, 0) == 0 ? 0 : errno;
    if (errno == EEXIST)
        return EEXIST;
    if (fstatat(to_dir, to, &info, AT_SYMLINK_NOFOLLOW) == 0)
        return EEXIST;
    return renameat(from_dir, from, to_dir, to) == 0 ? 0 : errno;
}

static int rename_to_new(const struct place *from, const struct place *to)
{
    return rename_at(from->dir, from->name, to->dir, to->name, true);
}

static int rename_over(const struct place *from, const struct place *to)
{
    return rename_at(from->dir, from->name, to->dir, to->name, false);
}

static int link_to(const struct place *from, const struct place *to)
{
    return linkat(from->dir, from->name, to->dir, to->name, 0) == 0 ? 0 : errno;
}

static void with_two(struct request *request, enum file_op op,
                     int (*act)(const struct place *from, const struct place *to))
{
    struct place from;
    struct place to;
    if (!path_read(request, from.path) || !path_read(request, to.path))
        return;
    const bool from_found = path_place(request->files, from.path, &from);
    const bool to_found = from_found && path_place(request->files, to.path, &to);
    /* Also what was refused is noted with both paths. */
    answer(request, op, from.path, to.path, to_found ? act(&from, &to) : errno);
    if (to_found)
        place_close(&to);
    if (from_found)
        place_close(&from);
}

/* draft §6.5: it is an error if the new name exists. */
void op_rename(struct request *request)
{
    with_two(request, FILE_OP_RENAME, rename_to_new);
}

void op_posix_rename(struct request *request)
{
    with_two(request, FILE_OP_RENAME, rename_over);
}

void op_hardlink(struct request *request)
{
    with_two(request, FILE_OP_LINK, link_to);
}

/* Another program would follow a link that leads out of the fence. ".." is accepted only at the
 * beginning of the target: after a name it may lead anywhere, because that name may be a link. */
static bool leads_out(const struct files *files, const char *target, const char *link_path, int dir)
{
    char absolute[SFTP_PATH_MAX_BYTES];
    bool named = false;
    if (target[0] == '/' || !path_absolute(link_path, absolute))
        return true;
    size_t depth = fence_depth(files, absolute, dir);
    while (*target != '\0') {
        size_t size = strcspn(target, "/");
        if (size == 2 && target[0] == '.' && target[1] == '.') {
            if (named || depth == 0)
                return true;
            depth--;
        } else if (size > 0 && !(size == 1 && target[0] == '.')) {
            named = true;
        }
        target += size + (target[size] == '/' ? 1 : 0);
    }
    return false;
}

/* OpenSSH's order: first the target, then the link's path; the draft has the reverse order. */
void op_symlink(struct request *request)
{
    char target[SFTP_PATH_MAX_BYTES];
    char path[SFTP_PATH_MAX_BYTES];
    struct place place;
    if (!path_read(request, target) || !path_read(request, path))
        return;
    if (!path_place(request->files, path, &place)) {
        answer(request, FILE_OP_SYMLINK, path, NULL, errno);
        return;
    }
    if (request->files->root_count > 0 && leads_out(request->files, target, path, place.dir))
        answer(request, FILE_OP_SYMLINK, path, NULL, EXDEV);
    else
        answer(request, FILE_OP_SYMLINK, path, NULL,
               symlinkat(target, place.dir, place.name) == 0 ? 0 : errno);
    place_close(&place);
}

void op_readlink(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    char target[SFTP_PATH_MAX_BYTES];
    if (!path_read(request, path))
        return;
    int fd = path_open(request->files, path, O_PATH | O_NOFOLLOW, 0, false);
    ssize_t size = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof target - 1);
    int failed = errno;
    if (fd >= 0)
        (void)close(fd);
    if (size < 0) {
        /* For a descriptor that is not a link the kernel returns ENOENT; for a path, EINVAL. */
        reply_errno(request, fd >= 0 && failed == ENOENT ? EINVAL : failed);
        return;
    }
    target[size] = '\0';
    reply_name(request, target);
}
